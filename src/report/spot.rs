//! Where a finding stands, as machines want it: a file of the workspace and a line.

use super::Report;
use airtight_policy::{Finding, Place};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::borrow::Cow;

/// What stands for itself in a URI (RFC 3986, unreserved), and the slash.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A place in a file. Line and column count from 1; 0 means "not known".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot<'a> {
    /// Relative to the workspace if it lies there, else absolute.
    pub(super) path: Cow<'a, [u8]>,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl<'a> Spot<'a> {
    /// A path by its bytes.
    pub(super) fn of(path: &'a [u8], workspace: &[u8]) -> Spot<'a> {
        let below = path.strip_prefix(workspace).and_then(|rest| rest.strip_prefix(b"/"));
        // A name is no way out of the workspace, and `./a` is `a` to those that compare texts.
        let mut path = below.unwrap_or(path);
        while let Some(rest) = path.strip_prefix(b"./") {
            path = rest;
        }
        Spot { path: Cow::Borrowed(path), line: 0, column: 0 }
    }

    /// A place as people know it: relative names are relative to the workspace.
    pub(super) fn at(place: &'a Place, workspace: &[u8]) -> Spot<'a> {
        let Place { line, column, .. } = *place;
        Spot { line, column, ..Spot::of(place.file.as_bytes(), workspace) }
    }

    /// Whether it lies in the workspace.
    pub(super) fn is_inside(&self) -> bool {
        !self.path.starts_with(b"/")
    }

    /// The path, for people.
    pub(super) fn name(&self) -> String {
        super::words::safe(&String::from_utf8_lossy(&self.path))
    }

    /// A reference relative to the workspace, or a `file:` URI of what lies elsewhere.
    pub(super) fn uri(&self) -> String {
        uri(&self.path)
    }
}

/// A path as a URI; every byte that is no plain character is written as `%XX`, so that names that
/// are not UTF-8 keep their bytes.
pub(super) fn uri(path: &[u8]) -> String {
    let scheme = if path.starts_with(b"/") { "file://" } else { "" };
    format!("{scheme}{}", percent_encode(path, PLAIN))
}

impl Report<'_> {
    /// Where the line belongs that mends a finding: the declaration of its action.
    pub(super) fn declaration<'f>(&self, finding: &'f Finding) -> Option<Spot<'f>> {
        finding.declared_at.as_ref().map(|place| Spot::at(place, self.workspace))
    }

    /// The file that a finding is about.
    pub(super) fn file<'f>(&self, finding: &'f Finding) -> Option<Spot<'f>> {
        let path = &finding.path.0;
        (!path.is_empty()).then(|| Spot::of(path, self.workspace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        let uri = |path: &[u8]| Spot::of(path, b"/ws").uri();
        assert_eq!(uri(b"/ws/src/a.c"), "src/a.c");
        assert_eq!(uri(b"/wsx/a"), "file:///wsx/a");
        assert_eq!(uri(b"./././a"), "a");
        assert_eq!(uri(b"/ws/a b%\xff\"\n#?:"), "a%20b%25%FF%22%0A%23%3F%3A");
        assert_eq!(uri("/tmp/ä".as_bytes()), "file:///tmp/%C3%A4");
        assert_eq!(Spot::at(&"/ws/Makefile:12".into(), b"/ws").line, 12);
        assert!(Spot::at(&"Makefile:12".into(), b"/ws").is_inside());
        assert_eq!(Spot::of(b"/ws/\x1b\xff", b"/ws").name(), "\\u{1b}\u{fffd}");
    }
}
