//! What a process tree did to each name: facts per path, and a replay of all changes in order.

use crate::name::{absolute, components, parent};
use airtight_recording::{Access, Kind, Op, PathId, Paths, Recording};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// No sequence number: it never happened.
pub(crate) const NEVER: u64 = u64::MAX;

/// The directory bit pattern of `st_mode & S_IFMT` (inode(7)).
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

pub(crate) fn is_directory(object: u32) -> bool {
    object == S_IFDIR
}

/// FIFO, socket or device (inode(7)): what no cache can hold.
pub(crate) fn is_special(object: u32) -> bool {
    !matches!(object, 0 | S_IFDIR | S_IFREG | 0o120_000)
}

/// One way of touching a path, counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    /// Sequence number of the first time.
    pub(crate) first: u64,
    /// The access of the first time, as index.
    pub(crate) access: u32,
    pub(crate) count: u64,
}

impl Default for Fact {
    fn default() -> Self {
        Fact { first: NEVER, access: 0, count: 0 }
    }
}

impl Fact {
    fn add(&mut self, index: u32, access: &Access) {
        self.count += u64::from(access.count.max(1));
        if access.first < self.first || self.first == NEVER {
            (self.first, self.access) = (access.first, index);
        }
    }

    pub(crate) fn happened(&self) -> bool {
        self.count > 0
    }
}

/// How a path was looked at, apart from changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) read: Fact,
    pub(crate) exec: Fact,
    /// Asked for, and it was there.
    pub(crate) probe: Fact,
    /// Asked for, and it was not there.
    pub(crate) absent: Fact,
    pub(crate) list: Fact,
    pub(crate) link: Fact,
    /// Held open for reading from before the trace.
    pub(crate) inherited: Fact,
    /// A directory, as far as seen.
    pub(crate) directory: bool,
}

impl Facts {
    /// When the path was first seen to be there.
    pub(crate) fn seen(&self) -> u64 {
        let all = [&self.read, &self.exec, &self.probe, &self.list, &self.link];
        all.iter().map(|fact| fact.first).min().unwrap_or(NEVER)
    }
}

/// A path that the tree changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    /// Whether it was there before the first change; none when that can't be known.
    pub(crate) existed: Option<bool>,
    /// Whether it is there now.
    pub(crate) exists: bool,
    /// Whether what is there now was made by the tree.
    made: bool,
    /// From when on reading it is reading the tree's own work.
    pub(crate) own_since: u64,
    /// The first change, as index of its access.
    pub(crate) first: u32,
    /// The first change of something that the tree did not make.
    pub(crate) foreign: Option<u32>,
    /// The first removal of something that the tree did not make.
    pub(crate) removed: Option<u32>,
    /// Whether content was changed, not metadata alone.
    pub(crate) content: bool,
    /// Object type of the last change that told it.
    pub(crate) object: u32,
    /// How many changes.
    pub(crate) count: u64,
    /// Whether it was changed at all, other than through descriptors held from before.
    pub(crate) changed: bool,
}

/// The replayed tree.
pub(crate) struct Tree<'a> {
    pub(crate) recording: &'a Recording,
    /// The recording's paths, and those that renamed directories gave rise to.
    pub(crate) paths: Cow<'a, Paths>,
    facts: Vec<Facts>,
    pub(crate) states: FxHashMap<PathId, State>,
    /// Symbolic links seen, with their text.
    links: FxHashMap<PathId, PathId>,
    /// Other names that were asked for, per path.
    pub(crate) requested: FxHashMap<PathId, Vec<PathId>>,
}

/// Whether the access says that the name was there, as far as a failed call can tell: what is in
/// the way of mkdir is nearly always the directory itself.
fn there(access: &Access) -> bool {
    // EEXIST 17
    access.errno == 0 || access.object != 0 || (access.errno == 17 && access.op != Op::Mkdir)
}

