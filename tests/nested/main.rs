//! `airtight` within `airtight`: the inner one's verdict, exit code and result are those that it
//! gives alone. (That the recording is the same to the last fact is held by the test binary
//! `tracing-nested`.)
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "shared with the tests of caching")]
#[path = "../caching/support.rs"]
mod support;

mod builds;
mod inner;
mod trouble;

use std::process::Command;
use support::{End, Site};

const AIRTIGHT: &str = env!("CARGO_BIN_EXE_airtight");

/// `airtight` in the workspace of a site, called `$A` in the lines of shell scripts.
fn shell(site: &Site, outer: &[&str], script: &str) -> Command {
    let sh = ["--", "/bin/sh", "-c", script];
    let mut command = site.airtight(&[outer, &sh].concat());
    command.env("A", AIRTIGHT);
    command
}

/// Runs `airtight` with these arguments within `airtight trace`; the outer recording is `outer`.
fn within_trace(site: &Site, args: &[&str]) -> End {
    let outer = site.root().join("outer.json");
    let outer = outer.to_str().expect("UTF-8");
    let trace = ["trace", "--format", "json", "-o", outer, "--", AIRTIGHT];
    site.end(site.airtight(&[&trace, args].concat())).0
}
