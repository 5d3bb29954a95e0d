//! What the directories of events are called, and were called at the time.
//!
//! An event names a directory by a handle. Two things tell its name: a look at the directory, which
//! may come too late, and the events of its making, renaming and removal, which carry the names of
//! that moment. So every directory keeps what the events said, in their order, and a look counts
//! only where they say nothing.

use super::event::Id;
use super::marks::{FileSystem, FileSystems};
use crate::sys::fanotify::{self, Handle};
use crate::sys::files;
use rustc_hash::FxHashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Dir(u32);

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) parent: Dir,
    pub(super) name: Box<[u8]>,
}

/// One event that told where a directory is. With neither: what was told before it counts no more.
#[derive(Debug)]
struct Told {
    at: u64,
    /// Where it was until then.
    before: Option<Link>,
    /// Where it was from then on.
    after: Option<Link>,
}

#[derive(Debug, Default)]
struct Node {
    /// The number of its file system.
    fs: u32,
    /// Its path within the file system, if it is where a mount begins: names are looked for no
    /// further up.
    base: Option<Box<[u8]>>,
    /// What a look found.
    found: Option<Link>,
    told: Vec<Told>,
}

impl Node {
    fn link(&self, at: u64) -> Option<&Link> {
        let since = self.told.partition_point(|told| told.at <= at);
        let voids = |told: &Told| told.before.is_none() && told.after.is_none();
        let valid = self.told[..since].iter().rposition(voids).map_or(0, |void| void + 1);
        let known = self.told[valid..since].iter().rev().find_map(|told| told.after.as_ref());
        let later = || {
            self.told[since..].iter().find_map(|told| told.before.as_ref().or(told.after.as_ref()))
        };
        // Of one that was removed already, what was said before.
        let earlier = || self.told[..since].iter().rev().find_map(|told| told.before.as_ref());
        known.or_else(later).or(self.found.as_ref()).or_else(earlier)
    }
}

/// All directories that the events of the tree have named.
#[derive(Default)]
pub(super) struct Dirs {
    nodes: Vec<Node>,
    /// By [`key`].
    ids: FxHashMap<Box<[u8]>, Dir>,
    /// How many renames of directories there were, and when the last one was.
    renames: u32,
    last_rename: u64,
    scratch: Vec<u8>,
}

/// Deeper than any path of PATH_MAX can lead.
const DEEPEST: usize = 4096;

/// A directory's identity in one string, which can be looked up without owning it.
fn key(scratch: &mut Vec<u8>, fs: u32, kind: i32, handle: &[u8]) {
    scratch.clear();
    scratch.extend_from_slice(&fs.to_ne_bytes());
    scratch.extend_from_slice(&kind.to_ne_bytes());
    scratch.extend_from_slice(handle);
}

impl Dirs {
    /// The directory, if it is known.
    pub(super) fn find(&mut self, fs: u32, id: &Id<'_>) -> Option<Dir> {
        key(&mut self.scratch, fs, id.kind, id.handle);
        self.ids.get(&self.scratch[..]).copied()
    }

    /// The directory; whether it is a new one.
    fn put(&mut self, fs: u32, kind: i32, handle: &[u8]) -> (Dir, bool) {
        key(&mut self.scratch, fs, kind, handle);
        if let Some(dir) = self.ids.get(&self.scratch[..]) {
            return (*dir, false);
        }
        let dir = Dir(self.nodes.len() as u32);
        self.nodes.push(Node { fs, ..Node::default() });
        self.ids.insert(self.scratch.as_slice().into(), dir);
        (dir, true)
    }

    /// The directory of a file system from which a mount shows it: its path within is `base`.
    pub(super) fn put_base(&mut self, fs: u32, handle: &Handle, base: &[u8]) {
        let (dir, _) = self.put(fs, handle.kind, &handle.bytes);
        self.nodes[dir.0 as usize].base = Some(base.into());
    }

    /// The directory, looked at if it is a new one.
    pub(super) fn meet(&mut self, all: &FileSystems, fs: u32, id: &Id<'_>) -> Dir {
        let (dir, new) = self.put(fs, id.kind, id.handle);
        if new {
            let handle = Handle { kind: id.kind, bytes: id.handle.into() };
            // One that is gone is told of by the event of its removal.
            let _ = self.look(&all[fs], dir, &handle);
        }
        dir
    }

    /// A new directory of which an event tells the name.
    pub(super) fn put_unseen(&mut self, fs: u32, id: &Id<'_>) -> Dir {
        self.put(fs, id.kind, id.handle).0
    }

    /// Finds out what a directory is called now, and those above it.
    fn look(&mut self, fs: &FileSystem, dir: Dir, handle: &Handle) -> io::Result<()> {
        /// How often names may change under the look before it is given up.
        const TRIES: usize = 5;
        for mount in &fs.mounts {
            let file = fanotify::open(mount.file()?.as_fd(), handle)?;
            for _ in 0..TRIES {
                let path = path_of(&file)?;
                let stat = files::stat(file.as_raw_fd(), c"", false)?;
                let rest = crate::mounts::below(&path, &mount.point);
                // Of another part of the file system than this mount shows, or removed.
                let Some(rest) = rest.filter(|_| stat.st_nlink > 0) else { break };
                let number = self.nodes[dir.0 as usize].fs;
                let above =
                    self.above(number, &file, rest.iter().filter(|byte| **byte == b'/').count())?;
                if path_of(&file)? == path {
                    self.found(dir, rest, &above);
                    return Ok(());
                }
            }
        }
        Err(io::Error::from_raw_os_error(libc::ESTALE))
    }

