//! Blobs: which are missing, small ones in batches, and the choice between batch and byte stream.

use super::capabilities::Capabilities;
use super::{Grpc, reapi};
use crate::blob::Blob;
use crate::digest::from_hex;
use crate::local::Incoming;
use crate::remote::{RemoteError, zstd};
use airtight_recording::Digest;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    self as api, BatchReadBlobsRequest, BatchUpdateBlobsRequest, FindMissingBlobsRequest,
    batch_read_blobs_response::Response as Download, batch_update_blobs_request::Request as Upload,
    compressor, content_addressable_storage_client::ContentAddressableStorageClient as Client,
};
use futures_util::future::{BoxFuture, join, join_all, try_join, try_join_all};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::HashSet;
use std::io;
use std::sync::atomic::Ordering;
use tonic::Code;

/// What a blob costs in a message beside its bytes: its digest, a status, tags and lengths.
const OVERHEAD: usize = 160;

/// What a server may say of each blob in a batch beside its bytes.
const WORDS: usize = 1 << 10;

/// So many batches of an upload are in memory at once.
const BATCHES: usize = 16;

const IDENTITY: i32 = compressor::Value::Identity as i32;
const ZSTD: i32 = compressor::Value::Zstd as i32;

/// A blob to be read, and what has come of it.
pub(super) struct Wanted<'a> {
    pub(super) into: &'a mut Incoming,
    pub(super) answer: Option<Result<bool, RemoteError>>,
}

impl Grpc {
    fn cas(&self) -> Client<super::channel::Wire> {
        Client::new(self.wire.clone())
    }

    pub(super) async fn find_missing(
        &self,
        digests: &[Digest],
    ) -> Result<Vec<Digest>, RemoteError> {
        let capabilities = self.capabilities().await?;
        let mut seen = HashSet::new();
        let digests: Vec<Digest> =
            digests.iter().copied().filter(|digest| seen.insert(*digest)).collect();
        let most = (capabilities.batch / OVERHEAD).max(1);
        let asked = digests.chunks(most).map(|digests| self.find_missing_of(digests));
        let missing: HashSet<Digest> = try_join_all(asked).await?.into_iter().flatten().collect();
        Ok(digests.into_iter().filter(|digest| missing.contains(digest)).collect())
    }

    async fn find_missing_of(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        let request = FindMissingBlobsRequest {
            instance_name: self.address.instance.clone(),
            blob_digests: digests.iter().map(reapi).collect(),
            ..Default::default()
        };
        // No more can come back than was asked for.
        let limit = digests.len() * OVERHEAD + WORDS;
        let mut client = self.cas().max_decoding_message_size(limit);
        let answer = client.find_missing_blobs(self.request(request, None)).await;
        let answer = answer.map_err(|status| self.errors.status("FindMissingBlobs", &status))?;
        Ok(answer.into_inner().missing_blob_digests.iter().filter_map(digest_of).collect())
    }

