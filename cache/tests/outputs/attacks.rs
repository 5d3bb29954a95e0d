//! Results that lie, and workspaces that trap. Each time nothing may change anywhere.

use crate::support::{Bench, Outcome, snapshot, write};
use airtight_cache::outputs::RestoreError;
use airtight_cache::{ActionResult, Digest, OutputDirectory, OutputFile, OutputLink};
use std::fs;
use std::os::unix::fs::symlink;

fn file(path: &str, content: &[u8]) -> OutputFile {
    OutputFile { path: path.into(), digest: Digest::of(content), mode: 0o644 }
}

fn link(path: &str, target: &str) -> OutputLink {
    OutputLink { path: path.into(), target: target.into() }
}

/// Restores and gives the error, having seen that everything is as it was.
fn refused(
    bench: &Bench,
    result: &ActionResult,
    outputs: &[&str],
) -> Result<RestoreError, Box<dyn std::error::Error>> {
    let before = snapshot(bench.dir.path())?;
    let Err(error) = bench.restore(result, outputs) else {
        return Err(format!("restored: {result:?}").into());
    };
    assert_eq!(snapshot(bench.dir.path())?, before, "{error}");
    Ok(error)
}

#[test]
fn the_result_has_exactly_the_declared_outputs() -> Outcome {
    let bench = Bench::new()?;
    bench.store.put_bytes(b"x")?;
    let x = |path: &str| file(path, b"x");
    let result = |files: &[&str], links: &[&str]| ActionResult {
        files: files.iter().map(|path| x(path)).collect(),
        links: links.iter().map(|path| link(path, "t")).collect(),
        ..ActionResult::default()
    };
    for (files, links, outputs, what) in [
        (&["a"][..], &[][..], &["a", "b"][..], "b: is declared and not in the result"),
        (&["a", "b"], &[], &["a"], "b: is not a declared output"),
        (&["a", "a"], &[], &["a"], "a: is there twice"),
        (&["a"], &["a"], &["a"], "a: is there twice"),
        (&["a", "a/b"], &[], &["a", "a/b"], "a/b: is part of the output `a`"),
        (&["/etc/x"], &[], &["/etc/x"], "/etc/x: an absolute path"),
        (&["../x"], &[], &["../x"], "../x: a name that is `.` or `..`"),
        (&["a/../../x"], &[], &["a/../../x"], "a/../../x: a name that is `.` or `..`"),
        (&["./a"], &[], &["./a"], "./a: a name that is `.` or `..`"),
        (&["a//b"], &[], &["a//b"], "a//b: an empty name"),
        (&[""], &[], &[""], ": an empty name"),
        (&["a\0"], &[], &["a\0"], "a\0: a name with `/` or NUL"),
    ] {
        assert_eq!(refused(&bench, &result(files, links), outputs)?.to_string(), what);
    }
    let mut result = result(&["a"], &[]);
    result.files[0].mode = 0o4755;
    assert_eq!(refused(&bench, &result, &["a"])?.to_string(), "a: has the mode 4755");
    Ok(())
}

#[test]
fn links_lead_nowhere_outside() -> Outcome {
    let bench = Bench::new()?;
    for (path, target) in [
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../outside"),
        ("a/l", "../../outside"),
        ("a/l", "b/../../../outside"),
        ("l", ""),
        ("l", "a\0b"),
        ("l", &"x".repeat(5000)),
    ] {
        let result = ActionResult { links: vec![link(path, target)], ..ActionResult::default() };
        let error = refused(&bench, &result, &[path])?;
        assert!(matches!(error, RestoreError::Untrusted { .. }), "{error}");
    }
    // Deep by name only: `a/b` is the workspace itself.
    fs::create_dir(bench.other().join("a"))?;
    symlink("..", bench.other().join("a/b"))?;
    let result = ActionResult { links: vec![link("a/b/l", "../x")], ..ActionResult::default() };
    let error = refused(&bench, &result, &["a/b/l"])?;
    assert_eq!(error.to_string(), "a/b/l: a link that leads out of the workspace");
    Ok(())
}

