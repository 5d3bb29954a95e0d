//! There and back.

use crate::support::{Bench, EXACT, Entry, Outcome, snapshot, strings, write};
use airtight_cache::outputs::{RestoreOptions, Restored, needed, restore};
use airtight_cache::{ActionResult, Digest, OutputFile};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

const OUTPUTS: &[&str] = &["out/a.o", "dist", "bin/tool", "current", "empty.d"];

/// One of everything.
fn fill(bench: &Bench) -> Outcome {
    bench.file("out/a.o", 0o644, "object")?;
    bench.file("bin/tool", 0o751, vec![7; 700_000])?;
    bench.link("bin/../bin", "not-an-output")?;
    bench.link("bin/tool", "current")?;
    bench.file("dist/one", 0o600, "")?;
    bench.file("dist/sub/deep/two.sh", 0o555, "two")?;
    bench.file("dist/twin/two.sh", 0o555, "two")?;
    bench.link("../sub/deep/two.sh", "dist/twin/link")?;
    bench.link("missing", "dist/dangling")?;
    bench.directory("dist/hollow", 0o700)?;
    bench.directory("dist/locked", 0o755)?;
    bench.file("dist/locked/kept", 0o444, "kept")?;
    bench.directory("dist/locked", 0o555)?;
    bench.directory("empty.d", 0o775)?;
    Ok(())
}

#[test]
fn bytes_modes_links_and_empty_directories_come_back() -> Outcome {
    let bench = Bench::new()?;
    fill(&bench)?;
    let collected = bench.collect(OUTPUTS)?;
    let mut wanted = snapshot(&bench.workspace())?;
    wanted.remove("not-an-output");
    // These are no outputs: they get what the umask leaves.
    for parent in ["out", "bin"] {
        wanted.remove(parent);
    }
    for round in 0..2 {
        let restored = bench.restore(&collected.result, OUTPUTS)?;
        let mut there = snapshot(&bench.other())?;
        for parent in ["out", "bin"] {
            assert!(matches!(there.remove(parent), Some(Entry::Directory(_))), "{round}");
        }
        assert_eq!(there, wanted, "{round}");
        let bytes = 6 + 700_000 + 3 + 3 + 4;
        assert_eq!((restored.files, restored.bytes), (6, bytes), "{round}");
    }
    Ok(())
}

#[test]
fn the_same_outputs_are_the_same_result() -> Outcome {
    let bench = Bench::new()?;
    fill(&bench)?;
    let first = bench.collect(OUTPUTS)?;
    let again = bench.restore(&first.result, OUTPUTS)?;
    assert!(again.files > 0);
    let mut reversed: Vec<String> = strings(OUTPUTS);
    reversed.reverse();
    let second = airtight_cache::outputs::collect(&bench.other(), &reversed, &[], &bench.store)?;
    assert_eq!(first, second);
    let digest = |text: &str| Digest::of(text.as_bytes());
    let file = OutputFile { path: "out/a.o".into(), digest: digest("object"), mode: 0o644 };
    assert_eq!(first.result.files[1], file);
    // Each once: five different contents, two trees.
    assert_eq!(first.blobs.len(), 7);
    for blob in &first.blobs {
        assert!(bench.store.open_blob(blob)?.is_some(), "{blob}");
    }
    Ok(())
}

#[test]
fn what_is_restored_is_new() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a", 0o444, "content")?;
    let collected = bench.collect(&["a"])?;
    let old = SystemTime::now() - Duration::from_secs(1000);
    let options = RestoreOptions { hard_links: true, ..EXACT };
    for options in [EXACT, options] {
        write(&bench.other().join("a"), 0o644, "old")?;
        let before = bench.other().join("a").metadata()?.modified()?;
        fs::File::open(bench.other().join("a"))?.set_modified(old)?;
        restore(&bench.other(), &collected.result, &strings(&["a"]), &bench.store, options)?;
        assert!(bench.other().join("a").metadata()?.modified()? >= before, "{options:?}");
        fs::remove_file(bench.other().join("a"))?;
    }
    Ok(())
}

#[test]
fn outputs_of_any_kind_are_replaced_and_links_not_followed() -> Outcome {
    let bench = Bench::new()?;
    bench.file("file", 0o644, "new")?;
    bench.link("elsewhere", "link")?;
    bench.file("directory/inside", 0o644, "new")?;
    let collected = bench.collect(&["file", "link", "directory"])?;
    let wanted = snapshot(&bench.workspace())?;
    let outside = bench.dir.path().join("outside");
    write(&outside.join("precious"), 0o644, "precious")?;
    let other = bench.other();
    for round in 0..4 {
        for name in ["file", "link", "directory"] {
            let path = other.join(name);
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path)?,
                _ => fs::remove_file(&path).or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })?,
            }
            match round {
                0 => write(&path, 0o444, "old")?,
                1 => std::os::unix::fs::symlink(&outside, &path)?,
                2 => std::os::unix::fs::symlink(outside.join("precious"), &path)?,
                _ => {
                    write(&path.join("closed/old"), 0o644, "old")?;
                    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
                    fs::set_permissions(path.join("closed"), closed)?;
                }
            }
        }
        bench.restore(&collected.result, &["file", "link", "directory"])?;
        assert_eq!(snapshot(&other)?, wanted, "{round}");
        assert_eq!(fs::read(outside.join("precious"))?, b"precious");
    }
    Ok(())
}

