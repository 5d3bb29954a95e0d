//! `airtight run`

use super::Outcome;
use super::judging::Judging;
use crate::action::{Declared, delete_outputs, environment, load_depfile};
use crate::config::{Backend, Config, Layer, OnUntraceable, flag, parse_duration};
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
use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Run an action and hold what it touched against what it declared
///
/// Standard input and output belong to the command; Airtight writes to standard error, and
/// nothing at all when there is nothing to tell. The command's own exit code or signal is passed
/// on when it fails. When it succeeds, 120 means undeclared accesses, 121 an incomplete recording,
/// 122 a missing output; so 0 always means traced, complete and clean. 124 is the time limit, 125
/// a failure of Airtight itself, 126 and 127 a command that can't be executed or found.
///
/// Declared outputs and the depfile are deleted before the command starts. It gets only the
/// variables that are declared (see `airtight config show`), and an empty TMPDIR of its own whose
/// name is the same in every run and which is removed afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight run --in a.c --in 'include/**' --out a.o -- cc -Iinclude -c a.c
  airtight run --depfile a.d --in a.c --out a.o -- cc -MD -c a.c
  airtight run --reaction R001=hide --in-dir src --out dist -- npm run build
  airtight run --spec action.json")]
pub(crate) struct Args {
    /// Who observes
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Kill the command after this time: 90s, 5m, 1h or none
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Pass on the caller's whole environment; undeclared variables are finding H005
    #[arg(long)]
    env_all: bool,
    /// Keep the recording; a name that ends in .json makes it JSON
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Write the report to this file, in the format asked for, also when there are no findings
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Remove undeclared outputs (W001) when the action fails the verdict
    #[arg(long)]
    remove_undeclared: bool,
    /// What to do when this system does not let processes be traced
    #[arg(long, value_enum)]
    on_untraceable: Option<OnUntraceable>,
    /// Let io_uring be used; the recording is then incomplete
    #[arg(long)]
    allow_io_uring: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "spec")]
    argv: Vec<OsString>,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    judging: Judging,
}

impl Args {
    /// The settings in the flags, as layers.
    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let mut layers = self.judging.layers()?;
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned())
        };
        if let Some(backend) = name(&|| self.backend?.to_possible_value()) {
            layers.push(flag("--backend", "run.backend", &backend));
        }
        if let Some(choice) = name(&|| self.on_untraceable?.to_possible_value()) {
            layers.push(flag("--on-untraceable", "run.on-untraceable", &choice));
        }
        if let Some(time) = &self.timeout {
            parse_duration(time).map_err(|what| Error::plain(format!("--timeout: {what}")))?;
            layers.push(flag("--timeout", "run.timeout", time));
        }
        for (given, name, key) in [
            (self.env_all, "--env-all", "run.keep-environment"),
            (self.remove_undeclared, "--remove-undeclared", "run.remove-undeclared"),
            (self.allow_io_uring, "--allow-io-uring", "policy.unsafe-allow-io-uring"),
        ] {
            if given {
                layers.push(flag(name, key, "true"));
            }
        }
        Ok(layers)
    }
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    let (argv, mut declaration) = args.declared.resolve(args.argv, None, &config)?;
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
    let command = tracer::Command { argv, env: Some(env), cwd: Some(cwd) };
    let mut recorder = match &args.recording {
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
    let outcome = trace(&command, &declaration, &config, &mut recording, recorder.as_mut())?;
    let recorded = recorder.is_none_or(|recorder| match recorder.finish() {
        Ok(_) => true,
        Err(error) => {
            printer.error(&error.to_string(), &error.hints());
            false
        }
    });
    load_depfile(&mut declaration)?;
    let verdict = super::judge(&declaration, &config, &recording);
    tell(args.report.as_deref(), &verdict, &declaration, &config, printer)?;
    let found = Outcome::of(&verdict);
    if config.remove_undeclared && verdict.fails() {
        remove_undeclared(&verdict, &recording, printer);
    }
    tell_killing(&recording, &config, printer);
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
        let path = super::shown(&note.detail);
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
