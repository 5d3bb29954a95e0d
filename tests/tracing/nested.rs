//! The tests of tests/tracing once more, each program traced by an airtight that itself runs within
//! another one: what the outer one records for it must be the same, to the last fact.
#![forbid(unsafe_code)]

/// As in main.rs, the other way.
const NESTED: bool = true;

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
