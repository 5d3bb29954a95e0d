//! What the kernel's view says, in the terms of a recording. Pure: no file is looked at here.

use super::view::Act;
use airtight_recording::{Kind, Op, PathId};

/// One thing that a process did to one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) act: Act,
    /// When it was told first and last.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u32,
    /// Of a rename: the other name.
    pub(super) other: PathId,
}

/// One fact about that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) op: Op,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u32,
    pub(super) other: PathId,
}

/// What all processes of the tree did to one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// When it was opened first.
    opened: Option<u64>,
    /// Its content was read.
    read: bool,
    /// It was written by a process that had not opened it: the descriptor is another's.
    passed: bool,
}

impl Shared {
    /// Adds what one of the processes did.
    pub(super) fn add(&mut self, deeds: &[Deed]) {
        let opens = deeds.iter().filter(|deed| deed.act == Act::Open).map(|deed| deed.first).min();
        let has = |acts: &[Act]| deeds.iter().any(|deed| acts.contains(&deed.act));
        self.passed |= opens.is_none() && has(&[Act::Modify, Act::CloseWrite]);
        self.read |= has(&[Act::List]);
        self.opened = self.opened.into_iter().chain(opens).min();
    }
}

/// The facts in all that one process did to one name, in the order of the acts. `object` is the
/// type of what has or had the name, as in `st_mode & S_IFMT`; 0 where it is not known.
///
/// An open does not say what for. What was written, or closed by one who could have written, was
/// opened for that, and was read as well if the kernel told of a read. All else was opened to be
/// read.
pub(super) fn facts(deeds: &[Deed], object: u32, shared: &Shared) -> Vec<(Act, Fact)> {
    let all = |act| deeds.iter().filter(move |deed| deed.act == act);
    let has = |act| all(act).next().is_some();
    let directory = object == libc::S_IFDIR;
    let written = has(Act::CloseWrite) || has(Act::Modify);
    let mut facts = Vec::new();
    for deed in deeds {
        let Deed { first, last, count: times, other, .. } = *deed;
        let mut fact = |kind, op| {
            facts.push((deed.act, Fact { kind, op, first, last, count: times, other }));
        };
        match deed.act {
            Act::Open if directory => fact(Kind::List, Op::Enumerate),
            Act::List if directory && !has(Act::Open) => fact(Kind::List, Op::Enumerate),
            Act::List if directory => {}
            Act::Exec => fact(Kind::Exec, Op::Exec),
            // To execute a file the kernel opens and reads it, and who else does is not told apart.
            Act::Open if written || has(Act::Exec) => {}
            // For one who got the descriptor, and did not read.
            Act::Open if shared.passed && !shared.read => {}
            Act::Open => fact(Kind::Read, Op::Open),
            Act::List if has(Act::Exec) => {}
            // By a descriptor from another, of the tree or from outside.
            Act::List if !has(Act::Open) => {
                if shared.opened.is_none_or(|opened| opened > first) {
                    fact(Kind::Read, Op::Received);
                }
            }
            Act::List if written => fact(Kind::Read, Op::Open),
            Act::List => {}
            Act::Create => fact(Kind::Write, created(object, has(Act::Open))),
            // The way in which it was opened is told by the opening, unless it was made by that.
            Act::CloseWrite if has(Act::Create) && has(Act::Open) => {}
            Act::CloseWrite => fact(Kind::Write, Op::Open),
            Act::Modify if has(Act::CloseWrite) => {}
            Act::Modify if has(Act::Open) => fact(Kind::Write, Op::Open),
            // truncate(2), or a descriptor from elsewhere.
            Act::Modify => fact(Kind::Write, Op::Truncate),
            Act::Delete if directory => fact(Kind::Delete, Op::Rmdir),
            Act::Delete => fact(Kind::Delete, Op::Unlink),
            Act::MovedFrom => fact(Kind::Delete, Op::Rename),
            Act::MovedTo => fact(Kind::Write, Op::Rename),
            Act::Attrib => fact(Kind::Write, Op::Metadata),
        }
    }
    facts
}

fn created(object: u32, opened: bool) -> Op {
    match object {
        libc::S_IFDIR => Op::Mkdir,
        libc::S_IFLNK => Op::Symlink,
        libc::S_IFREG | 0 if opened => Op::Create,
        // By link(2) or mknod(2); the former is what is done in practice.
        libc::S_IFREG => Op::Hardlink,
        0 => Op::Create,
        _ => Op::Mknod,
    }
}

#[cfg(test)]
mod tests;
