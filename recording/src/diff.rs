//! What one recording holds and another does not: paths, what was done to them, and with what
//! outcome. Pids, order, counts and times differ from run to run and are left aside.

use crate::{Access, Completeness, Exit, HostKind, HostNote, Kind, ProcessId, Recording};
use std::collections::{BTreeMap, BTreeSet};

/// One of the two recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Only in the first.
    Left,
    /// Only in the second.
    Right,
}

/// Something done to a path in one of the recordings only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The path.
    pub path: &'a [u8],
    /// What was done.
    pub kind: Kind,
    /// 0 when it succeeded, else the errno.
    pub errno: u16,
    /// Which recording has it.
    pub side: Side,
    /// The executables that did it, by file name, sorted.
    pub processes: Vec<&'a [u8]>,
    /// The first access of its kind; its ids are those of that recording.
    pub access: &'a Access,
}

/// A contact with the host in one of the recordings only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactChange<'a> {
    /// What kind of contact.
    pub kind: HostKind,
    /// The address, name or path.
    pub detail: &'a [u8],
    /// 0 when it succeeded, else the errno.
    pub errno: u16,
    /// Which recording has it.
    pub side: Side,
    /// The executables that made it, by file name, sorted.
    pub processes: Vec<&'a [u8]>,
}

/// How two recordings differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff<'a> {
    /// Accesses, sorted by path, kind and errno.
    pub changes: Vec<Change<'a>>,
    /// Contacts with the host, sorted by kind, detail and errno.
    pub contacts: Vec<ContactChange<'a>>,
    /// How the root process ended in each, when that differs.
    pub exits: Option<[Option<Exit>; 2]>,
    /// Whether each is complete, when that differs.
    pub complete: Option<[bool; 2]>,
}

impl Diff<'_> {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        *self == Diff::default()
    }
}

/// Compares two recordings.
pub fn diff<'a>(left: &'a Recording, right: &'a Recording) -> Diff<'a> {
    let differing = |values: [Option<Exit>; 2]| (values[0] != values[1]).then_some(values);
    let complete = [left, right].map(|r| r.end.as_ref().is_some_and(Completeness::is_complete));
    Diff {
        changes: only_in_one(facts(left), facts(right), |(path, kind, errno), side, fact| Change {
            path,
            kind,
            errno,
            side,
            processes: fact.processes.into_iter().collect(),
            access: fact.first,
        }),
        contacts: only_in_one(
            contacts(left),
            contacts(right),
            |(kind, detail, errno), side, by| {
                let processes = by.into_iter().collect();
                ContactChange { kind, detail, errno, side, processes }
            },
        ),
        exits: differing([left.exit(), right.exit()]),
        complete: (complete[0] != complete[1]).then_some(complete),
    }
}

/// File names of executables.
type Names<'a> = BTreeSet<&'a [u8]>;

/// What the comparison keeps of equal accesses.
struct Fact<'a> {
    first: &'a Access,
    processes: Names<'a>,
}

fn facts(recording: &Recording) -> BTreeMap<(&[u8], Kind, u16), Fact<'_>> {
    let mut facts = BTreeMap::new();
    for access in &recording.accesses {
        let key = (recording.path(access.path), access.kind, access.errno);
        let new = || Fact { first: access, processes: Names::new() };
        let fact = facts.entry(key).or_insert_with(new);
        if access.first < fact.first.first {
            fact.first = access;
        }
        fact.processes.insert(name(recording, access.process, access.first));
    }
    facts
}

fn contacts(recording: &Recording) -> BTreeMap<(HostKind, &[u8], u16), Names<'_>> {
    let mut contacts: BTreeMap<_, Names<'_>> = BTreeMap::new();
    for note in &recording.host {
        let HostNote { process, kind, ref detail, errno, first, .. } = *note;
        let by = contacts.entry((kind, &detail[..], errno)).or_default();
        by.insert(name(recording, process, first));
    }
    contacts
}

/// The file name of what a process ran.
fn name(recording: &Recording, process: ProcessId, seq: u64) -> &[u8] {
    let Some(image) = recording.image_at(process, seq) else { return b"" };
    recording.path(image.exe).rsplit(|&b| b == b'/').next().unwrap_or_default()
}

/// Merges two sorted maps into a sorted list of what only one of them has.
fn only_in_one<K: Ord, V, T>(
    left: BTreeMap<K, V>,
    mut right: BTreeMap<K, V>,
    make: impl Fn(K, Side, V) -> T,
) -> Vec<T> {
    let mut only = BTreeMap::new();
    for (key, value) in left {
        if right.remove(&key).is_none() {
            only.insert(key, (Side::Left, value));
        }
    }
    only.extend(right.into_iter().map(|(key, value)| (key, (Side::Right, value))));
    only.into_iter().map(|(key, (side, value))| make(key, side, value)).collect()
}
