//! What goes to the server.

use super::{Http, Place};
use crate::blob::Blob;
use crate::digest::{Hasher, hex};
use crate::remote::flow::Flow;
use crate::remote::{RemoteError, zstd};
use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

/// How much of a blob is read at once.
const PIECE: usize = 128 << 10;

/// Blobs of this size are compressed: smaller ones gain nothing, and larger ones would have to be
/// held in memory, because the length of what is sent must be known first.
const COMPRESSIBLE: RangeInclusive<u64> = (4 << 10)..=(16 << 20);

/// As many blobs are compressed at the same time.
pub(super) const COMPRESSIONS: usize = 4;

/// Stored as zstd to see what the server makes of it.
const PROBE: &[u8] = b"Airtight asks whether a server decodes what is uploaded as zstd: \
    zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd, zstd.\n";

impl Http {
    /// Stores `body`. When it is zstd, `decoded` is the size of what it yields.
    pub(super) async fn put(
        &self,
        place: Place<'_>,
        body: &Blob,
        decoded: Option<u64>,
    ) -> Result<(), RemoteError> {
        let (exchange, mut request) = self.begin(Method::PUT, place).await?;
        if let Some(size) = decoded {
            request = request.header(CONTENT_ENCODING, "zstd").header("X-Digest-SizeBytes", size);
        }
        let failed = Arc::new(OnceLock::new());
        let request = request
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, body.digest().size())
            .body(stream(body.clone(), exchange.flow(), failed.clone()));
        let put = async {
            let response = exchange.send(request).await?;
            if !response.status().is_success() {
                return Err(exchange.refused(response).await);
            }
            exchange.explanation(response).await;
            Ok(())
        };
        let result = exchange.watch(put).await;
        match failed.get() {
            Some(why) => Err(RemoteError::Local(String::clone(why))),
            None => result,
        }
    }

    /// The blob as zstd; none when it had better be sent as it is.
    pub(super) async fn encoded(&self, blob: &Blob) -> Result<Option<Blob>, RemoteError> {
        let size = blob.digest().size();
        if !self.compress || !COMPRESSIBLE.contains(&size) || !self.decodes().await {
            return Ok(None);
        }
        let local = |why: String| RemoteError::Local(why);
        let _slot = self.compressions.acquire().await.map_err(|error| local(error.to_string()))?;
        let blob = blob.clone();
        let encoded = tokio::task::spawn_blocking(move || zstd::encode(&blob).map(Blob::of)).await;
        let encoded = encoded.map_err(|error| local(error.to_string()))?;
        let encoded = encoded.map_err(|error| local(error.to_string()))?;
        // Else it is compressed already, or random.
        Ok(Some(encoded).filter(|encoded| encoded.digest().size() < size / 8 * 7))
    }

    /// Whether the server decodes what is uploaded as zstd. It is asked for the size of a blob that
    /// nobody needs, which is stored as zstd when it isn't there: a server that doesn't decode has
    /// it with another size.
    async fn decodes(&self) -> bool {
        let ask = async || -> Result<bool, RemoteError> {
            let probe = Blob::of(PROBE);
            let digest = probe.digest();
            if self.size(&digest).await?.is_none() {
                let encoded =
                    zstd::encode(&probe).map_err(|e| RemoteError::Local(e.to_string()))?;
                let place = Place::Blob(&digest);
                self.put(place, &Blob::of(encoded), Some(digest.size())).await?;
            }
            Ok(self.size(&digest).await? == Some(Some(digest.size())))
        };
        // A failure says nothing of uploads as they are.
        let ask = async || ask().await.unwrap_or(false);
        *self.decodes.get_or_init(ask).await
    }
}

/// A body that reads the blob piece by piece. What went wrong is in `failed` then.
fn stream(blob: Blob, flow: Arc<Flow>, failed: Arc<OnceLock<String>>) -> Body {
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
