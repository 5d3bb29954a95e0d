//! Runs that clients have begun, and what they are held against when they end.

use super::daemon::Counted;
use super::held::Held;
use super::message::{Code, End, Failure, Step, Stream};
use super::subject::Subject;
use crate::caching::{Known, Session};
use crate::capture::Kept;
use crate::scratch::Scratch;
use airtight_cache::MAX_STREAM;
use airtight_recording::{Completeness, Exit, Recording};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How many runs a client may have begun at once. Each holds a directory and a descriptor.
const MAX_RUNS: usize = 1024;

/// A run that has begun. Dropping it removes the temporary directory and the recording.
pub(super) struct Run {
    pub(super) subject: Subject,
    /// The key from before the run; none if the result can't be cached, for the reason.
    pub(super) session: Result<Arc<Session>, String>,
    /// The result that the cache has, if the new one is to be held against it.
    pub(super) known: Option<Known>,
    pub(super) recording: PathBuf,
    pub(super) started: SystemTime,
    pub(super) _scratch: Scratch,
    pub(super) _counted: Counted,
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may not be there.
        let _ = std::fs::remove_file(&self.recording);
    }
}

/// The runs of one connection, and the results it holds, by token. They die with it.
#[derive(Default)]
pub(super) struct Runs {
    open: Mutex<HashMap<String, Run>>,
    held: Mutex<HashMap<String, Held>>,
}

impl Runs {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Run>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may begin.
    pub(super) fn admit(&self) -> Result<(), Failure> {
        match self.open().len() < MAX_RUNS {
            true => Ok(()),
            false => {
                let what = format!("{MAX_RUNS} runs have begun and not ended");
                Err(Failure::new(Code::TooManyTokens, what))
            }
        }
    }

    pub(super) fn put(&self, token: String, run: Run) {
        self.open().insert(token, run);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a result, if there is room for one more.
    pub(super) fn hold(&self, token: String, held: Held) -> Result<(), Failure> {
        let mut all = self.held();
        if all.len() >= MAX_RUNS {
            let what = format!("{MAX_RUNS} results are held and not restored");
            return Err(Failure::new(Code::TooManyTokens, what));
        }
        all.insert(token, held);
        Ok(())
    }

    /// Gives a result that was kept.
    pub(super) fn release(&self, token: &str) -> Result<Held, Failure> {
        self.held().remove(token).ok_or_else(|| {
            let what = "no result that this connection holds has this token";
            Failure::new(Code::UnknownToken, what)
        })
    }

    pub(super) fn take(&self, token: &str) -> Result<Run, Failure> {
        let run = self.open().remove(token);
        run.ok_or_else(|| {
            let what = "no run of this connection has this token";
            Failure::new(Code::UnknownToken, what)
        })
    }
}

impl Run {
    /// When it began, in nanoseconds since the epoch.
    pub(super) fn nanoseconds(&self) -> i64 {
        i64::try_from(self.since_epoch().as_nanos()).unwrap_or(i64::MAX)
    }

    fn since_epoch(&self) -> Duration {
        self.started.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Refuses a recording of anything but this run. A client that wants to lie can: it is the
    /// user's own, as every other process is. This keeps one that mixes things up from harm.
    pub(super) fn check(&self, recording: &Recording, end: &End) -> Result<(), Failure> {
        let header = &recording.header;
        let own = self.subject.argv.iter().map(|word| word.as_bytes());
        let difference = if !own.eq(header.command.iter().map(Vec::as_slice)) {
            "it is of another command line".to_owned()
        } else if header.cwd != self.subject.declaration.cwd {
            "the command ran in another directory".to_owned()
        } else if let (Some(exit), false) = (recording.exit(), end.timed_out)
            && !same_exit(exit, end.exit, recording)
        {
            format!("the command ended otherwise: {exit:?}, not {}", end.exit)
        } else if header.time < self.since_epoch().as_secs() {
            "it was made before the run began".to_owned()
        } else {
            return Ok(());
        };
        Err(Failure::new(Code::ForeignRecording, difference))
    }

    /// As [`Run::check`], of one command among several. How it ended is the client's own affair: a
    /// build tool may go on after a command that failed. So is the directory.
    pub(super) fn check_step(&self, recording: &Recording, step: &Step) -> Result<(), Failure> {
        let header = &recording.header;
        let told = step.argv.iter().map(|word| word.as_bytes());
        let difference = if !told.eq(header.command.iter().map(Vec::as_slice)) {
            "it is of another command line"
        } else if header.time < self.since_epoch().as_secs() {
            "it was made before the run began"
        } else {
            return Ok(());
        };
        let what = format!("{}: {difference}", step.recording.display());
        Err(Failure::new(Code::ForeignRecording, what))
    }
}

/// Whether `airtight trace` ends so after a command that has ended like that.
fn same_exit(recorded: Exit, told: i32, recording: &Recording) -> bool {
    match recorded {
        // Something may have escaped.
        Exit::Code(0) if told == 121 => recording.end != Some(Completeness::Complete),
        Exit::Code(code) => told == i32::from(code),
        // As Python tells a signal, or as a shell does.
        Exit::Signal(signal) => [-i32::from(signal), 128 + i32::from(signal)].contains(&told),
    }
}

/// What the client says of a standard stream. One that it says nothing of is not known in full.
pub(super) fn kept(stream: Option<Stream>) -> Result<Kept, Failure> {
    let bytes = match stream {
        None => return Ok(Kept::default()),
        Some(Stream::Text(text)) => text.into_bytes(),
        Some(Stream::Base64(text)) => Stream::decode(&text)?,
        Some(Stream::File(path)) => {
            let failed = |what: String| {
                Failure::new(Code::File, format!("{}: can't read: {what}", path.display()))
            };
            let file = open_regular(&path).map_err(failed)?;
            let mut bytes = Vec::new();
            let read = file.take(MAX_STREAM + 1).read_to_end(&mut bytes);
            read.map_err(|error| failed(error.to_string()))?;
            bytes
        }
    };
    match bytes.len() as u64 <= MAX_STREAM {
        true => Ok(Kept { bytes, whole: true }),
        false => Ok(Kept::default()),
    }
}

/// Opens a file. Anything else could block.
pub(super) fn open_regular(path: &Path) -> Result<File, String> {
    match std::fs::metadata(path) {
        Ok(about) if !about.is_file() => Err("not a regular file".to_owned()),
        Ok(_) => File::open(path).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
