//! One rule broken by one action on one path.

use crate::name::{display, parent};
use crate::policy::{Reaction, Severity};
use crate::rules::Rule;
use crate::source::Place;
use airtight_recording::{Digest, Kind};
use base64::Engine as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::fmt;

/// A path as bytes. In JSON `"path": text`, or `"path_b64"` where it is not UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathBytes(pub Vec<u8>);

impl Serialize for PathBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("path", text)?,
            Err(_) => {
                let text = base64::engine::general_purpose::STANDARD.encode(&self.0);
                map.serialize_entry("path_b64", &text)?;
            }
        }
        map.end()
    }
}

impl JsonSchema for PathBytes {
    fn schema_name() -> Cow<'static, str> {
        "PathBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "description": "The path, where it is UTF-8." },
                "path_b64": {
                    "type": "string",
                    "contentEncoding": "base64",
                    "description": "The bytes of the path, where they are not UTF-8.",
                },
            },
        })
    }
}

/// One process of the chain that led to an access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Its pid.
    pub pid: u32,
    /// The file that ran, for people.
    pub exe: String,
    /// Its arguments, for people (invalid UTF-8 replaced).
    pub argv: Vec<String>,
}

/// How it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Evidence {
    /// The process that did it first, then its parent, up to the root process.
    pub chain: Vec<Step>,
    /// The system call; empty when the kernel did it on its own.
    pub syscall: String,
    /// Its flags, for people: `O_RDONLY|O_CLOEXEC`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub flags: String,
    /// The name that was asked for, when it is another than the path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub requested: String,
    /// Sequence number of the first time.
    pub seq: u64,
}

/// Something else that belongs to a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Related {
    /// What it is: `declared here`, `made by gen/version.h`.
    pub what: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What came of the attempt to prove a stale dependency: the file was made newer, and the build
/// tool asked whether it would rebuild what reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Confirmation {
    /// What came of it.
    pub result: Proof,
    /// What was asked, or why nothing could be; for people.
    pub how: String,
}

/// See [`Confirmation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The tool would leave the target as it is, although the file is newer.
    Proven,
    /// The tool would rebuild it.
    NotReproduced,
    /// It could not be tried.
    NotTried,
}

/// `proven`, `not reproduced`, `not tried`, and how.
impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = match self.result {
            Proof::Proven => "proven",
            Proof::NotReproduced => "not reproduced",
            Proof::NotTried => "not tried",
        };
        write!(f, "{result}: {}", self.how)
    }
}

/// One rule broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Finding {
    /// A short stable name for `airtight explain`: rule and fingerprint.
    pub id: String,
    /// The rule.
    pub rule: Rule,
    /// The rule's speaking name.
    pub slug: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What is done about it.
    pub reaction: Reaction,
    /// The action's name.
    pub action: String,
    /// Where the action is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_at: Option<Place>,
    /// The canonical path; empty for findings that are about none.
    #[serde(flatten)]
    pub path: PathBytes,
    /// What it is about, for people: the path relative to the workspace, an address, a name.
    pub subject: String,
    /// What was done to the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How many times.
    pub count: u64,
    /// What happened, in one line: `undeclared read of include/cfg_x.h`.
    pub message: String,
    /// How it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What else belongs to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    /// So what.
    pub effect: String,
    /// What to do: a line to paste.
    pub fix: String,
    /// Findings with the same key may be told together: rule, directory, producer.
    pub group: String,
    /// Whether the call was refused in the act.
    pub enforced: bool,
    /// Whether a failed action looked for a file that another action makes: told first, because
    /// it is often the cause.
    pub missing_generated: bool,
    /// Whether the build tool was seen to miss a change of the file; none if nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,
    /// Bytes that tell it from other findings without using the place of the workspace.
    #[serde(skip)]
    pub(crate) fingerprint: String,
}

impl Finding {
    /// Whether it makes the action fail.
    pub fn fails(&self) -> bool {
        self.reaction >= Reaction::Fail
    }

    /// Whether people see it (else only reports do).
    pub fn shown(&self) -> bool {
        self.severity > Severity::Record && self.reaction > Reaction::Record
    }

    /// 64 hex digits made of rule, action and path relative to the workspace: the same on every
    /// machine.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Sets the path, and what follows from it.
    pub(crate) fn about(&mut self, path: &[u8], workspace: &[u8], producer: Option<&str>) {
        path.clone_into(&mut self.path.0);
        self.subject = display(path, workspace).into_owned();
        let directory = parent(path).map(|d| display(d, workspace)).unwrap_or_default();
        self.group = format!("{} {directory} {}", self.rule, producer.unwrap_or_default());
        self.group.truncate(self.group.trim_end().len());
    }

    /// The order in which findings are told: a missing generated file first, then by severity,
    /// rule, action and path.
    pub fn compare(&self, other: &Finding) -> Ordering {
        let key = |f: &Finding| (!f.missing_generated, Reverse(f.severity), f.rule);
        let rest = |f: &'_ Finding, g: &'_ Finding| {
            (&f.action, &f.path, &f.subject).cmp(&(&g.action, &g.path, &g.subject))
        };
        key(self).cmp(&key(other)).then_with(|| rest(self, other))
    }

    /// Computes what names it; last, when everything else is known.
    pub(crate) fn seal(&mut self) {
        let text = format!("{}\0{}\0{}", self.rule, self.action, self.subject);
        let digest = Digest::of(text.as_bytes()).to_string();
        self.fingerprint = digest[..64].to_owned();
        self.id = format!("{}-{}", self.rule, &digest[..8]);
    }
}
