//! A whole recording in memory.

use crate::{
    Access, Completeness, Event, Header, HostNote, Image, PathId, Paths, Process, ProcessId, Sink,
    Stamp,
};
use std::io;

/// Everything one trace saw. Feed it events (it is a [`Sink`]), or read it from a file.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// What was known at the start.
    pub header: Header,
    /// All path bytes; accesses refer to it.
    pub paths: Paths,
    /// Names of syscalls; index 0 is empty.
    pub syscalls: Vec<String>,
    /// All processes, at the index that is their number.
    pub processes: Vec<Process>,
    /// All accesses, not sorted.
    pub accesses: Vec<Access>,
    /// Contacts with the host.
    pub host: Vec<HostNote>,
    /// Stamps of inputs: at first open and at the end.
    pub stamps: Vec<(PathId, Stamp, Option<Stamp>)>,
    /// How it ended; none while it is not ended.
    pub end: Option<Completeness>,
}

impl Recording {
    /// The bytes of a path.
    pub fn path(&self, id: PathId) -> &[u8] {
        self.paths.get(id)
    }

    /// Whether it has ended and nothing can have escaped.
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(Completeness::is_complete)
    }

    /// The image a process ran when `seq` happened: its own newest one, or the one it had from
    /// its parent when it was forked.
    pub fn image_at(&self, process: ProcessId, seq: u64) -> Option<&Image> {
        let (mut process, mut seq) = (self.processes.get(process.0 as usize)?, seq);
        loop {
            if let Some(image) = process.images.iter().rev().find(|i| i.seq <= seq) {
                return Some(image);
            }
            seq = process.start;
            process = self.processes.get(process.parent?.0 as usize)?;
        }
    }
}

impl Sink for Recording {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        match *event {
            Event::Header(header) => {
                self.header = header.clone();
                self.syscalls = vec![String::new()];
            }
            Event::Path(id, bytes) => {
                if self.paths.intern_new(bytes) != (id, true) {
                    return Err(bad("path defined twice or out of order"));
                }
            }
            Event::Syscall(index, name) => {
                if self.syscalls.len() != usize::from(index) {
                    return Err(bad("syscall name out of order"));
                }
                self.syscalls.push(name.to_owned());
            }
            Event::Process { id, parent, pid, seq } => {
                if self.processes.len() != id.0 as usize {
                    return Err(bad("process number out of order"));
                }
                self.processes.push(Process {
                    id,
                    parent,
                    pid,
                    start: seq,
                    images: Vec::new(),
                    exit: None,
                });
            }
            Event::Image(id, image) => self.process_mut(id)?.images.push(image.clone()),
            Event::Exit(id, seq, exit) => self.process_mut(id)?.exit = Some((seq, exit)),
            Event::Access(access) => self.accesses.push(*access),
            Event::Host(note) => self.host.push(note.clone()),
            Event::Stamp { path, before, after } => self.stamps.push((path, before, after)),
            Event::End(end) => self.end = Some(end.clone()),
        }
        Ok(())
    }
}

impl Recording {
    fn process_mut(&mut self, id: ProcessId) -> io::Result<&mut Process> {
        self.processes
            .get_mut(id.0 as usize)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "process not defined"))
    }
}
