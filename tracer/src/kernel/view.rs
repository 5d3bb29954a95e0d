//! What was seen: who did what to which file.

use super::event::{Entry, Event, Id};
use super::handles::{Dir, Dirs, Link, path_of};
use super::marks::{Blind, FileSystems};
use crate::mounts::{Mount, below, joined};
use crate::sys::fanotify::{self, Handle};
use crate::sys::files;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry as Slot;
use std::os::fd::{AsFd, AsRawFd};

/// What was done, as fanotify(7) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Act {
    /// A file was opened, for whatever use; a directory was opened to be read.
    Open,
    /// A directory was read; or a file, where that is asked for.
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
    /// Whether nothing more is certain than that something was done to the file: it was told only
    /// when the file may have been renamed since, or an overlay did it to one of its layers.
    pub(crate) loose: bool,
    /// The other name of a rename.
    pub(crate) other: Option<Place>,
    /// Grows with time among the sights of one process; nearly so among all.
    pub(crate) order: u64,
    /// The same of the last time.
    pub(crate) last: u64,
    /// How many times it was told. The kernel may tell several times at once.
    pub(crate) count: u32,
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
    pub(crate) mounts: Vec<Mount>,
    /// The types of file systems, by device, wherever they are mounted.
    pub(crate) kinds: FxHashMap<Vec<u8>, Vec<u8>>,
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
        let kind = self.kinds.get(&place.device).map_or(&b"?"[..], Vec::as_slice);
        vec![[b"[", kind, b" ", &place.device[..], b"]", &place.path].concat()]
    }
}

/// A name as it is kept until the end, when it is known what the directory was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Spot {
    Named(Dir, u32),
    /// A file whose path within this file system is known, but not its directory.
    Path(u32, u32),
    /// A file without a known name, by file system and inode.
    Inode(u32, u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    /// None when it does not matter.
    member: Option<u32>,
    act: Act,
    spot: Spot,
    other: Option<Spot>,
    /// Names before and after a rename of directories are two.
    epoch: u32,
}

/// Whose an event is, and when.
#[derive(Clone, Copy)]
struct Who {
    member: u32,
    pid: i32,
    order: u64,
    /// What names it has may have been given from here on.
    from: u64,
    /// The last event that the kernel may have merged into this one.
    until: u64,
    window: (u64, u64),
}

struct Seen {
    key: Key,
    dir: bool,
    loose: bool,
    who: Who,
    count: u32,
    last: u64,
}

/// A change of a file's attributes or number of links that came without a name.
struct Nameless {
    who: Who,
    fs: u32,
    handle: Handle,
}

/// Files that got or lost a name, and processes that renamed something. With it comes a change of
/// the number of links, as an event of its own that has no name.
#[derive(Default)]
struct Relinked {
    files: FxHashSet<(u32, Handle)>,
    renamers: FxHashSet<i32>,
}

impl Relinked {
    fn explains(&self, change: &Nameless) -> bool {
        self.renamers.contains(&change.who.pid)
            || self.files.contains(&(change.fs, change.handle.clone()))
    }
}

/// Events that were read in one go.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Events of file systems without handles.
    pub(super) opened: Vec<Opened>,
    /// When they happened: not before the first and not after the second.
    pub(super) window: (u64, u64),
}

/// An event that came with a descriptor.
pub(super) struct Opened {
    pub(super) mask: u64,
    pub(super) pid: i32,
    /// The file system and the path within it, as they were when it was read.
    pub(super) place: Option<(u32, Vec<u8>)>,
}

/// Gathers events into a view.
#[derive(Default)]
pub(super) struct Eye {
    dirs: Dirs,
    names: FxHashMap<Box<[u8]>, u32>,
    /// Where in the list it is.
    seen: FxHashMap<Key, u32>,
    /// Who did something first is enough.
    names_only: bool,
    list: Vec<Seen>,
    order: u64,
    gaps: Vec<String>,
    nameless: Vec<Nameless>,
    /// Of the last batch and the one before.
    relinked: [Relinked; 2],
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

    pub(super) fn names_only(&mut self) {
        self.names_only = true;
    }

