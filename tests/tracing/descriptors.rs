//! Facts without a path in the call: descriptors, directories by descriptor, inherited, received.

use crate::harness::{Case, is_root};

#[test]
fn names_relative_to_a_descriptor() {
    let calls = [
        "d: open :d O_RDONLY|O_DIRECTORY",
        "openat @d :f O_RDONLY",
        "mkdirat @d :e 0755",
        "renameat @d :g @d :e/g",
        "unlinkat @d :h 0",
        "symlinkat :f @d :l",
        "readlinkat @d :l &buf 100",
        "linkat @d :f AT_FDCWD :f2 0",
        "newfstatat @d :no &buf 0 = ENOENT",
        "faccessat @d :../top F_OK",
        "openat @d :$T/top O_RDONLY",
    ];
    Case::ops("file d/f\nfile d/g\nfile d/h\nfile top", &calls).facts(&[
        "list d",
        "read d/f",
        "write d/e",
        "delete d/g",
        "write d/e/g",
        "delete d/h",
        "write d/l",
        "link d/l",
        "write f2",
        "probe- d/no",
        "probe+ top",
        "read top",
    ]);
}

#[test]
fn a_descriptor_that_is_no_directory() {
    let calls = [
        "d: open :f O_RDONLY",
        "openat @d :g O_RDONLY = ENOTDIR",
        "openat 77 :g O_RDONLY = EBADF",
        "openat 77 :$T/f O_RDONLY",
    ];
    Case::ops("file f\nfile g", &calls).facts(&["read f", "?probe- f/g", "?probe+ f"]);
}

#[test]
fn the_cwd_by_descriptor() {
    let calls = ["d: open :d O_PATH", "fchdir @d", "open :f O_RDONLY", "open :../g O_RDONLY"];
    Case::ops("file d/f\nfile g", &calls).facts(&["probe+ d", "read d/f", "read g"]);
}

#[test]
fn the_cwd_of_a_child_is_its_own() {
    let calls = ["fork 2", "chdir :d", "open :f O_RDONLY", "open :f O_RDONLY"];
    Case::ops("file d/f\nfile f", &calls).facts(&["probe+ d", "read d/f", "read f"]);
}

#[test]
fn duplicated_and_reused_descriptors() {
    let calls = [
        "a: open :d O_PATH",
        "b: dup @a",
        "close @a",
        "openat @b :f O_RDONLY",
        "c: open :e O_PATH",
        "dup3 @c @b 0",
        "openat @b :f O_RDONLY",
    ];
    Case::ops("file d/f\nfile e/f", &calls)
        .facts(&["probe+ d", "read d/f", "probe+ e", "read e/f"]);
}

#[test]
fn openat2_in_a_root_of_its_own() {
    let calls = [
        "d: open :d O_PATH",
        "openat2 @d :/f &how:O_RDONLY,0,RESOLVE_IN_ROOT 24",
        "openat2 @d :l &how:O_RDONLY,0,RESOLVE_IN_ROOT 24",
        "openat2 @d :../../g &how:O_RDONLY,0,RESOLVE_IN_ROOT 24",
        "openat2 @d :/no/x &how:O_RDONLY,0,RESOLVE_IN_ROOT 24 = ENOENT",
    ];
    // The link's text is absolute, and means d/f here.
    Case::ops("file d/f\nfile d/g\nlink d/l /f\nfile g", &calls).facts(&[
        "probe+ d",
        "read d/f",
        "link d/l",
        "read d/g",
        "probe- d/no",
    ]);
}

#[test]
fn openat2_that_may_not_leave() {
    let calls = [
        "d: open :d O_PATH",
        "openat2 @d :e/../f &how:O_RDONLY,0,RESOLVE_BENEATH 24",
        "openat2 @d :../g &how:O_RDONLY,0,RESOLVE_BENEATH 24 = EXDEV",
        "openat2 @d :$T/g &how:O_RDONLY,0,RESOLVE_BENEATH 24 = EXDEV",
        "openat2 @d :out &how:O_RDONLY,0,RESOLVE_BENEATH 24 = EXDEV",
    ];
    // Nothing of g was learnt; that `out` is a link was.
    Case::ops("file d/f\ndir d/e\nlink d/out ../g\nfile g", &calls).facts(&[
        "probe+ d",
        "read d/f",
        "link d/out",
        "?probe+ g",
        "?probe+ .",
    ]);
}

