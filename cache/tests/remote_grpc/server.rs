//! A server inside the test, for what real ones don't do on demand.

use bazel_remote_apis::build::bazel::remote::execution::v2::{self as api, *};
use bazel_remote_apis::build::bazel::semver::SemVer;
use bazel_remote_apis::google;
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse, byte_stream_server,
};
use futures_util::{Stream, StreamExt as _, stream};
use prost::Message as _;
use sha2::Digest as _;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// What is wrong with the answers to reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// One byte too many.
    Longer,
    /// One byte too few.
    Shorter,
    /// Right size, wrong bytes.
    Other,
    /// The blob again and again.
    Endless,
    /// Messages without bytes, for ever.
    Empty,
    /// Another blob than was asked for.
    Misnamed,
    /// No word about the blob.
    Silent,
    /// The right answer and then a wrong one.
    Twice,
    /// A message that is larger than all that was asked for.
    Huge,
}

/// How uploads by the byte stream end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Writes {
    #[default]
    Kept,
    /// Answered before they are read, as one that exists already.
    Exists,
    /// Said to be shorter than they were.
    Short,
    /// Read slowly: so many milliseconds after each message.
    Slowly(u64),
}

/// How the server behaves.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) capabilities: ServerCapabilities,
    /// Without them their calls are unimplemented.
    pub(crate) batches: bool,
    pub(crate) lie: Lie,
    pub(crate) writes: Writes,
    /// What every call but that for the capabilities is answered.
    pub(crate) refusal: Option<Status>,
    /// What the next calls for the capabilities are answered.
    pub(crate) not_ready: Vec<Status>,
    /// What is said of each blob in a batch.
    pub(crate) blob_status: Option<google::rpc::Status>,
    /// What an entry is, whatever was stored.
    pub(crate) entry: Option<ActionResult>,
    /// Errors repeat the caller's credentials.
    pub(crate) indiscreet: bool,
    /// Every call takes that long.
    pub(crate) delay: Duration,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        let version = |minor| Some(SemVer { major: 2, minor, ..Default::default() });
        Behaviour {
            capabilities: ServerCapabilities {
                cache_capabilities: Some(CacheCapabilities {
                    digest_functions: vec![digest_function::Value::Sha256 as i32],
                    action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities {
                        update_enabled: true,
                    }),
                    ..Default::default()
                }),
                low_api_version: version(0),
                high_api_version: version(3),
                ..Default::default()
            },
            batches: true,
            lie: Lie::None,
            writes: Writes::Kept,
            refusal: None,
            not_ready: Vec::new(),
            blob_status: None,
            entry: None,
            indiscreet: false,
            delay: Duration::ZERO,
        }
    }
}

impl Behaviour {
    pub(crate) fn cache(&mut self) -> &mut CacheCapabilities {
        self.capabilities.cache_capabilities.as_mut().expect("a cache")
    }
}

/// A call as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The method's name, and the resource of a byte stream.
    pub(crate) name: String,
    /// The bytes of blobs in it.
    pub(crate) bytes: usize,
    pub(crate) instance: String,
    pub(crate) metadata: MetadataMap,
}

#[derive(Default)]
struct State {
    behaviour: Mutex<Behaviour>,
    calls: Mutex<Vec<Call>>,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    entries: Mutex<HashMap<String, ActionResult>>,
    /// Calls under way, and the most there were.
    busy: Mutex<(usize, usize)>,
}

/// The server, which ends with the runtime.
pub(crate) struct Odd {
    address: SocketAddr,
    state: Arc<State>,
}

/// Counts a call as under way.
struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().0 -= 1;
    }
}

impl Odd {
    /// To be called within the runtime.
    pub(crate) fn start(behaviour: Behaviour) -> Odd {
        Odd::start_with(behaviour, Server::builder())
    }

