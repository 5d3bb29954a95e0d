//! The private temporary directory of an action.

use crate::error::Error;
use airtight_recording::Digest;
use nix::unistd::Uid;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// An empty directory, removed when this is dropped.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the directory for the action called `name` in `workspace`. Its name is the same in
    /// every run, because some tools write the name of their temporary files into what they make.
    ///
    /// # Errors
    /// When it can't be made, or someone else owns the directory above it.
    pub(crate) fn create(workspace: &[u8], name: &str) -> Result<Scratch, Error> {
        let path = path(workspace, name)?;
        let make = || -> io::Result<()> {
            make_private(path.parent().unwrap_or(&path))?;
            // What a killed run left.
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => DirBuilder::new().mode(0o700).create(&path),
            }
        };
        make().map_err(Error::file(&path, "can't make a temporary directory"))?;
        Ok(Scratch { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The name of the directory of the action called `name` in `workspace`.
///
/// # Errors
/// When the directory for temporary files can't be found.
pub(crate) fn path(workspace: &[u8], name: &str) -> Result<PathBuf, Error> {
    let base = std::env::temp_dir();
    let base =
        fs::canonicalize(&base).map_err(Error::file(&base, "can't use it for temporary files"))?;
    let digest = Digest::of(&[workspace, b"\0", name.as_bytes()].concat()).to_string();
    Ok(base.join(format!("airtight-{}", Uid::effective())).join(&digest[..16]))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If something is left, the next run of the action removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A directory that is ours alone: /tmp belongs to everybody, and its names can be guessed.
fn make_private(base: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(base) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(base)?;
    let ours = metadata.is_dir()
        && metadata.uid() == Uid::effective().as_raw()
        && metadata.mode() & 0o077 == 0;
    if ours {
        return Ok(());
    }
    let what = format!("{} belongs to someone else or is open to others", base.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}
