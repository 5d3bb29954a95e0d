//! One action from its declaration to its exit code: restored, or run, traced, judged, published.

use crate::action::{delete_outputs, environment, load_depfile};
use crate::caching::{Known, Session, public, sampled};
use crate::capture::{Capture, Kept};
use crate::command::telling::{Reports, Stream};
use crate::command::{self, Outcome};
use crate::compiler;
use crate::config::{Config, OnUntraceable};
use crate::determinism::nondeterministic;
use crate::error::Error;
use crate::exit::Status;
use crate::guard;
use crate::nested::{self, Inner};
use crate::printer::Printer;
use crate::recorder::{Format, Recorder};
use crate::report::{Look, Report};
use crate::scratch::Scratch;
use crate::untraced;
use airtight_cache::stats::{MissReason, NotCachedReason};
use airtight_cache::{Hit, Miss};
use airtight_policy::{Declaration, Depfile, Reaction, Rule, Verdict};
use airtight_recording::{Access, Exit, HostKind, Index, Kind, Op, Recording};
use airtight_tracer as tracer;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// One action to run.
#[derive(Debug, Default)]
pub(crate) struct Job {
    /// The command and its arguments.
    pub(crate) argv: Vec<OsString>,
    /// What it says of itself.
    pub(crate) declaration: Declaration,
    /// Processes outside of the command's own tree that work for it.
    pub(crate) also: tracer::Also,
    /// Where to keep the recording. Then the action runs, whatever the cache has.
    pub(crate) recording: Option<PathBuf>,
    /// Where to write the report beside or in place of standard error. If anywhere, the action
    /// runs.
    pub(crate) reports: Reports,
    /// Run the action even if its result is known, and put the new one in its place.
    pub(crate) refresh: bool,
    /// The action reads our standard input, so its result is not cached.
    pub(crate) stdin: bool,
    /// Run it this many times and compare what it makes.
    pub(crate) repeat: u32,
    /// The command is a compiler's, and is given options to write a depfile into the action's
    /// temporary directory. They are no part of what the action is.
    pub(crate) private_depfile: bool,
}

impl Job {
    /// Restores its result or runs it, and tells what was found.
    ///
    /// # Errors
    /// When Airtight itself fails.
    pub(crate) fn run(mut self, config: &Config, printer: &Printer) -> Result<Status, Error> {
        let inner = Inner::detect()?;
        if inner.is_some() {
            refuse_reactions("this airtight runs within another one and", config)?;
        } else if config.backend == tracer::Backend::Fanotify {
            refuse_reactions("the fanotify backend", config)?;
            if config.guard {
                return Err(Error::plain("the guard needs the ptrace backend beside it"));
            }
        }
        if config.guard {
            guard::check(&self.declaration, inner.is_some())?;
        }
        let inner = inner.as_ref();
        let session = match self.stdin {
            true => None,
            false => Session::begin(&self.argv, &mut self.declaration, config, printer)?,
        };
        let Some(session) = session else {
            return Ok(self.execute(None, inner, config, printer)?.status);
        };
        let again = self.refresh || self.recording.is_some() || self.reports.any();
        // Whoever traces us is to see the work done.
        let again = again || inner.is_some();
        let sampled = sampled(config);
        let found = match again || self.repeat > 1 {
            true => None,
            false => self.find(&session, config, !sampled, printer)?,
        };
        let status = match found {
            Some(hit) if !sampled => replay(&hit),
            known => {
                if known.is_some() {
                    session.cache.count(|counters| counters.miss(MissReason::Sampled));
                } else if again || self.repeat > 1 {
                    session.cache.count(|counters| counters.miss(MissReason::Refreshed));
                }
                self.execute_and_keep(&session, known, inner, config, printer)
            }
        };
        session.end(printer);
        status
    }

    /// Looks for the result and tells what is wrong with what was found.
    fn find(
        &self,
        session: &Session,
        config: &Config,
        restore: bool,
        printer: &Printer,
    ) -> Result<Option<Hit>, Error> {
        let (found, notes) = match session.find(&self.declaration, config, restore) {
            Ok(mut hit) => {
                let notes = std::mem::take(&mut hit.notes);
                (Some(hit), notes)
            }
            Err(Miss { notes, .. }) => (None, notes),
        };
        match notes.as_slice() {
            [] => {}
            [note] => printer.warning(&format!("cache: {note}")),
            [note, more @ ..] => {
                printer.warning(&format!("cache: {note} (and {} more)", more.len()));
            }
        }
        Ok(found)
    }

