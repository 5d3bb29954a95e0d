//! Calls that ask for or set metadata, by name and by descriptor.

use crate::harness::Case;

#[test]
fn asking_for_what_exists() {
    let calls = [
        "stat :a &buf",
        "lstat :b &buf",
        "newfstatat AT_FDCWD :c &buf 0",
        "statx AT_FDCWD :d 0 STATX_ALL &buf",
        "access :e R_OK",
        "faccessat AT_FDCWD :f F_OK",
        "faccessat2 AT_FDCWD :g R_OK AT_EACCESS",
        "statfs :h &buf",
    ];
    let setup: String = "abcdefgh".chars().map(|c| format!("file {c}\n")).collect();
    let facts: Vec<String> = "abcdefgh".chars().map(|c| format!("probe+ {c}")).collect();
    Case::ops(&setup, &calls).facts(&facts);
}

#[test]
fn asking_for_what_is_absent() {
    let calls = [
        "stat :a &buf = ENOENT",
        "lstat :b &buf = ENOENT",
        "newfstatat AT_FDCWD :c &buf 0 = ENOENT",
        "statx AT_FDCWD :d 0 STATX_ALL &buf = ENOENT",
        "access :e R_OK = ENOENT",
        "faccessat AT_FDCWD :f F_OK = ENOENT",
        "faccessat2 AT_FDCWD :g R_OK AT_EACCESS = ENOENT",
        "statfs :h &buf = ENOENT",
        "getxattr :i :user.x &buf 100 = ENOENT",
        "llistxattr :j &buf 100 = ENOENT",
        "chdir :k = ENOENT",
        "chmod :l 0644 = ENOENT",
        "truncate :m 0 = ENOENT",
        "utimensat AT_FDCWD :n 0 0 = ENOENT",
        "setxattr :o :user.x &buf 1 0 = ENOENT",
        "chown :p 0 0 = ENOENT",
        "name_to_handle_at AT_FDCWD :q &handle &buf 0 = ENOENT",
        "open_tree AT_FDCWD :r 0 = ENOENT",
    ];
    let facts: Vec<String> = "abcdefghijklmnopqr".chars().map(|c| format!("probe- {c}")).collect();
    Case::ops("", &calls).facts(&facts);
}

#[test]
fn links_are_followed_or_kept() {
    let calls = [
        "newfstatat AT_FDCWD :a &buf AT_SYMLINK_NOFOLLOW",
        "statx AT_FDCWD :b AT_SYMLINK_NOFOLLOW STATX_ALL &buf",
        "faccessat2 AT_FDCWD :c F_OK AT_SYMLINK_NOFOLLOW",
        "lgetxattr :d :user.x &buf 10 = ENODATA",
        "newfstatat AT_FDCWD :e &buf 0",
        "access :g R_OK",
    ];
    let setup = "file f\nlink a f\nlink b f\nlink c f\nlink d f\nlink e f\nlink g f";
    let facts = ["probe+ a", "probe+ b", "probe+ c", "probe+ d", "link e", "link g", "probe+ f"];
    Case::ops(setup, &calls).facts(&facts);
}

#[test]
fn asking_by_descriptor_adds_nothing() {
    let calls = [
        "a: open :f O_RDONLY",
        "fstat @a &buf",
        "newfstatat @a : &buf AT_EMPTY_PATH",
        "statx @a : AT_EMPTY_PATH STATX_ALL &buf",
        "fstatfs @a &buf",
        "fgetxattr @a :user.x &buf 10 = ENODATA",
        "flistxattr @a &buf 10",
    ];
    Case::ops("file f", &calls).facts(&["read f", "?probe+ f"]);
}

#[test]
fn access_that_is_refused_still_finds_the_name() {
    Case::ops("file f\nmode f 0", &["access :f R_OK = EACCES"]).ordinary().facts(&["probe+ f"]);
}

#[test]
fn setting_by_name() {
    let calls = [
        "chmod :a 0600",
        "fchmodat AT_FDCWD :b 0600",
        "utimensat AT_FDCWD :c &times 0",
        "truncate :d 1",
        "setxattr :e :user.x &buf 1 0",
        "fchmodat2 AT_FDCWD :f 0600 0",
        "chown :g 0xffffffff 0xffffffff",
        "utime :h 0",
        "utimes :i 0",
        "futimesat AT_FDCWD :j 0",
        "fchownat AT_FDCWD :k 0xffffffff 0xffffffff 0",
    ];
    let setup: String = "abcdefghijk".chars().map(|c| format!("file {c} text\n")).collect();
    let facts: Vec<String> = "abcdefghijk".chars().map(|c| format!("write {c}")).collect();
    Case::ops(&setup, &calls).facts(&facts);
}

