//! The local store: what goes in comes out, and nothing else.

use airtight_cache::Digest;
use airtight_cache::digest::{digest_of, hex};
use airtight_cache::local::{LocalStore, StoreError, StoreOptions};
use proptest::prelude::*;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn store() -> Result<(TempDir, LocalStore), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let store = LocalStore::open(&directory.path().join("store"))?;
    Ok((directory, store))
}

/// All files of the store below `under`.
fn files(store: &LocalStore, under: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![store.root().join(under)];
    while let Some(path) = left.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => left.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => found.extend(path.is_file().then_some(path)),
        }
    }
    found.sort();
    found
}

fn stored(store: &LocalStore, digest: &Digest) -> PathBuf {
    let name = hex(digest);
    store.root().join("cas-v1").join(&name[..2]).join(name)
}

fn is_right(store: &LocalStore, digest: &Digest) -> io::Result<bool> {
    let file = store.open_blob(digest).ok().flatten();
    file.map_or(Ok(false), |file| Ok(digest_of(file)? == *digest))
}

fn set_age(path: &Path, age: Duration) -> io::Result<()> {
    File::open(path)?.set_modified(SystemTime::now() - age)
}

fn file_of(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    Ok(file)
}

#[test]
fn a_new_store_is_private_and_tagged() -> Outcome {
    let (_directory, store) = store()?;
    assert_eq!(fs::metadata(store.root())?.permissions().mode() & 0o7777, 0o700);
    let tag = fs::read_to_string(store.root().join("CACHEDIR.TAG"))?;
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
    Ok(())
}

