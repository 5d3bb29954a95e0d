//! Calls that fail must fail as they do untraced, with the error the kernel gives first. A tracer
//! that knows an answer before the kernel has spoken can get this wrong.

use crate::harness::{Case, is_root, program};

#[test]
fn a_bad_descriptor_comes_before_an_absent_name() {
    let calls = [
        "openat 77 :no O_RDONLY = EBADF",
        "newfstatat 77 :no &buf 0 = EBADF",
        "mkdirat 77 :no 0755 = EBADF",
        "readlinkat 77 :no &buf 10 = EBADF",
        "unlinkat 77 :no 0 = EBADF",
        "openat -1 :no O_RDONLY = EBADF",
        "f: openat AT_FDCWD :f O_RDONLY",
        "openat @f :no O_RDONLY = ENOTDIR",
        "openat @f :no/more O_RDONLY = ENOTDIR",
        "g: openat AT_FDCWD :f O_PATH",
        "openat @g :no O_RDONLY = ENOTDIR",
        "openat 77 : O_RDONLY = ENOENT",
        "openat 77 &bad O_RDONLY = EFAULT",
    ];
    Case::ops("file f", &calls).facts(&["read f", "probe+ f", "?probe- f/no"]);
}

#[test]
fn bad_flags_come_before_an_absent_name() {
    let calls = [
        "openat AT_FDCWD :no O_RDONLY|O_TMPFILE 0 = EINVAL",
        "openat AT_FDCWD :no O_CREAT|O_DIRECTORY 0644 = EINVAL",
        "openat2 AT_FDCWD :no &how:O_RDONLY,0644,0 24 = EINVAL",
        "openat2 AT_FDCWD :no &how:O_RDONLY,0,0x8000 24 = EINVAL",
        "openat2 AT_FDCWD :no &how:0x80000000000,0,0 24 = EINVAL",
        "openat2 AT_FDCWD :no &how:O_RDONLY,0,0 16 = EINVAL",
        "openat2 AT_FDCWD :no &bad 24 = EFAULT",
        "newfstatat AT_FDCWD :no &buf 0x40000 = EINVAL",
        "unlinkat AT_FDCWD :no 0x40000 = EINVAL",
        "faccessat2 AT_FDCWD :no 0x100 0 = EINVAL",
        "renameat2 AT_FDCWD :no AT_FDCWD :no2 0x100 = EINVAL",
        "renameat2 AT_FDCWD :no AT_FDCWD :no2 RENAME_NOREPLACE|RENAME_EXCHANGE = EINVAL",
        "linkat AT_FDCWD :no AT_FDCWD :no2 0x40000 = EINVAL",
    ];
    Case::ops("", &calls).facts(&["?probe- no", "?probe- no2"]);
}

#[test]
fn no_descriptor_left_comes_before_an_absent_name() {
    // Of four descriptors three are the standard streams.
    let ops = program("ops");
    let ops = ops.to_str().expect("a UTF-8 path");
    let argv = [
        "/bin/sh",
        "-c",
        "ulimit -n 4; exec \"$@\"",
        "sh",
        ops,
        "open :f O_RDONLY",
        "open :no O_RDONLY",
    ];
    Case::run("file f", &argv)
        .prints(&["open = ok", "open = EMFILE"])
        .facts(&["read f", "?probe- no"]);
}

#[test]
fn a_directory_that_may_not_be_searched() {
    let calls = [
        "open :d/no O_RDONLY = EACCES",
        "open :d/no/more O_RDONLY = EACCES",
        "open :d/f O_RDONLY = EACCES",
        "open :l O_RDONLY = EACCES",
        "open :d/new O_WRONLY|O_CREAT 0644 = EACCES",
        "stat :d/no &buf = EACCES",
        "unlink :d/no = EACCES",
    ];
    // Whether the name is there, the program was not told.
    let setup = "file d/f\nlink l d/no\nmode d 600";
    Case::ops(setup, &calls).ordinary().facts(&[
        "link l",
        "?probe+ d",
        "?probe+ d/f",
        "?probe+ d/no",
        "?probe+ d/new",
    ]);
}

#[test]
fn a_branch_with_fewer_rights_than_the_tracer() {
    if !is_root() {
        return;
    }
    let ops = program("ops");
    let ops = ops.to_str().expect("a UTF-8 path");
    let argv = [
        "/usr/bin/setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        ops,
        "open :d/no O_RDONLY",
        "open :d/f O_RDONLY",
        "open :f O_RDONLY",
        "open :g O_RDONLY",
        "unlink :g",
        "stat :d/no &buf",
    ];
    let trace = Case::run("file d/f\nmode d 700\nfile f\nmode f 600\nfile g", &argv)
        .prints(&[
            "open = EACCES",
            "open = EACCES",
            "open = EACCES",
            "open = ok",
            "unlink = EACCES",
            "stat = EACCES",
        ])
        .trace();
    trace.facts.assert_exactly(&[
        "probe+ f",
        "read g",
        "probe+ g",
        "?probe+ d",
        "?probe+ d/f",
        "?probe+ d/no",
        "?probe- d/no",
    ]);
}

