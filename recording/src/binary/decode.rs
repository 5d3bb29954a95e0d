//! Bytes to events.

use super::{State, varint};
use crate::wire::{Tag, Wire};
use crate::{
    Access, Completeness, Event, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId,
    ProcessId, Reason, Stamp,
};
use std::str;

/// What a record says is wrong with it.
type Result<T> = std::result::Result<T, String>;

/// One decoded record. Paths and syscall names stay in the reader's buffer.
#[derive(Debug)]
pub(super) enum Record {
    Header(Header),
    Path(PathId),
    Syscall(u16),
    Process { id: ProcessId, parent: Option<ProcessId>, pid: u32, seq: u64 },
    Image(ProcessId, Image),
    Exit(ProcessId, u64, Exit),
    Access(Access),
    Host(HostNote),
    Stamp { path: PathId, before: Stamp, after: Option<Stamp> },
    End(Completeness),
}

impl Default for Record {
    fn default() -> Self {
        Record::Path(PathId::NONE)
    }
}

impl Record {
    /// The event; `buffer` is the record's bytes.
    pub(super) fn event<'a>(&'a self, buffer: &'a [u8]) -> Event<'a> {
        match self {
            Record::Header(header) => Event::Header(header),
            Record::Path(id) => Event::Path(*id, &buffer[1..]),
            Record::Syscall(index) => {
                Event::Syscall(*index, str::from_utf8(&buffer[1..]).expect("checked when read"))
            }
            &Record::Process { id, parent, pid, seq } => Event::Process { id, parent, pid, seq },
            Record::Image(id, image) => Event::Image(*id, image),
            &Record::Exit(id, seq, exit) => Event::Exit(id, seq, exit),
            Record::Access(access) => Event::Access(access),
            Record::Host(note) => Event::Host(note),
            &Record::Stamp { path, before, after } => Event::Stamp { path, before, after },
            Record::End(end) => Event::End(end),
        }
    }
}

/// The fields of one record.
pub(super) struct Fields<'a> {
    /// What is left of the record.
    pub(super) bytes: &'a [u8],
    pub(super) state: &'a mut State,
    /// The format that the file says it has.
    pub(super) version: u8,
}

