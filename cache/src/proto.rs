//! Small conversions to and from the messages of the Remote Execution API v2.

use crate::digest::{from_hex, hex};
use airtight_recording::Digest;
pub(crate) use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;

/// A digest as the API has it.
pub(crate) fn digest(digest: &Digest) -> reapi::Digest {
    reapi::Digest {
        hash: hex(digest),
        size_bytes: i64::try_from(digest.size()).unwrap_or(i64::MAX),
    }
}

/// A digest from the API; none when it is not one of SHA-256.
pub(crate) fn from_digest(digest: Option<&reapi::Digest>) -> Option<Digest> {
    let digest = digest?;
    from_hex(&digest.hash, u64::try_from(digest.size_bytes).ok()?)
}
