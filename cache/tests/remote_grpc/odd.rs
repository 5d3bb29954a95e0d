//! A server that is odd, refuses, or lies.

use crate::server::{Behaviour, Lie, Odd, Writes};
use crate::support::{Store, blob, entry, options, remote, run};
use airtight_cache::remote::{Credentials, RemoteError, Secret, open};
use airtight_cache::{Blob, Digest};
use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, RequestMetadata, ToolDetails, digest_function,
};
use bazel_remote_apis::google;
use futures_util::future::join_all;
use prost::Message as _;
use std::io::Write as _;
use std::time::Duration;
use tonic::{Code, Status};

/// Larger than a batch.
const LARGE: usize = 2 << 20;

#[test]
fn nothing_is_sent_to_who_takes_nothing() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| it.cache().action_cache_update_capabilities = None);
        let remote = remote(&server.url());
        let answers = [
            remote.put_entry(&Digest::of(b"x"), entry("x")).await,
            remote.put_blob(&blob(10, 1)).await,
            remote.put_blob(&blob(LARGE, 1)).await,
            remote.put_blobs(&[blob(10, 1)]).await,
        ];
        for answer in answers {
            let Err(RemoteError::Refused(what)) = &answer else { panic!("{answer:?}") };
            assert!(what.contains("read-only"), "{what}");
        }
        let calls: Vec<String> = server.calls().into_iter().map(|call| call.name).collect();
        assert_eq!(calls, ["GetCapabilities"]);
        assert_eq!(remote.get_entry(&Digest::of(b"x")).await, Ok(None));
    });
}

#[test]
fn who_speaks_another_language_is_refused() {
    run(async {
        for what in ["versions", "SHA-256"] {
            let server = Odd::start(Behaviour::default());
            server.set(|it| match what {
                "versions" => it.capabilities.low_api_version.as_mut().unwrap().major = 3,
                _ => {
                    let blake = digest_function::Value::Blake3 as i32;
                    it.cache().digest_functions = vec![blake];
                }
            });
            let remote = remote(&server.url());
            for _ in 0..2 {
                let answer = remote.get_entry(&Digest::of(b"x")).await;
                let Err(RemoteError::Refused(told)) = &answer else { panic!("{answer:?}") };
                assert!(told.contains(what), "{told}");
            }
            // That lasts: nobody asks again.
            assert_eq!(server.count(""), 1);
        }
    });
}

#[test]
fn capabilities_are_asked_once_and_again_after_a_failure() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| {
            it.delay = Duration::from_millis(50);
            it.not_ready = vec![Status::unauthenticated("who?"), Status::unavailable("starting")];
        });
        let remote = remote(&server.url());
        let key = Digest::of(b"x");
        let answers = join_all((0..50).map(|_| remote.get_entry(&key))).await;
        for answer in answers {
            let transient = RemoteError::Transient {
                what: "GetCapabilities: starting".to_owned(),
                retry_after: None,
            };
            assert_eq!(answer, Err(transient));
        }
        assert_eq!(server.count("GetCapabilities"), 1);
        // A token may be renewed while we run.
        let denied = RemoteError::Denied("GetCapabilities: who?".to_owned());
        assert_eq!(remote.get_entry(&key).await, Err(denied));
        let answers = join_all((0..50).map(|_| remote.get_entry(&key))).await;
        assert!(answers.iter().all(|answer| *answer == Ok(None)), "{answers:?}");
        assert_eq!(server.count("GetCapabilities"), 3);
    });
}

