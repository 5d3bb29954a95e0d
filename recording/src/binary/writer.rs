//! Events to a file, as they come.

use super::encode::Encoder;
use super::{CHUNK, PREAMBLE, WINDOW_LOG};
use crate::{Digest, Event, Sink};
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};

/// Takes the digest that a [`Writer`] would give, and writes nothing.
pub struct Digester {
    encoder: Encoder,
    hash: Sha256,
    size: u64,
}

impl Default for Digester {
    fn default() -> Self {
        Digester {
            encoder: Encoder::default(),
            hash: Sha256::new_with_prefix(PREAMBLE),
            size: PREAMBLE.len() as u64,
        }
    }
}

impl Digester {
    /// Hashes the records that wait, hands them to `then`, and forgets them.
    fn drain(&mut self, then: impl FnOnce(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let pending = &mut self.encoder.pending;
        self.hash.update(&pending);
        self.size += pending.len() as u64;
        let result = then(pending);
        pending.clear();
        result
    }

    fn full(&self) -> bool {
        self.encoder.pending.len() >= CHUNK
    }

    fn check_end(&self) -> io::Result<()> {
        if self.encoder.ended() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the recording has no end"))
    }

    /// The digest of all events.
    ///
    /// # Errors
    /// When [`Event::End`] was not put.
    pub fn finish(mut self) -> io::Result<Digest> {
        self.check_end()?;
        self.drain(|_| Ok(()))?;
        Ok(Digest::from_parts(self.hash.finalize().into(), self.size))
    }
}

impl Sink for Digester {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.encoder.put(event)?;
        if self.full() { self.drain(|_| Ok(())) } else { Ok(()) }
    }
}

/// Writes the binary format. Holds a few MiB, however long the recording: the compressor's
/// window and some records, never the accesses.
///
/// Until [`Writer::finish`] has returned, what is written has no end, and every reader says so.
pub struct Writer<W: Write> {
    digester: Digester,
    out: zstd::Encoder<'static, W>,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Begins a recording in `out`.
    ///
    /// # Errors
    /// When `out` can't be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&PREAMBLE)?;
        let mut out = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        out.window_log(WINDOW_LOG)?;
        out.include_checksum(true)?;
        Ok(Writer { digester: Digester::default(), out, failed: false })
    }

    fn flush_records(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier part of the recording was not written"));
        }
        let result = self.digester.drain(|bytes| self.out.write_all(bytes));
        self.failed = result.is_err();
        result
    }

    /// Writes what is left, and gives back the output and the recording's digest. The caller
    /// syncs and renames.
    ///
    /// # Errors
    /// When [`Event::End`] was not put, or something could not be written, now or earlier.
    pub fn finish(mut self) -> io::Result<(W, Digest)> {
        self.digester.check_end()?;
        self.flush_records()?;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok((out, self.digester.finish()?))
    }
}

impl<W: Write> Sink for Writer<W> {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.failed {
            return self.flush_records();
        }
        self.digester.encoder.put(event)?;
        if self.digester.full() { self.flush_records() } else { Ok(()) }
    }
}
