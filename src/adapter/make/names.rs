//! From names in a makefile to absolute paths.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Makes names absolute, as the kernel would from one directory.
pub(super) struct Resolver {
    directory: PathBuf,
    /// Directories that were looked up.
    known: RefCell<HashMap<PathBuf, PathBuf>>,
}

impl Resolver {
    /// For names that are relative to `directory`, which is absolute.
    pub(super) fn new(directory: &Path) -> Resolver {
        Resolver { directory: real(directory), known: RefCell::default() }
    }

    /// The directory, without links.
    pub(super) fn directory(&self) -> &[u8] {
        self.directory.as_os_str().as_bytes()
    }

    /// The path of a name. Links are followed but in its last part, since the name of a link is
    /// a name of its own; `..` is what it is on disk.
    pub(super) fn path(&self, name: &[u8]) -> Vec<u8> {
        let whole = self.directory.join(OsStr::from_bytes(name));
        let path = match (whole.file_name(), whole.parent()) {
            (Some(last), Some(parent)) => {
                let mut known = self.known.borrow_mut();
                let parent =
                    known.entry(parent.to_owned()).or_insert_with_key(|parent| real(parent));
                parent.join(last)
            }
            _ => real(&whole),
        };
        path.into_os_string().into_encoded_bytes()
    }
}

/// Without links, `.` and `..`, as far as it exists.
pub(super) fn real(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(last))) => real(parent).join(last),
        // A parent of what does not exist can only be the name before it.
        (Some(parent), Some(Component::ParentDir)) => {
            let mut path = real(parent);
            path.pop();
            path
        }
        (Some(parent), Some(_)) => real(parent),
        _ => path.to_owned(),
    }
}

/// `path` as people know it: relative to the workspace, if it is in there.
pub(super) fn shown(path: &[u8], workspace: &[u8]) -> String {
    let inside = path.strip_prefix(workspace).and_then(|rest| {
        if workspace.ends_with(b"/") { Some(rest) } else { rest.strip_prefix(b"/") }
    });
    String::from_utf8_lossy(inside.unwrap_or(path)).into_owned()
}
