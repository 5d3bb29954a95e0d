//! Looks at every byte of the store.

use super::frame;
use super::gc::list;
use super::{
    BLOBS, DESCRIPTIONS, ENTRIES, LocalStore, StoreError, open_regular, read_entry, remove,
};
use crate::digest::{digest_of, from_hex};
use std::fs::{self, File, Metadata};
use std::path::Path;

/// What [`LocalStore::verify`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Entries that are as they were stored.
    pub entries: u64,
    /// Blobs that are what their names say.
    pub blobs: u64,
    /// Bytes of both, and of descriptions of keys.
    pub bytes: u64,
    /// Damaged entries and descriptions of keys, removed.
    pub damaged_entries: u64,
    /// Damaged blobs, removed.
    pub damaged_blobs: u64,
    /// What has no business in a bucket, removed.
    pub foreign: u64,
    /// What could not be read or removed.
    pub failed: u64,
}

impl VerifyReport {
    /// Whether nothing was found wrong.
    pub fn is_clean(&self) -> bool {
        self.damaged_entries + self.damaged_blobs + self.foreign + self.failed == 0
    }
}

/// What happens while a store is verified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum VerifyEvent<'a> {
    /// So many directories of so many are done.
    Progress {
        /// Done.
        done: usize,
        /// In all.
        of: usize,
    },
    /// Something is wrong.
    Bad {
        /// What file or directory.
        path: &'a Path,
        /// What is wrong with it.
        what: &'a str,
    },
}

impl LocalStore {
    /// Hashes every blob and looks at the frame of every entry. What is damaged, or has no business
    /// there, is removed, which whoever would have used it counts as a miss.
    ///
    /// # Errors
    /// When the store can't be listed. What can't be read or removed is counted.
    pub fn verify(&self, on: &mut dyn FnMut(VerifyEvent<'_>)) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        let mut shards = Vec::new();
        for bucket in [ENTRIES, BLOBS, DESCRIPTIONS] {
            shards.extend(list(&self.root().join(bucket))?.into_iter().map(|path| (bucket, path)));
        }
        for (done, (bucket, shard)) in shards.iter().enumerate() {
            on(VerifyEvent::Progress { done, of: shards.len() });
            if !is_shard(shard) {
                report.foreign += 1;
                report.discard(shard, "has no business here", on);
                continue;
            }
            for path in list(shard)? {
                report.look_at(bucket, &path, on);
            }
        }
        on(VerifyEvent::Progress { done: shards.len(), of: shards.len() });
        Ok(report)
    }
}

impl VerifyReport {
    fn look_at(&mut self, bucket: &str, path: &Path, on: &mut dyn FnMut(VerifyEvent<'_>)) {
        let Some(hash) = hash_of(path) else {
            self.foreign += 1;
            return self.discard(path, "has no business here", on);
        };
        let framed = bucket != BLOBS;
        let checked = open_regular(path).and_then(|opened| match opened {
            None => Ok(None),
            Some((file, about)) if framed => check_entry(file, &about, &hash).map(Some),
            Some((file, about)) => check_blob(&file, &about, &hash).map(Some),
        });
        match checked {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                match bucket {
                    ENTRIES => self.entries += 1,
                    BLOBS => self.blobs += 1,
                    _ => {}
                }
                self.bytes += bytes;
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                *if framed { &mut self.damaged_entries } else { &mut self.damaged_blobs } += 1;
                self.discard(path, &error.to_string(), on);
            }
            Err(error) => {
                self.failed += 1;
                on(VerifyEvent::Bad { path, what: &error.to_string() });
            }
        }
    }

    fn discard(&mut self, path: &Path, what: &str, on: &mut dyn FnMut(VerifyEvent<'_>)) {
        on(VerifyEvent::Bad { path, what });
        if remove(path).is_err() {
            self.failed += 1;
        }
    }
}

fn check_entry(mut file: File, about: &Metadata, key: &[u8; 32]) -> std::io::Result<u64> {
    read_entry(&mut file, about, key).map(|value| (value.len() + frame::HEADER) as u64)
}

fn check_blob(file: &File, about: &Metadata, hash: &[u8; 32]) -> std::io::Result<u64> {
    let is = digest_of(file)?;
    if is.hash() != hash {
        let what = format!("its content is {is} ({} bytes by its inode)", about.len());
        return Err(super::damage(what));
    }
    Ok(is.size())
}

/// The hash that a file is named by, when it is in the directory where it belongs.
fn hash_of(path: &Path) -> Option<[u8; 32]> {
    let name = path.file_name()?.to_str()?;
    let shard = path.parent()?.file_name()?.to_str()?;
    let hash = *from_hex(name, 0)?.hash();
    name.starts_with(shard).then_some(hash)
}

fn is_shard(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_directory = fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    name.len() == 2 && name.iter().all(digit) && is_directory
}
