//! `airtight cache`

mod blobs;
mod entry;
pub(super) mod key;
mod keygen;
mod stats;
mod upkeep;

use crate::caching;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use airtight_cache::digest::from_hex;
use airtight_cache::local::LocalStore;
use airtight_recording::Digest;
use clap::Subcommand;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;

/// Look into the local store, and take care of it
///
/// The local store holds the results of verified actions. It keeps below its size limit by itself
/// and may be deleted at any time. Where it is and how large it may grow is set under [cache] in
/// airtight.toml, or by AIRTIGHT_CACHE_DIR and AIRTIGHT_CACHE_MAX_SIZE. No command here talks to
/// remotes. They end with 123 when the store can't be used, or what it holds is wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Stats(stats::Args),
    /// Hash everything in the local store again, and remove what is damaged
    ///
    /// What is damaged is told on standard output, one line each. Ends with 1 when there was
    /// something. A build needs no such check: nothing is taken from a store without being hashed.
    Verify,
    Gc(upkeep::GcArgs),
    /// Remove all entries and blobs from the local store; statistics stay
    Clear,
    /// Print the directory of the local store
    #[command(after_help = "Examples:\n  du -sh \"$(airtight cache dir)\"")]
    Dir,
    Get(blobs::GetArgs),
    Put(blobs::PutArgs),
    ExplainKey(Box<key::Args>),
    Keygen(keygen::Args),
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(Vec::new(), None)?;
    printer.configure(config.color);
    match &args.action {
        Action::Stats(args) => stats::run(args, &config, printer),
        Action::Verify => upkeep::verify(&config, printer),
        Action::Gc(args) => upkeep::gc(args, &config, printer),
        Action::Clear => upkeep::clear(&config, printer),
        Action::Dir => {
            let directory = caching::directory(&config)?;
            let line = [directory.as_os_str().as_bytes(), b"\n"].concat();
            printer.raw(&line).map_err(Error::Stdout)?;
            Ok(Status::Success)
        }
        Action::Get(args) => blobs::get(args, &config, printer),
        Action::Put(args) => blobs::put(args, &config, printer),
        Action::ExplainKey(args) => key::run(args, printer),
        Action::Keygen(args) => keygen::run(args, printer),
    }
}

/// The local store, which is made if there is none.
fn store(config: &Config) -> Result<LocalStore, Error> {
    Ok(LocalStore::open(&caching::directory(config)?)?)
}

/// The local store if there is one: looking makes none.
fn existing(config: &Config) -> Result<Option<LocalStore>, Error> {
    let directory = caching::directory(config)?;
    match directory.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => Ok(Some(LocalStore::open(&directory)?)),
    }
}

/// What a user gives as digest: 64 hex digits, with or without the size behind them.
#[derive(Clone, Debug)]
struct Name {
    /// As from [`from_hex`] with the size 0, or the one that was given.
    digest: Digest,
    sized: bool,
}

impl Name {
    fn parse(text: &str) -> Result<Name, String> {
        let (hash, size) = match text.split_once('/') {
            Some((hash, size)) => (hash, Some(size)),
            None => (text, None),
        };
        let number = size.map_or(Ok(0), str::parse::<u64>);
        let digest = number.ok().and_then(|size| from_hex(hash, size));
        let what = "not 64 lower-case hex digits, with or without /SIZE behind them";
        Ok(Name { digest: digest.ok_or(what)?, sized: size.is_some() })
    }

    /// The digest, with the size that the store knows where none was given.
    fn resolve(&self, store: &LocalStore) -> Option<Digest> {
        if self.sized { Some(self.digest) } else { store.find_blob(self.digest.hash()) }
    }
}

/// How far something is that takes a while, on a terminal.
struct Progress<'a> {
    printer: Option<&'a Printer>,
    what: &'static str,
    shown: u64,
}

impl<'a> Progress<'a> {
    fn new(what: &'static str, printer: &'a Printer) -> Progress<'a> {
        let printer = std::io::stderr().is_terminal().then_some(printer);
        Progress { printer, what, shown: u64::MAX }
    }

    fn at(&mut self, done: u64, of: u64) {
        let percent = done.saturating_mul(100) / of.max(1);
        if let Some(printer) = self.printer
            && percent != self.shown
        {
            self.shown = percent;
            printer.tell(format!("\r{} {percent:>3} %", self.what));
        }
    }
}

/// Leaves an empty line, whatever comes next.
impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(printer) = self.printer.filter(|_| self.shown != u64::MAX) {
            printer.tell(format!("\r{:1$}\r", "", self.what.len() + 6));
        }
    }
}

/// A number of bytes for people: `512 B`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64;
    let mut unit = "";
    for next in UNITS {
        // What would be shown as 1024.0 is one of the next unit.
        if number < 1023.95 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    format!("{number:.1} {unit}")
}

/// `1 blob`, `3 blobs`
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (10 << 30, "10.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn digests_come_with_and_without_size() {
        let hash = "ab".repeat(32);
        let name = Name::parse(&hash).map(|name| (name.digest.size(), name.sized));
        assert_eq!(name, Ok((0, false)));
        let name = Name::parse(&format!("{hash}/17")).map(|name| (name.digest.size(), name.sized));
        assert_eq!(name, Ok((17, true)));
        for wrong in ["", "ab", &hash.to_uppercase(), &format!("{hash}/"), &format!("{hash}/x")] {
            assert!(Name::parse(wrong).is_err(), "{wrong}");
        }
    }
}
