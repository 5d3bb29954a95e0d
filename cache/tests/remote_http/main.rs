//! The HTTP remote against real servers, a double of bazel-remote, and servers that misbehave.

#[path = "../client/mod.rs"]
mod client;
mod faults;
mod raw;

use airtight_cache::remote::{Credentials, RemoteError, RemoteOptions, Secret, Tls};
use airtight_cache::{Blob, Digest, digest};
use airtight_test_servers::{BazelRemote, Certificates, Fault, Faults, Nginx, bazel_remote, nginx};
use client::{Client, entry, noise};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

const PASSWORD: &str = "pass-Word-1";

fn options(url: impl Into<String>) -> RemoteOptions {
    // The machine may be busy with other tests.
    RemoteOptions { idle_timeout: Duration::from_secs(20), ..RemoteOptions::new(url) }
}

#[test]
fn nginx_stores_everything() {
    let server = Nginx::start(nginx::Options::default());
    Client::new(&options(format!("{}/some/prefix/", server.url()))).round_trip();
    // Nothing was stored as zstd but the question whether that can be done.
    let blobs = fs::read_dir(server.storage().join("some/prefix/cas")).expect("a directory");
    let mut odd = 0;
    for blob in blobs.map(|entry| entry.expect("a blob")) {
        let bytes = fs::read(blob.path()).expect("a blob");
        let name = blob.file_name().into_string().expect("hex");
        odd += u32::from(digest::hex(&Digest::of(&bytes)) != name);
    }
    assert_eq!(odd, 1);
}

#[test]
fn bazel_remote_stores_everything_and_decodes() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let url = format!("{}/instance", server.url());
    Client::new(&options(&url)).round_trip();
    let requests = server.requests();
    let encoded = |method: &str| requests.iter().filter(|r| r.zstd && r.method == method).count();
    // The question, and the text twice. The zeros came before, and aren't worth the question.
    assert_eq!(encoded("PUT"), 3, "{requests:#?}");
    assert_eq!(encoded("GET"), 4, "{requests:#?}");
    assert!(requests.iter().all(|r| r.status == 200 || r.status == 404), "{requests:#?}");

    // Who comes later asks once, and stores nothing for it.
    let blob = Blob::of(b"later ".repeat(100_000));
    assert_eq!(Client::new(&options(&url)).put_blob(&blob), Ok(()));
    let later: Vec<_> = server.requests()[requests.len()..].to_vec();
    let methods: Vec<&str> = later.iter().map(|r| r.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "HEAD", "PUT"]);
    // What is small doesn't ask, and profits from who has asked.
    let small = [Blob::of(vec![1; 10_000]), Blob::of(vec![2; 10_000])];
    let client = Client::new(&options(&url));
    assert_eq!(client.put_blob(&small[0]), Ok(()));
    assert_eq!(client.put_blob(&blob), Ok(()));
    assert_eq!(client.put_blob(&small[1]), Ok(()));
    let requests = server.requests();
    let puts = requests.iter().rev().filter(|r| r.method == "PUT").take(3);
    assert_eq!(puts.map(|r| r.zstd).collect::<Vec<_>>(), [true, true, false]);

    let plain = RemoteOptions { compress: false, ..options(&url) };
    let before = server.requests().len();
    assert_eq!(Client::new(&plain).put_blob(&blob), Ok(()));
    assert!(Client::new(&plain).get_blob(blob.digest()).is_ok_and(|blob| blob.is_some()));
    assert!(server.requests()[before..].iter().all(|r| !r.zstd));
}

fn read(path: PathBuf) -> Vec<u8> {
    fs::read(path).expect("a file of PEM")
}

fn identity((certificate, key): (PathBuf, PathBuf)) -> (Vec<u8>, Secret) {
    (read(certificate), Secret::new(String::from_utf8(read(key)).expect("PEM is text")))
}

fn trusting(certificates: &Certificates) -> Tls {
    Tls { authorities: Some(read(certificates.authority())), identity: None }
}

