//! The graph of a build, as its own description has it.

use crate::declaration::Flavour;
use crate::source::Place;
use airtight_recording::{PathId, Paths, ProcessId};
use serde::{Deserialize, Serialize};

/// The number of an action in its [`Graph`]: dense, from 0.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct ActionId(pub u32);

/// The number of a [`Run`] of a build tool in its [`Graph`]: dense, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u32);

/// How an action is known to depend on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Named in the build description: when it changes, the action runs again.
    Declared,
    /// Learned from a depfile of an earlier run: when it changes, the action runs again, but in a
    /// clean build nothing makes it first. (What a dyndep file says is declared: ninja heeds it
    /// before the action runs.)
    Depfile,
    /// Made first, and no reason to run the action again (`|` in make, `||` in ninja).
    OrderOnly,
}

/// One edge of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Input {
    /// The file or the name (phony targets are names like files), absolute; a number in
    /// [`Graph::paths`].
    #[serde(with = "path_number")]
    pub path: PathId,
    /// How it is known.
    pub via: Via,
}

/// When an action runs, which decides what can be stale about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// When one of its inputs is newer than its outputs.
    #[default]
    Normal,
    /// In every build: a phony target with a recipe, an output that is never made, a script that
    /// is no build tool. Nothing that it reads can be stale.
    Always,
    /// It makes the build description itself (configure, CMake's regeneration, automake's rules
    /// for its own makefiles): it is known to look at the whole tree, and its reads are not judged.
    Configure,
    /// It joins names and runs nothing.
    Alias,
}

/// One node of the graph: what ninja calls an edge, and make a rule with its target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name, the same on every machine: its first output relative to the workspace, or, for
    /// what has none, the command.
    pub name: String,
    /// The names that it makes, absolute; numbers in [`Graph::paths`].
    #[serde(with = "path_numbers")]
    pub outputs: Vec<PathId>,
    /// What it depends on.
    pub inputs: Vec<Input>,
    /// The depfile that it writes, if the description names one.
    #[serde(with = "path_number")]
    pub depfile: PathId,
    /// When it runs.
    pub nature: Nature,
    /// The tool that runs it; none for what no tool runs (the command of the audit itself).
    pub run: Option<RunId>,
    /// Where it is declared.
    pub declared_at: Option<Place>,
    /// In whose words fixes are given.
    pub flavour: Flavour,
    /// The directory its command runs in, absolute; a number in [`Graph::paths`].
    #[serde(with = "path_number")]
    pub cwd: PathId,
    /// Its command, for people; empty when it has none or it is not known.
    pub command: String,
    /// Whether its outputs are all that the description lets it make. In make a rule has no way
    /// to declare what it makes beside its target, so there this is false, and what it makes
    /// besides is told only where it does harm.
    pub closed: bool,
}

/// One run of a build tool within the traced command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// `make`, `ninja`.
    pub tool: String,
    /// The process that is the tool.
    pub process: ProcessId,
    /// From when on it is the tool: the sequence number of its exec.
    pub since: u64,
    /// Its directory, absolute; a number in [`Graph::paths`].
    #[serde(with = "path_number")]
    pub cwd: PathId,
    /// Its arguments.
    pub argv: Vec<String>,
    /// The action whose command started it (a recipe that calls `$(MAKE)`); it begins after what
    /// that action depends on, and that action ends after all that the run does.
    pub within: Option<ActionId>,
}

/// The graphs of all build tools that took part, joined: nodes of several tools meet in the names
/// of files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Graph {
    /// The bytes of all names.
    #[serde(with = "path_table")]
    pub paths: Paths,
    /// All actions, at the index that is their number.
    pub actions: Vec<Action>,
    /// All runs of tools, at the index that is their number.
    pub runs: Vec<Run>,
}

impl Graph {
    /// Adds an action.
    ///
    /// # Panics
    /// With 2^32 actions.
    pub fn add(&mut self, action: Action) -> ActionId {
        let id = u32::try_from(self.actions.len()).expect("fewer than 2^32 actions");
        self.actions.push(action);
        ActionId(id)
    }

    /// The action of this number.
    pub fn action(&self, id: ActionId) -> &Action {
        &self.actions[id.0 as usize]
    }

    /// The run of this number.
    pub fn run(&self, id: RunId) -> &Run {
        &self.runs[id.0 as usize]
    }
}

mod path_number {
    use super::PathId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(id: &PathId, serializer: S) -> Result<S::Ok, S::Error> {
        id.0.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<PathId, D::Error> {
        u32::deserialize(d).map(PathId)
    }
}

mod path_numbers {
    use super::PathId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(ids: &[PathId], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(ids.iter().map(|id| id.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<PathId>, D::Error> {
        Vec::<u32>::deserialize(d).map(|ids| ids.into_iter().map(PathId).collect())
    }
}

/// The names in order of their numbers.
mod path_table {
    use super::Paths;
    use crate::build::text::Name;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(paths: &Paths, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(paths.iter().skip(1).map(|(_, bytes)| Name::from(bytes)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Paths, D::Error> {
        let mut paths = Paths::default();
        for name in Vec::<Name>::deserialize(d)? {
            let bytes = Vec::try_from(name).map_err(D::Error::custom)?;
            if !paths.has_room(bytes.len()) {
                return Err(D::Error::custom("more than 4 GiB of paths"));
            }
            if !paths.intern_new(&bytes).1 {
                return Err(D::Error::custom("a path occurs twice"));
            }
        }
        Ok(paths)
    }
}
