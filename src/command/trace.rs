//! `airtight trace`

use super::also::Also;
use crate::config::{Backend, Witness};
use crate::error::Error;
use crate::exit::Status;
use crate::nested;
use crate::printer::Printer;
use crate::recorder::{Format, Recorder};
use airtight_recording::Completeness;
use airtight_tracer as tracer;
use std::ffi::OsString;
use std::path::PathBuf;

/// Run a command and record every file it touches, without judging
///
/// Standard input, output and error belong to the command, and so does the exit code: 121 is
/// returned only when the command succeeded and something may have escaped the recording. A
/// command that dies of a signal makes `airtight` die of the same one.
///
/// The file appears when the recording is whole, never before. Settings of airtight.toml play no
/// part.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight trace -o build.trace -- make -j8
  airtight trace --format json -o a.json -- cc -c a.c
  airtight check build.trace --spec action.json")]
pub(crate) struct Args {
    /// Where to write the recording; `-` is standard output, which the command shares
    /// [default: airtight-trace.bin or airtight-trace.json]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write it
    #[arg(long, value_enum, default_value = "binary")]
    format: Format,
    /// Who observes
    #[arg(long, value_enum, default_value = "auto")]
    backend: Backend,
    /// Who is asked beside the tracer whether it has seen everything. What it has missed makes the
    /// recording incomplete. fanotify needs CAP_SYS_ADMIN
    #[arg(long, value_enum, default_value = "off")]
    witness: Witness,
    #[command(flatten)]
    also: Also,
    /// Let io_uring be used; the recording is then incomplete
    #[arg(long)]
    allow_io_uring: bool,
    /// Note the value of this variable of each program that is executed; may be given more than
    /// once. No other variable is ever recorded
    #[arg(long, value_name = "NAME")]
    note_env: Vec<String>,
    /// End as the command does, also when something may have escaped, and say nothing of it: the
    /// recording does
    #[arg(long)]
    transparent: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    let command =
        tracer::Command { argv: args.argv, env: None, cwd: None, stdio: Default::default() };
    let backend = args.backend.into();
    let options = tracer::Options {
        backend,
        also: args.also.resolve(backend)?,
        witness: args.witness.into(),
        allow_io_uring: args.allow_io_uring,
        marks: args.note_env,
        ..tracer::Options::default()
    };
    let target = args.output.unwrap_or_else(|| args.format.default_name().into());
    let mut recorder = Recorder::create(&target, args.format)?;
    let (outcome, _) = nested::run(&command, options, &mut recorder)?;
    super::tell_unwatched(&outcome, printer);
    let mut complete = args.transparent || outcome.completeness.is_complete();
    if let (Completeness::Incomplete { reasons }, false) = (&outcome.completeness, args.transparent)
    {
        printer.warning(&super::incomplete(reasons));
    }
    if let Err(error) = recorder.finish() {
        printer.error(&error.to_string(), &error.hints());
        complete = false;
    }
    Ok(match Status::of(outcome.exit) {
        Status::Success if !complete => Status::Incomplete,
        status => status,
    })
}