#[test]
fn a_small_limit_is_kept() {
    const LIMIT: usize = 64 << 10;
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| it.cache().max_batch_total_size_bytes = LIMIT as i64);
        let remote = remote(&server.url());
        let store = Store::new();
        let sizes = [1, 10_000, 30_000, LIMIT - 1, LIMIT, LIMIT + 1, 5_000];
        let blobs: Vec<Blob> = (0..100).map(|n| blob(sizes[n % 7], n as u64)).collect();
        remote.put_blobs(&blobs).await.unwrap();
        let mut incoming: Vec<_> = blobs.iter().map(|blob| store.incoming(blob.digest())).collect();
        let answers = remote.get_blobs(&mut incoming).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)), "{answers:?}");
        for incoming in incoming {
            incoming.commit().unwrap();
        }
        for call in server.calls() {
            assert!(!call.name.starts_with("Batch") || call.bytes <= LIMIT, "{call:?}");
            assert_eq!(call.instance, "an/instance", "{}", call.name);
        }
        assert!(server.count("Batch") < 100, "{}", server.count("Batch"));
        let large = blobs.iter().filter(|blob| blob.digest().size() > LIMIT as u64);
        assert!(server.count("Write") >= large.count());
        // 3,000 digests don't fit into one question of that size.
        let digests: Vec<Digest> = (0..3000_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
        assert_eq!(remote.missing(&digests).await.unwrap(), digests);
        for call in server.calls().iter().filter(|call| call.name == "FindMissingBlobs") {
            assert!(call.bytes <= LIMIT, "{call:?}");
        }
    });
}

#[test]
fn a_server_without_batches() {
    run(async {
        let server = Odd::start(Behaviour { batches: false, ..Behaviour::default() });
        let remote = remote(&server.url());
        let store = Store::new();
        let blobs: Vec<Blob> = (0..20).map(|seed| blob(100, seed)).collect();
        remote.put_blobs(&blobs).await.unwrap();
        let mut incoming: Vec<_> = blobs.iter().map(|blob| store.incoming(blob.digest())).collect();
        let answers = remote.get_blobs(&mut incoming).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)), "{answers:?}");
        assert_eq!(server.count("Batch"), 1);
        assert_eq!((server.count("Write"), server.count("Read")), (20, 20));
    });
}

#[test]
fn a_blob_beyond_the_limit_is_not_sent() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| it.cache().max_cas_blob_size_bytes = 1000);
        let remote = remote(&server.url());
        remote.put_blob(&blob(1000, 1)).await.unwrap();
        let answer = remote.put_blob(&blob(1001, 1)).await;
        assert!(matches!(answer, Err(RemoteError::Full(_))), "{answer:?}");
        assert_eq!(server.count("BatchUpdateBlobs"), 1);
    });
}

#[test]
fn no_lie_is_believed() {
    let lies = [
        Lie::Longer,
        Lie::Shorter,
        Lie::Other,
        Lie::Endless,
        Lie::Empty,
        Lie::Misnamed,
        Lie::Silent,
        Lie::Twice,
        Lie::Huge,
    ];
    run(async {
        for zstd in [false, true] {
            let server = Odd::start(Behaviour::default());
            if zstd {
                server.set(|it| it.cache().supported_compressors = vec![1]);
            }
            let remote = remote(&server.url());
            let blobs = [blob(1000, 1), blob(LARGE, 2)];
            for blob in &blobs {
                server.keep(&blob.bytes().unwrap());
            }
            for lie in lies {
                server.set(|it| it.lie = lie);
                let store = Store::new();
                for blob in &blobs {
                    // These are about one of the two ways only.
                    let batch = blob.digest().size() < LARGE as u64;
                    let harmless = match lie {
                        Lie::Endless | Lie::Empty => batch,
                        Lie::Misnamed | Lie::Silent => !batch,
                        Lie::Twice => true,
                        _ => false,
                    };
                    let mut incoming = store.incoming(blob.digest());
                    let answer = remote.get_blob(&mut incoming).await;
                    assert!(incoming.received() <= blob.digest().size(), "{lie:?}");
                    if harmless {
                        assert_eq!(answer, Ok(true), "{lie:?}");
                        incoming.commit().unwrap();
                        continue;
                    }
                    match answer {
                        Ok(true) if lie == Lie::Other => {}
                        Err(RemoteError::Wrong(_)) => {}
                        answer => panic!("{lie:?}, {}: {answer:?}", blob.digest()),
                    }
                    // What comes after the blob is not taken.
                    if matches!(lie, Lie::Endless | Lie::Longer) {
                        continue;
                    }
                    assert!(incoming.commit().is_err(), "{lie:?}");
                    assert_eq!(store.bytes(&blob.digest()), None);
                }
            }
            server.set(|it| it.lie = Lie::Misnamed);
            let asked = [Digest::of(b"missing"), blobs[0].digest()];
            assert_eq!(remote.missing(&asked).await.unwrap(), [asked[0]]);
        }
    });
}

