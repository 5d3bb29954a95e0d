//! Whatever happens to the files of the store, what comes out is right or is not there.

use airtight_cache::Digest;
use airtight_cache::digest::{digest_of, from_hex, hex};
use airtight_cache::file_digests::FileDigests;
use airtight_cache::local::{LocalStore, StoreOptions};
use airtight_cache::stats::{Counters, Stats};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What the actions of these tests give.
fn outputs(action: u8) -> [Vec<u8>; 2] {
    [vec![action + 1; 40], format!("output of {action}").into_bytes()]
}

fn key(action: u8) -> Digest {
    Digest::of(&[action])
}

fn publish(store: &LocalStore, action: u8) -> Result<(), Box<dyn std::error::Error>> {
    let mut entry = String::new();
    for output in outputs(action) {
        let digest = store.put_bytes(&output)?;
        entry += &format!("{} {}\n", hex(&digest), digest.size());
    }
    Ok(store.put_entry(&key(action), entry.as_bytes())?)
}

/// As whoever restores does: takes an entry, opens its blobs, hashes them.
fn restore(store: &LocalStore, action: u8) -> Option<Vec<Vec<u8>>> {
    let entry = store.get_entry(&key(action)).ok()??;
    let blob = |line: &str| {
        let (hash, size) = line.split_once(' ')?;
        let digest = from_hex(hash, size.parse().ok()?)?;
        let mut bytes = Vec::new();
        store.open_blob(&digest).ok()??.read_to_end(&mut bytes).ok()?;
        if Digest::of(&bytes) == digest {
            return Some(bytes);
        }
        store.discard_blob(&digest);
        None
    };
    String::from_utf8(entry).ok()?.lines().map(blob).collect()
}

fn filled() -> Result<(TempDir, LocalStore), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let quick = StoreOptions { durable: false };
    let store = LocalStore::open_with(&directory.path().join("store"), quick)?;
    for action in 0..3 {
        publish(&store, action)?;
    }
    Ok((directory, store))
}

/// The entries and blobs.
fn objects(store: &LocalStore) -> Vec<PathBuf> {
    let list = |path: PathBuf| {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    let buckets = ["ac-v1", "cas-v1"].map(|name| store.root().join(name));
    let mut found: Vec<_> = buckets.into_iter().flat_map(list).flat_map(list).collect();
    found.sort();
    found
}

fn put_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::write(path, bytes)
}

/// Every action comes out right or not at all; how many did.
fn count_right(store: &LocalStore) -> Result<usize, String> {
    let mut right = 0;
    for action in 0..3 {
        match restore(store, action) {
            Some(got) if got == outputs(action) => right += 1,
            Some(got) => return Err(format!("action {action} gave {got:?}")),
            None => {}
        }
    }
    Ok(right)
}

fn check_damage(damage: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Outcome {
    let (_directory, store) = filled()?;
    assert_eq!(count_right(&store)?, 3);
    let objects = objects(&store);
    assert_eq!(objects.len(), 9);
    for path in objects {
        let whole = fs::read(&path)?;
        for damaged in damage(&whole) {
            put_in_place(&path, &damaged)?;
            let mut bad = Vec::new();
            let report = store.verify(&mut |event| {
                if let airtight_cache::local::VerifyEvent::Bad { path, .. } = event {
                    bad.push(path.to_owned());
                }
            })?;
            assert_eq!(report.damaged_entries + report.damaged_blobs, 1, "{}", path.display());
            assert_eq!(bad, std::slice::from_ref(&path));
            assert!(!path.exists());

            fs::write(&path, &damaged)?;
            assert_eq!(count_right(&store)?, 2, "{}", path.display());
            assert!(!path.exists(), "who finds damage removes it");

            fs::write(&path, &damaged)?;
            for action in 0..3 {
                publish(&store, action)?;
            }
            assert_eq!(count_right(&store)?, 3, "who publishes replaces it");
            assert_eq!(fs::read(&path)?, whole);
        }
    }
    assert!(store.verify(&mut |_| {})?.is_clean());
    Ok(())
}

#[test]
fn one_flipped_byte_anywhere_is_a_miss() -> Outcome {
    check_damage(|whole| {
        let flip = |at: usize| {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << (at % 8);
            bytes
        };
        (0..whole.len()).map(flip).collect()
    })
}

#[test]
fn a_cut_or_a_longer_object_is_a_miss() -> Outcome {
    check_damage(|whole| {
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        // What a power loss leaves: the right size, and nothing in it.
        let zeros = vec![0; whole.len()];
        cut.chain([[whole, b"\0"].concat(), zeros, [whole, whole].concat()]).collect()
    })
}

type Garbage = fn(&Path) -> io::Result<()>;

const GARBAGE: [(&str, Garbage); 7] = [
    ("an empty file", |path| fs::write(path, "")),
    ("a file", |path| fs::write(path, [0xa5; 5_000])),
    ("an endless file", |path| File::create(path)?.set_len(1 << 33)),
    ("a directory", |path| {
        fs::create_dir(path)?;
        fs::write(path.join("x"), "x")
    }),
    ("a dangling link", |path| symlink("/nowhere/at/all", path)),
    ("a link to a file", |path| symlink("/proc/self/exe", path)),
    ("a pipe", |path| Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?)),
];

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Uses the store in every way; nothing may hang, panic or be wrong.
fn use_it(store: &LocalStore, file: &Path, content: &Digest) -> Result<usize, String> {
    let right = count_right(store)?;
    for action in 0..3 {
        let _ = publish(store, action);
    }
    count_right(store)?;
    let stats = Stats::open(store.root());
    let _ = stats.add(&Counters::default());
    let mut counters = Counters::default();
    counters.local_hits = 1;
    let _ = stats.add(&counters);
    let _ = stats.read();
    let _ = store.trim(1 << 30);
    let _ = store.usage();
    let digests = FileDigests::open(store);
    for _ in 0..2 {
        let got = digests.digest(file).map_err(|error| error.to_string())?.0;
        if got != *content {
            return Err(format!("digest {got}"));
        }
    }
    Ok(right)
}

