//! One action from its declaration to its exit code: run, traced, judged.

use crate::action::{delete_outputs, environment, load_depfile};
use crate::command::{self, Outcome};
use crate::config::{Config, OnUntraceable};
use crate::error::Error;
use crate::exit::Status;
use crate::guard;
use crate::printer::Printer;
use crate::recorder::{Format, Recorder};
use crate::report::Report;
use crate::scratch::Scratch;
use crate::untraced;
use airtight_policy::{Declaration, Reaction, Rule, Verdict};
use airtight_recording::{Access, Exit, HostKind, Index, Kind, Op, Recording, Sink};
use airtight_tracer as tracer;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One action to run.
#[derive(Debug)]
pub(crate) struct Job {
    /// The command and its arguments.
    pub(crate) argv: Vec<OsString>,
    /// What it says of itself.
    pub(crate) declaration: Declaration,
    /// Where to keep the recording.
    pub(crate) recording: Option<PathBuf>,
    /// Where to write the report, other than to standard error.
    pub(crate) report: Option<PathBuf>,
}

impl Job {
    /// Runs it and tells what was found.
    ///
    /// # Errors
    /// When Airtight itself fails.
    pub(crate) fn run(self, config: &Config, printer: &Printer) -> Result<Status, Error> {
        let Job { argv, mut declaration, recording: target, report } = self;
        let scratch = Scratch::create(&declaration, &argv)?;
        declaration.temporary_directory = Some(scratch.path().as_os_str().as_bytes().to_vec());
        let (env, undeclared) = environment(
            &declaration.environment,
            std::env::vars_os(),
            config.keep_environment,
            scratch.path(),
        );
        declaration.environment.undeclared = undeclared;
        let cwd = PathBuf::from(OsString::from_vec(declaration.cwd.clone()));
        let command =
            tracer::Command { argv, env: Some(env), cwd: Some(cwd), stdio: Default::default() };
        let mut recorder = match &target {
            Some(path) => Some(Recorder::create(path, Format::of(path))?),
            None => None,
        };
        // Before anything is deleted for a command that can't run.
        let allowed = tracer::check(&command);
        if let Err(tracer::Error::Forbidden { what, remedy }) = &allowed
            && config.on_untraceable == OnUntraceable::Uncacheable
        {
            printer.warning(&format!(
                "the command runs untraced and unjudged: {what}\n  remedy: {remedy}"
            ));
            delete_outputs(&declaration)?;
            return untraced::run(&command);
        }
        allowed?;
        delete_outputs(&declaration)?;
        let mut recording = Recording::default();
        let outcome = trace(&command, &declaration, config, &mut recording, recorder.as_mut())?;
        let recorded = recorder.is_none_or(|recorder| match recorder.finish() {
            Ok(_) => true,
            Err(error) => {
                printer.error(&error.to_string(), &error.hints());
                false
            }
        });
        load_depfile(&mut declaration)?;
        let verdict = command::judge(&declaration, config, &recording);
        tell(report.as_deref(), &verdict, &declaration, config, printer)?;
        let found = Outcome::of(&verdict);
        if config.remove_undeclared && verdict.fails() {
            remove_undeclared(&verdict, &recording, printer);
        }
        tell_killing(&recording, config, printer);
        if outcome.timed_out {
            let limit = config.timeout.unwrap_or_default();
            printer.error(&format!("stopped after {limit:?}, the time limit"), &[]);
            return Ok(Status::TimedOut);
        }
        Ok(match (Status::of(outcome.exit), found) {
            (Status::Success, Outcome::MissingOutput) => Status::MissingOutput,
            (Status::Success, Outcome::Undeclared) => Status::Undeclared,
            (Status::Success, Outcome::Incomplete) => Status::Incomplete,
            (Status::Success, Outcome::Clean) if !recorded => Status::Incomplete,
            (status, _) => status,
        })
    }
}

/// Runs the command under the tracer, with whatever the policy refuses refused.
fn trace(
    command: &tracer::Command,
    declaration: &Declaration,
    config: &Config,
    recording: &mut Recording,
    recorder: Option<&mut Recorder>,
) -> Result<tracer::Outcome, tracer::Error> {
    let options = tracer::Options {
        backend: config.backend,
        timeout: config.timeout,
        grace: config.grace,
        survivors: config.policy.survivors.clone(),
        allow_io_uring: config.policy.unsafe_allow_io_uring,
        guard: guard::of(declaration, &config.policy),
    };
    match recorder {
        Some(recorder) => {
            let mut both = (recording, recorder);
            tracer::run(command, options, &mut both)
        }
        None => tracer::run(command, options, recording as &mut dyn Sink),
    }
}

/// Tells what was found: to people on standard error, where there is something to tell, or to a
/// file, always.
fn tell(
    file: Option<&Path>,
    verdict: &Verdict,
    declaration: &Declaration,
    config: &Config,
    printer: &Printer,
) -> Result<(), Error> {
    let place = declaration.declared_at.as_ref();
    let text = Report::new(verdict, place, config.all, printer).text(config.format)?;
    match file {
        Some(file) => {
            let mut output = crate::output::Output::create(file)?;
            let plain = anstream::adapter::strip_str(&text).to_string();
            std::io::Write::write_all(output.file(), plain.as_bytes())
                .map_err(Error::file(file, "can't write"))?;
            output.commit()
        }
        None => {
            printer.tell(text);
            Ok(())
        }
    }
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
