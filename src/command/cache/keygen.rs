//! `airtight cache keygen`

use crate::config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use airtight_cache::SigningKey;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Make a key that signs results
///
/// The private key goes into a file that only its owner can read; an existing file is never
/// replaced. The public key is printed.
///
/// Who publishes results (a CI job, say) names the file of the private key: `signing-key = "FILE"`
/// under [cache] in airtight.toml or the user file. Who wants no results but theirs puts the
/// public key there: `trusted-keys = ["airtight-key ..."]`. Every other entry, whoever could write
/// it to a remote, is then a miss.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight cache keygen
  airtight cache keygen -o ci.key")]
pub(super) struct Args {
    /// The file of the private key [default: airtight/signing.key in $XDG_CONFIG_HOME or ~/.config]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None => config::user_directory()
            .map(|directory| directory.join("signing.key"))
            .ok_or_else(|| Error::plain("neither HOME nor XDG_CONFIG_HOME is set: give -o FILE"))?,
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Error::plain(format!("the kernel gives no random bytes: {error}")))?;
    let key = SigningKey::from_seed(&seed);
    let make_directory = args.output.is_none();
    write_new(&path, key.text().reveal(), make_directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Plain {
            message: format!("{}: it exists, and is not replaced", path.display()),
            hints: vec!["give another file with -o".to_owned()],
        },
        _ => Error::file(&path, "can't write")(error),
    })?;
    printer.tell(format!("private key: {}\n", path.display()));
    printer.data(format!("{}\n", key.public())).map_err(Error::Stdout)?;
    Ok(Status::Success)
}

/// Writes a file that only its owner can read and that was not there.
fn write_new(path: &Path, text: &str, make_directory: bool) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|_| make_directory) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is none.
        let _ = fs::remove_file(path);
    }
    written
}
