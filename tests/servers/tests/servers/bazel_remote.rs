//! The double of bazel-remote against the table of what bazel-remote answers.

use std::fs;
use std::path::Path;

use airtight_test_servers::BazelRemote;
use airtight_test_servers::bazel_remote::{Handled, Options};
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, Directory, ExecutedActionMetadata, FileNode, OutputDirectory, OutputFile,
    Tree,
};
use prost::Message as _;

use crate::support::{assert_gone, curl, files, get, put, sha256};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A file with bytes for curl to send.
fn body(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("its bytes");
    file
}

fn send(url: &str, bytes: &[u8], more: &[&str]) -> u16 {
    let file = body(bytes);
    let data = format!("@{}", file.path().display());
    curl(&[&["--request", "PUT", "--data-binary", &data, url], more].concat()).0
}

fn blob(server: &BazelRemote, bytes: &[u8]) -> Digest {
    let hash = sha256(bytes);
    assert_eq!(send(&format!("{}/cas/{hash}", server.url()), bytes, &[]), 200);
    Digest { hash, size_bytes: bytes.len() as i64 }
}

fn entry(server: &BazelRemote) -> String {
    format!("{}/ac/{KEY}", server.url())
}

#[test]
fn blobs_are_stored_under_their_hash_only() {
    let server = BazelRemote::start(Options::default());
    let hash = sha256(b"blob");
    let url = format!("{}/cas/{hash}", server.url());
    assert_eq!(get(&url).0, 404);
    assert_eq!(curl(&["--head", &url]).0, 404);
    assert_eq!(put(&url, "blub"), 500);
    assert_eq!(get(&url).0, 404);
    assert_eq!(put(&url, "blob"), 200);
    assert_eq!(put(&url, "blob"), 200);
    assert_eq!(get(&url), (200, "blob".to_owned()));
    assert_eq!(curl(&["--head", "--output", "/dev/null", &url]).0, 200);
    // Every instance has the same blobs.
    assert_eq!(get(&format!("{}/some/instance/cas/{hash}", server.url())).1, "blob");
    assert_eq!(fs::read(server.storage().join("cas").join(&hash)).expect("its file"), b"blob");
    assert_eq!(server.requests()[2], handled("PUT", &format!("/cas/{hash}"), 500, false));
    let (address, storage) = (server.address(), server.storage().to_owned());
    drop(server);
    assert_gone(address);
    assert!(!storage.exists());
}

fn handled(method: &str, path: &str, status: u16, zstd: bool) -> Handled {
    Handled { method: method.to_owned(), path: path.to_owned(), status, zstd }
}

#[test]
fn the_empty_blob_is_always_there() {
    let server = BazelRemote::start(Options::default());
    let url = format!("{}/cas/{EMPTY}", server.url());
    assert_eq!(get(&url), (200, String::new()));
    assert_eq!(curl(&["--head", "--output", "/dev/null", &url]).0, 200);
    assert_eq!(put(&url, ""), 200);
}

