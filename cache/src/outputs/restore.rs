//! Puts what an action made back into the workspace.

use super::path::{check_path, check_target, overlapping};
use super::place::{Place, PlaceError, Places};
use super::room::OWN_FILE;
use super::transaction::Transaction;
use super::tree::{self, Directory, MAX_TREE, check_links};
use crate::digest::{Hasher, digest_of};
use crate::local::{LocalStore, StoreError};
use crate::result::ActionResult;
use airtight_recording::Digest;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// How outputs are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Files are hard links into the store where that is possible. Since writing to one would
    /// change the store, all restored files are read-only then, linked or not.
    pub hard_links: bool,
    /// This process's umask.
    pub umask: u32,
    /// The umask under which the outputs were made. A mode that came from that umask alone is
    /// restored as it would come from ours; every other mode exactly.
    pub producer_umask: Option<u32>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many regular files, those in directories included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of the files share their blocks with the store.
    pub cloned: u64,
    /// How many of the files are links into the store.
    pub linked: u64,
}

/// Why nothing was restored. The workspace is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store lacks a blob. To be fetched; then worth another try.
    #[error("the store lacks {0}")]
    Missing(Digest),
    /// A blob in the store was not what its digest says. It is removed: as good as missing.
    #[error("damaged in the store: {0}")]
    Damaged(Digest),
    /// The result can't be trusted: it is damaged, or somebody tries something.
    #[error("{path}: {what}")]
    Untrusted {
        /// The output.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A directory above the output is a link that leads out of the workspace.
    #[error("{path}: leads out of the workspace")]
    Escapes {
        /// The output.
        path: String,
    },
    /// The file system refused.
    #[error("{path}: {what}: {source}")]
    System {
        /// The output, or the workspace.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RestoreError {
    pub(super) fn untrusted(path: &str, what: impl Into<String>) -> RestoreError {
        RestoreError::Untrusted { path: path.to_owned(), what: what.into() }
    }

    fn system(path: &str, what: &'static str) -> impl FnOnce(Errno) -> RestoreError {
        move |errno| RestoreError::System { path: path.to_owned(), what, source: errno.into() }
    }
}

/// Restores the outputs of an action into `workspace`: all of them, or nothing. `outputs` are the
/// paths that the action declares, and `result` must have exactly these.
///
/// Every blob is hashed as it is restored. What stands in the place of an output (a file, a link,
/// a directory) is replaced.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    workspace: &Path,
    result: &ActionResult,
    outputs: &[String],
    store: &LocalStore,
    options: RestoreOptions,
) -> Result<Restored, RestoreError> {
    check_outputs(result, outputs)?;
    let mut directories = Vec::new();
    for output in &result.directories {
        directories.push((output.path.as_str(), read_tree(&output.path, &output.tree, store)?));
    }
    let mut needed: Vec<&Digest> = result.files.iter().map(|file| &file.digest).collect();
    for (_, tree) in &directories {
        let mut files = Vec::new();
        tree::files(tree, &mut files);
        needed.extend(files.iter().map(|file| &file.digest));
    }
    store.hold(needed);
    let root = workspace.display().to_string();
    let places = Places::new(workspace, true).map_err(RestoreError::system(&root, "can't open"))?;
    let mut transaction = Transaction::new(places);
    let mut find = |path: &str| {
        transaction.places().find(path).map_err(|error| match error {
            PlaceError::Escapes => RestoreError::Escapes { path: path.to_owned() },
            PlaceError::System(errno) => {
                RestoreError::system(path, "can't reach its directory")(errno)
            }
        })
    };
    let files = result.files.iter().map(|file| Ok((file, find(&file.path)?)));
    let files = files.collect::<Result<Vec<_>, RestoreError>>()?;
    let links = result.links.iter().map(|link| Ok((link, find(&link.path)?)));
    let links = links.collect::<Result<Vec<_>, RestoreError>>()?;
    let directories = directories.into_iter().map(|(path, tree)| Ok((path, tree, find(path)?)));
    let directories = directories.collect::<Result<Vec<_>, RestoreError>>()?;

    // Links between directories can bring together what is apart by name.
    let places: Vec<String> = (files.iter().map(|(_, place)| place))
        .chain(links.iter().map(|(_, place)| place))
        .chain(directories.iter().map(|(_, _, place)| place))
        .map(Place::path)
        .collect();
    if let Some((above, below)) = overlapping(places.iter().map(String::as_str)) {
        return Err(RestoreError::untrusted(below, format!("is part of the output `{above}`")));
    }
    for (link, place) in &links {
        check_target(link.target.as_bytes(), place.depth())
            .map_err(|what| RestoreError::untrusted(&link.path, what))?;
    }
    for (path, tree, place) in &directories {
        check_links(tree, place.depth() + 1)
            .map_err(|(name, what)| RestoreError::untrusted(&format!("{path}/{name}"), what))?;
    }

    let mut builder = Builder { store, options, restored: Restored::default(), buffer: Vec::new() };
    for (file, place) in &files {
        transaction
            .stage(place, |dir, name| builder.file(dir, name, &file.digest, file.mode))
            .map_err(|fault| fault.at(&file.path))?;
    }
    for (link, place) in &links {
        transaction
            .stage(place, |dir, name| builder.link(dir, name, &link.target))
            .map_err(|fault| fault.at(&link.path))?;
    }
    for (path, tree, place) in &directories {
        transaction
            .stage(place, |dir, name| builder.directory(dir, name, tree))
            .map_err(|fault| fault.at(path))?;
    }
    transaction
        .commit()
        .map_err(|(path, errno)| RestoreError::system(&path, "can't put it into place")(errno))?;
    Ok(builder.restored)
}

