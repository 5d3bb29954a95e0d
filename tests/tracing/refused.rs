//! What the tracer refuses, or what a program refuses itself: io_uring, userfaultfd, ptrace,
//! seccomp filters of its own, set-uid, and what forbids looking into a process.

use crate::harness::{Case, Ended, is_root};
use std::collections::BTreeSet;

#[test]
fn io_uring() {
    let trace = Case::run("file f", &["faults", "ring"]).prints_otherwise().facts(&["read f"]);
    assert_eq!(trace.run.stdout_text(), "ENOSYS\n");
    assert!(trace.note_kinds().contains("io-uring-refused"), "{:?}", trace.notes());
}

#[test]
fn userfaultfd() {
    // 1 is UFFD_USER_MODE_ONLY: anyone may.
    let trace = Case::run("", &["ops", "userfaultfd 1"]).prints_otherwise().facts::<&str>(&[]);
    assert_eq!(trace.run.stdout_text(), "userfaultfd = ENOSYS\n");
    let note = ("call-refused".to_owned(), "userfaultfd".to_owned());
    assert!(trace.notes().contains(&note), "{:?}", trace.notes());
}

#[test]
fn userfaultfd_by_its_device() {
    // The same by ioctl on /dev/userfaultfd, which is root's.
    let trace = Case::run("", &["faults", "uffd"]).prints_otherwise().end_left_open().trace();
    let got = trace.run.stdout_text();
    assert!(got != "ok\n" || !trace.reasons.is_empty(), "let through, and called complete");
}

#[test]
fn ptrace_inside() {
    // As if already traced: by somebody else, who is not seen.
    for (how, error) in [("traceme", "EPERM\n"), ("attach", "EPERM\n"), ("seize", "EPERM\n")] {
        let trace = Case::run("file f", &["tracer", how]).prints_otherwise().facts(&["read f"]);
        assert_eq!(trace.run.stdout_text(), error, "{how}");
        assert!(trace.note_kinds().contains("ptrace-refused"), "{how}: {:?}", trace.notes());
    }
}

#[test]
fn strace_inside() {
    let argv = ["/usr/bin/strace", "-o", "/dev/null", "/bin/cat", "f"];
    let trace = Case::run("file f text", &argv).prints_otherwise().exits_otherwise().trace();
    assert!(trace.note_kinds().contains("ptrace-refused"), "{:?}", trace.notes());
    assert_eq!(trace.reasons, Vec::<String>::new());
    assert!(
        trace.run.stderr_text().contains("strace"),
        "its own words: {}",
        trace.run.stderr_text()
    );
}

#[test]
fn ourselves_inside() {
    // The kernel allows one tracer: the outer one records for the inner one (see tests/nested).
    let airtight = env!("CARGO_BIN_EXE_airtight");
    let argv = [airtight, "trace", "-o", "inner", "--", "/bin/cat", "f"];
    let trace = Case::run("file f text", &argv).files_vary().trace();
    assert_eq!(trace.run.stdout_text(), "text");
    assert!(trace.facts.inside.contains("read f"), "{:?}", trace.facts);
    assert_eq!(trace.note_kinds(), BTreeSet::new(), "{:?}", trace.notes());
}

const WORLD: &str = "file f\nfile g";

fn filter(argv: &[&str]) -> Case {
    Case::run(WORLD, &[&["filters"], argv].concat())
}

#[test]
fn its_own_filter_that_lets_pass() {
    filter(&["allow"]).facts(&["read f", "probe+ g"]);
    filter(&["log"]).facts(&["read f", "probe+ g"]);
}

#[test]
fn its_own_filter_that_answers() {
    // The call was never made: no fact.
    filter(&["errno", "13"]).prints(&["openat EACCES trapped 0 stat ok"]).facts(&["probe+ g"]);
    filter(&["errno", "2"]).prints(&["openat ENOENT trapped 0 stat ok"]).facts(&["probe+ g"]);
    filter(&["errno", "0"]).prints(&["openat ok trapped 0 stat ok"]).facts(&["probe+ g"]);
    filter(&["trap", "5"]).prints(&["openat ok trapped 6 stat ok"]).facts(&["probe+ g"]);
}

#[test]
fn its_own_filter_that_kills() {
    filter(&["kill-thread"]).ends(Ended::Signal(31)).facts::<&str>(&[]);
    filter(&["kill-process"]).ends(Ended::Signal(31)).facts::<&str>(&[]);
}

