//! The action cache. Entries pass as they are, in both directions: they are not ours to decode, and
//! a few hostile megabytes decode to a gigabyte of messages.

use super::{Grpc, reapi};
use crate::digest::hex;
use crate::remote::{MAX_ENTRY, RemoteError};
use airtight_recording::Digest;
use bazel_remote_apis::build::bazel::remote::execution::v2::{self as api, GetActionResultRequest};
use bytes::{Buf as _, Bytes};
use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};

const SERVICE: &str = "/build.bazel.remote.execution.v2.ActionCache";

/// `UpdateActionResultRequest`, with an `ActionResult` that stays encoded.
#[derive(Clone, PartialEq, Message)]
struct UpdateActionResultRequest {
    #[prost(string, tag = "1")]
    instance_name: String,
    #[prost(message, optional, tag = "2")]
    action_digest: Option<api::Digest>,
    #[prost(bytes = "bytes", tag = "3")]
    action_result: Bytes,
}

impl Grpc {
    pub(super) async fn get_action_result(
        &self,
        key: &Digest,
    ) -> Result<Option<Bytes>, RemoteError> {
        self.capabilities().await?;
        let request = GetActionResultRequest {
            instance_name: self.address.instance.clone(),
            action_digest: Some(reapi(key)),
            ..Default::default()
        };
        match self.action_cache("GetActionResult", request, key).await {
            Ok(entry) => Ok(Some(entry)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.errors.status("GetActionResult", &status)),
        }
    }

    pub(super) async fn update_action_result(
        &self,
        key: &Digest,
        value: Bytes,
    ) -> Result<(), RemoteError> {
        self.writable().await?;
        let request = UpdateActionResultRequest {
            instance_name: self.address.instance.clone(),
            action_digest: Some(reapi(key)),
            action_result: value,
        };
        match self.action_cache("UpdateActionResult", request, key).await {
            Ok(_) => Ok(()),
            Err(status) => Err(self.errors.status("UpdateActionResult", &status)),
        }
    }

    async fn action_cache<M: Message + 'static>(
        &self,
        method: &str,
        message: M,
        key: &Digest,
    ) -> Result<Bytes, Status> {
        let path = PathAndQuery::try_from(format!("{SERVICE}/{method}"))
            .map_err(|error| Status::internal(error.to_string()))?;
        let limit = usize::try_from(MAX_ENTRY).unwrap_or(usize::MAX);
        let mut client =
            tonic::client::Grpc::new(self.wire.clone()).max_decoding_message_size(limit);
        client.ready().await?;
        let request = self.request(message, Some(hex(key)));
        Ok(client.unary(request, path, Undecoded(PhantomData)).await?.into_inner())
    }
}

/// Encodes requests and leaves answers as they are.
struct Undecoded<M>(PhantomData<fn(M)>);

impl<M: Message + 'static> Codec for Undecoded<M> {
    type Encode = M;
    type Decode = Bytes;
    type Encoder = Undecoded<M>;
    type Decoder = Undecoded<M>;

    fn encoder(&mut self) -> Undecoded<M> {
        Undecoded(PhantomData)
    }

    fn decoder(&mut self) -> Undecoded<M> {
        Undecoded(PhantomData)
    }
}

impl<M: Message + 'static> Encoder for Undecoded<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<M: Message + 'static> Decoder for Undecoded<M> {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
