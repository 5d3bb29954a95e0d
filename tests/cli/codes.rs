//! Every row of the table of exit codes.

use crate::support::Site;
use std::os::unix::fs::PermissionsExt;

/// `trace` and `run` with the rest of their arguments.
fn wrappers<'a>(rest: &[&'a str]) -> [Vec<&'a str>; 2] {
    [[&["trace", "-o", "t", "--"], rest].concat(), [&["run", "--"], rest].concat()]
}

#[test]
fn the_childs_code_is_ours() {
    let site = Site::new();
    for code in [0, 1, 2, 42, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 137, 255] {
        for arguments in wrappers(&["sh", "-c", &format!("exit {code}")]) {
            site.run(&arguments).silent(code);
        }
    }
}

#[test]
fn the_childs_signal_is_raised_again() {
    let site = Site::new();
    // HUP, INT, QUIT, ABRT, KILL, USR1, SEGV, PIPE, ALRM, TERM, SYS and a real-time signal.
    for signal in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 31, 40] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        for arguments in wrappers(&["sh", "-c", &script]) {
            let end = site.run(&arguments);
            assert_eq!((end.code, end.signal), (None, Some(signal)), "{}", end.show());
        }
    }
}

#[test]
fn findings_are_120_only_where_the_child_succeeds() {
    let site = Site::new();
    site.write("secret", "x");
    site.run(&["run", "--", "cat", "secret"]).code(120);
    let end = site.run(&["run", "--", "sh", "-c", "cat secret; exit 3"]);
    end.code(3);
    assert!(end.stderr.contains("error[R001]: undeclared read of secret"), "{}", end.show());
    site.run(&["run", "--in", "secret", "--", "cat", "secret"]).code(0);
}

#[test]
fn a_missing_output_is_122_only_where_the_child_succeeds() {
    let site = Site::new();
    site.run(&["run", "--out", "a.o", "--", "true"]).code(122);
    site.run(&["run", "--out", "a.o", "--", "false"]).code(1);
    site.run(&["run", "--out", "a.o", "--", "sh", "-c", ": > a.o"]).silent(0);
}

#[test]
fn the_time_limit_is_124() {
    let site = Site::new();
    // `read` waits on a pipe that nobody writes to: only the limit ends it.
    let script = "mkfifo \"$TMPDIR/p\"; exec 3<>\"$TMPDIR/p\"; read line <&3";
    let end = site.run(&["run", "--timeout", "300ms", "--", "bash", "-c", script]);
    end.code(124);
    assert!(end.stderr.ends_with("error: stopped after 300ms, the time limit\n"), "{}", end.show());
}

#[test]
fn an_incomplete_recording_is_121_only_where_the_child_succeeds() {
    let site = Site::new();
    // The subshell waits for ever on a pipe of its own, and so outlives the root process.
    let script = "mkfifo p; (exec 3<>p; read line <&3) >/dev/null 2>&1 & exit $0";
    let surviving = |code| site.run(&["trace", "-o", "t", "--", "bash", "-c", script, code]);
    let end = surviving("0");
    end.code(121);
    assert!(end.stderr.starts_with("warning: the recording is incomplete: "), "{}", end.show());
    let end = site.run(&["check", "t", "--out", "p", "--format", "short"]);
    assert!(end.stdout.contains("[H003]"), "{}", end.show());
    std::fs::remove_file(site.path("p")).expect("it was made");
    surviving("7").code(7);
}

#[test]
fn what_can_not_be_executed_is_126_and_what_is_not_there_127() {
    let site = Site::new();
    site.write("script", "#!/bin/sh\n");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(site.path("script"), mode).expect("chmod");
    for arguments in wrappers(&["./script"]) {
        let expected = "error: ./script: Permission denied (os error 13)\n";
        assert_eq!(site.run(&arguments).code(126).stderr, expected);
    }
    for arguments in wrappers(&["no-such-program"]) {
        let expected = "error: no-such-program: command not found\n";
        assert_eq!(site.run(&arguments).code(127).stderr, expected);
    }
    // A failed start leaves no recording, and what was there stays.
    assert!(!site.path("t").exists());
    site.write("old", "result");
    site.run(&["run", "--out", "old", "--", "no-such-program"]).code(127);
    site.run(&["run", "--out", "old", "--", "./script"]).code(126);
    assert_eq!(site.read("old"), "result");
}

