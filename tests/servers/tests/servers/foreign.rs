//! Foreign clients: Bazel, ccache and buildbox-casd find in the double, and in the real servers,
//! what others of their kind have stored there.

use std::fs;

use airtight_test_servers::bazel_remote::Options;
use airtight_test_servers::clients::{Bazel, Ccache};
use airtight_test_servers::{BazelRemote, BuildGrid, Casd, Nginx, nginx};

use crate::grpc::reads;
use crate::support::{files, put, sha256};

/// Two workspaces of Bazel, of which the second finds what the first has stored.
fn bazels_share(remote: &str) {
    let first = Bazel::new("source\n").build(remote, &[]);
    assert_eq!((first.remote_hits, &*first.output), (0, &b"source\nsource\n"[..]), "{}", first.log);
    let second = Bazel::new("source\n").build(remote, &[]);
    assert_eq!((second.remote_hits, second.output), (1, first.output), "{}", second.log);
}

/// Two directories with ccache, of which the second finds what the first has stored.
fn ccaches_share(remote: &str) {
    let first = Ccache::new("int answer(void) { return 42; }\n");
    let counters = first.compile(remote);
    assert_eq!((counters["cache_miss"], counters["remote_storage_error"]), (1, 0), "{counters:?}");
    assert!(counters["remote_storage_write"] > 0, "{counters:?}");
    let second = Ccache::new("int answer(void) { return 42; }\n");
    let counters = second.compile(remote);
    assert_eq!((counters["cache_miss"], counters["remote_storage_hit"]), (0, 1), "{counters:?}");
    assert_eq!(second.object(), first.object());
}

#[test]
fn bazel_shares_through_the_double() {
    let server = BazelRemote::start(Options::default());
    let remote = format!("{}/instance", server.url());
    bazels_share(&remote);
    let requests = server.requests();
    let refused = requests.iter().find(|request| !matches!(request.status, 200 | 404));
    assert_eq!(refused, None, "{requests:?}");
    assert_eq!(files(&server.storage().join("ac/instance")).len(), 1);
    let blob = server.storage().join("cas").join(sha256(b"source\nsource\n"));
    assert_eq!(fs::read(blob).expect("the output"), b"source\nsource\n");
    let other = Bazel::new("other\n").build(&remote, &[]);
    assert_eq!((other.remote_hits, &*other.output), (0, &b"other\nother\n"[..]), "{}", other.log);
    // Without its output an entry isn't found, and Bazel runs the action.
    fs::remove_file(server.storage().join("cas").join(sha256(b"source\nsource\n"))).expect("it");
    let build = Bazel::new("source\n").build(&remote, &[]);
    assert_eq!((build.remote_hits, &*build.output), (0, &b"source\nsource\n"[..]));
}

#[test]
fn bazel_shares_through_nginx() {
    let nginx = Nginx::start(nginx::Options::default());
    bazels_share(&nginx.url());
    assert_eq!(files(&nginx.storage().join("ac")).len(), 1);
}

#[test]
fn bazel_shares_through_buildgrid() {
    let buildgrid = BuildGrid::start();
    bazels_share(&buildgrid.url());
}

#[test]
fn ccache_shares_through_the_double() {
    let server = BazelRemote::start(Options { validate: false, ..Options::default() });
    ccaches_share(&server.url());
    // Manifest and result.
    assert_eq!(files(&server.storage().join("ac")).len(), 2);
}

#[test]
fn ccache_is_refused_by_a_double_that_validates() {
    let server = BazelRemote::start(Options::default());
    let ccache = Ccache::new("int answer(void) { return 42; }\n");
    let counters = ccache.compile(&server.url());
    assert_eq!(counters["cache_miss"], 1, "{counters:?}");
    assert!(!ccache.object().is_empty());
    let puts: Vec<_> = server.requests().into_iter().filter(|r| r.method == "PUT").collect();
    assert!(!puts.is_empty() && puts.iter().all(|put| put.status == 400), "{puts:?}");
}

#[test]
fn ccache_shares_through_nginx() {
    let nginx = Nginx::start(nginx::Options::default());
    ccaches_share(&nginx.url());
}

#[test]
fn casd_reads_from_the_double() {
    let server = BazelRemote::start(Options::default());
    let blob = b"a blob from elsewhere";
    let path = format!("/cas/{}", sha256(blob));
    assert_eq!(put(&format!("{}{path}", server.url()), "a blob from elsewhere"), 200);
    let casd = Casd::in_front_of_http(&server.url());
    assert_eq!(reads(casd.address(), blob), blob);
    assert!(
        server.requests().iter().any(|request| request.method == "GET"
            && request.path == path
            && request.status == 200)
    );
    // Once more from its own storage.
    let count = server.requests().len();
    assert_eq!(reads(casd.address(), blob), blob);
    assert_eq!(server.requests().len(), count);
}
