//! The Remote Execution API version 2 over gRPC: capabilities, action cache, CAS and byte stream.
//!
//! Whatever is sent is version 2.0, so that every server of that API takes it.

mod ac;
mod address;
mod bytestream;
mod capabilities;
mod cas;
mod channel;
mod dial;
mod errors;
mod progress;

use super::{
    Credentials, Remote, RemoteError, RemoteOptions, RemoteOptionsError, Secret, without_secrets,
};
use crate::blob::Blob;
use crate::digest::hex;
use crate::local::Incoming;
use address::Address;
use airtight_recording::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    self as api, RequestMetadata, ToolDetails,
};
use bytes::Bytes;
use capabilities::Asked;
use channel::Wire;
use errors::Errors;
use prost::Message as _;
use std::fmt;
use std::sync::atomic::AtomicBool;
use tonic::Request;
use tonic::metadata::MetadataValue;

/// A server of the Remote Execution API.
pub(super) struct Grpc {
    address: Address,
    wire: Wire,
    errors: Errors,
    asked: Asked,
    /// The server has said that it has no batches.
    no_batch: AtomicBool,
    connections: usize,
    compress: bool,
}

/// The credentials are in its parts.
impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Grpc {
    /// Makes the remote of a `grpc://` or `grpcs://` URL. Nothing is sent yet. To be called within
    /// the runtime.
    pub(super) fn open(options: &RemoteOptions) -> Result<Grpc, RemoteOptionsError> {
        let bad = |what| RemoteOptionsError { url: without_secrets(&options.url), what };
        let address = Address::parse(&options.url).map_err(bad)?;
        let wire = Wire::new(&address, options).map_err(bad)?;
        let secrets = match &options.credentials {
            Credentials::None | Credentials::S3 { .. } => Vec::new(),
            Credentials::Bearer(token) => vec![token.clone()],
            Credentials::Basic { user, password } => {
                let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
                vec![password.clone(), Secret::new(both)]
            }
        };
        Ok(Grpc {
            address,
            wire,
            errors: Errors::new(secrets),
            asked: Asked::not_yet(),
            no_batch: AtomicBool::new(false),
            connections: options.connections.max(1),
            compress: options.compress,
        })
    }

    /// A request that says who asks and, where it is known, for which action.
    fn request<M>(&self, message: M, action: Option<String>) -> Request<M> {
        let metadata = RequestMetadata {
            tool_details: Some(ToolDetails {
                tool_name: "airtight".to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            action_id: action.unwrap_or_default(),
            ..Default::default()
        };
        let mut request = Request::new(message);
        request.metadata_mut().insert_bin(
            "build.bazel.remote.execution.v2.requestmetadata-bin",
            MetadataValue::from_bytes(&metadata.encode_to_vec()),
        );
        request
    }
}

#[async_trait::async_trait]
impl Remote for Grpc {
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        self.get_action_result(key).await
    }

    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        self.update_action_result(key, value).await
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        let mut answers = self.read(std::slice::from_mut(into)).await;
        answers.pop().unwrap_or(Ok(false))
    }

    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        self.find_missing(digests).await
    }

    fn wants_directories(&self) -> bool {
        true
    }

    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        self.write(&[blob]).await
    }

    async fn get_blobs(&self, into: &mut [Incoming]) -> Vec<Result<bool, RemoteError>> {
        self.read(into).await
    }

    async fn put_blobs(&self, blobs: &[Blob]) -> Result<(), RemoteError> {
        self.write_missing(blobs).await
    }
}

/// A digest as the API has it.
fn reapi(digest: &Digest) -> api::Digest {
    api::Digest { hash: hex(digest), size_bytes: i64::try_from(digest.size()).unwrap_or(i64::MAX) }
}
