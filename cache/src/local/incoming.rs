//! A blob on its way into the store.

use crate::digest::Hasher;
use crate::meter::Meter;
use airtight_recording::Digest;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A blob on its way into the store: written to a temporary file, hashed meanwhile, and visible
/// only when hash and size are those that were asked for.
#[derive(Debug)]
pub struct Incoming {
    digest: Digest,
    hasher: Hasher,
    file: NamedTempFile,
    target: PathBuf,
    meter: Option<Meter>,
}

impl Incoming {
    pub(super) fn new(digest: Digest, room: &Path, target: PathBuf) -> io::Result<Incoming> {
        let file = NamedTempFile::new_in(room)?;
        Ok(Incoming { digest, hasher: Hasher::new(), file, target, meter: None })
    }

    /// From now on `meter` counts what comes.
    pub(crate) fn metered(&mut self, meter: &Meter) {
        self.meter = Some(meter.clone());
    }

    /// What is awaited.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes have come.
    pub fn received(&self) -> u64 {
        self.hasher.size()
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// `InvalidData` when there are more than the digest says; else what the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.hasher.size() + bytes.len() as u64 > self.digest.size() {
            let what = format!("more than the {} bytes of the digest", self.digest.size());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        if let Some(meter) = &self.meter {
            meter.add(bytes.len());
        }
        Ok(())
    }

    /// Forgets what has come, for another try.
    ///
    /// # Errors
    /// When the file can't be emptied.
    pub fn restart(&mut self) -> io::Result<()> {
        self.hasher = Hasher::new();
        self.file.as_file().set_len(0)?;
        io::Seek::rewind(&mut self.file)
    }

    /// Makes the blob visible.
    ///
    /// # Errors
    /// `InvalidData` when what has come is not what the digest says; else what the file system
    /// says. Nothing is visible then.
    pub fn commit(self) -> io::Result<()> {
        let Incoming { digest, hasher, file, target, .. } = self;
        let came = hasher.finish();
        if came != digest {
            let what = format!("{came} came for {digest}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        fs::create_dir_all(target.parent().unwrap_or(&target))?;
        file.as_file().sync_data()?;
        file.persist(&target)?;
        Ok(())
    }
}
