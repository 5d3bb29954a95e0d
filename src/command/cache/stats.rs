//! `airtight cache stats`

use super::{count, existing, size};
use crate::caching;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, Printer, STRONG};
use airtight_cache::local::Usage;
use airtight_cache::stats::{Counters, RemoteCounters, Stats};
use airtight_policy::PathBytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::time::UNIX_EPOCH;

/// Tell what is in the local store, and what happened in the cache
///
/// All processes that use the store count: hits, misses by reason, results that were published,
/// results that were not kept by reason, what was damaged or evicted, and what each remote did.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight cache stats
  airtight cache stats --json | jq .hits")]
pub(super) struct Args {
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
    /// Count from zero afterwards
    #[arg(long)]
    reset: bool,
}

/// The JSON form. Fields may be added; none is taken away or given another meaning.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    store: Store,
    hits: u64,
    misses: u64,
    counters: &'a Counters,
}

#[derive(Serialize)]
struct Store {
    #[serde(flatten)]
    directory: PathBytes,
    /// In bytes.
    limit: u64,
    entries: u64,
    blobs: u64,
    bytes: u64,
    /// When what was not used for longest was last used, in seconds since the epoch.
    oldest: Option<u64>,
}

pub(super) fn run(args: &Args, config: &Config, printer: &Printer) -> Result<Status, Error> {
    let directory = caching::directory(config)?;
    let store = existing(config)?;
    let usage = store.as_ref().map(|store| store.usage()).transpose()?.unwrap_or_default();
    let stats = Stats::open(&directory);
    let counters = stats.read().map_err(Error::file(&directory, "can't read the statistics"))?;
    let limit = config.cache.max_size;
    let text = if args.json {
        let since = |at: std::time::SystemTime| at.duration_since(UNIX_EPOCH).ok();
        let Usage { entries, blobs, bytes, oldest, .. } = usage;
        let oldest = oldest.and_then(since).map(|since| since.as_secs());
        let directory = PathBytes(directory.clone().into_os_string().into_vec());
        crate::command::json(&Document {
            version: 1,
            store: Store { directory, limit, entries, blobs, bytes, oldest },
            hits: counters.hits(),
            misses: counters.all_misses(),
            counters: &counters,
        })?
    } else {
        let mut table = Table(String::new());
        table.row("directory", directory.display());
        table.row(
            "holds",
            format!(
                "{} of {} ({}, {})",
                size(usage.bytes),
                size(limit),
                count(usage.entries, "entry", "entries"),
                count(usage.blobs, "blob", "blobs")
            ),
        );
        table.counters(&counters);
        table.0
    };
    printer.data(text).map_err(Error::Stdout)?;
    if args.reset && store.is_some() {
        stats.reset().map_err(Error::file(&directory, "can't reset the statistics"))?;
    }
    Ok(Status::Success)
}

/// Lines of a label and a value.
struct Table(String);

impl Table {
    fn row(&mut self, label: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{STRONG}{label:<18}{STRONG:#}  {value}");
    }

    fn part(&mut self, label: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "  {DIM}{label:<16}{DIM:#}  {value}");
    }

    fn reasons(&mut self, label: &str, reasons: &BTreeMap<String, u64>) {
        self.row(label, reasons.values().fold(0, |sum: u64, n| sum.saturating_add(*n)));
        for (reason, number) in reasons {
            self.part(&crate::command::shown(reason.as_bytes()), number);
        }
    }

    fn counters(&mut self, counters: &Counters) {
        let (hits, misses) = (counters.hits(), counters.all_misses());
        let all = hits.saturating_add(misses);
        let share = match all {
            0 => String::new(),
            all => format!(" of {all} ({:.1} %)", hits as f64 * 100.0 / all as f64),
        };
        self.row("hits", format!("{hits}{share}"));
        self.part("local", counters.local_hits);
        self.part("remote", counters.remote_hits);
        self.reasons("misses", &counters.misses);
        self.row("published", counters.published);
        self.reasons("not cached", &counters.not_cached);
        self.row("damaged", counters.damaged);
        self.row("evicted", counters.evicted);
        for (name, remote) in &counters.remotes {
            let RemoteCounters { hits, published, errors, tripped, bytes_up, bytes_down, .. } =
                remote;
            self.row("remote", crate::command::shown(name.as_bytes()));
            self.part("hits", hits);
            self.part("published", published);
            self.part("errors", errors);
            self.part("left alone", tripped);
            self.part("sent", size(*bytes_up));
            self.part("received", size(*bytes_down));
        }
    }
}
