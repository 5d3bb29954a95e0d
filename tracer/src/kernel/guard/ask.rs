//! What an open means, and what is asked of the judge about it.

use super::Refused;
use crate::guard::{Attempt, Guard, Reaction};
use crate::mounts::{Mount, Mounts, Place};
use crate::sys::files;
use crate::sys::permit::Facts;
use airtight_recording::Kind;
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that a traced call is about to open, as the tracer understands the call. The kernel's
/// event has but the name at the end of all links, and does not say what the open is for.
#[derive(Clone, Debug)]
pub(crate) struct Hint {
    pub(crate) path: Vec<u8>,
    pub(crate) requested: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) exists: bool,
    pub(crate) own: bool,
}

/// What the tracer expects, by process and thread. One that is not used up does no harm: it says
/// only what is asked, never what is answered.
#[derive(Debug, Default)]
pub(crate) struct Hints(FxHashMap<i32, Vec<(i32, Hint)>>);

impl Hints {
    /// A thread makes a call that may open these, and nothing of what it was about before.
    pub(crate) fn set(&mut self, tgid: i32, tid: i32, hints: impl Iterator<Item = Hint>) {
        let list = self.0.entry(tgid).or_default();
        list.retain(|(of, _)| *of != tid);
        list.extend(hints.map(|hint| (tid, hint)));
    }

    /// A process has ended.
    pub(crate) fn forget(&mut self, tgid: i32) {
        self.0.remove(&tgid);
    }

    pub(super) fn find(&self, tgid: i32, path: &[u8]) -> Option<&Hint> {
        let list = self.0.get(&tgid)?;
        list.iter().map(|(_, hint)| hint).find(|hint| hint.path == path)
    }
}

/// The kernel's tick is 10 ms at most; files are born by it.
const TICK: i64 = 20_000_000;

/// How many files of the tree's own making are remembered.
const MOST_OWN: usize = 1 << 20;

/// Works out what opens mean.
pub(super) struct Names {
    /// Since when files count as new.
    since: i64,
    /// Mounts of the tree that are at the same place as one of the host.
    same: FxHashSet<u64>,
    mounts: Mounts,
    /// Files that were new and empty when the tree opened them: it has made them.
    own: FxHashSet<(u64, u64)>,
    link: Vec<u8>,
}

/// One open.
pub(super) struct Open {
    /// What it is called on the host.
    pub(super) path: Vec<u8>,
    pub(super) exec: bool,
    facts: Facts,
    hint: Option<Hint>,
    own: bool,
}

impl Names {
    /// `tree` are the mounts of the tree's namespace, which is a copy of ours.
    pub(super) fn new(tree: &[Mount]) -> io::Result<Names> {
        let mounts = Mounts::of_self()?;
        let same = tree.iter().filter(|mount| mounts.shows(mount)).map(|mount| mount.id).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        let since = now - TICK;
        let link = vec![0; 2 * libc::PATH_MAX as usize];
        Ok(Names { since, same, mounts, own: FxHashSet::default(), link })
    }

    /// Mounts were made or moved in the tree: no mount is taken to be where it was.
    pub(super) fn remounted(&mut self) -> io::Result<()> {
        self.same.clear();
        self.mounts = Mounts::of_self()?;
        Ok(())
    }

    /// What process `pid` opens; none for a file without a name, which was judged when it had one.
    ///
    /// # Errors
    /// When it can't be told what the host calls it.
    pub(super) fn open(
        &mut self,
        pid: i32,
        exec: bool,
        file: &OwnedFd,
        facts: Facts,
        hints: &std::sync::Mutex<Hints>,
    ) -> io::Result<Option<Open>> {
        if facts.links == 0 {
            return Ok(None);
        }
        let name = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let length = files::read_link(files::CWD, &name, &mut self.link)?;
        let mut path = self.link[..length].to_vec();
        if !self.same.contains(&facts.mount) {
            match self.mounts.translate(pid, facts.mount, &path) {
                Place::Same => {}
                Place::Called(name) => path = name,
                Place::Nowhere => {
                    let path = String::from_utf8_lossy(&path);
                    let what = format!("{path} is on a mount that the host does not show");
                    return Err(io::Error::other(what));
                }
            }
        }
        let inode = (facts.device, facts.inode);
        if facts.size == 0 && facts.born >= self.since && self.own.len() < MOST_OWN {
            self.own.insert(inode);
        }
        let own = self.own.contains(&inode);
        let hint = super::lock(hints).find(pid, &path).cloned();
        Ok(Some(Open { path, exec, facts, hint, own }))
    }
}

impl Open {
    /// Asks the judge. Without a hint nobody knows whether a file is opened for reading or for
    /// writing: it is enough that one of them is declared.
    pub(super) fn decide(&self, judge: &mut dyn Guard) -> Reaction {
        let directory = self.facts.object == libc::S_IFDIR;
        let hint = self.hint.as_ref();
        let kinds: &[Kind] = match hint {
            _ if self.exec => &[Kind::Exec],
            Some(hint) => &[hint.kind],
            None if directory => &[Kind::List],
            None => &[Kind::Read, Kind::Write],
        };
        let mut first = Reaction::Allow;
        for (at, &kind) in kinds.iter().enumerate() {
            let reaction = judge.decide(&Attempt {
                path: &self.path,
                requested: hint.map_or(&self.path, |hint| &hint.requested),
                kind,
                exists: hint.is_none_or(|hint| hint.exists),
                object: self.facts.object,
                own: hint.map_or(self.own, |hint| hint.own || self.own),
            });
            if reaction == Reaction::Allow {
                return reaction;
            }
            if at == 0 {
                first = reaction;
            }
        }
        first
    }

    /// What is to be recorded of an open that is refused.
    pub(super) fn refused(self, pid: i32, kill: bool) -> Refused {
        let kind = match &self.hint {
            _ if self.exec => Kind::Exec,
            Some(hint) => hint.kind,
            None if self.facts.object == libc::S_IFDIR => Kind::List,
            None => Kind::Read,
        };
        let requested = self.hint.map_or_else(Vec::new, |hint| hint.requested);
        Refused { pid, path: self.path, requested, kind, object: self.facts.object, kill }
    }
}