    /// Reads each blob, small ones together.
    pub(super) async fn read(&self, into: &mut [Incoming]) -> Vec<Result<bool, RemoteError>> {
        let capabilities = match self.capabilities().await {
            Ok(capabilities) => capabilities,
            Err(error) => return into.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut wanted: Vec<Wanted<'_>> =
            into.iter_mut().map(|into| Wanted { into, answer: None }).collect();
        for wanted in &mut wanted {
            // Every server is taken to have the empty blob, and what an earlier try left is of no
            // use: this one begins anew.
            if wanted.into.digest() == Digest::of(b"") {
                wanted.answer = Some(Ok(true));
            } else if wanted.into.received() > 0
                && let Err(error) = wanted.into.restart()
            {
                wanted.answer = Some(Err(local(&error)));
            }
        }
        let open = wanted.iter_mut().filter(|wanted| wanted.answer.is_none());
        let limit = self.batch_limit(&capabilities);
        let (batches, large) = pack(open, limit, |wanted| wanted.into.digest().size());
        join(
            join_all(batches.into_iter().map(|batch| self.read_batch(&capabilities, batch))),
            join_all(large.into_iter().map(|wanted| self.read_stream(&capabilities, wanted))),
        )
        .await;
        let answers = wanted.into_iter().map(|wanted| {
            let digest = wanted.into.digest();
            let silence = || Err(RemoteError::Wrong(format!("no answer about blob {digest}")));
            wanted.answer.unwrap_or_else(silence)
        });
        answers.collect()
    }

    async fn read_batch(&self, capabilities: &Capabilities, mut batch: Vec<&mut Wanted<'_>>) {
        const CALL: &str = "BatchReadBlobs";
        let digests: HashSet<Digest> = batch.iter().map(|wanted| wanted.into.digest()).collect();
        let bytes: u64 = digests.iter().map(Digest::size).sum();
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        let request = BatchReadBlobsRequest {
            instance_name: self.address.instance.clone(),
            digests: digests.iter().map(reapi).collect(),
            acceptable_compressors: if capabilities.zstd { vec![ZSTD] } else { Vec::new() },
            ..Default::default()
        };
        let limit = limit.saturating_add(digests.len() * WORDS);
        let mut client = self.cas().max_decoding_message_size(limit);
        let answer = match client.batch_read_blobs(self.request(request, None)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => {
                self.no_batch.store(true, Ordering::Relaxed);
                let streams =
                    batch.into_iter().map(|wanted| self.read_stream(capabilities, wanted));
                join_all(streams).await;
                return;
            }
            Err(status) => {
                let error = self.errors.status(CALL, &status);
                for wanted in batch {
                    wanted.answer = Some(Err(error.clone()));
                }
                return;
            }
        };
        for one in answer.responses {
            let Some(digest) = one.digest.as_ref().and_then(digest_of) else { continue };
            let not_found = one.status.as_ref().is_some_and(|s| s.code == Code::NotFound as i32);
            for wanted in &mut batch {
                if wanted.into.digest() != digest || wanted.answer.is_some() {
                    continue;
                }
                wanted.answer = Some(match self.errors.blob(CALL, one.status.as_ref()) {
                    _ if not_found => Ok(false),
                    Some(error) => Err(error),
                    None => match take(wanted.into, &one) {
                        Ok(()) if wanted.into.received() == digest.size() => Ok(true),
                        Ok(()) => {
                            let came = wanted.into.received();
                            let what = format!("{CALL}: {came} bytes came for {digest}");
                            Err(RemoteError::Wrong(what))
                        }
                        Err(error) => Err(local(&error)),
                    },
                });
            }
        }
    }

    /// Stores each blob, small ones together.
    pub(super) async fn write(&self, blobs: &[&Blob]) -> Result<(), RemoteError> {
        let capabilities = self.writable().await?;
        if let Some(blob) = blobs.iter().find(|blob| blob.digest().size() > capabilities.largest) {
            let (digest, most) = (blob.digest(), capabilities.largest);
            let what = format!("the server takes blobs of {most} bytes at most, not {digest}");
            return Err(RemoteError::Full(what));
        }
        let limit = self.batch_limit(&capabilities);
        let (batches, large) = pack(blobs.iter().copied(), limit, |blob| blob.digest().size());
        // Made one after the other as earlier ones end: each holds its blobs in memory.
        let batches: Vec<BoxFuture<'_, _>> =
            batches.into_iter().map(|batch| self.boxed_batch(&capabilities, batch)).collect();
        let streams: Vec<BoxFuture<'_, _>> =
            large.into_iter().map(|blob| self.boxed_stream(&capabilities, blob)).collect();
        let batches = stream::iter(batches).buffer_unordered(BATCHES).try_collect::<()>();
        let streams = stream::iter(streams).buffer_unordered(self.connections).try_collect::<()>();
        try_join(batches, streams).await?;
        Ok(())
    }

    fn boxed_batch<'a>(
        &'a self,
        capabilities: &'a Capabilities,
        batch: Vec<&'a Blob>,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        Box::pin(self.write_batch(capabilities, batch))
    }

