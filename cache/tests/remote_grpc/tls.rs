//! TLS and credentials, by nginx in front of buildbox-casd.

use crate::server::{Behaviour, Odd};
use crate::support::{Store, blob, entry, options, run};
use airtight_cache::Digest;
use airtight_cache::remote::{Credentials, Remote, RemoteError, RemoteOptions, Secret, Tls, open};
use airtight_test_servers::nginx::{self, Auth, Backend};
use airtight_test_servers::{Casd, Certificates, Nginx};
use std::fs;
use std::path::{Path, PathBuf};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// What is asked of a remote that has to work.
async fn works(remote: &dyn Remote) {
    let key = Digest::of(b"an action");
    remote.put_entry(&key, entry("x")).await.unwrap();
    assert!(remote.get_entry(&key).await.unwrap().is_some());
    let store = Store::new();
    let blobs = [blob(1000, 1), blob(8 << 20, 2)];
    remote.put_blobs(&blobs).await.unwrap();
    for blob in &blobs {
        assert!(store.fetch(remote, blob.digest()).await.unwrap().is_some());
    }
}

async fn error(options: &RemoteOptions) -> RemoteError {
    let remote = open(options).expect("a remote");
    remote.get_entry(&Digest::of(b"x")).await.expect_err("it is refused")
}

fn proxy(casd: &Casd, tls: nginx::Tls, auth: Auth) -> Nginx {
    let backend = Backend::Grpc(casd.address());
    Nginx::start(nginx::Options { backend, tls, auth, ..Default::default() })
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a certificate")
}

fn identity((certificate, key): (PathBuf, PathBuf)) -> Option<(Vec<u8>, Secret)> {
    let key = String::from_utf8(read(&key)).expect("PEM");
    Some((read(&certificate), Secret::new(key)))
}

#[test]
fn who_signs_the_server_matters() {
    let casd = Casd::start();
    let proxy = proxy(&casd, nginx::Tls::On, Auth::Open);
    let certificates = proxy.certificates();
    run(async {
        let mut options = options(&proxy.url());
        for authorities in [None, Some(read(&certificates.other_authority()))] {
            options.tls.authorities = authorities;
            let error = error(&options).await;
            let RemoteError::Refused(what) = &error else { panic!("{error:?}") };
            assert!(what.contains("invalid peer certificate"), "{what}");
        }
        options.tls.authorities = Some(read(&certificates.authority()));
        works(&*open(&options).unwrap()).await;
        // The name counts, too.
        options.url = proxy.url().replace("127.0.0.1", "localhost");
        works(&*open(&options).unwrap()).await;
        options.url = proxy.url().replace("127.0.0.1", "127.0.0.2");
        let error = error(&options).await;
        assert!(!matches!(error, RemoteError::Denied(_)), "{error:?}");
    });
}

#[test]
fn a_certificate_of_our_own() {
    let casd = Casd::start();
    let proxy = proxy(&casd, nginx::Tls::Mutual, Auth::Open);
    let certificates = proxy.certificates();
    run(async {
        let mut options = options(&proxy.url());
        options.tls.authorities = Some(read(&certificates.authority()));
        for stranger in [None, identity(certificates.stranger())] {
            options.tls.identity = stranger;
            let error = error(&options).await;
            // nginx lets the handshake pass.
            let RemoteError::Refused(what) = &error else { panic!("{error:?}") };
            assert!(what.contains("HTTP 400"), "{what}");
        }
        options.tls.identity = identity(certificates.client());
        works(&*open(&options).unwrap()).await;
        let key = options.tls.identity.as_ref().expect("a key").1.reveal();
        let secret = key.lines().nth(1).expect("a line of the key");
        assert!(!format!("{options:?}").contains(secret));
    });
}

#[test]
fn a_certificate_of_our_own_is_refused_in_the_handshake() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(directory.path());
    run(async {
        let (certificate, key) = certificates.server();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read(&certificate), read(&key)))
            .client_ca_root(Certificate::from_pem(read(&certificates.authority())));
        let server = Server::builder().tls_config(tls).unwrap();
        let server = Odd::start_with(Behaviour::default(), server);
        let mut options = options(&server.url().replace("grpc:", "grpcs:"));
        options.tls.authorities = Some(read(&certificates.authority()));
        for stranger in [None, identity(certificates.stranger())] {
            options.tls.identity = stranger;
            // The alert may come too late, when our next bytes have met a closed connection: then
            // it counts as a fault that is worth another try, as `Guarded` makes it.
            let mut error = self::error(&options).await;
            for _ in 0..20 {
                if matches!(error, RemoteError::Transient { .. }) {
                    error = self::error(&options).await;
                }
            }
            let RemoteError::Denied(what) = &error else { panic!("{error:?}") };
            assert!(what.contains("alert"), "{what}");
        }
        options.tls.identity = identity(certificates.client());
        works(&*open(&options).unwrap()).await;
    });
}

