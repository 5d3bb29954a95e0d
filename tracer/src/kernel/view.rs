//! What was seen: who did what to which file.

use super::event::{Entry, Event, Id};
use super::handles::{Dir, Dirs, Link};
use super::marks::{Blind, FileSystems};
use crate::mounts::{Mount, below, joined};
use crate::sys::fanotify::{self, Handle};
use rustc_hash::{FxHashMap, FxHashSet};
use std::os::fd::{AsFd, AsRawFd};

/// What was done, as fanotify(7) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Act {
    /// A file was opened, for whatever use; a directory was opened to be read.
    Open,
    /// A directory was read.
    List,
    /// A file was opened to be executed: a program, its interpreter, its loader.
    Exec,
    /// Content was changed, by a write or by its length.
    Modify,
    /// A file was closed, or its last mapping undone, that was open for writing. It need not have
    /// been written.
    CloseWrite,
    /// A name was made.
    Create,
    /// A name was removed.
    Delete,
    /// A name was taken away by a rename; [`Sight::other`] is the new one.
    MovedFrom,
    /// A name was given by a rename; [`Sight::other`] is the old one.
    MovedTo,
    /// Mode, owner, times, attributes or the number of links were changed.
    Attrib,
}

impl Act {
    /// The acts of an event's mask, in the order in which they happen to one file.
    const OF_MASK: &[(u64, Act)] = &[
        (libc::FAN_CREATE, Act::Create),
        (libc::FAN_OPEN, Act::Open),
        (libc::FAN_OPEN_EXEC, Act::Exec),
        (libc::FAN_ACCESS, Act::List),
        (libc::FAN_MODIFY, Act::Modify),
        (libc::FAN_ATTRIB, Act::Attrib),
        (libc::FAN_CLOSE_WRITE, Act::CloseWrite),
        (libc::FAN_DELETE, Act::Delete),
    ];
}

/// A file by its path within its file system, whatever mounts show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Major and minor number of the file system, as `8:1`.
    pub(crate) device: Vec<u8>,
    /// From the root of the file system. `#12` for a file whose name can't be told: its inode.
    pub(crate) path: Vec<u8>,
}

/// One process did one thing to one name, for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// What.
    pub(crate) act: Act,
    /// Whether to a directory.
    pub(crate) dir: bool,
    /// Who: the number that [`super::Kin::owner`] gave.
    pub(crate) member: u32,
    /// Its pid then.
    pub(crate) pid: i32,
    /// The name.
    pub(crate) place: Place,
    /// Names that it may have been done by instead: directories above were renamed in the same 20 ms,
    /// and the kernel tells the same thing under both names once.
    pub(crate) also: Vec<Place>,
    /// The other name of a rename.
    pub(crate) other: Option<Place>,
    /// Grows with time among the sights of one process; nearly so among all.
    pub(crate) order: u64,
    /// When, by CLOCK_MONOTONIC in nanoseconds: not before the first and not after the second.
    pub(crate) window: (u64, u64),
}

/// Everything that the kernel told of a process tree.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// In the order in which it was told.
    pub(crate) sights: Vec<Sight>,
    /// What may have been missed, as lower-case fragments for people. Empty: nothing.
    pub(crate) gaps: Vec<String>,
    /// File systems that were not watched.
    pub(crate) blind: Vec<Blind>,
    /// The mount table by which places get names.
    pub(super) mounts: Vec<Mount>,
}

impl View {
    /// What a file is called in our view; several where several mounts show it. Like the ptrace
    /// backend, `[tmpfs 0:57]/x` when none does.
    pub(crate) fn names(&self, place: &Place) -> Vec<Vec<u8>> {
        let same = |mount: &&Mount| mount.device == place.device;
        let names: Vec<_> = self
            .mounts
            .iter()
            .rev()
            .filter(same)
            .filter_map(|mount| Some(joined(&mount.point, below(&place.path, &mount.root)?)))
            .collect();
        if !names.is_empty() {
            return names;
        }
        let kind = self.mounts.iter().find(same).map_or(&b"?"[..], |mount| &mount.kind);
        vec![[b"[", kind, b" ", &place.device[..], b"]", &place.path].concat()]
    }
}

