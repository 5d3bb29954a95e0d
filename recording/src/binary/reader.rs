//! A file to events. Nothing in the bytes is trusted.

use super::decode::{Fields, Record};
use super::{CHUNK, MAGIC, MAX_RECORD, MAX_WINDOW_LOG, PREAMBLE, State, VERSION, preamble, varint};
use crate::{Digest, Event, ReadError, Sink};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, BufReader, Read};

/// What a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a recording, uncompressed. A recording in memory takes about five times
    /// as much, at worst twelve times.
    pub bytes: u64,
}

impl Default for Limits {
    /// 512 MiB, some thirty million accesses.
    fn default() -> Self {
        Limits { bytes: 512 << 20 }
    }
}

/// Reads the binary format, one event at a time. Memory is bounded by the largest record
/// (16 MiB) and the zstd window (8 MiB).
pub struct Reader<R: BufRead> {
    input: BufReader<zstd::Decoder<'static, R>>,
    limits: Limits,
    state: State,
    version: u8,
    hash: Sha256,
    /// Bytes that wait to be hashed: records are small, and hashing likes them together.
    unhashed: Vec<u8>,
    /// Where the current record begins, or the next one.
    offset: u64,
    buffer: Vec<u8>,
    record: Record,
    digest: Option<Digest>,
    /// Whether an error was given.
    failed: bool,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// When `input` does not begin like a binary recording of a known version.
    pub fn new(input: R) -> Result<Self, ReadError> {
        Reader::with_limits(input, Limits::default())
    }

