//! The private temporary directory of an action.

use crate::error::Error;
use airtight_policy::Declaration;
use airtight_recording::Digest;
use nix::unistd::Uid;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// An empty directory, removed when this is dropped.
pub(crate) struct Scratch {
    path: PathBuf,
    /// Locked as long as the directory is ours. The kernel unlocks it when we are killed.
    _lock: File,
}

impl Scratch {
    /// Makes the directory of an action. Its name is the same in every run, because some tools
    /// write the names of their temporary files into what they make; only when the same action
    /// is running already, the second one gets another name.
    ///
    /// # Errors
    /// When it can't be made, or someone else owns the directory above it.
    pub(crate) fn create(declaration: &Declaration, argv: &[OsString]) -> Result<Scratch, Error> {
        let path = path(declaration, argv)?;
        let make = || -> io::Result<Scratch> {
            make_private(path.parent().unwrap_or(&path))?;
            let mut number = 0;
            loop {
                let path = match number {
                    0 => path.clone(),
                    number => path.with_extension(number.to_string()),
                };
                match claim(path)? {
                    Claim::Made(scratch) => return Ok(scratch),
                    Claim::Busy => number += 1,
                    Claim::Vanished => {}
                }
            }
        };
        make().map_err(Error::file(&path, "can't make a temporary directory"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If something is left, the next run of the action removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The name of the directory of an action.
///
/// # Errors
/// When the directory for temporary files can't be found.
pub(crate) fn path(declaration: &Declaration, argv: &[OsString]) -> Result<PathBuf, Error> {
    let mut action = [declaration.workspace.as_slice(), &declaration.cwd].join(&0);
    for word in argv {
        action.push(0);
        action.extend_from_slice(word.as_bytes());
    }
    let digest = Digest::of(&action).to_string();
    Ok(place()?.join(&digest[..16]))
}

/// Where all of them are.
fn place() -> Result<PathBuf, Error> {
    let base = std::env::temp_dir();
    let base =
        fs::canonicalize(&base).map_err(Error::file(&base, "can't use it for temporary files"))?;
    Ok(base.join(format!("airtight-{}", Uid::effective())))
}

/// A directory for temporary files that is ours alone.
///
/// # Errors
/// When it can't be made, or someone else owns it.
pub(crate) fn base() -> Result<PathBuf, Error> {
    let place = place()?;
    make_private(&place).map_err(Error::file(&place, "can't use it for temporary files"))?;
    Ok(place)
}

/// What came of an attempt to have a directory for oneself.
enum Claim {
    Made(Scratch),
    /// Another run has it.
    Busy,
    /// Another run that had it has just removed it.
    Vanished,
}

fn claim(path: PathBuf) -> io::Result<Claim> {
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let lock = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Vanished),
        lock => lock?,
    };
    match lock.try_lock() {
        Err(fs::TryLockError::WouldBlock) => return Ok(Claim::Busy),
        Err(fs::TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let same = fs::symlink_metadata(&path).is_ok_and(|now| {
        lock.metadata().is_ok_and(|then| (now.dev(), now.ino()) == (then.dev(), then.ino()))
    });
    if !same {
        return Ok(Claim::Vanished);
    }
    // What a killed run left.
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(Claim::Made(Scratch { path, _lock: lock }))
}

/// A directory that is ours alone: /tmp belongs to everybody, and its names can be guessed.
pub(crate) fn make_private(base: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_every_time_and_never_shared() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let declaration = Declaration {
            workspace: dir.path().as_os_str().as_bytes().to_vec(),
            ..Declaration::default()
        };
        let argv = ["cc".into()];
        let first = Scratch::create(&declaration, &argv)?;
        let name = first.path().to_owned();
        fs::write(name.join("mine"), "")?;
        // While the first runs, nobody takes its directory away.
        let second = Scratch::create(&declaration, &argv)?;
        assert_ne!(second.path(), name);
        assert!(name.join("mine").exists());
        drop(second);
        drop(first);
        assert!(!name.exists());
        // What a killed run left is gone.
        fs::create_dir_all(name.join("left/over"))?;
        let third = Scratch::create(&declaration, &argv)?;
        assert_eq!(third.path(), name);
        assert_eq!(fs::read_dir(&name)?.count(), 0);
        Ok(())
    }
}