#[test]
fn an_entry_is_bounded() {
    run(async {
        let server = Odd::start(Behaviour::default());
        let remote = remote(&server.url());
        let key = Digest::of(b"x");
        for (size, fits) in [((2 << 20) - 16, true), (2 << 20, false)] {
            let entry = ActionResult { stdout_raw: vec![7; size], ..Default::default() };
            server.set(|it| it.entry = Some(entry));
            match remote.get_entry(&key).await {
                Ok(Some(entry)) if fits => assert!(entry.len() > size),
                Err(RemoteError::Wrong(_)) if !fits => {}
                answer => panic!("{size}: {:?}", answer.map(|entry| entry.map(|e| e.len()))),
            }
        }
    });
}

#[test]
fn an_entry_is_passed_as_it_is() {
    run(async {
        let server = Odd::start(Behaviour::default());
        let remote = remote(&server.url());
        let key = Digest::of(b"x");
        remote.put_entry(&key, entry("signed")).await.unwrap();
        assert_eq!(remote.get_entry(&key).await, Ok(Some(entry("signed"))));
    });
}

#[test]
fn zstd_goes_both_ways() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| {
            it.cache().supported_compressors = vec![0, 1];
            it.cache().supported_batch_update_compressors = vec![0, 1];
        });
        let mut bytes = b"much the same ".repeat(300_000);
        bytes.extend(0..100);
        let blob = Blob::of(bytes.clone());
        let (small, dense) = (Blob::of(bytes[..9000].to_vec()), crate::support::blob(10, 1));
        for compress in [true, false] {
            let mut options = options(&server.url());
            options.compress = compress;
            let remote = open(&options).unwrap();
            let store = Store::new();
            remote.put_blob(&blob).await.unwrap();
            assert!(server.blob(&bytes).as_ref() == Some(&bytes));
            let came = store.fetch(&*remote, blob.digest()).await.unwrap();
            assert!(came.as_ref() == Some(&bytes));
            remote.put_blobs(&[small.clone(), dense.clone()]).await.unwrap();
            remote.put_blob(&small).await.unwrap();
            for blob in [&small, &dense] {
                let came = store.fetch(&*remote, blob.digest()).await.unwrap();
                assert_eq!(came.as_deref(), Some(&blob.bytes().unwrap()[..]));
            }
            // What does not shrink is sent as it is.
            assert_eq!((server.count("zstd in an up"), server.count("zstd in a down")), (2, 2));
            let times = if compress { (1, 1, 0, 0) } else { (1, 1, 1, 1) };
            let plain = (server.count("Write blobs"), server.count("Read blobs"));
            let zstd = (server.count("Write comp"), server.count("Read comp"));
            assert_eq!((zstd.0, zstd.1, plain.0, plain.1), times);
        }
    });
}

#[test]
fn a_small_stream_that_grows_is_stopped() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| it.cache().supported_compressors = vec![1]);
        let remote = remote(&server.url());
        // 8 MiB of zeros instead of 2 MiB of something, in a few hundred bytes.
        let blob = blob(LARGE, 1);
        server.keep(&blob.bytes().unwrap());
        server.set(|it| it.lie = Lie::Huge);
        let mut incoming = Store::new().incoming(blob.digest());
        let answer = remote.get_blob(&mut incoming).await;
        assert!(matches!(answer, Err(RemoteError::Wrong(_))), "{answer:?}");
        assert!(incoming.received() <= LARGE as u64);
    });
}

