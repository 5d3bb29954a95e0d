//! What a run depended on: the paths whose state a cache key must hold beside the declared inputs.

use crate::declared::Roles;
use crate::judge::Judge;
use crate::name::{absolute, below, parent};
use crate::pattern::anchor;
use crate::scopes::Scope;
use crate::tree::{NEVER, Tree};
use airtight_recording::{PathId, Recording, Stamp};
use rustc_hash::{FxHashMap, FxHashSet};

/// What of a path a run depended on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// That the name is not there.
    Absent,
    /// That it is no directory: it was to be opened as one, or a name in it was asked for.
    NotDirectory,
    /// That it is there, and of which type: it was looked at, and not into.
    Type,
    /// The content of a file.
    Content,
    /// The names in a directory, without those that the action makes itself.
    Members,
    /// The text of a symbolic link.
    Link,
}

/// One thing that a run depended on, and what it saw there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Absolute, canonical.
    pub path: Vec<u8>,
    /// What of it.
    pub need: Need,
    /// What the run saw, to compare with when the state is taken afterwards.
    pub seen: Seen,
}

/// What a run saw of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that could be compared.
    Nothing,
    /// A file, as it was at its first open.
    File(Stamp),
    /// The text of a symbolic link.
    Text(Vec<u8>),
    /// A directory in which the run itself made, removed and renamed nothing.
    Untouched,
}

/// What the action makes itself; whether it is there says nothing of what the run depended on.
const OWN: Roles = Roles::OUTPUT.and(Roles::SIDE_EFFECT).and(Roles::TEMPORARY);

/// Where the declared inputs are to be looked for. All paths are absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRoots {
    /// Files declared by name.
    pub files: Vec<Vec<u8>>,
    /// Directories: declared ones, and those in which a glob begins. Which of the files below are
    /// inputs is asked with [`Judge::is_input`].
    pub directories: Vec<Vec<u8>>,
}

