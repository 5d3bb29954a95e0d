//! The proxy passes everything on, and each fault is what it says.

use std::time::{Duration, Instant};

use airtight_test_servers::{Casd, Fault, Faults, Nginx, nginx};

use crate::grpc::{stores, stores_within};
use crate::support::{assert_gone, curl, get, put};

const TEXT: &str = "0123456789";

/// A store that holds [`TEXT`], a proxy in front of it, and the text's URL there.
fn store() -> (Nginx, Faults, String) {
    let nginx = Nginx::start(nginx::Options::default());
    let faults = Faults::in_front_of(&format!("{}/cas", nginx.url()));
    let url = format!("{}/x", faults.url());
    assert_eq!(put(&url, TEXT), 201);
    assert_eq!(get(&url), (200, TEXT.to_owned()));
    (nginx, faults, url)
}

/// What curl says to the answer: its exit status, and the body as far as it came.
fn exit(url: &str) -> (i32, String) {
    exit_within("30", url)
}

/// The same with a limit in seconds.
fn exit_within(limit: &str, url: &str) -> (i32, String) {
    let curl = std::process::Command::new("curl")
        .args(["--disable", "--noproxy", "*", "--silent", "--max-time", limit, url])
        .output()
        .expect("curl runs");
    let body = String::from_utf8_lossy(&curl.stdout).into_owned();
    (curl.status.code().expect("curl exits"), body)
}

#[test]
fn http_passes_through() {
    let (nginx, faults, url) = store();
    assert!(url.starts_with(&format!("http://{}/cas/", faults.address())));
    assert_eq!(get(&format!("{}/none", faults.url())).0, 404);
    assert_eq!(curl(&["--head", "--output", "/dev/null", &url]).0, 200);
    assert_eq!(faults.requests(), ["PUT /cas/x", "GET /cas/x", "GET /cas/none", "HEAD /cas/x"]);
    assert_eq!(faults.connections(), 4);
    drop(nginx);
    assert_eq!(get(&url).0, 502);
    let address = faults.address();
    drop(faults);
    assert_gone(address);
}

#[test]
fn a_status_for_some_requests() {
    let (nginx, faults, url) = store();
    faults.set(Fault::status(503).times(2));
    assert_eq!((get(&url).0, get(&url).0, get(&url).0), (503, 503, 200));
    faults.set(Fault::status(500).on("PUT /cas"));
    assert_eq!((get(&url).0, put(&url, "other")), (200, 500));
    assert_eq!(std::fs::read(nginx.storage().join("cas/x")).expect("x"), TEXT.as_bytes());
    faults.set(Fault::Status { code: 429, retry_after: Some(7) });
    let head = curl(&["--include", &url]).1;
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("http/1.1 429 ") && head.contains("retry-after: 7\r\n"), "{head}");
    faults.set(Fault::None);
    assert_eq!(get(&url).0, 200);
}

#[test]
fn damaged_bodies() {
    let (_nginx, faults, url) = store();
    faults.set(Fault::Flip(3));
    assert_eq!(get(&url), (200, "0122456789".to_owned()));
    faults.set(Fault::Flip(19));
    assert_eq!(get(&url), (200, "0123456788".to_owned()));
    faults.set(Fault::Truncate);
    assert_eq!(exit(&url), (0, "01234".to_owned()));
    // 18: fewer bytes than announced.
    faults.set(Fault::CloseInBody);
    assert_eq!(exit(&url), (18, "01234".to_owned()));
}

#[test]
fn faults_of_the_wire() {
    let (_nginx, faults, url) = store();
    // 52: no answer, 56: reset, 28: timed out, 1: not HTTP.
    faults.set(Fault::CloseAfter(0));
    assert!(matches!(exit(&url).0, 52 | 56));
    faults.set(Fault::CloseAfter(20));
    // To curl an answer without a length is whole when the connection closes.
    assert_eq!(exit(&url).1, "");
    faults.set(Fault::Garbage);
    assert_eq!(exit(&url).0, 1);
    faults.set(Fault::Hang);
    assert_eq!(exit_within("1", &url).0, 28);
    faults.set(Fault::Drip { bytes: 50, every: Duration::from_millis(50) });
    let start = Instant::now();
    assert_eq!(get(&url), (200, TEXT.to_owned()));
    // nginx' head has more than 200 bytes.
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    faults.set(Fault::Drip { bytes: 1, every: Duration::from_secs(1) });
    assert_eq!(exit_within("1", &url).0, 28);
}

#[test]
fn grpc_passes_through_or_not() {
    let casd = Casd::start();
    let faults = Faults::in_front_of(&casd.url());
    assert_eq!(faults.url(), format!("grpc://{}", faults.address()));
    stores(faults.address(), "", b"blob").expect("casd stores behind the proxy");
    assert_eq!(faults.connections(), 1);
    for fault in [Fault::CloseAfter(0), Fault::CloseAfter(30), Fault::Garbage, Fault::Hang] {
        faults.set(fault.clone());
        stores_within(Duration::from_secs(1), faults.address(), "", b"blob")
            .expect_err(&format!("{fault:?}"));
    }
}

#[test]
#[should_panic(expected = "HTTP only")]
fn faults_of_http_are_not_for_grpc() {
    let faults = Faults::in_front_of("grpc://127.0.0.1:1");
    faults.set(Fault::Truncate);
}
