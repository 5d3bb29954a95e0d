//! Children, threads, and how they end.

use crate::harness::{Case, Ended};

fn offspring(how: &[&str]) -> Case {
    let setup = "file f\nfile g\ncopy prog ops";
    Case::run(setup, &[&["offspring"], how].concat())
}

#[test]
fn every_way_to_make_a_child() {
    let ways = ["fork", "vfork", "clone", "clone-nosignal", "shared-memory", "pidfd"];
    for how in ways {
        offspring(&[how]).prints(&["child 0"]).facts(&["read f", "read g"]);
    }
    offspring(&["parent"]).facts(&["read f", "read g"]);
}

#[test]
fn vfork_and_exec() {
    offspring(&["vforkexec", "./prog", "stat :f &buf"]).prints(&["stat = ok", "child 0"]).facts(&[
        "exec prog",
        "probe+ f",
        "read g",
    ]);
}

#[test]
fn posix_spawn() {
    offspring(&["posix_spawn", "./prog", "stat :no &buf"])
        .prints(&["stat = ENOENT", "child 0"])
        .facts(&["read f", "exec prog", "probe- no", "read g"]);
    offspring(&["posix_spawn", "./gone", "x"])
        .prints(&["ENOENT"])
        .facts(&["read f", "probe- gone"]);
}

#[test]
fn a_child_that_asks_not_to_be_traced() {
    offspring(&["untraced"]).prints(&["child 0"]).facts(&["read f", "read g"]);
}

#[test]
fn clone3_is_traced_or_refused() {
    // Its flags lie in memory that others can write, so it may be answered ENOSYS; then a note
    // says so and no child exists.
    for how in ["clone3", "clone3-untraced"] {
        let trace = offspring(&[how]).prints_otherwise().trace();
        match trace.run.stdout_text().as_str() {
            "child 0\n" => trace.facts.assert_exactly(&["read f", "read g"]),
            "ENOSYS\n" => trace.facts.assert_exactly::<&str>(&[]),
            other => panic!("{how}: {other}"),
        }
    }
}

#[test]
fn eight_threads_of_2000_opens() {
    let mut setup = String::new();
    let mut facts = Vec::new();
    for thread in 0..8 {
        for i in 0..2000 {
            // Every tenth exists.
            if i % 10 == 0 {
                setup += &format!("file t/{thread}-{i}\n");
                facts.push(format!("read t/{thread}-{i}"));
            } else {
                facts.push(format!("probe- t/{thread}-{i}"));
            }
        }
    }
    Case::run(&setup, &["many", "threads", "8", "2000"]).facts(&facts);
}

#[test]
fn three_hundred_short_children() {
    let facts: Vec<String> = (0..300).map(|i| format!("probe- p/{i}-0")).collect();
    let trace = Case::run("dir p", &["many", "children", "300"]).facts(&facts);
    assert_eq!(trace.json["processes"].as_array().map(Vec::len), Some(301));
}

#[test]
fn thread_churn() {
    let facts: Vec<String> = (0..800).map(|i| format!("probe- c/{i}-0")).collect();
    let trace = Case::run("dir c", &["many", "churn", "800"]).facts(&facts);
    assert_eq!(
        trace.json["processes"].as_array().map(Vec::len),
        Some(1),
        "threads are no processes"
    );
}

#[test]
fn two_hundred_generations() {
    let facts: Vec<String> = (0..200).map(|i| format!("probe- n/{i}-0")).collect();
    Case::run("dir n", &["many", "nested", "200"]).facts(&facts);
}

fn endings(how: &str) -> Case {
    Case::run("file f\nfile g", &["endings", how])
}

#[test]
fn a_thread_ends_the_process() {
    endings("thread-exits").ends(Ended::Code(7)).facts(&["read f"]);
}

#[test]
fn a_thread_crashes() {
    endings("thread-crashes")
        .ends(Ended::Signal(11))
        .files_vary()
        .facts(&["read f", "?write core"]);
}

#[test]
fn killed_with_threads_at_work() {
    endings("killed").ends(Ended::Signal(9)).facts(&["read f"]);
}

#[test]
fn the_first_thread_ends_before_the_others() {
    endings("leader-first").facts(&["read g"]);
}

#[test]
fn a_core_file() {
    // core_pattern is the machine's; where it is a plain name, the kernel writes that file.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let uses_pid = std::fs::read_to_string("/proc/sys/kernel/core_uses_pid").unwrap_or_default();
    let plain = pattern.trim() == "core" && uses_pid.trim() == "0";
    let facts: &[&str] = if plain { &["write core"] } else { &[] };
    endings("core").ends(Ended::Signal(6)).files_vary().facts(facts);
    let dumped = if plain { "6 1" } else { "6 0" };
    endings("child-core").prints(&[dumped]).files_vary().facts(facts);
}

#[test]
fn an_orphan_is_still_seen() {
    endings("orphans").facts(&["read f"]);
}

#[test]
fn a_subreaper_in_the_tree_keeps_its_orphans() {
    endings("subreaper").prints(&["grandchild 5"]).facts(&["read f"]);
}

#[test]
fn children_that_nobody_waits_for() {
    endings("zombies").facts(&["read f"]);
}

#[test]
fn children_that_the_kernel_reaps() {
    endings("unwaited").prints(&["-1"]).facts(&["read f"]);
}

#[test]
fn a_child_that_dies_with_its_parent() {
    endings("bereaved").facts(&["read f"]);
}