#[test]
fn openat2_without_links() {
    let calls = [
        "openat2 AT_FDCWD :l &how:O_RDONLY,0,RESOLVE_NO_SYMLINKS 24 = ELOOP",
        "openat2 AT_FDCWD :m/f &how:O_RDONLY,0,RESOLVE_NO_SYMLINKS 24 = ELOOP",
        "openat2 AT_FDCWD :f &how:O_RDONLY,0,RESOLVE_NO_SYMLINKS 24",
    ];
    Case::ops("file f\nfile d/f\nlink l f\nlink m d", &calls).facts(&[
        "?link l",
        "?probe+ l",
        "?link m",
        "?probe+ m",
        "?probe+ m/f",
        "read f",
    ]);
}

#[test]
fn openat2_with_a_structure_of_another_size() {
    let calls = [
        "openat2 AT_FDCWD :f &how:O_RDONLY,0,0 8 = EINVAL",
        "openat2 AT_FDCWD :f &how:O_RDONLY,0,0 64",
        "openat2 AT_FDCWD :g &bad 24 = EFAULT",
    ];
    Case::ops("file f\nfile g", &calls).facts(&["read f", "?probe+ f", "?probe+ g"]);
}

#[test]
fn inherited_descriptors() {
    // The shell opens them before the trace begins; airtight and what it runs inherit them.
    Case::run("file in text\nfile out\nfile both", &["ops"])
        .within(&["/bin/sh", "-c", "exec \"$@\" 3<in 4>>out 5<>both", "sh"])
        .facts(&["read in", "write out", "read both", "write both"]);
}

#[test]
fn standard_streams_on_files() {
    Case::run("file in text\nfile out", &["ops", "read 0 &buf 10"])
        .within(&["/bin/sh", "-c", "exec \"$@\" <in >out", "sh"])
        .facts(&["read in", "write out"]);
}

#[test]
fn an_inherited_directory() {
    Case::run("file d/f", &["ops", "openat 3 :f O_RDONLY", "getdents64 3 &buf 4096"])
        .within(&["/bin/sh", "-c", "exec \"$@\" 3<d", "sh"])
        .prints(&["openat = ok", "getdents64 = ok"])
        .facts(&["list d", "read d/f"]);
}

#[test]
fn descriptors_received_over_a_socket_within_the_tree() {
    Case::run("file f text", &["passfd", "f"]).facts(&["read f"]);
}

#[test]
fn descriptors_received_from_outside() {
    // The sender opened it: the receiver's own open shows nothing.
    Case::run("file f text\nfile g text", &["receive"])
        .within(&["outside", "f", "g"])
        .facts(&["read f", "write g"]);
}

#[test]
fn descriptors_taken_from_another_process() {
    // Needs pidfd_getfd, which asks for the right to trace: a parent may, its child being its own.
    Case::run("file f text", &["getfd", "f"]).facts(&["read f"]);
}

#[test]
fn files_opened_by_handle() {
    // open_by_handle_at needs CAP_DAC_READ_SEARCH.
    let calls = |result| {
        [
            "name_to_handle_at AT_FDCWD :f &handle &buf 0".to_owned(),
            "m: open :. O_RDONLY|O_DIRECTORY".to_owned(),
            format!("open_by_handle_at @m &handle O_RDONLY = {result}"),
        ]
    };
    if is_root() {
        Case::ops("file f", &calls("ok")).facts(&["probe+ f", "list .", "read f"]);
    }
    Case::ops("file f", &calls("EPERM")).ordinary().facts(&["probe+ f", "list ."]);
}

#[test]
fn sharing_the_cwd_between_threads() {
    // Two threads share one cwd; after unshare(CLONE_FS) they don't.
    Case::run("file d/f\nfile f\nfile e/g\ndir d/e", &["sharecwd"]).facts(&[
        "probe+ d",
        "read d/f",
        "probe+ d/e",
        "probe- d/e/g",
        "probe- d/g",
    ]);
}

#[test]
fn sharing_the_cwd_and_descriptors_between_processes() {
    // clone(CLONE_FS | CLONE_FILES) without CLONE_VM.
    Case::run("file d/f\nfile d/g\nfile f", &["sharefs"])
        .facts(&["probe+ d", "read d/f", "read d/g"]);
}

#[test]
fn an_open_without_a_path() {
    // memfd, pipes, sockets: no facts.
    Case::ops(
        "",
        &["a: memfd_create :name 0", "write @a &buf 10", "fchmod @a 0600", "ftruncate @a 1"],
    )
    .facts::<&str>(&[]);
}
