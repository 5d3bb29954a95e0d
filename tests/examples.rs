//! The examples end as their files `expected` say.

#[path = "real_tools/findings.rs"]
mod findings;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs one example in a copy, and compares exit code and findings.
fn check(name: &str) {
    let copy = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
    let directory = copy.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let copied = Command::new("cp").arg("-r").args([&source, &directory]).status();
    assert!(copied.expect("cp").success(), "copy of {}", source.display());
    if directory.join("prepare.sh").exists() {
        let prepared = Command::new("./prepare.sh").current_dir(&directory).status();
        assert!(prepared.expect("prepare.sh").success());
    }
    let run = |format: &str| {
        Command::new(env!("CARGO_BIN_EXE_airtight"))
            .args(["run", "--spec", "action.json", "--format", format])
            .current_dir(&directory)
            .env("AIRTIGHT_CACHE", "false")
            .output()
            .expect("airtight")
    };
    let output = run("json");
    let report = String::from_utf8(output.stderr).expect("UTF-8");
    let mut actual = format!("exit {}\n", output.status.code().expect("an exit code"));
    if !report.is_empty() {
        for (rule, path) in findings::findings(&report) {
            actual.push_str(&format!("{rule} {path}\n"));
        }
    }
    let expected = fs::read_to_string(source.join("expected")).expect("expected");
    assert_eq!(actual, expected, "{name}: {report}");
    assert!(output.stdout.is_empty(), "{name} prints nothing");
    // What people read names the same.
    let human = String::from_utf8(run("human").stderr).expect("UTF-8");
    for line in expected.lines().skip(1) {
        for word in line.split(' ') {
            assert!(human.contains(word), "{name}: no {word} in:\n{human}");
        }
    }
    assert_eq!(human.is_empty(), expected == "exit 0\n", "{name}: {human}");
}

#[test]
fn macro_include() {
    check("macro-include");
}

#[test]
fn codegen() {
    check("codegen");
}

#[test]
fn archive() {
    check("archive");
}

#[test]
fn sideways() {
    check("sideways");
}

#[test]
fn clean() {
    check("clean");
}

/// The one example that is a whole build.
#[test]
fn whole_build() {
    let copy = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/whole-build");
    let directory = copy.path().join("whole-build");
    let copied = Command::new("cp").arg("-r").args([&source, &directory]).status();
    assert!(copied.expect("cp").success(), "copy of {}", source.display());
    // It may have been built where it lies.
    let cleaned = Command::new("make").args(["--silent", "clean"]).current_dir(&directory).status();
    assert!(cleaned.expect("make").success());
    let output = Command::new(env!("CARGO_BIN_EXE_airtight"))
        .args(["audit", "--report", "json=report.json", "--", "make"])
        .current_dir(&directory)
        .output()
        .expect("airtight");
    let report = fs::read_to_string(directory.join("report.json")).expect("a report");
    let mut actual = format!("exit {}\n", output.status.code().expect("an exit code"));
    for (rule, path) in findings::findings(&report) {
        actual.push_str(&format!("{rule} {path}\n"));
    }
    let expected = fs::read_to_string(source.join("expected")).expect("expected");
    assert_eq!(actual, expected, "{report}");
    let human = String::from_utf8(output.stderr).expect("UTF-8");
    for word in expected.lines().skip(1).flat_map(|line| line.split(' ')) {
        assert!(human.contains(word), "no {word} in:\n{human}");
    }
}

#[test]
fn every_example_is_tested() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> = fs::read_dir(examples)
        .expect("examples")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    // That of SCons by tests/scons/page.rs.
    let tested =
        ["archive", "clean", "codegen", "macro-include", "scons", "sideways", "whole-build"];
    assert_eq!(names, tested);
}
