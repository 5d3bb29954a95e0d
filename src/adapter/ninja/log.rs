//! ninja's record of what depfiles said (`.ninja_deps`), which is all that is left of a depfile of
//! an edge with `deps =`.
//!
//! It is read here, not through `ninja -t deps`: that may rewrite the file, and a recording that
//! is judged again elsewhere would decide which program runs. The format is that of ninja's
//! `deps_log.h`, versions 3 and 4: records of little-endian words, each led by its size. The
//! highest bit of the size tells a list of inputs (number of the output, time, numbers of the
//! inputs) from a name (its bytes padded to a word, the complement of its number).

use std::collections::HashMap;

/// What the record says: for each output the inputs, in ninja's names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    names: Vec<Vec<u8>>,
    inputs: HashMap<u32, Vec<u32>>,
}

/// A record in a format that is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

const HEADER: &[u8] = b"# ninjadeps\n";
/// The longest record that ninja takes.
const LONGEST: usize = (1 << 19) - 1;

impl Log {
    /// From the bytes of the file. As in ninja, a damaged record ends it: what stands before
    /// holds.
    pub(super) fn read(bytes: &[u8]) -> Result<Log, Unknown> {
        let (version, mut rest) =
            bytes.strip_prefix(HEADER).and_then(<[u8]>::split_first_chunk).ok_or(Unknown)?;
        // Version 3 has seconds in one word, version 4 nanoseconds in two.
        let time = match u32::from_le_bytes(*version) {
            3 => 1,
            4 => 2,
            _ => return Err(Unknown),
        };
        let mut log = Log::default();
        while let Some((size, after)) = rest.split_first_chunk() {
            let size = u32::from_le_bytes(*size);
            let length = (size & 0x7fff_ffff) as usize;
            if !(4..=LONGEST).contains(&length) || !length.is_multiple_of(4) || length > after.len()
            {
                break;
            }
            let record;
            (record, rest) = after.split_at(length);
            let whole = match size >> 31 {
                1 => log.add_inputs(record, time),
                _ => log.add_name(record),
            };
            if whole.is_none() {
                break;
            }
        }
        Ok(log)
    }

    fn add_name(&mut self, record: &[u8]) -> Option<()> {
        let (name, check) = record.split_last_chunk()?;
        // Up to three bytes of padding.
        let padding = name.iter().rev().take(3).take_while(|&&b| b == 0).count();
        let number = u32::try_from(self.names.len()).ok()?;
        if u32::from_le_bytes(*check) != !number {
            return None;
        }
        self.names.push(name[..name.len() - padding].to_vec());
        Some(())
    }

    fn add_inputs(&mut self, record: &[u8], time: usize) -> Option<()> {
        let words: Vec<u32> = record
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        let (&output, rest) = words.split_first()?;
        let inputs = rest.get(time..)?;
        if words.iter().take(1).chain(inputs).any(|&id| id as usize >= self.names.len()) {
            return None;
        }
        // The newest of several holds.
        self.inputs.insert(output, inputs.to_vec());
        Some(())
    }

    /// All names; the numbers of [`Log::entries`] are indexes of it.
    pub(super) fn names(&self) -> &[Vec<u8>] {
        &self.names
    }

    /// Every output with its inputs.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, &[u32])> {
        self.inputs.iter().map(|(&output, inputs)| (output, inputs.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(log: &mut Vec<u8>, text: &str, number: u32) {
        let padded = text.len().next_multiple_of(4);
        log.extend(((padded + 4) as u32).to_le_bytes());
        log.extend(text.as_bytes());
        log.resize(log.len() + padded - text.len(), 0);
        log.extend((!number).to_le_bytes());
    }

    fn inputs(log: &mut Vec<u8>, words: &[u32]) {
        log.extend(((words.len() as u32 * 4) | (1 << 31)).to_le_bytes());
        log.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn example() -> Vec<u8> {
        let mut log = [HEADER, &4u32.to_le_bytes()].concat();
        name(&mut log, "a.o", 0);
        name(&mut log, "a.c", 1);
        inputs(&mut log, &[0, 7, 7, 1]);
        name(&mut log, "a.h", 2);
        inputs(&mut log, &[0, 8, 8, 1, 2]);
        log
    }

    fn told(log: &Log) -> Vec<(String, Vec<String>)> {
        let text = |id: u32| String::from_utf8(log.names()[id as usize].clone()).unwrap();
        let texts = |ids: &[u32]| ids.iter().map(|&id| text(id)).collect();
        log.entries().map(|(output, inputs)| (text(output), texts(inputs))).collect()
    }

    #[test]
    fn the_newest_list_of_an_output_holds() {
        let log = Log::read(&example()).unwrap();
        assert_eq!(told(&log), [("a.o".to_owned(), vec!["a.c".to_owned(), "a.h".to_owned()])]);
    }

    #[test]
    fn a_cut_record_ends_it() {
        let whole = example();
        let log = Log::read(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(told(&log), [("a.o".to_owned(), vec!["a.c".to_owned()])]);
    }

    #[test]
    fn another_version_is_not_known() {
        assert_eq!(Log::read(&[HEADER, &5u32.to_le_bytes()].concat()), Err(Unknown));
        assert_eq!(Log::read(b""), Err(Unknown));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..100usize) {
            let mut log = example();
            let at = at.min(log.len());
            log.truncate(at.max(16));
            log.extend(bytes);
            prop_assert!(Log::read(&log).is_ok());
        }
    }
}
