//! Events to bytes.

use super::{MAX_RECORD, State, varint};
use crate::wire::{Tag, Wire};
use crate::{Access, Completeness, Event, Exit, Header, HostNote, Image, PathId, ProcessId, Stamp};
use std::io;

/// Turns events into records, and refuses those that no reader would take.
#[derive(Default)]
pub(super) struct Encoder {
    state: State,
    /// Records that wait to be taken.
    pub(super) pending: Vec<u8>,
    /// The record at work, without its length.
    record: Vec<u8>,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl Encoder {
    /// Whether the last event was put.
    pub(super) fn ended(&self) -> bool {
        self.state.counts[Tag::End.index()] > 0
    }

    /// Appends one event to `pending`; leaves everything as it was on an error.
    pub(super) fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.ended() {
            return Err(invalid("event after the end of the recording"));
        }
        if (self.state.records() == 0) != matches!(event, Event::Header(_)) {
            return Err(invalid("the header comes once and first"));
        }
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        let mut next = self.state.clone();
        let result = Fields { out: &mut record, state: &mut next }.event(event).and_then(|tag| {
            if record.len() > MAX_RECORD {
                return Err(invalid("event larger than 16 MiB"));
            }
            next.counts[tag.index()] += 1;
            Ok(())
        });
        if result.is_ok() {
            self.state = next;
            varint::put(&mut self.pending, record.len() as u64);
            self.pending.extend_from_slice(&record);
        }
        self.record = record;
        result
    }
}

/// The fields of one record.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    state: &'a mut State,
}

