//! Files that are whole or not there.
//!
//! While it is written, an output has no name at all (`O_TMPFILE`): a traced command that lists
//! the directory doesn't see it, and `kill -9` leaves nothing behind.

use crate::error::Error;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::unistd::linkat;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file that appears under its name only when [`Output::commit`] is called.
pub(crate) struct Output {
    file: File,
    target: PathBuf,
    /// The target is a device or pipe: it is written to, never replaced.
    special: bool,
}

impl Output {
    /// Opens a nameless file in the directory of `target`, or of what it links to.
    ///
    /// # Errors
    /// When that directory can't be written.
    pub(crate) fn create(target: &Path) -> Result<Output, Error> {
        let open = || -> io::Result<Output> {
            let special = match fs::metadata(target) {
                Ok(metadata) if metadata.is_dir() => return Err(Errno::EISDIR.into()),
                Ok(metadata) => !metadata.is_file(),
                Err(_) => false,
            };
            if special {
                let file = nameless(&std::env::temp_dir())?;
                return Ok(Output { file, target: target.to_owned(), special });
            }
            let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
            Ok(Output { file: nameless(directory(&target))?, target, special })
        };
        open().map_err(Error::file(target, "can't write"))
    }

    /// The open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// A directory with room for what is to be written.
    pub(crate) fn room(&self) -> PathBuf {
        if self.special { std::env::temp_dir() } else { directory(&self.target).to_owned() }
    }

    /// Gives the file its name, in place of what had that name before.
    ///
    /// # Errors
    /// When it can't be linked or renamed.
    pub(crate) fn commit(self) -> Result<(), Error> {
        let Output { mut file, target, special } = self;
        let name = |file: &mut File| -> io::Result<()> {
            if special {
                file.rewind()?;
                io::copy(file, &mut OpenOptions::new().write(true).open(&target)?)?;
                return Ok(());
            }
            // linkat can't replace a file, rename can.
            let mut builder = tempfile::Builder::new();
            builder.prefix(".airtight-");
            let link = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            let linked = builder.make_in(directory(&target), |path| {
                Ok(linkat(AT_FDCWD, &link, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?)
            });
            match linked {
                Ok(linked) => linked.into_temp_path().persist(&target)?,
                // The file system knows no O_TMPFILE: the file was unlinked, and stays so.
                Err(_) => {
                    builder.permissions(PermissionsExt::from_mode(0o666));
                    let mut copy = builder.tempfile_in(directory(&target))?;
                    file.rewind()?;
                    io::copy(file, &mut copy)?;
                    copy.flush()?;
                    copy.into_temp_path().persist(&target)?;
                }
            }
            Ok(())
        };
        name(&mut file).map_err(Error::file(&target, "can't write"))
    }
}

/// Writes a file anew in the place of the old one, with its permissions.
///
/// # Errors
/// When it can't be written, or nobody may write it.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), Error> {
    let permissions = fs::metadata(path).map_err(Error::file(path, "can't read"))?.permissions();
    if permissions.readonly() {
        return Err(Error::file(path, "can't write")(io::Error::other("it is read-only")));
    }
    let mut output = Output::create(path)?;
    let file = output.file();
    file.write_all(text)
        .and_then(|()| file.set_permissions(permissions))
        .map_err(Error::file(path, "can't write"))?;
    output.commit()
}

/// A file without a name in `directory`.
///
/// # Errors
/// When the directory can't be written.
pub(crate) fn nameless(directory: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o666)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .open(directory)
        .or_else(|_| tempfile::tempfile_in(directory))
}

/// The directory of a file.
pub(crate) fn directory(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_and_only_when_committed() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let target = dir.path().join("out");
        std::fs::write(&target, "old")?;
        let mut output = Output::create(&target)?;
        output.file().write_all(b"new")?;
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
        assert_eq!(std::fs::read(&target)?, b"old");
        output.commit()?;
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
        assert_eq!(std::fs::read(&target)?, b"new");
        Ok(())
    }

    #[test]
    fn links_and_pipes_stay_what_they_are() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| dir.path().join(name));
        fs::write(&file, "old")?;
        std::os::unix::fs::symlink("file", &link)?;
        let mut output = Output::create(&link)?;
        output.file().write_all(b"new")?;
        output.commit()?;
        assert!(link.symlink_metadata()?.is_symlink());
        assert_eq!(fs::read(&file)?, b"new");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
        // Open both ways, so that nobody waits.
        let mut reader = OpenOptions::new().read(true).write(true).open(&pipe)?;
        let mut output = Output::create(&pipe)?;
        output.file().write_all(b"data")?;
        output.commit()?;
        let mut data = [0; 4];
        io::Read::read_exact(&mut reader, &mut data)?;
        assert_eq!(&data, b"data");
        assert!(!pipe.symlink_metadata()?.is_file());
        assert!(Output::create(dir.path()).is_err());
        Ok(())
    }
}
