//! What goes to the server.

use super::{Http, Place};
use crate::blob::Blob;
use crate::remote::{RemoteError, zstd};
use reqwest::Method;
use reqwest::header::CONTENT_ENCODING;
use std::ops::RangeInclusive;

/// Blobs of this size are compressed: smaller ones gain nothing, and larger ones would have to be
/// held in memory, because the length of what is sent must be known first.
const COMPRESSIBLE: RangeInclusive<u64> = (4 << 10)..=(16 << 20);

/// For a blob of this size it pays to ask whether the server decodes.
const ASK: u64 = 256 << 10;

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
        let put = async {
            let response = exchange.upload(request, body).await?;
            if !response.status().is_success() {
                return Err(exchange.refused(response).await);
            }
            exchange.explanation(response).await;
            Ok(())
        };
        exchange.watch(put).await
    }

    /// The blob as zstd; none when it had better be sent as it is.
    pub(super) async fn encoded(&self, blob: &Blob) -> Result<Option<Blob>, RemoteError> {
        let size = blob.digest().size();
        if !self.compress || !COMPRESSIBLE.contains(&size) {
            return Ok(None);
        }
        let asked = self.decodes.initialized();
        if !asked && size < ASK || !self.decodes().await {
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
