//! What the inner one says, keeps and publishes.

use crate::support::{Site, words};
use crate::{AIRTIGHT, shell, within_trace};
use airtight_cache::stats::{Counters, MissReason};
use std::fs;

/// A workspace with a source that includes a header.
fn site() -> Site {
    let site = Site::new();
    site.write("a.c", "#include \"a.h\"\nint f(void) { return A; }\n")
        .write("a.h", "#define A 1\n");
    site
}

const COMPILE: &str = "--in a.c --in a.h --out a.o -- gcc -c a.c";

#[test]
fn verdict_and_exit_code_are_those_of_a_run_alone() {
    let site = site();
    site.write("mode-000", "").chmod("mode-000", 0);
    for (line, code) in [
        (COMPILE, Some(0)),
        ("--in a.c --out a.o -- gcc -c a.c", Some(120)),
        ("--in a.c --in a.h --out b.o -- gcc -c a.c", Some(122)),
        ("--no-cache -- sh -c 'echo out; echo err >&2; exit 3'", Some(3)),
        ("--no-cache -- sh -c 'cat a.c; exit 3'", Some(3)),
        ("--no-cache -- sh -c 'kill -TERM $$'", None),
        ("-- ./absent", Some(127)),
        ("-- absent", Some(127)),
        ("-- ./mode-000", Some(126)),
        ("--no-cache --timeout 200ms -- sleep 60", Some(124)),
        ("--no-cache --env-all -- true", Some(0)),
        ("--no-cache -- sh -c 'sleep 60 & :'", Some(120)),
        ("--repeat 2 --in a.c --in a.h --out a.o -- gcc -c a.c", Some(0)),
        ("--out t -- sh -c 'date +%N > t'", Some(0)),
        ("--no-cache --format short -- cat a.c", Some(120)),
        ("--nonsense", Some(125)),
    ] {
        let line = format!("{line} ").replace(" -- ", " --env AIRTIGHT_GRACE=1 -- ");
        let alone = site.run(&line).0;
        assert_eq!(alone.code, code, "{line}: {}", alone.show());
        let nested = within_trace(&site, &words(&line));
        assert_eq!(nested.show(), alone.show(), "{line}");
    }
}

#[test]
fn what_is_published_within_is_a_hit_alone() {
    let site = site();
    let args = words(COMPILE);
    within_trace(&site, &args).silent();
    assert_eq!(site.entries(), 1 + 1, "an entry and its list of path sets");
    let first = site.read("a.o");
    site.remove("a.o");
    site.restores(COMPILE).silent();
    assert_eq!(site.read("a.o"), first);
    // And a changed header is a miss: what the command depended on was known in full.
    site.write("a.h", "#define A 2\n");
    let (end, counters) = site.run(COMPILE);
    end.code(0);
    assert_eq!(counters.hits(), 0);
}

#[test]
fn nothing_is_restored_within() {
    let site = site();
    site.runs(COMPILE);
    within_trace(&site, &words(COMPILE)).silent();
    let outer = fs::read_to_string(site.root().join("outer.json")).expect("the recording");
    assert!(outer.contains("/cc1\""), "the compiler was seen at work");
}

#[test]
fn a_recording_can_be_kept() {
    let site = site();
    let args = format!("--recording kept.json {COMPILE}");
    within_trace(&site, &words(&args)).silent();
    let kept: serde_json::Value = serde_json::from_slice(&site.read("kept.json")).expect("JSON");
    assert_eq!(kept["state"], "complete");
    assert_eq!(kept["command"], serde_json::json!(["gcc", "-c", "a.c"]));
    assert_eq!(kept["cwd"], site.path("").to_str().expect("UTF-8").trim_end_matches('/'));
    assert_eq!(kept["processes"][0]["parent"], serde_json::Value::Null);
    assert_eq!(kept["processes"][0]["execs"][0]["argv"][0], "gcc");
}

#[test]
fn run_within_run() {
    let site = site();
    site.write("airtight.toml", "");
    let inner = format!("{AIRTIGHT} run {COMPILE}");
    let outer = format!("--in airtight.toml --in a.c --in a.h --out a.o -- {inner}");
    // HOME is where the store is.
    let outer = format!("--env HOME {outer}");
    let (end, counters) = site.run(&outer);
    end.silent();
    assert_eq!(counters.published, 2, "both: {counters:?}");
    site.remove("a.o");
    site.restores(&outer).silent();
    site.remove("a.o");
    site.restores(COMPILE).silent();
}

