//! `airtight cache verify`, `gc` and `clear`

use super::{Progress, count, existing, size};
use crate::config::{Config, parse_size};
use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use airtight_cache::local::{GcReport, LocalStore, StoreError, VerifyEvent};
use airtight_cache::stats::{Counters, Stats};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// Remove what was not used for longest from the local store
///
/// Nothing happens to a store that is below the limit, except that what interrupted processes left
/// behind is removed. A build does this by itself when the store has grown too large.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight cache gc
  airtight cache gc --max-size 2GiB")]
pub(super) struct GcArgs {
    /// The limit, like 500MiB or 10GiB [default: cache.max-size]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
}

pub(super) fn verify(config: &Config, printer: &Printer) -> Result<Status, Error> {
    let (mut report, mut bad) = (Default::default(), String::new());
    if let Some(store) = existing(config)? {
        let mut progress = Progress::new("verifying", printer);
        report = store.verify(&mut |event| match event {
            VerifyEvent::Progress { done, of } => progress.at(done as u64, of as u64),
            VerifyEvent::Bad { path, what } => {
                let path = crate::command::shown(path.as_os_str().as_bytes());
                let _ = writeln!(bad, "{path}: {what}");
            }
            _ => {}
        })?;
        tally(&store, |counters| counters.damaged += report.damaged_entries + report.damaged_blobs);
    }
    let sound = format!(
        "{} and {} are sound ({})\n",
        count(report.entries, "entry", "entries"),
        count(report.blobs, "blob", "blobs"),
        size(report.bytes)
    );
    let mut wrong = Vec::new();
    for (number, one, many) in [
        (report.damaged_entries, "damaged entry removed", "damaged entries removed"),
        (report.damaged_blobs, "damaged blob removed", "damaged blobs removed"),
        (report.foreign, "other file removed", "other files removed"),
        (report.failed, "could not be read or removed", "could not be read or removed"),
    ] {
        if number > 0 {
            wrong.push(count(number, one, many));
        }
    }
    let summary = if wrong.is_empty() { sound } else { sound + &wrong.join(", ") + "\n" };
    printer.data(bad + &summary).map_err(Error::Stdout)?;
    Ok(if report.is_clean() { Status::Success } else { Status::Findings })
}

pub(super) fn gc(args: &GcArgs, config: &Config, printer: &Printer) -> Result<Status, Error> {
    let limit = args.max_size.unwrap_or(config.cache.max_size);
    collect("collecting", config, printer, |store, progress| store.gc(limit, progress))
}

pub(super) fn clear(config: &Config, printer: &Printer) -> Result<Status, Error> {
    collect("clearing", config, printer, |store, progress| store.clear(progress))
}

/// Removes from the store, and tells what.
fn collect(
    what: &'static str,
    config: &Config,
    printer: &Printer,
    work: impl FnOnce(&LocalStore, &mut dyn FnMut(u64, u64)) -> Result<GcReport, StoreError>,
) -> Result<Status, Error> {
    let mut report = GcReport::default();
    if let Some(store) = existing(config)? {
        let mut progress = Progress::new(what, printer);
        report = work(&store, &mut |done, of| progress.at(done, of))?;
        tally(&store, |counters| counters.evicted += report.entries + report.blobs);
    }
    let mut text = format!(
        "removed {} and {} ({})\n",
        count(report.entries, "entry", "entries"),
        count(report.blobs, "blob", "blobs"),
        size(report.bytes)
    );
    let behind = report.temporary + report.buckets;
    if behind > 0 {
        let _ = writeln!(text, "removed {} left behind", count(behind, "file", "files"));
    }
    let _ = writeln!(
        text,
        "left    {} and {} ({})",
        count(report.left.entries, "entry", "entries"),
        count(report.left.blobs, "blob", "blobs"),
        size(report.left.bytes)
    );
    printer.data(text).map_err(Error::Stdout)?;
    match report.failed {
        0 => Ok(Status::Success),
        failed => {
            let what = count(failed, "file can't be removed", "files can't be removed");
            printer.error(&what, &[]);
            Ok(Status::Unavailable)
        }
    }
}

/// Counts in the statistics. Only a count would be lost.
fn tally(store: &LocalStore, count: impl FnOnce(&mut Counters)) {
    let mut counters = Counters::default();
    count(&mut counters);
    let _ = Stats::open(store.root()).add(&counters);
}
