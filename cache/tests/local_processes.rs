//! Many processes on one store, killed at any moment or out of room: what comes out is right.
//!
//! Each test runs itself again as a process of its own, with `ROLE` set.

use airtight_cache::Digest;
use airtight_cache::digest::{from_hex, hex};
use airtight_cache::file_digests::FileDigests;
use airtight_cache::local::{LocalStore, StoreError, StoreOptions};
use airtight_cache::stats::{Counters, MissReason, Stats};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;

/// The directory of the store, for a process of its own.
const ROLE: &str = "AIRTIGHT_TEST_STORE";

fn role() -> Option<PathBuf> {
    std::env::var_os(ROLE).map(PathBuf::from)
}

/// This test as a process of its own.
fn again(test: &str, root: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "--nocapture", test]).env(ROLE, root);
    Ok(command)
}

fn open(root: &Path, durable: bool) -> Result<LocalStore, StoreError> {
    LocalStore::open_with(root, StoreOptions { durable })
}

/// What an action gives: three outputs of up to 60 kB.
fn outputs(action: u32) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(u64::from(action));
    let sizes = [random.usize(..100), random.usize(..4_000), random.usize(..60_000)];
    sizes
        .iter()
        .map(|size| std::iter::repeat_with(|| random.u8(..)).take(*size).collect())
        .collect()
}

fn key(action: u32) -> Digest {
    Digest::of(&action.to_le_bytes())
}

/// Stores the outputs of an action, one in each of the ways there are, then its entry.
fn publish(store: &LocalStore, action: u32) -> Outcome {
    let outputs = outputs(action);
    let mut entry = format!("{action}\n");
    for (way, output) in outputs.iter().enumerate() {
        let digest = Digest::of(output);
        match way {
            0 => {
                store.put_bytes(output)?;
            }
            1 => {
                let mut incoming = store.incoming(digest)?;
                for piece in output.chunks(1000) {
                    incoming.write(piece)?;
                }
                incoming.commit()?;
            }
            _ => {
                // In memory, because the disk may be full.
                let file =
                    nix::sys::memfd::memfd_create(c"output", nix::sys::memfd::MFdFlags::empty())?;
                let mut file = File::from(file);
                file.write_all(output)?;
                store.insert_file(&file, &digest)?;
            }
        }
        entry += &format!("{} {}\n", hex(&digest), digest.size());
    }
    store.put_entry(&key(action), entry.as_bytes())?;
    Ok(())
}

/// Restores an action; an error when something wrong comes out of the store.
fn restore(store: &LocalStore, action: u32) -> Result<bool, Failure> {
    let Some(entry) = store.get_entry(&key(action))? else { return Ok(false) };
    let entry = String::from_utf8(entry)?;
    let mut lines = entry.lines();
    if lines.next() != Some(&action.to_string()) {
        return Err(format!("the entry of {action} is {entry}").into());
    }
    let mut files = Vec::new();
    for line in lines {
        let (hash, size) = line.split_once(' ').ok_or("no size")?;
        let digest = from_hex(hash, size.parse()?).ok_or("no digest")?;
        let Some(file) = store.open_blob(&digest)? else { return Ok(false) };
        files.push(file);
    }
    let expected = outputs(action);
    for (mut file, expected) in files.into_iter().zip(&expected) {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if bytes != *expected {
            return Err(format!("an output of {action} is wrong").into());
        }
    }
    Ok(true)
}

/// The actions that have entries, by the value of each.
fn published(store: &LocalStore) -> Result<Vec<u32>, Failure> {
    let mut actions = Vec::new();
    let Ok(shards) = fs::read_dir(store.root().join("ac-v1")) else { return Ok(actions) };
    for shard in shards {
        for entry in fs::read_dir(shard?.path())? {
            let name = entry?.file_name().into_string().map_err(|_| "not a name")?;
            let key = from_hex(&name, 0).ok_or("not a key")?;
            let value = String::from_utf8(store.get_entry(&key)?.ok_or("no entry")?)?;
            actions.push(value.lines().next().ok_or("empty")?.parse()?);
        }
    }
    Ok(actions)
}

fn temporary(store: &LocalStore) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.root().join("tmp")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Starts a process, waits until it says that it works, and kills it some time later.
fn kill_at_work(mut command: Command, random: &mut fastrand::Rng) -> Outcome {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let begun = wait_for(&mut child, "at work");
    // The moment is the point of it: anywhere within the first few actions.
    std::thread::sleep(Duration::from_micros(random.u64(..12_000)));
    child.kill()?;
    let status = child.wait()?;
    begun?;
    if std::os::unix::process::ExitStatusExt::signal(&status) != Some(9) {
        return Err(format!("it ended by itself: {status}").into());
    }
    Ok(())
}