impl<'a> Tree<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Tree<'a> {
        let mut tree = Tree {
            recording,
            paths: Cow::Borrowed(&recording.paths),
            facts: vec![Facts::default(); recording.paths.len()],
            states: FxHashMap::default(),
            links: FxHashMap::default(),
            requested: FxHashMap::default(),
        };
        let mut changes = Vec::new();
        for (index, access) in recording.accesses.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            tree.look(index, access, &mut changes);
        }
        changes.sort_unstable();
        let mut replay = Replay::default();
        for (seq, _, index) in changes {
            replay.apply(&mut tree, seq, index);
        }
        tree
    }

    pub(crate) fn access(&self, index: u32) -> Option<&'a Access> {
        self.recording.accesses.get(index as usize)
    }

    /// The number of a path that was named.
    pub(crate) fn find(&self, path: &[u8]) -> Option<PathId> {
        self.paths.find(path)
    }

    /// The bytes of a path; nothing for a number that does not exist.
    pub(crate) fn path(&self, id: PathId) -> &[u8] {
        if (id.0 as usize) < self.paths.len() { self.paths.get(id) } else { b"" }
    }

    pub(crate) fn facts(&self, id: PathId) -> Facts {
        self.facts.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// Every path of the recording with what is known of it.
    pub(crate) fn all_facts(&self) -> impl Iterator<Item = (PathId, &Facts)> {
        self.facts.iter().enumerate().skip(1).map(|(id, facts)| (PathId(id as u32), facts))
    }

    fn look(&mut self, index: u32, access: &Access, changes: &mut Vec<(u64, bool, u32)>) {
        let known = |id: PathId| (id.0 as usize) < self.recording.paths.len();
        if access.path.is_none() || !known(access.path) {
            return;
        }
        if !access.requested.is_none() && access.requested != access.path && known(access.requested)
        {
            let names = self.requested.entry(access.path).or_default();
            if !names.contains(&access.requested) {
                names.push(access.requested);
            }
        }
        let facts = &mut self.facts[access.path.0 as usize];
        facts.directory |= is_directory(access.object);
        let failed = access.errno != 0;
        match access.kind {
            Kind::Write | Kind::Delete if !failed => {
                // Link count 1 apart, one record stands for many: the first and the last time
                // are what the replay needs. Of equal times the removal of a rename goes first.
                changes.push((access.first, access.kind == Kind::Write, index));
                if access.last > access.first {
                    changes.push((access.last, access.kind == Kind::Write, index));
                }
            }
            Kind::Probe => {
                if !access.exists() {
                    facts.absent.add(index, access);
                } else if there(access) {
                    facts.probe.add(index, access);
                }
            }
            _ if failed => {
                if !access.exists() {
                    facts.absent.add(index, access);
                } else if there(access) {
                    facts.probe.add(index, access);
                }
            }
            Kind::Read if access.op == Op::Inherited => {
                if matches!(access.object, 0 | S_IFREG) {
                    facts.inherited.add(index, access);
                }
            }
            Kind::Read => facts.read.add(index, access),
            Kind::Exec => facts.exec.add(index, access),
            Kind::List => {
                facts.directory = true;
                facts.list.add(index, access);
            }
            Kind::Link => {
                facts.link.add(index, access);
                if !access.other.is_none() && known(access.other) {
                    self.links.insert(access.path, access.other);
                }
            }
            _ => {}
        }
    }

    /// All names under which `path` was reached when it was asked for as `requested`: that name,
    /// and what it became at each symbolic link on the way. Adds the links to `hops`.
    pub(crate) fn names_on_the_way(
        &self,
        requested: PathId,
        hops: &mut Vec<PathId>,
    ) -> Vec<Vec<u8>> {
        self.way(requested, hops, |_| ())
    }

    /// The directories that `..` left again on the way to `requested`. Were one of them a link
    /// instead, the name would lead elsewhere.
    pub(crate) fn left_on_the_way(&self, requested: PathId) -> Vec<Vec<u8>> {
        let mut left = Vec::new();
        self.way(requested, &mut Vec::new(), |directory| left.push(directory.to_vec()));
        left
    }

    fn way(
        &self,
        requested: PathId,
        hops: &mut Vec<PathId>,
        mut leave: impl FnMut(&[u8]),
    ) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        let mut rest: Vec<Vec<u8>> = components(self.path(requested)).map(<[u8]>::to_vec).collect();
        rest.reverse();
        if !rest.iter().any(|part| part == b"..") {
            names.push(absolute(b"/", self.path(requested)));
        }
        let mut reached = Vec::new();
        // The kernel follows 40 links at most (path_resolution(7)).
        let mut left = 40;
        while let Some(part) = rest.pop() {
            if part == b".." {
                if !reached.is_empty() {
                    leave(&reached);
                }
                reached.truncate(
                    parent(&reached).map_or(0, |up| if up == b"/" { 0 } else { up.len() }),
                );
                continue;
            }
            let start = reached.len();
            reached.push(b'/');
            reached.extend_from_slice(&part);
            let Some((link, &text)) =
                self.find(&reached).and_then(|id| Some((id, self.links.get(&id)?)))
            else {
                continue;
            };
            hops.push(link);
            if left == 0 {
                break;
            }
            left -= 1;
            if self.states.get(&link).is_some_and(|state| state.own_since != NEVER) {
                // A link that the action made itself declares nothing of what it leads to.
                names.clear();
            } else if !rest.iter().any(|part| part == b"..") {
                let mut name = reached.clone();
                for part in rest.iter().rev() {
                    name.push(b'/');
                    name.extend_from_slice(part);
                }
                names.push(name);
            }
            reached.truncate(if self.path(text).starts_with(b"/") { 0 } else { start });
            let parts = components(self.path(text)).map(<[u8]>::to_vec);
            let at = rest.len();
            rest.extend(parts);
            rest[at..].reverse();
        }
        if reached.is_empty() {
            reached.push(b'/');
        }
        names.push(reached);
        names
    }

    /// Whether the tree itself changed, moved or removed `path` or a directory above it.
    pub(crate) fn touched(&self, path: PathId) -> bool {
        if self.states.contains_key(&path) {
            return true;
        }
        let mut at = parent(self.path(path));
        while let Some(directory) = at {
            let state = self.find(directory).and_then(|id| self.states.get(&id));
            if state.is_some_and(|s| s.removed.is_some()) {
                return true;
            }
            at = parent(directory);
        }
        false
    }
}

