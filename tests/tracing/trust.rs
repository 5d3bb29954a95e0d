//! A file becomes a link in the moment in which it is opened. Whichever the program really got is
//! in the recording, or the recording doesn't pass for a true one.

use crate::harness::program;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const ROUNDS: usize = 300;

/// Makes files `fI` and `oI`, and links `lI` to `oI`.
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for i in 0..ROUNDS {
        std::fs::write(dir.path().join(format!("f{i}")), "file").expect("a file");
        std::fs::write(dir.path().join(format!("o{i}")), "other").expect("a file");
        let link = dir.path().join(format!("l{i}"));
        std::os::unix::fs::symlink(format!("o{i}"), link).expect("a link");
    }
    dir
}

/// Runs a shell script that leaves a recording in `trace.json`, and holds what the program says it
/// opened against it.
fn hold_against(dir: &Path, script: &str) {
    let run = Command::new("sh")
        .args(["-ec", script])
        .env("AIRTIGHT", env!("CARGO_BIN_EXE_airtight"))
        .env("FLIPS", program("flips"))
        .env("N", ROUNDS.to_string())
        .current_dir(dir)
        .output()
        .expect("sh runs");
    let opened = String::from_utf8(run.stdout).expect("names");
    let text = std::fs::read(dir.join("trace.json")).expect("a recording");
    let trace: Value = serde_json::from_slice(&text).expect("JSON");
    let complete = trace["state"] == "complete";
    let code = run.status.code();
    assert_eq!(code, Some(if complete { 0 } else { 121 }), "{:?}", run.stderr);
    assert_eq!(opened.lines().count(), ROUNDS);

    let base = dir.canonicalize().expect("a path");
    let name = |value: &Value| -> Option<String> {
        Some(Path::new(value["path"].as_str()?).strip_prefix(&base).ok()?.to_str()?.to_owned())
    };
    let list = |key: &str| trace[key].as_array().cloned().unwrap_or_default();
    let accesses = list("accesses");
    let reads: BTreeSet<_> =
        accesses.iter().filter(|access| access["kind"] == "read").filter_map(name).collect();
    let changed: BTreeSet<_> = list("stamps")
        .iter()
        .filter(|stamp| stamp["before"] != stamp["after"])
        .filter_map(name)
        .collect();
    for (i, file) in opened.lines().enumerate() {
        assert_ne!(file, "?");
        let told = reads.contains(file) || changed.contains(&format!("f{i}"));
        assert!(told || !complete, "{file} was opened, and the recording knows only {reads:?}");
    }
}

#[test]
fn a_link_put_in_the_place_of_a_file_by_a_child() {
    let dir = world();
    hold_against(dir.path(), "$AIRTIGHT trace --format json -o trace.json -- $FLIPS both $N");
}

#[test]
fn a_link_put_in_the_place_of_a_file_from_outside() {
    let dir = world();
    hold_against(
        dir.path(),
        "mkfifo go done
         $FLIPS attacker $N 3<go 4>done &
         $AIRTIGHT trace --format json -o trace.json -- $FLIPS victim $N 3>go 4<done",
    );
}
