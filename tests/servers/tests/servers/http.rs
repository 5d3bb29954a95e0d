//! nginx as a store, and the S3 servers.

use std::fs;
use std::path::PathBuf;

use airtight_test_servers::{BazelRemote, Faults, Moto, Nginx, S3, bazel_remote, nginx};

use crate::support::{assert_gone, curl, get, put, sha256};

#[test]
fn nginx_stores_and_is_gone_when_dropped() {
    let nginx = Nginx::start(nginx::Options::default());
    let url = format!("{}/cas/0123", nginx.url());
    assert_eq!(get(&url).0, 404);
    assert_eq!(put(&url, "first"), 201);
    assert_eq!(put(&url, "second"), 204);
    assert_eq!(get(&url), (200, "second".to_owned()));
    assert_eq!(fs::read(nginx.storage().join("cas/0123")).expect("the file"), b"second");
    let (address, storage) = (nginx.address(), nginx.storage().to_owned());
    drop(nginx);
    assert_gone(address);
    assert!(!storage.exists());
}

#[test]
fn nginx_asks_for_a_password() {
    let auth = nginx::Auth::Basic { user: "me".to_owned(), password: "s3cret".to_owned() };
    let nginx = Nginx::start(nginx::Options { auth, ..nginx::Options::default() });
    let url = format!("{}/ac/0123", nginx.url());
    assert_eq!(put(&url, "x"), 401);
    assert_eq!(curl(&["--user", "me:wrong", &url]).0, 401);
    assert_eq!(curl(&["--user", "me:s3cret", "--request", "PUT", "--data", "x", &url]).0, 201);
    assert_eq!(curl(&["--user", "me:s3cret", &url]), (200, b"x".to_vec()));
}

#[test]
fn nginx_asks_for_a_token() {
    let auth = nginx::Auth::Bearer("Secret-1".to_owned());
    let nginx = Nginx::start(nginx::Options { auth, ..nginx::Options::default() });
    let url = format!("{}/ac/0123", nginx.url());
    let with = |token: &str| {
        curl(&["--header", &format!("Authorization: Bearer {token}"), "-T", "/etc/hostname", &url])
            .0
    };
    assert_eq!(put(&url, "x"), 401);
    assert_eq!(with("secret-1"), 401);
    assert_eq!(with("Secret-11"), 401);
    assert_eq!(with("Secret-1"), 201);
}

#[test]
fn nginx_answers_with_a_status() {
    let nginx = Nginx::start(nginx::Options { status: Some(503), ..nginx::Options::default() });
    assert_eq!(get(&format!("{}/ac/0123", nginx.url())).0, 503);
    assert_eq!(put(&format!("{}/ac/0123", nginx.url()), "x"), 503);
}

#[test]
fn nginx_speaks_tls_and_asks_for_certificates() {
    for tls in [nginx::Tls::On, nginx::Tls::Mutual] {
        let nginx = Nginx::start(nginx::Options { tls, ..nginx::Options::default() });
        let url = format!("{}/cas/0123", nginx.url());
        assert_eq!(url, format!("https://{}/cas/0123", nginx.address()));
        let certificates = nginx.certificates();
        let with = |authority: PathBuf, pair: Option<(PathBuf, PathBuf)>| {
            let mut arguments = vec!["--cacert".into(), authority];
            if let Some((certificate, key)) = pair {
                arguments.extend(["--cert".into(), certificate, "--key".into(), key]);
            }
            let arguments = arguments.iter().map(|argument| argument.to_str().expect("plain"));
            let put = ["--request", "PUT", "--data-binary", "x", &url];
            curl(&arguments.chain(put).collect::<Vec<_>>()).0
        };
        let client = Some(certificates.client());
        assert_eq!(with(certificates.other_authority(), client.clone()), 0);
        assert_eq!(with(certificates.authority(), client), 201);
        let expected = if tls == nginx::Tls::On { 204 } else { 400 };
        assert_eq!(with(certificates.authority(), None), expected);
        assert_eq!(with(certificates.authority(), Some(certificates.stranger())), expected);
    }
}

#[test]
fn nginx_passes_http_on() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let backend = nginx::Backend::Http(server.address());
    let nginx = Nginx::start(nginx::Options { backend, ..nginx::Options::default() });
    let path = format!("cas/{}", sha256(b"blob"));
    assert_eq!(put(&format!("{}/{path}", nginx.url()), "blob"), 200);
    assert_eq!(get(&format!("{}/{path}", server.url())), (200, "blob".to_owned()));
}

/// A request signed by curl.
fn signed(key: &str, secret: &str, arguments: &[&str]) -> (u16, Vec<u8>) {
    let user = format!("{key}:{secret}");
    let sign = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user.as_str()];
    // s3s-fs refuses a request that doesn't sign the digest of its body.
    curl(&[&sign, arguments].concat())
}

#[test]
fn s3_stores_what_is_signed_and_is_gone_when_dropped() {
    let s3 = S3::start();
    let url = format!("{}/{}/some/key", s3.endpoint(), s3.bucket());
    let digest = format!("x-amz-content-sha256: {}", sha256(b"object"));
    let put = ["--request", "PUT", "--header", &digest, "--data-binary", "object", &url];
    let empty = format!("x-amz-content-sha256: {}", sha256(b""));
    let get = ["--header", &empty, &url];
    assert_eq!(curl(&put).0, 403);
    assert_eq!(signed(s3.access_key(), "wrong", &put).0, 403);
    assert_eq!(signed(s3.access_key(), s3.secret_key(), &put).0, 200);
    assert_eq!(signed(s3.access_key(), s3.secret_key(), &get), (200, b"object".to_vec()));
    assert_eq!(signed(s3.access_key(), "wrong", &get).0, 403);
    assert_eq!(fs::read(s3.storage().join("some/key")).expect("the object's file"), b"object");
    // The signature holds through the proxy, which leaves the host's name alone.
    let faults = Faults::in_front_of(&s3.endpoint());
    let url = format!("{}/{}/some/key", faults.url(), s3.bucket());
    let get = ["--header", &empty, &url];
    assert_eq!(signed(s3.access_key(), s3.secret_key(), &get), (200, b"object".to_vec()));
    let address = s3.address();
    drop(s3);
    assert_gone(address);
}

#[test]
fn moto_stores_and_is_gone_when_dropped() {
    let moto = Moto::start();
    let url = format!("{}/{}/some/key", moto.endpoint(), moto.bucket());
    let key = moto.access_key();
    // It takes curl's usual content type for a form.
    let kind = "Content-Type: application/octet-stream";
    let put = ["--request", "PUT", "--header", kind, "--data", "object", &url];
    assert_eq!(signed(key, "any", &put).0, 200);
    assert_eq!(signed(key, "other", &[&url]), (200, b"object".to_vec()));
    let address = moto.address();
    drop(moto);
    assert_gone(address);
}
