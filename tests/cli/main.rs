//! The command line from outside: exit codes, streams, messages, files.

mod cache;
mod codes;
mod configuration;
mod files;
mod findings;
mod streams;
mod support;