fn wait_for(child: &mut Child, sign: &str) -> Outcome {
    let output = child.stdout.take().ok_or("no output")?;
    for line in BufReader::new(output).lines() {
        if line?.ends_with(sign) {
            return Ok(());
        }
    }
    Err("it ended before it began".into())
}

fn say_at_work() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(b"at work\n")?;
    out.flush()
}

#[test]
fn killed_while_publishing_200_times() -> Outcome {
    if let Some(root) = role() {
        let store = open(&root, fastrand::bool())?;
        say_at_work()?;
        for action in fastrand::u32(..1 << 30).. {
            publish(&store, action)?;
            let mut counters = Counters::default();
            counters.published = 1;
            Stats::open(&root).add(&counters)?;
        }
    }
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("store");
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..200 {
        kill_at_work(again("killed_while_publishing_200_times", &root)?, &mut random)?;
        let store = open(&root, false)?;
        let report = store.verify(&mut |_| {})?;
        assert!(report.is_clean(), "round {round}: {report:?}");
        let whole = published(&store)?;
        for action in &whole {
            assert!(restore(&store, *action)?, "round {round}: a blob is missing");
        }
        // Each that was killed may have stored an action and not yet counted it.
        let uncounted = whole.len() as u64 - Stats::open(&root).read()?.published;
        assert!(uncounted <= round % 20 + 1, "round {round}: {uncounted}");
        if round % 20 == 19 {
            store.clear(&mut |_, _| {})?;
            Stats::open(&root).reset()?;
        }
    }
    // What the dead left behind goes, once it is old enough.
    let store = open(&root, false)?;
    let left = temporary(&store);
    for path in &left {
        File::open(path)?.set_modified(SystemTime::now() - Duration::from_secs(3600))?;
    }
    assert_eq!(store.gc(u64::MAX, &mut |_, _| {})?.temporary, left.len() as u64);
    assert!(temporary(&store).is_empty());
    Ok(())
}

#[test]
fn killed_while_evicting() -> Outcome {
    if let Some(root) = role() {
        let store = open(&root, false)?;
        say_at_work()?;
        for action in fastrand::u32(..1 << 30).. {
            publish(&store, action)?;
            store.gc(400_000, &mut |_, _| {})?;
        }
    }
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("store");
    let mut random = fastrand::Rng::with_seed(8);
    for round in 0..50 {
        kill_at_work(again("killed_while_evicting", &root)?, &mut random)?;
        let store = open(&root, false)?;
        assert!(store.verify(&mut |_| {})?.is_clean(), "round {round}");
        for action in published(&store)? {
            restore(&store, action)?;
        }
        store.trim(400_000);
        // An eighth more is tolerated before a walk, and what a killed writer had just stored is
        // not in the ledger.
        assert!(store.usage()?.bytes <= 600_000, "round {round}: {:?}", store.usage()?);
    }
    Ok(())
}

/// Of 40 actions with 3 MB of outputs; a third of that has room.
const LIMIT: u64 = 1_000_000;
const ROUNDS: u64 = 150;

