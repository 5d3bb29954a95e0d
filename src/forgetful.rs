//! `airtight-forgetful`: the command with a table of system calls that has holes, for the test that
//! the witness finds what is missed. The feature `forgetful` builds it, and no release has it.
#![forbid(unsafe_code)]

mod action;
mod adapter;
mod audit;
mod baseline;
mod caching;
mod capture;
mod cli;
mod command;
mod compiler;
mod config;
mod determinism;
#[cfg(test)]
mod docs;
mod error;
mod exit;
mod fix;
mod guard;
mod job;
mod limits;
mod nested;
mod output;
mod printer;
mod recorder;
mod report;
mod scratch;
mod serve;
mod untraced;

use std::process::ExitCode;

/// The names of the calls that are forgotten, with commas between them.
const VARIABLE: &str = "AIRTIGHT_FORGOTTEN_CALLS";

fn main() -> ExitCode {
    let calls = std::env::var(VARIABLE).unwrap_or_default();
    airtight_tracer::forgetful::forget(calls.split(',').map(str::to_owned).collect());
    limits::survive_file_size();
    cli::main().end()
}
