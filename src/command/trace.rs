//! `airtight trace`

use crate::error::Error;
use crate::exit::Status;
use airtight_recording::Recording;
use airtight_tracer as tracer;
use std::ffi::OsString;
use std::path::PathBuf;

/// Run a command and record every file it touches, without judging
///
/// Standard input, output and error belong to the command, and so does the exit code: 121 is
/// returned only when the command succeeded and something may have escaped the recording. A
/// command that dies of a signal makes `airtight` die of the same one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight trace -o build.trace -- make -j8
  airtight trace --format json -o a.json -- cc -c a.c
  airtight explain --recording build.trace a.o")]
pub(crate) struct Args {
    /// Where to write the recording; `-` is standard output, which the command shares
    #[arg(short, long, value_name = "FILE", default_value = "airtight-trace.bin")]
    output: PathBuf,
    /// How to write it
    #[arg(long, value_enum, default_value = "binary")]
    format: Format,
    /// Who observes
    #[arg(long, value_enum, default_value = "auto")]
    backend: Backend,
    /// Let io_uring be used; the recording is then incomplete
    #[arg(long)]
    allow_io_uring: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
}

/// The two encodings of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Compact and compressed
    Binary,
    /// Documented, for other programs
    Json,
}

/// Who observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Backend {
    /// The best that works here
    Auto,
    /// ptrace with a seccomp filter
    Ptrace,
}

impl From<Backend> for tracer::Backend {
    fn from(backend: Backend) -> tracer::Backend {
        match backend {
            Backend::Auto => tracer::Backend::Auto,
            Backend::Ptrace => tracer::Backend::Ptrace,
        }
    }
}

pub(crate) fn run(args: Args) -> Result<Status, Error> {
    let command = tracer::Command { argv: args.argv, env: None, cwd: None };
    let options = tracer::Options {
        backend: args.backend.into(),
        allow_io_uring: args.allow_io_uring,
        ..tracer::Options::default()
    };
    let mut recording = Recording::default();
    let outcome = tracer::run(&command, options, &mut recording)?;
    Ok(Status::of(outcome.exit))
}
