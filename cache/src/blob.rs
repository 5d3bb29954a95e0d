//! Bytes that are known by their digest.

use crate::digest::Hasher;
use crate::meter::Meter;
use airtight_recording::Digest;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes and their digest. Cheap to clone; many may read one at the same time.
#[derive(Clone, Debug)]
pub struct Blob {
    digest: Digest,
    source: Source,
    meter: Option<Meter>,
}

#[derive(Clone, Debug)]
enum Source {
    Memory(Bytes),
    File(Arc<File>),
}

impl Blob {
    /// A blob of these bytes.
    pub fn of(bytes: impl Into<Bytes>) -> Blob {
        let bytes = bytes.into();
        Blob { digest: Digest::of(&bytes), source: Source::Memory(bytes), meter: None }
    }

    /// A blob of what is in `file`, whose digest is known. Whoever takes it over hashes it again.
    pub fn file(file: File, digest: Digest) -> Blob {
        Blob { digest, source: Source::File(Arc::new(file)), meter: None }
    }

    /// The same blob, whose reads `meter` counts.
    pub(crate) fn metered(&self, meter: &Meter) -> Blob {
        Blob { meter: Some(meter.clone()), ..self.clone() }
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Reads at most `most` bytes from `offset`; fewer at the end.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let bytes = self.read_source(offset, most)?;
        if let Some(meter) = &self.meter {
            meter.add(bytes.len());
        }
        Ok(bytes)
    }

    fn read_source(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let left = self.digest.size().saturating_sub(offset);
        let most = usize::try_from(left).map_or(most, |left| left.min(most));
        match &self.source {
            Source::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..(start + most).min(bytes.len())))
            }
            Source::File(file) => {
                let mut buffer = vec![0; most];
                let mut done = 0;
                while done < most {
                    match file.read_at(&mut buffer[done..], offset + done as u64) {
                        Ok(0) => break,
                        Ok(n) => done += n,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                buffer.truncate(done);
                Ok(buffer.into())
            }
        }
    }

    /// All bytes, checked against the digest. For small blobs.
    ///
    /// # Errors
    /// When they can't be read, or are not what the digest says.
    pub fn bytes(&self) -> io::Result<Bytes> {
        let size = usize::try_from(self.digest.size()).map_err(io::Error::other)?;
        let bytes = self.read(0, size)?;
        let mut hasher = Hasher::new();
        hasher.update(&bytes);
        if hasher.finish() != self.digest {
            let what = format!("a blob is not what its digest {} says", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(bytes)
    }
}
