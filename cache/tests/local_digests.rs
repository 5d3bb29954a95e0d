//! The digest cache: what it says is what the file has, whatever happened to the file or to it.

use airtight_cache::Digest;
use airtight_cache::digest::digest_of;
use airtight_cache::file_digests::{FileDigests, stamp_of};
use airtight_cache::local::LocalStore;
use proptest::prelude::*;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;

const ROLE: &str = "AIRTIGHT_TEST_DIGESTS";

struct Place {
    directory: TempDir,
    store: LocalStore,
    digests: FileDigests,
}

fn place() -> Result<Place, Failure> {
    let directory = tempfile::tempdir()?;
    let store = LocalStore::open(&directory.path().join("store"))?;
    let digests = FileDigests::open(&store);
    Ok(Place { directory, store, digests })
}

impl Place {
    fn file(&self, name: &str, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    fn table(&self) -> PathBuf {
        self.store.root().join("digests-v1")
    }

    fn is_known(&self, path: &Path) -> io::Result<bool> {
        Ok(self.digests.known(&stamp_of(&fs::metadata(path)?)).is_some())
    }

    /// Asks for the digests until the file has become old enough for it to be kept.
    fn settle(&self, path: &Path) -> Outcome {
        let begun = Instant::now();
        while !self.is_known(path)? {
            self.digests.digest(path)?;
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("it is never kept: is this a network file system?".into());
            }
        }
        Ok(())
    }
}

fn check(digests: &FileDigests, path: &Path) -> Outcome {
    let content = fs::read(path)?;
    let (digest, stamp) = digests.digest(path)?;
    assert_eq!(digest, Digest::of(&content));
    assert_eq!(stamp, stamp_of(&fs::metadata(path)?));
    let (digest, again) = digests.digest_of_open(&File::open(path)?)?;
    assert_eq!((digest, again), (Digest::of(&content), stamp));
    Ok(())
}

#[test]
fn a_file_that_was_just_written_is_not_trusted() -> Outcome {
    let place = place()?;
    let path = place.file("fresh", b"0")?;
    for n in 0..2_000_u32 {
        // Same size, and most often the same time.
        fs::write(&path, (1000 + n).to_string())?;
        assert!(!place.is_known(&path)?);
        assert_eq!(place.digests.digest(&path)?.0, Digest::of((1000 + n).to_string().as_bytes()));
        check(&place.digests, &path)?;
    }
    Ok(())
}

#[test]
fn a_rewrite_with_the_old_size_and_time_is_noticed() -> Outcome {
    let place = place()?;
    let path = place.file("file", b"before")?;
    place.settle(&path)?;
    check(&place.digests, &path)?;
    let before = fs::metadata(&path)?;

    // In place.
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.write_all(b"behind")?;
    file.set_modified(before.modified()?)?;
    drop(file);
    let after = fs::metadata(&path)?;
    assert_eq!((before.ino(), before.size()), (after.ino(), after.size()));
    assert_eq!(before.modified()?, after.modified()?);
    assert!(!place.is_known(&path)?);
    check(&place.digests, &path)?;
    assert_eq!(place.digests.digest(&path)?.0, Digest::of(b"behind"));

    // Another file under the name.
    place.settle(&path)?;
    let other = place.file("other", b"beside")?;
    File::open(&other)?.set_modified(before.modified()?)?;
    fs::rename(&other, &path)?;
    check(&place.digests, &path)?;
    assert_eq!(place.digests.digest(&path)?.0, Digest::of(b"beside"));
    Ok(())
}

#[test]
fn a_time_in_the_future_is_not_trusted() -> Outcome {
    let place = place()?;
    let path = place.file("file", b"content")?;
    let future = std::time::SystemTime::now() + Duration::from_secs(3600);
    File::open(&path)?.set_modified(future)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(100) {
        check(&place.digests, &path)?;
        assert!(!place.is_known(&path)?);
    }
    Ok(())
}

