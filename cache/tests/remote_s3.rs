//! The S3 remote against s3s-fs, which checks signatures and conditions, against moto, which
//! checks neither, and against a server that answers what the test says.

use airtight_cache::local::{Incoming, LocalStore};
use airtight_cache::remote::{
    self, Credentials, Guarded, Remote, RemoteError, RemoteOptions, Secret,
};
use airtight_cache::{Blob, Digest};
use airtight_test_servers::nginx::{self, Nginx};
use airtight_test_servers::{Fault, Faults, Moto, S3};
use bytes::Bytes;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Around the size of what is read at once, and one that doesn't fit into any buffer.
const SIZES: [usize; 7] = [0, 1, 4095, 128 << 10, (1 << 20) + 1, 3 << 20, 64 << 20];

fn keys(key: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::S3 {
        key: key.to_owned(),
        secret: Secret::new(secret),
        token: token.map(Secret::new),
    }
}

fn options(endpoint: &str) -> RemoteOptions {
    let mut options = RemoteOptions::new("s3://airtight/main/branch");
    options.endpoint = Some(endpoint.to_owned());
    options.idle_timeout = Duration::from_secs(60);
    options
}

fn signed(server: &S3) -> RemoteOptions {
    let mut options = options(&server.endpoint());
    options.credentials = keys(server.access_key(), server.secret_key(), None);
    options
}

fn open(options: &RemoteOptions) -> Box<dyn Remote> {
    remote::open(options).unwrap()
}

