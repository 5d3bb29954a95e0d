//! Who changed which path, and who looked for it before.

use super::parts::{Parts, Slot};
use crate::name::absolute;
use crate::tree::{State, Tree, is_directory, is_special};
use airtight_recording::{Kind, PathId};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// `O_EXCL` of open(2): whoever uses it is ready to find the name taken.
const O_EXCL: u32 = 0o200;

/// What one slot did to one path, all in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed {
    pub(super) slot: Slot,
    /// Sequence number of the first change.
    pub(super) first: u64,
    /// Whether content was changed, not metadata alone.
    pub(super) content: bool,
    /// Whether the path is there when the slot is done.
    pub(super) stays: bool,
    /// Whether the path was there before.
    pub(super) existed: bool,
    pub(super) directory: bool,
    /// Whether the path was made in a way that finds out when it is taken.
    pub(super) exclusive: bool,
}

impl Deed {
    /// Whether the path is a file that this slot made or changed, and left there.
    pub(super) fn made(&self) -> bool {
        self.content && self.stays && !self.directory
    }

    /// Whether the path is a file that came and went.
    pub(super) fn temporary(&self) -> bool {
        self.content && !self.stays && !self.existed && !self.directory
    }
}

/// A look for a name that was not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) slot: Slot,
    /// Sequence number of the first time.
    pub(super) first: u64,
}

/// All that happened to each path of a build.
pub(super) struct Deeds<'a> {
    /// The replay of the whole build.
    pub(super) tree: Rc<Tree<'a>>,
    by_path: FxHashMap<PathId, Vec<Deed>>,
    looks: FxHashMap<PathId, Vec<Look>>,
}

impl<'a> Deeds<'a> {
    /// Replays every slot.
    pub(super) fn new(parts: &mut Parts<'a>) -> Deeds<'a> {
        let mut deeds = Deeds {
            tree: Rc::new(Tree::new(parts.recording)),
            by_path: FxHashMap::default(),
            looks: FxHashMap::default(),
        };
        for slot in 0..parts.slots() {
            if changes_something(parts, slot) {
                deeds.add(parts, slot);
            }
        }
        deeds.add_looks(parts);
        deeds
    }

    fn add(&mut self, parts: &mut Parts<'a>, slot: Slot) {
        let part = parts.cut(slot, false);
        let tree = Tree::new(&part.recording);
        for (&id, state) in &tree.states {
            // A renamed directory gives names that the recording itself does not have.
            let known = part.whole.get(id.0 as usize).copied();
            let whole = known.or_else(|| self.tree.paths.find(tree.path(id)));
            // What is written to a device nobody reads back.
            if let Some(whole) = whole.filter(|_| state.changed && !is_special(state.object)) {
                self.by_path.entry(whole).or_default().push(deed(slot, id, state, &tree));
            }
        }
    }

    fn add_looks(&mut self, parts: &Parts<'a>) {
        let recording = parts.recording;
        for access in &recording.accesses {
            if access.exists() || matches!(access.kind, Kind::Write | Kind::Delete) {
                continue;
            }
            let mut name = access.path;
            // The path is the first name on the way that was missing, so it may be a directory
            // above what was looked for.
            if !access.requested.is_none() && (access.requested.0 as usize) < recording.paths.len()
            {
                let asked = absolute(b"/", recording.paths.get(access.requested));
                name = self.tree.paths.find(&asked).unwrap_or(name);
            }
            for name in [access.path, name] {
                if !self.by_path.contains_key(&name) {
                    continue;
                }
                let Some(slot) = parts.slot_of(access) else { continue };
                let looks = self.looks.entry(name).or_default();
                let first = access.first;
                match looks.iter_mut().find(|look| look.slot == slot) {
                    Some(look) => look.first = look.first.min(first),
                    None => looks.push(Look { slot, first }),
                }
            }
        }
    }

    /// The number of a path that something was done to.
    fn find(&self, path: &[u8]) -> Option<PathId> {
        self.tree.paths.find(path).filter(|id| !id.is_none())
    }

    /// What was done to `path`, by slot.
    pub(super) fn of(&self, path: &[u8]) -> &[Deed] {
        self.find(path).map_or(&[], |id| self.of_id(id))
    }

    /// The same for a number in the whole recording.
    pub(super) fn of_id(&self, id: PathId) -> &[Deed] {
        self.by_path.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Who looked for `path` and did not find it.
    pub(super) fn looks(&self, path: &[u8]) -> &[Look] {
        self.find(path).and_then(|id| self.looks.get(&id)).map_or(&[], Vec::as_slice)
    }

    /// Whether `path` was there before the build, as far as seen.
    pub(super) fn existed(&self, path: &[u8]) -> bool {
        self.find(path).is_some_and(|id| match self.tree.states.get(&id) {
            Some(state) => state.existed == Some(true),
            None => self.tree.facts(id).seen() != crate::tree::NEVER,
        })
    }

    /// Whether `path` is there when the build is over; none when nobody looked.
    pub(super) fn exists(&self, path: &[u8]) -> Option<bool> {
        let id = self.find(path)?;
        if let Some(state) = self.tree.states.get(&id) {
            return Some(state.exists);
        }
        let facts = self.tree.facts(id);
        if facts.seen() != crate::tree::NEVER {
            return Some(true);
        }
        facts.absent.happened().then_some(false)
    }
}

/// Most slots of a build without work have no change among their accesses.
fn changes_something(parts: &Parts<'_>, slot: Slot) -> bool {
    parts.accesses(slot).iter().any(|&index| {
        let access = &parts.recording.accesses[index as usize];
        access.errno == 0 && matches!(access.kind, Kind::Write | Kind::Delete)
    })
}

fn deed(slot: Slot, id: PathId, state: &State, tree: &Tree<'_>) -> Deed {
    let first = tree.access(state.first);
    Deed {
        slot,
        first: first.map_or(0, |access| access.first),
        content: state.content,
        stays: state.exists,
        existed: state.existed == Some(true),
        directory: is_directory(state.object) || tree.facts(id).directory,
        exclusive: first.is_some_and(|access| access.flags & O_EXCL != 0),
    }
}
