//! The end of a run: its recording is judged, its result published.

use super::answer::{Answer, Judged};
use super::daemon::Daemon;
use super::message::{Code, End, Failure};
use super::runs::{Run, kept, open_regular};
use crate::action::load_depfile;
use crate::caching::NotCached;
use crate::capture::Kept;
use crate::command::{self, Outcome};
use crate::determinism::nondeterministic;
use crate::exit::Status;
use crate::report::Report;
use airtight_cache::stats::NotCachedReason;
use airtight_policy::Verdict;
use airtight_recording::Recording;
use std::io::BufReader;
use std::path::Path;

/// Why a result is not published.
struct Refused {
    /// A name of the statistics.
    reason: &'static str,
    why: String,
    /// The status of an action that does not make the same each time, and what is told.
    differs: Option<(Status, String)>,
}

impl Daemon {
    /// Judges a run that has ended, and publishes its result if it is verified.
    pub(super) fn end(&self, mut end: End, mut run: Run) -> Result<Answer, Failure> {
        let path = end.recording.take().unwrap_or_else(|| run.recording.clone());
        let recording = read_recording(&path)?;
        run.check(&recording, &end)?;
        let streams = [kept(end.stdout.take())?, kept(end.stderr.take())?];
        let duration = end.duration_ms.unwrap_or_else(|| {
            let elapsed = run.started.elapsed().unwrap_or_default();
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        });
        let declaration = &mut run.subject.declaration;
        load_depfile(declaration).map_err(|error| Failure::of(Code::File, &error))?;
        let verdict = command::judge(declaration, &self.config, &recording);
        let declared_at = declaration.declared_at.as_ref();
        let report = Report { verdict: &verdict, declared_at, all: self.config.all, unicode: true };
        let told = report.plain().and_then(|text| Ok((text, report.value()?)));
        let (mut text, report) = told.map_err(|error| Failure::of(Code::File, &error))?;
        let mut exit = match (recording.exit(), end.timed_out) {
            (_, true) => Status::TimedOut,
            (Some(exit), false) => Outcome::of(&verdict).status(exit),
            // How it ended was not seen.
            (None, false) => Status::Incomplete,
        };
        let published = self.keep(&run, verdict, &recording, &streams, end.timed_out, duration);
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
        Ok(Answer::Judged(Box::new(Judged {
            exit: exit.code(),
            published: key.is_some(),
            key,
            reason,
            why,
            text,
            report,
            notes: self.warnings(),
        })))
    }

    /// Publishes what a run gave, if it is verified, and the same as what was known. Gives the key.
    fn keep(
        &self,
        run: &Run,
        verdict: Verdict,
        recording: &Recording,
        streams: &[Kept; 2],
        timed_out: bool,
        duration: u64,
    ) -> Result<String, Refused> {
        let session = run.session.as_ref().map_err(|why| {
            let reason = match self.cache {
                Some(_) => NotCachedReason::NotCacheable,
                None => NotCachedReason::Disabled,
            };
            Refused { reason: reason.name(), why: why.clone(), differs: None }
        })?;
        let refuse = |why: NotCached| {
            session.cache.count(|counters| counters.not_cached(why.reason));
            Refused { reason: why.reason.name(), why: why.what, differs: None }
        };
        let because = |reason, what: &str| refuse(NotCached { reason, what: what.to_owned() });
        if timed_out {
            let what = "it was stopped after its time was up";
            return Err(because(NotCachedReason::TimedOut, what));
        }
        let declaration = &run.subject.declaration;
        let started = run.nanoseconds();
        let sealed = session
            .seal(declaration, &self.config, &verdict, recording, streams, started)
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
        session.publish(verdict, recording, &sealed, duration).map_err(refuse)?;
        Ok(sealed.action().to_string())
    }
}

fn read_recording(path: &Path) -> Result<Recording, Failure> {
    let failed = |what: String| {
        Failure::new(Code::NoRecording, format!("{}: can't read: {what}", path.display()))
    };
    let file = open_regular(path).map_err(failed)?;
    let read = Recording::read(BufReader::new(file));
    read.map(|(recording, _)| recording).map_err(|error| failed(error.to_string()))
}