/// A name as it is kept until the end, when it is known what the directory was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Spot {
    Named(Dir, u32),
    /// A file without a known name, by file system and inode.
    Inode(u32, u64),
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    member: u32,
    act: Act,
    spot: Spot,
    /// Names before and after a rename of directories are two.
    epoch: u32,
}

struct Seen {
    key: Key,
    pid: i32,
    dir: bool,
    other: Option<Spot>,
    order: u64,
    /// The last event that the kernel may have merged into this one.
    until: u64,
    window: (u64, u64),
}

/// A change of a file's attributes or links that came without a name.
struct Nameless {
    member: u32,
    pid: i32,
    fs: u32,
    handle: Handle,
    order: u64,
    window: (u64, u64),
}

/// Events that were read in one go.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// When they happened: not before the first and not after the second.
    pub(super) window: (u64, u64),
}

/// Gathers events into a view.
#[derive(Default)]
pub(super) struct Eye {
    dirs: Dirs,
    names: FxHashMap<Box<[u8]>, u32>,
    seen: FxHashMap<Key, ()>,
    list: Vec<Seen>,
    order: u64,
    gaps: Vec<String>,
    nameless: Vec<Nameless>,
    /// Files that got or lost a name, and processes that renamed something, of late: with it comes
    /// a change of the number of links, which is no act of its own.
    relinked: FxHashSet<(u32, Handle)>,
    renamers: FxHashSet<i32>,
}

impl Eye {
    /// A mount shows a directory of a file system.
    pub(super) fn begin(&mut self, all: &FileSystems, number: u32) {
        for shown in &all[number].mounts {
            if let Some(handle) = &shown.handle {
                self.dirs.put_base(number, handle, &shown.root);
            }
        }
    }

    /// Something may have been missed.
    pub(super) fn gap(&mut self, what: String) {
        const MOST: usize = 20;
        if self.gaps.len() < MOST && !self.gaps.contains(&what) {
            self.gaps.push(what);
        }
    }
}

/// The identity that the event's record names, as one to look for.
fn owned(id: &Id<'_>) -> Handle {
    Handle { kind: id.kind, bytes: id.handle.into() }
}

/// A name that an event of a directory tells.
fn is_name(entry: &Entry<'_>) -> bool {
    entry.name != b"."
}

impl Eye {
    /// Takes the events of a batch in. `owner` tells whose doing something was by its pid, within
    /// the batch's window: none for those who don't belong to the tree.
    pub(super) fn take(
        &mut self,
        all: &FileSystems,
        batch: &Batch,
        mut owner: impl FnMut(i32) -> Option<u32>,
    ) {
        let mut owners: FxHashMap<i32, Option<u32>> = FxHashMap::default();
        let mut events = Vec::new();
        for event in super::event::events(&batch.bytes) {
            match event {
                Ok(event) => {
                    let member = *owners.entry(event.pid).or_insert_with(|| owner(event.pid));
                    events.push((event, member));
                }
                Err(error) => self.gap(error.to_string()),
            }
        }
        let first = self.order + 1;
        self.order += events.len() as u64;
        // Look at directories before the events that tell of their renames are taken in: a look sees
        // what is now, and events of a later batch may still correct it.
        for (event, member) in &events {
            if member.is_some() {
                for entry in [event.at, event.to].iter().flatten() {
                    self.meet(all, &entry.dir);
                }
            }
        }
        for (order, (event, member)) in (first..).zip(&events) {
            if event.mask & libc::FAN_ONDIR != 0 {
                self.place(all, event, order, member.is_some());
            }
        }
        let until = self.order;
        let mut nameless = std::mem::take(&mut self.nameless);
        for (order, (event, member)) in (first..).zip(&events) {
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                self.gap("the kernel dropped events".to_owned());
            }
            if let Some(member) = *member {
                let who = Who { member, pid: event.pid, order, until, window: batch.window };
                self.see(all, event, who);
            }
        }
        // What came with an event of this batch or the one before needs no name.
        nameless.retain(|change| {
            !self.renamers.contains(&change.pid)
                && !self.relinked.contains(&(change.fs, change.handle.clone()))
        });
        for change in nameless {
            self.see_nameless(all, change);
        }
    }

    fn meet(&mut self, all: &FileSystems, id: &Id<'_>) -> Option<Dir> {
        let fs = all.find(id.fs)?;
        Some(self.dirs.meet(all, fs, id))
    }
}