#[test]
fn a_directory_that_others_write_to_is_refused() -> Outcome {
    let directory = tempfile::tempdir()?;
    for mode in [0o770, 0o702, 0o777, 0o1777] {
        fs::set_permissions(directory.path(), Permissions::from_mode(mode))?;
        let error = LocalStore::open(directory.path()).err().ok_or("it was opened")?.to_string();
        assert!(error.contains("others can write to it"), "{error}");
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    LocalStore::open(directory.path())?;
    Ok(())
}

#[test]
fn a_directory_of_another_user_is_refused() -> Outcome {
    // Root makes one for somebody else; everybody else finds one that is root's.
    let directory = tempfile::tempdir()?;
    let foreign = match std::os::unix::fs::chown(directory.path(), Some(12_345), None) {
        Ok(()) => directory.path(),
        Err(_) => Path::new("/usr"),
    };
    let error = LocalStore::open(foreign).err().ok_or("it was opened")?.to_string();
    assert!(error.contains("it belongs to user"), "{error}");
    Ok(())
}

#[test]
fn what_is_no_directory_is_refused() -> Outcome {
    let file = tempfile::NamedTempFile::new()?;
    assert!(LocalStore::open(file.path()).is_err());
    assert!(LocalStore::open(&file.path().join("below")).is_err());
    Ok(())
}

#[test]
fn entries_come_back_and_are_replaced() -> Outcome {
    let (_directory, store) = store()?;
    let key = Digest::of(b"action");
    assert_eq!(store.get_entry(&key)?, None);
    for value in [&b"one"[..], b"", b"another"] {
        store.put_entry(&key, value)?;
        assert_eq!(store.get_entry(&key)?.as_deref(), Some(value));
    }
    store.copy_entry(&key, b"copied")?;
    assert_eq!(store.get_entry(&key)?.as_deref(), Some(&b"copied"[..]));
    store.discard_entry(&key);
    assert_eq!(store.get_entry(&key)?, None);
    Ok(())
}

#[test]
fn an_entry_under_another_key_is_damage() -> Outcome {
    let (_directory, store) = store()?;
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    store.put_entry(&one, b"value of one")?;
    store.put_entry(&other, b"value of the other")?;
    let paths = files(&store, "ac-v1");
    let moved = paths.iter().find(|path| path.ends_with(hex(&one))).ok_or("not there")?;
    let to = paths.iter().find(|path| path.ends_with(hex(&other))).ok_or("not there")?;
    fs::rename(moved, to)?;
    let error = store.get_entry(&other).err().ok_or("it was taken")?;
    assert!(error.is_damage(), "{error}");
    assert_eq!(store.get_entry(&other)?, None, "damage is found once");
    Ok(())
}

#[test]
fn an_endless_entry_is_neither_stored_nor_read() -> Outcome {
    let (_directory, store) = store()?;
    let key = Digest::of(b"action");
    let endless = vec![0; (2 << 20) + 1];
    assert!(store.put_entry(&key, &endless).is_err());
    store.put_entry(&key, b"value")?;
    let path = files(&store, "ac-v1").remove(0);
    fs::remove_file(&path)?;
    File::create(&path)?.set_len(1 << 33)?;
    assert!(store.get_entry(&key).err().ok_or("it was read")?.is_damage());
    Ok(())
}

#[test]
fn only_what_was_awaited_becomes_visible() -> Outcome {
    let (_directory, store) = store()?;
    let digest = Digest::of(b"what is awaited");
    let refused = |bytes: &[&[u8]]| -> Result<io::ErrorKind, StoreError> {
        let mut incoming = store.incoming(digest)?;
        let written = bytes.iter().try_for_each(|bytes| incoming.write(bytes));
        let error = written.and_then(|()| incoming.commit()).err();
        Ok(error.map_or(io::ErrorKind::Other, |error| error.kind()))
    };
    for wrong in ["", "what is", "what is awaiteD", "what is awaited|!"] {
        let pieces: Vec<&[u8]> = wrong.split('|').map(str::as_bytes).collect();
        assert_eq!(refused(&pieces)?, io::ErrorKind::InvalidData);
        assert!(!store.has_blob(&digest));
        assert!(files(&store, "tmp").is_empty());
    }
    let mut incoming = store.incoming(digest)?;
    incoming.write(b"something else")?;
    assert_eq!(incoming.received(), 14);
    incoming.restart()?;
    assert_eq!(incoming.received(), 0);
    incoming.write(b"what is ")?;
    incoming.write(b"awaited")?;
    assert!(!store.has_blob(&digest));
    incoming.commit()?;
    assert!(is_right(&store, &digest)?);
    assert_eq!(fs::metadata(stored(&store, &digest))?.permissions().mode() & 0o333, 0);
    Ok(())
}

#[test]
fn a_damaged_blob_is_replaced_by_whoever_stores_it() -> Outcome {
    let content = b"the content";
    let digest = Digest::of(content);
    type Store<'a> = &'a dyn Fn(&LocalStore) -> Outcome;
    let ways: [Store<'_>; 3] = [
        &|store| Ok(store.put_bytes(content).map(|_| ())?),
        &|store| Ok(store.insert_file(&file_of(content)?, &digest)?),
        &|store| {
            let mut incoming = store.incoming(digest)?;
            incoming.write(content)?;
            Ok(incoming.commit()?)
        },
    ];
    for way in ways {
        for wrong in [&b"the Content"[..], b"the", b"", b"the content and more"] {
            let (_directory, store) = store()?;
            way(&store)?;
            let path = stored(&store, &digest);
            fs::remove_file(&path)?;
            fs::write(&path, wrong)?;
            way(&store)?;
            assert!(is_right(&store, &digest)?);
        }
        // Garbage of other kinds where the blob belongs.
        let (directory, store) = store()?;
        way(&store)?;
        let path = stored(&store, &digest);
        fs::remove_file(&path)?;
        symlink(directory.path(), &path)?;
        way(&store)?;
        assert!(is_right(&store, &digest)?);
        fs::remove_file(&path)?;
        fs::create_dir(&path)?;
        fs::write(path.join("x"), "x")?;
        way(&store)?;
        assert!(is_right(&store, &digest)?);
    }
    Ok(())
}

#[test]
fn a_blob_that_is_there_stays_the_same_file() -> Outcome {
    let (_directory, store) = store()?;
    let digest = store.put_bytes(b"content")?;
    let before = airtight_cache::file_digests::stamp_of(&fs::metadata(stored(&store, &digest))?);
    store.put_bytes(b"content")?;
    store.insert_file(&file_of(b"content")?, &digest)?;
    let mut incoming = store.incoming(digest)?;
    incoming.write(b"content")?;
    incoming.commit()?;
    let after = airtight_cache::file_digests::stamp_of(&fs::metadata(stored(&store, &digest))?);
    assert_eq!(before, after);
    assert!(files(&store, "tmp").is_empty());
    Ok(())
}

#[test]
fn a_file_that_is_not_what_was_said_is_refused() -> Outcome {
    let (_directory, store) = store()?;
    let digest = Digest::of(b"as it was hashed");
    for changed in [&b"as it is stored!"[..], b"", b"as it was hashed and grew"] {
        let error = store.insert_file(&file_of(changed)?, &digest).err().ok_or("it was taken")?;
        assert!(error.is_damage(), "{error}");
    }
    assert!(!store.has_blob(&digest));
    assert!(files(&store, "tmp").is_empty());
    Ok(())
}

#[test]
fn use_is_noted_and_the_least_used_go_first() -> Outcome {
    let (_directory, store) = store()?;
    let blobs: Vec<Digest> =
        (0..10_u8).map(|n| store.put_bytes(&vec![n; 8192])).collect::<Result<_, _>>()?;
    for (n, digest) in blobs.iter().enumerate() {
        set_age(&stored(&store, digest), Duration::from_secs(3600 * (10 - n as u64)))?;
    }
    // The oldest is used, so the next one is the oldest.
    assert!(store.open_blob(&blobs[0])?.is_some());
    let held = store.open_blob(&blobs[2])?.ok_or("not there")?;
    set_age(&stored(&store, &blobs[2]), Duration::from_secs(3600 * 8))?;
    assert_eq!(store.usage()?.bytes, 10 * 8192);
    let report = store.gc(9 * 8192, &mut |_, _| {})?;
    assert_eq!((report.blobs, report.bytes, report.left.blobs), (2, 2 * 8192, 8));
    let left: Vec<bool> = blobs.iter().map(|digest| store.has_blob(digest)).collect();
    assert_eq!(left, [true, false, false, true, true, true, true, true, true, true]);
    assert_eq!(digest_of(held)?, blobs[2], "what is open stays readable");
    Ok(())
}

#[test]
fn what_a_restore_has_said_it_needs_stays() -> Outcome {
    let (_directory, store) = store()?;
    let blobs: Vec<Digest> =
        (0..10_u8).map(|n| store.put_bytes(&[n; 10])).collect::<Result<_, _>>()?;
    for digest in &blobs {
        set_age(&stored(&store, digest), Duration::from_secs(3600))?;
    }
    let missing = Digest::of(b"missing");
    store.hold(&blobs[..3]);
    let report = store.gc(6 * 4096, &mut |_, of| {
        // Directories are counted first, then bytes: the choice is made, and nothing gone.
        if of > 256 {
            store.hold(blobs[4..6].iter().chain([&missing]));
        }
    })?;
    assert_eq!((report.blobs, report.left.blobs), (5, 5));
    let left: Vec<bool> = blobs.iter().map(|digest| store.has_blob(digest)).collect();
    assert_eq!(left, [true, true, true, false, true, true, false, false, false, false]);
    Ok(())
}

#[test]
fn a_store_that_has_grown_trims_itself() -> Outcome {
    let (_directory, store) = store()?;
    let limit = 100 * 4096;
    let mut evicted = 0;
    for n in 0..400_u32 {
        let blob = store.put_bytes(&n.to_le_bytes())?;
        set_age(&stored(&store, &blob), Duration::from_secs(4_000 - u64::from(n)))?;
        // Each round as a process of its own.
        let other = LocalStore::open(store.root())?;
        evicted += store.trim(limit).map_or(0, |report| report.blobs);
        assert!(other.usage()?.bytes <= limit);
    }
    assert_eq!(evicted + store.usage()?.blobs, 400);
    assert!(store.usage()?.blobs >= 90);
    Ok(())
}

#[test]
fn a_wrong_ledger_throws_nothing_out() -> Outcome {
    let (_directory, store) = store()?;
    let blobs: Vec<Digest> =
        (0..100_u8).map(|n| store.put_bytes(&[n])).collect::<Result<_, _>>()?;
    let limit = 1 << 20;
    // The first looks at everything, and removes nothing.
    assert_eq!(store.trim(limit).ok_or("it did not look")?.left.blobs, 100);
    for n in 0..1_000_u32 {
        store.put_entry(&blobs[0], &n.to_le_bytes())?;
    }
    assert_eq!(store.trim(limit), None, "one entry");
    // What a collection has found is not counted again.
    store.gc(limit, &mut |_, _| {})?;
    let blob = store.put_bytes(&[7; 600_000])?;
    store.gc(limit, &mut |_, _| {})?;
    assert_eq!(store.trim(limit), None);
    store.discard_blob(&blob);
    store.gc(limit, &mut |_, _| {})?;
    let ledger = store.root().join("size-v1");
    for wrong in ["", "garbage", r#"{"parts":{"f":999999999999}}"#, r#"{"known":1,"parts":7}"#] {
        fs::write(&ledger, wrong)?;
        let report = store.trim(limit).unwrap_or_default();
        assert_eq!((report.entries, report.blobs), (0, 0), "{wrong}");
    }
    // Somewhat too much in one part: what is there is far from the limit.
    fs::write(&ledger, r#"{"known":1,"turn":15,"parts":{"f":1100000}}"#)?;
    let report = store.trim(limit).ok_or("it did not look")?;
    assert_eq!((report.entries, report.blobs), (0, 0));
    assert_eq!(store.trim(limit), None, "the ledger is right now");
    assert_eq!((store.usage()?.blobs, store.usage()?.entries), (100, 1));
    // Without one, and with a new limit that is far lower.
    fs::remove_file(&ledger)?;
    assert!(store.trim(50 * 4096).ok_or("it did not look")?.blobs >= 51);
    assert!(store.usage()?.bytes <= 50 * 4096);
    store.put_bytes(&[0; 8192])?;
    assert!(store.trim(20 * 4096).ok_or("it did not look")?.left.bytes <= 18 * 4096);
    Ok(())
}

#[test]
fn a_part_at_a_time_gives_its_share() -> Outcome {
    let (_directory, store) = store()?;
    let limit = 200 * 4096;
    store.trim(limit);
    for n in 0..200_u32 {
        let blob = store.put_bytes(&n.to_le_bytes())?;
        set_age(&stored(&store, &blob), Duration::from_secs(8_000 - u64::from(n)))?;
        assert_eq!(store.trim(limit), None, "{n}");
    }
    // Of the size of five: it and little else is more than the part's share, and stays.
    let large = store.put_bytes(&[7; 5 * 4096])?;
    let report = store.trim(limit).ok_or("it did not look")?;
    assert!((5..12).contains(&report.blobs), "{report:?}");
    assert!(report.left.blobs < 100, "it has not looked at everything");
    assert!(store.has_blob(&large));
    assert!(store.usage()?.bytes <= limit);
    assert_eq!(store.trim(limit), None);
    Ok(())
}

#[test]
fn what_the_dead_left_behind_is_removed_and_the_living_are_left_alone() -> Outcome {
    let (_directory, store) = store()?;
    let old = Duration::from_secs(3600);
    let digest = Digest::of(b"slow");
    let mut living = store.incoming(digest)?;
    living.write(b"sl")?;
    set_age(&files(&store, "tmp")[0], old)?;
    let dead = store.root().join("tmp/in-dead");
    fs::write(&dead, "left behind")?;
    let young = store.root().join("tmp/in-young");
    fs::write(&young, "just begun")?;
    set_age(&dead, old)?;
    assert_eq!(store.gc(u64::MAX, &mut |_, _| {})?.temporary, 1);
    assert!(!dead.exists() && young.exists());
    living.write(b"ow")?;
    living.commit()?;
    assert!(is_right(&store, &digest)?);
    Ok(())
}

#[test]
fn buckets_of_older_versions_go_once_they_are_out_of_use() -> Outcome {
    let (_directory, store) = store()?;
    let make = |name: &str| -> io::Result<PathBuf> {
        let path = store.root().join(name);
        fs::create_dir_all(path.join("ab"))?;
        fs::write(path.join("ab/blob"), "x")?;
        Ok(path)
    };
    let [old, used, newer] = ["cas-v0", "ac-v0", "cas-v2"].map(make);
    let (old, used, newer) = (old?, used?, newer?);
    let age = Duration::from_secs(30 * 24 * 3600);
    for path in [&old, &newer, &used] {
        set_age(path, age)?;
    }
    set_age(&old.join("ab"), age)?;
    set_age(&newer.join("ab"), age)?;
    assert_eq!(store.gc(u64::MAX, &mut |_, _| {})?.buckets, 1);
    assert!(!old.exists() && used.exists() && newer.exists());
    Ok(())
}

#[test]
fn a_cleared_store_is_empty_and_works() -> Outcome {
    let (_directory, store) = store()?;
    let blob = store.put_bytes(b"blob")?;
    let empty = store.put_bytes(b"")?;
    store.put_entry(&blob, b"entry")?;
    let mut seen = 0;
    let report = store.clear(&mut |_, _| seen += 1)?;
    assert_eq!((report.entries, report.blobs, report.left), (1, 2, Default::default()));
    assert!(seen > 0);
    assert_eq!(store.usage()?, Default::default());
    assert!(!store.has_blob(&empty) && store.get_entry(&blob)?.is_none());
    store.put_bytes(b"blob")?;
    assert!(is_right(&store, &blob)?);
    Ok(())
}

#[test]
fn a_durable_store_holds_the_same() -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = LocalStore::open_with(directory.path(), StoreOptions { durable: true })?;
    let digest = store.put_bytes(b"blob")?;
    let file = Digest::of(b"file");
    store.insert_file(&file_of(b"file")?, &file)?;
    store.put_entry(&digest, b"entry")?;
    assert!(is_right(&store, &digest)? && is_right(&store, &file)?);
    assert_eq!(store.get_entry(&digest)?.as_deref(), Some(&b"entry"[..]));
    Ok(())
}

#[test]
fn a_read_only_store_serves_hits() -> Outcome {
    let (_directory, store) = store()?;
    let blob = store.put_bytes(b"blob")?;
    store.put_entry(&blob, b"entry")?;
    for path in files(&store, "") {
        set_age(&path, Duration::from_secs(7200))?;
    }
    let directories: Vec<PathBuf> = ["", "tmp", "cas-v1", "ac-v1"]
        .iter()
        .map(|name| store.root().join(name))
        .chain(files(&store, "").iter().filter_map(|path| Some(path.parent()?.to_owned())))
        .collect();
    for path in &directories {
        fs::set_permissions(path, Permissions::from_mode(0o500))?;
    }
    let again = LocalStore::open_with(store.root(), StoreOptions { durable: false })?;
    assert!(is_right(&again, &blob)?);
    assert_eq!(again.get_entry(&blob)?.as_deref(), Some(&b"entry"[..]));
    // Root may write nevertheless.
    if let Err(error) = again.put_bytes(b"another") {
        assert!(error.to_string().contains("choose another directory"), "{error}");
    }
    for path in directories.iter().rev() {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_content_in_any_pieces_comes_back(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5_000), 0..8),
    ) {
        let (_directory, store) = store().map_err(|e| TestCaseError::fail(e.to_string()))?;
        let digest = Digest::of(&pieces.concat());
        let mut incoming = store.incoming(digest)?;
        for piece in &pieces {
            incoming.write(piece)?;
        }
        incoming.commit()?;
        prop_assert!(is_right(&store, &digest)?);
        let key = Digest::of(b"key");
        store.put_entry(&key, &pieces.concat())?;
        prop_assert_eq!(store.get_entry(&key)?, Some(pieces.concat()));
        let report = store.verify(&mut |_| {})?;
        prop_assert!(report.is_clean());
        prop_assert_eq!((report.entries, report.blobs), (1, 1));
    }
}
