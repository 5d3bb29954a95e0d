//! The store on this machine: plain files, no server, shared by any number of processes.
//!
//! ```text
//! DIR/                  mode 0700, owned by who uses it
//!   CACHEDIR.TAG        so that backups leave it out
//!   tmp/                files on their way in, locked (flock) while their writer lives
//!   cas-v1/ab/<hash>    blobs, mode 0444, named by the SHA-256 of their content
//!   ac-v1/ab/<hash>     encoded ActionResults in a frame (`frame.rs`), named by the Action's hash
//!   keys-v1/ab/<hash>   what keys were made of, to explain misses, in a frame
//!   size-v1             the ledger of how much there is (`ledger.rs`)
//!   stats-v1            the ledger of what happened (`stats.rs`)
//!   digests-v1          digests of files elsewhere (`file_digests.rs`)
//!   gc.lock             held (flock) by the one process that evicts
//! ```
//!
//! **Writing.** A file gets its name, by a rename, only when it is whole. A writer that is killed
//! leaves at most a file in `tmp/`, which the garbage collection removes once nobody holds its lock.
//!
//! **Power loss.** Nothing wrong can be served, synced or not: whoever reads a blob hashes it, and
//! an entry's frame has a checksum, so what a crash has cut short is a miss. Syncing would only save
//! the results of the last seconds from being lost, and has its price: 0.2 ms for each file on an
//! idle virtual disk, 4 to 14 ms while compilers run beside it, against 0.01 to 0.2 ms without. So
//! files are synced only with [`StoreOptions::durable`], and even then not what comes from a remote
//! ([`LocalStore::incoming`], [`LocalStore::copy_entry`]), which still has it. Directories never
//! are: a lost name is a mere miss. Reading syncs nothing.
//!
//! **Eviction.** The least recently used go first (`gc.rs`, `trim.rs`), and what is used between its choice
//! and its removal stays. A restore first says what it needs ([`LocalStore::hold`]); a file that it
//! has opened stays readable even when it is removed. What is gone nevertheless is a miss.
//!
//! When the format of a bucket changes, its number does, and old buckets are removed once nobody
//! has used them for a while.

mod frame;
mod gc;
mod incoming;
mod ledger;
mod trim;
mod verify;

pub use gc::{GcReport, Usage};
pub use incoming::Incoming;
pub(crate) use ledger::Ledger;
pub use verify::{VerifyEvent, VerifyReport};

use crate::digest::{digest_of, hex};
use crate::remote::MAX_ENTRY;
use airtight_recording::Digest;
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use trim::Added;

const BLOBS: &str = "cas-v1";
const ENTRIES: &str = "ac-v1";
/// What explains misses: nothing depends on it.
const DESCRIPTIONS: &str = "keys-v1";
const TEMPORARY: &str = "tmp";
const SIZE: &str = "size-v1";

/// A use is noted in the file's time of last change, at most this often: a note costs as much as
/// opening the file.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// <https://bford.info/cachedir/>
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # Airtight's store of verified results. It can be deleted at any time.\n";

/// How the store is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// What was made here is on the disk before it gets its name, so that a power loss costs no
    /// results. Without it no less is right, only more is lost. Off by default.
    pub durable: bool,
}

/// The store on this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    options: StoreOptions,
    added: Added,
}

/// The local store can't be used, or something in it is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}{}", path.display(), way_out(source))]
pub struct StoreError {
    /// Which file or directory.
    pub path: PathBuf,
    /// What was tried.
    pub what: &'static str,
    /// What the system said.
    pub source: io::Error,
}

impl StoreError {
    /// Whether something was not what it should be. When that was in the store, it is removed by
    /// now, and counts as a miss.
    pub fn is_damage(&self) -> bool {
        self.source.kind() == io::ErrorKind::InvalidData
    }
}

fn way_out(error: &io::Error) -> &'static str {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => "; make room, or give the store a lower size limit",
        PermissionDenied | ReadOnlyFilesystem => "; choose another directory for the store",
        _ => "",
    }
}

