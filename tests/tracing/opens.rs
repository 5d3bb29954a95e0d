//! Open and its flags: what is a read, a write, a probe, a list.

use crate::harness::{Case, is_root};

#[test]
fn reading() {
    Case::ops("file f", &["a: openat AT_FDCWD :f O_RDONLY", "read @a &buf 10", "close @a"])
        .facts(&["read f"]);
}

#[test]
fn every_call_that_opens() {
    let calls = [
        "open :a O_RDONLY",
        "openat AT_FDCWD :b O_RDONLY",
        "openat2 AT_FDCWD :c &how:O_RDONLY,0,0 24",
        "creat :d 0644",
        "open :e O_WRONLY|O_CREAT 0600",
        "openat AT_FDCWD :g O_WRONLY",
    ];
    let facts = ["read a", "read b", "read c", "write d", "write e", "write g"];
    Case::ops("file a\nfile b\nfile c\nfile g", &calls).facts(&facts);
}

#[test]
fn nothing_read_is_still_a_read() {
    Case::ops("file f", &["open :f O_RDONLY"]).facts(&["read f"]);
}

#[test]
fn writing_an_existing_file() {
    Case::ops("file f abc", &["a: open :f O_WRONLY", "write @a &buf 4"]).facts(&["write f"]);
}

#[test]
fn truncating_at_open() {
    Case::ops("file f abc", &["open :f O_WRONLY|O_TRUNC"]).facts(&["write f"]);
    Case::ops("file f abc", &["open :f O_RDWR|O_TRUNC"]).facts(&["write f", "?read f"]);
    Case::ops("file f abc", &["open :f O_RDONLY|O_TRUNC"]).facts(&["write f", "?read f"]);
}

#[test]
fn creating() {
    Case::ops("", &["open :f O_WRONLY|O_CREAT 0644"]).facts(&["write f"]);
    Case::ops("", &["open :f O_RDONLY|O_CREAT 0644"]).facts(&["write f"]);
    Case::ops("", &["open :f O_RDWR|O_CREAT 0644"]).facts(&["write f"]);
    Case::ops("", &["open :f O_RDWR|O_CREAT|O_EXCL 0644"]).facts(&["write f"]);
}

#[test]
fn creating_what_exists() {
    Case::ops("file f", &["open :f O_RDONLY|O_CREAT 0644"]).facts(&["read f"]);
    Case::ops("file f", &["open :f O_WRONLY|O_CREAT 0644"]).facts(&["write f"]);
}

#[test]
fn creating_what_exists_exclusively() {
    Case::ops("file f", &["open :f O_WRONLY|O_CREAT|O_EXCL 0644 = EEXIST"]).facts(&["probe+ f"]);
}

#[test]
fn an_exclusive_create_does_not_follow_a_link() {
    let calls = ["open :l O_WRONLY|O_CREAT|O_EXCL 0644 = EEXIST"];
    Case::ops("link l nowhere", &calls).facts(&["probe+ l"]);
}

#[test]
fn creating_through_a_dangling_link() {
    Case::ops("link l d/new\ndir d", &["open :l O_WRONLY|O_CREAT 0644"])
        .facts(&["link l", "write d/new"]);
}

#[test]
fn read_write_without_a_change_is_a_read() {
    Case::ops("file f abc", &["a: open :f O_RDWR", "read @a &buf 2", "close @a"])
        .facts(&["read f"]);
}

#[test]
fn read_write_with_a_change_is_both() {
    Case::ops("file f abc", &["a: open :f O_RDWR", "write @a &buf 2", "close @a"])
        .facts(&["read f", "write f"]);
}

#[test]
fn read_write_changed_and_never_closed() {
    Case::ops("file f abc", &["a: open :f O_RDWR", "pwrite64 @a &buf 2 1 0"])
        .facts(&["read f", "write f"]);
}

#[test]
fn read_write_changed_through_a_copy_of_the_descriptor_in_a_child() {
    let calls = ["a: open :f O_RDWR", "b: dup @a", "close @a", "fork 1", "write @b &buf 2"];
    Case::ops("file f abc", &calls)
        .prints(&["open = ok", "dup = ok", "close = ok", "write = ok"])
        .facts(&["read f", "write f"]);
}

#[test]
fn a_shared_writable_mapping_is_a_write() {
    Case::ops("file f abc", &["a: open :f O_RDWR", "map @a PROT_READ|PROT_WRITE MAP_SHARED"])
        .facts(&["read f", "write f"]);
}

#[test]
fn a_mapping_that_becomes_writable() {
    Case::run("file f abc", &["mapping"]).facts(&["read f", "write f"]);
}

#[test]
fn a_private_or_readable_mapping_is_none() {
    let calls = ["a: open :f O_RDWR", "map @a PROT_READ|PROT_WRITE MAP_PRIVATE"];
    Case::ops("file f abc", &calls).facts(&["read f"]);
    let calls = ["a: open :f O_RDONLY", "map @a PROT_READ MAP_SHARED"];
    Case::ops("file f abc", &calls).facts(&["read f"]);
    // This one can become writable by mprotect, so it may count as a write at once.
    let calls = ["a: open :f O_RDWR", "map @a PROT_READ MAP_SHARED"];
    Case::ops("file f abc", &calls).facts(&["read f", "?write f"]);
}

