//! A blob on its way into the store.

use super::{BLOBS, Inner, damage};
use crate::digest::Hasher;
use crate::meter::Meter;
use airtight_recording::Digest;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// A blob on its way into the store: written to a temporary file, hashed meanwhile, and visible
/// only when hash and size are those that were asked for. Dropped without [`Incoming::commit`], it
/// leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    digest: Digest,
    hasher: Hasher,
    file: NamedTempFile,
    store: Arc<Inner>,
    sync: bool,
    meter: Option<Meter>,
}

impl Incoming {
    pub(super) fn new(store: Arc<Inner>, digest: Digest, sync: bool) -> io::Result<Incoming> {
        let file = store.temporary()?;
        Ok(Incoming { digest, hasher: Hasher::new(), file, store, sync, meter: None })
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

    /// All bytes have come, and they are those of the digest.
    pub(crate) fn is_right(&self) -> bool {
        self.hasher.size() == self.digest.size() && self.hasher.clone().finish() == self.digest
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// `InvalidData` when there are more than the digest says; else what the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.digest.size() - self.hasher.size() {
            return Err(damage(format!(
                "more than the {} bytes of the digest",
                self.digest.size()
            )));
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
        self.file.rewind()
    }

    /// Takes all of a file, as a reflink when the file systems can.
    pub(super) fn take(&mut self, from: &File) -> io::Result<()> {
        let size = from.metadata()?.len();
        if size != self.digest.size() {
            return Err(damage(format!("{size} bytes came for {}", self.digest)));
        }
        let mut buffer = vec![0; usize::try_from(size).map_or(MOST, |size| size.clamp(1, MOST))];
        if size > 0 && rustix::fs::ioctl_ficlone(self.file.as_file(), from).is_ok() {
            loop {
                match read_at(self.file.as_file(), &mut buffer, self.received())? {
                    0 => return Ok(()),
                    n => self.hasher.update(&buffer[..n]),
                }
            }
        }
        loop {
            // One more read at the end tells whether the file has grown.
            match read_at(from, &mut buffer, self.received())? {
                0 => return Ok(()),
                n => self.write(&buffer[..n])?,
            }
        }
    }

    /// Makes the blob visible. One that is already there stays if it is whole, and is replaced if
    /// it is not.
    ///
    /// # Errors
    /// `InvalidData` when what has come is not what the digest says; else what the file system
    /// says. Nothing is visible then.
    pub fn commit(self) -> io::Result<()> {
        let Incoming { digest, hasher, file, store, sync, .. } = self;
        let came = hasher.finish();
        if came != digest {
            return Err(damage(format!("{came} came for {digest}")));
        }
        if store.has_whole(&digest) {
            return Ok(());
        }
        store.place(file, BLOBS, &digest, digest.size(), sync)
    }
}

/// Bytes read at a time.
const MOST: usize = 128 << 10;

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
