//! Opens that no call of the tracer's table shows, or that it can't judge at the call.

use crate::harness::Ended;
use crate::{run, world};

#[test]
fn an_undeclared_open_through_io_uring() {
    let world = world("file f text\nfile g text");
    let flags = ["--allow-io-uring", "--in", "f"];
    let Some(ran) = run(&world, &flags, &["ring", "read", "f", "write", "new", "read", "g"]) else {
        return;
    };
    let said = ran.stderr_text();
    assert_eq!(ran.status, Ended::Code(1), "{said}");
    assert!(
        said.contains("read g: Operation not permitted"),
        "what it wrote before went through: {said}"
    );
    assert!(said.contains("error[R001]: undeclared read of g"), "{said}");
    assert!(said.contains("the kernel, 1 time, refused"), "{said}");
    assert!(!said.contains("read of f"), "{said}");
}

#[test]
fn a_declared_open_through_io_uring() {
    let world = world("file f text");
    let flags = ["--allow-io-uring", "--in", "f", "--side-effect", "o"];
    // What it has made it may read again.
    let Some(ran) = run(&world, &flags, &["ring", "read", "f", "write", "o", "read", "o"]) else {
        return;
    };
    // Incomplete is what io_uring makes a recording.
    assert_eq!(ran.status, Ended::Code(121), "{}", ran.stderr_text());
}

#[test]
fn an_undeclared_open_by_handle() {
    let world = world("file f text\nfile g text");
    let Some(ran) = run(&world, &["--in", "f"], &["opens", "handle", "f"]) else { return };
    assert_eq!((ran.stdout_text().as_str(), ran.status), ("ok\n", Ended::Code(0)));
    // It may look at the file, and asks for its handle.
    let flags = ["--in", "f", "--reaction", "R007=warn"];
    let Some(ran) = run(&world, &flags, &["opens", "handle", "g"]) else { return };
    assert_eq!(ran.stdout_text(), "EPERM\n");
    assert!(ran.stderr_text().contains("error[R001]: undeclared read of g"));
}

#[test]
fn an_undeclared_interpreter() {
    let world = world("script s #!$T/i\ncopy i ops");
    let Some(ran) = run(&world, &["--in", "s"], &["sh", "-c", "./s; exit 0"]) else { return };
    let said = ran.stderr_text();
    assert_eq!(ran.status, Ended::Code(120), "{said}");
    assert!(said.contains("./s: Operation not permitted"), "{said}");
    assert!(said.contains("error[R006]: undeclared execution of i"), "{said}");
    let Some(ran) = run(&world, &["--in", "s", "--in", "i"], &["sh", "-c", "./s; exit 0"]) else {
        return;
    };
    assert_eq!(ran.status, Ended::Code(0), "{}", ran.stderr_text());
}

#[test]
fn the_command_itself() {
    let world = world("script s #!$T/i\ncopy i ops");
    let Some(ran) = run(&world, &["--in", "s"], &["./s"]) else { return };
    let said = ran.stderr_text();
    assert_eq!(ran.status, Ended::Code(126), "{said}");
    assert!(
        said.contains("the guard denied") && said.contains("/i, which is not declared"),
        "{said}"
    );
}

#[test]
fn what_is_declared_by_a_link() {
    let world = world("file d/real text\nlink l d/real\ndir t\nlink t/m ../d/real");
    let both = "cat l && cat t/m";
    let flags = ["--in", "l", "--in-dir", "t"];
    let Some(ran) = run(&world, &flags, &["sh", "-c", both]) else { return };
    assert_eq!(ran.stdout_text(), "texttext", "{}", ran.stderr_text());
    assert_eq!(ran.status, Ended::Code(0), "{}", ran.stderr_text());
    // The kernel knows the name at the end alone.
    let flags = ["--allow-io-uring", "--in", "l"];
    let Some(ran) = run(&world, &flags, &["ring", "read", "l"]) else { return };
    assert_eq!(ran.status, Ended::Code(121), "{}", ran.stderr_text());
}

#[test]
fn what_the_tree_has_made_or_moved_itself() {
    let world = world("file f text");
    let script = "echo a > a; cat a; mv a b; cat b; ln b c; cat c; mkdir d; mv c d; cat d/c
                  rm -r b d; echo x > ${TMPDIR}/t; cat ${TMPDIR}/t; : > /dev/null; cat /proc/self/comm";
    let Some(ran) = run(&world, &[], &["sh", "-c", script]) else { return };
    assert_eq!(ran.stdout_text(), "a\na\na\na\nx\ncat\n", "{}", ran.stderr_text());
    assert_eq!(ran.status, Ended::Code(0), "{}", ran.stderr_text());
}

#[test]
fn a_fifo_feels_nothing() {
    // That the kernel opens a file for the listener as well would let the writer go on alone.
    let world = world("file f text");
    let script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); mkfifo p
                  cat p & echo x > p || exit 3; wait; rm p; done";
    let Some(ran) = run(&world, &[], &["sh", "-c", script]) else { return };
    assert_eq!(ran.stdout_text(), "x\n".repeat(50), "{}", ran.stderr_text());
    assert_eq!(ran.status, Ended::Code(0), "{}", ran.stderr_text());
}

#[test]
fn a_depfile_comes_too_late() {
    let world = world("file f text");
    let command = ["--depfile", "f.d", "--in", "f"];
    let ran = crate::launch(&world, &command, &["/bin/cat", "f"]).end();
    let said = ran.stderr_text();
    assert_eq!((ran.status, ran.stdout_text().as_str()), (Ended::Code(125), ""), "{said}");
    assert!(said.contains("a depfile tells what it reads only afterwards"), "{said}");
}

#[test]
fn the_group_is_in_no_other_process() {
    let world = world("file f text");
    let Some(ran) = run(&world, &[], &["opens", "kept"]) else { return };
    assert_eq!((ran.stdout_text().as_str(), ran.status), ("0\n", Ended::Code(0)));
}
