//! Every object that a store holds is damaged, in turn and in every way.

use crate::build::{Backup, Build, remove};
use airtight_test_servers::{BazelRemote, Casd, Nginx, S3, bazel_remote, nginx};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// A bit of a byte in the middle is flipped.
    Middle,
    /// The same of the last byte.
    Last,
    Truncated,
    Empty,
    /// One byte is added.
    Longer,
    /// The bytes of another object.
    Other,
    Directory,
    Link,
    Fifo,
    Unreadable,
}

/// What can become of bytes.
const OF_BYTES: [Damage; 6] = {
    use Damage::*;
    [Middle, Last, Truncated, Empty, Longer, Other]
};

/// What can become of files.
const OF_FILES: [Damage; 10] = {
    use Damage::*;
    [Middle, Last, Truncated, Empty, Longer, Other, Directory, Link, Fifo, Unreadable]
};

/// Damages one object. `others` are the bytes of all of them.
fn damage(path: &Path, bytes: &[u8], how: Damage, others: &[&[u8]]) {
    let mut bytes = bytes.to_vec();
    match how {
        Damage::Middle => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        Damage::Last => *bytes.last_mut().expect("not empty") ^= 1,
        Damage::Truncated => bytes.truncate(bytes.len() / 2),
        Damage::Empty => bytes.clear(),
        Damage::Longer => bytes.push(b'x'),
        Damage::Other => {
            let other = others.iter().find(|other| **other != bytes).expect("another object");
            bytes = other.to_vec();
        }
        Damage::Directory => {
            remove(path);
            fs::create_dir(path).expect("a directory");
            return fs::write(path.join("file"), "in it").expect("a file");
        }
        Damage::Link => {
            remove(path);
            return symlink("/etc/passwd", path).expect("a link");
        }
        Damage::Fifo => {
            remove(path);
            let made = std::process::Command::new("mkfifo").arg(path).status();
            return assert!(made.expect("mkfifo starts").success());
        }
        Damage::Unreadable => {
            let none = Permissions::from_mode(0o000);
            return fs::set_permissions(path, none).expect("a mode");
        }
    }
    remove(path);
    fs::write(path, bytes).expect("a file");
}

/// Damages every object of the storage in every way; after each, with an empty local store, the
/// build is right, and so is the next one.
fn each_object(build: &Build, storage: &Path, wanted: fn(&Path) -> bool, ways: &[Damage]) {
    build.runs("first");
    build.forget();
    build.is_remote("second");
    let backup = Backup::of(storage, wanted);
    assert!(backup.files().len() >= 9, "{:?}", backup.files().keys());
    let all: Vec<&[u8]> = backup.files().values().map(Vec::as_slice).collect();
    let mut missed = 0;
    for (path, bytes) in backup.files() {
        for how in ways {
            // casd keeps the empty blob.
            if bytes.is_empty() && !OF_FILES[3..].contains(how) {
                continue;
            }
            let what = format!("{how:?} {}", path.display());
            damage(path, bytes, *how, &all);
            build.forget();
            let (_, counters) = build.build(&what);
            missed += 1 - counters.hits();
            build.is_local(&format!("after {what}"));
            build.store_is_clean(&what);
            backup.restore();
        }
    }
    // Half of the objects are read by a restore: two entries, the path set, outputs and streams.
    assert!(missed >= ways.len() as u64 * 5, "{missed} misses");
    build.forget();
    build.is_remote("last");
}

fn any(_: &Path) -> bool {
    true
}

#[test]
fn in_the_local_store() {
    let build = Build::new("local");
    build.runs("first");
    let store = build.site.store();
    let backup = Backup::of(&store, |path| !path.ends_with("digests-v1"));
    let all: Vec<&[u8]> = backup.files().values().map(Vec::as_slice).collect();
    let mut missed = 0;
    for (path, bytes) in backup.files() {
        for how in OF_FILES {
            // A lock file is empty.
            if bytes.is_empty() && !OF_FILES[3..].contains(&how) {
                continue;
            }
            let what = format!("{how:?} {}", path.display());
            damage(path, bytes, how, &all);
            if path.ends_with("stats-v1") {
                build.build_uncounted(&what);
                backup.restore();
                continue;
            }
            let (warning, counters) = build.build(&what);
            missed += 1 - counters.hits();
            assert!(counters.hits() == 0 || warning.is_empty(), "{what}: {warning}");
            // The second finds nothing of it any more.
            if !path.ends_with("size-v1") {
                build.is_local(&format!("after {what}"));
            }
            backup.restore();
            build.is_local(&format!("long after {what}"));
            build.store_is_clean(&what);
        }
    }
    assert!(missed >= 7 * 9, "{missed} misses");
}