impl Judge<'_> {
    /// Where the declared inputs are to be looked for.
    pub fn input_roots(&self) -> InputRoots {
        let mut roots = InputRoots {
            files: self.declared.files.clone(),
            directories: self.declared.directories.clone(),
        };
        let globs = &self.declaration.globs;
        for pattern in anchor(globs.iter(), &self.declared.cwd, &|_| None) {
            let list =
                if pattern.glob.is_empty() { &mut roots.files } else { &mut roots.directories };
            list.push(pattern.base);
        }
        roots
    }

    /// Whether `path` (absolute) is declared as an input, by name, directory or glob.
    pub fn is_input(&self, path: &[u8]) -> bool {
        self.declared.roles(path).is_input()
    }

    /// The names that the action makes and a cache restores, absolute, sorted: its outputs and its
    /// depfile, unless that is in the private temporary directory.
    pub fn outputs(&self) -> Vec<Vec<u8>> {
        let depfile = self.declaration.depfile.as_ref();
        let depfile = depfile.map(|depfile| absolute(&self.declared.cwd, &depfile.path));
        let depfile = depfile.filter(|depfile| !self.declared.is_private(depfile));
        let mut outputs: Vec<Vec<u8>> =
            self.declared.outputs.iter().cloned().chain(depfile).collect();
        outputs.sort();
        outputs.dedup();
        outputs
    }

    /// Whether `path` (absolute) is something that the action makes: an output, a side effect, a
    /// temporary, or in its private temporary directory. Such names come and go with the action,
    /// so no key holds whether they are there.
    pub fn makes(&self, path: &[u8]) -> bool {
        self.declared.roles(path).any(OWN) || self.declared.is_private(path)
    }

    /// Whether `path` (absolute) is a directory on the way to something that the action makes, or
    /// to its private temporary directory. Whoever runs or restores the action sees to it that it
    /// is there.
    pub fn leads_to_output(&self, path: &[u8]) -> bool {
        let private = self.declared.temporary_directory.as_deref();
        private.is_some_and(|private| below(private, path).is_some())
            || self.declared.roles(path).any(Roles::ABOVE_OUTPUT)
    }

    /// Whether a run can depend on `path` at all, by what it is: [`Judge::dependencies`] has no
    /// others.
    pub fn may_depend_on(&self, path: &[u8]) -> bool {
        path.starts_with(b"/")
            && !matches!(self.declared.scope(path), Scope::Ignored | Scope::Host)
            && !self.makes(path)
    }

    /// Everything that the recorded run depended on, sorted: content of files, absent names,
    /// members of directories, texts of links. Left out is what the action made itself, what the
    /// policy ignores, and the state of the host (which is told as H004).
    ///
    /// This is what a verdict on the same recording leaves open. The verdict says that every read
    /// was declared or of the toolchain; this says which reads those were.
    pub fn dependencies(&self, recording: &Recording) -> Vec<Dependency> {
        let tree = Tree::new(recording);
        let stamps: FxHashMap<PathId, Stamp> =
            recording.stamps.iter().map(|&(path, before, _)| (path, before)).collect();
        let texts = link_texts(recording);
        let changed: FxHashSet<&[u8]> =
            tree.states.keys().filter_map(|&id| parent(tree.path(id))).collect();
        let mut found = Vec::new();
        for (id, facts) in tree.all_facts() {
            let path = tree.path(id);
            if !self.may_depend_on(path) {
                continue;
            }
            // What comes later is the action's own work.
            let own = tree.states.get(&id).map_or(NEVER, |state| state.own_since);
            let mut add = |need, seen| {
                found.push(Dependency { path: path.to_vec(), need, seen });
            };
            let before = |first: u64| first < own;
            let read = [facts.read, facts.exec, facts.inherited];
            let content = read.iter().any(|fact| fact.happened() && before(fact.first));
            if content && !facts.directory {
                add(
                    Need::Content,
                    stamps.get(&id).map_or(Seen::Nothing, |&stamp| Seen::File(stamp)),
                );
            } else if facts.probe.happened()
                && before(facts.probe.first)
                && !self.leads_to_output(path)
            {
                add(Need::Type, Seen::Nothing);
            }
            if facts.list.happened() && before(facts.list.first) {
                let own = changed.contains(path);
                add(Need::Members, if own { Seen::Nothing } else { Seen::Untouched });
            }
            if facts.link.happened() && before(facts.link.first) {
                let text = texts.get(&id).map(|&text| Seen::Text(tree.path(text).to_vec()));
                add(Need::Link, text.unwrap_or(Seen::Nothing));
            }
            if facts.absent.happened() && before(facts.absent.first) && !self.leads_to_output(path)
            {
                // ENOTDIR: either the name itself or one above it is that of a file.
                let first = tree.access(facts.absent.access).map_or(0, |access| access.errno);
                add(if first == 20 { Need::NotDirectory } else { Need::Absent }, Seen::Nothing);
            }
        }
        self.left_on_the_way(&tree, recording, &mut found);
        found.sort_by(|a, b| (&a.path, a.need).cmp(&(&b.path, b.need)));
        found.dedup();
        found
    }

    /// Adds the directories that `..` left again on the way to other names: that they are no links.
    fn left_on_the_way(&self, tree: &Tree<'_>, recording: &Recording, found: &mut Vec<Dependency>) {
        let dots = |id: &PathId| tree.path(*id).windows(4).any(|part| part == b"/../");
        let asked: FxHashSet<(PathId, Option<PathId>)> = recording
            .accesses
            .iter()
            .filter(|access| dots(&access.requested))
            .map(|access| (access.requested, (access.errno != 0).then_some(access.path)))
            .collect();
        for (name, missing) in asked {
            // A name that is missing leads no further.
            let led =
                |path: &Vec<u8>| missing.is_none_or(|end| below(path, tree.path(end)).is_none());
            for path in tree.left_on_the_way(name).into_iter().take_while(led) {
                let made = tree.find(&path).and_then(|id| tree.states.get(&id));
                if made.is_none_or(|state| state.own_since == NEVER)
                    && self.may_depend_on(&path)
                    && !self.leads_to_output(&path)
                {
                    found.push(Dependency { path, need: Need::Type, seen: Seen::Nothing });
                }
            }
        }
    }
}

/// The text of every link that was read.
fn link_texts(recording: &Recording) -> FxHashMap<PathId, PathId> {
    let links = recording.accesses.iter().filter(|access| !access.other.is_none());
    let links = links.filter(|access| access.kind == airtight_recording::Kind::Link);
    links.map(|access| (access.path, access.other)).collect()
}
