//! Who belongs to the process tree, by the kernel's own records of every fork, exec and exit:
//! whatever flags a process was made with, whoever may trace it, however short it lives.

use super::records::{self, Record};
use rustc_hash::FxHashMap;

/// The number of a process of the tree: dense, from 0, in the order of birth as far as known.
pub(crate) type MemberId = u32;

/// One process of the tree. Times are CLOCK_MONOTONIC in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// Who forked it; none for the root, and for one that was added.
    pub(crate) parent: Option<MemberId>,
    /// When it was made or added.
    pub(crate) born: u64,
    /// When its last thread began to end. What it had open is closed after that.
    pub(crate) ended: Option<u64>,
    /// When its pid was given to another: until then everything under that pid is its doing.
    pub(crate) until: Option<u64>,
    /// What it executed, in order.
    pub(crate) images: Vec<Program>,
    threads: u32,
    /// When it was alive for certain. A birth under its pid up to then is its own.
    seen: u64,
}

/// One program that a process executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// When.
    pub(crate) time: u64,
    /// The first 15 bytes of the name by which it was executed, without directories.
    pub(crate) comm: Vec<u8>,
    /// Its file, by the name that the process itself has for it: for a script the interpreter.
    /// None where that is not recorded.
    pub(crate) file: Option<Vec<u8>>,
}

impl Member {
    fn new(pid: i32, parent: Option<MemberId>, born: u64) -> Member {
        let (ended, until, images, threads, seen) = (None, None, Vec::new(), 1, born);
        Member { pid, parent, born, ended, until, images, threads, seen }
    }

    /// Whether some moment of a window, ends included, is in its life.
    fn meets(&self, from: u64, to: u64) -> bool {
        self.born <= to && self.until.is_none_or(|until| from <= until)
    }
}

/// The root process, before its record of birth has been read.
#[derive(Clone, Copy, Debug)]
struct Expected {
    pid: i32,
    maker: i32,
    since: u64,
}

/// The process tree. Records are taken in any order and count once everything before them is
/// known to be there ([`Family::settle`]).
#[derive(Debug, Default)]
pub(crate) struct Family {
    members: Vec<Member>,
    /// Who has had a pid, the last one last.
    owners: FxHashMap<i32, Vec<MemberId>>,
    /// The other threads of living members.
    threads: FxHashMap<i32, MemberId>,
    expected: Option<Expected>,
    waiting: Vec<Record>,
    settled: u64,
    lost: u64,
    malformed: bool,
    late: bool,
}

impl Family {
    /// The process `pid`, which `maker` has forked after `since`, is the root.
    pub(crate) fn expect(&mut self, pid: i32, maker: i32, since: u64) {
        self.expected = Some(Expected { pid, maker, since });
    }

    /// A process that was seen alive at `seen`, with these threads, belongs to the tree too, from
    /// what is not settled yet on, with what it makes from then on.
    pub(crate) fn add(&mut self, pid: i32, threads: &[i32], seen: u64) {
        let known = self.last(pid);
        if known.is_some_and(|id| self.members[id as usize].ended.is_none()) {
            return;
        }
        if let Some(id) = known {
            self.members[id as usize].until = Some(self.settled);
        }
        let id = self.insert(Member { seen, ..Member::new(pid, None, self.settled) });
        for &tid in threads {
            self.add_thread(tid, id);
        }
    }

    /// The member that has the pid, as far as is settled.
    fn last(&self, pid: i32) -> Option<MemberId> {
        let &id = self.owners.get(&pid)?.last()?;
        self.members[id as usize].until.is_none().then_some(id)
    }

