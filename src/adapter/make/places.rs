//! Where makefiles name a target, for those whose recipe comes with make.

use std::collections::HashMap;

/// The first line of a makefile that names each target before a colon. Variables are not
/// expanded.
pub(super) fn lines(makefile: &[u8]) -> HashMap<&[u8], u32> {
    let mut found = HashMap::new();
    let mut continued = false;
    for (number, line) in (1u32..).zip(makefile.split(|&byte| byte == b'\n')) {
        let starts = !continued;
        continued = line.ends_with(b"\\");
        if !starts || line.starts_with(b"\t") {
            continue;
        }
        for target in targets(line) {
            found.entry(target).or_insert(number);
        }
    }
    found
}

/// What stands before the colon of a rule.
fn targets(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.split(|&byte| byte == b'#').next().unwrap_or(line);
    let colon = line.iter().position(|&byte| byte == b':');
    let head = colon.filter(|&at| {
        // `A := b`, `A ::= b`, and `A = b:c` set variables.
        let after = line[at..].iter().find(|&&byte| byte != b':');
        after != Some(&b'=') && !line[..at].contains(&b'=')
    });
    let words = head.map_or(b"".as_slice(), |at| &line[..at]);
    let words = words.strip_suffix(b"&").unwrap_or(words);
    words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}
