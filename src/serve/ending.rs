//! The end of a run: its recording is judged, its result published.

use super::answer::{Answer, Judged};
use super::daemon::{After, Daemon};
use super::message::{Code, End, Failure};
use super::runs::{Run, kept, open_regular};
use crate::action::load_depfile;
use crate::caching::{NotCached, Session};
use crate::capture::Kept;
use crate::command::{self, Outcome};
use crate::config::Format;
use crate::determinism::nondeterministic;
use crate::exit::Status;
use crate::report::{Look, Report};
use airtight_cache::Sealed;
use airtight_cache::stats::NotCachedReason;
use airtight_policy::Verdict;
use airtight_recording::{Exit, Recording, join};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

/// Why a result is not published.
struct Refused {
    /// A name of the statistics.
    reason: &'static str,
    why: String,
    /// The status of an action that does not make the same each time, and what is told.
    differs: Option<(Status, String)>,
}

impl Daemon {
    /// Judges a run that has ended, and publishes its result if it is verified: before the answer,
    /// or after it for a client that does not wait.
    pub(super) fn end(&self, mut end: End, mut run: Run) -> Result<(Answer, After), Failure> {
        let recording = recording_of(&mut end, &run)?;
        let streams = [kept(end.stdout.take())?, kept(end.stderr.take())?];
        let duration = end.duration_ms.unwrap_or_else(|| {
            let elapsed = run.started.elapsed().unwrap_or_default();
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        });
        let declaration = &mut run.subject.declaration;
        load_depfile(declaration).map_err(|error| Failure::of(Code::File, &error))?;
        let verdict = command::judge(declaration, &self.config, &recording);
        let declared_at = declaration.declared_at.as_ref();
        let look = Look { all: self.config.all, unicode: true };
        let report = Report::action(&verdict, declared_at, &self.config.workspace, look);
        let told = report.plain(Format::Human).and_then(|text| Ok((text, report.value()?)));
        let (mut text, report) = told.map_err(|error| Failure::of(Code::File, &error))?;
        let mut exit = match (recording.exit(), end.timed_out) {
            (_, true) => Status::TimedOut,
            (Some(exit), false) => Outcome::of(&verdict).status(exit),
            // How it ended was not seen.
            (None, false) => Status::Incomplete,
        };
        let sealed = self.seal(&run, &verdict, &recording, &streams, &end);
        let mut after = After::Shrink;
        let mut pending = false;
        // The client may run the action again at once.
        drop(run);
        let published = sealed.and_then(|(session, sealed)| {
            let finished = Finished { session, verdict, recording, sealed, duration };
            let key = finished.sealed.action().to_string();
            if end.wait {
                finished.publish()?;
            } else {
                pending = true;
                after = After::Publish(Box::new(finished));
            }
            Ok(key)
        });
        let (key, reason, why) = match published {
            Ok(key) => (Some(key), None, None),
            Err(Refused { reason, why, differs }) => {
                if let Some((status, differences)) = differs {
                    exit = status;
                    text += &differences;
                }
                (None, Some(reason), Some(why))
            }
        };
        let judged = Judged {
            exit: exit.code(),
            published: key.is_some() && !pending,
            pending,
            key,
            reason,
            why,
            text,
            report,
            notes: self.warnings(),
        };
        Ok((Answer::Judged(Box::new(judged)), after))
    }

    /// Takes in what a run gave, if it may be published, and is the same as what was known.
    fn seal(
        &self,
        run: &Run,
        verdict: &Verdict,
        recording: &Recording,
        streams: &[Kept; 2],
        end: &End,
    ) -> Result<(Arc<Session>, Sealed), Refused> {
        let session = run.session.as_ref().map_err(|why| {
            let reason = match self.cache {
                Some(_) => NotCachedReason::NotCacheable,
                None => NotCachedReason::Disabled,
            };
            Refused { reason: reason.name(), why: why.clone(), differs: None }
        })?;
        let refuse = |why| refused(session, why);
        let because = |reason, what: &str| refuse(NotCached { reason, what: what.to_owned() });
        if end.timed_out {
            let what = "it was stopped after its time was up";
            return Err(because(NotCachedReason::TimedOut, what));
        }
        if let Some(limit) = end.limits.first() {
            return Err(because(NotCachedReason::NotCacheable, limit));
        }
        let declaration = &run.subject.declaration;
        let started = run.nanoseconds();
        let sealed = session
            .seal(declaration, &self.config, verdict, recording, streams, started)
            .map_err(refuse)?;
        if let Some(differs) = run.known.as_ref().and_then(|known| session.differs(known, &sealed))
        {
            let what = "it does not make the same each time";
            let refused = because(NotCachedReason::NotDeterministic, what);
            let told = nondeterministic(&declaration.name, &differs, &self.config);
            return Err(Refused { differs: Some(told), ..refused });
        }
        if !self.config.cache.push {
            return Err(because(NotCachedReason::Disabled, "storing is turned off"));
        }
        Ok((Arc::clone(session), sealed))
    }
}

/// A run whose result may be published, if its verdict is a proof.
pub(super) struct Finished {
    session: Arc<Session>,
    verdict: Verdict,
    recording: Recording,
    sealed: Sealed,
    duration: u64,
}

impl Finished {
    fn publish(self) -> Result<(), Refused> {
        let Finished { session, verdict, recording, sealed, duration } = self;
        let published = session.publish(verdict, &recording, &sealed, duration);
        published.map_err(|why| refused(&session, why))
    }

    /// Publishes when the client has its answer. That it failed is in the statistics.
    pub(super) fn publish_later(self) {
        let _ = self.publish();
    }
}

/// Counts why a result is not published.
fn refused(session: &Session, why: NotCached) -> Refused {
    session.cache.count(|counters| counters.not_cached(why.reason));
    Refused { reason: why.reason.name(), why: why.what, differs: None }
}

/// The recording of a run: that of its one command, or those of its steps, put together. The files of
/// steps are removed.
fn recording_of(end: &mut End, run: &Run) -> Result<Recording, Failure> {
    if end.steps.is_empty() {
        let path = end.recording.take().unwrap_or_else(|| run.recording.clone());
        let recording = read_recording(&path)?;
        run.check(&recording, end)?;
        return Ok(recording);
    }
    let steps: Vec<Recording> = end
        .steps
        .iter()
        .map(|step| {
            let recording = read_recording(&step.recording)?;
            run.check_step(&recording, step)?;
            Ok(recording)
        })
        .collect::<Result<_, Failure>>()?;
    for step in &end.steps {
        let _ = std::fs::remove_file(&step.recording);
    }
    let exit = match u8::try_from(end.exit) {
        Ok(code) => Exit::Code(code),
        Err(_) => u8::try_from(end.exit.unsigned_abs()).map_or(Exit::Code(255), Exit::Signal),
    };
    let mut whole =
        join(steps, exit).map_err(|error| Failure::new(Code::NoRecording, error.to_string()))?;
    whole.header.cwd.clone_from(&run.subject.declaration.cwd);
    Ok(whole)
}

fn read_recording(path: &Path) -> Result<Recording, Failure> {
    let failed = |what: String| {
        Failure::new(Code::NoRecording, format!("{}: can't read: {what}", path.display()))
    };
    let file = open_regular(path).map_err(failed)?;
    let read = Recording::read(BufReader::new(file));
    read.map(|(recording, _)| recording).map_err(|error| failed(error.to_string()))
}
