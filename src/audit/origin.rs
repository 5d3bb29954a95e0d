//! Which files of audits this user wrote here.
//!
//! To judge an audit anew, the build's own tools are asked as the file says that they were run: which
//! program, where, with which arguments. So a file from elsewhere, the artifact of a CI job say, could
//! have anything executed. What `airtight audit` wrote for this user is remembered by its digest; for
//! any other file no tool is run, unless `--trust` says so.

use airtight_recording::Digest;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many files are remembered; of more, the oldest are forgotten.
const MOST: usize = 1000;

/// Remembers the file at `path` as written by this user here.
///
/// # Errors
/// When it can't be read, or nothing can be kept in the user's state directory.
pub(crate) fn remember(path: &Path) -> io::Result<()> {
    let Some(directory) = directory() else {
        return Err(io::Error::other("neither HOME nor XDG_STATE_HOME is set"));
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    File::create(directory.join(name(path)?))?;
    forget_oldest(&directory)
}

/// Whether the file at `path` was written by this user here.
pub(crate) fn is_ours(path: &Path) -> bool {
    match (directory(), name(path)) {
        (Some(directory), Ok(name)) => directory.join(name).is_file(),
        _ => false,
    }
}

/// `airtight/audits` in `$XDG_STATE_HOME` or `~/.local/state` (XDG Base Directory Specification).
fn directory() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME");
    let state = state.or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("airtight/audits"))
}

/// What the content of a file is called there.
fn name(path: &Path) -> io::Result<String> {
    Ok(Digest::of(&fs::read(path)?).to_string().replace('/', "-"))
}

fn forget_oldest(directory: &Path) -> io::Result<()> {
    let mut known: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        known.push((entry.metadata()?.modified()?, entry.path()));
    }
    known.sort_unstable();
    for (_, path) in known.iter().take(known.len().saturating_sub(MOST)) {
        // Another process may be at it too.
        let _ = fs::remove_file(path);
    }
    Ok(())
}
