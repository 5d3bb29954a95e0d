//! The HTTP remote against servers that fail, lie, stand still, or would like to know a password.

use crate::client::{Client, entry, noise};
use crate::raw::{Raw, answer, with_length};
use airtight_cache::remote::{
    Credentials, MAX_ENTRY, RemoteError, RemoteOptions, Secret, Tls, open,
};
use airtight_cache::{Blob, Digest, digest};
use airtight_test_servers::{BazelRemote, Fault, Faults, Nginx, bazel_remote, nginx};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const PASSWORD: &str = "pass-Word-1";

/// `me:pass-Word-1`, as it is sent.
const PAIR: &str = "bWU6cGFzcy1Xb3JkLTE=";

fn options(url: impl Into<String>) -> RemoteOptions {
    let credentials = Credentials::Basic { user: "me".to_owned(), password: Secret::new(PASSWORD) };
    // The machine may be busy with other tests.
    RemoteOptions { credentials, idle_timeout: Duration::from_secs(20), ..RemoteOptions::new(url) }
}

/// For a server that stands still.
fn impatient(url: impl Into<String>) -> RemoteOptions {
    RemoteOptions { idle_timeout: Duration::from_millis(700), ..options(url) }
}

/// The text of a transient failure.
fn transient<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> String {
    match result {
        Err(RemoteError::Transient { what, retry_after: None }) => what,
        other => panic!("{other:?}"),
    }
}