fn one_of_eight(root: &Path) -> Outcome {
    let store = open(root, fastrand::bool())?;
    for _ in 0..ROUNDS {
        let action = fastrand::u32(..40);
        let mut counters = Counters::default();
        if restore(&store, action)? {
            counters.local_hits = 1;
        } else {
            counters.miss(MissReason::NoEntry);
            publish(&store, action)?;
            let report = store.trim(LIMIT).unwrap_or_default();
            counters.evicted = report.entries + report.blobs;
        }
        // Under this load a lock may well be held for 20 ms.
        while let Err(error) = Stats::open(root).add(&counters) {
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

#[test]
fn eight_processes_read_write_and_evict_at_once() -> Outcome {
    if let Some(root) = role() {
        return one_of_eight(&root);
    }
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("store");
    let start = |_| {
        again("eight_processes_read_write_and_evict_at_once", &root)?.stdout(Stdio::null()).spawn()
    };
    let children: Vec<Child> = (0..8).map(start).collect::<io::Result<_>>()?;
    let ends: Vec<ExitStatus> =
        children.into_iter().map(|mut child| child.wait()).collect::<io::Result<_>>()?;
    assert!(ends.iter().all(ExitStatus::success), "{ends:?}");

    let counters = Stats::open(&root).read()?;
    assert_eq!(counters.hits() + counters.all_misses(), 8 * ROUNDS, "{counters:?}");
    assert!(counters.hits() > 0 && counters.evicted > 0, "{counters:?}");
    let store = open(&root, false)?;
    assert!(store.verify(&mut |_| {})?.is_clean());
    store.gc(LIMIT, &mut |_, _| {})?;
    let left = store.usage()?;
    assert!(left.bytes <= LIMIT && left.blobs > 0, "{left:?}");
    assert!(temporary(&store).is_empty());
    Ok(())
}

/// Publishes with less and less room: each time all of an action is stored or its entry is not.
fn fill(room: &Path) -> Outcome {
    let root = room.join("store");
    let store = open(&root, true)?;
    publish(&store, 0)?;
    let filler = room.join("filler");
    let mut refused = 0;
    for pages in 0..40 {
        // All the room there is, but for some pages.
        let mut file = File::create(&filler)?;
        while file.write_all(&[1; 4096]).is_ok() {}
        file.set_len(file.metadata()?.len().saturating_sub(pages * 4096))?;
        drop(file);
        let action = 1 + pages as u32;
        match publish(&store, action) {
            Ok(()) => assert!(restore(&store, action)?),
            Err(error) => {
                refused += 1;
                // What takes a blob from a remote gives the system's error alone.
                let (text, plain) = (error.to_string(), error.is::<io::Error>());
                assert!(plain || text.contains("; make room"), "{text}");
                assert!(text.contains("No space left"), "{text}");
                assert!(!restore(&store, action)?);
            }
        }
        assert!(temporary(&store).is_empty(), "{pages} pages");
        assert!(restore(&store, 0)?, "what is there is served");
        let mut counters = Counters::default();
        counters.damaged = 1;
        // No matter whether there is room for it.
        let _ = Stats::open(&root).add(&counters);
        Stats::open(&root).read()?;
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let digest = FileDigests::open(&store).digest(&manifest)?.0;
        assert_eq!(digest, Digest::of(&fs::read(&manifest)?));
        assert!(store.verify(&mut |_| {})?.is_clean(), "{pages} pages");
        // A full disk is no hindrance to making room.
        if pages % 8 == 0 {
            store.gc(300_000, &mut |_, _| {})?;
            assert!(store.usage()?.bytes <= 300_000);
            fs::remove_file(&filler)?;
            publish(&store, 0)?;
        }
    }
    assert!(refused > 5 && refused < 40, "{refused}");
    Ok(())
}

#[test]
fn a_full_disk_leaves_nothing_wrong() -> Outcome {
    if let Some(room) = role() {
        return fill(&room);
    }
    let room = tempfile::tempdir()?;
    let mount = |then: &str| {
        let script = format!("mount -t tmpfs -o size=1m,mode=755 none \"$0\" && {then}");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]).arg(room.path());
        command.env(ROLE, room.path());
        command
    };
    if !mount("true").status()?.success() {
        // Where nothing may be mounted, `a_file_that_may_not_grow_leaves_nothing` must do.
        return Ok(());
    }
    let test = ["--exact", "a_full_disk_leaves_nothing_wrong"];
    let status = mount("exec \"$@\"").arg(std::env::current_exe()?).args(test).status()?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_file_that_may_not_grow_leaves_nothing() -> Outcome {
    if let Some(root) = role() {
        let store = open(&root, false)?;
        publish(&store, 0)?;
        let large = vec![7; 2 << 20];
        let error = store.put_bytes(&large).err().ok_or("it was stored")?.to_string();
        assert!(error.contains("File too large") && error.contains("cas-v1"), "{error}");
        let mut incoming = store.incoming(Digest::of(&large))?;
        assert!(incoming.write(&large).is_err());
        assert!(incoming.commit().is_err());
        assert!(store.put_entry(&key(1), &large).is_err());
        assert!(temporary(&store).is_empty());
        assert!(!store.has_blob(&Digest::of(&large)) && !restore(&store, 1)?);
        assert!(restore(&store, 0)?);
        assert!(store.verify(&mut |_| {})?.is_clean());
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        FileDigests::open(&store).digest(&manifest)?;
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe()?)
        .args(["--exact", "a_file_that_may_not_grow_leaves_nothing"])
        .env(ROLE, directory.path().join("store"))
        .status()?;
    assert!(status.success(), "{status}");
    Ok(())
}
