//! JSON to a recording. Nothing in the text is trusted.

use super::VERSION;
use super::model::{
    Access, Argument, Contact, Document, Exec, Exit, InputStamp, Process, State, join,
};
use crate::binary::Limits;
use crate::{
    Completeness, HostNote, Image, PathId, Paths, ProcessId, ReadError, Reason, Recording,
};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::error::Category;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

/// Reads the JSON form. Ids are checked later, when the digest is taken.
pub(crate) fn read(mut input: impl BufRead, limits: Limits) -> Result<Recording, ReadError> {
    // The version comes first, so it can be told before the parser stumbles over what it
    // does not know.
    let start = input.fill_buf().map_err(ReadError::Io)?;
    check_version(first_version(start).unwrap_or(VERSION))?;
    let mut input = input.take(limits.bytes.saturating_add(1));
    let document: Result<Document<'_, List>, _> = {
        let mut deserializer = serde_json::Deserializer::from_reader(&mut input);
        Document::deserialize(&mut deserializer).and_then(|d| deserializer.end().map(|()| d))
    };
    if input.limit() == 0 {
        return Err(ReadError::TooLarge { record: 0, limit: limits.bytes });
    }
    let document = document.map_err(|error| match error.classify() {
        Category::Io => ReadError::Io(error.into()),
        _ => {
            let place = format!("line {}, column {}", error.line(), error.column());
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or_default().to_owned();
            ReadError::Json { place, what }
        }
    })?;
    check_version(document.airtight_recording)?;
    recording(document)
}

/// The version, if the text begins with it.
fn first_version(start: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(&start[..start.iter().position(|&b| b == b',')?]).ok()?;
    let value = text.trim_start().strip_prefix('{')?.trim_start();
    let value = value.strip_prefix("\"airtight_recording\"")?.trim_start().strip_prefix(':')?;
    value.trim().parse().ok()
}

fn check_version(found: u64) -> Result<(), ReadError> {
    match found {
        1..=VERSION => Ok(()),
        0 => Err(bad("airtight_recording", "format 0 never existed, expected 1")),
        _ => Err(ReadError::Newer { found, supported: VERSION }),
    }
}

fn bad(place: impl Into<String>, what: impl Into<String>) -> ReadError {
    ReadError::Json { place: place.into(), what: what.into() }
}

fn recording(document: Document<'_, List>) -> Result<Recording, ReadError> {
    let List { mut paths, mut syscalls, accesses, .. } = document.accesses;
    if syscalls.is_empty() {
        syscalls.push(String::new());
    }
    let cwd = join(document.cwd, document.cwd_b64).map_err(|what| bad("cwd", what))?;
    let mut recording = Recording {
        header: crate::Header {
            tracer_version: document.tracer_version.into_owned(),
            backend: document.backend.into_owned(),
            host: document.host.into_owned(),
            kernel: document.kernel.into_owned(),
            time: document.time,
            cwd: cwd.unwrap_or_default(),
            command: arguments(document.command).map_err(|what| bad("command", what))?,
        },
        syscalls,
        accesses,
        ..Recording::default()
    };
    for (i, value) in document.processes.into_iter().enumerate() {
        let converted = process(value, i, &mut paths);
        let converted = converted.map_err(|what| bad(format!("processes[{i}]"), what))?;
        recording.processes.push(converted);
    }
    for (i, value) in document.contacts.into_iter().enumerate() {
        let converted = contact(value);
        recording.host.push(converted.map_err(|what| bad(format!("contacts[{i}]"), what))?);
    }
    for (i, value) in document.stamps.into_iter().enumerate() {
        let InputStamp { path, path_b64, before, after } = value;
        let path = join(path, path_b64).and_then(|path| intern(&mut paths, path));
        let path = path.map_err(|what| bad(format!("stamps[{i}]"), what))?;
        recording.stamps.push((path, before, after));
    }
    let reasons: Vec<_> = document
        .reasons
        .into_iter()
        .map(|reason| Reason {
            code: reason.code,
            detail: reason.detail.into_owned(),
            process: reason.process.map(ProcessId),
        })
        .collect();
    recording.end = Some(match (document.state, reasons.is_empty()) {
        (State::Complete, true) => Completeness::Complete,
        (State::Incomplete, false) => Completeness::Incomplete { reasons },
        (State::Complete, false) => return Err(bad("reasons", "expected none when complete")),
        (State::Incomplete, true) => return Err(bad("reasons", "expected one when incomplete")),
    });
    recording.paths = paths;
    Ok(recording)
}