#[test]
fn a_token() {
    const TOKEN: &str = "hunter2-token";
    let casd = Casd::start();
    let proxy = proxy(&casd, nginx::Tls::On, Auth::Bearer(TOKEN.to_owned()));
    run(async {
        let mut options = options(&proxy.url());
        options.tls.authorities = Some(read(&proxy.certificates().authority()));
        let wrong = Credentials::Bearer(Secret::new("hunter3"));
        for credentials in [Credentials::None, wrong] {
            options.credentials = credentials;
            let error = error(&options).await;
            assert!(matches!(error, RemoteError::Denied(_)), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("hunter"), "{error:?}");
        }
        options.credentials = Credentials::Bearer(Secret::new(TOKEN));
        works(&*open(&options).unwrap()).await;
    });
    assert!(!proxy.log().contains(TOKEN));
}

#[test]
fn a_password() {
    let casd = Casd::start();
    let (user, password) = ("ada".to_owned(), "hunter2".to_owned());
    let auth = Auth::Basic { user: user.clone(), password: password.clone() };
    let proxy = proxy(&casd, nginx::Tls::Off, auth);
    run(async {
        let mut options = options(&proxy.url());
        let with = |password: &str| Credentials::Basic {
            user: user.clone(),
            password: Secret::new(password),
        };
        options.credentials = with("hunter3");
        let error = error(&options).await;
        assert!(matches!(error, RemoteError::Denied(_)), "{error:?}");
        options.credentials = with(&password);
        works(&*open(&options).unwrap()).await;
    });
}

#[test]
fn what_stands_before_the_server_may_answer() {
    let casd = Casd::start();
    let backend = Backend::Grpc(casd.address());
    let statuses = [503, 429, 403, 413, 404].map(|status| {
        let (backend, status) = (backend.clone(), Some(status));
        (status, Nginx::start(nginx::Options { backend, status, ..Default::default() }))
    });
    run(async {
        for (status, proxy) in &statuses {
            let error = error(&options(&proxy.url())).await;
            let fits = match status {
                Some(503 | 429) => matches!(error, RemoteError::Transient { .. }),
                Some(403) => matches!(error, RemoteError::Denied(_)),
                Some(413) => matches!(error, RemoteError::Full(_)),
                _ => matches!(error, RemoteError::Refused(_)),
            };
            assert!(fits, "{status:?}: {error:?}");
            assert!(error.to_string().contains("HTTP"), "{error}");
        }
    });
}

#[test]
fn options_that_cannot_work_are_told_at_once() {
    run(async {
        let refused = |options: &RemoteOptions| open(options).expect_err("it is refused").what;
        let mut plain = options("grpc://cache.example.com:9092");
        assert!(open(&plain).is_ok());
        plain.credentials = Credentials::Bearer(Secret::new("hunter2"));
        assert!(refused(&plain).contains("grpcs://"));
        plain.credentials = Credentials::None;
        plain.tls.authorities = Some(b"x".to_vec());
        assert!(refused(&plain).contains("grpcs"));
        let mut tls = options("grpcs://cache.example.com:9092");
        assert!(open(&tls).is_ok());
        for bad in [
            Tls { authorities: Some(b"hunter2".to_vec()), identity: None },
            Tls { authorities: None, identity: Some((Vec::new(), Secret::new("hunter2"))) },
        ] {
            tls.tls = bad;
            assert!(!refused(&tls).contains("hunter2"));
        }
        let in_url = open(&options("grpcs://ada:hunter2@cache.example.com"));
        let error = in_url.expect_err("it is refused").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        let s3 =
            Credentials::S3 { key: String::new(), secret: Secret::new("hunter2"), token: None };
        let mut tls = options("grpcs://cache.example.com:9092");
        tls.credentials = s3;
        assert!(!refused(&tls).contains("hunter2"));
        tls.credentials = Credentials::Bearer(Secret::new("hunter2\n"));
        assert!(!refused(&tls).contains("hunter2"));
    });
}
