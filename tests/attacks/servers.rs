//! Servers that fail in every way there is, over each protocol.

use crate::build::Build;
use airtight_cache::stats::Counters;
use airtight_test_servers::{BazelRemote, Casd, Fault, Faults, Nginx, S3, bazel_remote, nginx};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Far beyond the budget of a run, which is 2 s, and of the machine's own slowness: what is told
/// from it is only a run that hangs.
const LONG: Duration = Duration::from_secs(60);

/// Errors and requests left out, of all remotes.
fn trouble(counters: &Counters) -> u64 {
    counters.remotes.values().map(|remote| remote.errors + remote.tripped).sum()
}

/// Runs with a remote that can't serve: the build is right, the remote is warned of once, and what
/// happened is counted.
#[track_caller]
fn suffers(build: &Build, what: &str) {
    build.forget();
    let began = Instant::now();
    let (warning, counters) = build.build(what);
    assert!(began.elapsed() < LONG, "{what}: {:?}", began.elapsed());
    assert_eq!(counters.hits(), 0, "{what}: {counters:?}");
    assert!(warning.starts_with("warning: remote "), "{what}: {warning:?}");
    assert!(trouble(&counters) > 0, "{what}: {counters:?}");
    build.is_local(&format!("after {what}"));
}

/// Every fault of HTTP, in front of a server that has the result.
fn http(build: &Build, faults: &Faults) {
    build.runs("first");
    build.forget();
    build.is_remote("second");
    let drip = Fault::Drip { bytes: 1, every: Duration::from_millis(50) };
    let later = |code| Fault::Status { code, retry_after: Some(3600) };
    for fault in [
        Fault::status(500),
        Fault::status(502),
        Fault::status(503),
        Fault::status(504),
        Fault::status(401),
        Fault::status(403),
        Fault::status(400),
        Fault::status(302),
        Fault::status(418),
        Fault::status(429),
        later(429),
        later(503),
        Fault::Garbage,
        Fault::CloseAfter(0),
        Fault::CloseAfter(20),
        Fault::CloseInBody,
        Fault::Truncate,
        Fault::Hang,
        drip,
    ] {
        let what = format!("{fault:?}");
        faults.set(fault);
        suffers(build, &what);
        faults.set(Fault::None);
        build.forget();
        build.is_remote(&format!("healed of {what}"));
    }
    // A flipped bit may name a blob that isn't there, which is nobody's fault.
    for at in [0, 1, 5, 20, 60, 100, 200, 333] {
        faults.set(Fault::Flip(at));
        build.forget();
        build.runs(&format!("bit {at} flipped"));
        faults.set(Fault::None);
    }
    // Only for a while: another try is enough.
    for fault in [Fault::status(503), Fault::CloseAfter(0), Fault::status(500)] {
        let what = format!("one {fault:?}");
        faults.set(fault.times(1));
        build.forget();
        build.is_remote(&what);
    }
    // Only when something is stored: a result that is sent for the first time.
    for fault in [Fault::status(507), Fault::status(403), Fault::status(500), Fault::Hang] {
        let what = format!("{fault:?} at PUT");
        faults.set(fault.on("PUT "));
        build.site.write("in.txt", format!("{what}\n"));
        let build = Build::in_site(build.site.clone(), &what);
        suffers(&build, &what);
        faults.set(Fault::None);
        build.forget();
        build.runs(&format!("healed of {what}"));
        build.forget();
        build.is_remote(&format!("healed of {what}, again"));
    }
}

#[test]
fn of_http() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let faults = Faults::in_front_of(&server.url());
    let build = Build::new("http");
    build.remote(&faults.url(), "");
    http(&build, &faults);
}

#[test]
fn of_s3() {
    let server = S3::start();
    let faults = Faults::in_front_of(&server.endpoint());
    let mut build = Build::new("s3");
    build.site = build.site.with("KEY", server.access_key()).with("SECRET", server.secret_key());
    build.remote(
        &format!("s3://{}/p", server.bucket()),
        &format!(
            "endpoint = \"{}\"\naccess-key-env = \"KEY\"\nsecret-key-env = \"SECRET\"",
            faults.url()
        ),
    );
    http(&build, &faults);
}

