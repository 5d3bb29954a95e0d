//! `airtight completions`

use crate::cli;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use clap_complete::Shell;

/// Write a completion script for a shell to standard output
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  airtight completions bash > ~/.local/share/bash-completion/completions/airtight")]
pub(crate) struct Args {
    /// The shell to write for
    shell: Shell,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::definition(), "airtight", &mut script);
    printer.raw(&script).map_err(Error::Stdout)?;
    Ok(Status::Success)
}
