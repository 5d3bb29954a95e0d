//! Who can have no witness is told so, and nothing is claimed.

use crate::support::{AIRTIGHT, privileged};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// Runs airtight in a directory of its own, as somebody without privilege.
fn ordinary(args: &[&str]) -> (Output, tempfile::TempDir) {
    let directory = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).expect("chmod");
    let mut command = match privileged() {
        true => {
            let mut command = Command::new("setpriv");
            let drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
            command.args(drop).arg(AIRTIGHT);
            command
        }
        false => Command::new(AIRTIGHT),
    };
    command.args(args).current_dir(&directory).env_clear();
    command.envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")]).env("HOME", directory.path());
    (command.output().expect("it starts"), directory)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_that_was_asked_for_and_nothing_runs() {
    let touch = ["--", "touch", "out"];
    for before in [
        &["trace", "--witness", "fanotify"][..],
        &["run", "--witness", "fanotify", "--out", "out"],
        &["run", "--witness=fanotify", "--on-untraceable=uncacheable", "--out", "out"],
        &["audit", "--witness", "fanotify"],
    ] {
        let (output, directory) = ordinary(&[before, &touch].concat());
        let told = text(&output);
        assert_eq!(output.status.code(), Some(125), "{before:?}: {told}");
        for word in ["fanotify", "CAP_SYS_ADMIN", "--witness auto", "--witness off"] {
            assert!(told.contains(word), "{before:?}: {word}: {told}");
        }
        assert!(!directory.path().join("out").exists(), "{before:?} ran");
    }
}

#[test]
fn one_that_was_to_be_there_if_possible() {
    let (output, _) = ordinary(&["audit", "--adapter", "none", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("no witness: "), "{}", text(&output));
    let (output, directory) =
        ordinary(&["trace", "--witness=auto", "--format=json", "-o", "r.json", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let recording = std::fs::read_to_string(directory.path().join("r.json")).expect("a recording");
    assert!(recording.contains(r#""backend": "ptrace","#), "{recording}");
}

#[test]
fn nothing_is_kept_without_one_where_that_is_required() {
    for (setting, published) in [("", 1), ("[cache]\nrequire-witness = true\n", 0)] {
        let directory =
            tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).expect("chmod");
        std::fs::write(file("airtight.toml"), setting).expect("the settings");
        let run = |args: &[&str]| {
            let drop: &[&str] = match privileged() {
                true => &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
                false => &["env"],
            };
            let mut command = Command::new(drop[0]);
            command.args(&drop[1..]).arg(AIRTIGHT).args(args).current_dir(&directory).env_clear();
            command.envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")]);
            command.env("HOME", directory.path()).output().expect("it starts")
        };
        let output = run(&["run", "--out", "out", "--", "sh", "-c", "echo made > out"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let stats = run(&["cache", "stats", "--json"]);
        let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).expect("JSON");
        assert_eq!(stats["counters"]["published"], published, "{setting}: {stats}");
    }
}
