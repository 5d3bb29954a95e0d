//! `airtight check`

use super::judging::Judging;
use super::telling::{Reports, Stream};
use crate::action::{Declared, load_depfile};
use crate::audit::{self, Asked, Choice, Saved};
use crate::config::{Config, Origin};
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
    /// Judge an audit with the graph as it was, whatever the build files say now
    #[arg(long)]
    saved_graph: bool,
    /// Tell declared inputs that no action of an audit read (U001)
    #[arg(long)]
    unused_inputs: bool,
    #[command(flatten)]
    reports: Reports,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    judging: Judging,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    if let Some(saved) = audit::open(&args.recording)? {
        return check_audit(args, saved, printer);
    }
    if args.saved_graph || args.unused_inputs {
        let flag = if args.saved_graph { "--saved-graph" } else { "--unused-inputs" };
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
    let Saved { head, recording } = saved;
    let mut config = Config::load(args.judging.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    // All paths in the recording are those of the workspace it was made in.
    if !config.layers.iter().any(|layer| layer.origin == Origin::Flag("--workspace")) {
        config.workspace = PathBuf::from(OsString::from_vec(head.build.workspace.clone()));
    }
    let mut asked = Asked::of(&head, &args.recording)?;
    if args.declared != Declared::default() {
        if asked.adapter != Choice::None {
            return Err(Error::plain("a declaration is for one action, and this is a whole build"));
        }
        asked.declared = Some(args.declared.clone());
    }
    let build = match (args.saved_graph, head.loaded) {
        (true, true) => head.build,
        (true, false) => {
            return Err(Error::Plain {
                message: format!("{}: no graph is saved in it", args.recording.display()),
                hints: vec![
                    "it could not be read after the build; mend that and leave out \
                             --saved-graph"
                        .to_owned(),
                ],
            });
        }
        (false, loaded) => {
            let home = head.build.home;
            let build = audit::attribute(&recording, &asked, &config, printer);
            let mut build = build.map_err(|error| {
                let mut hints = error.hints();
                if loaded {
                    hints.push("`--saved-graph` judges with the graph as it was".to_owned());
                }
                Error::Plain { message: error.to_string(), hints }
            })?;
            build.home = home;
            build
        }
    };
    let verdict = audit::judge(&recording, &build, &asked, &config, args.unused_inputs)?;
    let report = Report::build(&verdict, &build, Look::of(&config, printer)).of(&recording);
    args.reports.tell(&report, &config, printer, Stream::Output)?;
    Ok(audit::outcome(&verdict).linted())
}
