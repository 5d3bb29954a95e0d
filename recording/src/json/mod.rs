//! The documented JSON form: one object with one flat list of accesses.
//! `docs/recording-format.md` describes it, `docs/recording.schema.json` is its schema.

mod layout;
mod model;
mod read;
#[cfg(test)]
mod schema;
mod write;

pub(crate) use read::read;
pub use write::{WriteError, write};

/// The format that is written, and the newest that is read.
///
/// 1: programs without variables. 2: programs with them.
pub const VERSION: u64 = 2;
