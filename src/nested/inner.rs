//! The inner airtight: has its command recorded by the one that traces it.

use super::message::{self, Answer};
use super::{Names, address};
use crate::error::Error;
use airtight_recording::binary::Limits;
use airtight_recording::{
    Completeness, Exit, HostKind, HostNote, ProcessId, Reason, ReasonCode, Recording, Sink,
};
use airtight_tracer as tracer;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::{SystemTime, UNIX_EPOCH};

/// The airtight that traces this process.
#[derive(Debug)]
pub(crate) struct Inner {
    /// Its process.
    outer: u32,
}

impl Inner {
    /// Asks who traces this process. None if nobody does, or another program than airtight.
    ///
    /// # Errors
    /// When it is an airtight that can't be relied on for a recording.
    pub(crate) fn detect() -> Result<Option<Inner>, Error> {
        let Ok(Some(outer)) = tracer::traced_by() else { return Ok(None) };
        let inner = Inner { outer };
        match inner.begin() {
            Ok(_) => Ok(Some(inner)),
            // Nobody has such a socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
            Err(error) => Err(inner.failed(&error)),
        }
    }

    /// Runs a command and puts what it did into `sink`, as [`tracer::run`] does. What `options` say
    /// of the tracer itself is the outer one's affair. Also gives the processes that are airtights
    /// themselves.
    ///
    /// # Errors
    /// When the command can't be started, or its recording can't be had.
    pub(crate) fn run(
        &self,
        command: &tracer::Command,
        options: &tracer::Options<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(tracer::Outcome, Vec<ProcessId>), Error> {
        for mark in &options.marks {
            self.note(mark).map_err(|error| self.failed(&error))?;
        }
        let marks = self.begin().map_err(|error| self.failed(&error))?;
        if let Some(mark) = options.marks.iter().find(|&mark| !marks.contains(mark)) {
            let what = format!("it does not note the variable {mark}, which is needed here");
            return Err(self.failed(&io::Error::other(what)));
        }
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ran = tracer::run_beneath(command, options)?;
        let (mut recording, airtights) = self.end().map_err(|error| self.failed(&error))?;
        check(&recording, &ran).map_err(|what| self.failed(&io::Error::other(what)))?;
        let cwd = command.cwd.clone().map_or_else(std::env::current_dir, Ok).unwrap_or_default();
        let cwd = std::fs::canonicalize(&cwd).unwrap_or(cwd);
        recording.header.time = started.as_secs();
        recording.header.cwd = cwd.as_os_str().as_bytes().to_vec();
        recording.header.command = command.argv.iter().map(|a| a.as_bytes().to_vec()).collect();
        // The outer one's witness is held against the outer one's recording.
        recording.header.set_witnessed(ran.testimony.is_some());
        let completeness = complete(&mut recording, &ran);
        recording.replay(sink).map_err(|source| tracer::Error::System {
            what: "keeping the recording".to_owned(),
            source,
        })?;
        let unwatched = ran.testimony.as_ref().map(tracer::Testimony::blind).unwrap_or_default();
        let tracer::Beneath { exit, timed_out, unwitnessed, .. } = ran;
        let asked = None;
        let outcome =
            tracer::Outcome { exit, completeness, timed_out, unwitnessed, unwatched, asked };
        Ok((outcome, airtights))
    }

    /// Asks for a variable to be noted. Whether it is comes with the answer to [`Inner::begin`].
    fn note(&self, mark: &str) -> io::Result<()> {
        let names = Names::of(self.outer)?;
        match UnixStream::connect_addr(&address(&(names.note + mark))?) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::other("somebody listens who should not")),
        }
    }

    /// From now on our children are recorded on their own. Gives the variables that are noted.
    fn begin(&self) -> io::Result<Vec<String>> {
        match message::read(&mut self.connect(|names| &names.begin)?)? {
            Answer::Begun { marks } => Ok(marks),
            other => Err(unexpected(other)),
        }
    }

    /// The recording of our children since [`Inner::begin`]. To be called when they have ended.
    fn end(&self) -> io::Result<(Recording, Vec<ProcessId>)> {
        let mut stream = self.connect(|names| &names.end)?;
        let (length, airtights) = match message::read(&mut stream)? {
            Answer::Recording { length, airtights } => (length, airtights),
            other => return Err(unexpected(other)),
        };
        let mut rest = stream.take(length);
        let (recording, _) = Recording::read_with(&mut rest, Limits::default())
            .map_err(|error| io::Error::other(format!("its recording: {error}")))?;
        Ok((recording, airtights))
    }

    /// Connects, and makes sure that it is the tracer itself that listens: nobody else can have
    /// seen what our children do.
    fn connect(&self, which: fn(&Names) -> &String) -> io::Result<BufReader<UnixStream>> {
        let names = Names::of(self.outer)?;
        let stream = UnixStream::connect_addr(&address(which(&names))?)?;
        let peer = tracer::peer(&stream)?;
        if peer.pid != self.outer {
            let what = format!("process {} answers in its place", peer.pid);
            return Err(io::Error::other(what));
        }
        Ok(BufReader::new(stream))
    }

    fn failed(&self, error: &io::Error) -> Error {
        let outer = self.outer;
        Error::Plain {
            message: format!(
                "this airtight runs within another one (process {outer}), which can't give it the \
                 recording of its command: {error}"
            ),
            hints: vec!["use the same version of airtight for both".to_owned()],
        }
    }
}

