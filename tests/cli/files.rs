//! Files are whole or not there, and damaged ones are told.

use crate::support::Site;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

#[test]
fn kill_9_leaves_no_recording_and_no_process() {
    let site = Site::new();
    for format in ["binary", "json"] {
        site.write("t", "old");
        // `cat` waits for ever on a pipe that this shell holds open.
        let script = "mkfifo \"$0\"; exec 3<>\"$0\"; echo ready; cat <&3";
        let pipe = format!("pipe-{format}");
        let arguments = ["trace", "--format", format, "-o", "t", "--", "bash", "-c", script, &pipe];
        let mut child =
            site.airtight(&arguments).stdout(Stdio::piped()).spawn().expect("airtight starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it speaks");
        assert_eq!(line, "ready\n");
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        // The pipe ends when the last process that holds it has died.
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("it ends");
        assert_eq!(rest, "");
        assert_eq!(site.read("t"), "old");
    }
    let mut names: Vec<_> = fs::read_dir(site.path(""))
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, [".git", "pipe-binary", "pipe-json", "t"]);
}

#[test]
fn the_child_sees_no_file_of_ours() {
    let site = Site::new();
    for format in ["binary", "json"] {
        let end = site.run(&["trace", "--format", format, "-o", "t", "--", "ls", "-A"]);
        assert_eq!(end.show(), "exit 0\n--- stdout\n.git\n--- stderr\n");
        fs::remove_file(site.path("t")).expect("it was written");
    }
}

#[test]
fn a_target_that_can_not_be_written_stops_us_before_the_start() {
    let site = Site::new();
    let end = site.run(&["trace", "-o", "absent/t", "--", "touch", "ran"]);
    assert_eq!(
        end.show(),
        "exit 125\n--- stdout\n--- stderr\n\
         error: absent/t: can't write: No such file or directory (os error 2)\n"
    );
    assert!(!site.path("ran").exists());
}

#[test]
fn damaged_recordings_are_told_with_their_place() {
    let site = Site::new();
    site.run(&["trace", "-o", "whole", "--", "true"]).code(0);
    site.run(&["trace", "--format", "json", "-o", "whole.json", "--", "true"]).code(0);
    let whole = fs::read(site.path("whole")).expect("written");
    let json = site.read("whole.json");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let mut future = whole.clone();
    future[8] = 99; // after the magic bytes
    let newer = json.replacen("\"airtight_recording\": 2", "\"airtight_recording\": 99", 1);
    for (name, bytes, expected) in [
        ("cut", &whole[..whole.len() - 1], "cut off in record"),
        ("half", &whole[..whole.len() / 2], "cut off in record"),
        ("flipped", &flipped, "damaged at record"),
        ("future", &future, "written by a newer airtight (format 99, "),
        ("future.json", newer.as_bytes(), "written by a newer airtight (format 99, "),
        ("half.json", &json.as_bytes()[..json.len() / 2], "damaged at line"),
        ("text", b"something else", "not an airtight recording"),
        ("empty", b"", "not an airtight recording"),
    ] {
        site.write(name, bytes);
        for arguments in [["check", name].as_slice(), &["diff", "whole", name]] {
            let end = site.run(arguments);
            assert_eq!(end.code(2).stdout, "");
            assert!(
                end.stderr.starts_with(&format!("error: {name}: {expected}")),
                "{}",
                end.show()
            );
            assert_eq!(end.stderr.lines().count(), 1, "{}", end.show());
        }
    }
}

#[test]
fn both_encodings_say_the_same() {
    let site = Site::new();
    site.write("in", "");
    site.run(&["run", "--recording", "t.json", "--in", "in", "--", "cat", "in"]).silent(0);
    site.run(&["run", "--recording", "t", "--in", "in", "--", "cat", "in"]).silent(0);
    assert!(site.read("t.json").starts_with('{'));
    site.run(&["diff", "t", "t.json"]).silent(0);
}

#[test]
fn a_recording_can_go_to_standard_output_after_the_child() {
    let site = Site::new();
    let end = site.run(&["trace", "--format", "json", "-o", "-", "--", "echo", "first"]);
    let json = end.code(0).stdout.strip_prefix("first\n").expect("the child comes first");
    let recording: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(recording["state"], "complete");
}

#[test]
fn manual_pages_are_written_where_asked() {
    let site = Site::new();
    fs::create_dir(site.path("man")).expect("made");
    site.run(&["man", "man"]).silent(0);
    assert!(site.read("man/airtight-run.1").contains("Run an action"));
    assert!(site.run(&["man"]).code(0).stdout.contains(".TH airtight 1"));
}
