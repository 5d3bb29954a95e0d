//! Builds outputs from blobs, under whatever name and with whatever mode is asked for.

use super::restore::{RestoreError, RestoreOptions, Restored};
use super::room::OWN_FILE;
use super::tree::Directory;
use crate::digest::{Hasher, digest_of};
use crate::local::{LocalStore, StoreError};
use airtight_recording::Digest;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// Why an output can't be built.
#[derive(Debug)]
pub(super) enum Fault {
    Missing(Digest),
    Damaged(Digest),
    Store(StoreError),
    System(io::Error),
}

impl Fault {
    pub(super) fn at(self, path: &str) -> RestoreError {
        match self {
            Fault::Missing(digest) => RestoreError::Missing(digest),
            Fault::Damaged(digest) => RestoreError::Damaged(digest),
            Fault::Store(error) => RestoreError::Store(error),
            Fault::System(source) => {
                RestoreError::System { path: path.to_owned(), what: "can't restore", source }
            }
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::System(error)
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault::System(errno.into())
    }
}

pub(super) fn open_blob(store: &LocalStore, digest: &Digest) -> Result<File, Fault> {
    match store.open_blob(digest) {
        Ok(file) => file.ok_or(Fault::Missing(*digest)),
        Err(error) if error.is_damage() => Err(Fault::Damaged(*digest)),
        Err(error) => Err(Fault::Store(error)),
    }
}

/// How many bytes are copied at once.
const PART: usize = 128 << 10;

/// Builds outputs under the names it is given.
pub(super) struct Builder<'a> {
    store: &'a LocalStore,
    options: RestoreOptions,
    restored: Restored,
    buffer: Vec<u8>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(store: &'a LocalStore, options: RestoreOptions) -> Builder<'a> {
        Builder { store, options, restored: Restored::default(), buffer: Vec::new() }
    }

    /// What was built.
    pub(super) fn restored(&self) -> Restored {
        self.restored
    }

    pub(super) fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        digest: &Digest,
        mode: u32,
    ) -> Result<(), Fault> {
        let mut blob = open_blob(self.store, digest)?;
        let mut mode = self.mode(mode, &[0o666, 0o777]);
        if self.options.hard_links {
            mode &= !0o222;
        }
        let found = if self.options.hard_links && link(&blob, mode, dir, name) {
            self.restored.linked += 1;
            digest_of((&mut blob).take(digest.size().saturating_add(1)))?
        } else {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, OWN_FILE)?;
            let mut file = File::from(file);
            let found = if rustix::fs::ioctl_ficlone(&file, &blob).is_ok() {
                self.restored.cloned += 1;
                digest_of((&mut file).take(digest.size().saturating_add(1)))?
            } else {
                self.copy(&mut blob, &mut file, digest.size())?
            };
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            found
        };
        if found != *digest {
            self.store.discard_blob(digest);
            return Err(Fault::Damaged(*digest));
        }
        self.restored.files += 1;
        self.restored.bytes += digest.size();
        Ok(())
    }

    /// Copies at most one byte more than `size`, and says what it has copied.
    fn copy(&mut self, from: &mut File, to: &mut File, size: u64) -> io::Result<Digest> {
        // Most files are small, and clearing a large buffer takes longer than they do.
        let part = usize::try_from(size.saturating_add(1)).map_or(PART, |size| size.min(PART));
        self.buffer.resize(part.max(self.buffer.len()), 0);
        let mut from = from.take(size.saturating_add(1));
        let mut hasher = Hasher::new();
        loop {
            match from.read(&mut self.buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(read) => {
                    hasher.update(&self.buffer[..read]);
                    to.write_all(&self.buffer[..read])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn link(&self, dir: BorrowedFd<'_>, name: &str, target: &str) -> Result<(), Fault> {
        Ok(rustix::fs::symlinkat(target, dir, name)?)
    }

    pub(super) fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &str,
        directory: &Directory,
    ) -> Result<(), Fault> {
        rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        for (name, file) in &directory.files {
            self.file(dir.as_fd(), name, &file.digest, file.mode)?;
        }
        for (name, target) in &directory.links {
            self.link(dir.as_fd(), name, target)?;
        }
        for (name, child) in &directory.directories {
            self.directory(dir.as_fd(), name, child)?;
        }
        // Last, for it may forbid to write. The group id that it inherits is not ours to take.
        let inherited = rustix::fs::fstat(&dir)?.st_mode & 0o2000;
        let mode = self.mode(directory.mode, &[0o777]) | inherited;
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
        Ok(())
    }

    /// The mode that the output gets here: `plain` are those that programs ask for, and of which
    /// the umask takes bits away.
    fn mode(&self, mode: u32, plain: &[u32]) -> u32 {
        let Some(theirs) = self.options.producer_umask else { return mode };
        let ours = self.options.umask;
        let asked = plain.iter().find(|asked| **asked & !theirs == mode);
        asked.map_or(mode, |asked| asked & !ours)
    }
}

/// Makes a hard link to a blob, if that can have this mode.
fn link(blob: &File, mode: u32, dir: BorrowedFd<'_>, name: &str) -> bool {
    let same = rustix::fs::fstat(blob).is_ok_and(|stat| stat.st_mode & 0o7777 == 0o444);
    if !same || mode & 0o111 != 0 {
        return false;
    }
    let blob = format!("/proc/self/fd/{}", blob.as_raw_fd());
    let follow = AtFlags::SYMLINK_FOLLOW;
    if rustix::fs::linkat(rustix::fs::CWD, blob, dir, name, follow).is_err() {
        return false;
    }
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let fresh = rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    // Without a new time it would look out of date.
    fresh || rustix::fs::unlinkat(dir, name, AtFlags::empty()).is_err()
}
