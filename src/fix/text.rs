//! Files that are to be edited: all edits of one file are made together, shown as a unified diff,
//! and written.

use crate::error::Error;
use crate::output;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices, group_diff_ops};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files that people write are smaller.
const LARGEST: u64 = 16 << 20;
/// Lines around a change in a diff.
const AROUND: usize = 3;

/// One file, and what is to become of it.
#[derive(Debug)]
pub(crate) struct Text {
    /// Its name within the workspace.
    name: Vec<u8>,
    /// As it is.
    old: Vec<u8>,
    /// What is put in the place of what.
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl Text {
    /// What is in it now.
    pub(crate) fn old(&self) -> &[u8] {
        &self.old
    }

    /// How its lines end.
    pub(crate) fn newline(&self) -> &'static [u8] {
        let first = self.old.iter().position(|&byte| byte == b'\n').unwrap_or(0);
        if first > 0 && self.old[first - 1] == b'\r' { b"\r\n" } else { b"\n" }
    }

    /// Puts `new` in the place of `range`. Edits at the same place keep their order; ranges must
    /// not overlap, and what would is left out.
    pub(crate) fn edit(&mut self, range: Range<usize>, new: Vec<u8>) -> bool {
        let overlaps = |(other, _): &(Range<usize>, Vec<u8>)| {
            range.start < other.end && other.start < range.end
        };
        let fits = range.start <= range.end && range.end <= self.old.len();
        let free = fits && !self.edits.iter().any(overlaps);
        if free {
            self.edits.push((range, new));
        }
        free
    }

    /// Puts a whole line behind the line that ends at `at`.
    pub(crate) fn insert_line(&mut self, at: usize, line: &[u8]) {
        let newline = self.newline();
        let new = match at > 0 && self.old[at - 1] != b'\n' {
            // The last line has no end; what is put behind it lacks one too.
            true => [newline, line].concat(),
            false => [line, newline].concat(),
        };
        self.edit(at..at, new);
    }

    /// What it becomes.
    fn edited(&self) -> Vec<u8> {
        let mut edits: Vec<&(Range<usize>, Vec<u8>)> = self.edits.iter().collect();
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut new = Vec::with_capacity(self.old.len() + 256);
        let mut from = 0;
        for (range, text) in edits {
            new.extend_from_slice(&self.old[from..range.start]);
            new.extend_from_slice(text);
            from = range.end;
        }
        new.extend_from_slice(&self.old[from..]);
        new
    }

    /// As a unified diff; empty when nothing changes.
    fn diff(&self) -> Vec<u8> {
        let new = self.edited();
        let lines = |text: &[u8]| -> Vec<Vec<u8>> {
            text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
        };
        let (before, after) = (lines(&self.old), lines(&new));
        let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
        let mut out = Vec::new();
        for hunk in group_diff_ops(ops, AROUND) {
            if out.is_empty() {
                for (sign, side) in [("---", "a"), ("+++", "b")] {
                    out.extend_from_slice(sign.as_bytes());
                    out.push(b' ');
                    out.extend(header(side, &self.name));
                    out.push(b'\n');
                }
            }
            // Of an operation that only inserts, the library may have another place in the old.
            let old = span(whole(hunk.iter().map(DiffOp::old_range)));
            let new = span(whole(hunk.iter().map(DiffOp::new_range)));
            out.extend_from_slice(format!("@@ -{old} +{new} @@\n").as_bytes());
            for op in &hunk {
                let (tag, old, new) = op.as_tag_tuple();
                match tag {
                    DiffTag::Equal => show(&mut out, b' ', &before[old]),
                    _ => {
                        show(&mut out, b'-', &before[old]);
                        show(&mut out, b'+', &after[new]);
                    }
                }
            }
        }
        out
    }
}

/// The range that holds all of `ranges` that are not empty.
fn whole(ranges: impl Iterator<Item = Range<usize>>) -> Range<usize> {
    let join = |a: Range<usize>, b: Range<usize>| match (a.is_empty(), b.is_empty()) {
        (_, true) => a,
        (true, false) => b,
        (false, false) => a.start.min(b.start)..a.end.max(b.end),
    };
    ranges.reduce(join).unwrap_or_default()
}

