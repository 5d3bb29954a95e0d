//! Digests, keys, stores, and the gate that only verified results pass.
#![forbid(unsafe_code)]

mod blob;
mod cache;
pub mod digest;
mod entry;
pub mod file_digests;
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
pub use cache::{
    Cache, CacheError, CacheOptions, Hit, Known, KnownEntry, KnownSet, MAX_STREAM, Miss, Nearest,
    Ping, PublishError, Record, RecordError, Restore, Sealed, Streams,
};
pub use entry::{Damage, Entry, Provenance};
#[doc(hidden)]
pub use entry::{check_entry, check_path_sets};
pub use key::Action;
pub use result::{ActionResult, OutputDirectory, OutputFile, OutputLink};
pub use sign::{KeyError, PublicKey, SigningKey, TrustedKeys};
