//! What the tests of this API share.

use airtight_cache::local::{Incoming, LocalStore};
use airtight_cache::remote::{Remote, RemoteError, RemoteOptions, open};
use airtight_cache::{Blob, Digest};
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::protobuf::Any;
use bytes::Bytes;
use prost::Message as _;
use std::io::Read as _;
use std::time::Duration;
use tempfile::TempDir;

/// A remote with time limits that suit tests.
pub(crate) fn options(url: &str) -> RemoteOptions {
    let mut options = RemoteOptions::new(url);
    // The machine may be busy with other tests.
    options.connect_timeout = Duration::from_secs(20);
    options.idle_timeout = Duration::from_secs(30);
    options
}

pub(crate) fn remote(url: &str) -> Box<dyn Remote> {
    open(&options(url)).expect("a remote")
}

/// Runs a test. Servers are started before, because that blocks.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
}

/// A local store of its own.
pub(crate) struct Store {
    store: LocalStore,
    _directory: TempDir,
}

impl Store {
    pub(crate) fn new() -> Store {
        let directory = tempfile::tempdir().expect("a directory");
        Store { store: LocalStore::open(directory.path()).expect("a store"), _directory: directory }
    }

    pub(crate) fn incoming(&self, digest: Digest) -> Incoming {
        self.store.incoming(digest).expect("a temporary file")
    }

    pub(crate) fn bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.store.open_blob(digest).expect("it can be opened")?;
        file.read_to_end(&mut bytes).expect("it can be read");
        Some(bytes)
    }

    /// Fetches a blob and commits it.
    pub(crate) async fn fetch(
        &self,
        remote: &dyn Remote,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        let mut incoming = self.incoming(digest);
        if !remote.get_blob(&mut incoming).await? {
            return Ok(None);
        }
        incoming.commit().map_err(|error| RemoteError::Wrong(error.to_string()))?;
        Ok(self.bytes(&digest))
    }
}

/// Bytes that look random, and differ by `seed`.
pub(crate) fn bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes
}

pub(crate) fn blob(size: usize, seed: u64) -> Blob {
    Blob::of(bytes(size, seed))
}

/// An entry as we publish it.
pub(crate) fn entry(note: &str) -> Bytes {
    let metadata = Any {
        type_url: "type.example.com/airtight.Verdict".to_owned(),
        value: note.as_bytes().to_vec(),
    };
    let result = api::ActionResult {
        stdout_raw: b"out".to_vec(),
        execution_metadata: Some(api::ExecutedActionMetadata {
            worker: "tests".to_owned(),
            auxiliary_metadata: vec![metadata],
            ..Default::default()
        }),
        ..Default::default()
    };
    result.encode_to_vec().into()
}

/// What went with it as auxiliary metadata.
pub(crate) fn note(entry: &[u8]) -> String {
    let result = api::ActionResult::decode(entry).expect("an action result");
    let metadata = result.execution_metadata.expect("metadata");
    let [any] = &metadata.auxiliary_metadata[..] else { panic!("{metadata:?}") };
    assert_eq!(any.type_url, "type.example.com/airtight.Verdict");
    String::from_utf8(any.value.clone()).expect("text")
}
