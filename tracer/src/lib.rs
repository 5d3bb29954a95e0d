//! Runs a command under a tracer and yields every file access of its process tree.
//!
//! Linux only. This is the only crate with unsafe code, all of it in `sys/`.

mod beneath;
#[cfg(test)]
mod bpf;
mod command;
pub mod filter;
#[cfg(feature = "forgetful")]
pub mod forgetful;
mod guard;
pub mod kernel;
mod loader;
mod log;
mod look;
mod mounts;
mod parts;
mod ptrace;
mod start;
mod sys;
pub mod table;
mod witness;

pub use beneath::{Beneath, Survivor, find, run_beneath, traced_by};
pub use command::{Backend, Command, Error, Options, Outcome, Witness, check, run};
pub use guard::{Attempt, Guard, MakeGuard, Reaction};
pub use kernel::{Also, Asked, guard_ability};
pub use parts::{Part, Parts, Signal};
pub use start::GUARD_REMEDY;
pub use sys::process::die_by;
pub use sys::socket::{Peer, peer};
pub use witness::{Testimony, check as check_witness};
