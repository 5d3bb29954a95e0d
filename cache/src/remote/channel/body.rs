//! A blob as the body of a request.

use crate::blob::Blob;
use crate::digest::{Hasher, hex};
use crate::remote::flow::Flow;
use bytes::Bytes;
use reqwest::Body;
use std::sync::{Arc, OnceLock};

/// How much of a blob is read at once. Small enough for a slow line to take one now and then, which is
/// seen as flow.
const PIECE: usize = 64 << 10;

/// A body that reads the blob piece by piece. What went wrong is in `failed` then.
pub(super) fn stream(blob: Blob, flow: Arc<Flow>, failed: Arc<OnceLock<String>>) -> Body {
    let next = move |read| {
        let piece = piece(&blob, read);
        match &piece {
            Ok(Some((bytes, _))) => flow.moved(bytes.len()),
            Ok(None) => {}
            // The first one counts.
            Err(why) => drop(failed.set(why.clone())),
        }
        std::future::ready(piece)
    };
    Body::wrap_stream(futures_util::stream::try_unfold((Hasher::new(), 0), next))
}

/// What has been read of a blob, and how much.
type Read = (Hasher, u64);

/// The next bytes of a blob, and what has been read with them. The last ones go out only when the
/// whole has the digest: else a file that has changed would be stored under a name not its own.
fn piece(blob: &Blob, (mut hasher, offset): Read) -> Result<Option<(Bytes, Read)>, String> {
    let digest = blob.digest();
    if offset == digest.size() {
        return Ok(None);
    }
    let bytes = blob.read(offset, PIECE).map_err(|error| error.to_string())?;
    hasher.update(&bytes);
    let offset = offset + bytes.len() as u64;
    if bytes.is_empty() || offset == digest.size() && hasher.clone().finish() != digest {
        return Err(format!("the content of blob {} has changed", hex(&digest)));
    }
    Ok(Some((bytes, (hasher, offset))))
}
