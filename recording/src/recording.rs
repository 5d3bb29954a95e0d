//! A whole recording in memory.

use crate::{
    Access, Completeness, Event, Exit, Header, HostNote, Image, PathId, Paths, Process, ProcessId,
    Sink, Stamp,
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

    /// The name of a syscall; empty for what the kernel did on its own.
    pub fn syscall(&self, index: u16) -> &str {
        self.syscalls.get(usize::from(index)).map_or("", String::as_str)
    }

    /// Whether it has ended and nothing can have escaped.
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(Completeness::is_complete)
    }

    /// How the root process ended; none when the trace ended first.
    pub fn exit(&self) -> Option<Exit> {
        self.processes.first()?.exit.map(|(_, exit)| exit)
    }

    /// The images that led to what `process` did at `seq`, newest first: its own, then that of
    /// the process that forked it, and so on to the root. A process that runs its parent's
    /// image has no own entry.
    pub fn chain(&self, process: ProcessId, seq: u64) -> Vec<&Image> {
        let (mut at, mut seq) = (Some(process), seq);
        let mut chain = Vec::new();
        while let Some(process) = at.and_then(|id| self.processes.get(id.0 as usize)) {
            chain.extend(process.images.iter().rev().find(|image| image.seq <= seq));
            seq = process.start;
            // A parent comes before its children, so this ends even on made-up data.
            at = process.parent.filter(|parent| parent.0 < process.id.0);
        }
        chain
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
                if !self.paths.has_room(bytes.len()) {
                    return Err(bad("more than 4 GiB of paths"));
                }
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
                if parent.is_some_and(|parent| parent.0 >= id.0) {
                    return Err(bad("parent process not defined"));
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

/// Equal content: the same names, processes, contacts and stamps, and the same accesses in any
/// order. How paths and syscalls are numbered does not matter.
impl PartialEq for Recording {
    fn eq(&self, other: &Self) -> bool {
        let images = |recording: &Recording, process: &Process| -> Vec<_> {
            let content = |image: &Image| {
                let names = [image.exe, image.cwd].map(|id| recording.path(id).to_vec());
                (image.seq, names, image.argv.clone(), image.env.clone())
            };
            process.images.iter().map(content).collect()
        };
        let process = |a: &Process, b: &Process| {
            (a.id, a.parent, a.pid, a.start, a.exit) == (b.id, b.parent, b.pid, b.start, b.exit)
                && images(self, a) == images(other, b)
        };
        let stamp = |a: &(PathId, Stamp, Option<Stamp>), b: &(PathId, Stamp, Option<Stamp>)| {
            self.path(a.0) == other.path(b.0) && (a.1, a.2) == (b.1, b.2)
        };
        (&self.header, &self.host, &self.end) == (&other.header, &other.host, &other.end)
            && all_equal(&self.processes, &other.processes, process)
            && all_equal(&self.stamps, &other.stamps, stamp)
            && self.accesses.len() == other.accesses.len()
            && sorted_facts(self) == sorted_facts(other)
    }
}

fn all_equal<T>(a: &[T], b: &[T], equal: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
}

/// Every access without numbers that only this recording knows.
fn sorted_facts(recording: &Recording) -> Vec<impl Ord> {
    let fact = |access: &Access| {
        let Access { process, path, requested, other, kind, op, .. } = *access;
        let Access { errno, syscall, flags, object, count, first, last, .. } = *access;
        let names = [path, requested, other].map(|id| recording.path(id));
        let what = (process, kind, op, errno, recording.syscall(syscall), flags, object);
        ((first, last, count), what, names)
    };
    let mut facts: Vec<_> = recording.accesses.iter().map(fact).collect();
    facts.sort_unstable();
    facts
}
