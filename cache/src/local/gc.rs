//! What is in the store, and the removal of what was not used for longest.
//!
//! How much there is stands in a ledger that every writer adds to, so that nobody has to walk
//! through the store to know whether it is too large. The ledger is an estimate: a killed writer
//! leaves its last action out, a replaced blob counts twice. Each eviction walks through all of the
//! store and puts the true sum into the ledger, so that errors don't add up. Other caches look at
//! one of 256 directories at a time and hold it to a 256th of the limit; a single large blob then
//! throws itself out.

use super::{BLOBS, ENTRIES, Ledger, LocalStore, SIZE, StoreError, TEMPORARY, remove};
use serde_json::json;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file in `tmp/` is left alone for so long even when nobody holds its lock: its writer may be
/// about to take it.
const TEMPORARY_AGE: Duration = Duration::from_secs(600);
/// The same where the file system knows no locks.
const UNLOCKED_AGE: Duration = Duration::from_secs(24 * 3600);
/// A bucket of an older version is removed when nothing was stored in it for so long.
const OLD_BUCKET_AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What a file of this size counts for: whole blocks, and one for an empty file.
pub(super) fn charge(size: u64) -> u64 {
    size.div_ceil(4096).max(1).saturating_mul(4096)
}

/// What a collection removed, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// Entries removed.
    pub entries: u64,
    /// Blobs removed.
    pub blobs: u64,
    /// Bytes freed by that, in whole blocks.
    pub bytes: u64,
    /// Files of dead writers removed.
    pub temporary: u64,
    /// Buckets of older versions removed.
    pub buckets: u64,
    /// Files that should have been removed and could not be.
    pub failed: u64,
    /// What is left.
    pub left: Usage,
}

/// How much is in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many entries.
    pub entries: u64,
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes they take, in whole blocks.
    pub bytes: u64,
    /// When the one that was not used for longest was last used.
    pub oldest: Option<SystemTime>,
}

struct Item {
    used: SystemTime,
    size: u64,
    entry: bool,
    path: PathBuf,
}

impl LocalStore {
    /// Removes what was not used for longest when the store has grown beyond `limit` bytes, unless
    /// another process is at it. To be called after something was stored: it costs next to nothing
    /// when there is nothing to do.
    pub fn trim(&self, limit: u64) -> Option<GcReport> {
        self.0.flush();
        let sums = self.ledger().read().ok()?;
        let bytes = sums.get("bytes").and_then(serde_json::Value::as_u64).unwrap_or(0);
        // Without a base, nobody has yet walked through the store.
        if bytes <= limit && sums.contains_key("base") {
            return None;
        }
        let _lock = match self.lock() {
            Ok(file) => Some(file),
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => None,
        };
        self.gc(limit, &mut |_, _| {}).ok()
    }

    /// Removes what was not used for longest, if there are more than `limit` bytes, until a tenth
    /// less than that is left; also what dead writers and older versions have left behind. Safe
    /// while others use the store: they may miss what they would have found. `progress` is told
    /// how much is done, and of how much.
    ///
    /// # Errors
    /// When the store can't be read. What can't be removed is counted.
    pub fn gc(
        &self,
        limit: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        self.remove_temporary(SystemTime::now(), &mut report);
        self.remove_old_buckets(SystemTime::now(), &mut report);
        let mut items = self.items(progress)?;
        let total: u64 = items.iter().map(|item| item.size).sum();
        let goal = if total > limit { limit - limit / 10 } else { total };
        items.sort_unstable_by_key(|item| item.used);
        let mut left = total;
        let mut kept = Usage::default();
        for item in &items {
            if left > goal && is_unused(item) {
                progress(total - left, total - goal);
                match remove(&item.path) {
                    Ok(()) => report.count(item),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => {
                        report.failed += 1;
                        kept.count(item);
                        continue;
                    }
                }
                left -= item.size;
            } else {
                kept.count(item);
            }
        }
        report.left = kept;
        let _ = self.ledger().set(&json!({ "base": 1, "bytes": kept.bytes }));
        Ok(report)
    }

