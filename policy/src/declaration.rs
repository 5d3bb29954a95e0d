//! What an action says of itself.

use crate::pattern::Pattern;
use crate::source::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In whose words a fix is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Flavour {
    /// Flags of `airtight run`.
    #[default]
    Flags,
    /// Entries of an action.json.
    Spec,
    /// Rules of a makefile.
    Make,
    /// Edges of a build.ninja that was written by hand, or by a generator that is not known.
    Ninja,
    /// Commands of a CMakeLists.txt.
    Cmake,
    /// Calls of a meson.build.
    Meson,
    /// Calls in an SConstruct or SConscript.
    Scons,
}

/// The environment of an action, by what the key holds of each variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// Set to a fixed value, which is in the key.
    pub fixed: BTreeMap<String, String>,
    /// Passed on; the value is in the key.
    pub tracked: Vec<String>,
    /// Passed on; only the name is in the key.
    pub passthrough: Vec<String>,
    /// Names of variables that the action got without declaring them (H005). Filled in by
    /// whoever runs the action, not by the declaration.
    #[serde(skip)]
    pub undeclared: Vec<String>,
}

/// A file of make rules that the action writes and that lists its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depfile {
    /// Its name.
    pub path: Vec<u8>,
    /// What was in it after the action; none if it was not there.
    pub content: Option<Vec<u8>>,
}

/// What an action declares. Paths are bytes, absolute or relative to `cwd`.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// The action's name: usually its first output, or the command.
    pub name: String,
    /// The root of the workspace: absolute, canonical.
    pub workspace: Vec<u8>,
    /// The current directory of the action: absolute, canonical.
    pub cwd: Vec<u8>,
    /// Files that it reads.
    pub files: Vec<Vec<u8>>,
    /// Directories of which it may read everything.
    pub directories: Vec<Vec<u8>>,
    /// Globs of files that it reads.
    pub globs: Vec<Pattern>,
    /// A depfile that lists further inputs.
    pub depfile: Option<Depfile>,
    /// Files and whole directories that it makes.
    pub outputs: Vec<Vec<u8>>,
    /// Files and globs that it may leave behind and that are never restored from a cache. What it
    /// reads of them must be declared as an input too.
    pub side_effects: Vec<Pattern>,
    /// Files and globs that it makes and removes again.
    pub temporary: Vec<Pattern>,
    /// Its environment.
    pub environment: Environment,
    /// Where the declaration stands.
    pub declared_at: Option<Place>,
    /// In whose words fixes are given.
    pub flavour: Flavour,
    /// The action's own temporary directory, emptied by whoever runs it.
    pub temporary_directory: Option<Vec<u8>>,
    /// The home directory, for `$HOME` in a policy.
    pub home: Option<Vec<u8>>,
}
