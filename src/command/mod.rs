//! One file per subcommand; the text of its arguments is its manual.

mod also;
pub(crate) mod audit;
pub(crate) mod baseline;
mod beside;
pub(crate) mod cache;
pub(crate) mod cc;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod fix;
pub(crate) mod init;
mod judging;
mod keyed;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod scons;
pub(crate) mod serve;
mod stores;
pub(crate) mod telling;
pub(crate) mod trace;
mod why;

use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use airtight_policy::{self as policy, Date, Declaration, Judge, Rule, Verdict};
use airtight_recording::{Exit, Reason, Recording, errno_name};
use serde::Serialize;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Data as JSON for standard output.
pub(crate) fn json(data: &impl Serialize) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(data)
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}

/// Reads a recording into memory.
fn read_recording(path: &Path) -> Result<Recording, Error> {
    let file = File::open(path).map_err(Error::file(path, "can't read"))?;
    let (recording, _) = Recording::read(BufReader::new(file))
        .map_err(|source| Error::Recording { path: path.to_owned(), source })?;
    Ok(recording)
}

/// The name of an errno, or its number.
fn errno(errno: u16) -> String {
    errno_name(errno).map_or_else(|| format!("errno {errno}"), str::to_owned)
}

/// Bytes for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    policy::printable(bytes).into_owned()
}

/// The word that JSON has for a value: `read`, `unix-socket`.
fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.as_ref().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

/// Says where the witness that was asked for sees less.
pub(crate) fn tell_unwatched(outcome: &airtight_tracer::Outcome, printer: &Printer) {
    if !outcome.unwatched.is_empty() {
        let places = outcome.unwatched.join("; ");
        printer.warning(&format!("the witness does not see all of what happens: {places}"));
    }
}

/// A warning with the first reasons why a recording is incomplete.
fn incomplete(reasons: &[Reason]) -> String {
    const SHOWN: usize = 3;
    let mut text = String::from("the recording is incomplete");
    for (at, reason) in reasons.iter().take(SHOWN).enumerate() {
        text += if at == 0 { ": " } else { "; " };
        text += &reason.detail;
    }
    if reasons.len() > SHOWN {
        text += &format!("; {} more", reasons.len() - SHOWN);
    }
    text
}

/// What a verdict comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Clean,
    /// Something may have escaped; nothing else was found.
    Incomplete,
    Undeclared,
    /// A declared output was not made. Told before other findings: without it nothing else counts.
    MissingOutput,
}

impl Outcome {
    pub(crate) fn of(verdict: &Verdict) -> Outcome {
        // These say in the verdict what the recording says of itself.
        let incomplete = |rule| matches!(rule, Rule::I002 | Rule::I003);
        if verdict.output_missing() {
            Outcome::MissingOutput
        } else if verdict.findings().iter().any(|f| f.fails() && !incomplete(f.rule)) {
            Outcome::Undeclared
        } else if !verdict.completeness().is_complete() || verdict.fails() {
            Outcome::Incomplete
        } else {
            Outcome::Clean
        }
    }

    /// How `check` ends.
    fn linted(self) -> Status {
        match self {
            Outcome::Clean => Status::Success,
            Outcome::Incomplete => Status::Incomplete,
            Outcome::MissingOutput | Outcome::Undeclared => Status::Findings,
        }
    }

    /// How `run` ends after a command that ended so.
    pub(crate) fn status(self, exit: Exit) -> Status {
        match (Status::of(exit), self) {
            (Status::Success, Outcome::MissingOutput) => Status::MissingOutput,
            (Status::Success, Outcome::Undeclared) => Status::Undeclared,
            (Status::Success, Outcome::Incomplete) => Status::Incomplete,
            (status, _) => status,
        }
    }
}

/// Judges an action that was run alone.
pub(crate) fn judge(declaration: &Declaration, config: &Config, recording: &Recording) -> Verdict {
    let today = Date::from_unix(recording.header.time);
    Judge::new(declaration, &config.policy).today(today).judge(recording)
}