/// `12,3`, as diff(1) has it: an empty range begins before its line.
fn span(range: Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => (range.start + 1).to_string(),
        length => format!("{},{length}", range.start + 1),
    }
}

fn show(out: &mut Vec<u8>, sign: u8, lines: &[Vec<u8>]) {
    for line in lines {
        out.push(sign);
        out.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

/// A name in the header of a diff: in quotes, as git and patch write it, where it could be
/// misread, and with a tab behind it where it has spaces.
fn header(side: &str, name: &[u8]) -> Vec<u8> {
    let plain = |&byte: &u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if name.iter().all(plain) {
        let tab: &[u8] = if name.contains(&b' ') { b"\t" } else { b"" };
        return [side.as_bytes(), b"/", name, tab].concat();
    }
    let mut out = format!("\"{side}/").into_bytes();
    for &byte in name {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            byte if plain(&byte) => out.push(byte),
            byte => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out.push(b'"');
    out
}

/// The files of one workspace.
#[derive(Debug)]
pub(crate) struct Texts {
    workspace: PathBuf,
    files: BTreeMap<PathBuf, Text>,
}

impl Texts {
    /// No file yet. `workspace` is canonical.
    pub(crate) fn new(workspace: &Path) -> Texts {
        Texts { workspace: workspace.to_owned(), files: BTreeMap::new() }
    }

    /// The real name of a file that may be edited, for [`Texts::get`]. `path` is absolute or
    /// relative to the workspace.
    ///
    /// # Errors
    /// Why it can't be edited.
    pub(crate) fn open(&mut self, path: &Path) -> Result<PathBuf, String> {
        let shown = path.display();
        let path = fs::canonicalize(self.workspace.join(path))
            .map_err(|error| format!("{shown} can't be read: {error}"))?;
        if self.files.contains_key(&path) {
            return Ok(path);
        }
        let name = path
            .strip_prefix(&self.workspace)
            .map_err(|_| format!("{shown} lies outside of the workspace"))?;
        let read = || -> io::Result<(Vec<u8>, bool)> {
            let metadata = fs::metadata(&path)?;
            if !metadata.is_file() {
                return Err(io::Error::other("no regular file"));
            }
            let mut old = Vec::new();
            File::open(&path)?.take(LARGEST + 1).read_to_end(&mut old)?;
            Ok((old, metadata.permissions().readonly()))
        };
        let (old, readonly) = read().map_err(|error| format!("{shown} can't be read: {error}"))?;
        if old.len() as u64 > LARGEST {
            return Err(format!("{shown} is too large"));
        }
        if readonly {
            return Err(format!("{shown} is read-only"));
        }
        let name = name.as_os_str().as_bytes().to_vec();
        self.files.insert(path.clone(), Text { name, old, edits: Vec::new() });
        Ok(path)
    }

    /// A file that was opened.
    pub(crate) fn get(&mut self, path: &Path) -> Option<&mut Text> {
        self.files.get_mut(path)
    }

    /// How many files change.
    pub(crate) fn changed(&self) -> usize {
        self.files.values().filter(|text| !text.edits.is_empty()).count()
    }

    /// All changes as one unified diff, by name of the file.
    pub(crate) fn diff(&self) -> Vec<u8> {
        self.files.values().filter(|text| !text.edits.is_empty()).flat_map(Text::diff).collect()
    }

    /// Writes the files that change, each whole.
    ///
    /// # Errors
    /// When one can't be written, or was changed by somebody since it was read. Those before it
    /// are written then.
    pub(crate) fn write(&self) -> Result<(), Error> {
        for (path, text) in self.files.iter().filter(|(_, text)| !text.edits.is_empty()) {
            let now = fs::read(path).map_err(Error::file(path, "can't read"))?;
            if now != text.old {
                let message = format!("{}: changed meanwhile, and left as it is", path.display());
                return Err(Error::plain(message));
            }
            output::replace(path, &text.edited())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn text(name: &[u8], old: &[u8], edits: &[(Range<usize>, &[u8])]) -> Text {
        let mut text = Text { name: name.to_vec(), old: old.to_vec(), edits: Vec::new() };
        for (range, new) in edits {
            assert!(text.edit(range.clone(), new.to_vec()));
        }
        text
    }

    fn apply(directory: &Path, command: &[&str], diff: &[u8]) {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect(command[0]);
        child.stdin.take().expect("piped").write_all(diff).expect("taken");
        assert!(child.wait().expect("ended").success(), "{}", String::from_utf8_lossy(diff));
    }

    #[track_caller]
    fn takes(name: &[u8], text: &Text) {
        for command in [["patch", "-sp1"].as_slice(), &["git", "apply", "-"]] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join(std::ffi::OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().expect("below")).expect("made");
            fs::write(&path, &text.old).expect("written");
            apply(directory.path(), command, &text.diff());
            assert_eq!(fs::read(&path).expect("there"), text.edited(), "{command:?}");
        }
    }

    #[test]
    fn a_diff_is_as_everybody_writes_it() {
        let old = b"1\n2\n3\n4\n5\n6\n7\n8\n9\nten";
        let text = text(b"dir/Makefile", old, &[(2..3, b"two"), (20..21, b"T"), (4..4, b"new\n")]);
        let expected = "--- a/dir/Makefile\n+++ b/dir/Makefile\n@@ -1,5 +1,6 @@\n 1\n-2\n+two\n\
                        +new\n 3\n 4\n 5\n@@ -7,4 +8,4 @@\n 7\n 8\n 9\n-ten\n\
                        \\ No newline at end of file\n+teT\n\\ No newline at end of file\n";
        assert_eq!(String::from_utf8(text.diff()).expect("text"), expected);
        takes(b"dir/Makefile", &text);
    }

    #[test]
    fn overlapping_edits_are_left_out() {
        let mut text = text(b"f", b"abcdef", &[(1..3, b"x")]);
        assert!(!text.edit(2..4, b"y".to_vec()));
        assert!(!text.edit(5..9, b"y".to_vec()));
        assert!(text.edit(3..3, b"y".to_vec()));
        assert_eq!(text.edited(), b"axydef");
    }

    #[test]
    fn lines_are_put_behind_lines() {
        for (old, expected) in [
            (&b"a\nb\n"[..], &b"a\nb\nnew\n"[..]),
            (b"a\nb", b"a\nb\nnew"),
            (b"a\r\nb\r\n", b"a\r\nb\r\nnew\r\n"),
            (b"", b"new\n"),
        ] {
            let mut text = text(b"f", old, &[]);
            text.insert_line(old.len(), b"new");
            assert_eq!(text.edited(), expected);
        }
    }

    #[test]
    fn patch_and_git_take_diffs_of_odd_files() {
        let names: [&[u8]; 5] =
            [b"a b/c d", b"t\tab", b"qu\"ote\\", "\u{e9}".as_bytes(), b"\xff/new\nline"];
        for name in names {
            for old in [&b"x\n"[..], b"x\ny", b"x\r\ny\r\n", b"a\rb\nc\n", b"\t\n \n"] {
                let end = old.len();
                takes(name, &text(name, old, &[(0..0, b"first\n"), (end..end, b"last")]));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is edited, patch makes of the old what we do.
        #[test]
        fn patch_makes_of_it_what_we_do(
            old in "[ab\n]{0,60}",
            edits in prop::collection::vec((0usize..60, 0usize..9, "[abc\n]{0,6}"), 1..6),
        ) {
            let mut text = text(b"file", old.as_bytes(), &[]);
            for (start, length, new) in edits {
                let start = start.min(old.len());
                text.edit(start..(start + length).min(old.len()), new.into_bytes());
            }
            // An empty file is no file to patch, and no change no diff.
            prop_assume!(!text.edited().is_empty() && !old.is_empty() && text.edited() != text.old);
            takes(b"file", &text);
        }
    }
}
