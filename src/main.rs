//! The `airtight` command.
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

fn main() -> ExitCode {
    limits::survive_file_size();
    cli::main().end()
}
