//! Hashing as bytes come, and digests as text.

use airtight_recording::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Hashes bytes as they come.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    hash: Sha256,
    size: u64,
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Hasher {
        Hasher::default()
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes it has seen.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all bytes.
    pub fn finish(self) -> Digest {
        Digest::from_parts(self.hash.finalize().into(), self.size)
    }
}

/// The digest of everything that `reader` gives.
///
/// # Errors
/// When it can't be read.
pub fn digest_of(mut reader: impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The 64 lower-case hex digits of a digest's hash: its name in stores.
pub fn hex(digest: &Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(64);
    text
}

/// A digest from the hex digits of its hash (lower case only, as the Remote Execution API demands)
/// and its size; none when the text is not 64 such digits.
pub fn from_hex(hash: &str, size: u64) -> Option<Digest> {
    let text = hash.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(Digest::from_parts(bytes, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_takes_nothing_else() {
        let digest = Digest::of(b"x");
        assert_eq!(from_hex(&hex(&digest), 1), Some(digest));
        for wrong in ["", "ab", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(from_hex(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_in_parts_hash_as_a_whole() -> io::Result<()> {
        let bytes = vec![7; 300_000];
        assert_eq!(digest_of(bytes.as_slice())?, Digest::of(&bytes));
        Ok(())
    }
}
