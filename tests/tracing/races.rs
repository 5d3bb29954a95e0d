//! Names that another thread changes while the call runs: a true fact, or an incomplete recording;
//! never a wrong fact.

use crate::harness::Case;

/// Facts that are true of a name that is either `yes` (there) or `nop` (not there).
fn flip(call: &str, truths: &[&str]) {
    let trace = Case::run("file yes", &["flip", call]).files_vary().end_left_open().trace();
    let allowed: Vec<String> = truths.iter().map(|t| format!("?{t}")).collect();
    trace.facts.assert_exactly(&allowed);
    assert!(trace.reasons.iter().all(|r| r == "path-changed"), "{:?}", trace.reasons);
    assert!(!trace.facts.inside.is_empty() || !trace.reasons.is_empty(), "nothing seen");
}

#[test]
fn open() {
    flip("open", &["read yes", "probe- nop"]);
}

#[test]
fn stat() {
    flip("stat", &["probe+ yes", "probe- nop"]);
}

#[test]
fn access() {
    flip("access", &["probe+ yes", "probe- nop"]);
}

#[test]
fn chmod() {
    flip("chmod", &["write yes", "probe- nop"]);
}

#[test]
fn unlink() {
    flip("unlink", &["delete yes", "write yes", "probe- nop"]);
}

#[test]
fn rename() {
    flip(
        "rename",
        &["delete yes", "write to", "delete to", "write yes", "probe- nop", "probe- to"],
    );
}
