//! The witness: what the kernel saw and the tracer did not makes a recording incomplete, and where
//! nothing was missed the two agree.
//!
//! The tests run as root. As an ordinary user, who can have no witness, only what is said then is
//! tested (`refused.rs`).
#![forbid(unsafe_code)]

/// For the harness: no airtight within another one.
const NESTED: bool = false;

#[path = "../tracing/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with other tests")]
mod harness;

mod agrees;
mod forgetful;
mod nested;
mod refused;
mod support;
mod ways;
