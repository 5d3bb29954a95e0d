//! `airtight diff`

use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, ERROR, GOOD, Printer};
use crate::report::commas;
use airtight_recording::Exit;
use airtight_recording::diff::{Diff, Side, diff};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Tell what one recording holds and another does not
///
/// Paths, what was done to them and with what outcome are compared; order, counts, pids and times
/// are not. `-` is only in the first, `+` only in the second. Ends with 0 when they are the same
/// and with 1 when they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight diff yesterday.trace today.trace
  airtight diff a.trace b.json")]
pub(crate) struct Args {
    /// The first recording
    left: PathBuf,
    /// The second recording
    right: PathBuf,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let left = super::read_recording(&args.left)?;
    let right = super::read_recording(&args.right)?;
    let diff = diff(&left, &right);
    printer.data(text(&diff, printer.unicode())).map_err(Error::Stdout)?;
    Ok(if diff.is_empty() { Status::Success } else { Status::Findings })
}

fn text(diff: &Diff<'_>, unicode: bool) -> String {
    let mut text = String::new();
    let mut line = |side, what: String, detail: &[u8], errno: u16, processes: &[&[u8]]| {
        let (style, sign) = match side {
            Side::Left => (ERROR, '-'),
            Side::Right => (GOOD, '+'),
        };
        let outcome = match errno {
            0 => String::new(),
            errno => format!(" {}", super::errno(errno)),
        };
        let names: Vec<String> = processes.iter().map(|name| super::shown(name)).collect();
        let by = commas(names.iter().map(String::as_str), 3, unicode);
        let detail = super::shown(detail);
        let _ = writeln!(
            text,
            "{style}{sign} {what:<7}{style:#} {detail}{outcome}  {DIM}({by}){DIM:#}"
        );
    };
    for change in &diff.changes {
        let what = super::word(change.kind);
        line(change.side, what, change.path, change.errno, &change.processes);
    }
    for contact in &diff.contacts {
        let what = super::word(contact.kind);
        line(contact.side, what, contact.detail, contact.errno, &contact.processes);
    }
    if let Some([left, right]) = diff.exits {
        let _ = writeln!(text, "exit: {} and {}", exit(left), exit(right));
    }
    if let Some([left, right]) = diff.complete {
        let word = |complete| if complete { "complete" } else { "incomplete" };
        let _ = writeln!(text, "recording: {} and {}", word(left), word(right));
    }
    text
}

fn exit(exit: Option<Exit>) -> String {
    match exit {
        None => "not seen".to_owned(),
        Some(Exit::Code(code)) => format!("code {code}"),
        Some(Exit::Signal(signal)) => format!("signal {signal}"),
    }
}
