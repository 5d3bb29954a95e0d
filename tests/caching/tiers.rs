//! Which store is asked, and which gets what.

use crate::support::{End, Site, files};
use airtight_cache::stats::MissReason::NoEntry;
use airtight_test_servers::{BazelRemote, bazel_remote};

const ARGS: &str = "--in in --out out -- cp in out";

fn site() -> Site {
    let site = Site::new();
    site.write("in", "some content");
    site
}

/// Somebody else with the same workspace.
fn other(site: &Site) -> Site {
    let other = site.at("other", "other-home");
    other.write("in", "some content");
    let settings = site.path("airtight.toml");
    if settings.exists() {
        other.write("airtight.toml", std::fs::read(settings).expect("the settings"));
    }
    other
}

fn start() -> BazelRemote {
    BazelRemote::start(bazel_remote::Options::default())
}

/// How many requests with this method the server has had.
fn asked(server: &BazelRemote, method: &str) -> usize {
    server.requests().iter().filter(|request| request.method == method).count()
}

fn remotes(site: &Site, list: &[(&str, &str)]) {
    let remotes =
        list.iter().map(|(url, more)| format!("[[cache.remote]]\nurl = \"{url}\"\n{more}\n"));
    site.write("airtight.toml", remotes.collect::<String>());
}

#[test]
fn a_miss_is_published_and_a_local_hit_asks_nobody() {
    let (site, server) = (site(), start());
    remotes(&site, &[(&server.url(), "")]);
    site.runs(ARGS).silent();
    // The list of path sets, nothing; and again before it is written. Then the key's messages,
    // the path set, the output, the entry and the list.
    assert!(asked(&server, "PUT") >= 7, "{:?}", server.requests());
    let before = server.requests().len();
    site.restores(ARGS).silent();
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_remote_hit_fills_the_local_store() {
    let (site, server) = (site(), start());
    remotes(&site, &[(&server.url(), "")]);
    site.runs(ARGS).silent();
    let other = other(&site);
    let (gets, puts) = (asked(&server, "GET"), asked(&server, "PUT"));
    let (end, counters) = other.run(crate::tiers::ARGS);
    end.silent();
    let remote = &counters.remotes[&server.url()];
    assert_eq!((counters.remote_hits, remote.hits, remote.errors), (1, 1, 0));
    assert!(remote.bytes_down > 0);
    // The list, the path set, the entry and the output.
    assert_eq!(asked(&server, "GET") - gets, 4);
    assert_eq!(asked(&server, "PUT"), puts);
    drop(server);
    other.remove("out").restores(ARGS).silent();
    assert_eq!(other.text("out"), "some content");
}

#[test]
fn a_remote_without_push_gets_nothing() {
    let (site, server) = (site(), start());
    remotes(&site, &[(&server.url(), "push = false")]);
    site.runs(ARGS).silent();
    assert_eq!(asked(&server, "PUT"), 0);
    assert!(asked(&server, "GET") > 0);
    assert_eq!(files(&server.storage().join("ac")).len(), 0);
    // And yet it is read.
    let writer = other(&site);
    remotes(&writer, &[(&server.url(), "")]);
    writer.runs(ARGS).silent();
    let reader = site.at("third", "third-home");
    reader.write("in", "some content");
    remotes(&reader, &[(&server.url(), "push = false")]);
    reader.fetches(ARGS).silent();
}

#[test]
fn a_remote_without_fetch_gives_nothing() {
    let (site, server) = (site(), start());
    remotes(&site, &[(&server.url(), "fetch = false")]);
    site.runs(ARGS).silent();
    other(&site).runs(ARGS).silent();
    assert_eq!(asked(&server, "GET"), 0);
    assert!(asked(&server, "PUT") > 0);
    let reader = site.at("third", "third-home");
    reader.write("in", "some content");
    remotes(&reader, &[(&server.url(), "")]);
    reader.fetches(ARGS).silent();
}

#[test]
fn no_push_and_no_fetch_at_all() {
    let (site, server) = (site(), start());
    remotes(&site, &[(&server.url(), "")]);
    let (end, counters) = site.with("AIRTIGHT_CACHE_PUSH", "false").run(ARGS);
    end.silent();
    assert_eq!((counters.published, counters.not_cached["disabled"]), (0, 1), "{counters:?}");
    assert_eq!((site.entries(), asked(&server, "PUT")), (0, 0));
    let gets = asked(&server, "GET");
    let blind = site.with("AIRTIGHT_CACHE_FETCH", "false");
    blind.runs(ARGS).silent();
    blind.runs(ARGS).silent();
    // Lists of path sets are read to be added to.
    assert!(asked(&server, "GET") <= gets + 2);
    site.restores(ARGS).silent();
}

#[test]
fn several_remotes_are_asked_in_order_and_all_get_it() {
    let (site, first, second) = (site(), start(), start());
    remotes(&site, &[(&first.url(), ""), (&second.url(), "")]);
    site.runs(ARGS).silent();
    assert_eq!(asked(&first, "PUT"), asked(&second, "PUT"));
    let gets = asked(&second, "GET");
    other(&site).fetches(ARGS).silent();
    assert_eq!(asked(&second, "GET"), gets);
    // Only the second one has it.
    let empty = start();
    let reader = site.at("third", "third-home");
    reader.write("in", "some content");
    remotes(&reader, &[(&empty.url(), "push = false"), (&second.url(), "")]);
    let (end, counters) = reader.run(ARGS);
    end.silent();
    assert_eq!(counters.remotes[&second.url()].hits, 1, "{counters:?}");
    assert!(asked(&empty, "GET") > 0);
}

#[test]
fn remotes_of_the_command_line_and_of_the_environment() {
    let (site, server) = (site(), start());
    site.runs(&format!("--remote {} {ARGS}", server.url())).silent();
    let other = other(&site).with("AIRTIGHT_REMOTE", server.url());
    other.fetches(ARGS).silent();
}

#[test]
fn reshared_results_reach_a_remote_that_lacks_them() {
    let (site, server) = (site(), start());
    site.runs(ARGS).silent();
    let sharing = |more: &str| {
        let remote = format!("[[cache.remote]]\nurl = \"{}\"\n", server.url());
        site.write("airtight.toml", format!("[cache]\n{more}\n{remote}"));
    };
    sharing("reshare = false");
    site.restores(ARGS).silent();
    assert_eq!(server.requests().len(), 0);
    sharing("reshare = true");
    site.restores(ARGS).silent();
    let other = site.at("other", "other-home");
    other.write("in", "some content");
    other.fetches(&format!("--remote {} {ARGS}", server.url())).silent();
    // What it has is not sent again.
    let puts = asked(&server, "PUT");
    site.restores(ARGS).silent();
    assert_eq!(asked(&server, "PUT"), puts);
}

/// A build whose remote doesn't work: one warning, and the result.
#[track_caller]
fn warned_once(end: &End) {
    end.code(0);
    assert_eq!(end.stderr.matches("warning: ").count(), 1, "{}", end.show());
}

#[test]
fn a_remote_that_is_down_costs_a_warning() {
    let site = site();
    let server = start();
    let url = server.url();
    drop(server);
    remotes(&site, &[(&url, "")]);
    let end = site.runs_because(NoEntry, ARGS);
    warned_once(&end);
    site.restores(ARGS).silent();
}
