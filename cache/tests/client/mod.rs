//! A remote as tests ask it: without a runtime around them, because the doubles of servers have
//! their own.

use airtight_cache::local::LocalStore;
use airtight_cache::remote::{Remote, RemoteError, RemoteOptions, open};
use airtight_cache::{Blob, Digest};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bytes::Bytes;
use prost::Message as _;
use std::io::Read as _;
use tokio::runtime::{Builder, Runtime};

/// A remote and the runtime that it lives in.
#[derive(Debug)]
pub(crate) struct Client {
    remote: Box<dyn Remote>,
    runtime: Runtime,
}

impl Client {
    pub(crate) fn new(options: &RemoteOptions) -> Client {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let remote = {
            let _inside = runtime.enter();
            open(options).expect("the options are right")
        };
        Client { remote, runtime }
    }

    pub(crate) fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        self.runtime.block_on(self.remote.get_entry(key))
    }

    pub(crate) fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        self.runtime.block_on(self.remote.put_entry(key, value))
    }

    /// What it gives for a digest, checked as those do who restore it.
    pub(crate) fn get_blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, RemoteError> {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).expect("a store");
        let mut incoming = store.incoming(digest).expect("a place");
        let there = self.runtime.block_on(self.remote.get_blob(&mut incoming));
        assert!(incoming.received() <= digest.size());
        if !there? {
            return Ok(None);
        }
        incoming.commit().map_err(|error| RemoteError::Wrong(error.to_string()))?;
        let mut bytes = Vec::new();
        let file = store.open_blob(&digest).expect("the store works").expect("it is there");
        (&file).read_to_end(&mut bytes).expect("it can be read");
        Ok(Some(bytes))
    }

    pub(crate) fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        self.runtime.block_on(self.remote.missing(digests))
    }

    pub(crate) fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        self.runtime.block_on(self.remote.put_blob(blob))
    }

    pub(crate) fn put_blobs(&self, blobs: &[Blob]) -> Result<(), RemoteError> {
        self.runtime.block_on(self.remote.put_blobs(blobs))
    }

    /// Everything once: misses, writes, hits, overwriting. For an empty remote.
    pub(crate) fn round_trip(&self) {
        let key = Digest::of(b"an action");
        assert_eq!(self.get_entry(&key), Ok(None));
        for text in [b"first".as_slice(), b"second"] {
            assert_eq!(self.put_entry(&key, entry(text)), Ok(()));
            assert_eq!(self.get_entry(&key), Ok(Some(entry(text))));
        }
        let contents = contents();
        let blobs: Vec<Blob> = contents.iter().map(|bytes| Blob::of(bytes.clone())).collect();
        let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
        assert_eq!(self.get_blob(digests[1]), Ok(None));
        assert_eq!(self.missing(&digests), Ok(digests[1..].to_vec()));
        assert_eq!(self.put_blob(&blobs[1]), Ok(()));
        assert_eq!(self.missing(&digests), Ok([&digests[2..]].concat()));
        assert_eq!(self.put_blobs(&blobs), Ok(()));
        assert_eq!(self.missing(&digests), Ok(Vec::new()));
        for (digest, content) in digests.into_iter().zip(contents) {
            assert!(self.get_blob(digest) == Ok(Some(content)), "{digest}");
        }
        assert_eq!(self.put_blob(&blobs[3]), Ok(()));
    }
}

/// What the blobs of a round trip hold: nothing, a byte, zeros, text, and what can't be compressed.
pub(crate) fn contents() -> [Vec<u8>; 5] {
    [Vec::new(), vec![7], vec![0; 100_000], b"text ".repeat(100_000), noise(1_000_000)]
}

/// Bytes that can't be compressed.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

/// An action result that bazel-remote gives back as it is.
pub(crate) fn entry(stdout: &[u8]) -> Bytes {
    let metadata =
        reapi::ExecutedActionMetadata { worker: "a test".to_owned(), ..Default::default() };
    let result = reapi::ActionResult {
        stdout_raw: stdout.to_vec(),
        execution_metadata: Some(metadata),
        ..Default::default()
    };
    result.encode_to_vec().into()
}