#[test]
fn setting_by_descriptor() {
    let calls = [
        "a: open :a O_RDONLY",
        "fchmod @a 0600",
        "b: open :b O_RDONLY",
        "utimensat @b 0 &times 0",
        "c: open :c O_RDONLY",
        "fsetxattr @c :user.x &buf 1 0",
        "d: open :d O_RDONLY",
        "fchown @d 0xffffffff 0xffffffff",
        "e: open :e O_RDWR",
        "ftruncate @e 1",
        "g: open :g O_RDWR",
        "fallocate @g 0 0 100",
        "h: open :h O_RDONLY",
        "fremovexattr @h :user.x = ENODATA",
    ];
    let setup: String = "abcdegh".chars().map(|c| format!("file {c} text\n")).collect();
    let mut facts: Vec<String> = "abcdeg".chars().map(|c| format!("write {c}")).collect();
    facts.extend("abcdegh".chars().map(|c| format!("read {c}")));
    facts.push("?probe+ h".to_owned());
    Case::ops(&setup, &calls).facts(&facts);
}

#[test]
fn setting_through_the_descriptor_of_a_handle() {
    let calls = [
        "a: open :f O_PATH",
        "fchmod @a 0600 = EBADF",
        "fchownat @a : 0xffffffff 0xffffffff AT_EMPTY_PATH",
    ];
    Case::ops("file f", &calls).facts(&["probe+ f", "write f"]);
}

#[test]
fn setting_a_link_itself() {
    let calls =
        ["utimensat AT_FDCWD :l &times AT_SYMLINK_NOFOLLOW", "lchown :m 0xffffffff 0xffffffff"];
    Case::ops("file f\nlink l f\nlink m f", &calls).facts(&["write l", "write m"]);
}

#[test]
fn setting_through_a_link() {
    Case::ops("file f\nlink l f", &["chmod :l 0600"]).facts(&["link l", "write f"]);
}

#[test]
fn extended_attributes() {
    let calls = [
        "setxattr :a :user.x &buf 4 0",
        "getxattr :b :user.x &buf 100 = ENODATA",
        "listxattr :c &buf 100",
        "removexattr :d :user.x = ENODATA",
    ];
    Case::ops("file a\nfile b\nfile c\nfile d", &calls)
        .facts(&["write a", "probe+ b", "probe+ c", "probe+ d"]);
}

#[test]
fn the_newest_calls() {
    let calls = [
        "setxattrat AT_FDCWD :a 0 :user.x &xattr 16",
        "getxattrat AT_FDCWD :b 0 :user.x &xattr 16 = ENODATA",
        "listxattrat AT_FDCWD :c 0 &buf 100",
        "removexattrat AT_FDCWD :d 0 :user.x = ENODATA",
        "setxattrat AT_FDCWD :no/e 0 :user.x &xattr 16 = ENOENT",
    ];
    Case::ops("file a\nfile b\nfile c\nfile d", &calls).facts(&[
        "write a",
        "probe+ b",
        "probe+ c",
        "probe+ d",
        "probe- no",
    ]);
}

#[test]
fn file_attributes_by_name() {
    // Whether the file system has them is its affair; the name is found in any case.
    let trace = Case::run(
        "file a",
        &["ops", "file_getattr AT_FDCWD :a &buf 24 0", "file_getattr AT_FDCWD :b &buf 24 0"],
    );
    trace.facts(&["probe+ a", "probe- b"]);
}

#[test]
fn watching() {
    let calls = [
        "a: inotify_init1 0",
        "inotify_add_watch @a :d 0xfff",
        "inotify_add_watch @a :gone 0xfff = ENOENT",
    ];
    Case::ops("dir d", &calls).facts(&["probe+ d", "probe- gone"]);
}

#[test]
fn changing_the_directory() {
    let calls = ["chdir :d", "open :f O_RDONLY", "chdir :f = ENOTDIR", "chdir :no = ENOENT"];
    Case::ops("file d/f", &calls).facts(&[
        "probe+ d",
        "read d/f",
        "?probe+ d/f",
        "?probe- d/f",
        "probe- d/no",
    ]);
}

#[test]
fn a_handle_by_name() {
    Case::ops("file f", &["name_to_handle_at AT_FDCWD :f &handle &buf 0"]).facts(&["probe+ f"]);
}