fn damage(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl LocalStore {
    /// Opens the store in `root` with the default options, and makes it when there is none.
    ///
    /// # Errors
    /// As [`LocalStore::open_with`].
    pub fn open(root: &Path) -> Result<LocalStore, StoreError> {
        LocalStore::open_with(root, StoreOptions::default())
    }

    /// Opens the store in `root`, and makes it when there is none. An existing one is only looked
    /// at, so a read-only one can be opened.
    ///
    /// # Errors
    /// When it can't be made or looked at, when another user owns it or when others can write to
    /// it: what comes out of it would be theirs.
    pub fn open_with(root: &Path, options: StoreOptions) -> Result<LocalStore, StoreError> {
        let error = |what| move |source| StoreError { path: root.to_owned(), what, source };
        let absolute = std::path::absolute(root).map_err(error("can't be a directory"))?;
        let about = match fs::metadata(&absolute) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                make_root(&absolute).map_err(error("can't make the store"))?;
                fs::metadata(&absolute)
            }
            about => about,
        };
        let about = about.map_err(error("can't look at the store"))?;
        check_owner(&about).map_err(error("not usable as a store"))?;
        let added = Added::default();
        Ok(LocalStore(Arc::new(Inner { root: absolute, options, added })))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The encoded `ActionResult` under `key`, if there is one. It is what was stored under this
    /// key, byte for byte.
    ///
    /// # Errors
    /// When it is there and can't be read, or is damaged ([`StoreError::is_damage`]).
    pub fn get_entry(&self, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_framed(ENTRIES, key)
    }

    fn read_framed(&self, bucket: &str, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.0.path(bucket, key);
        let read = || {
            let Some((mut file, about)) = open_regular(&path)? else { return Ok(None) };
            let value = read_entry(&mut file, &about, key.hash())?;
            touch(&file, &about);
            Ok(Some(value))
        };
        read().map_err(|source| self.read_error(path.clone(), source))
    }

    /// Stores an encoded `ActionResult` under `key`, in place of what is there. Its blobs must
    /// have been stored before.
    ///
    /// # Errors
    /// When it can't be written; then what was there still is.
    pub fn put_entry(&self, key: &Digest, value: &[u8]) -> Result<(), StoreError> {
        self.write_framed(ENTRIES, key, value, self.0.options.durable)
    }

    /// Stores an entry that some remote has, as [`LocalStore::put_entry`], but never synced.
    ///
    /// # Errors
    /// When it can't be written; then what was there still is.
    pub fn copy_entry(&self, key: &Digest, value: &[u8]) -> Result<(), StoreError> {
        self.write_framed(ENTRIES, key, value, false)
    }

    /// A description of keys.
    pub(crate) fn get_description(&self, name: &Digest) -> Option<Vec<u8>> {
        self.read_framed(DESCRIPTIONS, name).ok().flatten()
    }

    /// Stores a description of keys, never synced: it may get lost.
    pub(crate) fn put_description(&self, name: &Digest, value: &[u8]) -> Result<(), StoreError> {
        self.write_framed(DESCRIPTIONS, name, value, false)
    }

    fn write_framed(
        &self,
        bucket: &str,
        key: &Digest,
        value: &[u8],
        sync: bool,
    ) -> Result<(), StoreError> {
        let path = self.0.path(bucket, key);
        let write = || -> io::Result<()> {
            if value.len() as u64 > MAX_ENTRY {
                let what = format!("an entry of {} bytes, {MAX_ENTRY} at most", value.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
            let framed = frame::seal(key.hash(), value);
            let mut file = self.0.temporary()?;
            file.write_all(&framed)?;
            self.0.place(file, bucket, key, framed.len() as u64, sync)
        };
        write().map_err(|source| StoreError { path: path.clone(), what: "can't write", source })?;
        self.0.flush();
        Ok(())
    }

    /// Opens a blob for reading; none when the store lacks it. It stays readable when it is
    /// removed meanwhile. Its content is not checked: who uses it hashes it, and calls
    /// [`LocalStore::discard_blob`] when it is wrong.
    ///
    /// # Errors
    /// When it is there and can't be opened, or has not its size ([`StoreError::is_damage`]).
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.0.path(BLOBS, digest);
        let open = || {
            let Some((file, about)) = open_regular(&path)? else { return Ok(None) };
            if about.len() != digest.size() {
                let what = format!("{} bytes instead of {}", about.len(), digest.size());
                return Err(damage(what));
            }
            touch(&file, &about);
            Ok(Some(file))
        };
        open().map_err(|source| self.read_error(path.clone(), source))
    }

    /// Notes that these blobs are about to be used, so that an eviction leaves them alone, one that
    /// has begun included. To be called before a restore.
    pub fn hold<'a>(&self, blobs: impl IntoIterator<Item = &'a Digest>) {
        for digest in blobs {
            // What is missing or damaged will be found so by its user.
            if let Ok(Some((file, about))) = open_regular(&self.0.path(BLOBS, digest)) {
                touch(&file, &about);
            }
        }
    }

    /// The digest of the blob with this hash, by its name and size; none when the store lacks it.
    pub fn find_blob(&self, hash: &[u8; 32]) -> Option<Digest> {
        let about = self.0.path(BLOBS, &Digest::from_parts(*hash, 0)).symlink_metadata().ok()?;
        about.is_file().then(|| Digest::from_parts(*hash, about.len()))
    }

    /// Whether a blob is there, by its name and size.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        let about = fs::symlink_metadata(self.0.path(BLOBS, digest));
        about.is_ok_and(|about| about.is_file() && about.len() == digest.size())
    }

    /// Removes a blob that turned out not to be what its name says. No error when it can't: it
    /// will be found wrong again.
    pub fn discard_blob(&self, digest: &Digest) {
        let _ = remove(&self.0.path(BLOBS, digest));
    }

    /// Removes an entry that turned out to be of no use.
    pub fn discard_entry(&self, key: &Digest) {
        let _ = remove(&self.0.path(ENTRIES, key));
    }

    /// Begins to take in a blob that some remote has.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn incoming(&self, digest: Digest) -> Result<Incoming, StoreError> {
        self.begin(digest, false)
    }

    fn begin(&self, digest: Digest, sync: bool) -> Result<Incoming, StoreError> {
        Incoming::new(Arc::clone(&self.0), digest, sync).map_err(|source| StoreError {
            path: self.0.root.join(TEMPORARY),
            what: "can't make a temporary file",
            source,
        })
    }

    /// Stores bytes as a blob.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.0.has_whole(&digest) {
            let mut incoming = self.begin(digest, self.0.options.durable)?;
            let written = incoming.write(bytes).and_then(|()| incoming.commit());
            written.map_err(|source| self.write_error(&digest, source))?;
        }
        Ok(digest)
    }

    /// Stores the content of `file`, which must be what `digest` says, as a blob: as a reflink
    /// where the file systems can, else as a copy. What counts is what has been stored: it is
    /// hashed, so a file that changes meanwhile is refused. Does not move the file's offset.
    ///
    /// # Errors
    /// `InvalidData` ([`StoreError::is_damage`]) when the file is not what the digest says; else
    /// when it can't be read or stored.
    pub fn insert_file(&self, file: &File, digest: &Digest) -> Result<(), StoreError> {
        if self.0.has_whole(digest) {
            return Ok(());
        }
        let mut incoming = self.begin(*digest, self.0.options.durable)?;
        let taken = incoming.take(file).and_then(|()| incoming.commit());
        taken.map_err(|source| self.write_error(digest, source))
    }

    fn write_error(&self, digest: &Digest, source: io::Error) -> StoreError {
        StoreError { path: self.0.path(BLOBS, digest), what: "can't store", source }
    }

    /// What is damaged is removed, so that it is found only once.
    fn read_error(&self, path: PathBuf, source: io::Error) -> StoreError {
        if source.kind() != io::ErrorKind::InvalidData {
            return StoreError { path, what: "can't read", source };
        }
        let _ = remove(&path);
        StoreError { path, what: "damaged", source }
    }
}

