//! What is in the store, and the removal of what was not used for longest.

use super::{BLOBS, DESCRIPTIONS, ENTRIES, LocalStore, SIZE, StoreError, TEMPORARY, remove};
use std::ffi::OsStr;
use std::fs::{self, TryLockError};
use std::io;
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
    /// Bytes freed by that and by descriptions of keys, in whole blocks.
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
    /// How many bytes they and the descriptions of keys take, in whole blocks.
    pub bytes: u64,
    /// When the one that was not used for longest was last used.
    pub oldest: Option<SystemTime>,
}

/// An entry, a blob or a description of keys.
pub(super) struct Item {
    used: SystemTime,
    pub(super) size: u64,
    bucket: &'static str,
    path: PathBuf,
}

/// What is left of a store that has grown beyond its limit.
pub(super) fn goal_of(limit: u64) -> u64 {
    limit - limit / 10
}

impl LocalStore {
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
        // Or what is about to be found would be counted once more later.
        self.0.flush();
        self.remove_temporary(SystemTime::now(), &mut report);
        self.remove_old_buckets(SystemTime::now(), &mut report);
        let mut items = self.items(None, progress)?;
        let total: u64 = items.iter().map(|item| item.size).sum();
        let goal = if total > limit { goal_of(limit) } else { total };
        evict(&mut items, goal, &mut report, progress);
        self.set_sizes(items.iter().filter_map(|item| {
            let name = item.path.file_name()?.to_str()?;
            Some((name, item.size))
        }));
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
        self.items(None, &mut |_, _| {})?.iter().for_each(|item| usage.count(item));
        Ok(usage)
    }

    /// All that is stored, or those whose names begin with a digit.
    pub(super) fn items(
        &self,
        digit: Option<&str>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for bucket in [ENTRIES, BLOBS, DESCRIPTIONS] {
            let mut shards = list(&self.root().join(bucket))?;
            if let Some(digit) = digit {
                let wanted = |name: &OsStr| name.as_encoded_bytes().starts_with(digit.as_bytes());
                shards.retain(|shard| shard.file_name().is_some_and(wanted));
            }
            for (done, shard) in shards.iter().enumerate() {
                progress(done as u64, shards.len() as u64);
                for path in list(shard)? {
                    // Gone meanwhile, or not ours: `verify` sees to it.
                    let Ok(about) = fs::symlink_metadata(&path) else { continue };
                    if !about.is_dir() {
                        let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        items.push(Item { used, size: charge(about.len()), bucket, path });
                    }
                }
            }
        }
        Ok(items)
    }

    pub(super) fn remove_temporary(&self, now: SystemTime, report: &mut GcReport) {
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
        match item.bucket {
            ENTRIES => self.entries += 1,
            BLOBS => self.blobs += 1,
            _ => {}
        }
    }
}

impl Usage {
    fn count(&mut self, item: &Item) {
        self.bytes += item.size;
        match item.bucket {
            ENTRIES => self.entries += 1,
            BLOBS => self.blobs += 1,
            _ => {}
        }
        self.oldest = Some(self.oldest.map_or(item.used, |oldest| oldest.min(item.used)));
    }
}

/// Removes items, those not used for longest first, until they have at most `goal` bytes; `items`
/// are those left then. Gives the number of their bytes.
pub(super) fn evict(
    items: &mut Vec<Item>,
    goal: u64,
    report: &mut GcReport,
    progress: &mut dyn FnMut(u64, u64),
) -> u64 {
    items.sort_unstable_by_key(|item| item.used);
    let total: u64 = items.iter().map(|item| item.size).sum();
    let mut left = total;
    items.retain(|item| {
        if left <= goal || !is_unused(item) {
            return true;
        }
        progress(total - left, total - goal);
        match remove(&item.path) {
            Ok(()) => report.count(item),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => {
                report.failed += 1;
                return true;
            }
        }
        left -= item.size;
        false
    });
    items.iter().for_each(|item| report.left.count(item));
    left
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
    let current =
        [BLOBS, ENTRIES, DESCRIPTIONS, SIZE, crate::stats::FILE, crate::file_digests::FILE];
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
