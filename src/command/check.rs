//! `airtight check`

use super::judging::Judging;
use super::telling::{Reports, Stream};
use crate::action::{Declared, load_depfile};
use crate::audit::{self, Again, GraphFrom, Saved};
use crate::baseline::Known;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use crate::report::{Look, Report};
use crate::scratch;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Judge a saved recording or audit again
///
/// Findings go to standard output. Ends with 0 when there are none that fail, with 1 when there
/// are, with 121 when the recording is incomplete and nothing else was found, and with 2 when
/// something can't be read. A depfile is read as it is now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight run --recording a.trace --in a.c --out a.o -- cc -c a.c
  airtight check a.trace --in a.c --out a.o --strictness all
  airtight check a.trace --spec action.json --format json
  airtight check airtight-audit.bin --policy strict.toml")]
pub(crate) struct Args {
    /// The recording, binary or JSON, or the file of an audit
    recording: PathBuf,
    #[command(flatten)]
    from: GraphFrom,
    /// Tell declared inputs that no action of an audit read (U001)
    #[arg(long)]
    unused_inputs: bool,
    /// Prove stale dependencies: make the file newer for a moment, and ask the build tool whether
    /// it would rebuild what reads it
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    reports: Reports,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    judging: Judging,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    if let Some(saved) = audit::open(&args.recording)? {
        return check_audit(args, saved, printer);
    }
    let for_audits = [
        ("--saved-graph", args.from.saved_graph),
        ("--trust", args.from.trust),
        ("--unused-inputs", args.unused_inputs),
        ("--confirm", args.confirm),
        ("--baseline", args.known.is_given()),
    ];
    if let Some((flag, _)) = for_audits.into_iter().find(|(_, given)| *given) {
        let file = args.recording.display();
        return Err(Error::plain(format!("{flag} is for audits, and {file} is none")));
    }
    let config = Config::load(args.judging.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    let recording = super::read_recording(&args.recording)?;
    let argv = recording.header.command.iter().cloned().map(OsString::from_vec).collect();
    let cwd = &recording.header.cwd;
    let (argv, mut declaration) = args.declared.resolve(argv, Some(cwd), &config)?;
    // The directory that `run` gave the action, if it was `run`.
    let scratch = scratch::path(&declaration, &argv)?;
    declaration.temporary_directory = Some(scratch.into_os_string().into_vec());
    load_depfile(&mut declaration)?;
    let verdict = super::judge(&declaration, &config, &recording);
    let place = declaration.declared_at.as_ref();
    let report = Report::action(&verdict, place, &config.workspace, Look::of(&config, printer));
    let report = report.of(&recording);
    args.reports.tell(&report, &config, printer, Stream::Output)?;
    Ok(super::Outcome::of(&verdict).linted())
}

/// Judges a whole build.
fn check_audit(args: &Args, saved: Saved, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.judging.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    let path = &args.recording;
    let again = Again::new(saved, path, &args.declared, args.from, config, printer)?;
    let baseline = args.known.load(&again.config)?;
    let mut verdict = again.judge(args.unused_inputs, baseline.as_ref())?;
    let interrupted = match args.confirm {
        true => again.confirm(&mut verdict, printer)?,
        false => None,
    };
    let Again { recording, build, config, .. } = &again;
    let report = Report::build(&verdict, build, Look::of(config, printer)).of(recording);
    args.reports.tell(&report, config, printer, Stream::Output)?;
    Ok(interrupted.map_or_else(|| audit::outcome(&verdict).linted(), Status::Signal))
}
