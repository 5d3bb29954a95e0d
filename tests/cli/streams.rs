//! Standard input and output belong to the child; ours is standard error.

use crate::support::Site;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

const ESCAPE: char = '\u{1b}';

#[test]
fn a_clean_run_says_nothing_of_its_own() {
    let site = Site::new();
    site.write("in", "content\n");
    let end = site.run(&["run", "--in", "in", "--", "sh", "-c", "cat in; echo error >&2"]);
    assert_eq!(end.show(), "exit 0\n--- stdout\ncontent\n--- stderr\nerror\n");
    let end = site.run(&["trace", "--", "sh", "-c", "cat in; echo error >&2"]);
    assert_eq!(end.show(), "exit 0\n--- stdout\ncontent\n--- stderr\nerror\n");
    assert!(site.path("airtight-trace.bin").exists());
    site.run(&["trace", "--format", "json", "--", "true"]).silent(0);
    assert!(site.read("airtight-trace.json").starts_with('{'));
}

#[test]
fn standard_input_reaches_the_child() {
    let site = Site::new();
    for arguments in [["run", "--", "cat"].as_slice(), &["trace", "-o", "t", "--", "cat"]] {
        let end = site.end_with_input(site.airtight(arguments), b"through");
        assert_eq!(end.show(), "exit 0\n--- stdout\nthrough--- stderr\n");
    }
}

#[test]
fn findings_go_to_standard_error_in_run_and_to_standard_output_in_check() {
    let site = Site::new();
    site.write("in", "content");
    let end = site.run(&["run", "--recording", "t", "--format", "short", "--", "cat", "in"]);
    let finding = "in: error[R001] undeclared read of in (cat in)\n";
    assert_eq!(end.show(), format!("exit 120\n--- stdout\ncontent--- stderr\n{finding}"));
    let end = site.run(&["check", "t", "--format", "short"]);
    assert_eq!(end.show(), format!("exit 1\n--- stdout\n{finding}--- stderr\n"));
}

#[test]
fn colour_is_for_those_who_want_it() {
    let site = Site::new();
    site.write("in", "");
    let coloured = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = site.airtight(&[arguments, &["run", "--", "cat", "in"]].concat());
        command.envs(variables.iter().copied());
        site.end(command).code(120).stderr.contains(ESCAPE)
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
    assert!(coloured(&[], &["--color", "always"]));
    assert!(coloured(&[("NO_COLOR", "1")], &["--color", "always"]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]));
    assert!(coloured(&[("AIRTIGHT_COLOR", "always")], &[]));
}

#[test]
fn letters_outside_ascii_only_where_the_locale_has_them() {
    let site = Site::new();
    site.write("in", "");
    let arguments =
        ["run", "--format", "short", "--env", "LC_ALL=C", "--", "sh", "-c", "cat in; exit 1"];
    let told = |locale: &str| {
        let mut command = site.airtight(&arguments);
        command.env("LC_ALL", locale);
        site.end(command).code(1).stderr.clone()
    };
    let line = |arrow| {
        format!("in: error[R001] undeclared read of in (cat {arrow} sh -c cat in; exit 1)\n")
    };
    assert_eq!(told("C"), line("<-"));
    assert_eq!(told("C.UTF-8"), line("←"));
}

#[test]
fn a_reader_that_leaves_ends_us_as_it_ends_others() {
    let site = Site::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = site.airtight(&["completions", "bash"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("airtight starts");
    assert_eq!(output.status.signal(), Some(13));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_closed_standard_error_changes_no_exit_code() {
    let site = Site::new();
    site.write("in", "");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = site.airtight(&["run", "--", "cat", "in"]);
    let status = command.stderr(writer).status().expect("airtight starts");
    assert_eq!(status.code(), Some(120));
}
