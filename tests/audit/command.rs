//! `airtight audit` itself: streams, exit codes, files.

use crate::support::Project;
use std::fs;
use std::process::Stdio;

const NOTHING: &str = "-- README --\n";

#[test]
fn streams_and_codes_are_those_of_the_build() {
    let project = Project::new(NOTHING);
    for code in [0, 1, 2, 119, 120, 255] {
        let script = format!("echo out; echo err >&2; exit {code}");
        let audit = project.audit_with(&["--adapter", "none"], &["sh", "-c", &script]);
        audit.expect(code, &[]);
        assert_eq!(audit.end.stdout, "out\n");
        assert!(audit.end.stderr.contains("err\nsh -c "), "{}", audit.end.show());
    }
    let mut command = project
        .command(env!("CARGO_BIN_EXE_airtight"), &["audit", "--adapter", "none", "--", "cat"]);
    command.stdin(fs::File::open(project.path("Makefile")).map_or(Stdio::null(), Stdio::from));
    assert_eq!(project.end(command).code(0).stdout, "");
}

#[test]
fn a_signal_is_raised_again_after_the_report() {
    let project = Project::new(NOTHING);
    let script = "ulimit -c 0; kill -15 $$";
    let audit = project.audit_with(&["--adapter", "none"], &["sh", "-c", script]);
    assert_eq!((audit.end.code, audit.end.signal), (None, Some(15)), "{}", audit.end.show());
    assert!(!audit.report.is_null());
    assert!(project.path("airtight-audit.bin").exists());
}

#[test]
fn the_environment_of_the_caller_reaches_the_build() {
    let project = Project::new(NOTHING);
    let airtight = env!("CARGO_BIN_EXE_airtight");
    let script = "echo $GIVEN $TMPDIR";
    let mut command =
        project.command(airtight, &["audit", "--adapter", "none", "--", "sh", "-c", script]);
    command.env("GIVEN", "yes");
    assert_eq!(project.end(command).code(0).stdout, "yes [ROOT]/tmp\n");
}

#[test]
fn a_command_that_is_no_build_tool_is_told() {
    let project = Project::new(NOTHING);
    let audit = project.audit(&["cat", "README"]);
    audit.expect(0, &[]);
    assert!(audit.end.stderr.starts_with("warning: no build tool was seen: "));
    assert!(audit.end.stderr.contains("cat README: nothing found, "), "{}", audit.end.show());
    assert!(audit.end.stderr.contains("1 process, 0 unattributed\n"), "{}", audit.end.show());
}

#[test]
fn a_command_can_be_held_against_its_declaration() {
    let project = Project::new("-- in --\n-- other --\n");
    let none = ["--adapter", "none"];
    let with = |more: &[&'static str]| [none.as_slice(), more].concat();
    let cat = ["sh", "-c", "cat in other > out"];
    let reads = |path| ("R001", "out", path);
    project.audit_with(&with(&["--in", "in", "--out", "out"]), &cat).expect(120, &[reads("other")]);
    project
        .audit_with(&with(&["--in", "in", "--in", "other", "--out", "out"]), &cat)
        .expect(0, &[]);
    let end = project.airtight(&["audit", "--in", "in", "--", "true"]);
    assert!(end.code(125).stderr.contains("hint: `--adapter none` takes"), "{}", end.show());
}

#[test]
fn what_can_not_be_written_stops_us_before_the_start() {
    let project = Project::new(NOTHING);
    for flags in [["-o", "absent/file"], ["--report", "json=absent/file"]] {
        let end = project.airtight(&[&["audit"], &flags[..], &["--", "touch", "ran"]].concat());
        let expected = "error: absent/file: can't write: No such file or directory (os error 2)\n";
        assert_eq!(end.code(125).stderr, expected);
    }
    for (report, expected) in [
        ("yaml=x", "error: invalid value 'yaml=x' for '--report"),
        ("json=", "error: invalid value 'json=' for '--report"),
    ] {
        let end = project.airtight(&["audit", "--report", report, "--", "touch", "ran"]);
        assert!(end.code(125).stderr.starts_with(expected), "{}", end.show());
    }
    assert!(!project.path("ran").exists());
}

#[test]
fn nothing_is_refused_in_an_audit() {
    let project = Project::new(NOTHING);
    for reaction in ["deny", "hide", "kill"] {
        let flag = format!("R001={reaction}");
        let end = project.airtight(&["audit", "--reaction", &flag, "--", "touch", "ran"]);
        let expected = format!("error: an audit can't {reaction} anything (R001): ");
        assert!(end.code(125).stderr.starts_with(&expected), "{}", end.show());
    }
    for reaction in ["record", "warn", "fail"] {
        let flag = format!("R001={reaction}");
        project.airtight(&["audit", "--reaction", &flag, "--", "true"]).code(0);
    }
    assert!(!project.path("ran").exists());
}

#[test]
fn a_report_can_go_to_standard_output_after_the_build() {
    let project = Project::new(NOTHING);
    let end = project.airtight(&["audit", "--report", "json=/dev/stdout", "--", "echo", "first"]);
    let json = end.code(0).stdout.strip_prefix("first\n").expect("the build comes first");
    let report: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(report["build"]["unattributed"], serde_json::json!([]));
}

#[test]
fn the_time_limit_is_124_and_what_was_seen_is_reported() {
    let project = Project::new(NOTHING);
    // `read` waits on a pipe that nobody writes to: only the limit ends it.
    let script = "mkfifo p; exec 3<>p; read line <&3";
    let audit = project.audit_with(&["--timeout", "300ms"], &["bash", "-c", script]);
    audit.end.code(124);
    assert!(audit.end.stderr.ends_with("error: stopped after 300ms, the time limit\n"));
    assert!(!audit.report.is_null());
    assert!(project.path("airtight-audit.bin").exists());
}

#[test]
fn what_can_not_be_executed_is_126_and_what_is_not_there_127() {
    let project = Project::new("-- script --\n");
    project.airtight(&["audit", "--", "./script"]).code(126);
    project.airtight(&["audit", "--", "no-such-program"]).code(127);
    assert!(!project.path("airtight-audit.bin").exists());
}
