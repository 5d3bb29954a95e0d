//! Whole builds: the graph of a build, whose work each process did, and the judgement across
//! actions.
//!
//! An adapter (in the command) makes a [`Build`] of a recording and the build's own description;
//! [`judge`] holds what happened against it.

mod attribution;
mod graph;
mod judge;
mod verdict;

pub use attribution::{Attribution, Owner, Span};
pub use graph::{Action, ActionId, Graph, Input, Nature, Run, RunId, Via};
pub use judge::{Options, judge};
pub use verdict::{ActionVerdict, BuildVerdict, Unattributed};

use serde::{Deserialize, Serialize};

/// A build: everything about it that is not in the recording.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Build {
    /// The root of the workspace: absolute, canonical. As text, or lossy for people.
    #[serde(with = "serde_bytes_as_text")]
    pub workspace: Vec<u8>,
    /// The home directory, for `$HOME` in a policy.
    #[serde(with = "serde_bytes_as_text")]
    pub home: Vec<u8>,
    /// What the build description says. Action 0 is always the command of the audit itself, of
    /// nature [`Nature::Always`]: what belongs to no build tool belongs to it.
    pub graph: Graph,
    /// Whose work each process did.
    pub attribution: Attribution,
}

/// Bytes as text where they are UTF-8, else as `{"b64": …}`.
mod serde_bytes_as_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Name {
        Text(String),
        Bytes { b64: String },
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Name::Text(text.to_owned()),
            Err(_) => Name::Bytes { b64: STANDARD.encode(bytes) },
        }
        .serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        match Name::deserialize(d)? {
            Name::Text(text) => Ok(text.into_bytes()),
            Name::Bytes { b64 } => STANDARD.decode(b64).map_err(D::Error::custom),
        }
    }
}
