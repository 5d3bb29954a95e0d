//! One recording of several: an action that is more than one command.

use crate::{
    Access, Completeness, Exit, HostNote, Image, PathId, Paths, Process, ProcessId, Reason,
    ReasonCode, Recording, Stamp,
};
use rustc_hash::FxHashMap;
use std::io;

/// Puts recordings together that were made one after the other, in this order.
///
/// Their root processes become the children of a first process that did nothing itself, and ended
/// as `exit` says. A file has the stamp of the step that opened it first, and the last one that was
/// taken. The whole is complete if all parts are; of none, it is not.
///
/// # Errors
/// When there are more paths, names or processes than one recording can hold.
pub fn join(
    steps: impl IntoIterator<Item = Recording>,
    exit: Exit,
) -> Result<Recording, io::Error> {
    let mut whole = Joined::default();
    for step in steps {
        whole.add(step)?;
    }
    Ok(whole.finish(exit))
}

#[derive(Default)]
struct Joined {
    whole: Recording,
    /// The index of each syscall name.
    syscalls: FxHashMap<String, u16>,
    /// Where a path stands among the stamps.
    stamps: FxHashMap<PathId, usize>,
    reasons: Vec<Reason>,
    /// The highest sequence number so far.
    clock: u64,
}

impl Joined {
    fn add(&mut self, step: Recording) -> io::Result<()> {
        let whole = &mut self.whole;
        if whole.processes.is_empty() {
            whole.header = step.header.clone();
            whole.syscalls.push(String::new());
            whole.processes.push(Process {
                id: ProcessId(0),
                parent: None,
                pid: 0,
                start: 0,
                images: Vec::new(),
                exit: None,
            });
        }
        let paths = paths(&mut whole.paths, &step.paths)?;
        let path = |id: PathId| paths.get(id.0 as usize).copied().unwrap_or_default();
        let mut syscalls = Vec::with_capacity(step.syscalls.len());
        for name in &step.syscalls {
            syscalls.push(match (name.is_empty(), self.syscalls.get(name)) {
                (true, _) => 0,
                (false, Some(&index)) => index,
                (false, None) => {
                    let index = u16::try_from(whole.syscalls.len()).map_err(|_| too_many())?;
                    whole.syscalls.push(name.clone());
                    self.syscalls.insert(name.clone(), index);
                    index
                }
            });
        }
        let first = u32::try_from(whole.processes.len()).map_err(|_| too_many())?;
        u32::try_from(whole.processes.len() + step.processes.len()).map_err(|_| too_many())?;
        let process = |id: ProcessId| ProcessId(first.saturating_add(id.0));
        let begin = self.clock + 1;
        let mut clock = begin;
        let mut later = |seq: u64| {
            let seq = begin.saturating_add(seq);
            clock = clock.max(seq);
            seq
        };
        for old in step.processes {
            let images = old.images.into_iter().map(|image| Image {
                seq: later(image.seq),
                exe: path(image.exe),
                cwd: path(image.cwd),
                ..image
            });
            whole.processes.push(Process {
                id: process(old.id),
                parent: Some(old.parent.map_or(ProcessId(0), process)),
                pid: old.pid,
                images: images.collect(),
                start: later(old.start),
                exit: old.exit.map(|(seq, exit)| (later(seq), exit)),
            });
        }
        whole.accesses.extend(step.accesses.into_iter().map(|old| Access {
            process: process(old.process),
            path: path(old.path),
            requested: path(old.requested),
            other: path(old.other),
            syscall: syscalls.get(usize::from(old.syscall)).copied().unwrap_or(0),
            first: later(old.first),
            last: later(old.last),
            ..old
        }));
        whole.host.extend(step.host.into_iter().map(|old| HostNote {
            process: process(old.process),
            first: later(old.first),
            ..old
        }));
        for (id, before, after) in step.stamps {
            let id = path(id);
            match self.stamps.get(&id) {
                Some(&at) => {
                    let known: &mut (PathId, Stamp, Option<Stamp>) = &mut whole.stamps[at];
                    known.2 = after;
                }
                None => {
                    self.stamps.insert(id, whole.stamps.len());
                    whole.stamps.push((id, before, after));
                }
            }
        }
        match step.end {
            Some(Completeness::Complete) => {}
            Some(Completeness::Incomplete { reasons }) => {
                self.reasons.extend(
                    reasons
                        .into_iter()
                        .map(|reason| Reason { process: reason.process.map(process), ..reason }),
                );
            }
            None => self.reasons.push(other("the recording has no end")),
        }
        self.clock = clock;
        Ok(())
    }

