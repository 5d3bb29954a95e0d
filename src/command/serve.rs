//! `airtight serve`

use super::beside::Beside;
use super::judging::Judging;
use super::stores::Stores;
use crate::config::{Config, Layer, parse_duration};
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use crate::serve::{self, Options};
use std::path::PathBuf;

/// Serve the cache over a Unix socket, to callers with many requests under way
///
/// Clients send lines of JSON and get lines of JSON; docs/serve.md describes them. Many lookups run
/// side by side. An action whose result is not known is run by the client under `airtight trace`;
/// the daemon judges the recording, and publishes the result if it is verified.
///
/// When it listens, it tells where in one line of JSON on standard output. The settings are those
/// of the directory that it was started in; each request names its own workspace and the variables
/// of its client. It ends when it is told to, by a client, SIGINT or SIGTERM, and finishes what is
/// under way within 10 seconds. A second daemon for one socket ends with 2.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight serve --idle 10m
  airtight serve --socket /run/user/1000/build/airtight.sock --exit-with-stdin")]
pub(crate) struct Args {
    /// Where to listen, in a directory that only its owner can enter; it is made if it is not
    /// there [default: in $XDG_RUNTIME_DIR/airtight, else beside the local store, one for each
    /// workspace]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// End after this time without a client: 90s, 10m, 1h
    #[arg(long, value_name = "TIME")]
    idle: Option<String>,
    /// End when standard input does, so that the daemon does not outlive its caller
    #[arg(long)]
    exit_with_stdin: bool,
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    judging: Judging,
    #[command(flatten)]
    stores: Stores,
}

impl Args {
    /// The settings in the flags, as layers.
    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let mut layers = self.judging.layers()?;
        layers.extend(self.beside.layers());
        layers.extend(self.stores.layers());
        Ok(layers)
    }
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.layers()?, None)?;
    printer.configure(config.color);
    let idle = match &args.idle {
        None => None,
        Some(time) => {
            parse_duration(time).map_err(|what| Error::plain(format!("--idle: {what}")))?
        }
    };
    let options = Options { socket: args.socket, idle, exit_with_stdin: args.exit_with_stdin };
    serve::run(&options, config, printer)?;
    Ok(Status::Success)
}