impl<'a> Fields<'a> {
    /// Decodes the whole record, and counts it.
    pub(super) fn record(&mut self, into: &mut Record) -> Result<()> {
        let number = self.byte("a record type")?;
        let tag = Tag::from_number(number).ok_or_else(|| {
            format!("expected a record type from 1 to {}, found {number}", Tag::COUNT)
        })?;
        if (self.state.records() == 0) != (tag == Tag::Header) {
            return Err("the header must come first and once".to_owned());
        }
        *into = match tag {
            Tag::Header => Record::Header(self.header()?),
            Tag::Path => {
                if self.rest().is_empty() {
                    return Err("expected a path of at least one byte".to_owned());
                }
                self.state.paths = self.state.paths.checked_add(1).ok_or("too many paths")?;
                Record::Path(PathId(self.state.paths))
            }
            Tag::Syscall => {
                str::from_utf8(self.rest()).map_err(|_| "expected a syscall name in UTF-8")?;
                let next = self.state.syscalls.checked_add(1).ok_or("too many syscall names")?;
                self.state.syscalls = next;
                Record::Syscall(next)
            }
            Tag::Process => self.new_process()?,
            Tag::Image => Record::Image(self.process()?, self.image()?),
            Tag::Exit => Record::Exit(self.process()?, self.seq()?, self.exit()?),
            Tag::Access => Record::Access(self.access()?),
            Tag::Host => Record::Host(self.host()?),
            Tag::Stamp => {
                let (path, before) = (self.path()?, self.stamp()?);
                let after = if self.flag("whether the file was there")? {
                    Some(self.stamp()?)
                } else {
                    None
                };
                Record::Stamp { path, before, after }
            }
            Tag::End => Record::End(self.end()?),
        };
        if !self.bytes.is_empty() {
            return Err(format!("{} bytes more than a {tag:?} record has", self.bytes.len()));
        }
        self.state.counts[tag.index()] += 1;
        Ok(())
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    fn byte(&mut self, what: &str) -> Result<u8> {
        let (&byte, rest) = self.bytes.split_first().ok_or_else(|| format!("expected {what}"))?;
        self.bytes = rest;
        Ok(byte)
    }

    fn flag(&mut self, what: &str) -> Result<bool> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("expected {what} as 0 or 1, found {other}")),
        }
    }

    fn number(&mut self, what: &str) -> Result<u64> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte(what)?;
            match varint::step(&mut value, &mut shift, byte) {
                Ok(None) => {}
                Ok(Some(value)) => return Ok(value),
                Err(()) => return Err(format!("expected {what} as a number of 64 bits")),
            }
        }
    }

    fn small<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T> {
        let number = self.number(what)?;
        let bits = 8 * size_of::<T>();
        T::try_from(number).map_err(|_| format!("expected {what} of {bits} bits, found {number}"))
    }

    fn signed(&mut self, what: &str) -> Result<i64> {
        Ok(varint::unzigzag(self.number(what)?))
    }

    fn word<T: Wire>(&mut self, what: &str) -> Result<T> {
        let number = self.byte(what)?;
        let most = T::TABLE.len();
        T::from_number(number)
            .ok_or_else(|| format!("expected {what} from 1 to {most}, found {number}"))
    }

    fn seq(&mut self) -> Result<u64> {
        let difference = self.signed("a sequence number")?;
        self.state.clock = self.state.clock.wrapping_add(difference as u64);
        Ok(self.state.clock)
    }

    fn path(&mut self) -> Result<PathId> {
        let defined = self.state.paths;
        match self.number("a path")? {
            0 => Ok(PathId::NONE),
            back if back <= u64::from(defined) => Ok(PathId(defined + 1 - back as u32)),
            back => Err(format!("path {back} from the newest was used, {defined} are defined")),
        }
    }

    fn process(&mut self) -> Result<ProcessId> {
        let id: u32 = self.small("a process")?;
        self.defined(id)
    }

    fn defined(&self, id: u32) -> Result<ProcessId> {
        let defined = self.state.processes;
        if id < defined {
            return Ok(ProcessId(id));
        }
        Err(format!("process {id} was used, {defined} are defined"))
    }

    fn optional_process(&mut self) -> Result<Option<ProcessId>> {
        match self.small::<u32>("a process or none")? {
            0 => Ok(None),
            next => self.defined(next - 1).map(Some),
        }
    }

    fn slice(&mut self, what: &str) -> Result<&'a [u8]> {
        let length = self.number(what)?;
        let left = self.bytes.len();
        if length > left as u64 {
            return Err(format!("expected {length} bytes of {what}, {left} are left"));
        }
        let (slice, rest) = self.bytes.split_at(length as usize);
        self.bytes = rest;
        Ok(slice)
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let text = str::from_utf8(self.slice(what)?);
        Ok(text.map_err(|_| format!("expected {what} in UTF-8"))?.to_owned())
    }

    fn list(&mut self, what: &str) -> Result<Vec<Vec<u8>>> {
        let length = self.number(what)?;
        let left = self.bytes.len();
        // Each item takes a byte at least, so this bounds the allocation too.
        if length > left as u64 {
            return Err(format!("expected {length} {what}, {left} bytes are left"));
        }
        (0..length).map(|_| Ok(self.slice(what)?.to_vec())).collect()
    }

    fn header(&mut self) -> Result<Header> {
        Ok(Header {
            tracer_version: self.text("tracer version")?,
            backend: self.text("backend")?,
            host: self.text("host")?,
            kernel: self.text("kernel")?,
            time: self.number("a start time")?,
            cwd: self.slice("current directory")?.to_vec(),
            command: self.list("arguments")?,
        })
    }

    fn new_process(&mut self) -> Result<Record> {
        let parent = self.optional_process()?;
        let id = ProcessId(self.state.processes);
        self.state.processes = id.0.checked_add(1).ok_or("too many processes")?;
        Ok(Record::Process { id, parent, pid: self.small("a pid")?, seq: self.seq()? })
    }

    fn image(&mut self) -> Result<Image> {
        Ok(Image {
            seq: self.seq()?,
            exe: self.path()?,
            cwd: self.path()?,
            argv: self.list("arguments")?,
            env: if self.version < 2 { Vec::new() } else { self.list("variables")? },
        })
    }

    fn exit(&mut self) -> Result<Exit> {
        let by_signal = self.flag("whether a signal ended it")?;
        let value = self.byte("an exit code or signal")?;
        Ok(if by_signal { Exit::Signal(value) } else { Exit::Code(value) })
    }

    fn access(&mut self) -> Result<Access> {
        let (kind, op) = (self.word::<Kind>("an access kind")?, self.word::<Op>("an operation")?);
        let process = self.process()?;
        let (path, requested, other) = (self.path()?, self.path()?, self.path()?);
        let errno = self.small("an errno")?;
        let (syscall, defined) = (self.small("a syscall")?, self.state.syscalls);
        if syscall > defined {
            return Err(format!("syscall {syscall} was used, {defined} are defined"));
        }
        let flags = self.small("flags")?;
        let object = self.small::<u32>("a file type")?.rotate_left(12);
        let count = self.small("a count")?;
        let first = self.seq()?;
        let last = first.wrapping_add(self.signed("a sequence number")? as u64);
        Ok(Access {
            process,
            path,
            requested,
            other,
            kind,
            op,
            errno,
            syscall,
            flags,
            object,
            count,
            first,
            last,
        })
    }

    fn host(&mut self) -> Result<HostNote> {
        let kind = self.word::<HostKind>("a host contact")?;
        Ok(HostNote {
            kind,
            process: self.process()?,
            errno: self.small("an errno")?,
            count: self.small("a count")?,
            first: self.seq()?,
            detail: self.slice("detail")?.to_vec(),
        })
    }

    fn stamp(&mut self) -> Result<Stamp> {
        Ok(Stamp {
            dev: self.number("a device")?,
            ino: self.number("an inode")?,
            size: self.number("a size")?,
            mtime: self.signed("a time")?,
            ctime: self.signed("a time")?,
        })
    }

    fn end(&mut self) -> Result<Completeness> {
        for &(_, tag) in &Tag::TABLE[..Tag::End.index()] {
            let (count, seen) = (self.number("a count")?, self.state.counts[tag.index()]);
            if count != seen {
                return Err(format!("expected {count} {tag:?} records in all, found {seen}"));
            }
        }
        let count = self.number("a number of reasons")?;
        if count == 0 {
            return Ok(Completeness::Complete);
        }
        let mut reasons = Vec::new();
        for _ in 0..count {
            reasons.push(Reason {
                code: self.word("a reason")?,
                process: self.optional_process()?,
                detail: self.text("detail")?,
            });
        }
        Ok(Completeness::Incomplete { reasons })
    }
}
