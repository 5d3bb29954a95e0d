//! Variables that are noted at each exec: those of the new program, and only the named ones.

use crate::harness::{Case, Trace};
use std::collections::BTreeSet;

/// What was noted of each program in turn, by its file name.
fn noted(trace: &Trace) -> Vec<(String, Vec<String>)> {
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for exec in list(&trace.json["processes"]).iter().flat_map(|process| list(&process["execs"])) {
        let exe = exec["exe"].as_str().expect("a name").rsplit('/').next().unwrap_or_default();
        let env = list(&exec["env"]).iter().map(|v| v.as_str().unwrap_or("?").to_owned()).collect();
        all.push((exe.to_owned(), env));
    }
    all
}

fn owned(expected: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let env = |env: &[&str]| env.iter().map(|&v| v.to_owned()).collect();
    expected.iter().map(|&(exe, values)| (exe.to_owned(), env(values))).collect()
}

#[test]
fn only_the_named_variables_are_kept() {
    let argv = ["marks", "plain", "/usr/bin/env", "TARGET=a b=c", "SECRET=hunter2", "EMPTY="];
    let trace = Case::run("", &argv)
        .notes_env(&["TARGET", "EMPTY", "HOME", "TARGE", "ABSENT"])
        .prints(&["TARGET=a b=c", "SECRET=hunter2", "EMPTY="])
        .trace();
    assert_eq!(
        noted(&trace),
        owned(&[("marks", &["HOME=/nonexistent"]), ("env", &["TARGET=a b=c", "EMPTY="])])
    );
    // The argument vector of `marks` holds it.
    let mut json = trace.json.clone();
    json["processes"] = serde_json::json!([]);
    json["command"] = serde_json::json!([]);
    assert!(!json.to_string().contains("hunter2"));
}

#[test]
fn without_names_nothing_is_noted() {
    let trace = Case::run("", &["marks", "plain", "/usr/bin/env", "TARGET=a"]).trace();
    assert_eq!(noted(&trace), owned(&[("marks", &[]), ("env", &[])]));
}

#[test]
fn however_the_program_is_executed() {
    for mode in ["plain", "vfork", "thread", "at"] {
        for program in ["marks", "marks.m32", "marks.int80"] {
            let argv = [program, mode, "/usr/bin/env", "TARGET=x", "OTHER=y", "TARGET=z"];
            let trace = Case::run("", &argv)
                .notes_env(&["TARGET"])
                .prints(&["TARGET=x", "OTHER=y", "TARGET=z"])
                .trace();
            let expected = owned(&[(program, &[]), ("env", &["TARGET=x", "TARGET=z"])]);
            assert_eq!(noted(&trace), expected, "{program} {mode}");
        }
    }
}

#[test]
fn a_refused_exec_notes_nothing() {
    let trace = Case::run("", &["marks", "refused", "/usr/bin/env", "TARGET=x"])
        .notes_env(&["TARGET"])
        .prints(&[])
        .trace();
    assert_eq!(noted(&trace), owned(&[("marks", &[]), ("env", &[])]));
}

#[test]
fn a_variable_that_changes_under_the_call_is_noted_as_the_program_got_it() {
    let mut seen = BTreeSet::new();
    for _ in 0..8 {
        let trace = Case::run("", &["marks", "changing", "/usr/bin/env", "TARGET=a"])
            .notes_env(&["TARGET"])
            .end_left_open()
            .prints_otherwise()
            .trace();
        let printed = trace.run.stdout_text().trim_end().to_owned();
        assert_eq!(noted(&trace)[1], ("env".to_owned(), vec![printed.clone()]));
        seen.insert(printed);
    }
    assert!(
        seen.iter().all(|value| ["TARGET=a", "TARGET=b"].contains(&value.as_str())),
        "{seen:?}"
    );
}

#[test]
fn a_script_is_noted_with_its_own_environment() {
    let setup = "script s #!/bin/sh\\nTARGET=inner /usr/bin/env -i A=1 /bin/true";
    let trace = Case::run(setup, &["marks", "plain", "$T/s", "TARGET=outer"])
        .notes_env(&["TARGET", "A"])
        .trace();
    let noted = noted(&trace);
    assert_eq!(noted[1].1, ["TARGET=outer"]);
    assert_eq!(noted[2..], owned(&[("env", &["TARGET=inner"]), ("true", &["A=1"])]));
}

#[test]
fn a_variable_that_is_no_text_is_kept_as_it_is() {
    let setup = "script s #!/bin/sh\\nexec /usr/bin/env -i TARGET=$(printf 'a\\377') /bin/true";
    let trace = Case::run(setup, &["$T/s"]).notes_env(&["TARGET"]).trace();
    let processes = trace.json["processes"].to_string();
    // "TARGET=a\xff" in base64.
    assert!(processes.contains(r#""env":[{"b64":"VEFSR0VUPWH/"}]"#), "{processes}");
}

#[test]
fn a_program_that_nobody_may_read_is_incomplete() {
    // As an ordinary user: root reads everything. The exe of such a process can't be read either.
    let trace = Case::run("copy p ops\nmode p 111", &["marks", "plain", "$T/p", "TARGET=x"])
        .notes_env(&["TARGET"])
        .ordinary()
        .end_left_open()
        .exits_otherwise()
        .trace();
    let details = trace.json["reasons"].to_string();
    assert!(details.contains("the environment of a program can't be read"), "{details}");
}
