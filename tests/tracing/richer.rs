//! What a recording says beyond the set of facts: who, in which order, how often, by which name.

use crate::harness::{Case, Trace, program};
use serde_json::Value;

/// The accesses of one kind to one name of the world.
fn accesses<'a>(trace: &'a Trace, kind: &str, name: &str) -> Vec<&'a Value> {
    let end = format!("/w/{name}");
    let all = trace.json["accesses"].as_array().expect("accesses");
    all.iter()
        .filter(|a| a["kind"] == kind && a["path"].as_str().is_some_and(|p| p.ends_with(&end)))
        .collect()
}

fn one<'a>(trace: &'a Trace, kind: &str, name: &str) -> &'a Value {
    let found = accesses(trace, kind, name);
    assert_eq!(found.len(), 1, "{kind} {name}: {found:#?}");
    found[0]
}

fn first(trace: &Trace, kind: &str, name: &str) -> u64 {
    accesses(trace, kind, name).iter().filter_map(|a| a["first"].as_u64()).min().expect("an access")
}

#[test]
fn the_order_of_the_first_read_and_the_first_write() {
    // `own` is made and then read, `stale` is read and then made anew.
    let calls = [
        "open :own O_WRONLY|O_CREAT 0644",
        "open :stale O_RDONLY",
        "open :own O_RDONLY",
        "open :stale O_WRONLY|O_TRUNC",
        "open :own O_WRONLY",
        "open :stale O_RDONLY",
    ];
    let trace = Case::ops("file stale", &calls).facts(&[
        "write own",
        "read own",
        "write stale",
        "read stale",
    ]);
    assert!(first(&trace, "write", "own") < first(&trace, "read", "own"));
    assert!(first(&trace, "read", "stale") < first(&trace, "write", "stale"));
}

#[test]
fn the_order_across_processes() {
    let calls =
        ["fork 1", "open :x O_WRONLY|O_CREAT 0644", "open :x O_RDONLY", "fork 1", "unlink :x"];
    let trace = Case::ops("", &calls).facts(&["write x", "read x", "delete x"]);
    assert!(first(&trace, "write", "x") < first(&trace, "read", "x"));
    assert!(first(&trace, "read", "x") < first(&trace, "delete", "x"));
}

#[test]
fn how_often() {
    let calls =
        ["open :f O_RDONLY", "open :f O_RDONLY", "stat :no &buf = ENOENT", "open :f O_RDONLY"];
    let trace = Case::ops("file f", &calls).facts(&["read f", "probe- no"]);
    assert_eq!(one(&trace, "read", "f")["count"].as_u64().unwrap_or(1), 3);
    assert_eq!(one(&trace, "probe", "no")["count"].as_u64().unwrap_or(1), 1);
}

#[test]
fn errors_calls_and_types() {
    let calls = ["stat :no &buf = ENOENT", "unlink :d = EISDIR", "mkdir :d 0755 = EEXIST"];
    let trace = Case::ops("dir d", &calls).facts(&["probe- no", "probe+ d"]);
    assert_eq!(one(&trace, "probe", "no")["error"], "ENOENT");
    assert_eq!(one(&trace, "probe", "no")["syscall"], "stat");
    let errors: Vec<_> =
        accesses(&trace, "probe", "d").iter().map(|a| a["error"].clone()).collect();
    assert_eq!(errors, ["EISDIR", "EEXIST"]);
}

#[test]
fn i386_calls_say_so() {
    let trace = Case::ops_by("ops.m32", "file f", &["open :f O_RDONLY"]).facts(&["read f"]);
    assert_eq!(one(&trace, "read", "f")["syscall"], "i386/open");
}

#[test]
fn the_name_as_asked_for() {
    let trace = Case::ops("file d/f\nlink l d", &["open :./l/../d/f O_RDONLY"])
        .facts(&["link l", "read d/f"]);
    let asked = one(&trace, "read", "d/f")["requested"].as_str().expect("a name").to_owned();
    assert!(asked.ends_with("/w/./l/../d/f") || asked.ends_with("/w/l/../d/f"), "{asked}");
    let trace =
        Case::run("file d/f\nlink d/l /f\nfile d/g\ndir d/e", &["spaces", "chroot"]).trace();
    let read = accesses(&trace, "read", "d/f");
    assert!(read.iter().any(|a| a["requested"] == "/f"), "{read:#?}");
}

#[test]
fn the_text_of_a_link() {
    let trace = Case::ops("file f\nlink l ./f", &["open :l O_RDONLY", "symlink :some/text :m"])
        .facts(&["link l", "read f", "write m"]);
    assert_eq!(one(&trace, "link", "l")["target"], "./f");
    assert_eq!(one(&trace, "write", "m")["target"], "some/text");
}

#[test]
fn who_inherited_and_who_received() {
    let trace = Case::run("file f text", &["passfd", "f"]).facts(&["read f"]);
    let mut reads: Vec<_> = accesses(&trace, "read", "f")
        .iter()
        .map(|a| (a["process"].as_u64(), a["op"].as_str().unwrap_or("").to_owned()))
        .collect();
    reads.sort();
    let expected = [(Some(0), "received".to_owned()), (Some(1), "open".to_owned())];
    assert_eq!(reads, expected);
}

#[test]
fn the_tree_of_processes() {
    let setup = "file f\ncopy prog ops\nscript s #!$T/prog exit%203\\n";
    let argv = ["ops", "spawn :./prog :exit%203", "fork 1", "stat :f &buf", "spawn :./s"];
    let trace = Case::run(setup, &argv).prints(&["spawn = 3", "stat = ok", "spawn = 99"]).facts(&[
        "exec prog",
        "probe+ f",
        "exec s",
    ]);
    let processes = trace.json["processes"].as_array().expect("processes");
    assert_eq!(processes.len(), 4);
    for (i, process) in processes.iter().enumerate() {
        assert_eq!(process["id"].as_u64(), Some(i as u64));
        assert_eq!(process["parent"].as_u64(), (i > 0).then_some(0), "{process:#}");
    }
    let exits: Vec<_> = processes.iter().map(|p| p["exit"]["code"].as_u64()).collect();
    assert_eq!(exits, [Some(0), Some(3), Some(0), Some(99)]);
    let execs: Vec<_> =
        processes.iter().map(|p| p["execs"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(execs, [1, 1, 0, 1]);
    // The root's program; the forked one runs it too; a script is its interpreter.
    let root = program("ops").canonicalize().expect("a program");
    assert_eq!(processes[0]["execs"][0]["exe"].as_str(), root.to_str());
    assert!(processes[1]["execs"][0]["exe"].as_str().is_some_and(|e| e.ends_with("/w/prog")));
    assert_eq!(processes[1]["execs"][0]["argv"], serde_json::json!(["./prog", "exit 3"]));
    assert!(processes[3]["execs"][0]["exe"].as_str().is_some_and(|e| e.ends_with("/w/prog")));
}

#[test]
fn a_process_that_a_signal_ends() {
    let trace = Case::run("copy die die", &["ops", "spawn :./die :15"])
        .prints(&["spawn = signal 15"])
        .facts(&["exec die"]);
    assert_eq!(trace.json["processes"][1]["exit"]["signal"].as_u64(), Some(15));
    assert_eq!(trace.json["exit"]["code"].as_u64(), Some(0));
}