    fn finish(mut self, exit: Exit) -> Recording {
        match self.whole.processes.first_mut() {
            Some(root) => root.exit = Some((self.clock + 1, exit)),
            None => self.reasons.push(other("nothing was recorded")),
        }
        self.whole.end = Some(match self.reasons.is_empty() {
            true => Completeness::Complete,
            false => Completeness::Incomplete { reasons: self.reasons },
        });
        self.whole
    }
}

/// Takes all of `more` in, and gives the new number of each.
fn paths(all: &mut Paths, more: &Paths) -> io::Result<Vec<PathId>> {
    let mut numbers = Vec::with_capacity(more.len());
    for (_, path) in more.iter() {
        if !all.has_room(path.len()) {
            return Err(too_many());
        }
        numbers.push(all.intern(path));
    }
    Ok(numbers)
}

fn too_many() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "too much for one recording")
}

fn other(what: &str) -> Reason {
    Reason { code: ReasonCode::Other, detail: what.to_owned(), process: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Op};

    /// A step in which one process reads and writes a file each.
    fn step(program: &str, reads: &str, writes: &str) -> Recording {
        let mut step = Recording { syscalls: vec![String::new()], ..Recording::default() };
        step.header.command = vec![program.as_bytes().to_vec()];
        step.syscalls.extend(["openat".to_owned(), format!("only-{program}")]);
        let exe = step.paths.intern(program.as_bytes());
        let image = Image { seq: 2, exe, argv: Vec::new(), cwd: PathId::NONE, env: Vec::new() };
        step.processes.push(Process {
            id: ProcessId(0),
            parent: None,
            pid: 7,
            start: 1,
            images: vec![image],
            exit: Some((9, Exit::Code(0))),
        });
        for (first, (name, kind)) in [(reads, Kind::Read), (writes, Kind::Write)].iter().enumerate()
        {
            let path = step.paths.intern(name.as_bytes());
            let stamp =
                Stamp { size: first as u64, ino: step.paths.len() as u64, ..Stamp::default() };
            step.stamps.push((path, stamp, Some(stamp)));
            step.accesses.push(Access {
                process: ProcessId(0),
                path,
                requested: PathId::NONE,
                other: PathId::NONE,
                kind: *kind,
                op: Op::Open,
                errno: 0,
                syscall: first as u16 + 1,
                flags: 0,
                object: 0o100_000,
                count: 1,
                first: 3 + first as u64,
                last: 5,
            });
        }
        step.end = Some(Completeness::Complete);
        step
    }

    #[test]
    fn steps_follow_each_other() {
        let whole = join([step("/cc", "/a", "/b"), step("/ld", "/b", "/c")], Exit::Code(3));
        let whole = whole.expect("they fit");
        assert_eq!(whole.exit(), Some(Exit::Code(3)));
        assert!(whole.is_complete());
        assert_eq!(whole.header.command, [b"/cc"]);
        let parents: Vec<_> = whole.processes.iter().map(|process| process.parent).collect();
        assert_eq!(parents, [None, Some(ProcessId(0)), Some(ProcessId(0))]);
        let facts: Vec<_> = whole
            .accesses
            .iter()
            .map(|a| (a.process.0, whole.path(a.path), whole.syscall(a.syscall), a.first))
            .collect();
        assert_eq!(
            facts,
            [
                (1, b"/a".as_slice(), "openat", 4),
                (1, b"/b", "only-/cc", 5),
                (2, b"/b", "openat", 14),
                (2, b"/c", "only-/ld", 15),
            ]
        );
        let stamps: Vec<_> = whole.stamps.iter().map(|s| (whole.path(s.0), s.1.ino)).collect();
        assert_eq!(stamps, [(b"/a".as_slice(), 3), (b"/b", 4), (b"/c", 4)]);
        let between = whole.stamps[1];
        assert_ne!(Some(between.1), between.2, "the second step saw it otherwise");
        let chain: Vec<_> =
            whole.chain(ProcessId(2), 15).iter().map(|i| whole.path(i.exe)).collect();
        assert_eq!(chain, [b"/ld"], "the first process runs no program");
        assert!(whole.digest().is_ok(), "it can be written");
    }

    #[test]
    fn what_is_missing_in_a_step_is_missing_in_the_whole() {
        let mut cut = step("/cc", "/a", "/b");
        cut.end = None;
        let whole = join([step("/ld", "/b", "/c"), cut], Exit::Code(0)).expect("they fit");
        assert!(!whole.is_complete());
        let nothing = join([], Exit::Code(0)).expect("it fits");
        assert!(!nothing.is_complete());
        assert_eq!(nothing.exit(), None);
    }
}
