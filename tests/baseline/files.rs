//! The file of the baseline: where it is looked for, and what can be wrong with it.

use crate::support::Project;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

const DEBT: &str = "[[debt]]\nrule = \"R001\"\npath = \"b\"\ncount = 2\nsince = 2026-01-02\n";

fn project() -> Project {
    let project = Project::new("-- a --\n-- b --\n");
    let flags = ["--adapter", "none", "--in", "a", "--out", "out"];
    let audit = project.audit_with(&flags, &["sh", "-c", "cat a b > out"]);
    audit.expect(120, &[("R001", "out", "b")]);
    project
}

#[test]
fn errors_name_the_place_before_the_build_runs() {
    let project = project();
    project.write("airtight-baseline.toml", "[[debt]]\nrule = \"R001\"\ncuont = 1\n");
    let place = "airtight-baseline.toml:3:1: unknown field `cuont`; did you mean `count`?";
    let audit = project.airtight(&["audit", "--", "touch", "ran"]);
    assert!(audit.code(125).stderr.contains(place), "{}", audit.show());
    assert!(!project.path("ran").exists());
    let show = project.airtight(&["baseline", "show"]);
    assert!(show.code(2).stderr.contains(place), "{}", show.show());
    let check = project.airtight(&["check", "airtight-audit.bin"]);
    assert!(check.code(2).stderr.contains(place), "{}", check.show());
}

#[test]
fn another_file_can_be_named() {
    let project = project();
    project.write("other.toml", DEBT);
    project.check(&["--baseline", "other.toml"]).expect(0, &[]);
    let missing = project.airtight(&["check", "airtight-audit.bin", "--baseline", "none.toml"]);
    assert!(missing.code(2).stderr.contains("none.toml: can't read"), "{}", missing.show());
    project.airtight(&["baseline", "create", "--baseline", "third.toml"]).code(0);
    project.check(&["--baseline", "third.toml"]).expect(0, &[]);
    assert!(!project.path("airtight-baseline.toml").exists());
    let trace = ["run", "--recording", "a.trace", "--in", "a", "--", "cat", "a"];
    project.airtight(&trace).code(0);
    let flags = ["check", "a.trace", "--in", "a", "--no-baseline"];
    assert!(project.airtight(&flags).code(2).stderr.contains("--baseline is for audits"));
}

#[test]
fn it_lies_in_the_workspace_wherever_one_stands() {
    let project = project();
    project.airtight(&["baseline", "create"]).code(0);
    project.write("sub/x", "");
    let show = project.airtight(&["-C", "sub", "baseline", "show", "../airtight-audit.bin"]);
    assert!(show.code(0).stdout.ends_with("1 entry covers 1 finding\n"), "{}", show.show());
}

#[test]
fn links_and_permissions_stay_and_read_only_files_are_left_alone() {
    let project = project();
    project.write("shared.toml", DEBT);
    let mode =
        |mode| fs::set_permissions(project.path("shared.toml"), fs::Permissions::from_mode(mode));
    mode(0o640).expect("own");
    symlink("shared.toml", project.path("airtight-baseline.toml")).expect("made");
    let update = project.airtight(&["baseline", "update"]);
    assert_eq!(update.code(0).stderr, "count of R001 on b: 2 -> 1\n");
    assert_eq!(project.read("shared.toml"), DEBT.replace("count = 2", "count = 1"));
    let now = fs::metadata(project.path("shared.toml")).expect("there").permissions();
    assert_eq!(now.mode() & 0o777, 0o640);
    assert!(project.path("airtight-baseline.toml").is_symlink());
    project.write("shared.toml", DEBT);
    mode(0o440).expect("own");
    let update = project.airtight(&["baseline", "update"]);
    assert!(update.code(2).stderr.contains("can't write: it is read-only"), "{}", update.show());
    assert_eq!(project.read("shared.toml"), DEBT);
}

#[test]
fn odd_files_are_errors_and_no_more() {
    let project = project();
    let recording = project.airtight(&["baseline", "create", "a"]);
    assert!(recording.code(2).stderr.contains("a: not the file of an audit"));
    project.airtight(&["baseline", "create", "missing.bin"]).code(2);
    let rule = project.airtight(&["baseline", "update", "--accept", "R0O1"]);
    assert!(rule.code(2).stderr.contains("did you mean `R001`?"), "{}", rule.show());
    project.write("airtight-baseline.toml", b"\xff\xfe");
    project.airtight(&["baseline", "show"]).code(2);
    let inline = "debt = [{ rule = \"R001\", path = \"b\", count = 9, since = 2026-01-02 }]\n";
    project.write("airtight-baseline.toml", inline);
    let update = project.airtight(&["baseline", "update"]);
    assert!(update.code(2).stderr.contains("[[debt]]"), "{}", update.show());
    assert_eq!(project.read("airtight-baseline.toml"), inline);
    project.check(&[]).expect(0, &[]);
}
