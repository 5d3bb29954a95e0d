//! What clients are told. docs/serve.md says the same for those who write them.

use super::message::{Failure, Id, Stream};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One line to a client.
#[derive(Debug, Serialize)]
pub(super) struct Reply {
    /// That of the request; none if it could not be read.
    pub(super) id: Option<Id>,
    #[serde(flatten)]
    pub(super) answer: Answer,
}

impl Reply {
    /// The line.
    pub(super) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_else(|_| b"{\"id\":null}".to_vec());
        line.push(b'\n');
        line
    }
}

/// What a client is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Hello(Box<Welcome>),
    Hit(Box<Hit>),
    Miss(Miss),
    Run(Box<Run>),
    Judged(Box<Judged>),
    Done(Done),
    Stats(Box<Stats>),
    Error(Failure),
}

/// Nothing more to say.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    /// What remotes deserve to be warned of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// Who serves.
#[derive(Debug, Serialize)]
pub(super) struct Welcome {
    pub(super) version: &'static str,
    pub(super) protocol: u32,
    pub(super) pid: u32,
    /// Whether there is a cache.
    pub(super) cache: bool,
    pub(super) remotes: Vec<Remote>,
    /// Whether processes can be traced here.
    pub(super) tracing: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) untraceable: Option<String>,
}

/// A remote store.
#[derive(Debug, Serialize)]
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) fetch: bool,
    pub(super) push: bool,
}

/// A result that was known.
#[derive(Debug, Serialize)]
pub(super) struct Hit {
    /// `local`, or the name of a remote.
    pub(super) from: String,
    /// Names it for `restore`, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// The strong key.
    pub(super) key: String,
    /// Whether the outputs were written.
    pub(super) restored: bool,
    /// The outputs, relative to the workspace.
    pub(super) outputs: Vec<String>,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    /// How long the action took when it ran, in milliseconds.
    pub(super) duration_ms: u64,
    pub(super) notes: Vec<String>,
}

/// No result is known.
#[derive(Debug, Serialize)]
pub(super) struct Miss {
    pub(super) reason: &'static str,
    /// The weak key, if the action can have one.
    pub(super) key: Option<String>,
    /// Why the action can't be cached at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uncacheable: Option<String>,
    pub(super) notes: Vec<String>,
}

/// How the client is to run the action.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) token: String,
    /// Why it is to be run.
    #[serde(flatten)]
    pub(super) miss: Miss,
    pub(super) argv: Vec<String>,
    /// The directory to run in.
    pub(super) cwd: String,
    /// The whole environment.
    pub(super) environment: BTreeMap<String, String>,
    /// An empty directory of the action's own; it is in `environment` as well.
    pub(super) tmpdir: String,
    pub(super) umask: u32,
    /// Where the recording belongs.
    pub(super) recording: String,
    /// What was deleted of the outputs.
    pub(super) deleted: Vec<String>,
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    /// The exit code that `airtight run` would have had.
    pub(super) exit: u8,
    /// Whether the result can be found now.
    pub(super) published: bool,
    /// Whether it is yet to be published.
    pub(super) pending: bool,
    /// The strong key, if it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Why it was not published: a name of the statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// The report for people; empty when there is nothing to tell.
    pub(super) text: String,
    /// The report as `--format json` has it.
    pub(super) report: Value,
    pub(super) notes: Vec<String>,
}

/// What has happened.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    /// Milliseconds since the daemon began.
    pub(super) uptime_ms: u64,
    pub(super) connections: usize,
    /// Requests that are not answered yet, this one included.
    pub(super) in_flight: usize,
    /// Runs that have begun and not ended.
    pub(super) tokens: usize,
    /// How many of each request came.
    pub(super) requests: BTreeMap<&'static str, u64>,
    /// What the store has counted since the last reset, by all processes.
    pub(super) store: Value,
}