fn wrong<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> String {
    match result {
        Err(RemoteError::Wrong(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_status_has_its_meaning() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let proxy = Faults::in_front_of(&server.url());
    let key = Digest::of(b"an action");
    let blob = Blob::of(noise(300_000));
    for code in [
        300, 301, 302, 307, 400, 401, 403, 405, 407, 408, 409, 410, 411, 412, 413, 415, 418, 429,
        500, 501, 502, 503, 504, 505, 507, 599,
    ] {
        proxy.set(Fault::Status { code, retry_after: Some(7) });
        let client = Client::new(&options(proxy.url()));
        let means = |request: &str| {
            let what = format!("{request}: {code}");
            match code {
                401 | 403 | 407 => RemoteError::Denied(what),
                413 | 507 => RemoteError::Full(what),
                408 | 429 | 500 | 502 | 503 | 504 => {
                    RemoteError::Transient { what, retry_after: Some(Duration::from_secs(7)) }
                }
                _ => RemoteError::Refused(what),
            }
        };
        let ac = format!("/ac/{}", digest::hex(&key));
        let cas = format!("/cas/{}", digest::hex(&blob.digest()));
        assert_eq!(client.get_entry(&key), Err(means(&format!("GET {ac}"))));
        assert_eq!(client.put_entry(&key, entry(b"")), Err(means(&format!("PUT {ac}"))));
        assert_eq!(client.get_blob(blob.digest()), Err(means(&format!("GET {cas}"))));
        let missing = client.missing(&[blob.digest()]);
        match code {
            // It can't be asked, so it is told.
            405 | 501 => assert_eq!(missing, Ok(vec![blob.digest()])),
            _ => assert_eq!(missing, Err(means(&format!("HEAD {cas}")))),
        }
        // The last one, for the server closes the connection instead of reading the body.
        assert_eq!(client.put_blob(&blob), Err(means(&format!("PUT {cas}"))));
    }
    let client = Client::new(&options(proxy.url()));
    proxy.set(Fault::status(404));
    assert_eq!(client.get_entry(&key), Ok(None));
    assert_eq!(client.get_blob(blob.digest()), Ok(None));
    assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
    assert!(matches!(client.put_entry(&key, entry(b"")), Err(RemoteError::Refused(_))));
    // No body was wanted, and none of these is one.
    for code in [201, 204, 206] {
        proxy.set(Fault::status(code));
        assert!(wrong(client.get_entry(&key)).contains(&code.to_string()));
        assert!(wrong(client.get_blob(blob.digest())).contains(&code.to_string()));
        assert_eq!(client.put_entry(&key, entry(b"")), Ok(()));
    }
}

#[test]
fn a_server_is_not_waited_for_as_long_as_it_likes() {
    for (asked, waited) in [("1", Some(1)), ("86400", Some(300)), ("Fri, 01 Jan 2100", None)] {
        let head = format!("503 busy\r\nRetry-After: {asked}\r\nContent-Length: 0");
        let server = Raw::says(answer(&head, b""));
        let client = Client::new(&options(server.url()));
        let Err(RemoteError::Transient { retry_after, .. }) = client.get_entry(&Digest::of(b""))
        else {
            panic!("503 is transient")
        };
        assert_eq!(retry_after, waited.map(Duration::from_secs), "{asked}");
    }
}

#[test]
fn the_words_of_a_server_are_one_short_line() {
    let key = Digest::of(b"an action");
    let long = "x".repeat(70_000);
    let short = "x".repeat(200);
    for (body, words) in [
        ("the quota is used up\nmore", ": the quota is used up"),
        ("<html>\n<head><title>Bad day</title></head>", ": Bad day"),
        ("red \x1b[31m and \u{202e}back", ": red ?[31m and ?back"),
        (long.as_str(), &format!(": {short}")),
        ("\n", ""),
        ("", ""),
        (&format!("who is {PASSWORD}?"), ""),
        (&format!("you sent Authorization: Basic {PAIR}"), ""),
    ] {
        let server = Raw::says(with_length("400 no", body.as_bytes()));
        let client = Client::new(&options(server.url()));
        let error = client.get_entry(&key).expect_err("400");
        let what = format!("GET /ac/{}: 400{words}", digest::hex(&key));
        assert_eq!(error, RemoteError::Refused(what));
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains(PASSWORD) && !shown.contains(PAIR), "{shown}");
    }
    let server = Raw::says(with_length("400 no", b"\xff\xfe"));
    let error = Client::new(&options(server.url())).get_entry(&key).expect_err("400");
    assert_eq!(error, RemoteError::Refused(format!("GET /ac/{}: 400", digest::hex(&key))));
}

#[test]
fn standing_still_has_an_end() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let (key, value) = (Digest::of(b"an action"), entry(&noise(50_000)));
    let blob = Blob::of(noise(200_000));
    let setup = Client::new(&options(server.url()));
    assert_eq!(setup.put_entry(&key, value.clone()), Ok(()));
    assert_eq!(setup.put_blob(&blob), Ok(()));
    let drip = |bytes| Fault::Drip { bytes, every: Duration::from_millis(50) };
    for fault in [Fault::Hang, drip(1), drip(30)] {
        let proxy = Faults::in_front_of(&server.url());
        let client = Client::new(&impatient(proxy.url()));
        proxy.set(fault.clone());
        let began = Instant::now();
        let mut failures =
            vec![transient(client.get_entry(&key)), transient(client.get_blob(blob.digest()))];
        if fault == Fault::Hang {
            failures.push(transient(client.missing(&[blob.digest()])));
            failures.push(transient(client.put_entry(&key, value.clone())));
            failures.push(transient(client.put_blob(&blob)));
        }
        for what in failures {
            assert!(what.contains(": no answer for 0.7 s") || what.contains(": only "), "{what}");
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    // Slow, but not that slow.
    let proxy = Faults::in_front_of(&server.url());
    let client = Client::new(&impatient(proxy.url()));
    proxy.set(Fault::Drip { bytes: 2000, every: Duration::from_millis(50) });
    assert_eq!(client.get_entry(&key), Ok(Some(value)));
}

#[test]
fn an_upload_that_nobody_takes_has_an_end() {
    let barrier = Arc::new(Barrier::new(2));
    let done = barrier.clone();
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    let deaf = thread::spawn(move || {
        let connection = listener.accept().expect("a connection");
        done.wait();
        drop(connection);
    });
    // More than the system's buffers take.
    let client = Client::new(&impatient(format!("http://{address}")));
    let what = transient(client.put_blob(&Blob::of(noise(17 << 20))));
    assert!(what.ends_with(": no answer for 0.7 s"), "{what}");
    barrier.wait();
    deaf.join().expect("no panic");
}

#[test]
fn nobody_is_there() {
    let address = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.local_addr().expect("its address")
    };
    let client = Client::new(&options(format!("http://{address}")));
    let key = Digest::of(b"an action");
    let what = transient(client.get_entry(&key));
    let refused = "Connection refused (os error 111)";
    assert_eq!(what, format!("GET /ac/{}: {refused}", digest::hex(&key)));
    assert!(transient(client.put_blob(&Blob::of("x"))).contains(refused));
}

#[test]
fn a_dead_machine_is_given_up_soon() {
    // A queue for one connection, which is full: further ones get no answer at all.
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    listen(&socket, 0).expect("a listener");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("its address");
    let queued = TcpStream::connect(address).expect("the first one");
    let options = options(format!("http://{address}"));
    let client =
        Client::new(&RemoteOptions { connect_timeout: Duration::from_millis(300), ..options });
    let key = Digest::of(b"an action");
    let began = Instant::now();
    let what = transient(client.get_entry(&key));
    assert_eq!(what, format!("GET /ac/{}: no connection in time", digest::hex(&key)));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(queued);
}

#[test]
fn broken_connections_are_transient_and_damage_is_not() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let proxy = Faults::in_front_of(&server.url());
    // As it is: what is damaged under zstd fails in another place.
    let plain = RemoteOptions { compress: false, ..options(proxy.url()) };
    let (key, value) = (Digest::of(b"an action"), entry(&noise(50_000)));
    let blob = Blob::of(noise(200_000));
    for options in [plain, options(proxy.url())] {
        proxy.set(Fault::None);
        let client = Client::new(&options);
        assert_eq!(client.put_entry(&key, value.clone()), Ok(()));
        assert_eq!(client.put_blob(&blob), Ok(()));
        for fault in [Fault::CloseInBody, Fault::CloseAfter(0), Fault::CloseAfter(100)] {
            proxy.set(fault);
            transient(client.get_entry(&key));
            transient(client.get_blob(blob.digest()));
        }
        proxy.set(Fault::CloseAfter(0));
        transient(client.put_entry(&key, value.clone()));
        transient(client.put_blob(&blob));
        transient(client.missing(&[blob.digest()]));
        for fault in [Fault::Truncate, Fault::Flip(77), Fault::Flip(150_000)] {
            proxy.set(fault);
            wrong(client.get_blob(blob.digest()));
        }
        proxy.set(Fault::Garbage);
        wrong(client.get_entry(&key));
        wrong(client.get_blob(blob.digest()));
        wrong(client.put_entry(&key, value.clone()));
        wrong(client.put_blob(&blob));
        wrong(client.missing(&[blob.digest()]));
    }
}

#[test]
fn no_more_is_taken_than_was_asked_for() {
    let content = noise(5000);
    let blob = Blob::of(content.clone()).digest();
    let chunked = |body: &[u8]| {
        let mut text = Vec::new();
        for piece in body.chunks(1000) {
            text.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            text.extend_from_slice(piece);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        answer("200 OK\r\nTransfer-Encoding: chunked", &text)
    };
    let encoded = |body: &[u8]| with_length("200 OK\r\nContent-Encoding: zstd", body);
    let zstd = |body: &[u8]| zstd::bulk::compress(body, 1).expect("into memory");
    let longer = [content.as_slice(), b"x"].concat();
    let mut other = content.clone();
    other[4999] ^= 1;
    for (name, said) in [
        ("shorter", with_length("200 OK", &content[1..])),
        ("longer", with_length("200 OK", &longer)),
        ("other", with_length("200 OK", &other)),
        ("claims", answer("200 OK\r\nContent-Length: 999999999999", b"")),
        ("chunks, shorter", chunked(&content[1..])),
        ("chunks, longer", chunked(&longer)),
        ("chunks, broken", answer("200 OK\r\nTransfer-Encoding: chunked", b"zz\r\nxx\r\n")),
        ("until the end, shorter", answer("200 OK", &content[1..])),
        ("until the end, longer", answer("200 OK", &longer)),
        ("zstd, shorter", encoded(&zstd(&content[1..]))),
        ("zstd, longer", encoded(&zstd(&longer))),
        ("zstd, other", encoded(&zstd(&other))),
        ("zstd, cut off", encoded(&zstd(&content)[..3000])),
        ("zstd, huge", encoded(&zstd(&vec![0; 256 << 20]))),
        ("no zstd", encoded(&content)),
        ("not asked for", with_length("200 OK\r\nContent-Encoding: gzip", &content)),
        ("two lengths", answer("200 OK\r\nContent-Length: 5000\r\nContent-Length: 1", &content)),
        ("huge head", answer(&format!("200 OK\r\nX: {}", "x".repeat(1 << 20)), b"")),
    ] {
        let server = Raw::says(said);
        let result = Client::new(&options(server.url())).get_blob(blob);
        assert!(matches!(result, Err(RemoteError::Wrong(_))), "{name}: {result:?}");
    }
    for good in [with_length("200 OK", &content), chunked(&content), encoded(&zstd(&content))] {
        let server = Raw::says(good);
        assert_eq!(Client::new(&options(server.url())).get_blob(blob), Ok(Some(content.clone())));
    }
    // When it wasn't asked for.
    let server = Raw::says(encoded(&zstd(&content)));
    let plain = RemoteOptions { compress: false, ..options(server.url()) };
    wrong(Client::new(&plain).get_blob(blob));
}

#[test]
fn entries_have_a_limit() {
    let key = Digest::of(b"an action");
    let most = vec![b'x'; MAX_ENTRY as usize];
    let server = Raw::says(with_length("200 OK", &most));
    let value = Client::new(&options(server.url())).get_entry(&key);
    assert!(value == Ok(Some(most.into())));
    // Refused by its length, with nothing read.
    let claim = format!("200 OK\r\nContent-Length: {}", MAX_ENTRY + 1);
    let server = Raw::says(answer(&claim, b""));
    wrong(Client::new(&options(server.url())).get_entry(&key));
    // Without a length, and without an end.
    let server = Raw::start(|_, stream| {
        let chunk = [b"10000\r\n", vec![0; 0x10000].as_slice(), b"\r\n"].concat();
        let mut said = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while said.is_ok() {
            said = stream.write_all(&chunk);
        }
    });
    wrong(Client::new(&options(server.url())).get_entry(&key));
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Raw::says(with_length("200 OK", b"x"));
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{status} there\r\nLocation: {}/\r\nContent-Length: 0", elsewhere.url());
        let server = Raw::says(answer(&to, b""));
        let client = Client::new(&options(server.url()));
        let results = [
            client.get_blob(Digest::of(b"x")).map(drop),
            client.get_entry(&Digest::of(b"x")).map(drop),
            client.put_blob(&Blob::of("x")),
            client.missing(&[Digest::of(b"x")]).map(drop),
        ];
        for result in results {
            assert!(matches!(result, Err(RemoteError::Refused(_))), "{result:?}");
        }
    }
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[test]
fn a_request_says_what_it_has_to() {
    let server = Raw::says(with_length("200 OK", b""));
    let client = Client::new(&options(format!("{}/a%20b/c/", server.url())));
    let blob = Blob::of(noise(300_000));
    assert_eq!(client.put_entry(&Digest::of(b"x"), entry(b"")), Ok(()));
    // The question for zstd comes first, and this server says yes to everything.
    assert_eq!(client.put_blob(&blob), Ok(()));
    assert_eq!(client.get_entry(&Digest::of(b"x")), Ok(Some(Default::default())));
    let requests = server.requests();
    let agent = concat!("user-agent: airtight/", env!("CARGO_PKG_VERSION"), "\r\n");
    for head in &requests {
        assert!(head.contains(agent), "{head}");
        assert!(head.contains(&format!("authorization: Basic {PAIR}\r\n")), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("expect"), "{head}");
        assert!(head.lines().next().is_some_and(|line| line.contains(" /a%20b/c/")), "{head}");
    }
    let put = requests.iter().find(|head| head.contains(&digest::hex(&blob.digest())));
    let put = put.expect("the blob was sent");
    assert!(put.starts_with("PUT /a%20b/c/cas/"), "{put}");
    assert!(put.contains("content-length: 300000\r\n"), "{put}");
    assert!(requests.last().is_some_and(|get| !get.contains("accept-encoding")));
}

#[test]
fn a_blob_that_changes_is_not_stored() {
    let server = Nginx::start(nginx::Options::default());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("blob");
    for (size, now) in [(3_000_000, 3_000_000), (3_000_000, 2_999_999), (100_000, 100_000), (9, 3)]
    {
        let mut content = noise(size);
        let digest = Digest::of(&content);
        content.truncate(now);
        content[0] ^= 1;
        fs::write(&path, content).expect("a file");
        for compress in [true, false] {
            let options = RemoteOptions { compress, ..options(server.url()) };
            let blob = Blob::file(File::open(&path).expect("a file"), digest);
            let error = Client::new(&options).put_blob(&blob).expect_err("it has changed");
            assert!(matches!(error, RemoteError::Local(_)), "{error:?}");
            let stored = server.storage().join("cas").join(digest::hex(&digest));
            assert!(!stored.exists(), "{size} {now} {compress}");
        }
    }
}

#[test]
fn a_file_is_sent_as_it_is() {
    let server = Nginx::start(nginx::Options::default());
    let client = Client::new(&options(server.url()));
    let content = noise(17 << 20);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&content).expect("room");
    let digest = Digest::of(&content);
    assert_eq!(client.put_blob(&Blob::file(file, digest)), Ok(()));
    assert!(client.get_blob(digest) == Ok(Some(content)));
}

#[test]
fn as_many_requests_are_under_way_as_the_options_say() {
    const CONNECTIONS: usize = 3;
    let (barrier, now, most) =
        (Barrier::new(CONNECTIONS), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    // Each waits until there are three, so that fewer than three never end.
    let server = Raw::start(move |_, stream| {
        let under_way = now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(under_way, Ordering::SeqCst);
        barrier.wait();
        now.fetch_sub(1, Ordering::SeqCst);
        drop(stream.write_all(&with_length("200 OK", b"")));
    });
    let options = RemoteOptions { connections: CONNECTIONS, ..options(server.url()) };
    let digests: Vec<Digest> = (0..30_u8).map(|n| Digest::of(&[n])).collect();
    assert_eq!(Client::new(&options).missing(&digests), Ok(digests));
    assert_eq!(most.load(Ordering::SeqCst), CONNECTIONS);
}

#[test]
fn connections_are_used_again() {
    let server = Nginx::start(nginx::Options::default());
    let proxy = Faults::in_front_of(&server.url());
    let client = Client::new(&options(proxy.url()));
    for n in 0..20_u8 {
        let (key, blob) = (Digest::of(&[n]), Blob::of(vec![n; 10_000]));
        assert_eq!(client.get_entry(&key), Ok(None));
        assert_eq!(client.put_entry(&key, entry(&[n])), Ok(()));
        assert_eq!(client.missing(&[blob.digest()]), Ok(vec![blob.digest()]));
        assert_eq!(client.get_blob(blob.digest()), Ok(None));
        assert_eq!(client.put_blob(&blob), Ok(()));
        assert!(client.get_blob(blob.digest()).is_ok_and(|blob| blob.is_some()));
    }
    // Not always the same one: it is given back after the answer, and the next request may be faster.
    assert!(proxy.connections() < 20, "{}", proxy.connections());
}

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let test = std::env::current_exe().expect("this program");
    let mut command = Command::new(test);
    command.args(["--exact", "faults::connections_are_used_again"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, "http://127.0.0.1:9/");
    }
    let output = command.output().expect("this program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn options_that_are_wrong_are_named() {
    let with = |credentials, tls, url: &str| {
        let options = RemoteOptions { credentials, tls, ..RemoteOptions::new(url) };
        let error = open(&options).expect_err("the options are wrong").to_string();
        assert!(!error.contains(PASSWORD), "{error}");
        error
    };
    for url in [
        format!("https://me:{PASSWORD}@host/"),
        format!("https://{PASSWORD}@host/"),
        format!("https://me@host/?token={PASSWORD}"),
        format!("http://me:{PASSWORD}@ho st/"),
        format!("https://me:p/{PASSWORD}@host"),
        format!("ftp://me:{PASSWORD}@host/"),
        format!("me:{PASSWORD}@host/"),
    ] {
        with(Credentials::None, Tls::default(), &url);
    }
    let error = with(Credentials::None, Tls::default(), &format!("https://me:{PASSWORD}@host/a"));
    assert!(error.starts_with("https://host/a: ") && error.contains("credentials"), "{error}");
    let error = with(Credentials::None, Tls::default(), &format!("https://host/a?b={PASSWORD}"));
    assert!(error.starts_with("https://host/a: "), "{error}");
    for url in ["http://", "https:///", "http://host:99999/", "http://[::1/"] {
        with(Credentials::None, Tls::default(), url);
    }
    let bearer = Credentials::Bearer(Secret::new(format!("{PASSWORD}\n")));
    assert!(with(bearer, Tls::default(), "https://host/").contains("line break"));
    // Only within this machine do they go without TLS.
    for (host, refused) in [
        ("localhost", false),
        ("127.1.2.3:80", false),
        ("[::1]:80", false),
        ("10.0.0.1", true),
        ("localhost.example.com", true),
        ("127.0.0.1.example.com", true),
    ] {
        let bearer = Credentials::Bearer(Secret::new(PASSWORD));
        let url = format!("http://{host}/");
        let opened = open(&RemoteOptions { credentials: bearer, ..RemoteOptions::new(url) });
        assert_eq!(opened.is_err_and(|error| error.what.contains("TLS only")), refused, "{host}");
    }
    let colon = Credentials::Basic { user: "a:b".to_owned(), password: Secret::new(PASSWORD) };
    assert!(with(colon, Tls::default(), "https://host/").contains("colon"));
    let s3 = Credentials::S3 { key: "k".to_owned(), secret: Secret::new(PASSWORD), token: None };
    assert!(with(s3, Tls::default(), "https://host/").contains("S3"));

    let authorities = |text: &str| Tls { authorities: Some(text.into()), identity: None };
    let identity = |certificate: &[u8], key: String| Tls {
        authorities: None,
        identity: Some((certificate.to_vec(), Secret::new(key))),
    };
    let none = Credentials::None;
    let error = with(none.clone(), authorities("x"), "http://host/");
    assert!(error.contains("isn't https"), "{error}");
    let server = Nginx::start(nginx::Options { tls: nginx::Tls::On, ..Default::default() });
    let (certificate, key) = server.certificates().client();
    let (certificate, key) =
        (fs::read(certificate).expect("PEM"), fs::read_to_string(key).expect("PEM"));
    let (_, other) = server.certificates().stranger();
    let damaged = format!("-----BEGIN CERTIFICATE-----\n!{PASSWORD}\n-----END CERTIFICATE-----\n");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let secret_key =
        format!("-----BEGIN PRIVATE KEY-----\n!{PASSWORD}\n-----END PRIVATE KEY-----\n");
    for (tls, what) in [
        (authorities(""), "the authorities: no PEM certificate"),
        (authorities(&key), "the authorities: no PEM certificate"),
        (authorities(&damaged), "the authorities: the PEM text is damaged"),
        (authorities(no_certificate), "the authorities: certificate 1 can't be used"),
        (identity(b"", key.clone()), "our certificate: no PEM certificate"),
        (identity(damaged.as_bytes(), key.clone()), "our certificate: the PEM text is damaged"),
        (identity(&certificate, String::new()), "our private key: no PEM private key"),
        (identity(&certificate, secret_key), "our private key: no PEM private key"),
        (identity(&certificate, encrypted), "our private key is encrypted"),
        (
            identity(&certificate, fs::read_to_string(other).expect("PEM")),
            "our certificate and private key can't be used",
        ),
    ] {
        let error = with(none.clone(), tls, "https://host/");
        assert!(error.starts_with(&format!("https://host/: {what}")), "{error}");
    }
}
