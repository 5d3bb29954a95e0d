//! Digests, keys, stores, and the gate that only verified results pass.
#![forbid(unsafe_code)]

mod blob;
pub mod digest;
mod gate;
pub mod local;
pub mod remote;
mod result;

pub use airtight_policy::{ActionDigest, RecordingDigest, Verified};
pub use airtight_recording::Digest;
pub use blob::Blob;
pub use gate::Gate;
pub use result::{ActionResult, OutputDirectory, OutputFile, OutputLink};
