//! buildbox-casd and BuildGrid.

use crate::support::{Store, blob, bytes, entry, note, options, remote, run};
use airtight_cache::remote::{Remote, RemoteError, open};
use airtight_cache::{Blob, Digest};
use airtight_test_servers::{BuildGrid, Casd, Fault, Faults};
use std::fs;
use std::time::{Duration, Instant};

const SIZES: [usize; 8] = [0, 1, 64 << 10, 1 << 20, (39 << 20) / 10, 4 << 20, 5 << 20, 64 << 20];

async fn blobs_go_both_ways(remote: &dyn Remote) {
    let store = Store::new();
    let blobs: Vec<Blob> = (0..).zip(SIZES).map(|(seed, size)| blob(size, seed)).collect();
    let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
    assert_eq!(remote.missing(&digests[1..]).await.unwrap(), &digests[1..]);
    for digest in &digests[1..] {
        assert_eq!(store.fetch(remote, *digest).await.unwrap(), None, "{digest}");
    }
    for blob in &blobs {
        remote.put_blob(blob).await.unwrap();
        // A second time, when it exists.
        remote.put_blob(blob).await.unwrap();
    }
    assert_eq!(remote.missing(&digests).await.unwrap(), []);
    for blob in &blobs {
        let came = store.fetch(remote, blob.digest()).await.unwrap();
        assert!(came.as_deref() == Some(&blob.bytes().unwrap()[..]), "{}", blob.digest());
    }
    let mut all: Vec<_> = digests.iter().map(|digest| store.incoming(*digest)).collect();
    for answer in remote.get_blobs(&mut all).await {
        assert_eq!(answer, Ok(true));
    }
    for incoming in all {
        incoming.commit().unwrap();
    }
}

async fn entries_go_both_ways(remote: &dyn Remote) {
    let key = Digest::of(b"an action");
    assert_eq!(remote.get_entry(&key).await.unwrap(), None);
    for text in ["a verdict and its signature", "another one"] {
        remote.put_entry(&key, entry(text)).await.unwrap();
        let came = remote.get_entry(&key).await.unwrap().expect("an entry");
        assert_eq!(note(&came), text);
    }
}

async fn a_thousand_at_once(remote: &dyn Remote) {
    let store = Store::new();
    let blobs: Vec<Blob> = (0..1000).map(|seed| blob(100 + seed as usize, seed)).collect();
    remote.put_blobs(&blobs[..500]).await.unwrap();
    // Half of them are there now, and one comes twice.
    let mut again = blobs.clone();
    again.push(blobs[700].clone());
    remote.put_blobs(&again).await.unwrap();
    let strange = Digest::of(b"nobody has this");
    let mut digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
    digests.insert(300, strange);
    digests.insert(600, digests[5]);
    assert_eq!(remote.missing(&digests).await.unwrap(), [strange]);
    let mut incoming: Vec<_> = digests.iter().map(|digest| store.incoming(*digest)).collect();
    let answers = remote.get_blobs(&mut incoming).await;
    assert_eq!(answers.len(), digests.len());
    for (answer, incoming) in answers.into_iter().zip(incoming) {
        let digest = incoming.digest();
        assert_eq!(answer, Ok(digest != strange), "{digest}");
        if digest != strange {
            incoming.commit().unwrap();
            assert!(store.bytes(&digest).is_some());
        }
    }
}

#[test]
fn casd_keeps_what_it_is_given() {
    let server = Casd::start();
    run(async {
        let remote = remote(&server.url());
        entries_go_both_ways(&*remote).await;
        a_thousand_at_once(&*remote).await;
        blobs_go_both_ways(&*remote).await;
    });
}

#[test]
fn buildgrid_keeps_what_it_is_given() {
    let server = BuildGrid::start();
    run(async {
        let remote = remote(&format!("{}/{}", server.url(), BuildGrid::INSTANCE));
        entries_go_both_ways(&*remote).await;
        a_thousand_at_once(&*remote).await;
        blobs_go_both_ways(&*remote).await;
    });
}

#[test]
fn an_unknown_instance_is_refused() {
    let server = BuildGrid::start();
    run(async {
        let remote = remote(&format!("{}/no/such/instance", server.url()));
        let error = remote.get_entry(&Digest::of(b"x")).await.unwrap_err();
        assert!(matches!(&error, RemoteError::Refused(_)), "{error:?}");
        let error = remote.put_blobs(&[Blob::of("x")]).await.unwrap_err();
        assert!(matches!(&error, RemoteError::Refused(_)), "{error:?}");
    });
}

/// Flips a bit of every file below.
fn rot(directory: &std::path::Path) -> usize {
    let mut rotten = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rotten += rot(&path);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            let Some(byte) = bytes.last_mut() else { continue };
            *byte ^= 1;
            // Another file in its place, in case it is linked or read-only.
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            rotten += 1;
        }
    }
    rotten
}

#[test]
fn a_rotten_blob_is_not_taken() {
    let server = Casd::start();
    run(async {
        let remote = remote(&server.url());
        let blobs = [blob(1000, 1), blob(3 << 20, 2)];
        remote.put_blobs(&blobs).await.unwrap();
        assert!(rot(&server.storage().join("cas/objects")) >= 2);
        let store = Store::new();
        for blob in &blobs {
            let mut incoming = store.incoming(blob.digest());
            // The server serves it, with the right size.
            assert_eq!(remote.get_blob(&mut incoming).await, Ok(true));
            assert!(incoming.commit().is_err());
            assert_eq!(store.bytes(&blob.digest()), None);
        }
    });
}

