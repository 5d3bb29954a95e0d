//! Parts of the tree that are recorded on their own as well, for a process of the tree that asked
//! for it ([`crate::Parts`]).
//!
//! A part has a log of its own, with its own numbers, stamps and reasons, as if the tracer had
//! begun with it: what the rest of the tree did before, or does meanwhile, is another's doing there.
//! Only the clock is shared. Parts can have parts.

use super::{Call, Exit, Fact, Log, Out, Tally};
use airtight_recording::{Event, Header, HostKind, ProcessId, Reason, ReasonCode, Recording};
use rustc_hash::FxHashMap;
use std::cell::{RefCell, RefMut};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The recording of a part.
#[derive(Clone)]
pub(crate) struct Part(Rc<RefCell<Log<'static>>>);

/// The parts of one log.
#[derive(Default)]
pub(super) struct Parts {
    /// Those that have a process.
    open: Vec<Part>,
    /// Which part a process is in, and its number there.
    members: FxHashMap<ProcessId, (Part, ProcessId)>,
    /// In the log of a part: what its processes have done.
    tallies: FxHashMap<ProcessId, Tally>,
    /// The processes that have begun a part.
    begun: Vec<ProcessId>,
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl Part {
    /// A part without processes yet, in which these variables are noted.
    pub(crate) fn new(header: &Header, marks: Vec<String>) -> Part {
        let mut log = Log::empty(Out::Kept(Box::default()), marks);
        log.put(&Event::Header(header));
        Part(Rc::new(RefCell::new(log)))
    }

    /// Whether a process was born into it.
    pub(crate) fn has_processes(&self) -> bool {
        self.0.borrow().processes > 0
    }

    /// Whether one of its processes has executed a program.
    pub(crate) fn has_images(&self) -> bool {
        match &self.0.borrow().sink {
            Out::Kept(recording) => recording.processes.iter().any(|p| !p.images.is_empty()),
            Out::Given(_) => false,
        }
    }

    /// The log, at a time of the clock that the next event takes.
    pub(super) fn at(&self, seq: u64) -> RefMut<'_, Log<'static>> {
        let mut log = self.0.borrow_mut();
        log.seq = seq.saturating_sub(1);
        log
    }

    /// The log and a tally in it, in the group of facts of this time.
    fn facts<T>(
        &self,
        seq: u64,
        process: ProcessId,
        put: impl FnOnce(&mut Log<'static>, &mut Tally) -> T,
    ) -> T {
        let log = &mut *self.0.borrow_mut();
        log.seq = seq;
        let mut tally = log.parts.tallies.remove(&process).unwrap_or_default();
        let result = put(log, &mut tally);
        log.parts.tallies.insert(process, tally);
        result
    }

    /// As [`Log::emit`].
    pub(crate) fn emit(&self, seq: u64, process: ProcessId, call: Call, fact: &Fact<'_>) {
        self.facts(seq, process, |log, tally| log.emit(process, tally, call, fact));
    }

    /// As [`Log::emit_read`].
    pub(crate) fn emit_read(
        &self,
        seq: u64,
        process: ProcessId,
        call: Call,
        fact: &Fact<'_>,
        stat: &libc::stat,
    ) {
        self.facts(seq, process, |log, tally| log.emit_read(process, tally, call, fact, stat));
    }

    /// As [`Log::watch`].
    pub(super) fn watch(
        &self,
        seq: u64,
        process: ProcessId,
        call: Call,
        fact: &Fact<'_>,
        file: Option<OwnedFd>,
        stat: &libc::stat,
    ) {
        self.facts(seq, process, |log, tally| log.watch(process, tally, call, fact, file, stat));
    }

    /// Ends the recording at a time and gives it out. `name` tells what a process is called, by
    /// its pid: one that has not ended makes the recording incomplete.
    pub(crate) fn end(
        &self,
        seq: u64,
        name: impl Fn(u32) -> String,
        stat: impl FnMut(&[u8]) -> Option<libc::stat>,
    ) -> crate::Part {
        let log = &mut *self.at(seq);
        let mut alive: Vec<_> = std::mem::take(&mut log.parts.tallies).into_iter().collect();
        alive.sort_unstable_by_key(|(id, _)| *id);
        for (id, tally) in alive {
            let pid = match &log.sink {
                Out::Kept(recording) => recording.processes.get(id.0 as usize).map(|p| p.pid),
                Out::Given(_) => None,
            };
            let name = pid.map(&name).unwrap_or_default();
            log.note(id, HostKind::SurvivingProcess, name.as_bytes(), 0);
            log.incomplete(Some(id), ReasonCode::SurvivingProcess, || {
                format!("{name} outlived the command and lives on")
            });
            log.flush(id, tally);
        }
        log.end(stat);
        let recording = match &mut log.sink {
            Out::Kept(recording) => *std::mem::take(recording),
            Out::Given(_) => Recording::default(),
        };
        crate::Part { recording, begun: std::mem::take(&mut log.parts.begun) }
    }
}

impl Log<'_> {
    /// The part that a process is in, with its number there.
    pub(super) fn part_of(&self, process: ProcessId) -> Option<(Part, ProcessId)> {
        // Most trees have no parts.
        if self.parts.members.is_empty() {
            return None;
        }
        self.parts.members.get(&process).cloned()
    }

    /// The innermost part that a process is in.
    pub(crate) fn innermost(&self, process: ProcessId) -> Option<(Part, ProcessId)> {
        let (part, id) = self.part_of(process)?;
        let deeper = part.0.borrow().innermost(id);
        Some(deeper.unwrap_or((part, id)))
    }

    /// Whether this variable is noted of a process, here or in a part.
    pub(crate) fn notes(&self, process: ProcessId, name: &[u8]) -> bool {
        self.noted.iter().any(|mark| mark.as_bytes() == name)
            || self.part_of(process).is_some_and(|(part, id)| part.0.borrow().notes(id, name))
    }

    /// Whether any variable is noted of a process.
    pub(crate) fn has_marks(&self, process: ProcessId) -> bool {
        !self.noted.is_empty()
            || self.part_of(process).is_some_and(|(part, id)| part.0.borrow().has_marks(id))
    }

    /// The time.
    pub(crate) fn now(&self) -> u64 {
        self.seq
    }

    /// A birth in the part that the parent is in, or else in the one that it has begun.
    pub(super) fn birth_in_part(
        &mut self,
        id: ProcessId,
        parent: Option<ProcessId>,
        pid: i32,
        begun: Option<&Part>,
    ) {
        let around = parent.and_then(|parent| self.part_of(parent));
        let (part, parent, begun) = match (around, begun) {
            (Some((part, parent)), begun) => (part, Some(parent), begun),
            (None, Some(begun)) => (begun.clone(), None, None),
            (None, None) => return,
        };
        if !part.has_processes() {
            self.parts.open.push(part.clone());
            // What concerns everything concerns the part too, also from before it.
            let general = self.reasons.iter().filter(|reason| reason.process.is_none());
            part.0.borrow_mut().reasons.extend(general.cloned());
        }
        let (inner, tally) = part.at(self.seq).birth(parent, pid, begun);
        part.0.borrow_mut().parts.tallies.insert(inner, tally);
        self.parts.members.insert(id, (part, inner));
    }

    /// A process has begun a part.
    pub(crate) fn begins(&mut self, process: ProcessId) {
        if let Some((part, id)) = self.part_of(process) {
            part.0.borrow_mut().begins(id);
        }
        if !self.parts.begun.contains(&process) {
            self.parts.begun.push(process);
        }
    }

    /// The end of a process of a part.
    pub(super) fn death_kept(&mut self, process: ProcessId, exit: Exit) {
        let tally = self.parts.tallies.remove(&process).unwrap_or_default();
        self.death(process, tally, exit);
    }

    /// Passes a reason on to the part of its process, or to all if it is about none.
    pub(super) fn incomplete_part(&self, reason: &Reason) {
        let tell = |part: &Part, process| {
            let mut log = part.0.borrow_mut();
            log.incomplete(process, reason.code, || reason.detail.clone());
        };
        match reason.process {
            None => self.parts.open.iter().for_each(|part| tell(part, None)),
            Some(process) => {
                if let Some((part, id)) = self.part_of(process) {
                    tell(&part, Some(id));
                }
            }
        }
    }

    /// Records a part no longer.
    pub(crate) fn forget(&mut self, part: &Part) {
        let same = |other: &Part| Rc::ptr_eq(&other.0, &part.0);
        if self.parts.open.iter().any(same) {
            self.parts.open.retain(|other| !same(other));
            self.parts.members.retain(|_, (other, _)| !same(other));
        } else {
            self.parts.open.iter().for_each(|other| other.0.borrow_mut().forget(part));
        }
    }
}

#[cfg(test)]
mod tests;
