//! Any recording to JSON, in bounded memory.

use super::VERSION;
use super::layout::Lines;
use super::model::{
    Access, Argument, Contact, Document, Exec, Exit, InputStamp, Object, Process, Reason, State,
    split,
};
use crate::source::{Accesses, Outline};
use crate::{Completeness, Kind, ReadError, Recording, Source, errno_name};
use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// How many accesses are held at once, at least. About 12 MiB.
const ROOM: u64 = 1 << 17;

/// The most times that the accesses are gone through; beyond `PASSES * ROOM` accesses, more are
/// held at once instead.
const PASSES: u64 = 16;

/// Why no JSON came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The recording can't be read.
    #[error(transparent)]
    Source(#[from] ReadError),
    /// The JSON can't be written.
    #[error("can't be written: {0}")]
    Output(#[source] io::Error),
}

/// Writes a recording as JSON, accesses sorted by `first`.
///
/// The source is gone through several times, so that only names, processes and a part of the
/// accesses are in memory at once.
///
/// # Errors
/// When `source` can't be read or has no end, or `out` can't be written.
pub fn write(source: impl Source, out: impl Write) -> Result<(), WriteError> {
    write_with(source, out, |total| ROOM.max(total.div_ceil(PASSES)))
}

/// `room` tells for a number of accesses how many may be held at once.
fn write_with(
    mut source: impl Source,
    mut out: impl Write,
    room: impl Fn(u64) -> u64,
) -> Result<(), WriteError> {
    let mut outline = Outline::default();
    source.replay(&mut outline)?;
    let Outline { recording, accesses: total } = outline;
    let list = List {
        recording: &recording,
        total,
        room: usize::try_from(room(total)).unwrap_or(usize::MAX),
        source: RefCell::new(&mut source),
        failure: RefCell::new(None),
    };
    let document = document(&recording, &list)?;
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Lines::default());
    let result = document.serialize(&mut serializer);
    drop(document);
    if let Some(failure) = list.failure.into_inner() {
        return Err(failure.into());
    }
    result
        .map_err(io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .map_err(WriteError::Output)
}

fn document<'a, A>(recording: &'a Recording, accesses: A) -> Result<Document<'a, A>, ReadError> {
    let header = &recording.header;
    let (state, reasons) = match &recording.end {
        Some(Completeness::Complete) => (State::Complete, &[][..]),
        Some(Completeness::Incomplete { reasons }) => (State::Incomplete, &reasons[..]),
        None => {
            let what = "the recording has no end";
            return Err(ReadError::Sink(io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
    };
    let (cwd, cwd_b64) = split(&header.cwd);
    Ok(Document {
        airtight_recording: VERSION,
        tracer_version: Cow::Borrowed(&header.tracer_version),
        backend: Cow::Borrowed(&header.backend),
        host: Cow::Borrowed(&header.host),
        kernel: Cow::Borrowed(&header.kernel),
        time: header.time,
        cwd,
        cwd_b64,
        command: Argument::list(&header.command),
        state,
        reasons: reasons.iter().map(reason).collect(),
        exit: recording.exit().map(exit),
        processes: recording.processes.iter().map(|p| process(recording, p)).collect(),
        contacts: recording.host.iter().map(contact).collect(),
        stamps: recording.stamps.iter().map(|stamp| input_stamp(recording, stamp)).collect(),
        accesses,
    })
}

fn reason(reason: &crate::Reason) -> Reason<'_> {
    Reason {
        code: reason.code,
        detail: Cow::Borrowed(&reason.detail),
        process: reason.process.map(|id| id.0),
    }
}

fn exit(exit: crate::Exit) -> Exit {
    match exit {
        crate::Exit::Code(code) => Exit::Code(code),
        crate::Exit::Signal(signal) => Exit::Signal(signal),
    }
}

/// The fields of a path that may be absent.
fn optional(recording: &Recording, path: crate::PathId) -> (Option<Cow<'_, str>>, Option<String>) {
    if path.is_none() { (None, None) } else { split(recording.path(path)) }
}

fn process<'a>(recording: &'a Recording, process: &'a crate::Process) -> Process<'a> {
    let execs: Vec<_> = process.images.iter().map(|image| exec(recording, image)).collect();
    let seq = process.images.last().map_or(process.start, |image| image.seq);
    let last = recording.image_at(process.id, seq).map(|image| exec(recording, image));
    let (exe, exe_b64, argv, cwd, cwd_b64) = match last {
        Some(Exec { exe, exe_b64, argv, cwd, cwd_b64, .. }) => (exe, exe_b64, argv, cwd, cwd_b64),
        None => Default::default(),
    };
    Process {
        id: process.id.0,
        parent: process.parent.map(|id| id.0),
        pid: process.pid,
        exe,
        exe_b64,
        argv,
        cwd,
        cwd_b64,
        start: process.start,
        end: process.exit.map(|(seq, _)| seq),
        exit: process.exit.map(|(_, how)| exit(how)),
        execs,
    }
}

fn exec<'a>(recording: &'a Recording, image: &'a crate::Image) -> Exec<'a> {
    let (exe, exe_b64) = optional(recording, image.exe);
    let (cwd, cwd_b64) = optional(recording, image.cwd);
    let (argv, env) = (Argument::list(&image.argv), Argument::list(&image.env));
    Exec { seq: image.seq, exe, exe_b64, argv, cwd, cwd_b64, env }
}

fn contact(note: &crate::HostNote) -> Contact<'_> {
    let (detail, detail_b64) =
        if note.detail.is_empty() { (None, None) } else { split(&note.detail) };
    Contact {
        kind: note.kind,
        process: note.process.0,
        detail,
        detail_b64,
        errno: note.errno,
        error: errno_name(note.errno).map(Cow::Borrowed),
        count: note.count,
        first: note.first,
    }
}