    /// Runs the action and publishes what it gave, if that is verified and, where the result was
    /// known or is made several times, the same each time.
    fn execute_and_keep(
        mut self,
        session: &Session,
        known: Option<Hit>,
        inner: Option<&Inner>,
        config: &Config,
        printer: &Printer,
    ) -> Result<Status, Error> {
        let mut before = known.map(Known::from);
        let mut left = self.repeat.max(1);
        loop {
            left -= 1;
            let ran = self.execute(Some(session), inner, config, printer)?;
            let Some((verdict, kept, recording)) = ran.verdict else { return Ok(ran.status) };
            let sealed =
                session.seal(&self.declaration, config, &verdict, &recording, &kept, ran.started);
            let sealed = match sealed {
                Ok(sealed) => sealed,
                Err(why) => {
                    session.cache.count(|counters| counters.not_cached(why.reason));
                    if why.reason == NotCachedReason::StoreFailed {
                        // Nothing in the verdict tells of it.
                        printer.warning(&format!("not cached: {}", why.what));
                    }
                    return Ok(ran.status);
                }
            };
            if let Some(differs) = before.and_then(|known| session.differs(&known, &sealed)) {
                session.cache.count(|c| c.not_cached(NotCachedReason::NotDeterministic));
                let (status, text) = nondeterministic(&self.declaration.name, &differs, config);
                printer.tell(text);
                return Ok(status);
            }
            if left > 0 {
                before = Some(Known::from(&sealed));
                continue;
            }
            if let Err(why) = session.publish(verdict, &recording, &sealed, ran.milliseconds) {
                session.cache.count(|c| c.not_cached(why.reason));
                printer.warning(&format!("not cached: {}", why.what));
            }
            session.cache.shrink();
            return Ok(ran.status);
        }
    }

    /// Runs the action under the tracer and judges it.
    fn execute(
        &mut self,
        session: Option<&Session>,
        inner: Option<&Inner>,
        config: &Config,
        printer: &Printer,
    ) -> Result<Ran, Error> {
        let (declaration, also) = (&mut self.declaration, &self.also);
        let scratch = Scratch::create(declaration, &self.argv)?;
        declaration.temporary_directory = Some(scratch.path().as_os_str().as_bytes().to_vec());
        let (env, undeclared) = environment(
            &declaration.environment,
            public(&declaration.environment, std::env::vars_os(), config),
            config.keep_environment,
            scratch.path(),
        );
        declaration.environment.undeclared = undeclared;
        let cwd = PathBuf::from(OsString::from_vec(declaration.cwd.clone()));
        let argv = match self.private_depfile {
            true => {
                let depfile = scratch.path().join("airtight.d");
                let path = depfile.as_os_str().as_bytes().to_vec();
                declaration.depfile = Some(Depfile { path, content: None });
                compiler::with_depfile(&self.argv, &depfile)
            }
            false => self.argv.clone(),
        };
        let mut command =
            tracer::Command { argv, env: Some(env), cwd: Some(cwd), stdio: Default::default() };
        let mut recorder = match &self.recording {
            Some(path) => Some(Recorder::create(path, Format::of(path))?),
            None => None,
        };
        // Before anything is deleted for a command that can't run.
        let allowed = match inner {
            Some(_) => tracer::find(&command),
            None => tracer::check(&command, config.backend),
        };
        if let Err(tracer::Error::Forbidden { what, remedy }) = &allowed
            && config.on_untraceable == OnUntraceable::Uncacheable
        {
            printer.warning(&format!(
                "the command runs untraced and unjudged: {what}\n  remedy: {remedy}"
            ));
            delete_outputs(declaration)?;
            return Ok(Ran::unjudged(untraced::run(&command)?));
        }
        allowed?;
        tracer::check_witness(config.witness(tracer::Witness::Off))?;
        delete_outputs(declaration)?;
        let capture = match session {
            Some(_) => {
                let capture = Capture::start().map_err(|source| tracer::Error::System {
                    what: "keeping what the command writes".to_owned(),
                    source,
                })?;
                command.stdio = capture.stdio.clone();
                Some(capture)
            }
            None => None,
        };
        let mut recording = Recording::default();
        if let Some(session) = session {
            session.watch(declaration, config);
        }
        let started = SystemTime::now();
        let outcome =
            trace(&command, declaration, also, inner, config, &mut recording, recorder.as_mut());
        command.stdio = Default::default();
        let kept = capture.map(Capture::finish).unwrap_or_default();
        let outcome = outcome?;
        command::tell_unwatched(&outcome, printer);
        let recorded = recorder.is_none_or(|recorder| match recorder.finish() {
            Ok(_) => true,
            Err(error) => {
                printer.error(&error.to_string(), &error.hints());
                false
            }
        });
        load_depfile(declaration)?;
        let verdict = command::judge(declaration, config, &recording);
        let place = declaration.declared_at.as_ref();
        let report = Report::action(&verdict, place, &config.workspace, Look::of(config, printer));
        self.reports.tell(&report.of(&recording), config, printer, Stream::Error)?;
        let found = Outcome::of(&verdict);
        if config.remove_undeclared && verdict.fails() {
            remove_undeclared(&verdict, &recording, printer);
        }
        tell_killing(&recording, config, printer);
        if outcome.timed_out {
            let limit = config.timeout.unwrap_or_default();
            printer.error(&format!("stopped after {limit:?}, the time limit"), &[]);
            if let Some(session) = session {
                session.cache.count(|c| c.not_cached(NotCachedReason::TimedOut));
            }
            return Ok(Ran::unjudged(Status::TimedOut));
        }
        let status = match found.status(outcome.exit) {
            Status::Success if !recorded => Status::Incomplete,
            status => status,
        };
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Ran {
            status,
            started: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            milliseconds: started
                .elapsed()
                .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            verdict: Some((verdict, kept, recording)),
        })
    }
}

