//! What strace writes, reduced to paths.

use std::collections::BTreeSet;
use std::path::Path;

/// strace itself and its flags, up to the name of its log. `-y` gives the directory that a
/// descriptor stands for.
pub(crate) const FLAGS: &[&str] =
    &["strace", "-f", "-y", "--seccomp-bpf", "-s", "4096", "-e", "trace=%file", "-o"];

/// Where the paths are among the arguments: (directory, path), where the directory is an argument
/// too in the calls that end in `at`.
fn places(call: &str) -> &'static [(Option<usize>, usize)] {
    match call {
        "openat" | "openat2" | "newfstatat" | "statx" | "faccessat" | "faccessat2"
        | "readlinkat" | "unlinkat" | "mkdirat" | "fchmodat" | "fchmodat2" | "utimensat"
        | "fchownat" | "execveat" | "mknodat" => &[(Some(0), 1)],
        "renameat" | "renameat2" | "linkat" => &[(Some(0), 1), (Some(2), 3)],
        "symlinkat" => &[(Some(1), 2)],
        "symlink" => &[(None, 1)],
        "rename" | "link" => &[(None, 0), (None, 1)],
        "getcwd" => &[],
        // All others take one path, first.
        _ => &[(None, 0)],
    }
}

/// All paths of a log, absolute and [`normal`]. `cwd` is where the job ran.
pub(crate) fn paths(log: &str, cwd: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut directories = std::collections::HashMap::new();
    let mut first = None;
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // Signals, exits, and the second halves of calls, which name no path.
        if rest.starts_with(['-', '+', '<']) {
            continue;
        }
        let Some((call, rest)) = rest.split_once('(') else { continue };
        let first = *first.get_or_insert(pid.to_owned()) == pid;
        // A child starts where its parent is; jobs whose processes go elsewhere use the calls
        // that end in `at`, for which strace knows the directory.
        let here = directories.entry(pid.to_owned()).or_insert_with(|| cwd.to_owned());
        let arguments = arguments(rest);
        for &(directory, path) in places(call) {
            let Some(text) = arguments.get(path).and_then(|text| quoted(text)) else { continue };
            if text.is_empty() {
                continue;
            }
            let base = match directory.and_then(|index| arguments.get(index)) {
                Some(text) => match text.split_once('<') {
                    Some((_, name)) => Path::new(name.trim_end_matches('>')),
                    None => here,
                },
                None => here,
            };
            paths.insert(normal(&base.join(&text).to_string_lossy()));
            if call == "chdir" && line.ends_with("= 0") {
                assert!(first, "only the root process may go elsewhere: {line}");
                *here = here.join(&text);
            }
        }
    }
    paths
}

/// The arguments of a call, split at commas outside of quotes, brackets and braces.
fn arguments(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth, mut in_quotes, mut escaped) =
        (vec![], 0, 0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '[' | '{' | '(' => depth += 1,
            ')' if depth == 0 => {
                found.push(text[start..at].trim());
                return found;
            }
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found
}

/// The text between quotes. The jobs use no name that strace would escape.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    assert!(!inner.contains('\\'), "a name with an escape: {inner}");
    Some(inner.to_owned())
}

/// A path without `.`, `..`, double and trailing slashes, and with names that are drawn anew in
/// each run replaced: those of temporary files, and the numbers of processes.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(settled(part, parts.last().map_or("", String::as_str))),
        }
    }
    format!("/{}", parts.join("/"))
}

fn settled(part: &str, parent: &str) -> String {
    if parent == "proc" && part.bytes().all(|byte| byte.is_ascii_digit()) {
        return "self".to_owned();
    }
    // Prefixes of names from mkstemp and the like; the suffix after a dot stays.
    let (stem, suffix) = part.split_at(part.find('.').unwrap_or(part.len()));
    for prefix in ["cc", "cmTC_", "rustc", "st", "tmp_obj_", "TryCompile-"] {
        let rest = stem.strip_prefix(prefix).unwrap_or("");
        if rest.len() >= 5 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return format!("{prefix}*{suffix}");
        }
    }
    part.to_owned()
}