#[test]
fn absent() {
    Case::ops("", &["open :f O_RDONLY = ENOENT"]).facts(&["probe- f"]);
    Case::ops("", &["open :f O_WRONLY = ENOENT"]).facts(&["probe- f"]);
}

#[test]
fn creating_in_an_absent_directory() {
    Case::ops("", &["open :d/e/f O_WRONLY|O_CREAT 0644 = ENOENT"]).facts(&["probe- d"]);
}

#[test]
fn directories() {
    Case::ops("dir d", &["open :d O_RDONLY|O_DIRECTORY"]).facts(&["list d"]);
    Case::ops("dir d", &["open :d O_RDONLY"]).facts(&["list d"]);
    Case::ops("dir d", &["a: open :. O_RDONLY", "getdents64 @a &buf 4096"]).facts(&["list ."]);
    Case::ops("dir d", &["open :d O_WRONLY = EISDIR"]).facts(&["probe+ d"]);
    Case::ops("dir d", &["open :d O_RDWR|O_CREAT 0644 = EISDIR"]).facts(&["probe+ d"]);
    Case::ops("file f", &["open :f O_RDONLY|O_DIRECTORY = ENOTDIR"])
        .facts(&["?probe+ f", "?probe- f"]);
}

#[test]
fn a_handle_on_a_name_is_a_probe() {
    Case::ops("dir d\nfile f\nlink l f", &["open :d O_PATH", "open :f O_PATH"])
        .facts(&["probe+ d", "probe+ f"]);
    Case::ops("file f\nlink l f", &["open :l O_PATH"]).facts(&["link l", "probe+ f"]);
    Case::ops("file f\nlink l f", &["open :l O_PATH|O_NOFOLLOW"]).facts(&["probe+ l"]);
}

#[test]
fn not_following_the_last_link() {
    Case::ops("file f\nlink l f", &["open :l O_RDONLY|O_NOFOLLOW = ELOOP"]).facts(&["probe+ l"]);
}

#[test]
fn not_following_the_last_link_follows_earlier_ones() {
    Case::ops("file d/f\nlink l d", &["open :l/f O_RDONLY|O_NOFOLLOW"])
        .facts(&["link l", "read d/f"]);
}

#[test]
fn permission_denied() {
    // Root reads what it likes, so an ordinary user it is.
    Case::ops("file f\nmode f 0", &["open :f O_RDONLY = EACCES", "open :f O_WRONLY = EACCES"])
        .ordinary()
        .facts(&["probe+ f"]);
}

#[test]
fn permission_of_root() {
    let result = if is_root() { "ok" } else { "EACCES" };
    let fact = if is_root() { "read f" } else { "probe+ f" };
    Case::ops("file f\nmode f 0", &[format!("open :f O_RDONLY = {result}")]).facts(&[fact]);
}

#[test]
fn a_directory_that_may_not_be_passed() {
    Case::ops("file d/f\nmode d 0", &["open :d/f O_RDONLY = EACCES", "stat :d/g &buf = EACCES"])
        .ordinary()
        .facts(&["?probe+ d", "?probe+ d/f", "?probe+ d/g", "?probe- d/g"]);
}

#[test]
fn executables_in_use() {
    let calls = ["open :prog O_RDONLY", "spawn :prog = 0"];
    Case::ops("copy prog ops", &calls).facts(&["read prog", "exec prog"]);
}

#[test]
fn a_nameless_file() {
    let calls = ["a: open :d O_RDWR|O_TMPFILE 0600", "write @a &buf 3"];
    Case::ops("dir d", &calls).facts(&["?probe+ d", "?write d"]);
}

#[test]
fn a_nameless_file_that_gets_a_name() {
    let calls = [
        "a: open :d O_RDWR|O_TMPFILE 0600",
        "write @a &buf 3",
        "linkat AT_FDCWD :/proc/self/fd/3 AT_FDCWD :d/f AT_SYMLINK_FOLLOW",
    ];
    Case::ops("dir d", &calls).facts(&["?probe+ d", "?write d", "write d/f"]);
}

#[test]
fn a_pipe_with_a_name() {
    let calls =
        ["mknod :p S_IFIFO|0600 0", "a: open :p O_RDWR", "write @a &buf 3", "read @a &buf 3"];
    Case::ops("", &calls).facts(&["write p", "?read p"]);
}

#[test]
fn copying_within_the_kernel() {
    let calls = [
        "a: open :f O_RDONLY",
        "b: open :g O_WRONLY|O_CREAT 0644",
        "copy_file_range @a 0 @b 0 3 0",
    ];
    Case::ops("file f abc", &calls).facts(&["read f", "write g"]);
}

#[test]
fn devices_are_no_facts_of_the_world() {
    Case::ops("", &["a: open :/dev/null O_RDWR", "write @a &buf 3"]).facts::<&str>(&[]);
}
