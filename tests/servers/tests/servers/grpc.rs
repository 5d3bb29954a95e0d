//! The servers of the remote execution API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airtight_test_servers::{BuildGrid, Casd, Nginx, nginx};
use bazel_remote_apis::build::bazel::remote::execution::v2::action_cache_client::ActionCacheClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::batch_update_blobs_request::Request;
use bazel_remote_apis::build::bazel::remote::execution::v2::content_addressable_storage_client::ContentAddressableStorageClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::execution_client::ExecutionClient;
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    Action, ActionResult, BatchReadBlobsRequest, BatchUpdateBlobsRequest, Command, Digest,
    Directory, ExecuteRequest, ExecuteResponse, FileNode, GetActionResultRequest,
    UpdateActionResultRequest,
};
use bazel_remote_apis::google::longrunning::operation;
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::support::{assert_gone, files, sha256};

fn digest(bytes: &[u8]) -> Digest {
    Digest { hash: sha256(bytes), size_bytes: bytes.len() as i64 }
}

async fn write(channel: Channel, instance: &str, blob: &[u8]) -> Result<(), Status> {
    let request = Request { digest: Some(digest(blob)), data: blob.to_vec(), ..Request::default() };
    let requests = BatchUpdateBlobsRequest {
        instance_name: instance.to_owned(),
        requests: vec![request],
        ..BatchUpdateBlobsRequest::default()
    };
    let mut cas = ContentAddressableStorageClient::new(channel);
    let answer = cas.batch_update_blobs(requests).await?.into_inner();
    let status = answer.responses[0].status.clone().unwrap_or_default();
    assert_eq!(status.code, 0, "{status:?}");
    Ok(())
}

async fn read(channel: Channel, instance: &str, blob: &[u8]) -> Result<Vec<u8>, Status> {
    let request = BatchReadBlobsRequest {
        instance_name: instance.to_owned(),
        digests: vec![digest(blob)],
        ..BatchReadBlobsRequest::default()
    };
    let mut cas = ContentAddressableStorageClient::new(channel);
    let mut answer = cas.batch_read_blobs(request).await?.into_inner();
    Ok(answer.responses.remove(0).data)
}

/// Stores a blob and an action result and gets both back.
async fn round_trip(channel: Channel, instance: &str, blob: &[u8]) -> Result<(), Status> {
    write(channel.clone(), instance, blob).await?;
    assert_eq!(read(channel.clone(), instance, blob).await?, blob);

    let mut actions = ActionCacheClient::new(channel);
    let action = digest(format!("an action of {instance}").as_bytes());
    let result = ActionResult { stdout_raw: b"said".to_vec(), ..ActionResult::default() };
    let get = GetActionResultRequest {
        instance_name: instance.to_owned(),
        action_digest: Some(action.clone()),
        ..GetActionResultRequest::default()
    };
    let missing = actions.get_action_result(get.clone()).await.expect_err("nothing is there yet");
    assert_eq!(missing.code(), tonic::Code::NotFound);
    actions
        .update_action_result(UpdateActionResultRequest {
            instance_name: instance.to_owned(),
            action_digest: Some(action),
            action_result: Some(result.clone()),
            ..UpdateActionResultRequest::default()
        })
        .await?;
    let answer = actions.get_action_result(get).await?.into_inner();
    assert_eq!(answer.stdout_raw, result.stdout_raw);
    Ok(())
}

/// Whether the server there stores a blob and an action result.
pub(crate) fn stores(address: SocketAddr, instance: &str, blob: &[u8]) -> Result<(), Status> {
    stores_within(Duration::from_secs(60), address, instance, blob)
}

/// The same with a limit on each request.
pub(crate) fn stores_within(
    limit: Duration,
    address: SocketAddr,
    instance: &str,
    blob: &[u8],
) -> Result<(), Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    stores_through(endpoint.timeout(limit), instance, blob).expect("the server accepts")
}

