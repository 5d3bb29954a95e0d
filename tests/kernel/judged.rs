//! What `run` and `audit` make of such a recording.

use crate::harness::is_root;
use crate::support::{Place, refused};
use std::process::{Command, Output};

fn run(place: &Place, flags: &[&str], script: &str) -> Output {
    let mut command = place.airtight(&["run", "--backend", "fanotify", "--in", "a", "--out", "b"]);
    output(command.args(flags).args(["--", "sh", "-c", script]))
}

fn output(command: &mut Command) -> Output {
    command.output().expect("airtight starts")
}

fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path(".git")).expect("mkdir");
    place.write("a", "text\n").write("undeclared", "text\n");
    place
}

/// Its output is another in each run.
const COPY: &str = "echo ran by $$ >&2; cat a > b";

#[test]
fn it_does_not_verify_by_itself() {
    let place = place();
    let ends = [run(&place, &[], COPY), run(&place, &[], COPY)];
    if !is_root() {
        return ends.iter().for_each(refused);
    }
    for end in &ends {
        let told = String::from_utf8_lossy(&end.stderr);
        assert_eq!(end.status.code(), Some(121), "{told}");
        assert!(told.contains("I002") && told.contains("fanotify backend does not see"), "{told}");
    }
    assert_ne!(ends[0].stderr, ends[1].stderr, "nothing was restored");
}

#[test]
fn a_policy_may_accept_it() {
    if !is_root() {
        return;
    }
    let place = place();
    place.write("airtight.toml", "[policy]\nunsafe-accept-fanotify = true\n");
    let first = run(&place, &[], COPY);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    std::fs::remove_file(place.path("b")).expect("it was made");
    let again = run(&place, &[], COPY);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(again.stderr, first.stderr, "the result of the first was restored");
    assert_eq!(std::fs::read(place.path("b")).expect("restored"), b"text\n");
    // A key without that option is another.
    place.write("airtight.toml", "");
    let end = run(&place, &[], COPY);
    assert_eq!(end.status.code(), Some(121));
}

#[test]
fn findings_are_told_all_the_same() {
    if !is_root() {
        return;
    }
    let place = place();
    place.write("airtight.toml", "[policy]\nunsafe-accept-fanotify = true\n");
    let end = run(&place, &[], "cat a undeclared > b");
    let told = String::from_utf8_lossy(&end.stderr);
    assert_eq!(end.status.code(), Some(120), "{told}");
    assert!(told.contains("R001") && told.contains("undeclared"), "{told}");
    let end = run(&place, &[], "cat a > b; : > more");
    let told = String::from_utf8_lossy(&end.stderr);
    assert_eq!(end.status.code(), Some(120), "{told}");
    assert!(told.contains("W001") && told.contains("more"), "{told}");
}

#[test]
fn an_input_that_changes_meanwhile_is_told() {
    if !is_root() {
        return;
    }
    let place = place();
    place.write("airtight.toml", "[policy]\nunsafe-accept-fanotify = true\n");
    // This test is not of the tree.
    let script = "cat a > b; echo > ready; read x < go";
    for name in ["ready", "go"] {
        let made = Command::new("mkfifo").arg(place.path(name)).status().expect("mkfifo");
        assert!(made.success());
    }
    let mut command = place.airtight(&["run", "--backend", "fanotify", "--in", "a", "--out", "b"]);
    command.args(["--no-cache", "--", "sh", "-c", script]).stderr(std::process::Stdio::piped());
    let running = command.spawn().expect("airtight starts");
    std::fs::read(place.path("ready")).expect("it has read");
    place.write("a", "other\n");
    std::fs::write(place.path("go"), "\n").expect("it goes on");
    let end = running.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&end.stderr);
    assert!(told.contains("I001"), "{told}");
}

#[test]
fn what_it_can_not_do_is_refused_before_anything_runs() {
    let place = place();
    for flags in [&["--reaction", "R001=deny"][..], &["--guard"]] {
        let end = run(&place, flags, ": > b");
        assert_eq!(end.status.code(), Some(125), "{}", String::from_utf8_lossy(&end.stderr));
    }
    assert!(!place.path("b").exists());
}

#[test]
fn an_audit_finds_its_tools() {
    let place = place();
    place.write("Makefile", "b: a\n\tcat a undeclared > b\n");
    let mut command = place.airtight(&["audit", "--backend", "fanotify", "--", "make"]);
    let end = output(&mut command);
    if !is_root() {
        return refused(&end);
    }
    let told = String::from_utf8_lossy(&end.stderr);
    // Whose work it was shows in variables that must be read while the process lives.
    let unread = told.contains("ended before their arguments could be read");
    assert!(unread || (told.contains("R001") && told.contains("undeclared")), "{told}");
}
