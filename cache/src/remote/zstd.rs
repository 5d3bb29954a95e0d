//! zstd on the way from and to remotes, bounded in memory and in what it yields.

use crate::blob::Blob;
use crate::local::Incoming;
use bytes::Bytes;
use std::io::{self, Write};
use zstd::stream::write;

/// Decodes a zstd stream into a blob. It stops at the first byte beyond the blob's size, so that a
/// small stream can't fill the disk. Its window is 128 MiB at most, as zstd's own programs allow.
pub(super) struct Decoder<'a> {
    stream: write::Decoder<'static, Sink<'a>>,
    /// How many encoded bytes may still come.
    left: u64,
}

struct Sink<'a>(&'a mut Incoming);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Decoder<'a> {
    /// A decoder that writes into `into`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new(into: &'a mut Incoming) -> io::Result<Decoder<'a>> {
        // What can't be compressed grows by less than a hundredth. The rest is for frames of many
        // small blocks; without a limit empty ones could come for ever.
        let left = into.digest().size().saturating_mul(2).saturating_add(64 << 10);
        Ok(Decoder { stream: write::Decoder::new(Sink(into))?, left })
    }

    /// Takes encoded bytes.
    ///
    /// # Errors
    /// `InvalidData` when they aren't zstd or yield more than the blob's size; else what the file
    /// system says.
    pub(super) fn write(&mut self, encoded: &[u8]) -> io::Result<()> {
        let Some(left) = self.left.checked_sub(encoded.len() as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "endless zstd"));
        };
        self.left = left;
        self.stream.write_all(encoded).map_err(|error| match error.kind() {
            // How the zstd library's own errors come.
            io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
            _ => error,
        })
    }

    /// Writes out what is still held back. Whether the blob is whole is seen from its size and
    /// digest.
    ///
    /// # Errors
    /// As of [`Decoder::write`].
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A blob as one zstd frame, its bytes checked against its digest. For blobs that fit into memory.
///
/// # Errors
/// When it can't be read or isn't what its digest says.
pub(super) fn encode(blob: &Blob) -> io::Result<Bytes> {
    zstd::bulk::compress(&blob.bytes()?, zstd::DEFAULT_COMPRESSION_LEVEL).map(Bytes::from)
}

/// Encodes a stream of bytes piece by piece.
pub(super) struct Encoder(write::Encoder<'static, Vec<u8>>);

impl Encoder {
    /// An encoder that has seen nothing.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn new() -> io::Result<Encoder> {
        write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL).map(Encoder)
    }

    /// Takes bytes, and gives those that are encoded by now; often none.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        self.0.write_all(bytes)?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }

    /// The last encoded bytes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        self.0.finish().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalStore;

    fn decode(encoded: &[u8], blob: &Blob, piece: usize) -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let store = LocalStore::open(directory.path()).map_err(io::Error::other)?;
        let mut incoming = store.incoming(blob.digest()).map_err(io::Error::other)?;
        let mut decoder = Decoder::new(&mut incoming)?;
        for piece in encoded.chunks(piece) {
            decoder.write(piece)?;
        }
        decoder.finish()?;
        incoming.commit()
    }

    fn text() -> Blob {
        Blob::of((0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect::<Vec<u8>>())
    }

    #[test]
    fn a_blob_goes_both_ways() -> io::Result<()> {
        let blob = text();
        let encoded = encode(&blob)?;
        assert!(encoded.len() < 600_000, "{}", encoded.len());
        for piece in [1 << 20, 4096, 1000] {
            decode(&encoded, &blob, piece)?;
        }
        Ok(())
    }

    #[test]
    fn a_stream_goes_both_ways() -> io::Result<()> {
        let blob = text();
        let mut encoder = Encoder::new()?;
        let mut encoded = Vec::new();
        for piece in blob.bytes()?.chunks(10_000) {
            encoded.extend_from_slice(&encoder.write(piece)?);
        }
        encoded.extend_from_slice(&encoder.finish()?);
        decode(&encoded, &blob, 1 << 16)
    }

    #[test]
    fn nothing_beyond_the_size_is_taken() -> io::Result<()> {
        // 64 MiB of zeros in a few kilobytes, and frames without content for ever.
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1)?;
        let empty = zstd::bulk::compress(&[], 1)?.repeat(20_000);
        let garbage = vec![7; 100];
        let blob = Blob::of(vec![0; 1000]);
        for wrong in [bomb, empty, garbage, encode(&text())?.slice(..999).to_vec()] {
            let error = decode(&wrong, &blob, 4096).expect_err("it isn't the blob");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        Ok(())
    }
}
