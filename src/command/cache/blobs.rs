//! `airtight cache get` and `put`

use super::{Name, entry, existing, store};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::output::Output;
use crate::printer::Printer;
use airtight_cache::digest::digest_of;
use airtight_cache::local::LocalStore;
use airtight_recording::Digest;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::PathBuf;

/// Print a blob or an entry of the local store
///
/// A blob is hashed before a byte of it is shown. An entry is printed as JSON: the outputs, who
/// signed them, and where they come from; under a weak key stand path sets. Ends with 1 when the
/// store has nothing of that name, and with 123 when it is damaged; then it is removed, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight cache get DIGEST -o a.o
  airtight cache get --entry KEY | jq .provenance")]
pub(super) struct GetArgs {
    /// The SHA-256 of the blob, or the key of the entry, with or without /SIZE
    #[arg(value_name = "DIGEST", value_parser = Name::parse)]
    name: Name,
    /// Print the entry under this key
    #[arg(long)]
    entry: bool,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Store a file as a blob in the local store, and print its digest
///
/// No action will find it: results are only published with a proof that they are verified.
#[derive(Debug, clap::Args)]
pub(super) struct PutArgs {
    /// The file
    file: PathBuf,
}

pub(super) fn get(args: &GetArgs, config: &Config, printer: &Printer) -> Result<Status, Error> {
    if args.entry {
        return entry::get(&args.name, args.output.as_deref(), config, printer);
    }
    let found = match existing(config)? {
        Some(store) => match args.name.resolve(&store) {
            Some(digest) => open(&store, &digest, printer)?,
            None => Found::Missing,
        },
        None => Found::Missing,
    };
    match found {
        Found::Sound(file) => match &args.output {
            Some(path) => {
                let mut output = Output::create(path)?;
                io::copy(&mut &file, output.file()).map_err(Error::file(path, "can't write"))?;
                output.commit()?;
            }
            None => show(&file, printer)?,
        },
        Found::Missing => {
            printer.error("the local store has no such blob", &[]);
            return Ok(Status::Findings);
        }
        Found::Damaged => return Ok(Status::Unavailable),
    }
    Ok(Status::Success)
}

enum Found {
    /// From its beginning, with the content that its name says.
    Sound(File),
    Missing,
    /// Told, and removed.
    Damaged,
}

/// Opens a blob and hashes it.
fn open(store: &LocalStore, digest: &Digest, printer: &Printer) -> Result<Found, Error> {
    let mut file = match store.open_blob(digest) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Found::Missing),
        Err(error) if error.is_damage() => {
            printer.error(&format!("{error}; it is removed"), &[]);
            return Ok(Found::Damaged);
        }
        Err(error) => return Err(error.into()),
    };
    let unreadable = |what| Error::file(store.root(), what);
    let is = digest_of(&file).map_err(unreadable("can't read a blob"))?;
    if is != *digest {
        store.discard_blob(digest);
        printer.error(&format!("{digest} is damaged: its content is {is}; it is removed"), &[]);
        return Ok(Found::Damaged);
    }
    file.rewind().map_err(unreadable("can't read a blob"))?;
    Ok(Found::Sound(file))
}

fn show(mut file: &File, printer: &Printer) -> Result<(), Error> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => printer.raw(&buffer[..n]).map_err(Error::Stdout)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::plain(format!("can't read the blob: {error}"))),
        }
    }
}

pub(super) fn put(args: &PutArgs, config: &Config, printer: &Printer) -> Result<Status, Error> {
    let path = &args.file;
    let file = File::open(path).map_err(Error::file(path, "can't read"))?;
    let metadata = file.metadata().map_err(Error::file(path, "can't read"))?;
    if !metadata.is_file() {
        return Err(Error::plain(format!("{}: not a regular file", path.display())));
    }
    let digest = digest_of(&file).map_err(Error::file(path, "can't read"))?;
    let store = store(config)?;
    store.insert_file(&file, &digest)?;
    store.trim(config.cache.max_size);
    printer.data(format!("{digest}\n")).map_err(Error::Stdout)?;
    Ok(Status::Success)
}
