//! Digests that name an action and a recording, each with a type of its own.

use airtight_recording::{Completeness, Digest, Exit, Recording};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The digest of an action: of its command, inputs, outputs and platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionDigest(pub Digest);

/// The digest of a recording. Only a recording makes one, so a verdict can't be passed off as
/// one on another recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingDigest(Digest);

macro_rules! shown {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    };
}
shown!(ActionDigest);
shown!(RecordingDigest);

/// Feeds a hash with fields that can't run into each other.
struct Feed {
    buffer: Vec<u8>,
    hash: Sha256,
    size: u64,
}

impl Feed {
    fn flush(&mut self) {
        self.hash.update(&self.buffer);
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
    }

    fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > 1 << 16 {
            self.flush();
        }
    }
}

impl RecordingDigest {
    /// The digest of everything in `recording`, independent of any file format.
    pub fn of(recording: &Recording) -> RecordingDigest {
        let mut feed = Feed { buffer: Vec::with_capacity(1 << 17), hash: Sha256::new(), size: 0 };
        let header = &recording.header;
        for text in [&header.tracer_version, &header.backend, &header.host, &header.kernel] {
            feed.bytes(text.as_bytes());
        }
        feed.number(header.time);
        feed.bytes(&header.cwd);
        feed.number(header.command.len() as u64);
        header.command.iter().for_each(|word| feed.bytes(word));
        feed.number(recording.paths.len() as u64);
        for id in 0..recording.paths.len() {
            feed.bytes(recording.paths.get(airtight_recording::PathId(id as u32)));
        }
        feed.number(recording.syscalls.len() as u64);
        recording.syscalls.iter().for_each(|name| feed.bytes(name.as_bytes()));
        feed.number(recording.processes.len() as u64);
        for process in &recording.processes {
            let parent = process.parent.map_or(u64::MAX, |p| u64::from(p.0));
            let (seq, exit) = match process.exit {
                None => (u64::MAX, 0),
                Some((seq, Exit::Code(code))) => (seq, 0x100 | u64::from(code)),
                Some((seq, Exit::Signal(signal))) => (seq, 0x200 | u64::from(signal)),
            };
            for number in [process.pid.into(), parent, process.start, seq, exit] {
                feed.number(number);
            }
            feed.number(process.images.len() as u64);
            for image in &process.images {
                feed.number(image.seq);
                feed.number(image.exe.0.into());
                feed.number(image.cwd.0.into());
                feed.number(image.argv.len() as u64);
                image.argv.iter().for_each(|word| feed.bytes(word));
            }
        }
        feed.number(recording.accesses.len() as u64);
        for access in &recording.accesses {
            let a = access;
            let small = [
                a.process.0,
                a.path.0,
                a.requested.0,
                a.other.0,
                u32::from(a.kind as u8) << 8 | u32::from(a.op as u8),
                u32::from(a.errno) << 16 | u32::from(a.syscall),
                a.flags,
                a.object,
                a.count,
            ];
            for number in small {
                feed.buffer.extend_from_slice(&number.to_le_bytes());
            }
            feed.number(a.first);
            feed.number(a.last);
            if feed.buffer.len() > 1 << 16 {
                feed.flush();
            }
        }
        feed.number(recording.host.len() as u64);
        for note in &recording.host {
            for number in [note.process.0, note.kind as u32, note.errno.into(), note.count] {
                feed.number(number.into());
            }
            feed.number(note.first);
            feed.bytes(&note.detail);
        }
        feed.number(recording.stamps.len() as u64);
        for (path, before, after) in &recording.stamps {
            feed.number(path.0.into());
            feed.number(after.is_some().into());
            for stamp in [before, &after.unwrap_or_default()] {
                for number in [stamp.dev, stamp.ino, stamp.size] {
                    feed.number(number);
                }
                feed.number(stamp.mtime.cast_unsigned());
                feed.number(stamp.ctime.cast_unsigned());
            }
        }
        match &recording.end {
            None => feed.number(0),
            Some(Completeness::Complete) => feed.number(1),
            Some(Completeness::Incomplete { reasons }) => {
                feed.number(2 + reasons.len() as u64);
                for reason in reasons {
                    feed.number(reason.code as u64);
                    feed.number(reason.process.map_or(u64::MAX, |p| p.0.into()));
                    feed.bytes(reason.detail.as_bytes());
                }
            }
        }
        feed.flush();
        RecordingDigest(Digest::from_parts(feed.hash.finalize().into(), feed.size))
    }

    /// The plain digest.
    pub fn digest(&self) -> Digest {
        self.0
    }
}
