//! Which prerequisites make knows from depfiles only.

use super::rules::Rules;
use crate::adapter::files;
use airtight_policy::depfile;
use std::collections::HashMap;

/// The depfiles that the makefiles of one description include.
#[derive(Default)]
pub(super) struct Depfiles {
    /// For a target and a prerequisite: which of them name it, and how often.
    counts: HashMap<(Vec<u8>, Vec<u8>), Counts>,
    /// All of them, in order of their numbers.
    pub(super) files: Vec<Depfile>,
}

/// The number of a depfile, and how often it names something.
type Counts = Vec<(usize, usize)>;

/// One depfile.
pub(super) struct Depfile {
    /// As make names it.
    pub(super) name: Vec<u8>,
    pub(super) path: Vec<u8>,
}

impl Depfiles {
    /// Reads those of the included makefiles that hold rules without recipes and nothing else.
    /// `resolve` makes a path of a name.
    pub(super) fn read(rules: &Rules, resolve: impl Fn(&[u8]) -> Vec<u8>) -> Depfiles {
        let mut depfiles = Depfiles::default();
        for name in &rules.makefiles {
            let path = resolve(name);
            let Some(read) = read(&path) else { continue };
            let number = depfiles.files.len();
            depfiles.files.push(Depfile { name: name.clone(), path });
            for rule in read {
                for target in &rule.targets {
                    for input in &rule.inputs {
                        let pair = (plain(target).to_vec(), plain(input).to_vec());
                        let counts = depfiles.counts.entry(pair).or_default();
                        match counts.last_mut() {
                            Some((last, count)) if *last == number => *count += 1,
                            _ => counts.push((number, 1)),
                        }
                    }
                }
            }
        }
        depfiles
    }

    /// Whether all of the `count` times that rules name `input` as a prerequisite of `target` are
    /// in depfiles that were written too late: `late` tells it by the number of the depfile.
    pub(super) fn alone(
        &self,
        target: &[u8],
        input: &[u8],
        count: usize,
        late: impl Fn(usize) -> bool,
    ) -> bool {
        // A lookup by borrowed halves would need a type of its own; there are few depfiles where
        // this is asked often.
        let Some(counts) = self.counts.get(&(target.to_vec(), input.to_vec())) else {
            return false;
        };
        let there: usize = counts.iter().filter(|(file, _)| late(*file)).map(|(_, n)| n).sum();
        there >= count
    }
}

/// Whether make compilers and generators write such a file while they make something else.
pub(super) fn has_usual_name(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let extension = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    let dotted = name.contains(&b'.');
    matches!(name, b".depend" | b"depend" | b".depends" | b"depends" | b".deps")
        || matches!(name, b"depend.make" | b"compiler_depend.make")
        || dotted && matches!(extension, b"d" | b"dep" | b"deps" | b"P" | b"Td")
        || remade_empty(path)
}

/// Whether automake's rules make such a file too, empty, before anything is compiled.
pub(super) fn remade_empty(path: &[u8]) -> bool {
    path.ends_with(b".Po") || path.ends_with(b".Plo") || path.ends_with(b".Tpo")
}

/// The rules of a depfile; none if it is something else.
pub(super) fn read(path: &[u8]) -> Option<Vec<depfile::Rule>> {
    let text = files::read(path).ok()?;
    if !only_rules(&text) {
        return None;
    }
    depfile::rules(&text).ok()
}

/// Whether there are no recipes, no variables and no directives.
fn only_rules(text: &[u8]) -> bool {
    let mut continued = false;
    text.split(|&byte| byte == b'\n').all(|line| {
        let (starts, line) = (!continued, line.strip_suffix(b"\r").unwrap_or(line));
        continued = line.ends_with(b"\\");
        let first = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let directive = matches!(first, b"include" | b"-include" | b"ifeq" | b"ifneq" | b"ifdef")
            || matches!(first, b"ifndef" | b"define" | b"export" | b"override" | b"vpath");
        !(starts && (line.starts_with(b"\t") || directive || assigns(line)))
    })
}

/// Whether a line sets a variable: an `=` with no colon before it but its own.
fn assigns(line: &[u8]) -> bool {
    let line = line.split(|&byte| byte == b'#').next().unwrap_or(line);
    let Some(equals) = line.iter().position(|&byte| byte == b'=') else { return false };
    let before = line[..equals].trim_ascii_end();
    let before = before.strip_suffix(b":").unwrap_or(before);
    !before.windows(2).any(|pair| pair == b": ") && !before.contains(&b'/')
}

/// make takes a leading `./` off.
fn plain(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        let rest = &rest[rest.iter().take_while(|&&byte| byte == b'/').count()..];
        if rest.is_empty() {
            break;
        }
        name = rest;
    }
    name
}
