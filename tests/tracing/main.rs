//! The tracer against small programs: exact sets of facts, and the same exit status, output and
//! files as untraced. Written from the rules of what a recording must hold, not from the tracer.
//!
//! The tests pass as root and as an ordinary user. What needs root says so in its test, and
//! asserts the refusal where it runs without.
#![forbid(unsafe_code)]

/// Whether each program is traced by an airtight within another one; see nested.rs.
const NESTED: bool = false;

mod harness;

mod abi;
mod caches;
mod changes;
mod descriptors;
mod errors;
mod exec;
mod marks;
mod metadata;
mod namespaces;
mod opens;
mod paths;
mod processes;
mod races;
mod random;
mod refused;
mod richer;
mod stress;
mod survivors;
mod transparency;
mod trust;
