//! Files below a shared directory, reached step by step without following a symbolic link.

use crate::digest::Hasher;
use crate::remote::RemoteError;
use airtight_recording::Digest;
use bytes::Bytes;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Temporary files of this age belong to nobody any more, by the clock of the share, in seconds.
const ABANDONED: i64 = 24 * 60 * 60;

/// As many temporary files are looked at in one sweep.
const SWEEP: usize = 1000;

const TEMPORARY: &str = "tmp";

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bucket {
    Entries,
    Blobs,
}

impl Bucket {
    fn name(self) -> &'static str {
        match self {
            Bucket::Entries => "ac",
            Bucket::Blobs => "cas",
        }
    }
}

/// The files of a shared directory. Every method may block.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    swept: AtomicBool,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Files {
        Files { root, swept: AtomicBool::new(false) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the file of that name; none when it is missing.
    pub(super) fn read(&self, bucket: Bucket, name: &str) -> Result<Option<Reading>, RemoteError> {
        let Some(shard) = self.shard(bucket, name, false)? else { return Ok(None) };
        let path = self.path(bucket, name);
        // Without waiting, should somebody have put a pipe there.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Some(file) = open(&shard, name, flags, &path)? else { return Ok(None) };
        let stat = fstat(&file).map_err(|errno| failed(&path, errno))?;
        let size = regular(&stat).ok_or_else(|| wrong(&path, "not a regular file"))?;
        Ok(Some(Reading { file: File::from(file), size, left: size, path }))
    }

    /// The size of the file of that name; none when it is missing or not a regular file.
    pub(super) fn size(&self, bucket: Bucket, name: &str) -> Result<Option<u64>, RemoteError> {
        let Some(shard) = self.shard(bucket, name, false)? else { return Ok(None) };
        match fstatat(&shard, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(regular(&stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(failed(&self.path(bucket, name), errno)),
        }
    }

    /// Begins to write a file of that name.
    pub(super) fn write(&self, bucket: Bucket, name: &str) -> Result<Writing, RemoteError> {
        let root = self.open_root()?;
        let room = self.root.join(TEMPORARY);
        let directory = subdirectory(&root, TEMPORARY, true, &room)?;
        let directory = directory.ok_or_else(|| failed(&room, Errno::ENOENT))?;
        let temporary = format!("{name}.{:016x}", fastrand::u64(..));
        let path = room.join(&temporary);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let file = open(&directory, &temporary, flags, &path)?;
        let file = File::from(file.ok_or_else(|| failed(&path, Errno::ENOENT))?);
        let writing = Writing {
            directory,
            temporary: Some(temporary),
            file,
            hasher: Hasher::new(),
            bucket,
            name: name.to_owned(),
            path,
        };
        if !self.swept.swap(true, Ordering::Relaxed) {
            writing.sweep();
        }
        Ok(writing)
    }

    fn path(&self, bucket: Bucket, name: &str) -> PathBuf {
        self.root.join(bucket.name()).join(shard_of(name)).join(name)
    }

    fn open_root(&self) -> Result<OwnedFd, RemoteError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(&self.root, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR => RemoteError::Refused(format!(
                "{}: no such directory; it must be there and be mounted",
                self.root.display()
            )),
            errno => failed(&self.root, errno),
        })
    }

    /// The directory in which a file of that name is; none when it is missing and not to be made.
    fn shard(
        &self,
        bucket: Bucket,
        name: &str,
        make: bool,
    ) -> Result<Option<OwnedFd>, RemoteError> {
        let root = self.open_root()?;
        let path = self.root.join(bucket.name());
        let Some(bucket) = subdirectory(&root, bucket.name(), make, &path)? else {
            return Ok(None);
        };
        let shard = shard_of(name);
        subdirectory(&bucket, shard, make, &path.join(shard))
    }
}

/// A file that is read. It yields no more than its size was when it was opened.
#[derive(Debug)]
pub(super) struct Reading {
    file: File,
    size: u64,
    left: u64,
    path: PathBuf,
}