#[test]
fn the_outer_run_judges_what_the_inner_command_does() {
    let site = site();
    let inner = format!("{AIRTIGHT} run {COMPILE}");
    let (end, counters) = site.run(&format!("--env HOME --in a.c --out a.o -- {inner}"));
    end.code(120).says("undeclared read of a.h").says("1 error");
    assert_eq!(counters.published, 1, "the inner one is clean: {counters:?}");
}

#[test]
fn two_side_by_side_know_nothing_of_each_other() {
    let site = site();
    site.write("b.c", "int g(void) { return 2; }\n").write("secret", "");
    // Each waits for the other to be under way.
    let meet = |own: &str, other: &str| format!("echo > {own}; read x < {other};");
    let left = format!(
        "$A run --no-cache --in a.c --in a.h --out a.o --side-effect left --in right -- sh -c \
         '{} gcc -c a.c; cat secret'",
        meet("left", "right")
    );
    let right = format!(
        "$A run --no-cache --in b.c --out b.o --in left --side-effect right -- sh -c '{} gcc -c b.c'",
        "read x < left; echo > right;"
    );
    let script = format!(
        "mkfifo left right; {left} 2> left.err & l=$!; {right} 2> right.err; echo right $?; \
         wait $l; echo left $?"
    );
    let outer = site.root().join("outer.bin");
    let outer = ["trace", "-o", outer.to_str().expect("UTF-8")];
    let (end, _) = site.end(shell(&site, &outer, &script));
    assert_eq!(end.stdout, "right 0\nleft 120\n", "{}{}", end.show(), site.text("right.err"));
    assert_eq!(site.text("right.err"), "");
    let told = site.text("left.err");
    assert!(told.contains("undeclared read of secret") && told.contains(": 1 error"), "{told}");
}

#[test]
fn three_levels() {
    let site = site();
    site.write("only-here", "");
    let script = "$A run --no-cache --env A --env HOME --in a.c --in a.h --in only-here --out a.o -- sh -c '\
            $A run --env A --in a.c --in a.h --out a.o --in only-here -- sh -c \"\
                $A run --no-cache --in a.c --in a.h --out a.o -- sh -c \\\"\
                    gcc -c a.c; cat only-here\\\"; echo innermost \\$?\"; \
            echo middle $?'; \
         echo outer $?";
    let recording = site.root().join("outer.bin");
    let outer = ["trace", "-o", recording.to_str().expect("UTF-8")];
    let (end, counters) = site.end(shell(&site, &outer, script));
    assert_eq!(end.stdout, "innermost 120\nmiddle 0\nouter 0\n", "{}", end.show());
    assert_eq!(end.stderr.matches("error[").count(), 1, "{}", end.show());
    end.says("undeclared read of only-here");
    assert_eq!(counters.published, 1, "{counters:?}");
}

#[test]
fn reactions_in_the_act_are_refused() {
    let site = site();
    for (settings, option, named) in [
        ("", "--reaction R001=hide", "the reaction `hide` for R001"),
        ("[policy]\nreaction = \"deny\"\n", "", "the reaction `deny`"),
        ("[policy]\nreaction = \"kill\"\n", "--reaction W001=deny", "`kill`, `deny` for W001"),
    ] {
        site.write("airtight.toml", settings);
        let end = within_trace(&site, &words(&format!("{option} {COMPILE}")));
        end.code(125).says(named).says("within another one");
        assert!(!site.path("a.o").exists());
    }
}

#[test]
fn the_counters_tell_that_nothing_was_looked_for() {
    let site = site();
    site.runs(COMPILE);
    let trace = ["trace", "-o", "/dev/null", "--", AIRTIGHT];
    let (end, counters) = site.end(site.airtight(&[&trace[..], &words(COMPILE)].concat()));
    end.silent();
    let mut expected = Counters::default();
    expected.miss(MissReason::Refreshed);
    expected.published = counters.published;
    expected.remotes.clone_from(&counters.remotes);
    assert_eq!(counters, expected);
}