/// What the server there has under the digest of that blob.
pub(crate) fn reads(address: SocketAddr, blob: &[u8]) -> Vec<u8> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    runtime().block_on(async {
        let channel = endpoint.connect().await.expect("the server accepts");
        read(channel, "", blob).await.expect("the server answers")
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The same through a client made for it. The outer error is the connection's.
fn stores_through(
    endpoint: Endpoint,
    instance: &str,
    blob: &[u8],
) -> Result<Result<(), Status>, tonic::transport::Error> {
    runtime().block_on(async {
        let channel = endpoint.connect().await?;
        Ok(round_trip(channel, instance, blob).await)
    })
}

fn object(storage: &Path, blob: &[u8]) -> Vec<u8> {
    let hash = sha256(blob);
    let path = storage.join("cas/objects").join(&hash[..2]).join(&hash[2..]);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; there are {:?}", path.display(), files(storage))
    })
}

#[test]
fn casd_stores_and_is_gone_when_dropped() {
    let casd = Casd::start();
    stores(casd.address(), "", b"blob").expect("casd stores");
    assert_eq!(object(casd.storage(), b"blob"), b"blob");
    assert_eq!(files(&casd.storage().join("actioncache/objects")).len(), 1);
    let (address, storage) = (casd.address(), casd.storage().to_owned());
    assert_eq!(casd.url(), format!("grpc://{address}"));
    drop(casd);
    assert_gone(address);
    assert!(!storage.exists());
}

#[test]
fn casd_executes_and_shows_the_declared_inputs_only() {
    let casd = Casd::executing();
    let command = Command {
        arguments: ["sh", "-c", "test ! -e /etc/hosts && cat declared >out"]
            .map(str::to_owned)
            .to_vec(),
        output_paths: vec!["out".to_owned()],
        ..Command::default()
    }
    .encode_to_vec();
    let file = FileNode {
        name: "declared".to_owned(),
        digest: Some(digest(b"input")),
        ..FileNode::default()
    };
    let root = Directory { files: vec![file], ..Directory::default() }.encode_to_vec();
    let action = Action {
        command_digest: Some(digest(&command)),
        input_root_digest: Some(digest(&root)),
        ..Action::default()
    }
    .encode_to_vec();
    let endpoint = Endpoint::from_shared(format!("http://{}", casd.address()));
    let response = runtime().block_on(async {
        let channel = endpoint.expect("an address").connect().await.expect("casd accepts");
        for blob in [&b"input"[..], &command, &root, &action] {
            write(channel.clone(), "", blob).await.expect("casd stores");
        }
        let request =
            ExecuteRequest { action_digest: Some(digest(&action)), ..ExecuteRequest::default() };
        let answer = ExecutionClient::new(channel).execute(request).await;
        let mut operations = answer.expect("casd executes").into_inner();
        loop {
            let operation = operations.message().await.expect("casd goes on");
            match operation.expect("casd ends with a result").result {
                Some(operation::Result::Response(any)) => {
                    break ExecuteResponse::decode(&any.value[..]).expect("a response");
                }
                Some(operation::Result::Error(status)) => panic!("{status:?}"),
                None => {}
            }
        }
    });
    assert_eq!(response.status.clone().unwrap_or_default().code, 0, "{response:?}");
    let result = response.result.expect("a result");
    assert_eq!(result.exit_code, 0, "{result:?}");
    assert_eq!(result.output_files[0].digest, Some(digest(b"input")), "{result:?}");
}

#[test]
fn buildgrid_stores_under_both_instances_and_is_gone_when_dropped() {
    let buildgrid = BuildGrid::start();
    stores(buildgrid.address(), "", b"blob").expect("BuildGrid stores");
    stores(buildgrid.address(), BuildGrid::INSTANCE, b"other").expect("BuildGrid stores");
    let stranger = stores(buildgrid.address(), "stranger", b"blob").expect_err("no such instance");
    assert_eq!(stranger.code(), tonic::Code::InvalidArgument);
    assert_eq!(object(buildgrid.storage(), b"blob"), b"blob");
    assert_eq!(object(buildgrid.storage(), b"other"), b"other");
    let address = buildgrid.address();
    drop(buildgrid);
    assert_gone(address);
}