/// What came of one run.
struct Ran {
    status: Status,
    /// When it began, in nanoseconds since the epoch.
    started: i64,
    /// How long it took.
    milliseconds: u64,
    /// The judgement, with what the action wrote to its streams and what it did; none of an action
    /// that can't be judged.
    verdict: Option<(Verdict, [Kept; 2], Recording)>,
}

impl Ran {
    fn unjudged(status: Status) -> Ran {
        Ran { status, started: 0, milliseconds: 0, verdict: None }
    }
}

/// Writes what the action wrote when it ran.
fn replay(hit: &Hit) -> Result<Status, Error> {
    io::stdout()
        .write_all(&hit.stdout)
        .and_then(|()| io::stdout().flush())
        .map_err(Error::Stdout)?;
    // As for the command itself: that nobody listens is no reason to fail.
    let _ = io::stderr().write_all(&hit.stderr);
    Ok(Status::Success)
}

/// Runs the command under the tracer, with whatever the policy refuses refused.
fn trace(
    command: &tracer::Command,
    declaration: &Declaration,
    also: &tracer::Also,
    inner: Option<&Inner>,
    config: &Config,
    recording: &mut Recording,
    recorder: Option<&mut Recorder>,
) -> Result<tracer::Outcome, Error> {
    let guarded = config.guard.then(|| guard::Guarded::new(declaration, &config.policy));
    let policy = guarded.as_ref().map_or(&config.policy, |guarded| &guarded.policy);
    let options = tracer::Options {
        backend: config.backend,
        witness: config.witness(tracer::Witness::Off),
        timeout: config.timeout,
        grace: config.grace,
        survivors: config.policy.survivors.clone(),
        allow_io_uring: config.policy.unsafe_allow_io_uring,
        also: also.clone(),
        guard: guard::of(declaration, policy),
        kernel_guard: guarded.as_ref().map(|guarded| guarded as &dyn tracer::MakeGuard),
        ..tracer::Options::default()
    };
    let (outcome, airtights) = match recorder {
        Some(recorder) => nested::record(inner, command, options, &mut (&mut *recording, recorder)),
        None => nested::record(inner, command, options, recording),
    }?;
    nested::disown(recording, &airtights, &declaration.workspace, config);
    Ok(outcome)
}

