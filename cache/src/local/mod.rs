//! The store on this machine: plain files, no server, shared by any number of processes.
//!
//! ```text
//! DIR/                  mode 0700
//!   CACHEDIR.TAG        so that backups leave it out
//!   tmp/                files on their way in; those of dead processes are removed
//!   cas-v1/ab/<hash>    blobs, mode 0444, named by the SHA-256 of their content
//!   ac-v1/ab/<hash>     encoded ActionResults, named by the hash of the Action
//! ```
//!
//! A file gets its name only when it is whole and on the disk. When the format of a bucket changes,
//! its number does, and old buckets are removed by the garbage collection.

mod incoming;

pub use incoming::Incoming;

use crate::digest::hex;
use airtight_recording::Digest;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The store on this machine.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
}

/// The local store can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}", path.display())]
pub struct StoreError {
    /// Which file or directory.
    pub path: PathBuf,
    /// What was tried.
    pub what: &'static str,
    /// What the system said.
    pub source: io::Error,
}

impl LocalStore {
    /// Opens the store in `root` and makes what is missing of it.
    ///
    /// # Errors
    /// When a directory can't be made.
    pub fn open(root: &Path) -> Result<LocalStore, StoreError> {
        for name in ["tmp", "cas-v1", "ac-v1"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|source| StoreError {
                path,
                what: "can't make it",
                source,
            })?;
        }
        Ok(LocalStore { root: root.to_owned() })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, bucket: &str, digest: &Digest) -> PathBuf {
        let name = hex(digest);
        self.root.join(bucket).join(&name[..2]).join(name)
    }

    /// The encoded `ActionResult` under `key`, if there is one.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn get_entry(&self, key: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path("ac-v1", key);
        let read = File::open(&path).and_then(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError { path, what: "can't read", source }),
        }
    }

    /// Stores an encoded `ActionResult` under `key`, in place of what is there.
    ///
    /// # Errors
    /// When it can't be written; then what was there still is.
    pub fn put_entry(&self, key: &Digest, value: &[u8]) -> Result<(), StoreError> {
        let path = self.path("ac-v1", key);
        let write = || -> io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            let mut file = tempfile::NamedTempFile::new_in(self.root.join("tmp"))?;
            file.write_all(value)?;
            file.as_file().sync_data()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| StoreError { path: path.clone(), what: "can't write", source })
    }

    /// Opens a blob for reading; none when the store lacks it. It stays readable when it is
    /// removed meanwhile. Its content is not checked: who uses it hashes it.
    ///
    /// # Errors
    /// When it is there and can't be opened.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let path = self.path("cas-v1", digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError { path, what: "can't read", source }),
        }
    }

    /// Begins to take a blob in.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn incoming(&self, digest: Digest) -> Result<Incoming, StoreError> {
        let path = self.root.join("tmp");
        Incoming::new(digest, &path, self.path("cas-v1", &digest)).map_err(|source| StoreError {
            path,
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
        let mut incoming = self.incoming(digest)?;
        let path = self.path("cas-v1", &digest);
        incoming.write(bytes).and_then(|()| incoming.commit()).map_err(|source| StoreError {
            path,
            what: "can't write",
            source,
        })?;
        Ok(digest)
    }
}