#[test]
fn directories_above_are_made_and_links_within_followed() -> Outcome {
    let bench = Bench::new()?;
    bench.file("deep/er/a", 0o644, "a")?;
    bench.link("deep/er", "short")?;
    bench.file("short/b", 0o644, "b")?;
    let outputs = ["deep/er/a", "short/b"];
    let collected = bench.collect(&outputs)?;
    // There is no `short` here: it becomes a directory.
    bench.restore(&collected.result, &outputs)?;
    assert_eq!(fs::read(bench.other().join("deep/er/a"))?, b"a");
    assert_eq!(fs::read(bench.other().join("short/b"))?, b"b");
    assert!(bench.other().join("short").symlink_metadata()?.is_dir());
    // Here it is a link, and its target is not there yet.
    fs::remove_dir_all(bench.other())?;
    fs::create_dir(bench.other())?;
    std::os::unix::fs::symlink("deep/er/../er", bench.other().join("short"))?;
    bench.restore(&collected.result, &outputs)?;
    assert_eq!(fs::read(bench.other().join("deep/er/b"))?, b"b");
    assert!(bench.other().join("short").symlink_metadata()?.is_symlink());
    Ok(())
}

#[test]
fn a_mode_that_came_from_the_umask_follows_ours() -> Outcome {
    let bench = Bench::new()?;
    let modes = [("plain", 0o644), ("program", 0o755), ("own", 0o640), ("secret", 0o600)];
    for (name, mode) in modes {
        bench.file(name, mode, name)?;
    }
    bench.file("dir/file", 0o644, "x")?;
    bench.directory("dir", 0o755)?;
    let names = ["plain", "program", "own", "secret", "dir"];
    let collected = bench.collect(&names)?;
    let mode = |name: &str| {
        let metadata = bench.other().join(name).metadata();
        metadata.map(|metadata| metadata.mode() & 0o7777)
    };
    for (producer_umask, umask, expected) in [
        (Some(0o022), 0o022, [0o644, 0o755, 0o640, 0o600, 0o755, 0o644]),
        (Some(0o022), 0o077, [0o600, 0o700, 0o640, 0o600, 0o700, 0o600]),
        (Some(0o022), 0o002, [0o664, 0o775, 0o640, 0o600, 0o775, 0o664]),
        (Some(0o077), 0o022, [0o644, 0o755, 0o640, 0o644, 0o755, 0o644]),
        (None, 0o002, [0o644, 0o755, 0o640, 0o600, 0o755, 0o644]),
    ] {
        let options = RestoreOptions { hard_links: false, umask, producer_umask };
        restore(&bench.other(), &collected.result, &strings(&names), &bench.store, options)?;
        let there = ["plain", "program", "own", "secret", "dir", "dir/file"].map(|n| mode(n).ok());
        assert_eq!(there, expected.map(Some), "{options:?}");
    }
    Ok(())
}

#[test]
fn hard_links_only_when_asked_for_and_read_only() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a.o", 0o644, "object")?;
    bench.file("tool", 0o755, "tool")?;
    let names = ["a.o", "tool"];
    let collected = bench.collect(&names)?;
    // As the store keeps its blobs.
    for blob in &collected.blobs {
        if let Some(file) = bench.store.open_blob(blob)? {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
        }
    }
    let plain = bench.restore(&collected.result, &names)?;
    assert_eq!(plain.linked, 0);
    let metadata = bench.other().join("a.o").metadata()?;
    assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (1, 0o644));
    let options = RestoreOptions { hard_links: true, ..EXACT };
    let linked =
        restore(&bench.other(), &collected.result, &strings(&names), &bench.store, options)?;
    assert_eq!(linked, Restored { files: 2, bytes: 10, cloned: linked.cloned, linked: 1 });
    let metadata = bench.other().join("a.o").metadata()?;
    assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (2, 0o444));
    let metadata = bench.other().join("tool").metadata()?;
    assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (1, 0o555));
    Ok(())
}

#[test]
fn what_is_needed_is_told_in_two_steps() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a", 0o644, "a")?;
    bench.file("dir/b", 0o644, "bb")?;
    bench.file("dir/sub/c", 0o644, "ccc")?;
    let mut result = bench.collect(&["a", "dir"])?.result;
    result.stdout = Some(Digest::of(b"printed"));
    let tree = result.directories[0].tree;
    let here = needed(&result, &bench.store, u64::MAX)?;
    assert_eq!((here.missing, here.more), (vec![Digest::of(b"printed")], false));
    assert_eq!(here.bytes, 1 + 2 + 3 + 7 + tree.size());

    let empty = Bench::new()?;
    let first = needed(&result, &empty.store, u64::MAX)?;
    let mut expected = vec![Digest::of(b"a"), Digest::of(b"printed"), tree];
    expected.sort();
    assert_eq!((first.missing, first.more), (expected, true));
    let mut bytes = Vec::new();
    if let Some(mut file) = bench.store.open_blob(&tree)? {
        std::io::Read::read_to_end(&mut file, &mut bytes)?;
    }
    empty.store.put_bytes(&bytes)?;
    let second = needed(&result, &empty.store, here.bytes)?;
    let mut expected = [b"a".as_slice(), b"printed", b"bb", b"ccc"].map(Digest::of);
    expected.sort();
    assert_eq!((second.missing.as_slice(), second.more), (expected.as_slice(), false));
    assert!(needed(&result, &empty.store, here.bytes - 1).is_err());
    // An absurd claim is no overflow.
    result.files.push(OutputFile {
        path: "huge".into(),
        digest: Digest::from_parts([1; 32], u64::MAX),
        mode: 0o644,
    });
    assert!(needed(&result, &empty.store, 1 << 40).is_err());
    Ok(())
}

#[test]
fn no_outputs_are_no_work() -> Outcome {
    let bench = Bench::new()?;
    assert_eq!(bench.collect(&[])?.result, ActionResult::default());
    assert_eq!(bench.restore(&ActionResult::default(), &[])?, Restored::default());
    Ok(())
}