#[test]
fn across_file_systems() {
    Case::ops("file f", &["rename :f :/proc/f = EXDEV"]).facts(&["?probe+ f"]);
}

#[test]
fn slashes_at_the_end() {
    let calls = [
        "open :new/ O_WRONLY|O_CREAT 0644 = EISDIR",
        "open :f/ O_RDONLY = ENOTDIR",
        "open :f/ O_WRONLY|O_CREAT 0644 = EISDIR",
        "open :no/ O_RDONLY = ENOENT",
        "mknod :new/ S_IFREG|0600 0 = ENOENT",
        "symlink :x :new/ = ENOENT",
        "unlink :f/ = ENOTDIR",
        "rename :f/ :g = ENOTDIR",
        "rename :f :g/ = ENOTDIR",
        "rmdir :d/.",
        "rmdir :d/. = EINVAL",
        "rmdir :d/.. = ENOTEMPTY",
    ];
    let calls: Vec<&str> = calls.iter().copied().filter(|c| *c != "rmdir :d/.").collect();
    Case::ops("file f\ndir d", &calls).facts(&[
        "probe- no",
        "?probe- new",
        "?probe+ f",
        "?probe- f",
        "?probe- f/",
        "?probe- g",
        "?probe+ d",
        "?probe+ .",
    ]);
}

#[test]
fn the_process_s_own_directories_in_proc_are_its_own() {
    // Descriptor 60 is open in the program and not in the tracer.
    let calls = [
        "a: open :f O_RDONLY",
        "dup3 @a 60 0",
        "open :/proc/self/fd/60 O_RDONLY",
        "open :/dev/fd/60 O_RDONLY",
        "open :/proc/thread-self/fd/60 O_RDONLY",
        "open :/proc/self/fd/61 O_RDONLY = ENOENT",
        "open :/proc/self/fdinfo/60 O_RDONLY",
        "stat :/proc/self/fd/60 &buf",
        "readlink :/proc/self/fd/60 &buf 100",
        "open :/proc/self/nothing O_RDONLY = ENOENT",
        "open :/proc/self/fd/60/x O_RDONLY = ENOTDIR",
    ];
    Case::ops("file f", &calls).facts(&["read f", "probe+ f", "?probe- f/x"]);
}

#[test]
fn absent_and_then_there() {
    // What was absent a moment ago is made by another process, or by the program itself.
    let calls = [
        "open :x O_RDONLY = ENOENT",
        "open :d/x O_RDONLY = ENOENT",
        "fork 2",
        "mkdir :d 0755",
        "open :d/x O_WRONLY|O_CREAT 0644",
        "open :d/x O_RDONLY",
        "rename :d/x :x",
        "open :x O_RDONLY",
        "open :d/x O_RDONLY = ENOENT",
        "symlink :x :d/x",
        "open :d/x O_RDONLY = ELOOP",
        "unlink :d/x",
        "symlink :../x :d/x",
        "open :d/x O_RDONLY",
        "spawn :/bin/rm -r :d = 0",
        "open :d/x O_RDONLY = ENOENT",
        "spawn :/bin/mkdir :d = 0",
        "spawn :/bin/cp :x :d/x = 0",
        "open :d/x O_RDONLY",
    ];
    let trace = Case::ops("", &calls).trace();
    for fact in
        ["probe- x", "probe- d", "read d/x", "read x", "link d/x", "probe- d/x", "delete d/x"]
    {
        assert!(trace.facts.inside.contains(fact), "{fact} in {:?}", trace.facts.inside);
    }
}

#[test]
fn made_by_somebody_outside() {
    // A process that is not traced makes and removes the file while the program asks for it.
    Case::run("", &["ask", "200", "x"])
        .within(&["meddle", "file"])
        .prints(&["200 there, 200 gone"])
        .facts(&["read x", "probe- x", "probe- x-no"]);
}

#[test]
fn opens_of_what_is_there_that_fail_all_the_same() {
    // No descriptor left; a program in use; an owner's right.
    let ops = program("ops");
    let ops = ops.to_str().expect("a UTF-8 path");
    let argv = [
        "/bin/sh",
        "-c",
        "ulimit -n 4; exec \"$@\"",
        "sh",
        ops,
        "open :f O_RDONLY",
        "open :g O_RDONLY",
    ];
    Case::run("file f\nfile g", &argv)
        .prints(&["open = ok", "open = EMFILE"])
        .facts(&["read f", "?probe+ g"]);
    let calls =
        ["exec :./prog :open%20:prog%20O_WRONLY :open%20:prog%20O_RDWR :open%20:prog%20O_RDONLY"];
    Case::ops("copy prog ops", &calls)
        .prints(&["open = ETXTBSY", "open = ETXTBSY", "open = ok"])
        .facts(&["exec prog", "probe+ prog", "read prog"]);
    let calls = ["open :/etc/passwd 01000000 = EPERM", "open :/etc/passwd O_WRONLY = EACCES"];
    let trace = Case::ops("", &calls).ordinary().facts(&["probe+ /etc/passwd"]);
    assert!(!trace.facts.outside.contains("read /etc/passwd"));
}
