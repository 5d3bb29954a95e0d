//! A recording: every access of one process tree, with outcomes, order and processes.
//!
//! This crate is data only. A tracer feeds [`Event`]s into a [`Sink`]; a judge, a diff or a
//! report reads them back as a [`Recording`]. Nothing here knows how the events were seen.
#![forbid(unsafe_code)]

mod access;
pub mod binary;
pub mod diff;
mod digest;
mod errno;
mod error;
mod event;
mod index;
mod join;
pub mod json;
mod paths;
mod process;
mod recording;
mod source;
mod wire;

pub use access::{Access, Kind, Op, Stamp};
pub use digest::Digest;
pub use errno::errno_name;
pub use error::ReadError;
pub use event::{Completeness, Event, Header, HostKind, HostNote, Reason, ReasonCode, Sink};
pub use index::Index;
pub use join::join;
pub use paths::{PathId, Paths};
pub use process::{Exit, Image, Process, ProcessId};
pub use recording::Recording;
pub use source::{BinarySource, Source};