#[test]
fn tls_is_spoken_with_who_is_trusted() {
    let server = Nginx::start(nginx::Options { tls: nginx::Tls::On, ..Default::default() });
    let tls = trusting(server.certificates());
    let right = RemoteOptions { tls, ..options(server.url()) };
    Client::new(&right).round_trip();

    let key = Digest::of(b"an action");
    let other =
        Tls { authorities: Some(read(server.certificates().other_authority())), ..Tls::default() };
    for tls in [other, Tls::default()] {
        let wrong = RemoteOptions { tls, ..right.clone() };
        let error = Client::new(&wrong).get_entry(&key).expect_err("it isn't trusted");
        let RemoteError::Refused(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("certificate"), "{text}");
    }
    // Plain HTTP to a port of TLS, and the other way round.
    let plain = options(server.url().replace("https", "http"));
    let error = Client::new(&plain).get_entry(&key);
    assert!(matches!(error, Err(RemoteError::Refused(_))), "{error:?}");
    let server = Nginx::start(nginx::Options::default());
    let tls = RemoteOptions { url: server.url().replace("http", "https"), ..right };
    let error = Client::new(&tls).get_entry(&key);
    assert!(matches!(error, Err(RemoteError::Refused(_))), "{error:?}");
}

#[test]
fn a_reverse_proxy_may_be_between() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let faults = Faults::in_front_of(&server.url());
    let proxy = Nginx::start(nginx::Options {
        backend: nginx::Backend::Http(faults.address()),
        tls: nginx::Tls::On,
        ..Default::default()
    });
    let tls = trusting(proxy.certificates());
    let options = RemoteOptions { tls, ..options(proxy.url()) };
    Client::new(&options).round_trip();
    // What goes wrong behind it, seen through HTTP/2.
    let (key, blob) = (Digest::of(b"an action"), Blob::of(noise(1_000_000)).digest());
    let hasty = RemoteOptions { idle_timeout: Duration::from_millis(700), ..options.clone() };
    for (fault, options) in [(Fault::CloseInBody, &options), (Fault::Hang, &hasty)] {
        faults.set(fault);
        let client = Client::new(options);
        for result in [client.get_entry(&key).map(drop), client.get_blob(blob).map(drop)] {
            assert!(matches!(result, Err(RemoteError::Transient { .. })), "{result:?}");
        }
        // The connection still serves.
        faults.set(Fault::None);
        assert_eq!(client.get_entry(&key), Ok(Some(entry(b"second"))));
    }
    faults.set(Fault::Truncate);
    let error = Client::new(&options).get_blob(blob).expect_err("half of it is missing");
    assert!(matches!(error, RemoteError::Wrong(_)), "{error:?}");
}

#[test]
fn a_client_has_a_certificate() {
    let server = Nginx::start(nginx::Options { tls: nginx::Tls::Mutual, ..Default::default() });
    let certificates = server.certificates();
    let with = |identity: Option<(Vec<u8>, Secret)>| {
        let tls = Tls { identity, ..trusting(certificates) };
        Client::new(&RemoteOptions { tls, ..options(server.url()) })
    };
    with(Some(identity(certificates.client()))).round_trip();
    for wrong in [None, Some(identity(certificates.stranger()))] {
        let error = with(wrong).get_entry(&Digest::of(b"an action"));
        let error = error.expect_err("it asks for a certificate");
        let RemoteError::Refused(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("400") && text.contains("SSL certificate"), "{text}");
    }
}

/// OpenSSL as a server that ends the handshake of those whose certificate it doesn't like, as Go's
/// servers do. Killed when dropped.
struct OpenSsl {
    process: Child,
    url: String,
}

