//! What is guarded is recorded as what is not.

use crate::harness::{Ended, Launch, World, is_root};
use crate::{action, launch, run, world};
use serde_json::Value;
use std::collections::BTreeSet;

/// The accesses of a run, without what differs from one to the next.
fn accesses(world: &World, run: Launch) -> BTreeSet<String> {
    let ran = run.end();
    assert_eq!(ran.status, Ended::Code(0), "{}", ran.stderr_text());
    let text = std::fs::read(world.recording()).expect("a recording");
    let json: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(json["state"], "complete");
    let accesses = json["accesses"].as_array().expect("accesses").iter();
    let strip = |access: &Value| {
        let mut access = access.clone();
        let fields = access.as_object_mut().expect("an access");
        for changing in ["process", "first", "last"] {
            fields.remove(changing);
        }
        access.to_string()
    };
    accesses.map(strip).collect()
}

#[test]
fn the_recording_is_the_same() {
    let world = world(
        "file a.c #include \"a.h\"\\nint main(void){return A;}\nfile inc/real.h #define A 0\n\
         link inc/a.h real.h\ndir d/e\nfile d/f text\n\
         file airtight.toml [policy]\\nreaction='deny'",
    );
    let script = "gcc -pipe -Iinc -c -o a.o a.c && cat d/f > o && ls d > /dev/null
                  mkdir t && cp o t/x && mv t/x t/y && cat t/y no 2> /dev/null
                  (cd d/e && cat ../f) && rm -r t && true";
    let recording = world.recording();
    let recording = recording.to_str().expect("a UTF-8 path");
    let flags = [
        "--in",
        "a.c",
        "--in-dir",
        "inc",
        "--in-dir",
        "d",
        "--out",
        "o",
        "--out",
        "a.o",
        "--recording",
        recording,
    ];
    let command = ["sh", "-c", script];
    if !is_root() {
        run(&world, &flags, &command);
        return;
    }
    let guarded = accesses(&world, launch(&world, &flags, &command));
    world.build();
    let plain = accesses(&world, action(&world, &flags, &command));
    let missing: Vec<_> = plain.difference(&guarded).collect();
    let surplus: Vec<_> = guarded.difference(&plain).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "{missing:#?}\n{surplus:#?}");
}
