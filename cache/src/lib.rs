//! Digests, and the gate that only verified results pass.
#![forbid(unsafe_code)]

mod gate;

pub use airtight_policy::{ActionDigest, RecordingDigest, Verified};
pub use airtight_recording::Digest;
pub use gate::{ActionResult, Gate, OutputFile};
