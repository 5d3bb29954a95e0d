//! Cache servers for the tests: real ones, started on loopback on a free port and stopped when
//! dropped, and doubles inside the test process where a real one can't be had or has to misbehave.
//!
//! Programs come from the system's packages and from the directory that `scripts/test.sh` fills.
//! One that isn't installed is a panic and never a skipped test. What goes wrong while a server
//! starts is a panic too, with the end of the server's own log.

#![forbid(unsafe_code)]

mod background;
pub mod bazel_remote;
mod buildgrid;
mod casd;
mod certificates;
pub mod clients;
pub mod faults;
mod grpc;
mod install;
pub mod nginx;
mod port;
mod process;
mod s3;
mod scons;

pub use bazel_remote::BazelRemote;
pub use buildgrid::BuildGrid;
pub use casd::Casd;
pub use certificates::Certificates;
pub use faults::{Fault, Faults};
pub use nginx::Nginx;
pub use s3::{Moto, S3};
pub use scons::{SCONS, scons};
