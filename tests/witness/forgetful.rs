//! A table of system calls with a hole is noticed on every run, and nothing of it is published.

use crate::harness::program;
use crate::support::{airtight, privileged};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// How often.
const RUNS: usize = 20;

/// A workspace with a program, and with a file that no action declares.
fn prepare(directory: &Path) {
    fs::create_dir(directory.join(".git")).expect("mkdir");
    fs::copy(program("ops"), directory.join("ops")).expect("a copy");
    fs::write(directory.join("hidden"), "hidden").expect("a file");
}

/// Runs an action that makes `out`, and gives what it says and how many results are
/// in the cache then.
fn act(command: &mut Command, directory: &Path, witness: &str, calls: &[&str]) -> (Output, u64) {
    let file = |name: &str| directory.join(name);
    for name in ["out", "t", "u"] {
        let _ = fs::remove_file(file(name));
    }
    let ran = command
        .args(["run", "--refresh", "--witness", witness, "--in", "ops", "--side-effect", "t"])
        .args(["--out", "out", "--", "./ops"])
        .args(calls)
        .env("HOME", directory)
        .env_remove("XDG_CACHE_HOME")
        .current_dir(directory)
        .output()
        .expect("it starts");
    assert!(file("out").exists(), "{}", String::from_utf8_lossy(&ran.stderr));
    let stats = airtight("")
        .args(["cache", "stats", "--json"])
        .env("HOME", directory)
        .current_dir(directory)
        .output()
        .expect("it starts");
    let stats: Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    (ran, stats["store"]["entries"].as_u64().expect("a number"))
}

/// The action is caught on every run, by a finding that says this; without the witness its result
/// would be in the cache.
fn caught(call: &str, calls: &[&str], says: &[&str]) {
    if !privileged() {
        return;
    }
    let directory = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
    prepare(directory.path());
    for _ in 0..RUNS {
        let (ran, entries) = act(&mut airtight(call), directory.path(), "fanotify", calls);
        let told = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(121), "{told}");
        assert!(told.contains("I002"), "{told}");
        for word in says {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert_eq!(entries, 0, "it was published: {told}");
    }
    let (ran, entries) = act(&mut airtight(call), directory.path(), "off", calls);
    let told = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "nobody else notices: {told}");
    assert!(entries > 0, "it would have been published: {told}");
}

#[test]
fn of_openat2() {
    caught(
        "openat2",
        &["openat2 AT_FDCWD :hidden &how:O_RDONLY,0,0 24", "creat :out 0644"],
        &["/hidden was opened by process "],
    );
}

#[test]
fn of_renameat2() {
    caught(
        "renameat2",
        &["creat :t 0644", "renameat2 AT_FDCWD :t AT_FDCWD :u 0", "creat :out 0644"],
        &["/t was renamed to another name by process ", "/u was made by renaming another file by"],
    );
}

#[test]
fn the_usual_command_forgets_nothing() {
    let directory = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
    prepare(directory.path());
    let mut command = airtight("");
    command.env("AIRTIGHT_FORGOTTEN_CALLS", "openat2");
    let calls = ["openat2 AT_FDCWD :hidden &how:O_RDONLY,0,0 24", "creat :out 0644"];
    let (ran, entries) = act(&mut command, directory.path(), "off", &calls);
    assert_eq!((ran.status.code(), entries), (Some(120), 0), "the read of `hidden` is undeclared");
}