    /// Something may have been missed.
    pub(super) fn gap(&mut self, what: String) {
        const MOST: usize = 20;
        if self.gaps.len() < MOST && !self.gaps.contains(&what) {
            self.gaps.push(what);
        }
    }
}

/// What a file is to overlays.
enum Through {
    /// Nothing.
    None,
    /// A thing of its own, in the directory where it prepares changes.
    Work,
    /// A file of layers, which also has these names.
    Layer(Vec<Place>),
}

fn through_overlay(all: &FileSystems, place: &Place, other: Option<&Place>) -> Through {
    let within = |dir: &Place, place: &Place| {
        let rest = below(&place.path, &dir.path).filter(|_| dir.device == place.device);
        rest.map(|rest| joined(b"/", rest))
    };
    let mut merged = Vec::new();
    for overlay in &all.overlays {
        let works =
            |place: &Place| overlay.work.as_ref().is_some_and(|w| within(w, place).is_some());
        if works(place) || other.is_some_and(works) {
            return Through::Work;
        }
        merged.extend(overlay.layers.iter().filter_map(|layer| {
            let path = within(layer, place)?;
            Some(Place { device: all[overlay.overlay].device.clone(), path })
        }));
    }
    if merged.is_empty() { Through::None } else { Through::Layer(merged) }
}

