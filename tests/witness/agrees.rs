//! Ordinary actions: the tracer misses nothing of them, so the witness never disagrees.

use crate::harness::World;
use crate::support::{Trace, privileged};
use std::path::Path;

/// How often each action runs.
const RUNS: usize = 100;

/// A script runs again and again, and the two views are the same each time.
fn always(setup: &str, script: &str) {
    if !privileged() {
        return;
    }
    let world = World::new(setup, false);
    for run in 0..RUNS {
        world.build();
        let ran = Trace::of("").run_in(&world, &["/bin/sh", "-ec", script]);
        assert!(ran.output.status.success(), "run {run}: {}", ran.stderr());
        ran.agrees();
    }
}

#[test]
fn c() {
    let setup = "file a.c #include \"a.h\"\\nint main(void) { return A; }\nfile a.h #define A 0";
    always(setup, "gcc -MD -c a.c -o a.o");
}

#[test]
fn cxx() {
    let setup = "file a.cc #include \"a.h\"\\nstruct S { ~S() {} };\\nint main() { S s; return A; }\n\
                 file a.h #define A 0";
    always(setup, "g++ -MD -c a.cc -o a.o");
}

#[test]
fn python() {
    let setup = "file a.py import os\\nopen('t', 'w').write('x')\\nos.rename('t', 'out')\\n\
                 os.mkdir('d')\\nos.rename('d', 'e')\\nos.rmdir('e')";
    always(setup, "python3 -IS a.py");
}

#[test]
fn cargo() {
    let setup = "file Cargo.toml [package]\\nname = \"a\"\\nedition = \"2021\"\\n\
                 [lib]\\npath = \"a.rs\"\nfile a.rs pub fn a() {}";
    let tools = Path::new(env!("CARGO")).parent().expect("a directory").display();
    let script = format!("HOME=$PWD PATH={tools}:$PATH cargo check --quiet --offline");
    always(setup, &script);
}

#[test]
fn tar() {
    always(
        "file a/b/c text\nfile a/d text\nlink a/l d\nhard a/h a/d",
        "tar cf a.tar a; mkdir x; tar xf a.tar -C x; rm -r a; mv x/a y; rm -r y",
    );
}

#[test]
fn git() {
    always(
        "file f text",
        "export HOME=$PWD; git init -q .; git add f; \
         git -c user.name=a -c user.email=a commit -qm a; git status --short >/dev/null",
    );
}
