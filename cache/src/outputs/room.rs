//! Temporary names in a directory, and their removal, also after a death.
//!
//! A process that puts something into a directory makes `.airtight-<id>.lock` there first and
//! locks it; its temporary names are `.airtight-<id>.<number>`. The kernel unlocks the file of a
//! process that dies, so that whoever comes next knows what may be removed.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, Result};
use std::collections::BTreeSet;
use std::rc::Rc;

const PREFIX: &str = ".airtight-";
const LOCK: &str = "lock";

/// Whether a file has a name that a restore gives for a moment. Who lists a directory while others
/// restore into it leaves these out.
pub fn is_temporary(name: &str) -> bool {
    owner(name).is_some()
}

/// The id in a temporary name.
fn owner(name: &str) -> Option<&str> {
    let (id, number) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let digits = |text: &str, digit: fn(&u8) -> bool| text.as_bytes().iter().all(digit);
    let hex = id.len() == 16 && digits(id, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let known = number == LOCK || !number.is_empty() && digits(number, u8::is_ascii_digit);
    (hex && known).then_some(id)
}

fn lock_name(id: &str) -> String {
    format!("{PREFIX}{id}.{LOCK}")
}

/// Temporary names in one directory, for as long as this lives. What still has one of them at the
/// end is removed.
#[derive(Debug)]
pub(super) struct Room {
    dir: Rc<OwnedFd>,
    id: String,
    next: u32,
    live: BTreeSet<String>,
    /// Locked as long as the names are ours.
    _lock: OwnedFd,
}

impl Room {
    /// Begins, and removes what dead processes left in the directory.
    pub(super) fn open(dir: &Rc<OwnedFd>) -> Result<Room> {
        sweep(dir.as_fd());
        loop {
            let id = format!("{:016x}", fastrand::u64(..));
            let name = lock_name(&id);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let lock = match rustix::fs::openat(dir, &name, flags | OFlags::CLOEXEC, OWN_FILE) {
                Err(Errno::EXIST) => continue,
                lock => lock?,
            };
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                // Somebody took it for that of a dead process, before it was locked.
                Err(Errno::WOULDBLOCK) => continue,
                result => result?,
            }
            let ours = rustix::fs::fstat(&lock)?;
            match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {}
                Ok(_) | Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            }
            let dir = Rc::clone(dir);
            return Ok(Room { dir, id, next: 0, live: BTreeSet::new(), _lock: lock });
        }
    }

    /// A name that nobody has.
    pub(super) fn name(&mut self) -> String {
        let name = format!("{PREFIX}{}.{}", self.id, self.next);
        self.next += 1;
        self.live.insert(name.clone());
        name
    }

    /// What had this name has another one now.
    pub(super) fn release(&mut self, name: &str) {
        self.live.remove(name);
    }

    /// Something has this name again.
    pub(super) fn take(&mut self, name: &str) {
        self.live.insert(name.to_owned());
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut clean = true;
        for name in &self.live {
            clean &= matches!(remove(self.dir.as_fd(), name, 0), Ok(()) | Err(Errno::NOENT));
        }
        if clean {
            // If this fails, the next process removes it.
            let _ = rustix::fs::unlinkat(&self.dir, lock_name(&self.id), AtFlags::empty());
        }
    }
}

/// The mode of files until they have their own.
pub(super) const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Removes what dead processes left. What fails is left for the next time.
fn sweep(dir: BorrowedFd<'_>) {
    let Ok(entries) = list(dir) else { return };
    let mut left: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in entries {
        let Ok(entry) = entry else { return };
        if let Ok(name) = entry.file_name().to_str()
            && let Some(id) = owner(name)
        {
            left.insert((id.to_owned(), name.to_owned()));
        }
    }
    let ids: BTreeSet<&String> = left.iter().map(|(id, _)| id).collect();
    for id in ids {
        let lock = lock_name(id);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let _held = match rustix::fs::openat(dir, &lock, flags, Mode::empty()) {
            Ok(file) => match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Some(file),
                Err(_) => continue,
            },
            // It is made before and removed after all others, so its process has ended.
            Err(Errno::NOENT) => None,
            Err(_) => continue,
        };
        let mut clean = true;
        for (_, name) in left.iter().filter(|(owner, name)| owner == id && *name != lock) {
            clean &= matches!(remove(dir, name, 0), Ok(()) | Err(Errno::NOENT));
        }
        if clean {
            let _ = rustix::fs::unlinkat(dir, &lock, AtFlags::empty());
        }
    }
}

/// What is in the directory; `dir` may be a handle without the right to read.
fn list(dir: BorrowedFd<'_>) -> Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Dir::new(rustix::fs::openat(dir, ".", flags, Mode::empty())?)
}

/// How many levels are removed, so that neither stack nor descriptors run out.
const MAX_LEVELS: usize = 500;

/// Removes a file, a link, or a directory with everything in it. No link is followed.
fn remove(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy, level: usize) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        // Linux says the first of a directory, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) if level < MAX_LEVELS => {}
        result => return result,
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&dir)?;
    if stat.st_mode & 0o700 != 0o700 {
        // A handle of this kind can't be changed itself, but the name that /proc has for it can.
        use std::os::fd::AsRawFd;
        rustix::fs::chmod(format!("/proc/self/fd/{}", dir.as_raw_fd()), Mode::RWXU)?;
    }
    for entry in list(dir.as_fd())? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            remove(dir.as_fd(), entry.file_name(), level + 1)?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}