/// The identity that the event's record names, as one to look for.
fn owned(id: &Id<'_>) -> Handle {
    Handle { kind: id.kind, bytes: id.handle.into() }
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
        let mut renamed = FxHashSet::default();
        let mut unsettled = Vec::new();
        for (order, (event, member)) in (first..).zip(&events) {
            if event.mask & libc::FAN_ONDIR == 0 {
                continue;
            }
            self.place(all, event, order, member.is_some());
            if let (Some(_), Some(file)) = (event.to, event.file)
                && !renamed.insert(file)
            {
                unsettled.push(file);
            }
        }
        for id in &unsettled {
            if let Some(fs) = all.find(id.fs) {
                self.dirs.unsettled(all, fs, id, self.order);
            }
        }
        self.relink(all, &events);
        for change in std::mem::take(&mut self.nameless) {
            if !self.relinked[0].explains(&change) {
                self.see_nameless(all, &change);
            }
        }
        let until = self.order;
        for (order, (event, member)) in (first..).zip(&events) {
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                self.gap("the kernel dropped events".to_owned());
            }
            if let Some(member) = *member {
                let from = if unsettled.is_empty() { order } else { first - 1 };
                let who = Who { member, pid: event.pid, order, from, until, window: batch.window };
                self.see(all, event, who);
            }
        }
        for opened in &batch.opened {
            self.order += 1;
            if opened.mask & libc::FAN_Q_OVERFLOW != 0 {
                self.gap("the kernel dropped events".to_owned());
            }
            if let Some(member) = *owners.entry(opened.pid).or_insert_with(|| owner(opened.pid)) {
                let (pid, order, window) = (opened.pid, self.order, batch.window);
                self.see_opened(
                    opened,
                    Who { member, pid, order, from: order, until: order, window },
                );
            }
        }
    }

    fn see_opened(&mut self, opened: &Opened, who: Who) {
        let Some((fs, path)) = &opened.place else {
            return self.gap("the name of an opened file could not be found".to_owned());
        };
        let spot = Spot::Path(*fs, self.intern(path));
        for &(bit, act) in Act::OF_MASK {
            if opened.mask & bit != 0 {
                self.note(act, spot, None, opened.mask & libc::FAN_ONDIR != 0, true, who);
            }
        }
    }

    fn meet(&mut self, all: &FileSystems, id: &Id<'_>) -> Option<Dir> {
        let fs = all.find(id.fs)?;
        Some(self.dirs.meet(all, fs, id))
    }

    fn link(&mut self, all: &FileSystems, entry: &Entry<'_>) -> Option<Link> {
        Some(Link { parent: self.meet(all, &entry.dir)?, name: entry.name.into() })
    }

    /// Takes in what an event says of where a directory is. What others do with directories that
    /// the tree has nothing to do with is of no interest.
    fn place(&mut self, all: &FileSystems, event: &Event<'_>, order: u64, ours: bool) {
        let (Some(at), Some(file)) = (event.at, event.file) else { return };
        let told = libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_RENAME;
        let Some(fs) = all.find(file.fs).filter(|_| event.mask & told != 0) else { return };
        let dir = match self.dirs.find(fs, &file) {
            Some(dir) => dir,
            None if ours => self.dirs.put_unseen(fs, &file),
            None => return,
        };
        let Some(link) = self.link(all, &at) else { return };
        if event.mask & libc::FAN_CREATE != 0 {
            self.dirs.made(dir, order, link.clone());
        }
        if let Some(to) = event.to.and_then(|to| self.link(all, &to)) {
            self.dirs.renamed(dir, order, link, to);
        } else if event.mask & libc::FAN_DELETE != 0 {
            self.dirs.removed(dir, order, link);
        }
    }

    /// Remembers what explains events without a name.
    fn relink(&mut self, all: &FileSystems, events: &[(Event<'_>, Option<u32>)]) {
        let mut now = Relinked::default();
        for (event, _) in events.iter().filter(|(_, member)| member.is_some()) {
            if event.mask & libc::FAN_RENAME != 0 {
                now.renamers.insert(event.pid);
            } else if event.mask & (libc::FAN_CREATE | libc::FAN_DELETE) != 0
                && let Some(file) = event.file
                && let Some(fs) = all.find(file.fs)
            {
                now.files.insert((fs, owned(&file)));
            }
        }
        self.relinked.swap(0, 1);
        self.relinked[0] = now;
    }

    fn see(&mut self, all: &FileSystems, event: &Event<'_>, who: Who) {
        let dir = event.mask & libc::FAN_ONDIR != 0;
        let Some(at) = event.at else {
            return self.see_without_name(all, event, who);
        };
        let Some(mut spot) = self.spot(all, &at) else {
            return self.gap("an event names a file system that is not watched".to_owned());
        };
        // A file that is mounted by itself, whose directory need not show anywhere.
        if let Some(file) = event.file
            && let Some(fs) = all.find(file.fs).filter(|fs| all[*fs].has_file)
            && let Some(base) = self.dirs.find(fs, &file).filter(|file| self.dirs.is_base(*file))
        {
            spot = Spot::Named(base, self.intern(b"."));
        }
        if let Some(to) = event.to.and_then(|to| self.spot(all, &to)) {
            self.note(Act::MovedFrom, spot, Some(to), dir, false, who);
            self.note(Act::MovedTo, to, Some(spot), dir, false, who);
        }
        for &(bit, act) in Act::OF_MASK {
            if event.mask & bit != 0 {
                self.note(act, spot, None, dir, false, who);
            }
        }
    }

    fn spot(&mut self, all: &FileSystems, entry: &Entry<'_>) -> Option<Spot> {
        let dir = self.meet(all, &entry.dir)?;
        Some(Spot::Named(dir, self.intern(entry.name)))
    }

    fn intern(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.insert(name.into(), number);
        number
    }

    fn note(
        &mut self,
        act: Act,
        spot: Spot,
        other: Option<Spot>,
        dir: bool,
        loose: bool,
        who: Who,
    ) {
        let member = (!self.names_only).then_some(who.member);
        let key = Key { member, act, spot, other, epoch: self.dirs.epoch() };
        let last = who.order;
        match self.seen.entry(key) {
            Slot::Occupied(known) => {
                let seen = &mut self.list[*known.get() as usize];
                (seen.count, seen.last) = (seen.count.saturating_add(1), last);
            }
            Slot::Vacant(new) => {
                new.insert(self.list.len() as u32);
                self.list.push(Seen { key, dir, loose, who, count: 1, last });
            }
        }
    }

    /// A file that was opened by its handle while nobody had it by name.
    fn see_without_name(&mut self, all: &FileSystems, event: &Event<'_>, who: Who) {
        let Some((file, fs)) = event.file.and_then(|file| Some((file, all.find(file.fs)?))) else {
            return;
        };
        let handle = owned(&file);
        if event.mask & !libc::FAN_ONDIR == libc::FAN_ATTRIB {
            let change = Nameless { who, fs, handle };
            if !self.relinked.iter().any(|links| links.explains(&change)) {
                self.nameless.push(change);
            }
            return;
        }
        let spot = self.search(all, fs, &handle);
        for &(bit, act) in Act::OF_MASK {
            if event.mask & bit != 0 {
                self.note(act, spot, None, event.mask & libc::FAN_ONDIR != 0, false, who);
            }
        }
    }

    /// A change of attributes that no change of names explains.
    fn see_nameless(&mut self, all: &FileSystems, change: &Nameless) {
        let spot = self.search(all, change.fs, &change.handle);
        // One that is gone has lost its last name, or was never anybody else's.
        if spot != Spot::Inode(change.fs, 0) {
            self.note(Act::Attrib, spot, None, false, false, change.who);
        }
    }

    /// The name of a file now, if the kernel knows it.
    fn search(&mut self, all: &FileSystems, number: u32, handle: &Handle) -> Spot {
        let fs = &all[number];
        let mut inode = 0;
        for shown in &fs.mounts {
            let Ok(file) = shown.file() else { continue };
            let Ok(fd) = fanotify::open(file.as_fd(), handle) else { continue };
            let Ok(stat) = files::stat(fd.as_raw_fd(), c"", false) else { continue };
            inode = stat.st_ino;
            let Ok(path) = path_of(&fd) else { continue };
            // A file without a name looks like the root directory.
            let Some(rest) = below(&path, &shown.point).filter(|rest| !rest.is_empty()) else {
                continue;
            };
            if stat.st_nlink > 0 {
                let path = joined(&shown.root, rest);
                return Spot::Path(number, self.intern(&path));
            }
        }
        Spot::Inode(number, inode)
    }

    /// All that was seen, by the names of the time.
    pub(super) fn close(
        mut self,
        all: &FileSystems,
        mounts: Vec<Mount>,
        blind: Vec<Blind>,
    ) -> View {
        for change in std::mem::take(&mut self.nameless) {
            self.see_nameless(all, &change);
        }
        let mut names = vec![&b""[..]; self.names.len()];
        for (name, number) in &self.names {
            names[*number as usize] = name;
        }
        let place = |spot: Spot, at: u64| {
            let (fs, path) = match spot {
                Spot::Named(dir, name) => {
                    let name = names[name as usize];
                    let mut path = self.dirs.path(dir, at)?;
                    if name != b"." {
                        path = joined(&path, &[b"/", name].concat());
                    }
                    (self.dirs.fs(dir), path)
                }
                Spot::Path(fs, path) => (fs, names[path as usize].to_vec()),
                Spot::Inode(fs, inode) => (fs, format!("#{inode}").into_bytes()),
            };
            Some(Place { device: all[fs].device.clone(), path })
        };
        let mut sights = Vec::with_capacity(self.list.len());
        let mut lost = 0u64;
        for Seen { key, dir, loose, who, count, last } in &self.list {
            let Some(found) = place(key.spot, who.order) else {
                // A directory that a rename has replaced: the event of that is the rename's.
                lost += u64::from(!(*dir && key.act == Act::Attrib));
                continue;
            };
            let mut also = Vec::new();
            if let Spot::Named(dir, _) = key.spot {
                let moves = self.dirs.moves(dir, who.from, who.until);
                for at in std::iter::once(who.from).chain(moves) {
                    also.extend(
                        place(key.spot, at).filter(|at| *at != found && !also.contains(at)),
                    );
                }
            }
            let other = key.other.and_then(|other| place(other, who.order));
            let mut loose = *loose;
            match through_overlay(all, &found, other.as_ref()) {
                Through::None => {}
                Through::Work => continue,
                Through::Layer(merged) => {
                    loose = true;
                    also.extend(merged);
                }
            }
            sights.push(Sight {
                act: key.act,
                dir: *dir,
                member: who.member,
                pid: who.pid,
                place: found,
                also,
                loose,
                other,
                order: who.order,
                last: *last,
                count: *count,
                window: who.window,
            });
        }
        let mut gaps = self.gaps;
        if lost > 0 {
            gaps.push(format!("the directories of {lost} events could not be found any more"));
        }
        let kinds = all.kinds.clone();
        View { sights, gaps, blind, mounts, kinds }
    }
}