#[test]
fn what_is_kept_is_kept_for_other_processes_and_for_one_state() -> Outcome {
    let place = place()?;
    let path = place.file("file", b"content")?;
    place.settle(&path)?;
    let stamp = stamp_of(&fs::metadata(&path)?);
    assert_eq!(FileDigests::open(&place.store).known(&stamp), Some(Digest::of(b"content")));
    assert_eq!(FileDigests::off().known(&stamp), None);
    check(&FileDigests::off(), &path)?;
    // Any other field is another state.
    for change in 0..5 {
        let mut other = stamp;
        match change {
            0 => other.dev += 1,
            1 => other.ino += 1,
            2 => other.size += 1,
            3 => other.mtime += 1,
            _ => other.ctime += 1,
        }
        assert_eq!(place.digests.known(&other), None);
    }
    Ok(())
}

#[test]
fn a_damaged_record_is_a_miss() -> Outcome {
    let place = place()?;
    let path = place.file("file", b"content")?;
    place.settle(&path)?;
    let table = OpenOptions::new().read(true).write(true).open(place.table())?;
    let size = table.metadata()?.len();
    let record = (0..size.div_ceil(4096))
        .flat_map(|page| (0..51).map(move |slot| page * 4096 + slot * 80))
        .find(|at| {
            let mut record = [0; 80];
            table.read_at(&mut record, *at).is_ok() && record != [0; 80]
        })
        .ok_or("nothing was stored")?;
    let mut whole = [0; 80];
    table.read_exact_at(&mut whole, record)?;
    for at in 0..80 {
        let mut damaged = whole;
        damaged[at] ^= 1 << (at % 8);
        table.write_all_at(&damaged, record)?;
        assert!(!place.is_known(&path)?, "byte {at}");
        // Torn: the beginning of this record, the end of another.
        let mut torn = whole;
        torn[at..].fill(0xa5);
        table.write_all_at(&torn, record)?;
        assert!(!place.is_known(&path)?, "torn at {at}");
    }
    table.write_all_at(&whole, record)?;
    assert!(place.is_known(&path)?);
    // Cut short with the file.
    table.set_len(record + 40)?;
    assert!(!place.is_known(&path)?);
    check(&place.digests, &path)?;
    place.settle(&path)
}

#[test]
fn many_files_find_room() -> Outcome {
    let place = place()?;
    let paths: Vec<PathBuf> = (0..600)
        .map(|n| place.file(&n.to_string(), format!("content {n}").as_bytes()))
        .collect::<io::Result<_>>()?;
    for path in &paths {
        place.settle(path)?;
    }
    let known = paths.iter().filter(|path| place.is_known(path).unwrap_or(false)).count();
    // A page holds 51 records, and 32 neighbouring inodes go to the same one. Where two such groups
    // meet by chance, 13 files have to be hashed again; that it happens three times is next to
    // impossible.
    assert!(known >= 600 - 2 * 13, "{known} of 600");
    for path in &paths {
        check(&place.digests, path)?;
    }
    Ok(())
}

#[test]
fn what_is_no_regular_file_is_refused() -> Outcome {
    let place = place()?;
    let pipe = place.directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    for path in [&pipe, Path::new("/dev/zero"), Path::new("/")] {
        let error = place.digests.digest(path).err().ok_or("it was hashed")?;
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let file = OpenOptions::new().read(true).write(path == pipe).open(path)?;
        assert!(place.digests.digest_of_open(&file).is_err());
    }
    let missing = place.digests.digest(Path::new("/nowhere")).err().ok_or("it was hashed")?;
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    // The kernel's own files have content and no size.
    let version = Path::new("/proc/version");
    assert_eq!(place.digests.digest(version)?.0, digest_of(File::open(version)?)?);
    assert!(!place.is_known(version)?);
    Ok(())
}

#[test]
fn without_a_usable_table_files_are_hashed() -> Outcome {
    let place = place()?;
    let path = place.file("file", b"content")?;
    fs::remove_file(place.table())?;
    fs::create_dir(place.table())?;
    check(&FileDigests::open(&place.store), &path)
}