#[test]
fn of_grpc() {
    let server = Casd::start();
    let faults = Faults::in_front_of(&server.url());
    let build = Build::new("grpc");
    build.remote(&faults.url(), "");
    build.runs("first");
    build.forget();
    build.is_remote("second");
    for fault in [
        Fault::Garbage,
        Fault::CloseAfter(0),
        Fault::CloseAfter(60),
        Fault::Hang,
        Fault::Drip { bytes: 1, every: Duration::from_millis(50) },
    ] {
        let what = format!("{fault:?}");
        faults.set(fault);
        suffers(&build, &what);
        faults.set(Fault::None);
        build.forget();
        build.is_remote(&format!("healed of {what}"));
    }
}

/// Each status that a server of gRPC can end a call with, for all calls and for the last alone.
#[test]
fn of_grpc_with_a_status() {
    let server = Casd::start();
    let package = "/build.bazel.remote.execution.v2";
    for status in [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 99] {
        let proxy = Nginx::start(nginx::Options {
            backend: nginx::Backend::Grpc(server.address()),
            grpc_status: vec![(format!("{package}.ActionCache/Get"), status)],
            ..nginx::Options::default()
        });
        let build = Build::new(&format!("status {status}"));
        build.remote(&proxy.url(), "retries = 1");
        suffers(&build, &format!("status {status}"));
    }
}

#[test]
fn that_are_not_there() {
    // Nobody listens on a port that was just given back.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let nowhere = "nowhere.airtight-test.invalid";
    for url in [
        format!("http://{address}"),
        format!("https://{address}"),
        format!("grpc://{address}"),
        format!("grpcs://{address}"),
        format!("http://{nowhere}"),
        format!("grpc://{nowhere}:80"),
        "file:///nowhere/at/all".to_owned(),
    ] {
        let build = Build::new(&url);
        build.remote(&url, "");
        suffers(&build, &url);
    }
    for endpoint in [format!("http://{address}"), format!("http://{nowhere}")] {
        let mut build = Build::new(&endpoint);
        build.site = build.site.with("KEY", "key").with("SECRET", "secret");
        let keys = "access-key-env = \"KEY\"\nsecret-key-env = \"SECRET\"";
        build.remote("s3://bucket/p", &format!("endpoint = \"{endpoint}\"\n{keys}"));
        suffers(&build, &endpoint);
    }
}

/// A server whose certificate somebody else has signed, and one that speaks no TLS.
#[test]
fn whose_certificate_is_wrong() {
    let casd = Casd::start();
    let tls = nginx::Tls::On;
    let backend = nginx::Backend::Grpc(casd.address());
    let grpc = Nginx::start(nginx::Options { backend, tls, ..nginx::Options::default() });
    let http = Nginx::start(nginx::Options { tls, ..nginx::Options::default() });
    for server in [&grpc, &http] {
        let build = Build::new(&server.url());
        let ca = server.certificates().other_authority();
        build.remote(&server.url(), &format!("ca = \"{}\"", ca.display()));
        suffers(&build, &server.url());
        // Without any: the system's own authorities don't know it.
        let build = Build::new(&server.url());
        build.remote(&server.url(), "");
        suffers(&build, &server.url());
    }
    for url in [casd.url().replace("grpc:", "grpcs:"), casd.url().replace("grpc:", "https:")] {
        let build = Build::new(&url);
        build.remote(&url, "");
        suffers(&build, &url);
    }
}

/// Of several remotes each is warned of, and the one that works serves.
#[test]
fn beside_one_that_works() {
    let good = Nginx::start(nginx::Options::default());
    let bad = Nginx::start(nginx::Options { status: Some(503), ..nginx::Options::default() });
    let build = Build::new("beside");
    build.remote(&bad.url(), "").remote(&good.url(), "");
    let (warning, counters) = build.build("first");
    assert!(warning.contains(&bad.url()), "{warning}");
    assert_eq!(counters.remotes[&good.url()].published, 1, "{counters:?}");
    build.forget();
    let (warning, counters) = build.build("second");
    assert!(warning.contains(&bad.url()), "{warning}");
    assert_eq!((counters.remote_hits, counters.remotes[&good.url()].hits), (1, 1), "{counters:?}");
}
