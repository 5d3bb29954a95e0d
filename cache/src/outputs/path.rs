//! Which paths, names and link texts are taken, from the command line and from a cache alike.

use super::room;
use std::path::Path;

/// The longest link text that is taken, in bytes: `PATH_MAX` without its NUL.
const MAX_TARGET: usize = 4095;
/// The longest name that is taken, in bytes: `NAME_MAX`.
const MAX_NAME: usize = 255;

/// What is wrong with one name in a directory, if anything.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("an empty name"),
        "." | ".." => Err("a name that is `.` or `..`"),
        _ if name.contains(['/', '\0']) => Err("a name with `/` or NUL"),
        _ if name.len() > MAX_NAME => Err("a name of more than 255 bytes"),
        _ if room::is_temporary(name) => Err("a name that Airtight's own temporary files have"),
        _ => Ok(()),
    }
}

/// What is wrong with the path of an output relative to the workspace, if anything.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("an absolute path");
    }
    path.split('/').try_for_each(check_name)
}

/// What is wrong with the text of a link, if anything. `depth` is how many directories below the
/// workspace the link stands, as the kernel reached it.
///
/// `..` is taken at the beginning only: behind a name, which may be a link to elsewhere, what it
/// leads to can't be told from the text.
pub(super) fn check_target(target: &[u8], depth: usize) -> Result<(), &'static str> {
    if target.is_empty() || target.contains(&0) || target.len() > MAX_TARGET {
        return Err("a link text that no file system takes");
    }
    if target[0] == b'/' {
        return Err("a link to an absolute path");
    }
    let mut up = 0;
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return Err("a link with `..` behind a name"),
            b".." => up += 1,
            _ => named = true,
        }
    }
    if up > depth { Err("a link that leads out of the workspace") } else { Ok(()) }
}

/// Two of `paths` of which the second is the first or below it, if there are such.
pub(super) fn overlapping<'a>(paths: impl Iterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    // Sorted by component, what is below a path comes right after it.
    let mut paths: Vec<&str> = paths.collect();
    paths.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
    let pair = paths.windows(2).find(|pair| Path::new(pair[1]).starts_with(pair[0]))?;
    Some((pair[0], pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for good in ["a", "a/b.o", ".hidden", "...", "a b", "ä", ".airtight-x", "x.airtight-"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        let own = [".airtight-0123456789abcdef.lock", "d/.airtight-0123456789abcdef.12"];
        let bad = ["", "/", "/a", "a/", "a//b", ".", "..", "a/.", "./a", "a/../b", "a\0", &long];
        for bad in bad.iter().chain(&own) {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_stay_in_the_workspace() {
        for (target, depth) in
            [("a", 0), ("./a/b", 0), ("../a", 1), (".././../a//b/", 2), ("..", 1), (".", 0)]
        {
            assert_eq!(check_target(target.as_bytes(), depth), Ok(()), "{target}");
        }
        let long = "x/".repeat(2048);
        for (target, depth) in [
            ("", 9),
            ("/", 9),
            ("/etc/passwd", 9),
            ("..", 0),
            ("../../a", 1),
            ("a/../b", 9),
            ("a\0b", 9),
            (long.as_str(), 9),
        ] {
            assert!(check_target(target.as_bytes(), depth).is_err(), "{target}");
        }
    }

    #[test]
    fn no_path_is_above_another() {
        let overlapping = |paths: &[&'static str]| overlapping(paths.iter().copied());
        assert_eq!(overlapping(&["a/b", "a-b", "a.b", "ab"]), None);
        assert_eq!(overlapping(&["a/b", "a-b", "a"]), Some(("a", "a/b")));
        assert_eq!(overlapping(&["x", "a", "x"]), Some(("x", "x")));
    }
}
