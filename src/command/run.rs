//! `airtight run`

use super::also::Also;
use super::beside::Beside;
use super::judging::Judging;
use super::stores::Stores;
use super::telling::Reports;
use crate::action::Declared;
use crate::config::{Backend, Config, Layer, OnUntraceable, flag, parse_duration};
use crate::error::Error;
use crate::exit::Status;
use crate::job::Job;
use crate::printer::Printer;
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::PathBuf;

/// Run an action and hold what it touched against what it declared
///
/// Standard input and output belong to the command; Airtight writes to standard error, and
/// nothing at all when there is nothing to tell. The command's own exit code or signal is passed
/// on when it fails. When it succeeds, 120 means undeclared accesses, 121 an incomplete recording,
/// 122 a missing output; so 0 always means traced, complete and clean. 124 is the time limit, 125
/// a failure of Airtight itself, 126 and 127 a command that can't be executed or found.
///
/// When a cache knows the result of an action with declared outputs, the command is not run: its
/// outputs and what it wrote to its standard streams are restored. A new result is kept when it is
/// verified, that is traced completely and judged clean. For such actions standard input is empty,
/// and standard output and error are pipes; --no-cache leaves all three alone.
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
    #[command(flatten)]
    also: Also,
    #[command(flatten)]
    beside: Beside,
    /// Kill the command after this time: 90s, 5m, 1h or none
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Pass on the caller's whole environment; undeclared variables are finding H005
    #[arg(long)]
    env_all: bool,
    /// Keep the recording; a name that ends in .json makes it JSON
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    #[command(flatten)]
    reports: Reports,
    /// Remove undeclared outputs (W001) when the action fails the verdict
    #[arg(long)]
    remove_undeclared: bool,
    /// What to do when this system does not let processes be traced
    #[arg(long, value_enum)]
    on_untraceable: Option<OnUntraceable>,
    /// Let io_uring be used; the recording is then incomplete
    #[arg(long)]
    allow_io_uring: bool,
    /// Have the kernel ask before every open, and deny those that are not declared, whatever call
    /// they are made by; needs CAP_SYS_ADMIN
    #[arg(long)]
    guard: bool,
    /// Run the action even if its result is known, and replace that
    #[arg(long, help_heading = "Cache", conflicts_with = "no_cache")]
    refresh: bool,
    /// Run the action this many times and fail (I005) when it does not make the same each time
    #[arg(long, help_heading = "Cache", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Pass standard input on to the command; its result is then not cached
    #[arg(long, help_heading = "Cache")]
    stdin: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "spec")]
    argv: Vec<OsString>,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    judging: Judging,
    #[command(flatten)]
    stores: Stores,
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
            (self.guard, "--guard", "run.guard"),
            (self.remove_undeclared, "--remove-undeclared", "run.remove-undeclared"),
            (self.allow_io_uring, "--allow-io-uring", "policy.unsafe-allow-io-uring"),
        ] {
            if given {
                layers.push(flag(name, key, "true"));
            }
        }
        layers.extend(self.beside.layers());
        layers.extend(self.stores.layers());
        Ok(layers)
    }
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    let (argv, declaration) = args.declared.resolve(args.argv, None, &config)?;
    let also = args.also.resolve(config.backend)?;
    let job = Job {
        argv,
        declaration,
        also,
        recording: args.recording,
        reports: args.reports,
        refresh: args.refresh,
        stdin: args.stdin,
        repeat: args.repeat,
        ..Job::default()
    };
    job.run(&config, printer)
}
