//! Flags that have a say in it, and stores that can't be used.

use crate::support::{End, Site, files};
use airtight_cache::stats::MissReason::{NoEntry, Refreshed};
use airtight_cache::stats::{Counters, Stats};
use std::fs;

/// Makes something else each time, so that a restored result shows.
const ARGS: &str = "--out out -- sh -c 'date +%s.%N > out; echo said'";

fn known() -> (Site, String) {
    let site = Site::new();
    site.runs(ARGS);
    let made = site.text("out");
    (site, made)
}

#[test]
fn no_cache_neither_looks_nor_keeps() {
    let site = Site::new();
    let (end, _) = site.run(&format!("--no-cache {ARGS}"));
    assert_eq!(end.show(), "exit 0\n--- stdout\nsaid\n--- stderr\n");
    assert!(!site.store().exists());
    let (site, made) = known();
    for (site, flag) in [(site.clone(), "--no-cache"), (site.with("AIRTIGHT_CACHE", "false"), "")] {
        let (end, counters) = site.run(&format!("{flag} {ARGS}"));
        end.code(0);
        assert_ne!(site.text("out"), made);
        assert_eq!(counters, Counters::default());
    }
    site.restores(ARGS);
    assert_eq!(site.text("out"), made);
}

#[test]
fn refresh_puts_a_new_result_in_its_place() {
    let (site, made) = known();
    site.runs_because(Refreshed, &format!("--refresh {ARGS}"));
    let again = site.text("out");
    assert_ne!(again, made);
    site.remove("out").restores(ARGS);
    assert_eq!(site.text("out"), again);
}

#[test]
fn a_recording_or_a_report_needs_a_run() {
    let (site, made) = known();
    for (flag, file) in [("--recording", "rec.json"), ("--report", "report.json")] {
        site.runs_because(Refreshed, &format!("{flag} ../{file} --format json {ARGS}"));
        assert_ne!(site.text("out"), made);
        assert!(site.text(&format!("../{file}")).starts_with('{'));
    }
}

#[test]
fn a_hit_says_in_every_format_what_a_clean_run_says() {
    for format in ["human", "short"] {
        let site = Site::new();
        let args = format!("--format {format} {ARGS}");
        let first = site.runs(&args);
        assert_eq!(site.restores(&args).show(), first.show());
        // The format says nothing of the result.
        site.restores(ARGS);
    }
}

#[test]
fn where_the_store_is() {
    let site = Site::new();
    let place = site.root().join("elsewhere");
    site.with("AIRTIGHT_CACHE_DIR", place.to_str().expect("UTF-8")).run(ARGS).0.code(0);
    let counters = Stats::open(&place).read().expect("the statistics");
    assert_eq!((counters.published, site.store().exists()), (1, false));
    let place = site.root().join("xdg");
    site.with("XDG_CACHE_HOME", place.to_str().expect("UTF-8")).run(ARGS).0.code(0);
    assert_ne!(files(&place.join("airtight/ac-v1")).len(), 0);
    // Nobody else can read what is in it.
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(place.join("airtight")).expect("the store").permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

/// The build goes on, and one warning tells what is lost.
#[track_caller]
fn warned(end: &End, site: &Site, why: &str) {
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "said\n"), "{}", end.show());
    assert_eq!(end.stderr.matches("warning: ").count(), 1, "{}", end.show());
    assert!(end.stderr.contains("cached: ") && end.stderr.contains(why), "{}", end.show());
    assert!(site.path("out").exists());
}

#[test]
fn without_a_home() {
    let site = Site::new();
    let mut airtight = site.airtight(&crate::support::words(ARGS));
    airtight.env_remove("HOME");
    let (end, _) = site.end(airtight);
    warned(&end, &site, "");
}

#[test]
fn a_store_that_can_not_be_made() {
    let site = Site::new();
    fs::write(site.home().join(".cache"), "a file").expect("a file");
    let (end, _) = site.end(site.airtight(&crate::support::words(ARGS)));
    warned(&end, &site, ".cache");
}

#[test]
fn a_store_that_is_read_only() {
    let (site, made) = known();
    let store = site.store().display().to_string();
    let read_only = format!("mount --bind {store} {store} && mount -o remount,bind,ro {store}");
    // What it has is restored.
    site.remove("out");
    let (end, _) = site.run_where(&read_only, ARGS);
    end.code(0);
    assert_eq!((site.text("out"), end.stderr.as_str()), (made.clone(), ""));
    // What it hasn't is made.
    let other = format!("--env X=1 {ARGS}");
    let (end, _) = site.run_where(&read_only, &other);
    warned(&end, &site, "Read-only");
    assert_ne!(site.text("out"), made);
    site.runs_because(NoEntry, &other);
}

#[test]
fn a_store_of_others() {
    let (site, _) = known();
    fs::set_permissions(site.store(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("ours");
    let (end, _) = site.run(ARGS);
    warned(&end, &site, "airtight");
}

#[test]
fn a_disk_that_is_full() {
    let site = Site::new();
    let store = site.store();
    fs::create_dir_all(&store).expect("a directory");
    let small = format!("mount -t tmpfs -o size=64k,mode=700 none {}", store.display());
    let args = "--out out -- sh -c 'head -c 300000 /dev/zero > out; echo said'";
    let (end, _) = site.run_where(&small, args);
    warned(&end, &site, "No space left");
    assert_eq!(site.read("out").len(), 300_000);
    // From the start: not even the store can be made.
    let full =
        format!("{small} && {{ head -c 100000 /dev/zero > {}/x || true; }}", store.display());
    let (end, _) = site.run_where(&full, args);
    warned(&end, &site, "No space left");
}
