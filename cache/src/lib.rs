//! Digests, keys, stores, and the gate that only verified results pass.
#![forbid(unsafe_code)]

mod blob;
pub mod digest;
mod entry;
pub mod file_digests;
mod gate;
pub mod key;
pub mod local;
mod meter;
pub mod outputs;
mod proto;
pub mod remote;
mod result;
mod sign;
pub mod stats;

pub use airtight_policy::{ActionDigest, RecordingDigest, Verified};
pub use airtight_recording::Digest;
pub use blob::Blob;
pub use entry::{Damage, Entry, Provenance};
pub use gate::Gate;
pub use result::{ActionResult, OutputDirectory, OutputFile, OutputLink};
pub use sign::{KeyError, PublicKey, SigningKey, TrustedKeys};