    fn boxed_stream<'a>(
        &'a self,
        capabilities: &'a Capabilities,
        blob: &'a Blob,
    ) -> BoxFuture<'a, Result<(), RemoteError>> {
        Box::pin(self.write_stream(capabilities, blob))
    }

    async fn write_batch(
        &self,
        capabilities: &Capabilities,
        batch: Vec<&Blob>,
    ) -> Result<(), RemoteError> {
        const CALL: &str = "BatchUpdateBlobs";
        let uploads = batch.iter().map(|blob| {
            let digest = Some(reapi(&blob.digest()));
            if capabilities.zstd_batches {
                let data = zstd::encode(blob).map_err(|error| local(&error))?;
                if (data.len() as u64) < blob.digest().size() {
                    return Ok(Upload { digest, data: data.into(), compressor: ZSTD });
                }
            }
            let data = blob.bytes().map_err(|error| local(&error))?.into();
            Ok(Upload { digest, data, ..Default::default() })
        });
        let request = BatchUpdateBlobsRequest {
            instance_name: self.address.instance.clone(),
            requests: uploads.collect::<Result<_, RemoteError>>()?,
            ..Default::default()
        };
        let mut client = self.cas().max_decoding_message_size(batch.len() * WORDS);
        let answer = match client.batch_update_blobs(self.request(request, None)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => {
                self.no_batch.store(true, Ordering::Relaxed);
                for blob in batch {
                    self.write_stream(capabilities, blob).await?;
                }
                return Ok(());
            }
            Err(status) => return Err(self.errors.status(CALL, &status)),
        };
        let mut open: HashSet<Digest> = batch.iter().map(|blob| blob.digest()).collect();
        for one in &answer.responses {
            let exists = one.status.as_ref().is_some_and(|s| s.code == Code::AlreadyExists as i32);
            match self.errors.blob(CALL, one.status.as_ref()) {
                Some(error) if !exists => return Err(error),
                _ => {}
            }
            if let Some(digest) = one.digest.as_ref().and_then(digest_of) {
                open.remove(&digest);
            }
        }
        match open.iter().next() {
            None => Ok(()),
            Some(blob) => Err(RemoteError::Wrong(format!("{CALL}: no answer about blob {blob}"))),
        }
    }

    /// The most bytes in a batch, with their overhead; 0 when the server has no batches.
    fn batch_limit(&self, capabilities: &Capabilities) -> usize {
        if self.no_batch.load(Ordering::Relaxed) { 0 } else { capabilities.batch }
    }

    /// Stores those of `blobs` that the server lacks.
    pub(super) async fn write_missing(&self, blobs: &[Blob]) -> Result<(), RemoteError> {
        self.writable().await?;
        let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
        let mut missing: HashSet<Digest> = self.find_missing(&digests).await?.into_iter().collect();
        let blobs: Vec<&Blob> =
            blobs.iter().filter(|blob| missing.remove(&blob.digest())).collect();
        self.write(&blobs).await
    }
}

/// Writes down a blob that came in a batch.
fn take(into: &mut Incoming, one: &Download) -> io::Result<()> {
    match one.compressor {
        IDENTITY => into.write(&one.data),
        ZSTD => {
            let mut decoder = zstd::Decoder::new(into)?;
            decoder.write(&one.data)?;
            decoder.finish()
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown compression")),
    }
}

/// What the local end says when it can't take or give bytes.
pub(super) fn local(error: &io::Error) -> RemoteError {
    match error.kind() {
        io::ErrorKind::InvalidData => RemoteError::Wrong(error.to_string()),
        _ => RemoteError::Local(error.to_string()),
    }
}

fn digest_of(digest: &api::Digest) -> Option<Digest> {
    from_hex(&digest.hash, u64::try_from(digest.size_bytes).ok()?)
}

/// Puts items into batches of at most `limit` bytes with their overhead, in order. Those that
/// alone are larger come second.
fn pack<T>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    size: impl Fn(&T) -> u64,
) -> (Vec<Vec<T>>, Vec<T>) {
    let (mut batches, mut large): (Vec<Vec<T>>, Vec<T>) = (Vec::new(), Vec::new());
    let mut left = 0;
    for item in items {
        let cost = usize::try_from(size(&item)).ok().and_then(|size| size.checked_add(OVERHEAD));
        match cost {
            Some(cost) if cost <= limit => {
                match batches.last_mut() {
                    Some(batch) if cost <= left => batch.push(item),
                    _ => {
                        batches.push(vec![item]);
                        left = limit;
                    }
                }
                left -= cost;
            }
            _ => large.push(item),
        }
    }
    (batches, large)
}