impl Reading {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes; none when all are read.
    pub(super) fn next(&mut self, most: usize) -> Result<Bytes, RemoteError> {
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        let mut bytes = Vec::with_capacity(most);
        let read = (&self.file).take(most as u64).read_to_end(&mut bytes);
        let read = read.map_err(|error| unreadable(&self.path, &error))?;
        if read < most {
            return Err(self.wrong("it has shrunk"));
        }
        self.left -= read as u64;
        Ok(bytes.into())
    }

    pub(super) fn wrong(&self, what: &str) -> RemoteError {
        wrong(&self.path, what)
    }
}

/// A file that is written. It has no name of its own before the end, and is removed when it is
/// dropped before.
#[derive(Debug)]
pub(super) struct Writing {
    directory: OwnedFd,
    /// Its name meanwhile.
    temporary: Option<String>,
    file: File,
    hasher: Hasher,
    bucket: Bucket,
    name: String,
    path: PathBuf,
}

impl Writing {
    pub(super) fn written(&self) -> u64 {
        self.hasher.size()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.file.write_all(bytes).map_err(|error| unreadable(&self.path, &error))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Gives the file its name, in place of what has it, when `digest` is that of what was written.
    pub(super) fn finish(mut self, files: &Files, digest: &Digest) -> Result<(), RemoteError> {
        if self.hasher.clone().finish() != *digest {
            return Err(RemoteError::Local(format!("the content of blob {digest} has changed")));
        }
        self.file.sync_all().map_err(|error| unreadable(&self.path, &error))?;
        let path = files.path(self.bucket, &self.name);
        let shard = files.shard(self.bucket, &self.name, true)?;
        let shard = shard.ok_or_else(|| failed(&path, Errno::ENOENT))?;
        if let Some(temporary) = &self.temporary {
            renameat(&self.directory, temporary.as_str(), &shard, self.name.as_str())
                .map_err(|errno| failed(&path, errno))?;
        }
        self.temporary = None;
        Ok(())
    }

    /// Removes what writers left behind that died. The age is told by the share's own clock.
    fn sweep(&self) {
        let Ok(now) = fstat(&self.file).map(|stat| stat.st_mtime) else { return };
        let Ok(copy) = self.directory.try_clone() else { return };
        let Ok(mut listing) = Dir::from_fd(copy) else { return };
        for entry in listing.iter().flatten().take(SWEEP) {
            let name = entry.file_name();
            let stat = fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| regular(&stat).is_some() && now - stat.st_mtime > ABANDONED) {
                // Somebody else may have been first.
                let _ = unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir);
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // A later sweep removes it when this fails.
            let _ = unlinkat(&self.directory, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

fn shard_of(name: &str) -> &str {
    name.get(..2).unwrap_or(name)
}

/// The size of a regular file.
fn regular(stat: &FileStat) -> Option<u64> {
    let file = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    u64::try_from(stat.st_size).ok().filter(|_| file)
}

/// Opens what has this name, unless that is a symbolic link; none when it is missing.
fn open(
    directory: impl AsFd,
    name: &str,
    flags: OFlag,
    path: &Path,
) -> Result<Option<OwnedFd>, RemoteError> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(directory, name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(failed(path, errno)),
    }
}

fn subdirectory(
    parent: impl AsFd,
    name: &str,
    make: bool,
    path: &Path,
) -> Result<Option<OwnedFd>, RemoteError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let found = open(&parent, name, flags, path)?;
    if found.is_some() || !make {
        return Ok(found);
    }
    match mkdirat(&parent, name, Mode::from_bits_truncate(0o777)) {
        Ok(()) | Err(Errno::EEXIST) => open(&parent, name, flags, path),
        Err(errno) => Err(failed(path, errno)),
    }
}

fn wrong(path: &Path, what: &str) -> RemoteError {
    RemoteError::Wrong(format!("{}: {what}", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> RemoteError {
    failed(path, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
}

/// What an error of the file system says of the remote.
fn failed(path: &Path, errno: Errno) -> RemoteError {
    let what = format!("{}: {}", path.display(), errno.desc());
    match errno {
        Errno::EACCES | Errno::EPERM => RemoteError::Denied(what),
        Errno::EROFS => RemoteError::Refused(what),
        Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => RemoteError::Full(what),
        // A link or a file where a directory belongs, or the other way round.
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR => RemoteError::Wrong(what),
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM => RemoteError::Local(what),
        _ => RemoteError::Transient { what, retry_after: None },
    }
}
