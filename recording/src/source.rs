//! Recordings that can be gone through more than once, and reading one into memory.

use crate::binary::{self, Digester, Limits, Reader};
use crate::{Access, Digest, Event, ReadError, Recording, Sink, json};
use std::io::{self, BufRead, BufReader, Read, Seek};

/// A recording whose events can be gone through as often as needed.
pub trait Source {
    /// Hands every event, in an order that defines ids before they are used, to `sink`.
    ///
    /// # Errors
    /// When the recording can't be read, or `sink` refuses an event.
    fn replay(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError>;
}

/// A binary recording that stays in its file: memory does not grow with its length.
#[derive(Debug)]
pub struct BinarySource<F> {
    file: F,
    limits: Limits,
}

impl<F: Read + Seek> BinarySource<F> {
    /// Events come from `file`, which begins with the recording.
    pub fn new(file: F) -> Self {
        BinarySource::with_limits(file, Limits::default())
    }

    /// Like [`BinarySource::new`], with other limits.
    pub fn with_limits(file: F, limits: Limits) -> Self {
        BinarySource { file, limits }
    }
}

impl<F: Read + Seek> Source for BinarySource<F> {
    fn replay(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError> {
        self.file.rewind().map_err(ReadError::Io)?;
        let input = BufReader::new(&mut self.file);
        Reader::with_limits(input, self.limits)?.drain(sink).map(drop)
    }
}

impl Source for &Recording {
    fn replay(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError> {
        Recording::replay(self, sink).map_err(ReadError::Sink)
    }
}

impl Recording {
    /// Hands everything to `sink` as events: names and processes first, then the accesses as
    /// they stand. There is no [`Event::End`] when this recording has none.
    ///
    /// # Errors
    /// When `sink` refuses an event.
    pub fn replay(&self, sink: &mut dyn Sink) -> io::Result<()> {
        self.replay_names(sink)?;
        for access in &self.accesses {
            sink.put(&Event::Access(access))?;
        }
        match &self.end {
            Some(end) => sink.put(&Event::End(end)),
            None => Ok(()),
        }
    }

    /// Everything before the accesses.
    fn replay_names(&self, sink: &mut dyn Sink) -> io::Result<()> {
        sink.put(&Event::Header(&self.header))?;
        for (id, path) in self.paths.iter().skip(1) {
            sink.put(&Event::Path(id, path))?;
        }
        for (index, name) in (0u16..).zip(&self.syscalls).skip(1) {
            sink.put(&Event::Syscall(index, name))?;
        }
        for process in &self.processes {
            let (id, parent, pid, seq) = (process.id, process.parent, process.pid, process.start);
            sink.put(&Event::Process { id, parent, pid, seq })?;
            for image in &process.images {
                sink.put(&Event::Image(id, image))?;
            }
            if let Some((seq, exit)) = process.exit {
                sink.put(&Event::Exit(id, seq, exit))?;
            }
        }
        for note in &self.host {
            sink.put(&Event::Host(note))?;
        }
        for &(path, before, after) in &self.stamps {
            sink.put(&Event::Stamp { path, before, after })?;
        }
        Ok(())
    }

    /// The digest of this recording when it is written in the order of [`Recording::replay`].
    /// A file written as events came has another order, and so another digest: for that one use
    /// what [`binary::Writer::finish`] or [`Recording::read`] gave.
    ///
    /// # Errors
    /// When the recording has no end, or an id in it is not defined.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut digester = Digester::default();
        self.replay(&mut digester)?;
        digester.finish()
    }

    /// Reads a binary or JSON recording; the first byte tells which.
    ///
    /// The digest of a binary recording is that which its writer got. JSON does not keep the
    /// order of events: its digest is [`Recording::digest`] of what was read.
    ///
    /// # Errors
    /// When it can't be read, is cut off or damaged, or comes from a newer format.
    pub fn read(input: impl BufRead) -> Result<(Recording, Digest), ReadError> {
        Recording::read_with(input, Limits::default())
    }

    /// Like [`Recording::read`], with other limits.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn read_with(
        mut input: impl BufRead,
        limits: Limits,
    ) -> Result<(Recording, Digest), ReadError> {
        match input.fill_buf().map_err(ReadError::Io)?.first() {
            Some(&first) if first == binary::MAGIC[0] => {
                let mut recording = Recording::default();
                let digest = Reader::with_limits(input, limits)?.drain(&mut recording)?;
                Ok((recording, digest))
            }
            Some(b'{' | b' ' | b'\t' | b'\r' | b'\n') => {
                let recording = json::read(input, limits)?;
                let digest = recording.digest().map_err(|error| ReadError::Json {
                    place: "the whole".to_owned(),
                    what: error.to_string(),
                })?;
                Ok((recording, digest))
            }
            _ => Err(ReadError::NotARecording),
        }
    }
}

/// Collects everything but the accesses, which it only counts.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) recording: Recording,
    pub(crate) accesses: u64,
}

impl Sink for Outline {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Access(_) => self.accesses += 1,
            event => self.recording.put(event)?,
        }
        Ok(())
    }
}

/// Only the accesses, given to a closure.
pub(crate) struct Accesses<F>(pub(crate) F);

impl<F: FnMut(&Access) -> io::Result<()>> Sink for Accesses<F> {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Access(access) => self.0(access),
            _ => Ok(()),
        }
    }
}
