//! The `airtight` command.
#![forbid(unsafe_code)]

fn main() {}
