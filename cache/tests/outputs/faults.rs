//! Deaths and full disks.

use crate::support::{Bench, EXACT, Entry, Outcome, snapshot, strings, write};
use airtight_cache::local::LocalStore;
use airtight_cache::outputs::{RestoreError, collect, restore};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

const OUTPUTS: &[&str] = &["a.o", "deep/b.o", "deep/dist", "link"];

/// Two versions of the outputs.
fn fill(workspace: &Path, version: &str) -> std::io::Result<()> {
    write(&workspace.join("a.o"), 0o644, version.repeat(5000))?;
    write(&workspace.join("deep/b.o"), 0o755, version)?;
    for name in ["one", "sub/two", "sub/three"] {
        write(&workspace.join("deep/dist").join(name), 0o644, format!("{name} {version}"))?;
    }
    std::os::unix::fs::symlink(version, workspace.join("link"))
}

/// The test binary itself, to run one of its tests as a process of its own.
fn again(test: &str, dir: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]).env("RESTORE_DIR", dir);
    Ok(command)
}

/// Restores one version after the other, until it is killed.
fn restore_for_ever(dir: &Path) -> Outcome {
    let store = LocalStore::open(&dir.join("store"))?;
    let versions = ["one", "two"].map(|version| {
        collect(&dir.join(version), &strings(OUTPUTS), &[], &store).map(|made| made.result)
    });
    writeln!(std::io::stdout(), "ready")?;
    loop {
        for version in &versions {
            let result = version.as_ref().map_err(ToString::to_string)?;
            restore(&dir.join("other"), result, &strings(OUTPUTS), &store, EXACT)?;
        }
    }
}

/// What belongs to one output.
fn part<'a>(
    all: &'a BTreeMap<String, Entry>,
    output: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Entry)> {
    all.iter().filter(move |(path, _)| Path::new(path).starts_with(output))
}

#[test]
fn killed_at_any_point_it_leaves_whole_outputs() -> Outcome {
    if let Some(dir) = env::var_os("RESTORE_DIR") {
        return restore_for_ever(Path::new(&dir));
    }
    let bench = Bench::new()?;
    let versions = ["one", "two"].map(|version| bench.dir.path().join(version));
    fill(&versions[0], "one")?;
    fill(&versions[1], "two")?;
    let wanted = [snapshot(&versions[0])?, snapshot(&versions[1])?];
    let first = collect(&versions[0], &strings(OUTPUTS), &[], &bench.store)?.result;
    let mut leftovers = 0;
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..200 {
        let mut child =
            again("faults::killed_at_any_point_it_leaves_whole_outputs", bench.dir.path())?
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let ready =
            BufReader::new(output).lines().any(|line| line.is_ok_and(|l| l.ends_with("ready")));
        assert!(ready, "{round}");
        let end = Instant::now() + Duration::from_micros(random.u64(..4000));
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        child.kill()?;
        child.wait()?;
        let there = snapshot(&bench.other())?;
        for output in OUTPUTS {
            let now: Vec<_> = part(&there, output).collect();
            let whole = wanted.iter().any(|wanted| part(wanted, output).eq(now.iter().copied()));
            // Before the first restore has come so far, there is none.
            assert!(whole || now.is_empty(), "{round}: {output}: {now:?}");
        }
        let known = |path: &str| {
            path == "deep" || OUTPUTS.iter().any(|output| Path::new(path).starts_with(output))
        };
        let mut unknown = there.keys().filter(|path| !known(path)).peekable();
        leftovers += usize::from(unknown.peek().is_some());
        for path in unknown {
            let name = path.strip_prefix("deep/").unwrap_or(path);
            assert!(name.starts_with(".airtight-"), "{round}: {path}");
        }
        bench.restore(&first, OUTPUTS)?;
        assert_eq!(snapshot(&bench.other())?, wanted[0], "{round}");
    }
    // Else the deaths were no deaths in the middle.
    assert!(leftovers > 20, "{leftovers}");
    Ok(())
}

