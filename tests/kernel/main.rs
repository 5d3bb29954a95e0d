//! The fanotify backend: what is recorded without tracing anybody, as exact sets.
//!
//! The tests run as root. As an ordinary user each asserts the refusal instead.
#![forbid(unsafe_code)]

/// For the harness: no airtight within another one.
const NESTED: bool = false;

#[path = "../tracing/harness/mod.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod harness;

mod judged;
mod processes;
mod recorded;
mod support;
mod untraceable;
