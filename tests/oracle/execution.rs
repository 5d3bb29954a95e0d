//! The oracle: buildbox-casd, which executes an action in a sandbox that holds nothing but the
//! toolchain and the inputs that it is given.

use crate::case::Case;
use crate::facts::words;
use crate::tree::{Node, Tree, digest_of, to_text, unpack};
use airtight_recording::Digest;
use airtight_test_servers::Casd;
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::longrunning::operation;
use prost::Message;
use reapi::batch_update_blobs_request::Request;
use reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use reapi::execution_client::ExecutionClient;
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

/// All that can be seen of an action: what it says and makes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) exit: i32,
    /// Digests, as text.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// By name relative to the workspace.
    pub(crate) outputs: BTreeMap<String, Node>,
}

/// A server that executes. The tests share it.
pub(crate) struct Oracle {
    casd: Casd,
    runtime: Runtime,
    channel: Channel,
}

impl Oracle {
    /// The server of the tests that run now. It ends with the last of them: a static would never
    /// be dropped, and the server would outlive the tests.
    pub(crate) fn shared() -> Arc<Oracle> {
        static SHARED: Mutex<Weak<Oracle>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let oracle = Arc::new(Oracle::start());
            *shared = Arc::downgrade(&oracle);
            oracle
        })
    }

    fn start() -> Oracle {
        let casd = Casd::executing();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("http://{}", casd.address()));
        let channel = runtime.block_on(endpoint.expect("an address").connect());
        Oracle { casd, runtime, channel: channel.expect("casd accepts") }
    }

    /// Executes the action of a case with these inputs and no others. The workspace is at `place`
    /// of the sandbox's root.
    pub(crate) fn execute(&self, case: &Case<'_>, inputs: Tree, place: &str) -> Outcome {
        let below = format!("{place}/{}", case.cwd);
        let below = below.trim_end_matches('/');
        // Relative to the directory of the action.
        let up = "../".repeat(case.cwd.split('/').filter(|part| !part.is_empty()).count());
        let mut output_paths: Vec<String> = case
            .products()
            .into_iter()
            .map(|output| {
                let output = output.trim_end_matches('/');
                let inside = output.strip_prefix(case.cwd).and_then(|o| o.strip_prefix('/'));
                inside.filter(|_| !up.is_empty()).map_or(format!("{up}{output}"), str::to_owned)
            })
            .collect();
        output_paths.sort();
        let variable = |(name, value): (&str, &str)| reapi::command::EnvironmentVariable {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let command = reapi::Command {
            arguments: words(case.run),
            environment_variables: case.variables().into_iter().map(variable).collect(),
            output_paths,
            working_directory: below.to_owned(),
            ..reapi::Command::default()
        };
        let (root, mut blobs) = inputs.input_root(place, case.cwd);
        let command = command.encode_to_vec();
        let action = reapi::Action {
            command_digest: Some(digest_of(&command)),
            input_root_digest: Some(root),
            do_not_cache: true,
            ..reapi::Action::default()
        };
        let action = action.encode_to_vec();
        let digest = digest_of(&action);
        blobs.extend([command, action]);
        let result = self.runtime.block_on(self.finish(blobs, digest));
        self.outcome(&result, case.cwd)
    }

    async fn finish(&self, blobs: Vec<Vec<u8>>, action: reapi::Digest) -> reapi::ActionResult {
        let request =
            |data: Vec<u8>| Request { digest: Some(digest_of(&data)), data, ..Request::default() };
        let request = reapi::BatchUpdateBlobsRequest {
            requests: blobs.into_iter().map(request).collect(),
            ..reapi::BatchUpdateBlobsRequest::default()
        };
        let mut store = ContentAddressableStorageClient::new(self.channel.clone());
        let answer = store.batch_update_blobs(request).await.expect("casd stores").into_inner();
        for response in answer.responses {
            assert_eq!(response.status.unwrap_or_default().code, 0, "casd stores");
        }
        let request = reapi::ExecuteRequest {
            action_digest: Some(action),
            skip_cache_lookup: true,
            ..reapi::ExecuteRequest::default()
        };
        let mut service = ExecutionClient::new(self.channel.clone());
        let answer = service.execute(request).await.expect("casd executes");
        let mut operations = answer.into_inner();
        loop {
            let operation = operations.message().await.expect("casd goes on");
            match operation.expect("casd ends with a result").result {
                Some(operation::Result::Response(any)) => {
                    let response = reapi::ExecuteResponse::decode(&any.value[..]);
                    let response = response.expect("a response");
                    let status = response.status.unwrap_or_default();
                    assert_eq!(status.code, 0, "{status:?}: {}", self.casd.log());
                    break response.result.expect("a result");
                }
                Some(operation::Result::Error(status)) => panic!("{status:?}"),
                None => {}
            }
        }
    }

    fn outcome(&self, result: &reapi::ActionResult, cwd: &str) -> Outcome {
        let mut outputs = BTreeMap::new();
        for file in &result.output_files {
            let digest = to_text(file.digest.as_ref().expect("a digest"));
            let node = Node::File { digest, executable: file.is_executable };
            outputs.insert(normal(cwd, &file.path), node);
        }
        for link in &result.output_symlinks {
            outputs.insert(normal(cwd, &link.path), Node::Link(link.target.clone()));
        }
        for directory in &result.output_directories {
            let tree = self.blob(directory.tree_digest.as_ref().expect("a digest"));
            let tree = reapi::Tree::decode(&tree[..]).expect("a tree");
            unpack(&normal(cwd, &directory.path), &tree, &mut outputs);
        }
        let stream = |raw: &[u8], digest: Option<&reapi::Digest>| match digest {
            Some(digest) => to_text(digest),
            None => Digest::of(raw).to_string(),
        };
        Outcome {
            exit: result.exit_code,
            stdout: stream(&result.stdout_raw, result.stdout_digest.as_ref()),
            stderr: stream(&result.stderr_raw, result.stderr_digest.as_ref()),
            outputs,
        }
    }

    /// A blob that the server holds.
    fn blob(&self, digest: &reapi::Digest) -> Vec<u8> {
        let (first, rest) = digest.hash.split_at(2);
        let path = self.casd.storage().join("cas/objects").join(first).join(rest);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// A name relative to the directory of the action, as one relative to the workspace.
fn normal(cwd: &str, name: &str) -> String {
    let mut parts: Vec<&str> = cwd.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
