//! The command line as a whole: parses it, hands over to one subcommand, reports its error.

use crate::command;
use crate::error::Error;
use crate::exit::{Role, Status};
use crate::printer::{Color, Printer};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Runs build actions under a tracer and tells which files they touched without declaring them.
///
/// An action is a command with declared inputs and outputs. Airtight records every file that
/// the command and its children read, write, probe, list or execute, holds the recording against
/// the declaration, and ends with 120 when they differ.
#[derive(Debug, Parser)]
#[command(
    name = "airtight",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_long_help = crate::exit::table(),
    after_help = "Start with `airtight doctor`, then put `airtight run --in a.c --out a.o --` before a compile."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand understands.
#[derive(Debug, clap::Args)]
struct Global {
    /// Change to this directory before anything else
    #[arg(short = 'C', id = "chdir", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// When to colour messages
    #[arg(long, value_name = "WHEN", global = true, value_enum)]
    color: Option<Color>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(command::run::Args),
    Cc(command::cc::Args),
    Trace(command::trace::Args),
    Audit(command::audit::Args),
    Scons(command::scons::Args),
    Check(command::check::Args),
    Fix(command::fix::Args),
    Baseline(command::baseline::Args),
    Explain(command::explain::Args),
    Diff(command::diff::Args),
    Serve(command::serve::Args),
    Init(command::init::Args),
    Config(command::config::Args),
    Cache(command::cache::Args),
    Doctor(command::doctor::Args),
    Completions(command::completions::Args),
    Man(command::man::Args),
}

impl Command {
    fn role(&self) -> Role {
        match self {
            Command::Run(_)
            | Command::Cc(_)
            | Command::Trace(_)
            | Command::Audit(_)
            | Command::Scons(_) => Role::Wrapper,
            _ => Role::Linter,
        }
    }

    fn run(self, printer: &Printer) -> Result<Status, Error> {
        match self {
            Command::Run(args) => command::run::run(args, printer),
            Command::Cc(args) => command::cc::run(args, printer),
            Command::Trace(args) => command::trace::run(args, printer),
            Command::Audit(args) => command::audit::run(args, printer),
            Command::Scons(args) => command::scons::run(args, printer),
            Command::Check(args) => command::check::run(&args, printer),
            Command::Fix(args) => command::fix::run(&args, printer),
            Command::Baseline(args) => command::baseline::run(&args, printer),
            Command::Explain(args) => command::explain::run(&args, printer),
            Command::Diff(args) => command::diff::run(&args, printer),
            Command::Serve(args) => command::serve::run(args, printer),
            Command::Init(args) => command::init::run(&args, printer),
            Command::Config(args) => command::config::run(&args, printer),
            Command::Cache(args) => command::cache::run(&args, printer),
            Command::Doctor(args) => command::doctor::run(&args, printer),
            Command::Completions(args) => command::completions::run(&args, printer),
            Command::Man(args) => command::man::run(&args, printer),
        }
    }
}

/// The definition of the command line, for the manual, the completions and docs/cli.md.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Runs `airtight` with the arguments of this process.
pub(crate) fn main() -> Status {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &args),
    };
    let printer = Printer::new(cli.global.color);
    let role = cli.command.role();
    let result = match cli.global.directory {
        Some(dir) => {
            std::env::set_current_dir(&dir).map_err(Error::file(&dir, "can't change to it"))
        }
        None => Ok(()),
    }
    .and_then(|()| cli.command.run(&printer));
    result.unwrap_or_else(|error| {
        let status = error.status(role);
        if !matches!(status, Status::Signal(_)) {
            printer.error(&error.to_string(), &error.hints());
        }
        status
    })
}

/// Reports what clap found: help and version are no errors, and the others have the code of the
/// subcommand's half of the table.
fn usage(error: &clap::Error, args: &[OsString]) -> Status {
    let printed = error.print();
    match error.exit_code() {
        0 => match printed {
            Err(source) => Error::Stdout(source).status(Role::Linter),
            Ok(()) => Status::Success,
        },
        _ => {
            let definition = definition();
            let command = args.iter().skip(1).find_map(|arg| definition.find_subcommand(arg));
            match command.map(clap::Command::get_name) {
                Some("run" | "cc" | "trace" | "audit" | "scons") => Role::Wrapper,
                _ => Role::Linter,
            }
            .failure()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_sound() {
        super::definition().debug_assert();
    }
}
