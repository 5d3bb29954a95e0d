//! The first line of a script, as `load_script` in `fs/binfmt_script.c` reads it.

use super::{HEAD, Script};

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The `#!` line of a file that begins with `head` (zeros after its end). None where the kernel
/// takes it for no script.
pub(super) fn parse(head: &[u8; HEAD]) -> Option<Script> {
    let line = head.strip_prefix(b"#!")?;
    let end = line.iter().position(|b| matches!(b, b'\n' | 0));
    let line = match end {
        Some(end) if line[end] == b'\n' => &line[..end],
        // Without a newline the name must end within what was read, else it may be cut off. The
        // last byte read is given up for a zero.
        _ => {
            let name = line.iter().position(|b| !is_blank(*b))?;
            line[name..].iter().position(|b| is_blank(*b) || *b == 0)?;
            &line[..line.len() - 1]
        }
    };
    let blanks = line.iter().rev().take_while(|b| is_blank(**b)).count();
    let line = &line[..line.len() - blanks];
    let line = &line[line.iter().position(|b| !is_blank(*b))?..];
    let name = line.iter().position(|b| is_blank(*b) || *b == 0).unwrap_or(line.len());
    let argument = match line.get(name) {
        // Strings end at a zero, even where the line goes on.
        None | Some(0) => None,
        Some(_) => {
            let rest = &line[name..];
            let start = rest.iter().position(|b| !is_blank(*b));
            start.map(|start| rest[start..].split(|b| *b == 0).next().unwrap_or_default().to_vec())
        }
    };
    Some(Script { interpreter: line[..name].to_vec(), argument })
}
