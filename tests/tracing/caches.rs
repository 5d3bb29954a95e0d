//! What was true a moment ago: directories that become links, names that move, descriptors that
//! are used again. Whatever a tracer remembers, it must forget in time.

use crate::harness::Case;

#[test]
fn a_directory_that_somebody_outside_turns_into_a_link() {
    // The helper isn't traced: nothing of what it does is seen.
    Case::run("file d/f", &["ask", "20", "d/f"])
        .within(&["meddle", "link"])
        .prints(&["40 there, 0 gone"])
        .facts(&["read d/f", "probe- d/f-no", "link d", "read e/f", "probe- e/f-no"]);
}

#[test]
fn a_directory_that_somebody_outside_moves() {
    Case::run("file d/f", &["ask", "20", "d/f"])
        .within(&["meddle", "move"])
        .prints(&["20 there, 20 gone"])
        .facts(&["read d/f", "probe- d", "probe- d/f-no"]);
}

#[test]
fn a_cwd_that_somebody_outside_moves() {
    Case::run("file d/f", &["ask", "20", "f", "d"])
        .within(&["meddle", "move"])
        .prints(&["40 there, 0 gone"])
        .facts(&["probe+ d", "read d/f", "read e/f", "probe- d/f-no", "probe- e/f-no"]);
}

#[test]
fn a_cwd_that_a_child_moves() {
    let calls = ["chdir :d/e", "stat :f &buf", "fork 1", "rename :$T/d :$T/n", "open :f O_RDONLY"];
    Case::ops("file d/e/f", &calls).facts(&[
        "probe+ d/e",
        "probe+ d/e/f",
        "delete d",
        "delete d/e",
        "delete d/e/f",
        "write n",
        "write n/e",
        "write n/e/f",
        "read n/e/f",
    ]);
}

#[test]
fn a_file_that_moves_under_its_descriptor() {
    let calls = ["a: open :a O_RDONLY", "rename :a :b", "fchmod @a 0600"];
    Case::ops("file a", &calls).facts(&["read a", "delete a", "write b"]);
    let calls = ["a: open :a O_RDONLY", "fork 1", "rename :a :b", "fchmod @a 0600"];
    Case::ops("file a", &calls).facts(&["read a", "delete a", "write b"]);
}

#[test]
fn a_file_that_is_removed_under_its_descriptor() {
    // What becomes of it then concerns no name; the new file of that name is another.
    let calls =
        ["a: open :a O_RDWR", "unlink :a", "fchmod @a 0600", "ftruncate @a 0", "write @a &buf 4"];
    Case::ops("file a text", &calls).facts(&["read a", "delete a", "?write a"]);
    let calls = [
        "a: open :a O_RDONLY",
        "rename :b :a",
        "fchmod @a 0600",
        "utimensat @a 0 &times 0",
        "stat :a &buf",
    ];
    Case::ops("file a text\nfile b", &calls).facts(&["read a", "delete b", "write a", "probe+ a"]);
}

#[test]
fn a_descriptor_number_used_again() {
    let facts = ["probe+ d", "read d/f", "probe+ e", "read e/f"];
    let setup = "file d/f\nfile e/f";
    let ways: [&[&str]; 3] = [&["close 3"], &["close_range 3 3 0"], &["fcntl 3 3 0", "close 3"]];
    for way in ways {
        let mut calls = vec!["a: open :d O_PATH", "x: openat @a :f O_RDONLY", "close @x"];
        calls.extend(way);
        calls.extend(["open :e O_PATH", "openat 3 :f O_RDONLY"]);
        Case::ops(setup, &calls).facts(&facts);
    }
}

#[test]
fn a_descriptor_number_used_again_by_a_child() {
    let calls = [
        "a: open :d O_PATH",
        "x: openat @a :f O_RDONLY",
        "close @x",
        "fork 4",
        "close @a",
        "b: open :e O_PATH",
        "openat 3 :f O_RDONLY",
        "newfstatat 3 :no &buf 0 = ENOENT",
        "newfstatat 3 :g &buf 0",
    ];
    Case::ops("file d/f\nfile d/g\nfile e/f", &calls).facts(&[
        "probe+ d",
        "read d/f",
        "probe+ e",
        "read e/f",
        "probe- e/no",
        "probe+ d/g",
    ]);
}

#[test]
fn a_descriptor_closed_by_exec() {
    let calls = [
        "a: open :d O_PATH|O_CLOEXEC",
        "x: openat @a :f O_RDONLY|O_CLOEXEC",
        "exec :./prog :open%20:e%20O_PATH :openat%203%20:f%20O_RDONLY",
    ];
    Case::ops("file d/f\nfile e/f\ncopy prog ops", &calls)
        .prints(&["open = ok", "openat = ok", "open = ok", "openat = ok"])
        .facts(&["probe+ d", "read d/f", "exec prog", "probe+ e", "read e/f"]);
}

#[test]
fn a_table_of_descriptors_that_is_no_longer_shared() {
    let calls = [
        "a: open :d O_PATH",
        "unshare CLONE_FILES",
        "dup3 @a 9 0",
        "b: open :e O_PATH",
        "dup3 @b @a 0",
        "openat @a :f O_RDONLY",
        "openat 9 :f O_RDONLY",
    ];
    Case::ops("file d/f\nfile e/f", &calls)
        .facts(&["probe+ d", "probe+ e", "read d/f", "read e/f"]);
}

#[test]
fn a_name_that_is_a_file_then_a_directory_then_a_link() {
    let calls = [
        "open :x O_WRONLY|O_CREAT 0644",
        "stat :x/f &buf = ENOTDIR",
        "unlink :x",
        "mkdir :x 0755",
        "stat :x/f &buf = ENOENT",
        "open :x/f O_WRONLY|O_CREAT 0644",
        "open :x/f O_RDONLY",
        "rename :x :y",
        "symlink :y :x",
        "chmod :x/f 0600",
        "unlink :x",
        "stat :x/f &buf = ENOENT",
    ];
    Case::ops("", &calls).facts(&[
        "write x",
        "probe- x/f",
        "delete x",
        "write x/f",
        "read x/f",
        "delete x/f",
        "write y",
        "write y/f",
        "link x",
        "probe- x",
    ]);
}

#[test]
fn a_directory_replaced_by_another() {
    let calls = [
        "open :d/e/f O_RDONLY",
        "rename :d :old",
        "rename :n :d",
        "open :d/e/f O_RDONLY",
        "stat :d/e/g &buf",
        "stat :old/e/f &buf",
    ];
    let trace = Case::ops("file d/e/f\nfile m/f\nfile m/g\nlink n/e ../m", &calls).trace();
    for fact in ["read d/e/f", "link d/e", "read m/f", "probe+ m/g", "probe+ old/e/f"] {
        assert!(trace.facts.inside.contains(fact), "{fact} in {:?}", trace.facts.inside);
    }
}

#[test]
fn removing_a_whole_tree_and_making_it_again() {
    let script = "rm -r d; mkdir -p d/e; echo x > d/e/f; cat d/e/f; rm -r d; ln -s o d; cat d/e/f";
    let trace = Case::run("file d/e/f old\nfile o/e/f other\\n", &["/bin/sh", "-c", script])
        .prints(&["x", "other"])
        .trace();
    for fact in ["delete d/e/f", "delete d/e", "write d/e/f", "read d/e/f", "link d", "read o/e/f"]
    {
        assert!(trace.facts.inside.contains(fact), "{fact} in {:?}", trace.facts.inside);
    }
}