    /// The same, by a server with other settings.
    pub(crate) fn start_with(behaviour: Behaviour, mut server: Server) -> Odd {
        let state = Arc::new(State { behaviour: Mutex::new(behaviour), ..Default::default() });
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).expect("a free port");
        let address = incoming.local_addr().expect("its address");
        let service = Service(Arc::clone(&state));
        let server = server
            .add_service(capabilities_server::CapabilitiesServer::new(service.clone()))
            .add_service(action_cache_server::ActionCacheServer::new(service.clone()))
            .add_service(content_addressable_storage_server::ContentAddressableStorageServer::new(
                service.clone(),
            ))
            .add_service(byte_stream_server::ByteStreamServer::new(service))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        Odd { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("grpc://{}/an/instance", self.address)
    }

    /// Changes how it behaves from now on.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.behaviour.lock().unwrap());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// How often this method was called.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.calls().iter().filter(|call| call.name.starts_with(name)).count()
    }

    /// Stores a blob by hand.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        self.state.blobs.lock().unwrap().insert(sha256(bytes), bytes.to_vec());
    }

    pub(crate) fn blob(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.state.blobs.lock().unwrap().get(&sha256(bytes)).cloned()
    }

    /// The most calls that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.busy.lock().unwrap().1
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone)]
struct Service(Arc<State>);

impl Service {
    fn behaviour(&self) -> Behaviour {
        self.0.behaviour.lock().unwrap().clone()
    }

    /// Notes a call, takes its time, and says what it is refused with.
    async fn call(
        &self,
        name: &str,
        bytes: usize,
        instance: &str,
        metadata: &MetadataMap,
    ) -> Result<Busy, Status> {
        self.0.calls.lock().unwrap().push(Call {
            name: name.to_owned(),
            bytes,
            instance: instance.to_owned(),
            metadata: metadata.clone(),
        });
        let busy = {
            let mut busy = self.0.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
            Busy(Arc::clone(&self.0))
        };
        let behaviour = self.behaviour();
        tokio::time::sleep(behaviour.delay).await;
        if behaviour.indiscreet {
            let credentials = metadata.get("authorization").map(|value| value.to_str().unwrap());
            return Err(Status::unauthenticated(format!("who is {credentials:?}?")));
        }
        behaviour.refusal.map_or(Ok(busy), Err)
    }

    fn note(&self, name: &str) {
        self.0.calls.lock().unwrap().push(Call {
            name: name.to_owned(),
            bytes: 0,
            instance: String::new(),
            metadata: MetadataMap::new(),
        });
    }

    /// The blob, or something else if the server lies.
    fn read(&self, hash: &str) -> Option<Vec<u8>> {
        let mut bytes = self.0.blobs.lock().unwrap().get(hash).cloned()?;
        match self.behaviour().lie {
            Lie::Longer => bytes.push(0),
            Lie::Shorter => drop(bytes.pop()),
            Lie::Other => bytes[0] ^= 1,
            Lie::Huge => bytes = vec![0; 8 << 20],
            _ => {}
        }
        Some(bytes)
    }
}

#[tonic::async_trait]
impl capabilities_server::Capabilities for Service {
    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<ServerCapabilities>, Status> {
        let instance = &request.get_ref().instance_name;
        let refused = self.call("GetCapabilities", 0, instance, request.metadata()).await;
        let not_ready = self.0.behaviour.lock().unwrap().not_ready.pop();
        if let Some(status) = not_ready {
            return Err(status);
        }
        if self.behaviour().indiscreet {
            refused?;
        }
        Ok(Response::new(self.behaviour().capabilities))
    }
}