fn unexpected(answer: Answer) -> io::Error {
    io::Error::other(match answer {
        Answer::Refused { reason } => reason,
        Answer::Begun { .. } | Answer::Recording { .. } => "it answers another question".to_owned(),
    })
}

/// Whether the recording is that of the command and nothing else.
fn check(recording: &Recording, ran: &tracer::Beneath) -> Result<(), String> {
    let mut roots = recording.processes.iter().filter(|process| process.parent.is_none());
    let (Some(root), None) = (roots.next(), roots.next()) else {
        return Err("its recording does not begin with one process".to_owned());
    };
    if root.pid != ran.pid || recording.exit() != Some(ran.exit) {
        return Err(format!("its recording is not that of process {}", ran.pid));
    }
    Ok(())
}

/// Adds what only we know: that the time limit was reached, and whom we have killed.
fn complete(recording: &mut Recording, ran: &tracer::Beneath) -> Completeness {
    let mut reasons = match recording.end.take() {
        Some(Completeness::Complete) => Vec::new(),
        Some(Completeness::Incomplete { reasons }) => reasons,
        None => vec![reason(ReasonCode::Other, "the recording has no end".to_owned(), None)],
    };
    if ran.timed_out {
        let what = "the time limit was reached".to_owned();
        reasons.push(reason(ReasonCode::TimedOut, what, None));
    }
    reasons.extend(ran.testimony.iter().flat_map(|testimony| testimony.against(recording)));
    for killed in &ran.killed {
        let process = recording.processes.iter().rev().find(|process| process.pid == killed.pid);
        let Some((process, ended)) = process.map(|process| (process.id, process.exit)) else {
            continue;
        };
        recording.host.push(HostNote {
            process,
            kind: HostKind::SurvivingProcess,
            detail: killed.name.as_bytes().to_vec(),
            errno: 0,
            count: 1,
            first: ended.map_or(0, |(seq, _): (u64, Exit)| seq),
        });
        let what = format!("{} outlived the command and was killed", killed.name);
        reasons.push(reason(ReasonCode::SurvivingProcess, what, Some(process)));
    }
    let completeness = match reasons.is_empty() {
        true => Completeness::Complete,
        false => Completeness::Incomplete { reasons },
    };
    recording.end = Some(completeness.clone());
    completeness
}

fn reason(code: ReasonCode, detail: String, process: Option<ProcessId>) -> Reason {
    Reason { code, detail, process }
}
