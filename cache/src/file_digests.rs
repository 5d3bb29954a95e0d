//! Digests of files that have not changed since they were last hashed, shared by all processes.
//!
//! A table in one sparse file: 16,384 pages of 4 KiB, each with 51 records of 80 bytes. A file's
//! page is chosen by its device and by its inode number over 32, so that files that were made
//! together, which are mostly looked up together, lie in the same page. A look-up reads one page,
//! an insertion writes one record. There are no locks: a record that two processes wrote at once
//! has a wrong checksum, and is a miss.
//!
//! ```text
//!  0  40  the stamp: device, inode, size, time of last change of content, and of the inode,
//!         8 bytes each, little endian
//! 40  32  SHA-256 of the content
//! 72   8  the first bytes of the SHA-256 of the machine's boot id and bytes 0..72
//! ```
//!
//! **When a record is wrong.** Never, if the kernel's clock gives a changed file another stamp than
//! it had. So a record is stored only when
//!
//! - the stamp was the same before and after hashing;
//! - both times lay further back than the clock's granularity when hashing began: a write right
//!   after it could otherwise leave them as they were. The kernel's tick is 10 ms at most; where
//!   both times are whole seconds, the file system may know only seconds, or two of them;
//! - the file is on a file system that takes the times from this kernel's clock. Network file
//!   systems and FUSE take them from elsewhere or keep them back. In images that are made once and
//!   never written (squashfs, erofs), files of different content may have the same times.
//!
//! Device numbers change hands, and stores move between machines; so a record holds until the next
//! boot. The time of last change of the inode can't be set by programs, so neither a rewrite with
//! the old size and time nor a file moved in place of another passes. Two things do: a clock that
//! is set back to the very nanosecond, and a program that keeps a shared writable mapping. The
//! kernel changes a file's times at the first write to a page of the mapping, not at each; a file
//! that is hashed between two such writes, and looked up after the second, is taken for unchanged.
//! Its writer must still run then, so it can't be an input or output of a finished action.

use crate::digest::Hasher;
use crate::local::LocalStore;
use airtight_recording::{Digest, Stamp};
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the file in the store.
pub(crate) const FILE: &str = "digests-v1";

const PAGE: usize = 4096;
const PAGES: u64 = 16_384;
const STAMP: usize = 40;
const CONTENT: usize = 72;
const RECORD: usize = 80;

const SECOND: i64 = 1_000_000_000;
/// Twice the longest tick.
const TICK: i64 = 20_000_000;
/// Hashing is tried so often while the file changes.
const TRIES: u32 = 3;
/// Bytes read at a time.
const MOST: usize = 128 << 10;

/// Digests of files, looked up by what identifies their state.
#[derive(Debug)]
pub struct FileDigests {
    table: Option<Table>,
}

#[derive(Debug)]
struct Table {
    file: File,
    boot: Vec<u8>,
    /// The limit on the size of files lets all of it be written: beyond it, a write is a signal
    /// that ends the process.
    writable: bool,
}

impl FileDigests {
    /// The table in a store. One that can't be used is as none: every file is hashed.
    pub fn open(store: &LocalStore) -> FileDigests {
        FileDigests { table: Table::open(&store.root().join(FILE)).ok() }
    }

    /// Without a table: every file is hashed.
    pub fn off() -> FileDigests {
        FileDigests { table: None }
    }

    /// The digest of the regular file at `path`, links followed, and the state in which it has it.
    ///
    /// # Errors
    /// When it can't be read, is not a regular file (`InvalidInput`), or does not stop changing
    /// (`ResourceBusy`).
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, Stamp)> {
        let about = fs::metadata(path)?;
        // Opening something else may block, or do harm.
        check_regular(&about)?;
        let stamp = stamp_of(&about);
        if let Some(digest) = self.known(&stamp) {
            return Ok((digest, stamp));
        }
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        self.hash(&file)
    }

    /// The digest of an open regular file, and the state in which it has it. Does not move the
    /// file's offset.
    ///
    /// # Errors
    /// As [`FileDigests::digest`].
    pub fn digest_of_open(&self, file: &File) -> io::Result<(Digest, Stamp)> {
        let about = file.metadata()?;
        check_regular(&about)?;
        let stamp = stamp_of(&about);
        match self.known(&stamp) {
            Some(digest) => Ok((digest, stamp)),
            None => self.hash(file),
        }
    }

    /// The digest of a file in this state, if it is known.
    pub fn known(&self, stamp: &Stamp) -> Option<Digest> {
        self.table.as_ref()?.get(stamp)
    }

    fn hash(&self, file: &File) -> io::Result<(Digest, Stamp)> {
        for _ in 0..TRIES {
            let began = now();
            let about = file.metadata()?;
            check_regular(&about)?;
            let stamp = stamp_of(&about);
            let digest = hash(file, stamp.size)?;
            if stamp_of(&file.metadata()?) != stamp {
                continue;
            }
            if let Some(table) = &self.table
                && digest.size() == stamp.size
                && is_settled(&stamp, began)
                && has_our_clock(file)
            {
                table.put(&stamp, &digest);
            }
            return Ok((digest, stamp));
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it does not stop changing"))
    }
}