fn input_stamp<'a>(
    recording: &'a Recording,
    &(path, before, after): &(crate::PathId, crate::Stamp, Option<crate::Stamp>),
) -> InputStamp<'a> {
    let (path, path_b64) = split(recording.path(path));
    InputStamp { path, path_b64, before, after }
}

fn access<'a>(recording: &'a Recording, access: &crate::Access) -> Access<'a> {
    let (path, path_b64) = split(recording.path(access.path));
    let (requested, requested_b64) = optional(recording, access.requested);
    let (target, target_b64) = optional(recording, access.other);
    let syscall = match access.syscall {
        0 => None,
        index => Some(Cow::Borrowed(recording.syscall(index))),
    };
    Access {
        path,
        path_b64,
        kind: access.kind,
        exists: (access.kind == Kind::Probe).then(|| access.exists()),
        op: access.op,
        object: Object::from_bits(access.object),
        errno: access.errno,
        error: errno_name(access.errno).map(Cow::Borrowed),
        process: access.process.0,
        syscall,
        flags: access.flags,
        requested,
        requested_b64,
        target,
        target_b64,
        count: access.count,
        first: access.first,
        last: (access.last != access.first).then_some(access.last),
    }
}

/// The list of accesses, which is made while it is written.
struct List<'a, S> {
    recording: &'a Recording,
    total: u64,
    /// How many accesses may be in memory.
    room: usize,
    source: RefCell<&'a mut S>,
    /// Why the source could not be read: a serializer can't carry it.
    failure: RefCell<Option<ReadError>>,
}

/// An access with its place in the order: by `first`, then as in the source.
#[derive(PartialEq, Eq)]
struct Placed {
    key: (u64, u64),
    access: crate::Access,
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: Source> List<'_, S> {
    /// The next accesses after `floor`, in order, as many as there is room for.
    fn following(&self, floor: Option<(u64, u64)>) -> Result<Vec<Placed>, ReadError> {
        let mut heap: BinaryHeap<Placed> = BinaryHeap::new();
        let mut position = 0;
        let mut keep = |access: &crate::Access| {
            let key = (access.first, position);
            position += 1;
            if floor.is_some_and(|floor| key <= floor) {
                return Ok(());
            }
            if heap.len() < self.room {
                heap.push(Placed { key, access: *access });
            } else if let Some(mut highest) = heap.peek_mut()
                && key < highest.key
            {
                *highest = Placed { key, access: *access };
            }
            Ok(())
        };
        self.source.borrow_mut().replay(&mut Accesses(&mut keep))?;
        Ok(heap.into_sorted_vec())
    }
}

impl<S: Source> Serialize for &List<'_, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let (mut written, mut floor) = (0, None);
        while written < self.total {
            let part = self.following(floor).map_err(|failure| {
                let error = Z::Error::custom(&failure);
                *self.failure.borrow_mut() = Some(failure);
                error
            })?;
            let Some(last) = part.last() else {
                return Err(Z::Error::custom("the recording changed while it was read"));
            };
            floor = Some(last.key);
            for placed in &part {
                list.serialize_element(&access(self.recording, &placed.access))?;
            }
            written += part.len() as u64;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Op, PathId, Process, ProcessId};

    /// Accesses with many equal times, in no order.
    fn shuffled() -> Recording {
        let mut recording = Recording::default();
        recording.syscalls.push(String::new());
        recording.processes.push(Process {
            id: ProcessId(0),
            parent: None,
            pid: 1,
            start: 0,
            images: Vec::new(),
            exit: None,
        });
        for i in 0..100u32 {
            let path = recording.paths.intern(format!("/{i}").as_bytes());
            let first = u64::from(i * 37 % 11);
            recording.accesses.push(Access {
                process: ProcessId(0),
                path,
                requested: PathId::NONE,
                other: PathId::NONE,
                kind: Kind::Read,
                op: Op::Open,
                errno: 0,
                syscall: 0,
                flags: 0,
                object: 0,
                count: 1,
                first,
                last: first,
            });
        }
        recording.end = Some(Completeness::Complete);
        recording
    }

    #[test]
    fn the_order_does_not_depend_on_the_room() {
        let mut recording = shuffled();
        let written = |recording: &Recording, room| {
            let mut out = Vec::new();
            write_with(recording, &mut out, |_| room).expect("the recording is valid");
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        let texts = [1, 2, 7, 99, 100, 101].map(|room| written(&recording, room));
        recording.accesses.sort_by_key(|access| access.first);
        let expected = written(&recording, 1000);
        for text in texts {
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_source_that_changes_or_fails_is_an_error() {
        struct Once(Option<Recording>);
        impl Source for Once {
            fn replay(&mut self, sink: &mut dyn crate::Sink) -> Result<(), ReadError> {
                let recording = self.0.take().ok_or(ReadError::NotARecording)?;
                Source::replay(&mut &recording, sink)
            }
        }
        struct Shrinking(Recording);
        impl Source for Shrinking {
            fn replay(&mut self, sink: &mut dyn crate::Sink) -> Result<(), ReadError> {
                Source::replay(&mut &self.0, sink)?;
                self.0.accesses.clear();
                Ok(())
            }
        }
        let error = write(Once(Some(shuffled())), io::sink()).expect_err("read once only");
        assert!(matches!(error, WriteError::Source(ReadError::NotARecording)), "{error}");
        let error = write(Shrinking(shuffled()), io::sink()).expect_err("accesses are gone");
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }
}