/// Restores where writing fails, which must be an error that changes nothing.
fn restore_in_vain(dir: &Path) -> Outcome {
    let store = LocalStore::open(&dir.join("store"))?;
    let made = collect(&dir.join("workspace"), &strings(&["a", "big", "z"]), &[], &store)?;
    // A file system of its own may be mounted here.
    let other = dir.join("other");
    for name in ["a", "big", "z"] {
        write(&other.join(name), 0o600, "old")?;
    }
    let before = snapshot(&other)?;
    let error = restore(&other, &made.result, &strings(&["a", "big", "z"]), &store, EXACT);
    let Err(RestoreError::System { path, source, .. }) = error else {
        return Err(format!("{error:?}").into());
    };
    assert_eq!(path, "big");
    assert_eq!(snapshot(&other)?, before);
    writeln!(std::io::stdout(), "refused with {}", source.raw_os_error().unwrap_or_default())?;
    Ok(())
}

#[test]
fn a_full_disk_changes_nothing() -> Outcome {
    if let Some(dir) = env::var_os("RESTORE_DIR") {
        return restore_in_vain(Path::new(&dir));
    }
    let bench = Bench::new()?;
    bench.file("a", 0o644, "a")?;
    bench.file("big", 0o644, vec![1; 2 << 20])?;
    bench.file("z", 0o644, "z")?;
    bench.collect(&["a", "big", "z"])?;
    let run = again("faults::a_full_disk_changes_nothing", bench.dir.path())?;
    let program = run.get_program().to_owned();
    let under = |shell: &[&str], script: &str| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(script).arg("sh").arg(&program).args(run.get_args());
        command.env("RESTORE_DIR", bench.dir.path()).output()
    };
    // A limit on the size of files is what everybody can have.
    let limited = under(&["sh", "-c"], "trap '' XFSZ; ulimit -f 1000; exec \"$@\"")?;
    let said = String::from_utf8_lossy(&limited.stdout).into_owned();
    assert!(said.contains(&format!("refused with {}", nix::libc::EFBIG)), "{said}");
    // A small disk needs namespaces, which some systems refuse.
    let shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    if under(&shell, "exit 7")?.status.code() == Some(7) {
        let full =
            under(&shell, "mount -t tmpfs -o size=1m tmpfs $RESTORE_DIR/other && exec \"$@\"")?;
        let said = String::from_utf8_lossy(&full.stdout).into_owned();
        assert!(said.contains(&format!("refused with {}", nix::libc::ENOSPC)), "{said}");
    }
    Ok(())
}

#[test]
fn leftovers_of_the_living_and_files_of_others_stay() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a", 0o644, "a")?;
    let result = bench.collect(&["a"])?.result;
    let other = bench.other();
    let dead = ".airtight-00000000000000aa";
    let alive = ".airtight-00000000000000bb";
    for name in [dead, alive] {
        for end in ["lock", "0", "17"] {
            write(&other.join(format!("{name}.{end}")), 0o600, "")?;
        }
    }
    write(&other.join(format!("{dead}.3/closed/x")), 0o600, "")?;
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o500);
    fs::set_permissions(other.join(format!("{dead}.3/closed")), closed)?;
    // Without a lock it is nobody's.
    write(&other.join(".airtight-00000000000000cc.5"), 0o600, "")?;
    let kept = [".airtight-baseline.toml", ".airtight-00000000000000aa.x", ".airtight-1.2"];
    for name in kept {
        write(&other.join(name), 0o600, "")?;
    }
    let lock = fs::File::open(other.join(format!("{alive}.lock")))?;
    lock.lock()?;
    bench.restore(&result, &["a"])?;
    let there: Vec<String> = snapshot(&other)?.into_keys().collect();
    let mut expected = strings(&kept);
    expected.extend(["lock", "0", "17"].map(|end| format!("{alive}.{end}")));
    expected.push("a".into());
    expected.sort();
    assert_eq!(there, expected);
    drop(lock);
    bench.restore(&result, &["a"])?;
    assert_eq!(snapshot(&other)?.len(), kept.len() + 1);
    Ok(())
}

