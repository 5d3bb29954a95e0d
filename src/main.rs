//! The `airtight` command.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod error;
mod exit;
mod output;
mod printer;
mod recorder;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().end()
}
