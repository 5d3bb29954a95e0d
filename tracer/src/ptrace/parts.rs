//! Parts of the tree, which processes of the tree begin and end; see [`crate::Parts`].

use super::open::descriptors;
use super::*;
use crate::Signal;

/// How many variables a process may ask for.
const MOST_MARKS: usize = 64;

impl Tracer<'_, '_> {
    /// A thread is about to connect to an abstract socket. Whether that is a word to us.
    pub(super) fn part_signal(&mut self, tid: i32, name: &[u8]) -> bool {
        let signal = self.options.parts.as_ref().and_then(|parts| parts.signal(name));
        let (Some(signal), Some(id)) = (signal, self.process_of(tid)) else { return false };
        let tgid = self.tgid(tid);
        match signal {
            Signal::Note(name) => {
                let wanted = self.wanted.entry(tgid).or_default();
                if wanted.len() < MOST_MARKS && !wanted.contains(&name) {
                    wanted.push(name);
                }
            }
            Signal::Begin => {
                self.abandon_part(tgid);
                let mut marks = self.options.marks.clone();
                marks.extend(self.wanted.get(&tgid).into_iter().flatten().cloned());
                self.log.begins(id);
                if let Some(parts) = &mut self.options.parts {
                    parts.begun(id, tgid as u32, &marks);
                }
                self.parts.insert(tgid, Part::new(&self.header, marks));
            }
            Signal::End => self.end_part(tgid),
        }
        true
    }

    /// Gives out what was recorded of the children of a process.
    fn end_part(&mut self, tgid: i32) {
        let Some(part) = self.parts.remove(&tgid) else { return };
        self.log.forget(&part);
        let procs = &self.procs;
        let name = |pid: u32| {
            let proc = procs.get(&(pid as i32));
            proc.map_or_else(String::new, |p| String::from_utf8_lossy(&p.name).into_owned())
        };
        let ended = part.end(self.log.now(), name, stat_now());
        if let Some(parts) = &mut self.options.parts {
            parts.ended(tgid as u32, ended);
        }
    }

    /// Forgets a part whose process has ended, or begun another.
    pub(super) fn abandon_part(&mut self, tgid: i32) {
        if self.options.parts.is_none() {
            return;
        }
        if let Some(part) = self.parts.remove(&tgid) {
            self.log.forget(&part);
        }
        if let Some(parts) = &mut self.options.parts {
            parts.gone(tgid as u32);
        }
    }

    /// A process executes its first program. If a part begins with it, what it has from its maker
    /// is news there, and only there.
    pub(super) fn inherited_by_part(&mut self, tgid: i32) {
        if self.parts.is_empty() {
            return;
        }
        let Some(id) = self.procs.get(&tgid).map(|proc| proc.id) else { return };
        let Some((part, inner)) = self.log.innermost(id) else { return };
        if inner.0 != 0 || part.has_images() {
            return;
        }
        self.receiver = Some((part, inner));
        for fd in descriptors(tgid) {
            self.taken(tgid, fd, Op::Inherited, Call::KERNEL);
        }
        self.receiver = None;
    }
}
