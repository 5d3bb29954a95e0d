//! `airtight man`

use crate::cli;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use std::path::PathBuf;

/// Write the manual pages, one for each subcommand
///
/// Without a directory the page of `airtight` itself goes to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight man | man -l -
  airtight man /usr/local/share/man/man1")]
pub(crate) struct Args {
    /// Write the pages into this directory, which must exist
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    match &args.directory {
        Some(directory) => clap_mangen::generate_to(cli::definition(), directory)
            .map_err(Error::file(directory, "can't write the pages"))?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(cli::definition())
                .render(&mut page)
                .and_then(|()| printer.raw(&page))
                .map_err(Error::Stdout)?;
        }
    }
    Ok(Status::Success)
}