impl Inner {
    fn path(&self, bucket: &str, digest: &Digest) -> PathBuf {
        let name = hex(digest);
        let mut path = self.root.join(bucket);
        path.push(&name[..2]);
        path.push(name);
        path
    }

    /// Whether the store has this blob with exactly this content. A blob that is there and wrong
    /// is thereby replaced by the next who stores it.
    fn has_whole(&self, digest: &Digest) -> bool {
        let Ok(Some((file, about))) = open_regular(&self.path(BLOBS, digest)) else { return false };
        let whole = about.len() == digest.size() && digest_of(&file).is_ok_and(|is| is == *digest);
        if whole {
            touch(&file, &about);
        }
        whole
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        temporary(&self.root.join(TEMPORARY), 0o444)
    }

    /// Gives a file of `size` bytes its name, in place of whatever has it.
    fn place(
        &self,
        file: NamedTempFile,
        bucket: &str,
        digest: &Digest,
        size: u64,
        sync: bool,
    ) -> io::Result<()> {
        if sync {
            file.as_file().sync_data()?;
        }
        let to = &self.path(bucket, digest);
        let is_new = fs::symlink_metadata(to).is_err();
        if let Err(failed) = file.persist(to) {
            match failed.error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    make_way(&self.root.join(bucket))?;
                    make_way(to.parent().unwrap_or(to))?;
                }
                io::ErrorKind::IsADirectory => fs::remove_dir_all(to)?,
                _ => return Err(failed.error),
            }
            failed.file.persist(to).map_err(|failed| failed.error)?;
        }
        if is_new {
            self.added.count(digest, size);
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A file of our own under a name that nobody looks at, locked for as long as it is open.
fn temporary(room: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut how = tempfile::Builder::new();
    how.prefix("in-").permissions(Permissions::from_mode(mode));
    let file = match how.tempfile_in(room) {
        Err(missing) if is_missing(&missing) => {
            make_way(room)?;
            how.tempfile_in(room)?
        }
        file => file?,
    };
    // Where there are no locks, the collection goes by age alone.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Whether the file system of `directory` clones files (reflinks). Tried with two nameless files.
///
/// # Errors
/// When the directory can't be written.
pub fn can_clone(directory: &Path) -> io::Result<bool> {
    let (mut one, other) = (tempfile::tempfile_in(directory)?, tempfile::tempfile_in(directory)?);
    one.write_all(&[1; 4096])?;
    Ok(rustix::fs::ioctl_ficlone(&other, &one).is_ok())
}

fn make_root(root: &Path) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent)?;
    }
    make_directory(root)?;
    let tag = root.join("CACHEDIR.TAG");
    match OpenOptions::new().write(true).create_new(true).open(tag) {
        Ok(mut file) => file.write_all(TAG),
        Err(there) if there.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Nothing has this name, or what should be a directory on the way to it is none.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Makes one of our directories, in place of whatever else has its name.
fn make_way(path: &Path) -> io::Result<()> {
    if !fs::metadata(path).is_ok_and(|about| about.is_dir()) {
        // Does nothing to a directory that another process has made meanwhile.
        let _ = fs::remove_file(path);
    }
    make_directory(path)
}

fn check_owner(about: &Metadata) -> io::Result<()> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    if !about.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"));
    }
    let me = nix::unistd::geteuid().as_raw();
    if about.uid() != me {
        return refuse(format!("it belongs to user {}, and this is user {me}", about.uid()));
    }
    if about.mode() & 0o022 != 0 {
        return refuse(format!(
            "others can write to it (mode {:o}): chmod go-w",
            about.mode() & 0o7777
        ));
    }
    Ok(())
}