/// What no text may hold.
fn check_text(text: &str) {
    for secret in ["test/only", "hunter2", "Signature=", "X-Amz", "?", "session-token"] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn checked<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> RemoteError {
    let error = result.unwrap_err();
    check_text(&format!("{error} {error:?}"));
    error
}

/// Bytes that don't repeat.
fn content(size: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(size as u64);
    let mut bytes = vec![0; size];
    random.fill(&mut bytes);
    bytes.into()
}

struct Local {
    store: LocalStore,
    directory: TempDir,
}

impl Local {
    fn new() -> Local {
        let directory = tempfile::tempdir().unwrap();
        Local { store: LocalStore::open(directory.path()).unwrap(), directory }
    }

    fn incoming(&self, digest: Digest) -> Incoming {
        self.store.incoming(digest).unwrap()
    }

    async fn get(&self, remote: &dyn Remote, digest: Digest) -> Result<bool, RemoteError> {
        let mut into = self.incoming(digest);
        let found = remote.get_blob(&mut into).await?;
        if found {
            into.commit().map_err(|error| RemoteError::Local(error.to_string()))?;
        }
        Ok(found)
    }

    fn has(&self, digest: Digest) -> bool {
        self.store.open_blob(&digest).unwrap().is_some()
    }
}

/// Asks again what failed in passing, as `Guarded` does: the server closes connections as it likes.
async fn again<T, F>(mut ask: impl FnMut() -> F) -> Result<T, RemoteError>
where
    F: Future<Output = Result<T, RemoteError>>,
{
    for _ in 0..5 {
        match ask().await {
            Err(RemoteError::Transient { .. }) => {}
            answer => return answer,
        }
    }
    ask().await
}

async fn round_trips(options: &RemoteOptions, sizes: &[usize]) {
    // With its retries: the server may be closing a connection that is used again.
    let remote = Guarded::new(open(options), options, None);
    let local = Local::new();
    for &size in sizes {
        let bytes = content(size);
        let blob = if size % 2 == 0 {
            Blob::of(bytes.clone())
        } else {
            let path = local.directory.path().join("file");
            fs::write(&path, &bytes).unwrap();
            Blob::file(fs::File::open(&path).unwrap(), Digest::of(&bytes))
        };
        let digest = blob.digest();
        let absent = remote.missing(&[digest]).await.unwrap();
        assert_eq!(absent, if size == 0 { vec![] } else { vec![digest] }, "{size}");
        if size > 0 {
            assert_eq!(local.get(&remote, digest).await, Ok(false), "{size}");
        }
        for _ in 0..2 {
            remote.put_blob(&blob).await.unwrap();
        }
        assert_eq!(remote.missing(&[digest]).await.unwrap(), []);
        assert_eq!(local.get(&remote, digest).await, Ok(true), "{size}");
        assert!(local.has(digest));
    }

    let key = Digest::of(b"an action");
    assert_eq!(remote.get_entry(&key).await, Ok(None));
    for value in [content(1000), content(10), content(0), content(100_000)] {
        remote.put_entry(&key, value.clone()).await.unwrap();
        assert_eq!(remote.get_entry(&key).await, Ok(Some(value)));
    }

    let blobs: Vec<Blob> = (0..100).map(|n| Blob::of(content(2000 + n))).collect();
    remote.put_blob(&blobs[7]).await.unwrap();
    remote.put_blobs(&blobs).await.unwrap();
    let mut into: Vec<Incoming> = blobs.iter().map(|blob| local.incoming(blob.digest())).collect();
    into.insert(50, local.incoming(Digest::of(b"never stored")));
    let answers = remote.get_blobs(&mut into).await;
    for (n, (answer, blob)) in answers.into_iter().zip(into).enumerate() {
        assert_eq!(answer, Ok(n != 50));
        if n != 50 {
            blob.commit().unwrap();
        }
    }
}

#[tokio::test]
async fn s3s_fs_keeps_what_it_is_given() {
    let server = S3::start();
    let mut options = signed(&server);
    round_trips(&options, &SIZES).await;
    let stored = server.storage().join("main/branch/cas").join(hash(&Digest::of(&content(4095))));
    assert_eq!(fs::read(stored).unwrap(), content(4095));

    // Without a prefix, over very few connections.
    options.url = "s3://airtight".to_owned();
    options.connections = 2;
    round_trips(&options, &SIZES[..5]).await;
    assert!(server.storage().join("cas").is_dir() && server.storage().join("ac").is_dir());
}

#[tokio::test]
async fn moto_keeps_what_it_is_given_by_anybody() {
    let server = Moto::start();
    let mut options = options(&server.endpoint());
    options.credentials = keys(server.access_key(), "of no interest", Some("session-token"));
    round_trips(&options, &SIZES).await;
}

#[tokio::test]
async fn over_tls() {
    let server = S3::start();
    let proxy = Nginx::start(nginx::Options {
        backend: nginx::Backend::Http(server.address()),
        tls: nginx::Tls::On,
        ..nginx::Options::default()
    });
    let mut options = signed(&server);
    options.endpoint = Some(proxy.url());
    options.tls.authorities = Some(fs::read(proxy.certificates().authority()).unwrap());
    let remote = open(&options);
    let (local, blob) = (Local::new(), Blob::of(content(300_000)));
    remote.put_blob(&blob).await.unwrap();
    assert_eq!(local.get(&*remote, blob.digest()).await, Ok(true));
    options.tls.authorities = Some(fs::read(proxy.certificates().other_authority()).unwrap());
    checked(open(&options).get_entry(&Digest::of(b"x")).await);
}

fn hash(digest: &Digest) -> String {
    airtight_cache::digest::hex(digest)
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_shown_nowhere() {
    let server = S3::start();
    let key = server.access_key();
    let blob = Blob::of(content(5000));
    let mut options = options(&server.endpoint());
    for credentials in [
        keys(key, "hunter2", None),
        keys("AKIANOBODY", server.secret_key(), None),
        keys("", "", None),
        Credentials::None,
    ] {
        options.credentials = credentials;
        let remote = open(&options);
        check_text(&format!("{remote:?} {options:?}"));
        let local = Local::new();
        for error in [
            checked(remote.get_entry(&blob.digest()).await),
            checked(remote.put_entry(&blob.digest(), content(10)).await),
            checked(local.get(&*remote, blob.digest()).await),
            checked(remote.put_blob(&blob).await),
            checked(remote.missing(&[blob.digest()]).await),
        ] {
            assert!(matches!(error, RemoteError::Denied(_)), "{error:?}");
        }
    }
    assert_eq!(fs::read_dir(server.storage()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_bucket_that_is_not_there() {
    let server = Moto::start();
    let mut options = options(&server.endpoint());
    options.url = "s3://another-bucket".to_owned();
    let remote = open(&options);
    let error = checked(remote.put_blob(&Blob::of("x")).await);
    assert!(matches!(error, RemoteError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    let error = checked(remote.get_entry(&Digest::of(b"x")).await);
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

#[tokio::test]
async fn blobs_stay_and_entries_are_replaced() {
    let server = S3::start();
    let remote = open(&signed(&server));
    let blob = Blob::of(content(5000));
    remote.put_blob(&blob).await.unwrap();
    // So that it shows whether it is written again.
    let path = server.storage().join("main/branch/cas").join(hash(&blob.digest()));
    fs::write(&path, content(5001).slice(1..)).unwrap();
    remote.put_blob(&blob).await.unwrap();
    assert_ne!(fs::read(&path).unwrap(), content(5000));
    remote.put_entry(&blob.digest(), content(1)).await.unwrap();
    remote.put_entry(&blob.digest(), content(2)).await.unwrap();
    assert_eq!(remote.get_entry(&blob.digest()).await, Ok(Some(content(2))));
}

#[tokio::test]
async fn a_damaged_blob_is_rejected_and_replaced() {
    let server = S3::start();
    let remote = open(&signed(&server));
    let local = Local::new();
    let bytes = content(300_000);
    let blob = Blob::of(bytes.clone());
    let digest = blob.digest();
    let asked = [digest];
    let path = server.storage().join("main/branch/cas").join(hash(&digest));
    let mut flipped = bytes.to_vec();
    flipped[150_000] ^= 1;
    for damaged in [&flipped[..], &bytes[..299_999], &[&bytes[..], &[0][..]].concat(), &[]] {
        again(|| remote.put_blob(&blob)).await.unwrap();
        fs::write(&path, damaged).unwrap();
        let error = again(|| local.get(&*remote, digest)).await.unwrap_err();
        // With the right length it is only seen when it is to become visible.
        let as_long = damaged.len() == bytes.len();
        assert_eq!(matches!(error, RemoteError::Local(_)), as_long, "{error:?}");
        assert_eq!(matches!(error, RemoteError::Wrong(_)), !as_long, "{error:?}");
        assert!(!local.has(digest));

        // Who has seen the damage repairs it.
        assert_eq!(again(|| remote.missing(&asked)).await.unwrap(), [digest]);
        again(|| remote.put_blobs(std::slice::from_ref(&blob))).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(again(|| remote.missing(&asked)).await.unwrap(), []);
    }
    assert_eq!(again(|| local.get(&*remote, digest)).await, Ok(true));

    // Another length is seen without fetching it.
    fs::write(&path, "short").unwrap();
    let remote = open(&signed(&server));
    again(|| remote.put_blobs(std::slice::from_ref(&blob))).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_file_that_has_changed_is_not_stored() {
    let server = S3::start();
    let remote = open(&signed(&server));
    let local = Local::new();
    let path = local.directory.path().join("file");
    fs::write(&path, content(1_000_000)).unwrap();
    let digest = Digest::of(&content(1_000_000));
    for changed in [content(1_000_001).slice(1..), content(1_000_000).slice(..999_999)] {
        fs::write(&path, changed).unwrap();
        let blob = Blob::file(fs::File::open(&path).unwrap(), digest);
        let error = checked(remote.put_blob(&blob).await);
        assert!(matches!(error, RemoteError::Local(_)), "{error:?}");
        assert!(!server.storage().join("main/branch/cas").join(hash(&digest)).exists());
    }
}

#[tokio::test]
async fn a_server_that_misbehaves() {
    let server = S3::start();
    let faults = Faults::in_front_of(&server.endpoint());
    let mut options = signed(&server);
    options.endpoint = Some(faults.url());
    let patient = open(&options);
    options.idle_timeout = Duration::from_secs(1);
    let hasty = open(&options);
    let remote = &patient;
    let blob = Blob::of(content(300_000));
    let (local, digest) = (Local::new(), blob.digest());
    remote.put_blob(&blob).await.unwrap();
    remote.put_entry(&digest, content(1000)).await.unwrap();
    for (fault, transient) in [
        (Fault::Hang, true),
        (Fault::CloseAfter(0), true),
        (Fault::CloseAfter(1000), true),
        (Fault::CloseInBody, true),
        (Fault::Drip { bytes: 1, every: Duration::from_millis(300) }, true),
        (Fault::Garbage, false),
        (Fault::Truncate, false),
        (Fault::Flip(7), false),
        (Fault::status(503), true),
        (Fault::status(204), false),
    ] {
        faults.set(fault.clone());
        let silent = matches!(fault, Fault::Hang | Fault::Drip { .. });
        let remote = if silent { &hasty } else { &patient };
        let began = Instant::now();
        let error = checked(local.get(&**remote, digest).await);
        assert_eq!(
            matches!(error, RemoteError::Transient { .. }),
            transient,
            "{fault:?} {error:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(50), "{fault:?}");
        assert!(!local.has(digest));
        if !matches!(fault, Fault::Truncate | Fault::Flip(_)) {
            checked(remote.get_entry(&digest).await);
        }
        if matches!(fault, Fault::Hang | Fault::CloseAfter(0) | Fault::Garbage | Fault::Drip { .. })
        {
            checked(remote.put_entry(&digest, content(1000)).await);
            checked(remote.put_blob(&Blob::of(content(300_001))).await);
        }
    }
    // An upload without an answer is asked after, unless it is to replace what is there.
    faults.set(Fault::CloseAfter(0).on("PUT "));
    checked(remote.put_blob(&blob).await);
    options.idle_timeout = Duration::from_secs(60);
    let remote = open(&options);
    assert_eq!(remote.put_blob(&blob).await, Ok(()));
    checked(remote.put_entry(&digest, content(1000)).await);
    faults.set(Fault::CloseAfter(0));
    checked(remote.put_blob(&blob).await);
    faults.set(Fault::None);
    assert_eq!(local.get(&*remote, digest).await, Ok(true));
}

#[tokio::test]
async fn nobody_is_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let remote = open(&options(&format!("http://{free}")));
    let error = checked(remote.get_entry(&Digest::of(b"x")).await);
    assert!(matches!(error, RemoteError::Transient { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

/// A server that answers what it is told, whatever it is asked, and keeps the heads of requests.
struct Canned {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    async fn start() -> Canned {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let canned = Canned { address, answer: Arc::default(), heads: Arc::default() };
        let (answer, heads) = (canned.answer.clone(), canned.heads.clone());
        // Ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, heads) = (answer.clone(), heads.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let length = header(&head, "content-length").map_or(0, |n| n.parse().unwrap());
                    stream.read_exact(&mut vec![0; length]).await?;
                    heads.lock().unwrap().push(head);
                    let answer = answer.lock().unwrap().clone();
                    stream.write_all(&answer).await?;
                    stream.shutdown().await
                });
            }
        });
        canned
    }

    fn remote(&self) -> Box<dyn Remote> {
        let mut options = options(&format!("http://{}", self.address));
        options.credentials = keys("AKIA", "hunter2", Some("session-token"));
        open(&options)
    }

    fn answer(&self, head: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        *self.answer.lock().unwrap() = answer.into_bytes();
    }

    fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

/// The value of a header in the head of a request.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn kind(error: &RemoteError) -> &'static str {
    match error {
        RemoteError::Transient { .. } => "transient",
        RemoteError::Denied(_) => "denied",
        RemoteError::Full(_) => "full",
        RemoteError::Wrong(_) => "wrong",
        RemoteError::Refused(_) => "refused",
        _ => "other",
    }
}

#[tokio::test]
async fn what_answers_mean() {
    let server = Canned::start().await;
    let blob = Blob::of(content(100));
    for (status, code, expected) in [
        (403, "AccessDenied", "denied"),
        (403, "InvalidAccessKeyId", "denied"),
        (403, "SignatureDoesNotMatch", "denied"),
        (403, "RequestTimeTooSkewed", "denied"),
        (400, "ExpiredToken", "denied"),
        (400, "AuthorizationQueryParametersError", "denied"),
        (403, "", "denied"),
        (401, "", "denied"),
        (503, "SlowDown", "transient"),
        (400, "RequestTimeout", "transient"),
        (500, "InternalError", "transient"),
        (503, "ServiceUnavailable", "transient"),
        (409, "ConditionalRequestConflict", "transient"),
        (429, "", "transient"),
        (502, "", "transient"),
        (404, "NoSuchBucket", "refused"),
        (404, "", "refused"),
        (301, "PermanentRedirect", "refused"),
        (400, "InvalidBucketName", "refused"),
        (405, "MethodNotAllowed", "refused"),
        (400, "EntityTooLarge", "full"),
        (507, "XMinioStorageFull", "full"),
        (413, "", "full"),
        (400, "BadDigest", "wrong"),
    ] {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><StringToSign>hunter2</StringToSign>\
             <SignatureProvided>Signature=0?</SignatureProvided></Error>"
        );
        server.answer(&format!("{status} Whatever"), if code.is_empty() { "" } else { &body });
        let remote = server.remote();
        let local = Local::new();
        for error in [
            checked(remote.get_entry(&blob.digest()).await),
            checked(remote.put_entry(&blob.digest(), content(10)).await),
            checked(local.get(&*remote, blob.digest()).await),
            checked(remote.put_blob(&blob).await),
        ] {
            assert_eq!(kind(&error), expected, "{status} {code}: {error}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
    // What is there already, and no answer to anything else.
    server.answer("412 Precondition Failed", "<Error><Code>PreconditionFailed</Code></Error>");
    let remote = server.remote();
    assert_eq!(remote.put_blob(&blob).await, Ok(()));
    assert_eq!(kind(&checked(remote.put_entry(&blob.digest(), content(10)).await)), "refused");
    server.answer("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
    assert_eq!(remote.get_entry(&blob.digest()).await, Ok(None));
    assert_eq!(remote.missing(&[blob.digest()]).await, Ok(vec![blob.digest()]));
    // What was damaged on the way may be there nevertheless, and is replaced without a condition.
    server.answer("400 Bad Request", "<Error><Code>BadDigest</Code></Error>");
    assert_eq!(kind(&checked(remote.put_blob(&blob).await)), "wrong");
    server.answer("200 OK", "");
    server.take_heads();
    assert_eq!(remote.missing(&[blob.digest()]).await, Ok(vec![blob.digest()]));
    remote.put_blob(&blob).await.unwrap();
    let heads = server.take_heads();
    assert_eq!((heads.len(), header(&heads[0], "if-none-match")), (1, None));
    // The region that would be right is told.
    server.answer("400 Bad Request\r\nx-amz-bucket-region: eu-west-1", "");
    let error = checked(remote.get_entry(&blob.digest()).await);
    assert!(error.to_string().ends_with("the bucket is in the region eu-west-1"), "{error}");
    server.answer("503 Slow Down\r\nRetry-After: 7", "");
    let error = checked(remote.get_entry(&blob.digest()).await);
    let retry_after = Some(Duration::from_secs(7));
    assert!(
        matches!(error, RemoteError::Transient { retry_after: time, .. } if time == retry_after)
    );
}

#[tokio::test]
async fn uploads_carry_a_condition_and_a_checksum_that_are_signed() {
    let server = Canned::start().await;
    let remote = server.remote();
    server.answer("200 OK", "");
    let blob = Blob::of("abc");
    let sum = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    remote.put_blob(&blob).await.unwrap();
    remote.put_entry(&blob.digest(), Bytes::from_static(b"abc")).await.unwrap();
    let heads = server.take_heads();
    for (head, condition, signed) in [
        (&heads[0], Some("*"), "host%3Bif-none-match%3Bx-amz-checksum-sha256"),
        (&heads[1], None, "host%3Bx-amz-checksum-sha256"),
    ] {
        assert_eq!(header(head, "x-amz-checksum-sha256"), Some(sum), "{head}");
        assert_eq!(header(head, "if-none-match"), condition, "{head}");
        assert!(head.contains(&format!("X-Amz-SignedHeaders={signed}&")), "{head}");
        assert!(head.contains("X-Amz-Security-Token=session-token"), "{head}");
        assert!(!head.contains("hunter2"), "{head}");
        assert!(header(head, "authorization").is_none(), "{head}");
    }
}

#[tokio::test]
async fn a_service_without_conditions_gets_none() {
    let server = Canned::start().await;
    let remote = server.remote();
    server.answer("501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>");
    assert_eq!(kind(&checked(remote.put_blob(&Blob::of("x")).await)), "refused");
    let heads = server.take_heads();
    let conditions: Vec<_> = heads.iter().map(|head| header(head, "if-none-match")).collect();
    assert_eq!(conditions, [Some("*"), None]);
    server.answer("200 OK", "");
    remote.put_blob(&Blob::of("x")).await.unwrap();
    let heads = server.take_heads();
    assert_eq!(heads.len(), 1);
    assert!(!heads[0].contains("checksum") && header(&heads[0], "if-none-match").is_none());
}

#[tokio::test]
async fn answers_that_are_too_long() {
    let server = Canned::start().await;
    let remote = server.remote();
    let local = Local::new();
    let digest = Digest::of(&content(10));
    // By what is announced, and by what comes.
    server.answer("200 OK", &"x".repeat(11));
    assert_eq!(kind(&checked(local.get(&*remote, digest).await)), "wrong");
    let endless = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(17 << 20));
    *server.answer.lock().unwrap() = endless.into_bytes();
    assert_eq!(kind(&checked(local.get(&*remote, digest).await)), "wrong");
    assert_eq!(kind(&checked(remote.get_entry(&digest).await)), "wrong");
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n";
    *server.answer.lock().unwrap() = announced.as_bytes().to_vec();
    assert_eq!(kind(&checked(remote.get_entry(&digest).await)), "wrong");
    assert_eq!(kind(&checked(local.get(&*remote, digest).await)), "wrong");
}

#[tokio::test]
async fn what_is_too_large_for_one_upload_is_not_sent() {
    let server = Canned::start().await;
    let file = tempfile::tempfile().unwrap();
    let blob = Blob::file(file, Digest::from_parts([0; 32], (5 << 30) + 1));
    assert_eq!(kind(&checked(server.remote().put_blob(&blob).await)), "full");
    assert!(server.take_heads().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (server, elsewhere) = (Canned::start().await, Canned::start().await);
    elsewhere.answer("200 OK", "credentials");
    let remote = server.remote();
    for status in [301, 302, 307, 308] {
        server.answer(&format!("{status} Moved\r\nLocation: http://{}/", elsewhere.address), "");
        assert_eq!(kind(&checked(remote.get_entry(&Digest::of(b"x")).await)), "refused");
        assert_eq!(kind(&checked(remote.put_blob(&Blob::of("x")).await)), "refused");
    }
    assert!(elsewhere.take_heads().is_empty());
}

/// What the next test traces. Passes by itself too.
#[tokio::test]
async fn without_credentials_and_with() {
    let server = S3::start();
    let mut options = signed(&server);
    for credentials in [options.credentials.clone(), Credentials::None] {
        options.credentials = credentials;
        let _ = open(&options).get_entry(&Digest::of(b"x")).await;
        let _ = open(&options).put_blob(&Blob::of("x")).await;
    }
    // Where a test that traces this one finds what is right.
    if let Some(path) = std::env::var_os("AIRTIGHT_TEST_ENDPOINT") {
        fs::write(path, server.address().port().to_string()).unwrap();
    }
}

#[test]
fn nobody_but_the_endpoint_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (trace, port) = (directory.path().join("trace"), directory.path().join("port"));
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg,%file", "-o"]).arg(&trace);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "without_credentials_and_with"]);
    // A place for credentials that must not be looked at either.
    let home: PathBuf = directory.path().join("home");
    fs::create_dir_all(home.join(".aws")).unwrap();
    command.env("HOME", &home).env("AIRTIGHT_TEST_ENDPOINT", &port);
    command.env("http_proxy", "http://127.0.0.1:1").env("AWS_EC2_METADATA_DISABLED", "false");
    assert!(command.output().unwrap().status.success());
    let port = fs::read_to_string(&port).unwrap();
    let trace = fs::read_to_string(&trace).unwrap();
    let expected = format!("sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")");
    let (right, wrong): (Vec<&str>, Vec<&str>) = trace
        .lines()
        .filter(|line| line.contains("sa_family=AF_INET"))
        .partition(|line| line.contains(&expected));
    assert!(right.len() >= 4, "{trace}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    let looked: Vec<&str> = trace.lines().filter(|line| line.contains(".aws")).collect();
    assert!(looked.is_empty(), "{looked:#?}");
}
