//! The only place with unsafe code: thin, typed wrappers of system calls that nix lacks, or that
//! it gets wrong for a tracer (see docs/architecture.md).

pub(crate) mod fanotify;
pub(crate) mod files;
pub(crate) mod keeper;
pub(crate) mod memory;
pub(crate) mod perf;
pub(crate) mod permit;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod ptrace;
pub(crate) mod regs;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod wait;
pub(crate) mod watch;

use std::io;

/// Turns the C convention (-1 and errno) into a `Result`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