/// Checks that the paths of `result` are those of `outputs`, and paths that may be written to.
fn check_outputs(result: &ActionResult, outputs: &[String]) -> Result<(), RestoreError> {
    let files = result.files.iter().map(|output| &output.path);
    let links = result.links.iter().map(|output| &output.path);
    let directories = result.directories.iter().map(|output| &output.path);
    let mut given = BTreeSet::new();
    for path in files.chain(links).chain(directories) {
        check_path(path).map_err(|what| RestoreError::untrusted(path, what))?;
        if !given.insert(path) {
            return Err(RestoreError::untrusted(path, "is there twice"));
        }
    }
    let declared: BTreeSet<&String> = outputs.iter().collect();
    if let Some(path) = given.difference(&declared).next() {
        return Err(RestoreError::untrusted(path, "is not a declared output"));
    }
    if let Some(path) = declared.difference(&given).next() {
        return Err(RestoreError::untrusted(path, "is declared and not in the result"));
    }
    if let Some(file) = result.files.iter().find(|file| file.mode > 0o777) {
        return Err(RestoreError::untrusted(&file.path, format!("has the mode {:o}", file.mode)));
    }
    Ok(())
}

/// Reads and decodes the tree of the output `path`.
pub(super) fn read_tree(
    path: &str,
    digest: &Digest,
    store: &LocalStore,
) -> Result<Directory, RestoreError> {
    if digest.size() > MAX_TREE {
        let what = format!("a tree of {} bytes; the limit is {MAX_TREE}", digest.size());
        return Err(RestoreError::untrusted(path, what));
    }
    let file = open_blob(store, digest).map_err(|fault| fault.at(path))?;
    let mut bytes = Vec::new();
    file.take(digest.size() + 1).read_to_end(&mut bytes).map_err(|source| {
        RestoreError::System { path: path.to_owned(), what: "can't read its tree", source }
    })?;
    if Digest::of(&bytes) != *digest {
        store.discard_blob(digest);
        return Err(RestoreError::Damaged(*digest));
    }
    tree::decode(&bytes).map_err(|what| RestoreError::untrusted(path, what))
}

/// Why an output can't be built.
#[derive(Debug)]
enum Fault {
    Missing(Digest),
    Damaged(Digest),
    Store(StoreError),
    System(io::Error),
}

impl Fault {
    fn at(self, path: &str) -> RestoreError {
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

fn open_blob(store: &LocalStore, digest: &Digest) -> Result<File, Fault> {
    match store.open_blob(digest) {
        Ok(file) => file.ok_or(Fault::Missing(*digest)),
        Err(error) if error.is_damage() => Err(Fault::Damaged(*digest)),
        Err(error) => Err(Fault::Store(error)),
    }
}

/// Builds outputs under the names it is given.
struct Builder<'a> {
    store: &'a LocalStore,
    options: RestoreOptions,
    restored: Restored,
    buffer: Vec<u8>,
}

impl Builder<'_> {
    fn file(
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
            digest_of((&mut blob).take(digest.size() + 1))?
        } else {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let file = rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, OWN_FILE)?;
            let mut file = File::from(file);
            let found = if rustix::fs::ioctl_ficlone(&file, &blob).is_ok() {
                self.restored.cloned += 1;
                digest_of((&mut file).take(digest.size() + 1))?
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
        self.buffer.resize(128 << 10, 0);
        let mut from = from.take(size + 1);
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

    fn link(&self, dir: BorrowedFd<'_>, name: &str, target: &str) -> Result<(), Fault> {
        Ok(rustix::fs::symlinkat(target, dir, name)?)
    }

    fn directory(
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