/// What the replay must remember beyond the states.
#[derive(Default)]
struct Replay {
    /// Hard links: names of one file share a group.
    group_of: FxHashMap<PathId, usize>,
    groups: Vec<Vec<PathId>>,
    /// Whether what a rename took away had been made by the tree.
    moved: FxHashMap<PathId, bool>,
}

impl Replay {
    fn apply(&mut self, tree: &mut Tree<'_>, seq: u64, index: u32) {
        let Some(&access) = tree.access(index) else { return };
        let existed = (tree.facts(access.path).seen() < seq).then_some(true);
        let state = tree.states.entry(access.path).or_insert(State {
            existed,
            exists: existed.unwrap_or(false),
            made: false,
            own_since: NEVER,
            first: index,
            foreign: None,
            removed: None,
            content: false,
            object: 0,
            count: 0,
            changed: false,
        });
        if access.first == seq {
            state.count += u64::from(access.count.max(1));
        }
        if access.object != 0 {
            state.object = access.object;
        }
        if access.op == Op::Inherited {
            state.exists = true;
            state.content = true;
            return;
        }
        state.changed = true;
        match (access.kind, access.op) {
            (Kind::Delete, op) => {
                if !state.made {
                    state.existed.get_or_insert(true);
                    if state.existed == Some(true) {
                        state.removed.get_or_insert(index);
                    }
                }
                let made = std::mem::take(&mut state.made);
                state.exists = false;
                self.unlink(access.path);
                if op == Op::Rename {
                    self.moved.insert(access.path, made);
                    move_below(tree, access.path, access.other, seq);
                }
            }
            (_, Op::Metadata) => {
                if !state.made {
                    state.existed.get_or_insert(true);
                    state.foreign.get_or_insert(index);
                }
                state.exists = true;
                self.through_links(tree, access.path, index);
            }
            (
                _,
                Op::Create
                | Op::Mkdir
                | Op::Symlink
                | Op::Mknod
                | Op::Hardlink
                | Op::Rename
                | Op::Kernel,
            ) => {
                if matches!(access.op, Op::Rename | Op::Kernel) {
                    // It may have replaced a file that nobody looked at before.
                    if state.existed == Some(true) && !state.made && state.exists {
                        state.foreign.get_or_insert(index);
                    }
                } else {
                    state.existed.get_or_insert(false);
                }
                state.made = true;
                state.exists = true;
                state.content = true;
                state.own_since = state.own_since.min(seq);
                self.unlink(access.path);
                if access.op == Op::Hardlink && !access.other.is_none() {
                    self.link(access.path, access.other);
                }
            }
            (_, op) => {
                if !state.made {
                    state.existed.get_or_insert(true);
                    state.foreign.get_or_insert(index);
                }
                state.exists = true;
                state.content = true;
                // What was open for reading too may have been read before it was written.
                let since = seq.saturating_add(u64::from(matches!(op, Op::Change | Op::Map)));
                state.own_since = state.own_since.min(since);
                self.through_links(tree, access.path, index);
            }
        }
    }