    /// The handles of the directories above, up to the first that is known, `most` at most.
    fn above(&mut self, fs: u32, file: &OwnedFd, most: usize) -> io::Result<Vec<Handle>> {
        let mut handles = Vec::new();
        let mut fd = file.try_clone()?;
        for _ in 0..most.min(DEEPEST) {
            fd = files::open_path(fd.as_raw_fd(), c"..", false)?;
            let handle = fanotify::handle_of(fd.as_fd(), c"")?;
            key(&mut self.scratch, fs, handle.kind, &handle.bytes);
            handles.push(handle);
            if self.ids.contains_key(&self.scratch[..]) {
                break;
            }
        }
        Ok(handles)
    }

    /// Takes in what a look found: a path, and the handles of the directories above, from below.
    fn found(&mut self, dir: Dir, path: &[u8], above: &[Handle]) {
        let (fs, mut at) = (self.nodes[dir.0 as usize].fs, dir);
        for (name, handle) in path.rsplit(|byte| *byte == b'/').zip(above) {
            let (parent, _) = self.put(fs, handle.kind, &handle.bytes);
            self.nodes[at.0 as usize].found.get_or_insert(Link { parent, name: name.into() });
            at = parent;
        }
    }

    fn told(&mut self, dir: Dir, at: u64, before: Option<Link>, after: Option<Link>) {
        let told = &mut self.nodes[dir.0 as usize].told;
        // Events come in their order.
        debug_assert!(told.last().is_none_or(|last| last.at <= at));
        told.push(Told { at, before, after });
    }

    /// A directory was made.
    pub(super) fn made(&mut self, dir: Dir, at: u64, link: Link) {
        self.told(dir, at, None, Some(link));
    }

    /// A directory was removed.
    pub(super) fn removed(&mut self, dir: Dir, at: u64, link: Link) {
        self.told(dir, at, Some(link), None);
    }

    /// A directory was renamed.
    pub(super) fn renamed(&mut self, dir: Dir, at: u64, from: Link, to: Link) {
        self.told(dir, at, Some(from), Some(to));
        self.renames += 1;
        self.last_rename = at;
    }

    /// A directory was renamed to and fro up to `at`. The kernel tells equal renames that nobody has
    /// read yet once, so the last that was told need not be the last: it is looked at again.
    pub(super) fn unsettled(&mut self, all: &FileSystems, fs: u32, id: &Id<'_>, at: u64) {
        let Some(dir) = self.find(fs, id) else { return };
        self.told(dir, at, None, None);
        self.nodes[dir.0 as usize].found = None;
        let handle = Handle { kind: id.kind, bytes: id.handle.into() };
        // One that is gone is told of by the event of its removal.
        let _ = self.look(&all[fs], dir, &handle);
    }

    /// How often a directory has been renamed: names are the same as long as this is.
    pub(super) fn epoch(&self) -> u32 {
        self.renames
    }

    /// When a directory got another path after `from`, up to `to`: by a rename of its own, or of
    /// one above it.
    pub(super) fn moves(&self, dir: Dir, from: u64, to: u64) -> Vec<u64> {
        /// Of one that never rests, these are enough.
        const MOST: usize = 32;
        let mut moments = Vec::new();
        if self.last_rename <= from {
            return moments;
        }
        let mut at = from;
        while moments.len() < MOST {
            // The next change of any on the way up as it is now.
            let mut next = u64::MAX;
            let mut node = &self.nodes[dir.0 as usize];
            for _ in 0..DEEPEST {
                let later = &node.told[node.told.partition_point(|told| told.at <= at)..];
                next = later.first().map_or(next, |told| next.min(told.at));
                let Some(link) = node.link(at).filter(|_| node.base.is_none()) else { break };
                node = &self.nodes[link.parent.0 as usize];
            }
            if next > to {
                break;
            }
            moments.push(next);
            at = next;
        }
        moments
    }

    /// Whether a mount begins at this file or directory.
    pub(super) fn is_base(&self, dir: Dir) -> bool {
        self.nodes[dir.0 as usize].base.is_some()
    }

    /// The file system of a directory.
    pub(super) fn fs(&self, dir: Dir) -> u32 {
        self.nodes[dir.0 as usize].fs
    }

    /// Where a directory was at a time, within its file system. None when that could not be found
    /// out.
    pub(super) fn path(&self, dir: Dir, at: u64) -> Option<Vec<u8>> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut node = &self.nodes[dir.0 as usize];
        let base = loop {
            if let Some(base) = &node.base {
                break base;
            }
            let link = node.link(at)?;
            names.push(&link.name);
            if names.len() > DEEPEST {
                return None;
            }
            node = &self.nodes[link.parent.0 as usize];
        };
        let mut path = if **base == *b"/" { Vec::new() } else { base.to_vec() };
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Some(path)
    }
}

/// What the kernel calls an open file.
pub(super) fn path_of(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    Ok(link.into_os_string().into_vec())
}
