//! Keys in two phases, so that a hit is never stale.
//!
//! The weak key is the digest of a Remote Execution API `Action` over the command, its variables,
//! its outputs and the declared inputs. Under it stand path sets: which further paths a verified
//! run depended on. The strong key is the weak one with the present state of all paths of a set,
//! and only it leads to a result. docs/keys.md has every byte of this.

mod action;
mod describe;
mod inputs;
mod paths;
mod state;

pub use action::{Action, ActionSpec, NotCacheable};
pub use describe::{Change, KeyDescription, Value};
pub use inputs::{Input, InputNode};
pub use paths::{KeyPath, PathSet, PathSetError, Wanted};
pub(crate) use state::unchanged;
pub use state::{Look, State, States};

use airtight_recording::{Digest, Stamp};
use std::fs::Metadata;
use std::io;
use std::path::Path;

/// Gives the digest of a file's content together with the stamp of the file that was hashed.
pub type HashFile<'a> = dyn Fn(&Path, &Metadata) -> io::Result<(Digest, Stamp)> + 'a;