#[test]
fn an_upload_that_ends_early_is_stored_already() {
    run(async {
        for zstd in [false, true] {
            let server = Odd::start(Behaviour { writes: Writes::Exists, ..Behaviour::default() });
            if zstd {
                server.set(|it| it.cache().supported_compressors = vec![1]);
            }
            let remote = remote(&server.url());
            remote.put_blob(&blob(64 << 20, 1)).await.unwrap();
            server.set(|it| it.writes = Writes::Short);
            let answer = remote.put_blob(&blob(LARGE, 1)).await;
            assert!(matches!(answer, Err(RemoteError::Wrong(_))), "{answer:?}");
        }
    });
}

#[test]
fn an_upload_may_be_slow() {
    run(async {
        let server = Odd::start(Behaviour { writes: Writes::Slowly(200), ..Behaviour::default() });
        let mut options = options(&server.url());
        options.idle_timeout = Duration::from_secs(3);
        let remote = open(&options).unwrap();
        let began = std::time::Instant::now();
        remote.put_blob(&blob(8 << 20, 1)).await.unwrap();
        assert!(began.elapsed() > options.idle_timeout, "{:?}", began.elapsed());
    });
}

#[test]
fn a_file_that_changed_is_a_failure_of_our_own() {
    run(async {
        let server = Odd::start(Behaviour::default());
        let remote = remote(&server.url());
        for size in [1000, LARGE] {
            let bytes = vec![7; size];
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes[..size / 2]).unwrap();
            let answer = remote.put_blob(&Blob::file(file, Digest::of(&bytes))).await;
            assert!(
                matches!(answer, Err(RemoteError::Local(_) | RemoteError::Wrong(_))),
                "{answer:?}"
            );
        }
    });
}

#[test]
fn a_refusal_is_what_it_says() {
    type Is = fn(&RemoteError) -> bool;
    let cases: [(Code, Is); 9] = [
        (Code::Unavailable, |e| matches!(e, RemoteError::Transient { .. })),
        (Code::Aborted, |e| matches!(e, RemoteError::Transient { .. })),
        (Code::Internal, |e| matches!(e, RemoteError::Transient { .. })),
        (Code::Unauthenticated, |e| matches!(e, RemoteError::Denied(_))),
        (Code::PermissionDenied, |e| matches!(e, RemoteError::Denied(_))),
        (Code::ResourceExhausted, |e| matches!(e, RemoteError::Full(_))),
        (Code::InvalidArgument, |e| matches!(e, RemoteError::Refused(_))),
        (Code::FailedPrecondition, |e| matches!(e, RemoteError::Refused(_))),
        (Code::DataLoss, |e| matches!(e, RemoteError::Wrong(_))),
    ];
    run(async {
        let server = Odd::start(Behaviour::default());
        let remote = remote(&server.url());
        let store = Store::new();
        let key = Digest::of(b"x");
        let blobs = [blob(1000, 1), blob(LARGE, 1)];
        for (code, is) in cases {
            let status = Status::new(code, "because");
            server.set(|it| it.refusal = Some(status));
            let mut errors = vec![
                remote.get_entry(&key).await.unwrap_err(),
                remote.put_entry(&key, entry("x")).await.unwrap_err(),
                remote.missing(&[key]).await.unwrap_err(),
                remote.put_blobs(&blobs).await.unwrap_err(),
            ];
            for blob in &blobs {
                let mut incoming = store.incoming(blob.digest());
                errors.push(remote.get_blob(&mut incoming).await.unwrap_err());
                errors.push(remote.put_blob(blob).await.unwrap_err());
            }
            for error in errors {
                assert!(is(&error), "{code:?}: {error:?}");
                assert!(error.to_string().ends_with(": because"), "{error}");
            }
            // The same of single blobs in a batch.
            let status = google::rpc::Status {
                code: code as i32,
                message: "so".to_owned(),
                ..Default::default()
            };
            server.set(|it| {
                it.refusal = None;
                it.blob_status = Some(status);
            });
            let mut incoming = store.incoming(blobs[0].digest());
            for error in [
                remote.get_blob(&mut incoming).await.unwrap_err(),
                remote.put_blob(&blobs[0]).await.unwrap_err(),
            ] {
                assert!(is(&error), "{code:?}: {error:?}");
            }
            server.set(|it| it.blob_status = None);
        }
        server.set(|it| it.lie = Lie::Silent);
        let answer = remote.put_blob(&blobs[0]).await;
        assert!(matches!(answer, Err(RemoteError::Wrong(_))), "{answer:?}");
    });
}