/// How to open what should be a regular file of ours: without following a link, or waiting for the
/// other end of a pipe.
fn careful() -> OpenOptions {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut how = OpenOptions::new();
    how.custom_flags(flags.bits());
    how
}

/// Opens a regular file; none when nothing has this name. What else has it (a link, a pipe that
/// would block) is damage.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let file = match careful().read(true).open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            return Err(damage("a symbolic link"));
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if about.is_file() { Ok(Some((file, about))) } else { Err(damage("not a regular file")) }
}

/// Reads an entry's file whole, and takes it out of its frame.
fn read_entry(file: &mut File, about: &Metadata, key: &[u8; 32]) -> io::Result<Vec<u8>> {
    let most = MAX_ENTRY + frame::HEADER as u64;
    if about.len() > most {
        return Err(damage(format!("{} bytes", about.len())));
    }
    let mut framed = Vec::with_capacity(about.len() as usize + 1);
    file.take(most).read_to_end(&mut framed)?;
    frame::open(key, framed).ok_or_else(|| damage("its checksum is wrong"))
}

/// Notes that a file is in use. That fails where the store is read-only; then nothing is evicted.
fn touch(file: &File, about: &Metadata) {
    let now = SystemTime::now();
    let noted = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    // A time in the future would keep the file for good.
    if now.duration_since(noted).map_or(true, |age| age > TOUCH_EVERY) {
        let _ = file.set_modified(now);
    }
}

/// Removes whatever has this name in one of our buckets.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        result => result,
    }
}
