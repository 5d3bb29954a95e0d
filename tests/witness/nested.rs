//! One airtight within another: the inner one has a witness of its own, which is held against the
//! recording that the outer one makes for it.

use crate::harness::{World, program};
use crate::support::{AIRTIGHT, airtight, privileged};
use serde_json::Value;
use std::process::Output;

/// The inner recording of a command that opens `f` by openat2, within these words of the outer one,
/// and how the whole ended.
fn within(forgotten: &str, outer: &[&str]) -> (Value, Output) {
    let world = World::new("file f\ndir .git", false);
    world.build();
    let inner = world.path().join("inner.json");
    let ran = airtight(forgotten)
        .args(outer)
        .args([AIRTIGHT, "trace", "--witness=fanotify", "--format=json", "-o"])
        .arg(&inner)
        .arg("--")
        .arg(program("ops"))
        .arg("openat2 AT_FDCWD :f &how:O_RDONLY,0,0 24")
        .current_dir(world.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    let text = std::fs::read(&inner).unwrap_or_else(|e| panic!("{e}: {said}"));
    (serde_json::from_slice(&text).expect("JSON"), ran)
}

#[test]
fn both_agree() {
    if !privileged() {
        return;
    }
    let judged = ["run", "--no-cache", "--in", "f", "--side-effect", "inner.json"];
    let witness = ["--witness=fanotify", "--reaction=R010=record", "--"];
    let (inner, outer) = within("", &[&judged[..], &witness].concat());
    let said = String::from_utf8_lossy(&outer.stderr);
    assert_eq!((outer.status.code(), &*said), (Some(0), ""));
    assert_eq!(
        (&inner["state"], &inner["backend"]),
        (&"complete".into(), &"ptrace+fanotify".into())
    );
}

#[test]
fn the_inner_one_finds_what_the_outer_one_missed() {
    if !privileged() {
        return;
    }
    let (inner, outer) = within("openat2", &["trace", "-o", "outer.bin", "--"]);
    assert_eq!(outer.status.code(), Some(121), "{inner:#}");
    let reasons = inner["reasons"].as_array().expect("reasons");
    assert_eq!(reasons.len(), 1, "{inner:#}");
    assert_eq!(reasons[0]["code"], "witness-disagrees");
    let detail = reasons[0]["detail"].as_str().expect("text");
    assert!(detail.contains("/w/f was opened by process "), "{detail}");
}
