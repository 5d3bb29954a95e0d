//! Path names as bytes.

use std::borrow::Cow;

/// `name` made absolute on `base`, without `.`, `..`, double and trailing slashes. Works on the
/// text alone, so `..` after a symbolic link is taken as people read it.
pub fn absolute(base: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(base.len() + name.len() + 1);
    if !name.starts_with(b"/") {
        push_components(&mut out, base);
    }
    push_components(&mut out, name);
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

fn push_components(out: &mut Vec<u8>, name: &[u8]) {
    for part in components(name) {
        match part {
            b".." => out.truncate(out.iter().rposition(|&b| b == b'/').unwrap_or(0)),
            part => {
                out.push(b'/');
                out.extend_from_slice(part);
            }
        }
    }
}

/// The parts between slashes, without empty ones and `.`.
pub(crate) fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The directory part; none of `/` and of a name without slash.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|&b| b == b'/')? {
        0 if path.len() == 1 => None,
        0 => Some(b"/"),
        at => Some(&path[..at]),
    }
}

/// The last part.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

/// The path itself and every directory above it, the longest first, without `/`.
pub(crate) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |p| parent(p)).filter(|p| p.len() > 1)
}

/// What is below `directory`; none if `path` is not. The directory itself gives the empty name.
pub(crate) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = if directory == b"/" { b"" } else { directory };
    match path.strip_prefix(directory)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// `path` as it is named in `cwd`: relative within the workspace, else absolute.
pub(crate) fn relative(path: &[u8], cwd: &[u8], workspace: &[u8]) -> Vec<u8> {
    if below(path, workspace).is_none() || below(cwd, workspace).is_none() {
        return path.to_vec();
    }
    let mut name = Vec::new();
    let mut base = cwd;
    loop {
        match below(path, base) {
            Some([]) if name.is_empty() => return b".".to_vec(),
            Some(rest) => return [name.as_slice(), rest].concat(),
            None => name.extend_from_slice(b"../"),
        }
        match parent(base) {
            Some(up) => base = up,
            None => return path.to_vec(),
        }
    }
}

/// The path as people read it: relative to the workspace if it lies there, invalid UTF-8
/// replaced, control characters escaped so that no name can forge a line of a report.
pub fn display<'a>(path: &'a [u8], workspace: &[u8]) -> Cow<'a, str> {
    let shown = match below(path, workspace) {
        Some([]) => b".".as_slice(),
        Some(rest) => rest,
        None => path,
    };
    printable(shown)
}

/// Bytes as text: invalid UTF-8 replaced, control characters escaped.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.chars().any(char::is_control) {
        let mut out = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            if c.is_control() {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        return Cow::Owned(out);
    }
    text
}