#[test]
fn no_more_requests_than_connections() {
    run(async {
        let server = Odd::start(Behaviour::default());
        server.set(|it| it.delay = Duration::from_millis(20));
        let mut options = options(&server.url());
        options.connections = 4;
        let remote = open(&options).unwrap();
        let blobs: Vec<Blob> = (0..8).map(|seed| blob(LARGE, seed)).collect();
        for blob in &blobs {
            server.keep(&blob.bytes().unwrap());
        }
        let store = Store::new();
        let mut incoming: Vec<_> = blobs.iter().map(|blob| store.incoming(blob.digest())).collect();
        let keys: Vec<Digest> = (0..50_u8).map(|n| Digest::of(&[n])).collect();
        let (blobs, entries) = tokio::join!(
            remote.get_blobs(&mut incoming),
            join_all(keys.iter().map(|key| remote.get_entry(key))),
        );
        assert!(blobs.iter().all(|answer| *answer == Ok(true)), "{blobs:?}");
        assert!(entries.iter().all(|answer| *answer == Ok(None)), "{entries:?}");
        assert_eq!(server.most_at_once(), 4);
    });
}

#[test]
fn the_tool_and_the_action_are_named() {
    run(async {
        let server = Odd::start(Behaviour::default());
        let remote = remote(&server.url());
        let key = Digest::of(b"x");
        assert_eq!(remote.get_entry(&key).await, Ok(None));
        remote.put_blob(&blob(LARGE, 1)).await.unwrap();
        let name = "build.bazel.remote.execution.v2.requestmetadata-bin";
        for call in server.calls() {
            let bytes = call.metadata.get_bin(name).expect(name).to_bytes().unwrap();
            let metadata = RequestMetadata::decode(bytes).unwrap();
            let tool = ToolDetails {
                tool_name: "airtight".to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            assert_eq!(metadata.tool_details, Some(tool));
            let action = if call.name == "GetActionResult" { &key.to_string()[..64] } else { "" };
            assert_eq!(metadata.action_id, action, "{}", call.name);
            assert_eq!(call.metadata.get("authorization"), None);
        }
    });
}

#[test]
fn what_is_secret_stays_secret() {
    let bearer = Credentials::Bearer(Secret::new("hunter2-token"));
    let basic =
        Credentials::Basic { user: "ada".to_owned(), password: Secret::new("hunter2-password") };
    run(async {
        for (credentials, header) in
            [(bearer, "Bearer hunter2-token"), (basic, "Basic YWRhOmh1bnRlcjItcGFzc3dvcmQ=")]
        {
            let server = Odd::start(Behaviour { indiscreet: true, ..Behaviour::default() });
            let mut options = options(&server.url());
            options.credentials = credentials;
            let remote = open(&options).unwrap();
            let error = remote.get_entry(&Digest::of(b"x")).await.unwrap_err();
            assert!(matches!(error, RemoteError::Denied(_)), "{error:?}");
            let calls = server.calls();
            assert_eq!(calls[0].metadata.get("authorization").unwrap(), header);
            for text in [error.to_string(), format!("{error:?} {remote:?} {options:?}")] {
                assert!(!text.contains("hunter2"), "{text}");
                assert!(!text.contains(&header[7..]), "{text}");
            }
        }
    });
}