/// Within another airtight nothing can be refused in the act, for it is not ours to stop a call; nor
/// can it where nobody is traced.
///
/// # Errors
/// When the policy demands it.
fn refuse_reactions(who: &str, config: &Config) -> Result<(), Error> {
    let reactions = guard::reactions(&config.policy);
    if reactions.is_empty() {
        return Ok(());
    }
    Err(Error::Plain {
        message: format!(
            "{who} can't carry out the reaction {}",
            reactions.join(", ")
        ),
        hints: vec!["use the reaction `fail` here, or take the ptrace backend outside of any other airtight".to_owned()],
    })
}

/// Says why the tree was killed: no verdict is given on an action that died of a signal.
fn tell_killing(recording: &Recording, config: &Config, printer: &Printer) {
    let mut enforced = recording.host.iter().filter(|note| note.kind == HostKind::Enforced);
    let kills = config.policy.reaction == Reaction::Kill
        || config.policy.reaction_of.values().any(|reaction| *reaction == Reaction::Kill);
    if let (true, Some(Exit::Signal(9)), Some(note)) =
        (kills, recording.exit(), enforced.next_back())
    {
        let path = command::shown(&note.detail);
        printer.error(&format!("killed because of {path}, as the policy demands"), &[]);
    }
}

/// Removes the files that the action made without declaring them. What was there before stays,
/// changed as it is: it is not ours to restore.
fn remove_undeclared(verdict: &Verdict, recording: &Recording, printer: &Printer) {
    let index = Index::new(recording);
    for finding in verdict.findings().iter().filter(|f| f.rule == Rule::W001 && f.fails()) {
        let path = Path::new(OsStr::from_bytes(&finding.path.0));
        let id = recording.paths.find(&finding.path.0);
        let made = id.is_some_and(|id| made(index.of(id)));
        let plain = path.symlink_metadata().is_ok_and(|m| m.is_file() || m.is_symlink());
        if !made || !plain {
            continue;
        }
        match std::fs::remove_file(path) {
            Ok(()) => printer.tell(format!("removed {}\n", finding.subject)),
            Err(error) => printer.warning(&format!("{}: can't remove: {error}", finding.subject)),
        }
    }
}

/// Whether the accesses to a path, in their order, show that it was not there before.
fn made<'a>(accesses: impl Iterator<Item = &'a Access>) -> bool {
    let mut absent = false;
    for access in accesses {
        match (access.errno, access.op) {
            // These fail where the name is taken.
            (0, Op::Create | Op::Hardlink | Op::Symlink | Op::Mknod) => {
                return access.kind == Kind::Write;
            }
            // A rename replaces what is there, so it proves nothing by itself.
            (0, Op::Rename) => return absent && access.kind == Kind::Write,
            _ if access.exists() => return false,
            _ => absent = true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use airtight_recording::{PathId, ProcessId};

    #[test]
    fn only_what_was_not_there_before_was_made() {
        const ENOENT: u16 = 2;
        let access = |kind, op, errno| Access {
            process: ProcessId(0),
            path: PathId(1),
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno,
            syscall: 0,
            flags: 0,
            object: 0,
            count: 1,
            first: 0,
            last: 0,
        };
        let absent = access(Kind::Probe, Op::Stat, ENOENT);
        let present = access(Kind::Probe, Op::Stat, 0);
        let create = access(Kind::Write, Op::Create, 0);
        let rename = access(Kind::Write, Op::Rename, 0);
        for (accesses, expected) in [
            ([create].as_slice(), true),
            (&[absent, create], true),
            (&[absent, rename], true),
            (&[access(Kind::Write, Op::Symlink, 0)], true),
            (&[rename], false),
            (&[present, create], false),
            (&[access(Kind::Write, Op::Open, 0)], false),
            (&[access(Kind::Delete, Op::Unlink, 0), create], false),
            (&[access(Kind::Read, Op::Hardlink, 0)], false),
            (&[absent], false),
        ] {
            assert_eq!(made(accesses.iter()), expected, "{accesses:?}");
        }
    }
}
