//! Digests that name an action and a recording, each with a type of its own.

use airtight_recording::{Digest, Recording};
use serde::{Serialize, Serializer};
use std::fmt;

/// The digest of an action: of its command, inputs, outputs and platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionDigest(pub Digest);

/// The digest of a recording. Only a recording makes one, so a verdict can't be passed off as
/// one on another recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingDigest(Digest);

macro_rules! shown {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    };
}
shown!(ActionDigest);
shown!(RecordingDigest);

impl RecordingDigest {
    /// The digest of `recording`, as [`Recording::digest`] has it; none of a recording that has
    /// no end or is not whole in itself.
    pub fn of(recording: &Recording) -> Option<RecordingDigest> {
        recording.digest().ok().map(RecordingDigest)
    }

    /// The plain digest.
    pub fn digest(&self) -> Digest {
        self.0
    }
}