#[test]
fn its_own_filter_that_asks_a_tracer() {
    // Nobody answers, so ENOSYS, whatever the value it marks its question with.
    for value in ["0", "1", "2", "0x7f", "0x41", "0x4154", "0xa1", "0xa117", "0xffff"] {
        filter(&["trace", value]).prints(&["openat ENOSYS trapped 0 stat ok"]).facts(&["probe+ g"]);
    }
}

#[test]
fn its_own_filter_that_asks_a_process() {
    // A supervisor that says "go on" passes by every lower-ranking filter. It is seen, refused,
    // or the recording isn't complete.
    let trace = filter(&["notify"]).prints_otherwise().end_left_open().trace();
    let opened = trace.run.stdout_text().contains("openat ok");
    let seen = trace.facts.inside.contains("read f");
    assert!(!opened || seen || !trace.reasons.is_empty(), "opened f unseen, and called complete");
}

#[test]
fn strict_mode() {
    filter(&["strict"]).prints(&["strict", "768"]).facts::<&str>(&[]);
    filter(&["strict-breach"]).prints(&["strict", "9"]).facts::<&str>(&[]);
}

#[test]
fn a_process_that_may_not_be_looked_into() {
    let facts = ["read f", "probe+ d", "read d/g", "probe- d/no"];
    if is_root() {
        Case::run("file f\nfile d/g", &["undumpable"]).facts(&facts);
    }
    // An ordinary user's tracer has no right to its /proc: say so or know it all the same.
    let trace = Case::run("file f\nfile d/g", &["undumpable"]).ordinary().end_left_open().trace();
    if trace.reasons.is_empty() {
        trace.facts.assert_exactly(&facts);
    } else {
        trace.facts.assert_exactly(&facts.map(|f| format!("?{f}")));
    }
}

#[test]
fn a_program_that_may_be_executed_and_not_read() {
    let setup = "copy prog ops\nmode prog 111\nfile f";
    let trace =
        Case::ops(setup, &["spawn :./prog = 0", "stat :f &buf"]).ordinary().end_left_open().trace();
    assert!(trace.facts.inside.contains("probe+ f"), "{:?}", trace.facts);
    assert!(
        trace.facts.inside.contains("exec prog") || !trace.reasons.is_empty(),
        "{:?}",
        trace.facts
    );
}

#[test]
fn set_uid_as_an_ordinary_user() {
    // Only root can make such a program for others.
    if !is_root() {
        return;
    }
    let setup = "copy id identity\nmode id 6755\nfile f";
    let case = Case::run(setup, &["./id"]).prints(&["0 0"]).ordinary();
    let trace = case.prints_otherwise().facts(&["exec id", "read f"]);
    assert_eq!(trace.run.stdout_text(), "65534 65534\n", "it runs without its privilege");
    let lost: Vec<_> = trace.notes().into_iter().filter(|(k, _)| k == "privilege-lost").collect();
    assert!(lost.iter().any(|(_, path)| path.ends_with("/w/id")), "{:?}", trace.notes());
}

#[test]
fn set_uid_as_root() {
    // With CAP_SYS_ADMIN nothing is lost: a program that belongs to nobody runs as nobody.
    if !is_root() {
        return;
    }
    let setup = "copy sh ops\ncopy id identity\nfile f";
    let calls = ["spawn :/bin/chown 65534:65534 id = 0", "chmod :id 06755", "spawn :./id = 0"];
    let trace = Case::ops(setup, &calls)
        .prints(&["spawn = 0", "chmod = ok", "65534 65534", "spawn = 0"])
        .facts(&["probe+ id", "write id", "exec id", "read f"]);
    let kinds: BTreeSet<String> = trace.note_kinds();
    assert!(!kinds.contains("privilege-lost"), "{kinds:?}");
}

#[test]
fn set_uid_by_an_ordinary_user_within_a_tree_of_root() {
    // The tree is root's, a branch of it gives up its rights, and a program gives them back.
    if !is_root() {
        return;
    }
    let setup = "copy id identity\nmode id 6755\nfile f";
    let argv = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "./id"];
    let trace = Case::run(setup, &argv).prints(&["0 0"]).trace();
    assert!(trace.facts.inside.contains("exec id"), "{:?}", trace.facts);
    assert!(trace.facts.inside.contains("read f"), "{:?}", trace.facts);
}