    /// Like [`Reader::new`], with other limits.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn with_limits(mut input: R, limits: Limits) -> Result<Self, ReadError> {
        let mut start = Vec::new();
        let wanted = PREAMBLE.len() as u64;
        input.by_ref().take(wanted).read_to_end(&mut start).map_err(ReadError::Io)?;
        if start.is_empty() || !MAGIC.starts_with(&start[..start.len().min(MAGIC.len())]) {
            return Err(ReadError::NotARecording);
        }
        let version = match start.get(MAGIC.len()) {
            None => {
                let expected = "the format version";
                return Err(ReadError::CutOff { record: 0, offset: 0, expected });
            }
            Some(&found @ 1..=VERSION) => found,
            Some(&found) if found > VERSION => {
                let (found, supported) = (found.into(), VERSION.into());
                return Err(ReadError::Newer { found, supported });
            }
            Some(_) => {
                let what = "format 0 never existed, expected 1".to_owned();
                return Err(ReadError::Damaged { record: 0, offset: 0, what });
            }
        };
        let mut decoder = zstd::Decoder::with_buffer(input).map_err(ReadError::Io)?.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(ReadError::Io)?;
        Ok(Reader {
            input: BufReader::with_capacity(32 << 10, decoder),
            limits,
            state: State::default(),
            version,
            hash: Sha256::new_with_prefix(preamble(version)),
            unhashed: Vec::new(),
            offset: PREAMBLE.len() as u64,
            buffer: Vec::new(),
            record: Record::default(),
            digest: None,
            failed: false,
        })
    }

    /// The next event; none after [`Event::End`]. The end is only given once the whole file has
    /// been checked: counts, checksum, and that nothing follows.
    ///
    /// # Errors
    /// When the file can't be read or is damaged. No further event is given then.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ReadError> {
        if self.digest.is_some() {
            return Ok(None);
        }
        if self.failed {
            return Err(self.damaged("the bytes before could not be read".to_owned()));
        }
        self.failed = true;
        self.advance()?;
        self.failed = false;
        Ok(Some(self.record.event(&self.buffer)))
    }

    /// Reads the next record.
    fn advance(&mut self) -> Result<(), ReadError> {
        let length = self.length()?;
        self.payload(length)?;
        let version = self.version;
        let mut fields = Fields { bytes: &self.buffer, state: &mut self.state, version };
        if let Err(what) = fields.record(&mut self.record) {
            return Err(self.damaged(what));
        }
        let last = matches!(self.record, Record::End(_));
        if last {
            self.check_end()?;
        }
        self.offset += self.hash_record();
        if last {
            self.hash.update(&self.unhashed);
            let hash = std::mem::take(&mut self.hash).finalize();
            self.digest = Some(Digest::from_parts(hash.into(), self.offset));
        }
        Ok(())
    }

    /// Hands every event that is left to `sink`, and gives the recording's digest: the one that
    /// its writer got.
    ///
    /// # Errors
    /// As [`Reader::next_event`], and when `sink` refuses an event.
    pub fn drain(mut self, sink: &mut dyn Sink) -> Result<Digest, ReadError> {
        while let Some(event) = self.next_event()? {
            sink.put(&event).map_err(ReadError::Sink)?;
        }
        Ok(self.digest.expect("the last event sets it"))
    }

    /// The recording's digest, once [`Event::End`] was given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Reads the length of the next record.
    fn length(&mut self) -> Result<usize, ReadError> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            match self.input.read(&mut byte) {
                Ok(0) => return Err(self.cut_off("another record, the last one being the end")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.decoding(error)),
            }
            match varint::step(&mut value, &mut shift, byte[0]) {
                Ok(None) => {}
                Ok(Some(length)) if (1..=MAX_RECORD as u64).contains(&length) => {
                    if self.offset.saturating_add(length) > self.limits.bytes {
                        let (record, limit) = (self.state.records(), self.limits.bytes);
                        return Err(ReadError::TooLarge { record, limit });
                    }
                    return Ok(length as usize);
                }
                _ => {
                    let most = MAX_RECORD;
                    return Err(self.damaged(format!("expected a length from 1 to {most} bytes")));
                }
            }
        }
    }

    /// Reads one record into the buffer, which grows only as bytes really come.
    fn payload(&mut self, length: usize) -> Result<(), ReadError> {
        self.buffer.clear();
        let ready = self.input.buffer();
        if let Some(record) = ready.get(..length) {
            self.buffer.extend_from_slice(record);
            self.input.consume(length);
            return Ok(());
        }
        match self.input.by_ref().take(length as u64).read_to_end(&mut self.buffer) {
            Ok(read) if read == length => Ok(()),
            Ok(_) => Err(self.cut_off("the rest of the record")),
            Err(error) => Err(self.decoding(error)),
        }
    }

    /// Hashes the current record, at once or later; gives its size in the stream.
    fn hash_record(&mut self) -> u64 {
        let before = self.unhashed.len();
        varint::put(&mut self.unhashed, self.buffer.len() as u64);
        self.unhashed.extend_from_slice(&self.buffer);
        let size = self.unhashed.len() - before;
        if self.unhashed.len() >= CHUNK {
            self.hash.update(&self.unhashed);
            self.unhashed.clear();
        }
        size as u64
    }

    /// Checks that the compressed stream ends here with a right checksum, and the file with it.
    fn check_end(&mut self) -> Result<(), ReadError> {
        let mut rest = [0];
        match self.input.read(&mut rest) {
            Ok(0) => {}
            Ok(_) => return Err(self.damaged("records follow the end record".to_owned())),
            Err(error) => return Err(self.decoding(error)),
        }
        match self.input.get_mut().get_mut().fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(self.damaged("bytes follow the end of the recording".to_owned())),
            Err(error) => Err(ReadError::Io(error)),
        }
    }

    fn cut_off(&self, expected: &'static str) -> ReadError {
        ReadError::CutOff { record: self.state.records(), offset: self.offset, expected }
    }

    fn damaged(&self, what: String) -> ReadError {
        ReadError::Damaged { record: self.state.records(), offset: self.offset, what }
    }

    /// An error from the decompressor: of the file, of its length, or of its content.
    fn decoding(&self, error: io::Error) -> ReadError {
        if error.raw_os_error().is_some() {
            ReadError::Io(error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            self.cut_off("more compressed bytes")
        } else {
            self.damaged(format!("the compressed bytes are wrong ({error})"))
        }
    }
}