    /// Removes every entry and blob, and what is known of files elsewhere; the statistics stay.
    /// `progress` is told how much is done, and of how much.
    ///
    /// # Errors
    /// When the store can't be read. What can't be removed is counted.
    pub fn clear(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<GcReport, StoreError> {
        let _ = fs::remove_file(self.root().join(crate::file_digests::FILE));
        self.gc(0, progress)
    }

    /// How much is in the store. Walks through all of it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        self.items(&mut |_, _| {})?.iter().for_each(|item| usage.count(item));
        Ok(usage)
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.root().join(SIZE))
    }

    fn lock(&self) -> Result<File, TryLockError> {
        let path = self.root().join("gc.lock");
        let file = super::careful().read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(file)
    }

    fn items(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for (entry, bucket) in [(true, ENTRIES), (false, BLOBS)] {
            let shards = list(&self.root().join(bucket))?;
            for (done, shard) in shards.iter().enumerate() {
                progress(done as u64, shards.len() as u64);
                for path in list(shard)? {
                    // Gone meanwhile, or not ours: `verify` sees to it.
                    let Ok(about) = fs::symlink_metadata(&path) else { continue };
                    if !about.is_dir() {
                        let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        items.push(Item { used, size: charge(about.len()), entry, path });
                    }
                }
            }
        }
        Ok(items)
    }

    fn remove_temporary(&self, now: SystemTime, report: &mut GcReport) {
        for path in list(&self.root().join(TEMPORARY)).unwrap_or_default() {
            let Ok(Some((file, about))) = super::open_regular(&path) else { continue };
            let age = about.modified().ok().and_then(|at| now.duration_since(at).ok());
            // No lock is asked of a young one, or its writer could find it taken.
            let Some(age) = age.filter(|age| *age > TEMPORARY_AGE) else { continue };
            let dead = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(_)) => age > UNLOCKED_AGE,
            };
            if dead && fs::remove_file(&path).is_ok() {
                report.temporary += 1;
            }
        }
    }

    fn remove_old_buckets(&self, now: SystemTime, report: &mut GcReport) {
        for path in list(self.root()).unwrap_or_default() {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_older(name) && !used_since(&path, now, OLD_BUCKET_AGE) && remove(&path).is_ok() {
                report.buckets += 1;
            }
        }
    }
}

impl GcReport {
    fn count(&mut self, item: &Item) {
        self.bytes += item.size;
        *if item.entry { &mut self.entries } else { &mut self.blobs } += 1;
    }
}

impl Usage {
    fn count(&mut self, item: &Item) {
        self.bytes += item.size;
        *if item.entry { &mut self.entries } else { &mut self.blobs } += 1;
        self.oldest = Some(self.oldest.map_or(item.used, |oldest| oldest.min(item.used)));
    }
}

/// What is in a directory, sorted; nothing when it is missing or not a directory.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = match read() {
        Ok(paths) => paths,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Vec::new(),
        Err(source) => {
            return Err(StoreError { path: directory.to_owned(), what: "can't list", source });
        }
    };
    paths.sort_unstable();
    Ok(paths)
}

/// Whether nobody has used it since it was looked at.
fn is_unused(item: &Item) -> bool {
    fs::symlink_metadata(&item.path)
        .and_then(|about| about.modified())
        .map_or(true, |used| used == item.used)
}

/// Whether this is the name of a bucket or file of an earlier version.
fn is_older(name: &str) -> bool {
    let current = [BLOBS, ENTRIES, SIZE, crate::stats::FILE, crate::file_digests::FILE];
    let Some((kind, version)) = name.rsplit_once("-v") else { return false };
    let number = |version: &str| version.parse::<u32>().ok();
    current.iter().filter_map(|name| name.rsplit_once("-v")).any(|(known, current)| {
        known == kind && number(version).is_some_and(|version| Some(version) < number(current))
    })
}

/// Whether a file, a directory or a directory in it was changed within this time.
fn used_since(path: &Path, now: SystemTime, age: Duration) -> bool {
    let recent = |path: &Path| {
        let changed = fs::symlink_metadata(path).and_then(|about| about.modified());
        changed.is_ok_and(|at| now.duration_since(at).map_or(true, |since| since < age))
    };
    recent(path) || list(path).unwrap_or_default().iter().any(|inner| recent(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_earlier_versions_are_older() {
        for older in ["cas-v0", "ac-v0", "digests-v0"] {
            assert!(is_older(older), "{older}");
        }
        for other in ["cas-v1", "ac-v2", "tmp", "x-v0", "cas-v", "cas-v-1", "cas-v0x", "cas"] {
            assert!(!is_older(other), "{other}");
        }
    }
}