#[test]
fn garbage_in_any_place_is_never_taken_for_anything() -> Outcome {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let content = digest_of(File::open(&file)?)?;
    let (_directory, store) = filled()?;
    let inside = objects(&store);
    let at_root = ["cas-v1", "ac-v1", "tmp", "digests-v1", "stats-v1", "size-v1", "gc.lock"];
    let mut places: Vec<PathBuf> = at_root.iter().map(|name| store.root().join(name)).collect();
    places.push(inside[0].parent().ok_or("no parent")?.to_owned());
    places.push(inside[8].parent().ok_or("no parent")?.to_owned());
    places.extend([inside[0].clone(), inside[8].clone()]);
    places.extend(
        ["cas-v1/x", "cas-v1/zz", "ac-v1/x", "tmp/x", "x"].map(|name| store.root().join(name)),
    );
    places.push(inside[0].with_file_name("x"));
    places.push(inside[8].with_file_name("y"));
    for place in &places {
        for (kind, make) in GARBAGE {
            let what = format!("{kind} at {}", place.display());
            remove(place)?;
            make(place).map_err(|error| format!("{what}: {error}"))?;
            let right =
                use_it(&store, &file, &content).map_err(|error| format!("{what}: {error}"))?;
            let is_bucket = place.ends_with("cas-v1") || place.ends_with("ac-v1");
            assert!(is_bucket || right >= 1, "{what}: {right} are right");
            let _ = store.verify(&mut |_| {});
            let _ = store.gc(1 << 30, &mut |_, _| {});
            remove(place)?;
            for action in 0..3 {
                publish(&store, action).map_err(|error| format!("after {what}: {error}"))?;
            }
            assert_eq!(count_right(&store)?, 3, "after {what}");
            assert!(store.verify(&mut |_| {})?.is_clean(), "after {what}");
        }
    }
    Ok(())
}

#[test]
fn what_has_no_business_in_a_bucket_is_removed() -> Outcome {
    let (_directory, store) = filled()?;
    let inside = objects(&store);
    let foreign = [
        store.root().join("cas-v1/x"),
        store.root().join("ac-v1/zz"),
        inside[0].with_file_name("x"),
        // The right kind of name in the wrong directory.
        inside[8].with_file_name(hex(&Digest::of(b"elsewhere"))),
    ];
    fs::write(&foreign[0], "x")?;
    fs::create_dir(&foreign[1])?;
    symlink("/etc", &foreign[2])?;
    fs::write(&foreign[3], "elsewhere")?;
    let report = store.verify(&mut |_| {})?;
    assert_eq!((report.foreign, report.failed), (4, 0));
    assert_eq!((report.entries, report.blobs), (3, 6));
    assert!(foreign.iter().all(|path| fs::symlink_metadata(path).is_err()));
    assert!(Path::new("/etc/passwd").exists());
    Ok(())
}