impl Table {
    fn open(path: &Path) -> io::Result<Table> {
        let boot = fs::read("/proc/sys/kernel/random/boot_id")?;
        let mut how = OpenOptions::new();
        how.read(true).mode(0o600).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        // A read-only store still serves what it knows.
        let writable = how.clone().write(true).create(true).open(path);
        let file = writable.or_else(|_| how.open(path))?;
        check_regular(&file.metadata()?)?;
        let writable = getrlimit(Resource::RLIMIT_FSIZE)?.0 >= PAGES * PAGE as u64;
        Ok(Table { file, boot, writable })
    }

    fn get(&self, stamp: &Stamp) -> Option<Digest> {
        let sought = encode(stamp);
        let page = self.read(stamp);
        let same = page.chunks_exact(RECORD).filter(|record| record[..STAMP] == sought);
        let whole = |record: &&[u8]| self.check(&record[..CONTENT]) == record[CONTENT..];
        let record = same.into_iter().find(whole)?;
        let hash = record[STAMP..CONTENT].try_into().ok()?;
        Some(Digest::from_parts(hash, stamp.size))
    }

    /// Stores a record in place of one of the same file, else of a free one, else of any. When it
    /// can't be written the file is hashed again the next time.
    fn put(&self, stamp: &Stamp, digest: &Digest) {
        if !self.writable {
            return;
        }
        let mut record = [0; RECORD];
        record[..STAMP].copy_from_slice(&encode(stamp));
        record[STAMP..CONTENT].copy_from_slice(digest.hash());
        let check = self.check(&record[..CONTENT]);
        record[CONTENT..].copy_from_slice(&check);

        let page = self.read(stamp);
        let find =
            |wanted: &[u8]| page.chunks_exact(RECORD).position(|record| record.starts_with(wanted));
        let slot = find(&record[..16])
            .or_else(|| find(&[0; STAMP]))
            .unwrap_or_else(|| fastrand::usize(..PAGE / RECORD));
        let _ = self.file.write_at(&record, page_of(stamp) + (slot * RECORD) as u64);
    }

    /// The page where a file's record is, if it has one; zeros where nothing was written.
    fn read(&self, stamp: &Stamp) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        // A page that can't be read, or not whole, has only records that are not there.
        let _ = self.file.read_at(&mut page, page_of(stamp));
        page
    }

    fn check(&self, content: &[u8]) -> [u8; 8] {
        let mut hasher = Hasher::new();
        hasher.update(&self.boot);
        hasher.update(content);
        let hash = hasher.finish();
        let mut check = [0; 8];
        check.copy_from_slice(&hash.hash()[..8]);
        check
    }
}

fn encode(stamp: &Stamp) -> [u8; STAMP] {
    let mut bytes = [0; STAMP];
    let numbers = [
        stamp.dev.to_le_bytes(),
        stamp.ino.to_le_bytes(),
        stamp.size.to_le_bytes(),
        stamp.mtime.to_le_bytes(),
        stamp.ctime.to_le_bytes(),
    ];
    bytes.copy_from_slice(numbers.as_flattened());
    bytes
}

/// Where a file's page begins. The mixing is that of SplitMix64.
fn page_of(stamp: &Stamp) -> u64 {
    let mut x = stamp.dev.rotate_left(32) ^ (stamp.ino >> 5);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % PAGES * PAGE as u64
}

/// What identifies the state of a file.
pub fn stamp_of(about: &Metadata) -> Stamp {
    let nanos = |s: i64, n: i64| s.saturating_mul(SECOND).saturating_add(n);
    Stamp {
        dev: about.dev(),
        ino: about.ino(),
        size: about.size(),
        mtime: nanos(about.mtime(), about.mtime_nsec()),
        ctime: nanos(about.ctime(), about.ctime_nsec()),
    }
}