#[test]
fn directories_above_lead_nowhere_outside() -> Outcome {
    let bench = Bench::new()?;
    bench.store.put_bytes(b"x")?;
    fs::create_dir(bench.dir.path().join("outside"))?;
    let outside = bench.dir.path().join("outside");
    let other = bench.other();
    fs::create_dir(other.join("d"))?;
    symlink(&outside, other.join("absolute"))?;
    symlink("../outside", other.join("up"))?;
    symlink("d/../../outside", other.join("sideways"))?;
    symlink("up", other.join("hop"))?;
    symlink("loop", other.join("loop"))?;
    write(&other.join("file"), 0o644, "")?;
    for name in ["absolute", "up", "sideways", "hop", "loop", "file"] {
        let path = format!("{name}/new/x");
        let result = ActionResult { files: vec![file(&path, b"x")], ..ActionResult::default() };
        let error = refused(&bench, &result, &[&path])?;
        match name {
            "loop" | "file" => assert!(matches!(error, RestoreError::System { .. }), "{error}"),
            _ => assert!(matches!(error, RestoreError::Escapes { .. }), "{error}"),
        }
    }
    // What two names bring together is no output within another.
    symlink("d", other.join("e"))?;
    let result = ActionResult {
        files: vec![file("d/x", b"x"), file("e/x", b"x")],
        ..ActionResult::default()
    };
    let error = refused(&bench, &result, &["d/x", "e/x"])?;
    assert_eq!(error.to_string(), "d/x: is part of the output `d/x`");
    Ok(())
}

#[test]
fn damage_in_the_store_is_found_whatever_it_is() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a", 0o644, "the first")?;
    bench.file("dir/b", 0o644, "the second")?;
    bench.file("z", 0o644, "the third")?;
    let outputs = ["a", "dir", "z"];
    let collected = bench.collect(&outputs)?;
    for name in outputs {
        write(&bench.other().join(name), 0o600, "old")?;
    }
    let shelf = |digest: &Digest| {
        let hex = airtight_cache::digest::hex(digest);
        bench.store.root().join("cas-v1").join(&hex[..2]).join(hex)
    };
    for blob in &collected.blobs {
        let path = shelf(blob);
        let good = fs::read(&path)?;
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let longer = [good.as_slice(), b"x"].concat();
        for bad in [flipped.as_slice(), &good[..good.len() - 1], &longer, b""] {
            fs::remove_file(&path)?;
            write(&path, 0o444, bad)?;
            let before = snapshot(&bench.other())?;
            let error = bench.restore(&collected.result, &outputs);
            match error {
                Err(RestoreError::Damaged(damaged)) => assert_eq!(damaged, *blob),
                other => return Err(format!("{other:?}").into()),
            }
            assert_eq!(snapshot(&bench.other())?, before);
            write(&path, 0o444, &good).or_else(|_| {
                fs::remove_file(&path)?;
                write(&path, 0o444, &good)
            })?;
        }
        fs::remove_file(&path)?;
        match refused(&bench, &collected.result, &outputs)? {
            RestoreError::Missing(missing) => assert_eq!(missing, *blob),
            other => return Err(other.into()),
        }
        write(&path, 0o444, &good)?;
    }
    bench.restore(&collected.result, &outputs)?;
    Ok(())
}

#[test]
fn a_tree_is_not_taken_at_its_word() -> Outcome {
    let bench = Bench::new()?;
    let huge = Digest::from_parts([0; 32], u64::MAX);
    let result = |tree| ActionResult {
        directories: vec![OutputDirectory { path: "d".into(), tree }],
        ..ActionResult::default()
    };
    let error = refused(&bench, &result(huge), &["d"])?;
    assert!(matches!(error, RestoreError::Untrusted { .. }), "{error}");
    let junk = bench.store.put_bytes(b"\x0a\xff\xff\xff\xff\x0f")?;
    let error = refused(&bench, &result(junk), &["d"])?;
    assert!(matches!(error, RestoreError::Untrusted { .. }), "{error}");
    Ok(())
}

#[test]
fn others_that_swap_directories_meanwhile_gain_nothing() -> Outcome {
    let bench = Bench::new()?;
    for name in ["sub/a", "sub/b/c"] {
        bench.file(name, 0o644, vec![1; 10_000])?;
    }
    let outputs = ["sub/a", "sub/b"];
    let collected = bench.collect(&outputs)?;
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside)?;
    let (sub, real) = (bench.other().join("sub"), bench.other().join("real"));
    fs::create_dir(&sub)?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Whatever fails here, the next round tries again.
                let _ = fs::rename(&sub, &real);
                let _ = symlink(&outside, &sub);
                let _ = fs::remove_file(&sub);
                let _ = fs::rename(&real, &sub);
            }
        });
        for _ in 0..300 {
            let _ = bench.restore(&collected.result, &outputs);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(snapshot(&outside)?.len(), 0);
    Ok(())
}