    /// Takes records as the kernel has written them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let (waiting, settled) = (&mut self.waiting, self.settled);
        let (mut lost, mut late) = (0u64, false);
        let end = records::parse(bytes, |record| match record {
            // Its time is that of the record behind it; that it was lost is all that counts.
            Record::Lost { count, .. } => lost = lost.saturating_add(count),
            record => {
                late |= record.time() <= settled;
                waiting.push(record);
            }
        });
        self.lost = self.lost.saturating_add(lost);
        self.late |= late;
        self.malformed |= end.is_err();
    }

    /// All records up to this time have been fed: they count now, in their order.
    pub(crate) fn settle(&mut self, until: u64) {
        let mut ready: Vec<Record> = self.waiting.extract_if(.., |r| r.time() <= until).collect();
        ready.sort_by_key(Record::time);
        for record in ready {
            self.apply(record);
        }
        self.settled = self.settled.max(until);
    }

    /// Up to when it is known who belongs to the tree.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// The processes of the tree, by their numbers.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whose doing something was that a process with this pid did at some moment from `from` to
    /// `to`, which must be settled. Two may have had the pid: it is the first one's then.
    pub(crate) fn owner(&self, pid: i32, from: u64, to: u64) -> Option<MemberId> {
        let owners = self.owners.get(&pid)?;
        owners.iter().copied().find(|id| self.members[*id as usize].meets(from, to))
    }

    /// Why a process of the tree may be unknown, if one may.
    pub(crate) fn doubt(&self) -> Option<String> {
        if self.lost > 0 {
            return Some(format!("{} of the kernel's process events were lost", self.lost));
        }
        if self.malformed {
            return Some("the kernel's process events could not be read".into());
        }
        if self.late {
            return Some("a process event came later than it should".into());
        }
        self.expected.map(|root| format!("the birth of process {} was not seen", root.pid))
    }

    fn insert(&mut self, member: Member) -> MemberId {
        let id = self.members.len() as MemberId;
        self.owners.entry(member.pid).or_default().push(id);
        self.members.push(member);
        id
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Fork { time, pid, tid, parent } => self.on_fork(time, pid, tid, parent),
            Record::Exec { time, pid, comm } => self.on_exec(time, pid, comm),
            Record::Map { pid, file, .. } => self.on_map(pid, file),
            Record::Exit { time, pid, tid } => self.on_exit(time, pid, tid),
            Record::Lost { .. } => {}
        }
    }

    fn on_fork(&mut self, time: u64, pid: i32, tid: i32, parent: i32) {
        if tid != pid {
            self.end_of_number(tid, time);
            if let Some(id) = self.last(pid) {
                self.add_thread(tid, id);
            }
            return;
        }
        let maker = self.last(parent);
        if let Some(id) = self.last(pid).filter(|id| time <= self.members[*id as usize].seen) {
            let member = &mut self.members[id as usize];
            (member.born, member.parent) = (time, maker);
            return;
        }
        self.end_of_number(pid, time);
        let root = |root: &Expected| (pid, parent) == (root.pid, root.maker) && time >= root.since;
        if self.expected.as_ref().is_some_and(root) {
            self.expected = None;
            self.insert(Member::new(pid, None, time));
        } else if maker.is_some() {
            self.insert(Member::new(pid, maker, time));
        }
    }

    /// Another task has a number from now on.
    fn end_of_number(&mut self, pid: i32, time: u64) {
        if let Some(id) = self.last(pid) {
            self.members[id as usize].until = Some(time);
        }
    }

    fn add_thread(&mut self, tid: i32, id: MemberId) {
        if tid != self.members[id as usize].pid && self.threads.insert(tid, id).is_none() {
            self.members[id as usize].threads += 1;
        }
    }

    fn on_exec(&mut self, time: u64, pid: i32, comm: Vec<u8>) {
        let Some(id) = self.last(pid) else { return };
        let member = &mut self.members[id as usize];
        member.images.push(Program { time, comm, file: None });
        // One that is not the leader takes the leader's number, and its own has no end.
        member.threads = 1;
        self.threads.retain(|_, owner| *owner != id);
    }

    /// The first file that is mapped after an exec is the program's own.
    fn on_map(&mut self, pid: i32, file: Vec<u8>) {
        // What is no file is called `[stack]`, `//anon` and the like.
        let is_file = file.starts_with(b"/") && !file.starts_with(b"//");
        let Some(id) = self.last(pid).filter(|_| is_file) else { return };
        if let Some(program) = self.members[id as usize].images.last_mut()
            && program.file.is_none()
        {
            program.file = Some(file);
        }
    }

    fn on_exit(&mut self, time: u64, pid: i32, tid: i32) {
        let id = if tid == pid { self.last(pid) } else { self.threads.remove(&tid) };
        let Some(id) = id else { return };
        let member = &mut self.members[id as usize];
        member.threads = member.threads.saturating_sub(1);
        if member.threads == 0 {
            member.ended = Some(time);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
