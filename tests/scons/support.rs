//! Projects that are built with SCons, and what was found in them.

use crate::project::{End, Project};
use airtight_test_servers::scons;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Target, file and rule of a finding.
pub(crate) type Finding = (String, String, String);

/// The package, as it lies in the source tree.
pub(crate) fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/scons")
}

/// SCons of this version with these arguments, not started and without the package. It is not to
/// write compiled modules beside it, nor into the source tree.
pub(crate) fn plain(project: &Project, version: &str, args: &[&str]) -> Command {
    let program = scons(version);
    let mut command = project.command(program.to_str().expect("UTF-8"), args);
    command
        .env("AIRTIGHT", env!("CARGO_BIN_EXE_airtight"))
        .env("XDG_CACHE_HOME", project.root().join("cache"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// `airtight scons` with SCons of this version, not started.
pub(crate) fn airtight(project: &Project, version: &str, args: &[&str]) -> Command {
    let program = scons(version);
    let program = program.to_str().expect("UTF-8");
    let line = [&["scons", "--program", program, "--"], args].concat();
    let mut command = project.command(env!("CARGO_BIN_EXE_airtight"), &line);
    command.env("XDG_CACHE_HOME", project.root().join("cache")).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Builds with `airtight scons`; gives how it ended, and what was found.
pub(crate) fn build(project: &Project, version: &str, args: &[&str]) -> (End, BTreeSet<Finding>) {
    let report = project.root().join("findings");
    let _ = fs::remove_file(&report);
    let option = format!("--airtight-report={}", report.display());
    let end = project.end(airtight(project, version, &[&[option.as_str()], args].concat()));
    (end, findings(project, &fs::read_to_string(&report).unwrap_or_default()))
}

/// The findings in a report of `--airtight-report`.
fn findings(project: &Project, report: &str) -> BTreeSet<Finding> {
    let root = project.root().to_str().expect("UTF-8").to_owned();
    let mut found = BTreeSet::new();
    for line in report.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line[name].as_str().expect(name).replace(&root, "[ROOT]");
        let finding = (text("action"), text("subject"), text("rule"));
        assert!(found.insert(finding), "told twice: {line}");
    }
    found
}

/// Findings as they are written in tests: target, file and rule in a line.
pub(crate) fn expected(lines: &str) -> BTreeSet<Finding> {
    let words = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut next = || words.next().expect("three words");
        (next(), next(), next())
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(words).collect()
}