/// Whether a change from now on is sure to give the file another stamp.
fn is_settled(stamp: &Stamp, now: i64) -> bool {
    let seconds = stamp.mtime % SECOND == 0 && stamp.ctime % SECOND == 0;
    let granularity = if seconds { 2 * SECOND + TICK } else { TICK };
    now.saturating_sub(stamp.mtime.max(stamp.ctime)) > granularity
}

/// Whether the file system takes times from this kernel's clock, for each change.
fn has_our_clock(file: &File) -> bool {
    const EXT: i64 = 0xef53;
    const XFS: i64 = 0x5846_5342;
    const BTRFS: i64 = 0x9123_683e;
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    const OVERLAY: i64 = 0x794c_7630;
    const F2FS: i64 = 0xf2f5_2010;
    const BCACHEFS: i64 = 0xca45_1a4e;
    const ZFS: i64 = 0x2fc1_2fc1;
    const KNOWN: [i64; 9] = [EXT, XFS, BTRFS, TMPFS, RAMFS, OVERLAY, F2FS, BCACHEFS, ZFS];
    rustix::fs::fstatfs(file).is_ok_and(|about| KNOWN.contains(&about.f_type))
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn check_regular(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

fn hash(file: &File, size: u64) -> io::Result<Digest> {
    // One byte more, so that a small file and its end take one read each.
    let length = usize::try_from(size).map_or(MOST, |size| size.saturating_add(1).min(MOST));
    let mut buffer = vec![0; length];
    let mut hasher = Hasher::new();
    loop {
        match file.read_at(&mut buffer, hasher.size()) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_trusted_when_the_clock_has_moved_on() {
        let settled =
            |mtime, ctime, now| is_settled(&Stamp { mtime, ctime, ..Stamp::default() }, now);
        let then = 5 * SECOND + 1;
        assert!(!settled(then, then, then));
        assert!(!settled(then, then, then + TICK));
        assert!(settled(then, then, then + TICK + 1));
        assert!(!settled(0, then, then + TICK), "the inode was changed just now");
        assert!(!settled(then + SECOND, then, then + TICK + 1), "in the future");
        // Whole seconds: they may be all that the file system knows.
        let then = 5 * SECOND;
        assert!(!settled(then, then, then + 2 * SECOND));
        assert!(settled(then, then, then + 2 * SECOND + TICK + 1));
        assert!(settled(then, then + 1, then + TICK + 2));
        assert!(!settled(i64::MAX, i64::MAX, then));
        assert!(settled(i64::MIN, i64::MIN, then));
    }

    #[test]
    fn a_record_of_another_boot_is_a_miss() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let digest = Digest::of(b"content");
        let stamp = Stamp { dev: 1, ino: 2, size: 7, mtime: 3, ctime: 4 };
        let mut table = Table::open(file.path())?;
        table.put(&stamp, &digest);
        assert_eq!(table.get(&stamp), Some(digest));
        table.boot = b"another".to_vec();
        assert_eq!(table.get(&stamp), None);
        table.put(&stamp, &digest);
        assert_eq!(table.get(&stamp), Some(digest));
        Ok(())
    }

    #[test]
    fn a_full_page_gives_up_one_record_for_another() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let table = Table::open(file.path())?;
        let digest = Digest::of(b"content");
        let files = (0..).map(|ino| Stamp { ino, size: 7, ..Stamp::default() });
        let same = files.filter(|stamp| page_of(stamp) == page_of(&Stamp::default()));
        let stamps: Vec<Stamp> = same.take(60).collect();
        for stamp in &stamps {
            table.put(stamp, &digest);
            assert_eq!(table.get(stamp), Some(digest));
        }
        let known = stamps.iter().filter(|stamp| table.get(stamp).is_some()).count();
        assert_eq!(known, PAGE / RECORD);
        // A file has one record, whatever becomes of it.
        for size in 0..100 {
            let changed = Stamp { size, ..stamps[59] };
            table.put(&changed, &Digest::from_parts(*digest.hash(), size));
        }
        let left = stamps[..59].iter().filter(|stamp| table.get(stamp).is_some()).count();
        assert_eq!(left, PAGE / RECORD - 1);
        Ok(())
    }
}
