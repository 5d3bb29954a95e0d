//! What can be done with a saved audit: `check` and `explain`, after edits too.

use crate::support::Project;
use insta::assert_snapshot;
use std::fs;

/// `a.o` lacks other.h, and `b.o` knows gen.h as order-only.
pub(crate) const FAULTY: &str = "\
-- Makefile --
all: prog
prog: a.o b.o
\tcc -o prog a.o b.o
a.o: a.c gen.h
\tcc -c a.c
b.o: b.c | gen.h
\tcc -c b.c
gen.h: gen.sh
\t./gen.sh > gen.h
-- gen.sh --
#!/bin/sh
echo '#define N 3'
-- a.c --
#include \"gen.h\"
#include \"other.h\"
int a = N;
-- b.c --
#include \"gen.h\"
int main(void) { return N; }
-- other.h --
";

pub(crate) const FOUND: [(&str, &str, &str); 2] =
    [("R001", "a.o", "other.h"), ("R002", "b.o", "gen.h")];

#[test]
fn a_saved_audit_is_judged_as_the_build_was() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    project.check(&[]).expect(1, &FOUND);
    project.check(&["--saved-graph"]).expect(1, &FOUND);
    // A policy that came later.
    project.write("policy.toml", "[reaction-of]\nR001 = \"record\"\nR002 = \"record\"\n");
    assert_eq!(project.check(&["--policy", "policy.toml"]).end.code, Some(0));
}

#[test]
fn an_edit_of_the_makefile_shows_without_a_build() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    let makefile = project.read("Makefile");
    let mended = makefile.replace("a.o: a.c gen.h", "a.o: a.c gen.h other.h");
    project.write("Makefile", mended.replace("b.o: b.c | gen.h", "b.o: b.c gen.h"));
    project.check(&[]).expect(0, &[]);
    project.check(&["--saved-graph"]).expect(1, &FOUND);
}

#[test]
fn no_tool_is_run_for_a_file_from_elsewhere() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    // As on another machine: nobody here wrote it.
    fs::remove_dir_all(project.root().join("home/.local/state")).expect("remembered");
    // Whoever reads this makefile leaves a file behind.
    project.write("Makefile", "X := $(shell touch ran)\nall: ;\n");
    let ran = project.path("ran");
    let end = project.airtight(&["check", "airtight-audit.bin"]);
    assert!(end.code(1).stderr.contains("not written by you here"), "{}", end.show());
    for flag in ["--saved-graph", "--trust"] {
        let end = project.airtight(&["fix", "airtight-audit.bin", flag]);
        assert!(!end.stderr.contains("not written by you here"), "{}", end.show());
        assert_eq!(ran.exists(), flag == "--trust");
    }
    fs::remove_file(ran).expect("made");
    let end = project.airtight(&["check", "--confirm", "airtight-audit.bin"]);
    assert!(end.code(2).stderr.contains("hint: --trust"), "{}", end.show());
    assert!(!project.path("ran").exists());
}

#[test]
fn a_description_that_can_not_be_read_again_is_told() {
    let rules = "rule cat\n  command = cat a hidden > $out\n";
    let project = Project::new("-- a --\n-- hidden --\n");
    project.write("build.ninja", format!("{rules}build out: cat a\n"));
    let found = [("R001", "out", "hidden")];
    project.audit(&["ninja"]).expect(120, &found);
    project.write("build.ninja", "build\n");
    let end = project.airtight(&["check", "airtight-audit.bin"]);
    assert!(end.code(2).stderr.contains("hint: `--saved-graph` judges"), "{}", end.show());
    project.check(&["--saved-graph"]).expect(1, &found);
    // When it is wrong from the start, the failure is the build's, and what was seen is saved.
    let audit = project.audit(&["ninja"]);
    assert_eq!(audit.end.code, Some(1), "{}", audit.end.show());
    assert!(audit.report.is_null());
    let end = project.airtight(&["check", "airtight-audit.bin", "--saved-graph"]);
    assert!(end.code(2).stderr.contains("no graph is saved in it"), "{}", end.show());
    project.write("build.ninja", format!("{rules}build out: cat a | hidden\n"));
    assert_eq!(project.check(&[]).end.code, Some(0));
}

#[test]
fn the_flags_of_audits_are_for_audits() {
    let project = Project::new(FAULTY);
    project.airtight(&["trace", "-o", "t", "--", "true"]).code(0);
    for flag in ["--saved-graph", "--unused-inputs", "--confirm"] {
        let end = project.airtight(&["check", "t", flag]);
        let expected = format!("error: {flag} is for audits, and t is none\n");
        assert_eq!(end.code(2).stderr, expected);
    }
}

#[test]
fn damaged_files_are_told() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    let whole = fs::read(project.path("airtight-audit.bin")).expect("it was written");
    let mut flipped = whole.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut future = whole.clone();
    future[8] = 99; // after the magic bytes
    for (name, bytes, expected) in [
        ("cut", &whole[..20], "cut off in the part on the build\n"),
        ("half", &whole[..whole.len() - 1], "the recording in it: cut off in record "),
        ("flipped", &flipped, "the recording in it: damaged at record "),
        ("future", &future, "written by a newer airtight (audit format 99, this one knows 1)\n"),
    ] {
        project.write(name, bytes);
        for arguments in [["check", name].as_slice(), &["explain", "-r", name, "a.o"]] {
            let end = project.airtight(arguments);
            assert!(
                end.code(2).stderr.starts_with(&format!("error: {name}: {expected}")),
                "{}",
                end.show()
            );
            assert_eq!(end.stdout, "");
        }
    }
}

#[test]
fn explain_tells_about_targets_and_files() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    let explain = |what: &str| project.airtight(&["explain", what]).show();
    assert_snapshot!("explain_a_target", explain("b.o"));
    assert_snapshot!("explain_a_source", explain("other.h"));
    assert_snapshot!("explain_a_generated_file", explain("gen.h"));
    assert_snapshot!("explain_what_is_not_there", explain("include/gen.h"));
    // The file as it is named from elsewhere, and the recording of a single action.
    let full = project.path("other.h");
    assert_eq!(explain(full.to_str().expect("UTF-8")), explain("other.h"));
    assert!(explain("R001").contains("undeclared-source-read"));
}