#[test]
fn nginx_passes_grpc_on() {
    let casd = Casd::start();
    let backend = nginx::Backend::Grpc(casd.address());
    let nginx = Nginx::start(nginx::Options { backend, ..nginx::Options::default() });
    stores(nginx.address(), "", b"blob").expect("casd stores behind nginx");
    assert_eq!(object(casd.storage(), b"blob"), b"blob");
    assert_eq!(nginx.url(), format!("grpc://{}", nginx.address()));
}

#[test]
fn nginx_answers_grpc_with_a_status_or_refuses_strangers() {
    let casd = Casd::start();
    let backend = nginx::Backend::Grpc(casd.address());
    let down = nginx::Options { backend, status: Some(503), ..nginx::Options::default() };
    let nginx = Nginx::start(down.clone());
    // The page that nginx sends with it is no gRPC message, and that is what tonic says first.
    let status = stores(nginx.address(), "", b"blob").expect_err("it answers 503");
    assert_eq!(status.code(), tonic::Code::Internal);
    assert!(status.message().contains("503 Service Unavailable"), "{status}");
    let auth = nginx::Auth::Bearer("token".to_owned());
    let nginx = Nginx::start(nginx::Options { auth, status: None, ..down });
    let status = stores(nginx.address(), "", b"blob").expect_err("no token was sent");
    assert!(status.message().contains("401 Unauthorized"), "{status}");
    assert_eq!(files(&casd.storage().join("actioncache/objects")), Vec::<PathBuf>::new());
}

#[test]
fn nginx_answers_some_calls_with_a_status_of_grpc() {
    let casd = Casd::start();
    let backend = nginx::Backend::Grpc(casd.address());
    let update = "/build.bazel.remote.execution.v2.ActionCache/Update".to_owned();
    let grpc_status = vec![(update, tonic::Code::PermissionDenied as u16)];
    let nginx = Nginx::start(nginx::Options { backend, grpc_status, ..nginx::Options::default() });
    let status = stores(nginx.address(), "", b"blob").expect_err("it denies the update");
    assert_eq!((status.code(), status.message()), (tonic::Code::PermissionDenied, "refused"));
    assert_eq!(object(casd.storage(), b"blob"), b"blob");
}

#[test]
fn nginx_passes_grpc_on_through_tls() {
    let casd = Casd::start();
    let backend = nginx::Backend::Grpc(casd.address());
    let options = nginx::Options { backend, tls: nginx::Tls::Mutual, ..nginx::Options::default() };
    let nginx = Nginx::start(options);
    assert_eq!(nginx.url(), format!("grpcs://{}", nginx.address()));
    let certificates = nginx.certificates();
    let read = |path: PathBuf| std::fs::read(path).expect("a certificate");
    let endpoint = |authority: PathBuf, identity: Option<(PathBuf, PathBuf)>| {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(authority)));
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(read(certificate), read(key)));
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", nginx.address()));
        endpoint.expect("an address").tls_config(tls).expect("certificates")
    };
    let client = Some(certificates.client());
    let good = endpoint(certificates.authority(), client.clone());
    stores_through(good, "", b"blob").expect("they trust each other").expect("casd stores");
    assert_eq!(object(casd.storage(), b"blob"), b"blob");
    let wary = endpoint(certificates.other_authority(), client);
    stores_through(wary, "", b"x").expect_err("the client doesn't trust the server");
    for identity in [None, Some(certificates.stranger())] {
        let stranger = endpoint(certificates.authority(), identity);
        let answer = stores_through(stranger, "", b"x").expect("the server trusts nobody else");
        let message = answer.expect_err("the server trusts nobody else").to_string();
        assert!(message.contains("400 Bad Request"), "{message}");
    }
}
