//! Whole builds: the graph of a build, whose work each process did, and the judgement across
//! actions.
//!
//! An adapter (in the command) makes a [`Build`] of a recording and the build's own description;
//! [`judge`] holds what happened against it.

mod attribution;
mod check;
mod closure;
mod deeds;
mod edges;
mod graph;
mod grounds;
mod judge;
mod order;
mod parts;
mod text;
mod understood;
mod verdict;
mod world;

pub use attribution::{Attribution, Owner, Span};
pub use check::BuildError;
pub use graph::{Action, ActionId, Graph, Input, Nature, Run, RunId, Via};
pub use judge::{Options, judge};
pub use verdict::{ActionVerdict, BuildVerdict, Unattributed};

use serde::{Deserialize, Serialize};

/// A build: everything about it that is not in the recording.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Build {
    /// The root of the workspace: absolute, canonical. As text, or lossy for people.
    #[serde(with = "text")]
    pub workspace: Vec<u8>,
    /// The home directory, for `$HOME` in a policy.
    #[serde(with = "text")]
    pub home: Vec<u8>,
    /// What the build description says. Action 0 is always the command of the audit itself, of
    /// nature [`Nature::Always`]: what belongs to no build tool belongs to it.
    pub graph: Graph,
    /// Whose work each process did.
    pub attribution: Attribution,
}