#[test]
fn a_server_that_goes_and_comes() {
    let server = Casd::start();
    let address = server.address();
    let other = Casd::start();
    let target = other.address();
    run(async {
        let remote = remote(&server.url());
        let blob = blob(100, 1);
        remote.put_blob(&blob).await.unwrap();
        drop(server);
        let began = Instant::now();
        for _ in 0..3 {
            let error = remote.missing(&[blob.digest()]).await.unwrap_err();
            let RemoteError::Transient { what, .. } = &error else { panic!("{error:?}") };
            assert!(what.starts_with("FindMissingBlobs: "), "{what}");
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // Another connection is made as soon as somebody is there again.
        let listener = std::net::TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut server = std::net::TcpStream::connect(target).unwrap();
            let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
            let _ = std::io::copy(&mut client, &mut server);
        });
        assert_eq!(remote.missing(&[blob.digest()]).await.unwrap(), [blob.digest()]);
    });
}

#[test]
fn a_server_that_was_never_there() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run(async {
        let remote = remote(&format!("grpc://127.0.0.1:{port}"));
        let error = remote.get_entry(&Digest::of(b"x")).await.unwrap_err();
        let RemoteError::Transient { what, .. } = &error else { panic!("{error:?}") };
        assert!(what.contains("Connection refused"), "{what}");
    });
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let server = Casd::start();
    let faults = Faults::in_front_of(&server.url());
    run(async {
        let mut options = options(&faults.url());
        options.idle_timeout = Duration::from_secs(1);
        let store = Store::new();
        let blobs = [blob(1000, 1), blob(3 << 20, 2)];
        let keys = [Digest::of(b"a"), Digest::of(b"b")];
        let remote = open(&options).unwrap();
        remote.put_blobs(&blobs).await.unwrap();
        faults.set(Fault::Hang);
        let began = Instant::now();
        let mut incoming: Vec<_> = blobs.iter().map(|blob| store.incoming(blob.digest())).collect();
        let (blobs, entries) = tokio::join!(
            remote.get_blobs(&mut incoming),
            futures_util::future::join_all(keys.iter().map(|key| remote.get_entry(key))),
        );
        let errors = blobs.into_iter().map(Result::unwrap_err);
        for error in errors.chain(entries.into_iter().map(Result::unwrap_err)) {
            assert!(matches!(error, RemoteError::Transient { .. }), "{error:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        // The connection that hung is not used again.
        faults.set(Fault::None);
        assert_eq!(remote.get_entry(&keys[0]).await, Ok(None));
    });
}

#[test]
fn a_server_that_closes_in_the_middle() {
    let server = Casd::start();
    let faults = Faults::in_front_of(&server.url());
    run(async {
        let remote = remote(&faults.url());
        let store = Store::new();
        let blob = blob(8 << 20, 1);
        remote.put_blob(&blob).await.unwrap();
        faults.set(Fault::CloseAfter(1 << 20));
        let mut incoming = store.incoming(blob.digest());
        let error = remote.get_blob(&mut incoming).await.unwrap_err();
        assert!(matches!(error, RemoteError::Transient { .. }), "{error:?}");
        // The next try begins anew, in the same file.
        faults.set(Fault::None);
        let mut answer = remote.get_blob(&mut incoming).await;
        for _ in 0..5 {
            // It may still meet the end of the connection that was closed.
            if matches!(answer, Err(RemoteError::Transient { .. })) {
                answer = remote.get_blob(&mut incoming).await;
            }
        }
        assert_eq!(answer, Ok(true));
        incoming.commit().unwrap();
        assert_eq!(store.bytes(&blob.digest()), Some(bytes(8 << 20, 1)));
    });
}

#[test]
fn what_is_slow_but_flows_may_last() {
    let server = Casd::start();
    let faults = Faults::in_front_of(&server.url());
    run(async {
        let mut options = options(&faults.url());
        let store = Store::new();
        let blob = blob(200 << 10, 1);
        open(&options).unwrap().put_blob(&blob).await.unwrap();
        options.idle_timeout = Duration::from_secs(1);
        let remote = open(&options).unwrap();
        faults.set(Fault::Drip { bytes: 8 << 10, every: Duration::from_millis(100) });
        let began = Instant::now();
        let mut incoming = store.incoming(blob.digest());
        assert_eq!(remote.get_blob(&mut incoming).await, Ok(true));
        incoming.commit().unwrap();
        assert!(began.elapsed() > options.idle_timeout, "{:?}", began.elapsed());
    });
}

#[test]
fn garbage_is_an_error() {
    let server = Casd::start();
    let faults = Faults::in_front_of(&server.url());
    run(async {
        faults.set(Fault::Garbage);
        let remote = remote(&faults.url());
        let error = remote.get_entry(&Digest::of(b"x")).await.unwrap_err();
        assert!(matches!(error, RemoteError::Transient { .. }), "{error:?}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    });
}