#[test]
fn what_is_malformed_is_refused() {
    let server = BazelRemote::start(Options { largest: 100, ..Options::default() });
    let root = server.url();
    let upper = KEY.to_uppercase();
    for path in ["cas/0123", &format!("cas/{upper}"), &format!("blobs/{KEY}"), KEY, "", "ac/"] {
        assert_eq!(get(&format!("{root}/{path}")).0, 400, "{path}");
        assert_eq!(put(&format!("{root}/{path}"), "x"), 400, "{path}");
    }
    let dots = format!("{root}/../../x/ac/{KEY}");
    assert_eq!(curl(&["--path-as-is", &dots]).0, 400);
    let hash = sha256(b"blob");
    let url = format!("{root}/cas/{hash}");
    assert_eq!(curl(&["--request", "DELETE", &url]).0, 405);
    assert_eq!(send(&url, b"blob", &["--header", "Transfer-Encoding: chunked"]), 400);
    assert_eq!(send(&url, b"blob", &["--header", "Content-Encoding: gzip"]), 400);
    assert_eq!(send(&format!("{root}/cas/{}", sha256(&[b'x'; 101])), &[b'x'; 101], &[]), 400);
    assert_eq!(files(server.storage()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn zstd_both_ways() {
    let server = BazelRemote::start(Options::default());
    let bytes = vec![b'x'; 100_000];
    let packed = zstd::encode_all(&bytes[..], 3).expect("into memory");
    let url = format!("{}/cas/{}", server.url(), sha256(&bytes));
    let zstd = ["--header", "Content-Encoding: zstd"];
    assert_eq!(send(&url, &packed, &zstd), 400);
    for size in [99_999, 100_001] {
        let size = format!("X-Digest-SizeBytes: {size}");
        assert_eq!(send(&url, &packed, &[&zstd[..], &["--header", &size]].concat()), 500);
    }
    let size = ["--header", "X-Digest-SizeBytes: 100000"];
    assert_eq!(send(&url, &packed[..packed.len() / 2], &[zstd, size].concat()), 500);
    assert_eq!(send(&url, b"not zstd", &[zstd, size].concat()), 500);
    assert_eq!(get(&url).0, 404);
    assert_eq!(send(&url, &packed, &[zstd, size].concat()), 200);
    assert_eq!(curl(&[&url]), (200, bytes.clone()));
    let (status, answer) = curl(&["--header", "Accept-Encoding: zstd", &url]);
    assert_eq!(status, 200);
    assert!(answer.len() < 1000);
    assert_eq!(zstd::decode_all(&answer[..]).expect("zstd"), bytes);
    let zstd = server.requests().into_iter().filter(|request| request.zstd).count();
    assert_eq!(zstd, 7);
}

#[test]
fn an_entry_must_be_an_action_result_and_gets_a_worker() {
    let server = BazelRemote::start(Options::default());
    let url = entry(&server);
    assert_eq!(put(&url, "no action result"), 400);
    assert_eq!(send(&url, b"{}", &["--header", "Content-Type: application/json"]), 400);
    assert_eq!(get(&url).0, 404);
    let result = ActionResult { stdout_raw: b"said".to_vec(), ..ActionResult::default() };
    assert_eq!(send(&url, &result.encode_to_vec(), &[]), 200);
    let (status, stored) = curl(&[&url]);
    assert_eq!(status, 200);
    let stored = ActionResult::decode(&stored[..]).expect("an action result");
    assert_eq!(stored.stdout_raw, b"said");
    assert_eq!(stored.execution_metadata.expect("metadata").worker, "127.0.0.1");
    // One that has a worker comes back byte by byte, and instances don't share it.
    let metadata = ExecutedActionMetadata { worker: "me".to_owned(), ..Default::default() };
    let result = ActionResult { execution_metadata: Some(metadata), ..result }.encode_to_vec();
    let other = format!("{}/other/ac/{KEY}", server.url());
    assert_eq!(send(&other, &result, &[]), 200);
    assert_eq!(curl(&[&other]), (200, result.clone()));
    assert_ne!(curl(&[&url]).1, result);
    let file = Path::new("ac/other").join(KEY);
    assert_eq!(fs::read(server.storage().join(file)).expect("its file"), result);
}

#[test]
fn an_entry_is_found_only_with_all_its_outputs() {
    let server = BazelRemote::start(Options::default());
    let in_tree = FileNode { digest: Some(blob(&server, b"in a directory")), ..Default::default() };
    let directory = Directory { files: vec![in_tree], ..Default::default() };
    let tree = Tree { root: Some(Directory::default()), children: vec![directory] };
    let tree = blob(&server, &tree.encode_to_vec());
    let file = OutputFile { digest: Some(blob(&server, b"output")), ..Default::default() };
    let empty = Digest { hash: EMPTY.to_owned(), size_bytes: 0 };
    let result = ActionResult {
        output_files: vec![file, OutputFile { digest: Some(empty), ..Default::default() }],
        output_directories: vec![OutputDirectory { tree_digest: Some(tree), ..Default::default() }],
        stdout_digest: Some(blob(&server, b"stdout")),
        stderr_digest: Some(blob(&server, b"stderr")),
        ..ActionResult::default()
    };
    let url = entry(&server);
    assert_eq!(send(&url, &result.encode_to_vec(), &[]), 200);
    assert_eq!(curl(&[&url]).0, 200);
    let blobs = files(&server.storage().join("cas"));
    assert_eq!(blobs.len(), 5);
    for path in blobs {
        let bytes = fs::read(&path).expect("a blob");
        fs::remove_file(&path).expect("a blob");
        assert_eq!(curl(&[&url]).0, 404, "without {}", path.display());
        assert_eq!(curl(&["--head", &url]).0, 404, "without {}", path.display());
        fs::write(&path, bytes).expect("a blob");
    }
    assert_eq!(curl(&[&url]).0, 200);
    // PUT doesn't look.
    let gone = Digest { hash: KEY.to_owned(), size_bytes: 1 };
    let result = ActionResult { stdout_digest: Some(gone), ..ActionResult::default() };
    assert_eq!(send(&url, &result.encode_to_vec(), &[]), 200);
    assert_eq!(curl(&[&url]).0, 404);
}

#[test]
fn without_validation_an_entry_is_any_bytes() {
    let server = BazelRemote::start(Options { validate: false, ..Options::default() });
    let url = entry(&server);
    assert_eq!(put(&url, "no action result"), 200);
    assert_eq!(get(&url), (200, "no action result".to_owned()));
}

#[test]
fn strangers_are_refused_and_may_read_where_that_is_open() {
    let user = Some(("me".to_owned(), "s3cret".to_owned()));
    let server = BazelRemote::start(Options { user: user.clone(), ..Options::default() });
    let path = format!("cas/{}", sha256(b"x"));
    let url = format!("{}/{path}", server.url());
    assert_eq!((get(&url).0, put(&url, "x")), (401, 401));
    assert_eq!(send(&url, b"x", &["--user", "me:wrong"]), 401);
    assert_eq!(send(&url, b"x", &["--user", "me:s3cret"]), 200);
    assert_eq!(curl(&["--user", "me:s3cret", &url]).0, 200);
    let server = BazelRemote::start(Options { user, open_reads: true, ..Options::default() });
    let url = format!("{}/{path}", server.url());
    assert_eq!((get(&url).0, put(&url, "x")), (404, 401));
}

#[test]
fn a_full_server_says_so() {
    let server = BazelRemote::start(Options { capacity: 5, ..Options::default() });
    let url = |text: &str| format!("{}/cas/{}", server.url(), sha256(text.as_bytes()));
    assert_eq!(put(&url("123456"), "123456"), 507);
    assert_eq!(put(&url("12345"), "12345"), 200);
    assert_eq!(put(&url("6"), "6"), 507);
    assert_eq!(get(&url("12345")).0, 200);
}