#[test]
fn a_limit_on_the_size_of_files_does_no_harm() -> Outcome {
    if let Some(root) = std::env::var_os(ROLE) {
        let root = Path::new(&root);
        let digests = FileDigests::open(&LocalStore::open(&root.join("store"))?);
        for n in 0..20 {
            check(&digests, &root.join(n.to_string()))?;
        }
        return Ok(());
    }
    let place = place()?;
    for n in 0..20 {
        // Old enough to be kept, so that whoever looks at it writes to the table, if it may.
        let path = place.file(&n.to_string(), b"content")?;
        place.settle(&path)?;
    }
    fs::remove_file(place.table())?;
    for limit in ["100", "unlimited"] {
        let status = Command::new("sh")
            .args(["-c", "ulimit -f $1; shift; exec \"$@\"", "sh", limit])
            .arg(std::env::current_exe()?)
            .args(["--exact", "a_limit_on_the_size_of_files_does_no_harm"])
            .env(ROLE, place.directory.path())
            .stdout(Stdio::null())
            .status()?;
        assert!(status.success(), "{status}");
        assert_eq!(fs::metadata(place.table())?.len() > 0, limit == "unlimited");
    }
    Ok(())
}

/// Looks at files that its sisters rewrite, and rewrites one itself.
fn hammer(root: &Path) -> Outcome {
    let store = LocalStore::open(&root.join("store"))?;
    let digests = FileDigests::open(&store);
    let fixed = root.join("fixed");
    let own = root.join(format!("own-{}", std::process::id()));
    for n in 0..300 {
        let content = format!("content {n} of {}", std::process::id());
        fs::write(&own, &content)?;
        assert_eq!(digests.digest(&own)?.0, Digest::of(content.as_bytes()));
        assert_eq!(digests.digest(&fixed)?.0, Digest::of(b"the same for all"));
        // Each of these has one of two contents of the same size, whole, by a rename.
        let shared = root.join(format!("shared-{}", n % 5));
        let mut new = tempfile::NamedTempFile::new_in(root)?;
        new.write_all([b"one", b"two"][n % 2])?;
        new.persist(&shared)?;
        let file = File::open(&shared)?;
        let (digest, _) = digests.digest_of_open(&file)?;
        assert_eq!(digest, digest_of(&file)?);
    }
    Ok(())
}

#[test]
fn eight_processes_on_one_table_are_never_wrong() -> Outcome {
    if let Some(root) = std::env::var_os(ROLE) {
        return hammer(Path::new(&root));
    }
    let place = place()?;
    let fixed = place.file("fixed", b"the same for all")?;
    place.settle(&fixed)?;
    let start = |_| {
        Command::new(std::env::current_exe()?)
            .args(["--exact", "eight_processes_on_one_table_are_never_wrong"])
            .env(ROLE, place.directory.path())
            .stdout(Stdio::null())
            .spawn()
    };
    let children: Vec<_> = (0..8).map(start).collect::<io::Result<_>>()?;
    let ends: Vec<ExitStatus> =
        children.into_iter().map(|mut child| child.wait()).collect::<io::Result<_>>()?;
    assert!(ends.iter().all(ExitStatus::success), "{ends:?}");
    assert!(place.is_known(&fixed)?);
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Append,
    KeepTime(u8),
    Replace(u8),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u8>().prop_map(Step::Write),
        Just(Step::Append),
        any::<u8>().prop_map(Step::KeepTime),
        any::<u8>().prop_map(Step::Replace),
        Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_history_of_a_file_gives_its_digest(steps in proptest::collection::vec(step(), 1..12)) {
        let fail = |error: Failure| TestCaseError::fail(error.to_string());
        let place = place().map_err(fail)?;
        let path = place.file("file", b"x")?;
        for step in steps {
            match step {
                Step::Write(byte) => fs::write(&path, [byte])?,
                Step::Append => OpenOptions::new().append(true).open(&path)?.write_all(b"+")?,
                Step::KeepTime(byte) => {
                    let time = fs::metadata(&path)?.modified()?;
                    let file = OpenOptions::new().write(true).open(&path)?;
                    file.write_all_at(&[byte], 0)?;
                    file.set_modified(time)?;
                }
                Step::Replace(byte) => {
                    let time = fs::metadata(&path)?.modified()?;
                    let new = place.file("new", &[byte])?;
                    File::open(&new)?.set_modified(time)?;
                    fs::rename(new, &path)?;
                }
                Step::Settle => place.settle(&path).map_err(fail)?,
            }
            check(&place.digests, &path).map_err(fail)?;
        }
    }
}