#[tonic::async_trait]
impl action_cache_server::ActionCache for Service {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let get = request.get_ref();
        let _busy = self.call("GetActionResult", 0, &get.instance_name, request.metadata()).await?;
        if let Some(entry) = self.behaviour().entry {
            return Ok(Response::new(entry));
        }
        let key = get.action_digest.clone().unwrap().hash;
        let entry = self.0.entries.lock().unwrap().get(&key).cloned();
        entry.map(Response::new).ok_or_else(|| Status::not_found("no such action"))
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let update = request.get_ref();
        let _busy =
            self.call("UpdateActionResult", 0, &update.instance_name, request.metadata()).await?;
        let update = request.into_inner();
        let result = update.action_result.unwrap();
        self.0.entries.lock().unwrap().insert(update.action_digest.unwrap().hash, result.clone());
        Ok(Response::new(result))
    }
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl content_addressable_storage_server::ContentAddressableStorage for Service {
    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let find = request.get_ref();
        let size = find.encoded_len();
        let _busy =
            self.call("FindMissingBlobs", size, &find.instance_name, request.metadata()).await?;
        let mut missing = request.into_inner().blob_digests;
        let blobs = self.0.blobs.lock().unwrap();
        missing.retain(|digest| !blobs.contains_key(&digest.hash));
        if self.behaviour().lie == Lie::Misnamed {
            missing.push(api::Digest { hash: "f".repeat(64), size_bytes: 1 });
            missing.push(api::Digest { hash: "../x".to_owned(), size_bytes: -1 });
        }
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests: missing }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        let update = request.get_ref();
        let bytes = update.requests.iter().map(|request| request.data.len()).sum();
        let _busy =
            self.call("BatchUpdateBlobs", bytes, &update.instance_name, request.metadata()).await?;
        let behaviour = self.behaviour();
        if !behaviour.batches {
            return Err(Status::unimplemented("no batches"));
        }
        let mut responses = Vec::new();
        for one in request.into_inner().requests {
            let digest = one.digest.unwrap();
            let mut data = one.data;
            if one.compressor == compressor::Value::Zstd as i32 {
                self.note("zstd in an upload");
                data = zstd::bulk::decompress(&data, digest.size_bytes as usize).unwrap();
            }
            assert_eq!(digest.hash, sha256(&data));
            assert_eq!(digest.size_bytes, data.len() as i64);
            if behaviour.blob_status.is_none() {
                self.0.blobs.lock().unwrap().insert(digest.hash.clone(), data);
            }
            responses.push(batch_update_blobs_response::Response {
                digest: Some(digest),
                status: behaviour.blob_status.clone(),
            });
        }
        if behaviour.lie == Lie::Silent {
            responses.pop();
        }
        Ok(Response::new(BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let read = request.get_ref();
        let bytes = read.digests.iter().map(|digest| digest.size_bytes as usize).sum();
        let _busy =
            self.call("BatchReadBlobs", bytes, &read.instance_name, request.metadata()).await?;
        let behaviour = self.behaviour();
        if !behaviour.batches {
            return Err(Status::unimplemented("no batches"));
        }
        let zstd = compressor::Value::Zstd as i32;
        let compressed = read.acceptable_compressors.contains(&zstd);
        let answer = |mut digest: api::Digest| {
            let mut data = self.read(&digest.hash);
            if compressed {
                self.note("zstd in a download");
                data = data.map(|data| zstd::bulk::compress(&data, 1).unwrap());
            }
            let code = if data.is_some() { tonic::Code::Ok } else { tonic::Code::NotFound };
            let status = google::rpc::Status { code: code as i32, ..Default::default() };
            if behaviour.lie == Lie::Misnamed {
                digest.hash = "f".repeat(64);
            }
            batch_read_blobs_response::Response {
                digest: Some(digest),
                data: data.unwrap_or_default(),
                status: Some(behaviour.blob_status.clone().unwrap_or(status)),
                compressor: if compressed { zstd } else { 0 },
            }
        };
        // Not in the order of the question.
        let digests = request.into_inner().digests.into_iter().rev();
        let mut responses: Vec<_> = digests.map(answer).collect();
        match behaviour.lie {
            Lie::Silent => drop(responses.pop()),
            Lie::Twice => {
                let again = responses.clone().into_iter().map(|mut response| {
                    response.data.truncate(10);
                    response
                });
                responses.extend(again.collect::<Vec<_>>());
            }
            _ => {}
        }
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = Messages<GetTreeResponse>;

    async fn get_tree(
        &self,
        _: Request<GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn split_blob(
        &self,
        _: Request<SplitBlobRequest>,
    ) -> Result<Response<SplitBlobResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type GetChunkMappingStream = Messages<GetChunkMappingResponse>;

    async fn get_chunk_mapping(
        &self,
        _: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn splice_blob(
        &self,
        _: Request<SpliceBlobRequest>,
    ) -> Result<Response<SpliceBlobResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// The instance, the kind of resource, the hash and the size in the name of a resource.
fn resource(name: &str) -> (String, String, String, i64) {
    let (instance, rest) = name.split_once("/instance/").expect("the instance is named");
    let parts: Vec<&str> = rest.split('/').collect();
    let (kind, digest) = parts.split_at(parts.len() - 2);
    let kind = match kind {
        ["uploads", uuid, kind @ ..] if uuid.len() == 36 => kind.join("/"),
        kind => kind.join("/"),
    };
    (format!("{instance}/instance"), kind, digest[0].to_owned(), digest[1].parse().unwrap())
}

#[tonic::async_trait]
impl byte_stream_server::ByteStream for Service {
    type ReadStream = Messages<ReadResponse>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let read = request.get_ref();
        let (instance, kind, hash, size) = resource(&read.resource_name);
        let name = format!("Read {kind}");
        let busy = self.call(&name, size as usize, &instance, request.metadata()).await?;
        assert_eq!((read.read_offset, read.read_limit), (0, 0));
        let lie = self.behaviour().lie;
        let Some(mut bytes) = self.read(&hash) else {
            return Err(Status::not_found("no such blob"));
        };
        match kind.as_str() {
            "blobs" => {}
            "compressed-blobs/zstd" => bytes = zstd::bulk::compress(&bytes, 1).unwrap(),
            _ => return Err(Status::invalid_argument(kind)),
        }
        let chunks: Vec<Vec<u8>> = match lie {
            Lie::Empty => vec![Vec::new()],
            _ => bytes.chunks(100_000).map(<[u8]>::to_vec).collect(),
        };
        let chunks = stream::iter(chunks);
        let chunks = match lie {
            Lie::Empty | Lie::Endless => chunks.cycle().boxed(),
            _ => chunks.boxed(),
        };
        let responses = chunks.map(move |data| {
            let _ = &busy;
            Ok(ReadResponse { data })
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let metadata = request.metadata().clone();
        let mut messages = request.into_inner();
        let first = messages.message().await?.expect("a first message");
        let (instance, kind, hash, size) = resource(&first.resource_name);
        let _busy =
            self.call(&format!("Write {kind}"), size as usize, &instance, &metadata).await?;
        let compressed = match kind.as_str() {
            "blobs" => false,
            "compressed-blobs/zstd" => true,
            _ => return Err(Status::invalid_argument(kind)),
        };
        let writes = self.behaviour().writes;
        if writes == Writes::Exists {
            let committed_size = if compressed { -1 } else { size };
            return Ok(Response::new(WriteResponse { committed_size }));
        }
        let mut bytes = Vec::new();
        let mut message = first;
        loop {
            assert_eq!(message.write_offset, bytes.len() as i64);
            bytes.extend_from_slice(&message.data);
            if message.finish_write {
                break;
            }
            if let Writes::Slowly(pause) = writes {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let Some(next) = messages.message().await? else {
                return Err(Status::invalid_argument("the upload was not finished"));
            };
            message = next;
        }
        let mut committed_size = bytes.len() as i64;
        if compressed {
            bytes = zstd::bulk::decompress(&bytes, size as usize)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
        }
        if sha256(&bytes) != hash || bytes.len() as i64 != size {
            return Err(Status::invalid_argument("not what the digest says"));
        }
        if writes == Writes::Short {
            committed_size -= 1;
        } else {
            self.0.blobs.lock().unwrap().insert(hash, bytes);
        }
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
