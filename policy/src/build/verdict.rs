//! The judgement on a whole build.

use super::graph::ActionId;
use super::grounds::Ground;
use crate::finding::{Finding, Step};
use crate::source::Place;
use crate::verdict::{Counts, Suppressed};
use airtight_recording::{Completeness, Exit};
use schemars::JsonSchema;
use serde::Serialize;

/// A process that a build tool started and that belongs to no action that could be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unattributed {
    /// Itself and the processes above it.
    pub chain: Vec<Step>,
    /// How many accesses it and its children made.
    pub accesses: u64,
}

/// What is told of one action that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ActionVerdict {
    /// Its number in the graph.
    pub id: ActionId,
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub declared_at: Option<Place>,
    /// How many processes worked for it.
    pub processes: u32,
    /// How many findings it has, suppressed ones left out.
    pub findings: u32,
    /// Why its result must not be published; empty when it may be. An action that used what such
    /// an action made has that as a reason (it is tainted).
    pub uncacheable: Vec<String>,
}

/// The judgement on a whole build.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct BuildVerdict {
    /// How the root process ended; none when its end was not seen.
    pub exit: Option<Exit>,
    /// Whether the recording holds everything; none when it has no end.
    pub completeness: Option<Completeness>,
    /// How many findings there are.
    pub counts: Counts,
    /// What was found: a missing generated file first, then by severity, rule, action and path.
    pub findings: Vec<Finding>,
    /// What was found and is known to the policy or the baseline.
    pub suppressed: Vec<Suppressed>,
    /// Every action that ran, by number.
    pub actions: Vec<ActionVerdict>,
    /// How many processes there were.
    pub processes: u32,
    /// The processes that belong to nobody.
    pub unattributed: Vec<Unattributed>,
    /// What else decides on publishing.
    #[serde(skip)]
    pub(crate) grounds: Vec<Ground>,
}

impl BuildVerdict {
    /// Whether a finding makes the audit fail.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(Finding::fails)
    }
}