#[test]
fn many_at_once_in_one_directory() -> Outcome {
    let bench = Bench::new()?;
    for n in 0..8 {
        bench.file(&format!("dir/{n}"), 0o644, vec![n; 3000])?;
    }
    let results = (0..8)
        .map(|n| bench.collect(&[&format!("dir/{n}")]).map(|made| made.result))
        .collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = results
            .iter()
            .map(|result| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let path = result.files[0].path.as_str();
                        bench.restore(result, &[path]).map_err(|error| error.to_string())?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "died")?)
    })?;
    assert_eq!(snapshot(&bench.other())?, snapshot(&bench.workspace())?);
    Ok(())
}

#[test]
fn when_one_can_t_be_put_into_place_none_is() -> Outcome {
    let bench = Bench::new()?;
    for name in ["a", "new/b", "z"] {
        bench.file(name, 0o644, "new")?;
    }
    let outputs = ["a", "new/b", "z"];
    let result = bench.collect(&outputs)?.result;
    // The mount is in the way of `z`, and the last that is tried.
    let dir = bench.dir.path();
    let script =
        "mkdir $RESTORE_DIR/other/z && mount -t tmpfs tmpfs $RESTORE_DIR/other/z && \"$@\"";
    if let Some(dir) = env::var_os("RESTORE_DIR") {
        // Here in the namespace.
        let dir = Path::new(&dir);
        let before = snapshot(&dir.join("other"))?;
        let store = LocalStore::open(&dir.join("store"))?;
        let error = restore(&dir.join("other"), &result, &strings(&outputs), &store, EXACT);
        assert!(matches!(error, Err(RestoreError::Missing(_) | RestoreError::System { .. })));
        assert_eq!(snapshot(&dir.join("other"))?, before);
        writeln!(std::io::stdout(), "{error:?}")?;
        return Ok(());
    }
    write(&bench.other().join("a"), 0o600, "old")?;
    let run = again("faults::when_one_can_t_be_put_into_place_none_is", dir)?;
    let unshare = |script: &str| {
        let shell = ["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
        let mut command = Command::new("unshare");
        command.args(shell).arg(run.get_program()).args(run.get_args());
        command.env("RESTORE_DIR", dir).output()
    };
    if unshare("exit 7")?.status.code() == Some(7) {
        let output = unshare(script)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("can't put it into place"), "{said}");
    }
    // Without namespaces: a directory where nothing can be renamed fails before.
    let before = snapshot(&bench.other())?;
    let mut worse = result;
    worse.files[2].digest = airtight_cache::Digest::of(b"absent");
    assert!(matches!(bench.restore(&worse, &outputs), Err(RestoreError::Missing(_))));
    assert_eq!(snapshot(&bench.other())?, before);
    Ok(())
}

#[test]
fn a_directory_that_can_t_be_written_or_listed() -> Outcome {
    let bench = Bench::new()?;
    bench.file("a", 0o644, "a")?;
    bench.file("closed/b", 0o644, "b")?;
    let outputs = ["a", "closed/b"];
    let result = bench.collect(&outputs)?.result;
    let closed = bench.other().join("closed");
    fs::create_dir(&closed)?;
    let mode =
        |mode| fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(mode));
    mode(0o555)?;
    let before = snapshot(&bench.other())?;
    match bench.restore(&result, &outputs) {
        Err(RestoreError::System { path, .. }) => {
            assert_eq!(path, "closed/b");
            assert_eq!(snapshot(&bench.other())?, before);
        }
        other => assert!(other.is_ok() && crate::support::is_root()),
    }
    // What can't be listed can still be written to.
    mode(0o300)?;
    bench.restore(&result, &outputs)?;
    mode(0o755)?;
    assert_eq!(fs::read(closed.join("b"))?, b"b");
    assert_eq!(snapshot(&closed)?.len(), 1);
    Ok(())
}