#[test]
fn wrong_usage_is_125_for_wrappers_and_2_for_linters() {
    let site = Site::new();
    for (arguments, code) in [
        (["run", "--no-such-flag"].as_slice(), 125),
        (&["trace", "--format", "yaml", "--", "true"], 125),
        (&["run", "--timeout", "soon", "--", "true"], 125),
        (&["run", "--reaction", "R001", "--", "true"], 125),
        (&["run", "--policy", "absent.toml", "--", "true"], 125),
        (&["-C", "absent", "run", "--", "true"], 125),
        (&["run"], 125),
        (&["check"], 2),
        (&["check", "absent"], 2),
        (&["diff", "absent", "absent"], 2),
        (&["explain", "R999"], 2),
        (&["no-such-command"], 2),
        (&[], 2),
        (&["--version"], 0),
        (&["run", "--help"], 0),
    ] {
        site.run(arguments).code(code);
    }
}

#[test]
fn linters_end_with_0_or_1() {
    let site = Site::new();
    site.write("in", "x").write("other", "y");
    site.run(&["trace", "-o", "a", "--", "cat", "in"]).code(0);
    site.run(&["trace", "-o", "b", "--", "cat", "in", "other"]).code(0);
    site.run(&["check", "a", "--in", "in"]).silent(0);
    site.run(&["check", "a"]).code(1);
    site.run(&["diff", "a", "a"]).silent(0);
    let end = site.run(&["diff", "a", "b"]);
    assert_eq!(end.code(1).stdout, "+ read    [ROOT]/work/other  (cat)\n");
    site.run(&["doctor"]).code(0);
}

/// Makes the recording `t.json` incomplete.
fn lose_an_event(site: &Site) {
    let text = site.read("t.json");
    let mut recording: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    recording["state"] = "incomplete".into();
    recording["reasons"] =
        serde_json::json!([{"code": "lost-event", "detail": "an event is lost"}]);
    site.write("t.json", recording.to_string());
}

#[test]
fn a_judged_recording_that_is_only_incomplete_is_121() {
    let site = Site::new();
    site.run(&["trace", "--format", "json", "-o", "t.json", "--", "true"]).silent(0);
    lose_an_event(&site);
    let end = site.run(&["check", "t.json", "--format", "short"]);
    end.code(121);
    assert!(end.stdout.contains("error[I002] "), "{}", end.show());
    // A finding is certain in spite of that.
    site.write("in", "");
    site.run(&["trace", "--format", "json", "-o", "t.json", "--", "cat", "in"]).silent(0);
    lose_an_event(&site);
    site.run(&["check", "t.json"]).code(1);
}

#[test]
fn nothing_runs_untraced_by_accident() {
    let site = Site::new();
    // The kernel allows one tracer for a process, so `airtight` can't trace below strace.
    let inner = |arguments: &[&str]| {
        let airtight = site.airtight(&[&["run"], arguments].concat());
        let mut command = std::process::Command::new("/usr/bin/strace");
        command.args(["-f", "-o", "/dev/null"]);
        command.arg(airtight.get_program()).args(airtight.get_args());
        command.current_dir(site.path("")).env_clear().stdin(std::process::Stdio::null());
        command.envs(airtight.get_envs().filter_map(|(name, value)| Some((name, value?))));
        site.end(command)
    };
    let end = inner(&["--", "touch", "ran"]);
    end.code(125);
    assert!(end.stderr.contains("error: this system does not let processes be traced: "));
    assert!(end.stderr.contains("\n  remedy: "), "{}", end.show());
    assert!(!site.path("ran").exists());
    // Who asks for it gets it, but never a 0.
    let asked = ["--on-untraceable", "uncacheable", "--", "sh", "-c"];
    let end = inner(&[&asked, ["echo ran"].as_slice()].concat());
    assert_eq!(end.code(121).stdout, "ran\n");
    assert!(end.stderr.contains("warning: the command runs untraced and unjudged: "));
    inner(&[&asked, ["exit 7"].as_slice()].concat()).code(7);
    assert_eq!(inner(&[&asked, ["kill -15 $$"].as_slice()].concat()).signal, Some(15));
}