/// The table of digests of files elsewhere: what comes out of it is in keys.
#[test]
fn in_the_table_of_digests() {
    let build = Build::new("digests");
    build.runs("first");
    let table = build.site.store().join("digests-v1");
    let bytes = fs::read(&table).expect("the table");
    let slots = (0..bytes.len()).step_by(4096).flat_map(|page| (0..51).map(move |n| page + n * 80));
    let used = |at: &usize| {
        bytes.get(*at..at + 80).is_some_and(|record| record.iter().any(|byte| *byte != 0))
    };
    let records: Vec<usize> = slots.filter(used).collect();
    assert!(records.len() > 2, "{records:?}");
    for (nth, record) in records.iter().enumerate() {
        // In the stamp, in the digest, and in the checksum.
        for at in [nth % 40, 40 + nth % 32, 72 + nth % 8] {
            let mut bytes = bytes.clone();
            bytes[record + at] ^= 1 << (nth % 8);
            fs::write(&table, bytes).expect("the table");
            build.is_local(&format!("byte {at} of the record at {record}"));
        }
    }
    for how in [
        Damage::Truncated,
        Damage::Empty,
        Damage::Directory,
        Damage::Link,
        Damage::Fifo,
        Damage::Unreadable,
    ] {
        remove(&table);
        fs::write(&table, &bytes).expect("the table");
        damage(&table, &bytes, how, &[]);
        build.is_local(&format!("{how:?}"));
        build.is_local(&format!("{how:?}, again"));
    }
    remove(&table);
    // A record that says that one file has the content of another.
    fs::write(&table, &bytes).expect("the table");
    for pair in records.windows(2) {
        let mut bytes = bytes.clone();
        let digest = bytes[pair[0] + 40..pair[0] + 72].to_vec();
        bytes[pair[1] + 40..pair[1] + 72].copy_from_slice(&digest);
        fs::write(&table, bytes).expect("the table");
        build.is_local("a digest of another record");
    }
}

/// What stands where buckets and their directories belong.
#[test]
fn in_the_place_of_directories() {
    let build = Build::new("directories");
    build.runs("first");
    let store = build.site.store();
    let shards = |bucket: &str| {
        let listed = fs::read_dir(store.join(bucket)).expect("a bucket");
        listed.map(|shard| shard.expect("a directory").path()).collect::<Vec<_>>()
    };
    let mut places: Vec<_> = ["ac-v1", "cas-v1", "tmp"].map(|name| store.join(name)).into();
    places.extend(shards("ac-v1").into_iter().chain(shards("cas-v1")));
    for place in places {
        for how in [Damage::Empty, Damage::Link, Damage::Fifo] {
            let what = format!("{how:?} {}", place.display());
            remove(&place);
            damage(&place, b"x", how, &[]);
            build.build(&what);
            build.build(&format!("after {what}"));
            remove(&place);
            build.build(&format!("long after {what}"));
            build.is_local(&format!("longer after {what}"));
        }
    }
}

#[test]
fn in_a_shared_directory() {
    let build = Build::new("directory");
    let shared = build.site.root().join("shared");
    fs::create_dir(&shared).expect("a directory");
    build.remote(&format!("file://{}", shared.display()), "");
    each_object(&build, &shared, any, &OF_FILES);
}

#[test]
fn in_nginx() {
    let server = Nginx::start(nginx::Options::default());
    let build = Build::new("nginx");
    build.remote(&server.url(), "");
    each_object(&build, server.storage(), any, &OF_BYTES);
}

#[test]
fn in_bazel_remote() {
    let server = BazelRemote::start(bazel_remote::Options::default());
    let build = Build::new("bazel-remote");
    build.remote(&server.url(), "");
    each_object(&build, server.storage(), any, &OF_BYTES);
}

#[test]
fn in_casd() {
    let server = Casd::start();
    let build = Build::new("casd");
    build.remote(&server.url(), "");
    let object = |path: &Path| path.components().any(|part| part.as_os_str() == "objects");
    each_object(&build, server.storage(), object, &OF_BYTES);
}

#[test]
fn in_s3() {
    let server = S3::start();
    let mut build = Build::new("s3");
    build.site = build.site.with("KEY", server.access_key()).with("SECRET", server.secret_key());
    build.remote(
        &format!("s3://{}/p", server.bucket()),
        &format!(
            "endpoint = \"{}\"\naccess-key-env = \"KEY\"\nsecret-key-env = \"SECRET\"",
            server.endpoint()
        ),
    );
    let object = |path: &Path| path.components().any(|part| part.as_os_str() == "p");
    each_object(&build, server.storage(), object, &OF_BYTES);
}
