//! Processes that outlive the first one: they have a grace, then they are reported and killed.

use crate::harness::Case;

fn daemon(how: &str) {
    let trace = Case::run("file f", &["daemon", how])
        .leaves_processes()
        .prints_otherwise()
        .incomplete("surviving-process")
        .facts(&["read f"]);
    let kinds = trace.note_kinds();
    assert!(kinds.contains("surviving-process"), "{how}: {kinds:?}");
}

#[test]
fn a_child_in_a_session_of_its_own() {
    daemon("plain");
}

#[test]
fn forked_twice() {
    daemon("double");
}

#[test]
fn deaf_to_signals() {
    daemon("stubborn");
}

#[test]
fn with_threads() {
    daemon("threads");
}

#[test]
fn stopped() {
    daemon("stopped");
}

#[test]
fn those_that_end_within_the_grace_are_seen_to_their_end() {
    let trace = Case::run("file f", &["daemon", "quick"]).leaves_processes().facts(&["read f"]);
    assert!(!trace.note_kinds().contains("surviving-process"), "{:?}", trace.notes());
}
