//! Other roots and mount namespaces: the text in the call is not the name. Root enters them as it
//! is, an ordinary user by way of a user namespace.

use crate::harness::{Case, Trace, is_root};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn both(setup: &str, how: &str, check: impl Fn(Trace)) {
    check(Case::run(setup, &["spaces", how]).end_left_open().trace());
    check(Case::run(setup, &["spaces", how]).ordinary().end_left_open().trace());
}

/// Complete, and exactly these facts.
fn exactly<'a>(facts: &'a [&'a str]) -> impl Fn(Trace) + 'a {
    move |trace| {
        assert_eq!(trace.reasons, Vec::<String>::new(), "must be complete");
        trace.facts.assert_exactly(facts);
    }
}

#[test]
fn chroot() {
    let setup = "file d/f\nfile d/g\nlink d/l /f\ndir d/e\nfile f\nfile g";
    let facts = ["probe+ d", "read d/f", "link d/l", "read d/g", "probe- d/no"];
    both(setup, "chroot", exactly(&facts));
}

#[test]
fn user_namespace() {
    both("file f", "user", exactly(&["read f", "probe- no"]));
}

#[test]
fn pid_namespace() {
    both("file f", "pid", exactly(&["read f"]));
}

#[test]
fn bind_mount() {
    let facts = [
        "read a/f",
        "write a/new",
        "delete a/g",
        "probe+ a",
        "probe+ a/h",
        "probe- a/no",
        "?probe+ b",
    ];
    both("file a/f\nfile a/g\nfile a/h\nfile b/f\nfile b/other", "bind", exactly(&facts));
}

#[test]
fn bind_mount_over_a_directory_in_use() {
    let facts = [
        "probe+ b/f",
        "read a/g",
        "probe- a/h",
        "read b/h",
        "probe- b/g",
        "?probe+ a",
        "?probe+ b",
    ];
    both("file a/g\nfile b/f\nfile b/h", "bind-late", exactly(&facts));
}

#[test]
fn bind_mount_of_a_file() {
    both("file a text\nfile b other", "bind-file", exactly(&["read a", "?probe+ a", "?probe+ b"]));
}

#[test]
fn tmpfs_over_a_directory() {
    // What is in the tmpfs has no name outside: no fact may speak of the directory it covers.
    both("file d/f", "tmpfs", |trace| trace.facts.assert_exactly(&["?probe+ d"]));
}

#[test]
fn detached_mount() {
    // Its names can be had by device and inode only: they are right, or the recording says no.
    both("file a/f", "detached", |trace| {
        let sign = if trace.reasons.is_empty() { "" } else { "?" };
        let facts = ["read a/f", "probe- a/no"].map(|f| format!("{sign}{f}"));
        trace.facts.assert_exactly(&[&facts[..], &["?probe+ a".to_owned()]].concat());
    });
}

#[test]
fn entering_the_namespace_of_another() {
    both("file a/f\nfile b/f", "setns", exactly(&["read a/f", "?probe+ a", "?probe+ b"]));
}

#[test]
fn pivot_root() {
    let facts = ["?probe+ d", "read d/f", "probe- d/no"];
    both("file d/f\nfile f", "pivot", exactly(&facts));
}

#[test]
fn entering_the_namespace_of_a_stranger() {
    let root = is_root();
    let own: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    let mut stranger = Command::new("unshare")
        .args(own)
        .args(["--mount", "sh", "-c", "echo there; read answer"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut line = String::new();
    let told = stranger.stdout.take().expect("a pipe");
    BufReader::new(told).read_line(&mut line).expect("a line");
    assert_eq!(line, "there\n");
    let pid = stranger.id();
    let mut enter = vec!["/usr/bin/nsenter".to_owned(), format!("--mount=/proc/{pid}/ns/mnt")];
    if !root {
        enter.extend([format!("--user=/proc/{pid}/ns/user"), "--preserve-credentials".to_owned()]);
    }
    enter.push("/bin/true".to_owned());
    Case::run("", &enter).incomplete("path-unreadable").trace();
    drop(stranger.stdin.take());
    stranger.wait().expect("its end");
}
