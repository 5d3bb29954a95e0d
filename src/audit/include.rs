//! Guesses which line made a program read a file: one that names it, in a file that the same
//! process had read before.

use airtight_recording::{Access, Kind, Recording};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longer files are not searched.
const LARGEST: u64 = 1 << 20;

/// No more files are searched, the last read first.
const MOST: usize = 64;

/// Words that bring in other files, in C, make, Python, JavaScript, shells, TeX and others.
const WORDS: [&[u8]; 6] = [b"include", b"import", b"require", b"source", b"input", b"load"];

/// `FILE:LINE` of the line that names what was accessed, if one is found in the files as they are
/// now.
pub(super) fn hint(recording: &Recording, access: &Access, workspace: &[u8]) -> Option<String> {
    let name = recording.path(access.path).rsplit(|&b| b == b'/').next()?;
    if name.is_empty() || !matches!(access.kind, Kind::Read | Kind::Probe | Kind::Exec) {
        return None;
    }
    let before = |other: &&Access| {
        other.process == access.process
            && other.kind == Kind::Read
            && other.errno == 0
            && other.first < access.first
            && other.path != access.path
    };
    let mut read: Vec<&Access> = recording.accesses.iter().filter(before).collect();
    read.sort_by_key(|other| std::cmp::Reverse(other.first));
    let paths = read.into_iter().map(|other| recording.path(other.path));
    let own = paths.filter(|path| path.starts_with(workspace));
    own.take(MOST).find_map(|path| {
        let mut text = Vec::new();
        let path = Path::new(OsStr::from_bytes(path));
        let plain = path.symlink_metadata().ok()?.is_file();
        File::open(path).ok().filter(|_| plain)?.take(LARGEST).read_to_end(&mut text).ok()?;
        let line = text.split(|&b| b == b'\n').position(|line| names(line, name))?;
        Some(format!("{}:{}", path.display(), line + 1))
    })
}

/// Whether a line brings in a file of this name.
fn names(line: &[u8], name: &[u8]) -> bool {
    let holds = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
    // Not as a part of a longer name.
    let mut from = 0;
    let whole = std::iter::from_fn(|| {
        let at = line[from..].windows(name.len()).position(|window| window == name)? + from;
        from = at + 1;
        Some(at)
    })
    .any(|at| {
        let part =
            |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b));
        !part(at.checked_sub(1).and_then(|before| line.get(before)))
            && !part(line.get(at + name.len()))
    });
    whole && WORDS.iter().any(|word| holds(word))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_line_names_a_file_only_as_a_whole() {
        assert!(names(b"#include \"gen.h\"", b"gen.h"));
        assert!(names(b"#  include <sub/gen.h>", b"gen.h"));
        assert!(names(b"include gen.mk", b"gen.mk"));
        assert!(!names(b"#include \"oxygen.h\"", b"gen.h"));
        assert!(!names(b"#include \"gen.hpp\"", b"gen.h"));
        assert!(names(b"#include \"gen.hpp\" // and gen.h", b"gen.h"));
        assert!(!names(b"/* gen.h */", b"gen.h"));
        assert!(!names(b"", b"gen.h"));
    }
}