fn arguments(list: Vec<Argument<'_>>) -> Result<Vec<Vec<u8>>, String> {
    list.into_iter().map(Argument::into_bytes).collect()
}

fn intern(paths: &mut Paths, path: Option<Vec<u8>>) -> Result<PathId, String> {
    let path = path.unwrap_or_default();
    if !paths.has_room(path.len()) {
        return Err("more than 4 GiB of paths".to_owned());
    }
    Ok(paths.intern(&path))
}

fn process(value: Process<'_>, i: usize, paths: &mut Paths) -> Result<crate::Process, String> {
    if value.id as usize != i {
        return Err(format!("expected id {i}, found {}", value.id));
    }
    if let Some(parent) = value.parent.filter(|&parent| parent >= value.id) {
        return Err(format!("expected a parent below {i}, found {parent}"));
    }
    let exit = match (value.end, value.exit) {
        (Some(seq), Some(Exit::Code(code))) => Some((seq, crate::Exit::Code(code))),
        (Some(seq), Some(Exit::Signal(signal))) => Some((seq, crate::Exit::Signal(signal))),
        (None, None) => None,
        _ => return Err("expected both end and exit, or neither".to_owned()),
    };
    let images = value.execs.into_iter().map(|exec| {
        let Exec { seq, exe, exe_b64, argv, cwd, cwd_b64, env } = exec;
        Ok(Image {
            seq,
            exe: intern(paths, join(exe, exe_b64)?)?,
            argv: arguments(argv)?,
            cwd: intern(paths, join(cwd, cwd_b64)?)?,
            env: arguments(env)?,
        })
    });
    Ok(crate::Process {
        id: ProcessId(value.id),
        parent: value.parent.map(ProcessId),
        pid: value.pid,
        start: value.start,
        images: images.collect::<Result<_, String>>()?,
        exit,
    })
}

fn contact(value: Contact<'_>) -> Result<HostNote, String> {
    Ok(HostNote {
        process: ProcessId(value.process),
        kind: value.kind,
        detail: join(value.detail, value.detail_b64)?.unwrap_or_default(),
        errno: value.errno,
        count: value.count,
        first: value.first,
    })
}

/// The list of accesses, packed while it is read.
#[derive(Default)]
struct List {
    paths: Paths,
    syscalls: Vec<String>,
    syscall_numbers: HashMap<String, u16>,
    accesses: Vec<crate::Access>,
}

impl List {
    fn push(&mut self, value: Access<'_>) -> Result<(), String> {
        let path = join(value.path, value.path_b64)?;
        let path = Some(path.ok_or("missing field `path` or `path_b64`")?);
        let access = crate::Access {
            process: ProcessId(value.process),
            path: intern(&mut self.paths, path)?,
            requested: intern(&mut self.paths, join(value.requested, value.requested_b64)?)?,
            other: intern(&mut self.paths, join(value.target, value.target_b64)?)?,
            kind: value.kind,
            op: value.op,
            errno: value.errno,
            syscall: self.syscall(value.syscall.as_deref())?,
            flags: value.flags,
            object: value.object.map_or(0, |object| object.bits()),
            count: value.count,
            first: value.first,
            last: value.last.unwrap_or(value.first),
        };
        if value.exists.is_some_and(|exists| exists != access.exists()) {
            return Err("`exists` contradicts `errno`".to_owned());
        }
        self.accesses.push(access);
        Ok(())
    }

    fn syscall(&mut self, name: Option<&str>) -> Result<u16, String> {
        let Some(name) = name else { return Ok(0) };
        if let Some(&index) = self.syscall_numbers.get(name) {
            return Ok(index);
        }
        if self.syscalls.is_empty() {
            self.syscalls.push(String::new());
        }
        let index = u16::try_from(self.syscalls.len()).map_err(|_| "too many syscall names")?;
        self.syscalls.push(name.to_owned());
        self.syscall_numbers.insert(name.to_owned(), index);
        Ok(index)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of accesses")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List, A::Error> {
                let mut list = List::default();
                while let Some(element) = elements.next_element()? {
                    list.push(element).map_err(A::Error::custom)?;
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}
