//! SHA-256 digests as the Remote Execution API has them: hash and size.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// The SHA-256 of some bytes together with their number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    hash: [u8; 32],
    size: u64,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest { hash: Sha256::digest(bytes).into(), size: bytes.len() as u64 }
    }

    /// A digest from its parts.
    pub fn from_parts(hash: [u8; 32], size: u64) -> Digest {
        Digest { hash, size }
    }

    /// The hash alone.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// How many bytes were hashed.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// `<64 lower-case hex digits>/<size in bytes>`
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.hash {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "/{}", self.size)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
