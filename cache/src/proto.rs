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

/// Which fields of a message hold messages that can be repeated, and their own such fields.
pub(crate) struct Shape(pub(crate) &'static [(u32, Shape)]);

/// Counts the messages in an encoded one, as far as `shape` knows them. To be done before decoding:
/// an empty message of two bytes becomes a hundred and more in memory.
///
/// # Errors
/// When there are more than `budget`, or the bytes are no message.
pub(crate) fn count(mut bytes: &[u8], shape: &Shape, budget: &mut usize) -> Result<(), String> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        let inner = shape.0.iter().find(|(field, _)| *field == tag);
        let (Some((_, inner)), WireType::LengthDelimited) = (inner, wire_type) else {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())
                .map_err(|error| error.to_string())?;
            continue;
        };
        let length = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (message, rest) = bytes.split_at_checked(length).ok_or("it is cut off")?;
        *budget = budget.checked_sub(1).ok_or("too many entries")?;
        count(message, inner, budget)?;
        bytes = rest;
    }
    Ok(())
}
