//! What strace writes, reduced to paths.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// strace itself and its flags, up to the name of its log. `-y` gives the directory that a
/// descriptor stands for; forks and fchdir tell where relative names start.
pub(crate) const FLAGS: &[&str] = &[
    "strace",
    "-f",
    "-y",
    "--seccomp-bpf",
    "-s",
    "4096",
    "-e",
    "trace=%file,%process,fchdir",
    "-o",
];

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
    let lines = || log.lines().filter_map(|line| line.split_once(' ')).map(|(p, l)| (p, l.trim()));
    let parents: HashMap<&str, &str> =
        lines().filter_map(|(pid, line)| Some((child(line)?, pid))).collect();
    let mut directories: HashMap<&str, PathBuf> = HashMap::new();
    let mut paths = BTreeSet::new();
    for (pid, line) in lines() {
        // Signals, exits, and the second halves of calls, which name no path.
        if line.starts_with(['-', '+', '<']) {
            continue;
        }
        let Some((call, rest)) = line.split_once('(') else { continue };
        let here = match directories.get(pid) {
            Some(here) => here.clone(),
            None => parents
                .get(pid)
                .and_then(|parent| directories.get(parent))
                .map_or(cwd, |d| d)
                .to_owned(),
        };
        let arguments = arguments(rest);
        let text = |at: usize| arguments.get(at).and_then(|text| quoted(text)).unwrap_or_default();
        let directory = |at: usize| {
            let (_, name) = arguments.get(at)?.split_once('<')?;
            Some(PathBuf::from(name.trim_end_matches('>')))
        };
        for &(base, path) in places(call) {
            let (base, path) = (base.and_then(directory), text(path));
            if !path.is_empty() {
                let path = base.as_ref().unwrap_or(&here).join(path);
                paths.insert(normal(&path.to_string_lossy()));
            }
        }
        let moved = match call {
            "chdir" if line.ends_with("= 0") => here.join(text(0)),
            "fchdir" if line.ends_with("= 0") => directory(0).unwrap_or(here),
            _ => here,
        };
        directories.insert(pid, moved);
    }
    // What a process asks of itself is told by the kernel, not by a file.
    paths.retain(|path| !path.starts_with("/proc/self/"));
    paths
}

/// The process that a line says was born.
fn child(line: &str) -> Option<&str> {
    let call = line.strip_prefix("<... ").unwrap_or(line);
    let born = ["clone", "clone3", "fork", "vfork"]
        .iter()
        .any(|name| call.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', ' '])));
    let (_, result) = line.rsplit_once("= ")?;
    (born && result.bytes().all(|byte| byte.is_ascii_digit())).then_some(result)
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
    // What mkstemp and the like put letters behind: at the start of a name, or anywhere in it.
    let start = ["cc", "rustc", "rmeta", "st", "TryCompile-", "a-"];
    let anywhere = ["tmp", "tmp_obj_", "cmTC_"];
    let starts = start.iter().filter(|marker| part.starts_with(**marker));
    starts.chain(&anywhere).fold(part.to_owned(), |name, marker| {
        let Some(from) = name.find(marker).map(|at| at + marker.len()) else { return name };
        let drawn = name[from..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        match drawn {
            5.. => format!("{}*{}", &name[..from], &name[from + drawn..]),
            _ => name,
        }
    })
}
