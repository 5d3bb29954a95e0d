//! Numbers in as few bytes as they need: seven bits a byte, lowest first (LEB128), and signed
//! ones folded so that small amounts of either sign are short (zigzag).

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Adds one byte to a number being read. `shift` counts the bits so far. Gives the number when
/// it is whole, and an error when it is longer than a `u64` or than it needs to be.
pub(super) fn step(value: &mut u64, shift: &mut u32, byte: u8) -> Result<Option<u64>, ()> {
    let bits = u64::from(byte & 0x7f);
    if *shift > 63 || (*shift == 63 && bits > 1) {
        return Err(());
    }
    *value |= bits << *shift;
    if byte & 0x80 != 0 {
        *shift += 7;
        return Ok(None);
    }
    // One number, one encoding: the digest covers the bytes.
    if byte == 0 && *shift > 0 { Err(()) } else { Ok(Some(*value)) }
}

/// Folds a signed number.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Unfolds what [`zigzag`] folded.
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(bytes: &[u8]) -> Result<Option<u64>, ()> {
        let (mut value, mut shift) = (0, 0);
        for &byte in bytes {
            if let Some(value) = step(&mut value, &mut shift, byte)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    proptest! {
        #[test]
        fn any_number_comes_back(value: u64) {
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert!(out.len() <= 10);
            prop_assert_eq!(get(&out), Ok(Some(value)));
            prop_assert_eq!(zigzag(unzigzag(value)), value);
        }
    }

    #[test]
    fn overlong_encodings_are_refused() {
        assert_eq!(get(&[0x80, 0]), Err(()));
        assert_eq!(get(&[0xff; 11]), Err(()));
        assert_eq!(get(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(()));
        assert_eq!(get(&[0x80]), Ok(None));
    }
}
