//! `airtight init`

use crate::config::{self, PROJECT_FILE};
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Write an airtight.toml with every setting and its default, as comments
///
/// The file is written into the current directory. One that is already there is never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight init
  airtight -C path/to/project init")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, printer: &Printer) -> Result<Status, Error> {
    let path = Path::new(PROJECT_FILE);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(
        |source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Plain {
                message: format!("{PROJECT_FILE} already exists and is left as it is"),
                hints: vec!["`airtight config show` tells what is in force".to_owned()],
            },
            _ => Error::file(path, "can't write")(source),
        },
    )?;
    file.write_all(config::template().as_bytes()).map_err(Error::file(path, "can't write"))?;
    printer.tell(format!("wrote {PROJECT_FILE}\n"));
    Ok(Status::Success)
}