impl Fields<'_> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<Tag> {
        Ok(match *event {
            Event::Header(header) => {
                self.tag(Tag::Header);
                self.header(header);
                Tag::Header
            }
            Event::Path(id, bytes) => {
                self.tag(Tag::Path);
                if self.state.paths.checked_add(1) != Some(id.0) {
                    return Err(invalid("path number out of order"));
                }
                if bytes.is_empty() {
                    return Err(invalid("the empty path has a number already"));
                }
                self.state.paths = id.0;
                self.out.extend_from_slice(bytes);
                Tag::Path
            }
            Event::Syscall(index, name) => {
                self.tag(Tag::Syscall);
                if self.state.syscalls.checked_add(1) != Some(index) {
                    return Err(invalid("syscall index out of order"));
                }
                self.state.syscalls = index;
                self.out.extend_from_slice(name.as_bytes());
                Tag::Syscall
            }
            Event::Process { id, parent, pid, seq } => {
                self.tag(Tag::Process);
                if self.state.processes != id.0 || id.0 == u32::MAX {
                    return Err(invalid("process number out of order"));
                }
                self.optional_process(parent)?;
                self.state.processes += 1;
                self.number(pid);
                self.seq(seq);
                Tag::Process
            }
            Event::Image(id, image) => {
                self.tag(Tag::Image);
                self.process(id)?;
                self.image(image)?;
                Tag::Image
            }
            Event::Exit(id, seq, exit) => {
                self.tag(Tag::Exit);
                self.process(id)?;
                self.seq(seq);
                match exit {
                    Exit::Code(code) => self.out.extend([0, code]),
                    Exit::Signal(signal) => self.out.extend([1, signal]),
                }
                Tag::Exit
            }
            Event::Access(access) => {
                self.tag(Tag::Access);
                self.access(access)?;
                Tag::Access
            }
            Event::Host(note) => {
                self.tag(Tag::Host);
                self.host(note)?;
                Tag::Host
            }
            Event::Stamp { path, before, after } => {
                self.tag(Tag::Stamp);
                self.path(path)?;
                self.stamp(&before);
                self.out.push(u8::from(after.is_some()));
                if let Some(after) = after {
                    self.stamp(&after);
                }
                Tag::Stamp
            }
            Event::End(end) => {
                self.tag(Tag::End);
                self.end(end)?;
                Tag::End
            }
        })
    }

    fn tag(&mut self, tag: Tag) {
        self.out.push(tag.number());
    }

    fn number(&mut self, value: impl Into<u64>) {
        varint::put(self.out, value.into());
    }

    /// A time of the recording's own clock: most follow the one before closely.
    fn seq(&mut self, seq: u64) {
        let difference = seq.wrapping_sub(self.state.clock) as i64;
        self.state.clock = seq;
        self.number(varint::zigzag(difference));
    }

    /// Counted back from the newest path: most uses are of a path just defined.
    fn path(&mut self, id: PathId) -> io::Result<()> {
        let back = match id {
            PathId::NONE => 0,
            PathId(id) => {
                let back = self.state.paths.checked_sub(id);
                u64::from(back.ok_or_else(|| invalid("path not defined"))?) + 1
            }
        };
        self.number(back);
        Ok(())
    }

    fn process(&mut self, id: ProcessId) -> io::Result<()> {
        if id.0 >= self.state.processes {
            return Err(invalid("process not defined"));
        }
        self.number(id.0);
        Ok(())
    }

    fn optional_process(&mut self, id: Option<ProcessId>) -> io::Result<()> {
        match id {
            None => self.number(0u8),
            Some(id) if id.0 < self.state.processes => self.number(id.0 + 1),
            Some(_) => return Err(invalid("process not defined")),
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn list(&mut self, list: &[Vec<u8>]) {
        self.number(list.len() as u64);
        for item in list {
            self.bytes(item);
        }
    }

    fn header(&mut self, header: &Header) {
        for text in [&header.tracer_version, &header.backend, &header.host, &header.kernel] {
            self.bytes(text.as_bytes());
        }
        self.number(header.time);
        self.bytes(&header.cwd);
        self.list(&header.command);
    }

    fn image(&mut self, image: &Image) -> io::Result<()> {
        self.seq(image.seq);
        self.path(image.exe)?;
        self.path(image.cwd)?;
        self.list(&image.argv);
        self.list(&image.env);
        Ok(())
    }

    fn access(&mut self, access: &Access) -> io::Result<()> {
        let Access { process, path, requested, other, kind, op, .. } = *access;
        let Access { errno, syscall, flags, object, count, first, last, .. } = *access;
        if syscall > self.state.syscalls {
            return Err(invalid("syscall not defined"));
        }
        self.out.extend([kind.number(), op.number()]);
        self.process(process)?;
        self.path(path)?;
        self.path(requested)?;
        self.path(other)?;
        self.number(errno);
        self.number(syscall);
        self.number(flags);
        // File type bits sit at bit 12: bring them down.
        self.number(object.rotate_right(12));
        self.number(count);
        self.seq(first);
        self.number(varint::zigzag(last.wrapping_sub(first) as i64));
        Ok(())
    }

    fn host(&mut self, note: &HostNote) -> io::Result<()> {
        self.out.push(note.kind.number());
        self.process(note.process)?;
        self.number(note.errno);
        self.number(note.count);
        self.seq(note.first);
        self.bytes(&note.detail);
        Ok(())
    }

    fn stamp(&mut self, stamp: &Stamp) {
        self.number(stamp.dev);
        self.number(stamp.ino);
        self.number(stamp.size);
        self.number(varint::zigzag(stamp.mtime));
        self.number(varint::zigzag(stamp.ctime));
    }

    fn end(&mut self, end: &Completeness) -> io::Result<()> {
        for i in 0..Tag::End.index() {
            self.number(self.state.counts[i]);
        }
        let reasons: &[_] = match end {
            Completeness::Complete => &[],
            Completeness::Incomplete { reasons } if reasons.is_empty() => {
                return Err(invalid("an incomplete recording needs a reason"));
            }
            Completeness::Incomplete { reasons } => reasons,
        };
        self.number(reasons.len() as u64);
        for reason in reasons {
            self.out.push(reason.code.number());
            self.optional_process(reason.process)?;
            self.bytes(reason.detail.as_bytes());
        }
        Ok(())
    }
}
