//! Processes of a traced tree.

use crate::PathId;
use serde::{Deserialize, Serialize};

/// The number of a process in a recording: dense, from 0, in order of birth. Unlike a pid it is
/// never reused. Threads belong to their process.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub struct ProcessId(pub u32);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code (0 to 255).
    Code(u8),
    /// A signal killed it.
    Signal(u8),
}

/// One program image: what a process became by execve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Sequence number of the exec.
    pub seq: u64,
    /// The file that runs, canonical. For a script this is the interpreter.
    pub exe: PathId,
    /// The arguments, as bytes, each without its NUL.
    pub argv: Vec<Vec<u8>>,
    /// The current directory at that time.
    pub cwd: PathId,
    /// Those variables of its environment that the tracer was asked to note, as `NAME=value`.
    pub env: Vec<Vec<u8>>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The number that accesses carry.
    pub id: ProcessId,
    /// Who forked it; none for the root.
    pub parent: Option<ProcessId>,
    /// The pid it had in the tracer's pid namespace.
    pub pid: u32,
    /// Sequence number of its birth.
    pub start: u64,
    /// Its program images in order; empty when it was forked and never called execve (then it
    /// runs its parent's image).
    pub images: Vec<Image>,
    /// How it ended, and the sequence number of its end; none when the trace ended first.
    pub exit: Option<(u64, Exit)>,
}
