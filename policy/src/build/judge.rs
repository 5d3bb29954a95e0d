//! Holds what happened against the graph.

use super::{Build, BuildVerdict};
use crate::policy::{Date, Policy};
use airtight_recording::Recording;

/// What else decides a judgement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The date, so that suppressions can end.
    pub today: Option<Date>,
    /// Tell declared inputs that were never read (U001).
    pub unused_inputs: bool,
}

/// Judges a whole build.
pub fn judge(
    _build: &Build,
    _policy: &Policy,
    recording: &Recording,
    _options: Options,
) -> BuildVerdict {
    BuildVerdict {
        exit: recording.exit(),
        completeness: recording.end.clone(),
        processes: recording.processes.len() as u32,
        ..BuildVerdict::default()
    }
}