impl OpenSsl {
    fn start(certificates: &Certificates, directory: &Path) -> OpenSsl {
        let (certificate, key) = certificates.server();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-WWW", "-Verify", "2"]);
        command.args(["-verify_return_error", "-CAfile"]).arg(certificates.authority());
        command.arg("-cert").arg(certificate).arg("-key").arg(key).current_dir(directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("openssl is there");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned));
        // What it says later goes nowhere, but can be said.
        thread::spawn(move || lines.for_each(drop));
        OpenSsl { process, url: format!("https://127.0.0.1:{}", port.expect("a port")) }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_handshake_that_fails_for_the_certificate_is_a_denial() {
    let directory = tempfile::tempdir().expect("a directory");
    let certificates = Certificates::create(directory.path());
    let key = Digest::of(b"an action");
    fs::create_dir(directory.path().join("ac")).expect("a directory");
    fs::write(directory.path().join("ac").join(digest::hex(&key)), entry(b"x")).expect("a file");
    let server = OpenSsl::start(&certificates, directory.path());
    let with = |identity: Option<(Vec<u8>, Secret)>| {
        let tls = Tls { identity, ..trusting(&certificates) };
        Client::new(&RemoteOptions { tls, ..options(&server.url) })
    };
    let client = with(Some(identity(certificates.client())));
    assert_eq!(client.get_entry(&key), Ok(Some(entry(b"x"))));
    for wrong in [None, Some(identity(certificates.stranger()))] {
        let client = with(wrong);
        // Where the connection is closed before the server's last words are read, it seems broken.
        let mut errors = (0..10).map(|_| client.get_entry(&key).expect_err("it isn't trusted"));
        let error = errors.find(|error| !matches!(error, RemoteError::Transient { .. }));
        let error = error.expect("its words are heard");
        let RemoteError::Denied(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("alert"), "{text}");
    }
}

/// Fails when an error, or how a remote shows itself, gives a secret away.
fn assert_silent(remote: &Client, options: &RemoteOptions, error: &RemoteError) {
    let basic = "bWU6cGFzcy1Xb3JkLTE="; // me:pass-Word-1
    for text in [format!("{remote:?}"), format!("{options:?}"), format!("{error} {error:?}")] {
        assert!(!text.contains(PASSWORD) && !text.contains(basic), "{text}");
    }
}

fn basic(password: &str) -> Credentials {
    Credentials::Basic { user: "me".to_owned(), password: Secret::new(password) }
}

#[test]
fn credentials_are_asked_for() {
    let key = Digest::of(b"an action");
    let of_basic = nginx::Auth::Basic { user: "me".to_owned(), password: PASSWORD.to_owned() };
    let of_bearer = nginx::Auth::Bearer(PASSWORD.to_owned());
    let right = [
        (of_basic, basic(PASSWORD), basic("pass-Word-2")),
        (
            of_bearer,
            Credentials::Bearer(Secret::new(PASSWORD)),
            Credentials::Bearer(Secret::new("pass-Word-2")),
        ),
    ];
    for (auth, right, wrong) in right {
        let server = Nginx::start(nginx::Options { auth, ..Default::default() });
        let options = RemoteOptions { credentials: right, ..options(server.url()) };
        Client::new(&options).round_trip();
        for credentials in [Credentials::None, wrong] {
            let options = RemoteOptions { credentials, ..options.clone() };
            let remote = Client::new(&options);
            let errors = [
                remote.get_entry(&key).expect_err("it isn't allowed"),
                remote.put_entry(&key, entry(b"")).expect_err("it isn't allowed"),
                remote.put_blob(&Blob::of(noise(3_000_000))).expect_err("it isn't allowed"),
                remote.missing(&[key]).expect_err("it isn't allowed"),
            ];
            for error in errors {
                assert!(matches!(error, RemoteError::Denied(_)), "{error:?}");
                assert!(error.to_string().contains(": 401"), "{error}");
                assert_silent(&remote, &options, &error);
            }
        }
    }
}

#[test]
fn reads_may_be_open_to_all() {
    let user = Some(("me".to_owned(), PASSWORD.to_owned()));
    let server = BazelRemote::start(bazel_remote::Options {
        user,
        open_reads: true,
        ..bazel_remote::Options::default()
    });
    let writer = RemoteOptions { credentials: basic(PASSWORD), ..options(server.url()) };
    Client::new(&writer).round_trip();
    let reader = Client::new(&options(server.url()));
    let key = Digest::of(b"an action");
    assert_eq!(reader.get_entry(&key), Ok(Some(entry(b"second"))));
    let denied = RemoteError::Denied(format!("PUT /ac/{}: 401: who are you", digest::hex(&key)));
    assert_eq!(reader.put_entry(&key, entry(b"")), Err(denied));
}
