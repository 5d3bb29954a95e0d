//! Whose work each process does.

use super::graph::{ActionId, RunId};
use airtight_recording::{ProcessId, Recording};
use serde::{Deserialize, Serialize};

/// Whose work a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// It is the build tool: what it reads is the build description and what it looks at to decide
    /// what to run.
    Tool(RunId),
    /// It works for the tool while that reads its description (`$(shell …)` at parse time).
    Parsing(RunId),
    /// It belongs to an action.
    Action(ActionId),
    /// A build tool started it, and nobody can tell for which action.
    Nobody(RunId),
}

/// From some time on, a process does somebody's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The process.
    pub process: ProcessId,
    /// From this sequence number on, until the next span of the same process.
    pub since: u64,
    /// Whose work.
    pub owner: Owner,
}

/// Whose work each process of a recording does, at each time: a shell that becomes a `make` by
/// exec changes hands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Unsorted")]
pub struct Attribution {
    /// Sorted by process and time; the first of each process holds from its birth.
    spans: Vec<Span>,
}

/// As it comes from a file, which may have any order.
#[derive(Deserialize)]
struct Unsorted {
    spans: Vec<Span>,
}

impl From<Unsorted> for Attribution {
    fn from(unsorted: Unsorted) -> Attribution {
        Attribution::new(unsorted.spans)
    }
}

impl Attribution {
    /// From spans in any order.
    pub fn new(mut spans: Vec<Span>) -> Attribution {
        spans.sort_by_key(|span| (span.process, span.since));
        Attribution { spans }
    }

    /// Whose work `process` did at `seq`; none of a process that it does not know.
    pub fn owner(&self, process: ProcessId, seq: u64) -> Option<Owner> {
        let spans = self.of(process);
        let at = spans.partition_point(|span| span.since <= seq);
        spans.get(at.saturating_sub(1)).map(|span| span.owner)
    }

    /// The spans of one process, in order of time.
    pub fn of(&self, process: ProcessId) -> &[Span] {
        let start = self.spans.partition_point(|span| span.process < process);
        let length = self.spans[start..].partition_point(|span| span.process == process);
        &self.spans[start..start + length]
    }

    /// All spans, by process and time.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The processes that nobody can be found for.
    pub fn unattributed(&self) -> impl Iterator<Item = ProcessId> {
        let nobody = self.spans.iter().filter(|span| matches!(span.owner, Owner::Nobody(_)));
        nobody.map(|span| span.process)
    }

    /// Whether every process of `recording` has an owner.
    pub fn covers(&self, recording: &Recording) -> bool {
        recording.processes.iter().all(|process| !self.of(process.id).is_empty())
    }
}