    fn link(&mut self, name: PathId, other: PathId) {
        let group = *self.group_of.entry(other).or_insert_with(|| {
            self.groups.push(vec![other]);
            self.groups.len() - 1
        });
        self.groups[group].push(name);
        self.group_of.insert(name, group);
    }

    fn unlink(&mut self, name: PathId) {
        if let Some(group) = self.group_of.remove(&name) {
            self.groups[group].retain(|&other| other != name);
        }
    }

    /// A change through one name of a file is a change of its other names.
    fn through_links(&self, tree: &mut Tree<'_>, name: PathId, index: u32) {
        let Some(&group) = self.group_of.get(&name) else { return };
        for &other in self.groups[group].iter().filter(|&&other| other != name) {
            let state = tree.states.entry(other).or_insert(State {
                existed: Some(true),
                exists: true,
                made: false,
                own_since: NEVER,
                first: index,
                foreign: None,
                removed: None,
                content: true,
                object: S_IFREG,
                count: 1,
                changed: true,
            });
            if !state.made {
                state.foreign.get_or_insert(index);
            }
        }
    }
}

/// Renaming a directory renames everything under it: what the tree has made there is now found
/// under the new name.
fn move_below(tree: &mut Tree<'_>, from: PathId, to: PathId, seq: u64) {
    if to.is_none() || tree.path(to).is_empty() {
        return;
    }
    let prefix = [tree.path(from), b"/"].concat();
    let moving: Vec<PathId> = tree
        .states
        .iter()
        .filter(|(id, state)| state.exists && tree.path(**id).starts_with(&prefix))
        .map(|(&id, _)| id)
        .collect();
    for id in moving {
        let name = [tree.path(to), b"/", &tree.path(id)[prefix.len()..]].concat();
        let Some(state) = tree.states.get_mut(&id) else { continue };
        let old = *state;
        state.exists = false;
        state.made = false;
        let new = tree.paths.to_mut().intern(&name);
        let state = tree.states.entry(new).or_insert(State { existed: Some(false), ..old });
        (state.exists, state.made, state.changed) = (true, true, true);
        state.own_since = state.own_since.min(seq);
    }
}
