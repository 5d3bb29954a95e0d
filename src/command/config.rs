//! `airtight config`

use crate::config::{self, Config, Shown};
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, Printer, STRONG};
use clap::{Subcommand, ValueEnum};
use std::fmt::Write as _;

/// Tell which settings are in force, and where each was set
///
/// Flags beat AIRTIGHT_* variables, which beat the project's airtight.toml (the nearest one from
/// the current directory up to the root of the repository), which beats the user file
/// (airtight/config.toml in $XDG_CONFIG_HOME or ~/.config, for display settings only), which
/// beats the defaults. Lists are added to each other, values replace each other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight config show
  AIRTIGHT_STRICTNESS=all airtight config show --format json
  airtight config schema > airtight.schema.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every setting with its value and the layer that set it
    Show {
        /// How to write them
        #[arg(long, value_enum, default_value = "human")]
        format: Format,
    },
    /// The JSON schema of airtight.toml, for editors
    Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Human,
    /// For programs
    Json,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let text = match args.action {
        Action::Schema => super::json(&config::schema())?,
        Action::Show { format } => {
            let config = Config::load(Vec::new(), None)?;
            printer.configure(config.color);
            let shown = config::show(&config.layers)?;
            match format {
                Format::Json => super::json(&shown)?,
                Format::Human => human(&shown),
            }
        }
    };
    printer.data(text).map_err(Error::Stdout)?;
    Ok(Status::Success)
}

fn human(settings: &[Shown]) -> String {
    let mut text = String::new();
    for Shown { key, value, origin, added } in settings {
        let sign = if *added { "+=" } else { "=" };
        let _ = writeln!(text, "{STRONG}{key}{STRONG:#} {sign} {value}  {DIM}# {origin}{DIM:#}");
    }
    text
}
