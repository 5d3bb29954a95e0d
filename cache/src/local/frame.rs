//! The frame around an entry, by which damage shows without a look at what is inside.
//!
//! ```text
//!  0   8  "AIRTENT1"
//!  8  32  the key: an entry under another name is not this entry
//! 40   8  length of the value, little endian
//! 48  32  SHA-256 of all the rest: bytes 0..48 and the value
//! 80      the value, to the end of the file
//! ```

use crate::digest::Hasher;

const MAGIC: &[u8; 8] = b"AIRTENT1";
const SUM: usize = 48;

/// How many bytes a frame adds.
pub(super) const HEADER: usize = 80;

/// Puts a value into its frame.
pub(super) fn seal(key: &[u8; 32], value: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEADER + value.len());
    framed.extend_from_slice(MAGIC);
    framed.extend_from_slice(key);
    framed.extend_from_slice(&(value.len() as u64).to_le_bytes());
    let sum = sum(&framed, value);
    framed.extend_from_slice(&sum);
    framed.extend_from_slice(value);
    framed
}

/// Takes a value out of its frame; none when it is not whole, or belongs to another key.
pub(super) fn open(key: &[u8; 32], mut framed: Vec<u8>) -> Option<Vec<u8>> {
    let (header, value) = framed.split_at_checked(HEADER)?;
    let (head, stated) = header.split_at(SUM);
    let length = (value.len() as u64).to_le_bytes();
    let fits = head.starts_with(MAGIC) && head[8..40] == key[..] && head[40..] == length;
    if !fits || sum(head, value) != stated {
        return None;
    }
    framed.drain(..HEADER);
    Some(framed)
}

fn sum(head: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(value);
    *hasher.finish().hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_a_frame_shows() {
        let key = [3; 32];
        let framed = seal(&key, b"some value");
        assert_eq!(open(&key, framed.clone()).as_deref(), Some(&b"some value"[..]));
        assert_eq!(open(&[4; 32], framed.clone()), None);
        for at in 0..framed.len() {
            for bit in 0..8 {
                let mut damaged = framed.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(open(&key, damaged), None, "bit {bit} of byte {at}");
            }
            assert_eq!(open(&key, framed[..at].to_vec()), None, "cut at {at}");
        }
        let mut longer = framed;
        longer.push(0);
        assert_eq!(open(&key, longer), None);
    }
}
