//! Trees that ptrace can't follow, or not without changing them.

use crate::harness::is_root;
use crate::support::Place;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_debugger_within_the_tree_does_its_work() {
    let place = Place::new();
    place.write("f", "text\n");
    let argv = ["strace", "-f", "-o", "log", "sh", "-c", "cat f; true"];
    let Some(trace) = place.trace(&argv) else { return };
    trace.did(&["read f", "write log"]);
    let log = std::fs::read_to_string(place.path("log")).expect("strace wrote it");
    assert!(log.contains("openat") && log.contains("exited with 0"), "{log}");
}

#[test]
fn airtight_itself_may_be_traced() {
    let place = Place::new();
    place.write("f", "text\n");
    let inner = ["trace", "--backend", "fanotify", "--format", "json", "-o", ".trace"];
    let mut strace = Command::new("strace");
    place.here(&mut strace);
    let program = env!("CARGO_BIN_EXE_airtight");
    strace.args(["-f", "-o", "log", program]).args(inner).args(["--", "sh", "-c", "cat f; true"]);
    let Some(trace) = place.traced(strace) else { return };
    trace.did(&["read f"]);
    assert_eq!(trace.output.stdout, b"text\n");
}

#[test]
fn a_set_uid_program_keeps_its_privilege() {
    let place = Place::new();
    place.write("secret", "text\n");
    let mode = |name: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path(name), permissions).expect(name);
    };
    std::fs::copy("/bin/cat", place.path("own")).expect("a copy of cat");
    mode("secret", 0o600);
    mode("", 0o755);
    mode("own", 0o4755);
    let who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let Some(trace) = place.trace(&[&who[..], &["./own", "secret"]].concat()) else { return };
    assert_eq!(String::from_utf8_lossy(&trace.output.stdout), "text\n");
    trace.did(&["exec own", "read secret"]);
}

#[test]
fn another_airtight_within_traces_as_ever() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write("f", "text\n");
    let program = env!("CARGO_BIN_EXE_airtight");
    let inner = [program, "trace", "-o", "inner", "--", "cat", "f"];
    let trace = place.trace(&inner).expect("root may");
    assert_eq!(trace.output.stdout, b"text\n");
    assert!(trace.facts().contains(&"read f".to_owned()), "{:?}", trace.facts());
}

#[test]
fn what_is_mounted_for_the_tree_alone_is_not_missed_silently() {
    let place = Place::new();
    place.write("f", "text\n");
    let own = "mkdir low up work all; mount -t overlay overlay \
               -o lowerdir=low,upperdir=up,workdir=work all; cat f; sh -c ': > all/made'";
    let Some(trace) = place.trace(&["unshare", "-m", "sh", "-ec", own]) else { return };
    let reasons = trace.reasons();
    assert!(reasons.iter().any(|r| r.starts_with("lost-event: ") && r.contains("(overlay)")));
    // A tmpfs holds what the tree has put there itself.
    let own = "mkdir mem; mount -t tmpfs none mem; cat f; sh -c ': > mem/made'";
    let trace = place.trace(&["unshare", "-m", "sh", "-ec", own]).expect("root may");
    let reasons = trace.reasons();
    assert!(reasons.iter().all(|r| r.starts_with("backend-limits: ")), "{reasons:?}");
    trace.did(&["read f", "write mem"]);
}
