//! Calls that change the tree: rename, link, symlink, mkdir, mknod, unlink, rmdir.

use crate::harness::Case;

#[test]
fn rename_a_file() {
    Case::ops("file a", &["rename :a :b"]).facts(&["delete a", "write b"]);
}

#[test]
fn rename_by_every_call() {
    let calls = [
        "rename :a :d/a",
        "renameat AT_FDCWD :b AT_FDCWD :d/b",
        "renameat2 AT_FDCWD :c AT_FDCWD :d/c 0",
    ];
    Case::ops("file a\nfile b\nfile c\ndir d", &calls).facts(&[
        "delete a",
        "write d/a",
        "delete b",
        "write d/b",
        "delete c",
        "write d/c",
    ]);
}

#[test]
fn rename_over_a_file() {
    Case::ops("file a\nfile b", &["rename :a :b"]).facts(&["delete a", "write b"]);
}

#[test]
fn rename_a_link_moves_the_link() {
    Case::ops("file f\nlink a f", &["rename :a :b"]).facts(&["delete a", "write b"]);
}

#[test]
fn rename_over_a_link_replaces_the_link() {
    Case::ops("file f\nfile a\nlink b f", &["rename :a :b"]).facts(&["delete a", "write b"]);
}

#[test]
fn rename_through_links() {
    Case::ops("file d/a\ndir e\nlink l d\nlink m e", &["rename :l/a :m/b"]).facts(&[
        "link l",
        "link m",
        "delete d/a",
        "write e/b",
    ]);
}

#[test]
fn rename_a_directory_renames_all_below() {
    Case::ops("file d/f\nfile d/e/g\nlink d/l f\ndir d/empty", &["rename :d :n"]).facts(&[
        "delete d",
        "delete d/f",
        "delete d/e",
        "delete d/e/g",
        "delete d/l",
        "delete d/empty",
        "write n",
        "write n/f",
        "write n/e",
        "write n/e/g",
        "write n/l",
        "write n/empty",
    ]);
}

#[test]
fn rename_a_directory_over_an_empty_one() {
    Case::ops("file d/f\ndir n", &["rename :d :n"]).facts(&[
        "delete d",
        "delete d/f",
        "write n",
        "write n/f",
    ]);
}

#[test]
fn rename_to_and_fro_is_not_merged() {
    Case::ops("file a", &["rename :a :b", "rename :b :a"])
        .facts(&["delete a", "write b", "delete b", "write a"]);
}

#[test]
fn rename_what_is_absent() {
    Case::ops("file b", &["rename :a :b = ENOENT"]).facts(&["probe- a", "?probe+ b"]);
    Case::ops("file a", &["rename :a :no/b = ENOENT"]).facts(&["probe- no", "?probe+ a"]);
}

#[test]
fn rename_over_a_full_directory() {
    Case::ops("file a/f\nfile b/f", &["rename :a :b = ENOTEMPTY"]).facts(&["probe+ a", "probe+ b"]);
}

#[test]
fn rename_without_replacing() {
    let call = "renameat2 AT_FDCWD :a AT_FDCWD :b RENAME_NOREPLACE";
    Case::ops("file a\nfile b", &[format!("{call} = EEXIST")]).facts(&["?probe+ a", "probe+ b"]);
    Case::ops("file a", &[call]).facts(&["delete a", "write b"]);
}

#[test]
fn rename_by_exchange() {
    let call = "renameat2 AT_FDCWD :a AT_FDCWD :b RENAME_EXCHANGE";
    Case::ops("file a\nfile b", &[call]).facts(&["write a", "write b", "?delete a", "?delete b"]);
    Case::ops("file a", &[format!("{call} = ENOENT")]).facts(&["probe- b", "?probe+ a"]);
}

#[test]
fn rename_by_exchange_of_directories() {
    let calls = ["renameat2 AT_FDCWD :a AT_FDCWD :b RENAME_EXCHANGE", "open :a/g O_RDONLY"];
    // Each tree is gone from one place and is new at the other.
    Case::ops("file a/f\nfile b/g", &calls).facts(&[
        "write a",
        "write b",
        "write a/g",
        "write b/f",
        "delete a/f",
        "delete b/g",
        "?delete a",
        "?delete b",
        "read a/g",
    ]);
}

#[test]
fn names_below_a_directory_renamed_under_the_cwd() {
    let calls = [
        "chdir :d/e",
        "rename :$T/d :$T/n",
        "open :f O_RDONLY",
        "stat :../g &buf",
        "stat :gone &buf = ENOENT",
        "open :new O_WRONLY|O_CREAT 0644",
    ];
    Case::ops("file d/e/f\nfile d/g", &calls).facts(&[
        "probe+ d/e",
        "delete d",
        "delete d/e",
        "delete d/e/f",
        "delete d/g",
        "write n",
        "write n/e",
        "write n/e/f",
        "write n/g",
        "read n/e/f",
        "probe+ n/g",
        "probe- n/e/gone",
        "write n/e/new",
    ]);
}

#[test]
fn names_by_the_descriptor_of_a_renamed_directory() {
    let calls = [
        "a: open :d/e O_PATH",
        "b: open :d/e/f O_RDWR",
        "rename :d :n",
        "openat @a :f O_RDONLY",
        "newfstatat @a :no &buf 0 = ENOENT",
        "fchmod @b 0600",
    ];
    Case::ops("file d/e/f", &calls).facts(&[
        "probe+ d/e",
        "read d/e/f",
        "delete d",
        "delete d/e",
        "delete d/e/f",
        "write n",
        "write n/e",
        "write n/e/f",
        "read n/e/f",
        "probe- n/e/no",
    ]);
}

#[test]
fn hard_links() {
    Case::ops("file a", &["link :a :b"]).facts(&["read a", "write b"]);
    Case::ops("file a\ndir d", &["linkat AT_FDCWD :a AT_FDCWD :d/b 0"])
        .facts(&["read a", "write d/b"]);
}

#[test]
fn hard_links_of_links() {
    Case::ops("file f\nlink l f", &["link :l :b"]).facts(&["read l", "write b"]);
    Case::ops("file f\nlink l f", &["linkat AT_FDCWD :l AT_FDCWD :b AT_SYMLINK_FOLLOW"])
        .facts(&["link l", "read f", "write b"]);
}

#[test]
fn hard_links_refused() {
    Case::ops("file a\nfile b", &["link :a :b = EEXIST"]).facts(&["?probe+ a", "probe+ b"]);
    Case::ops("", &["link :a :b = ENOENT"]).facts(&["probe- a", "?probe- b"]);
    Case::ops("dir a", &["link :a :b = EPERM"]).facts(&["probe+ a", "?probe- b"]);
}

#[test]
fn symbolic_links() {
    Case::ops("", &["symlink :anything/at/all :l"]).facts(&["write l"]);
    Case::ops("dir d", &["symlinkat :f AT_FDCWD :d/l"]).facts(&["write d/l"]);
    Case::ops("file l", &["symlink :f :l = EEXIST"]).facts(&["probe+ l"]);
    Case::ops("", &["symlink :f :no/l = ENOENT"]).facts(&["probe- no"]);
}

#[test]
fn directories() {
    Case::ops("", &["mkdir :d 0755", "mkdirat AT_FDCWD :d/e 0755"])
        .facts(&["write d", "write d/e"]);
    Case::ops("dir d", &["mkdir :d 0755 = EEXIST"]).facts(&["probe+ d"]);
    Case::ops("", &["mkdir :a/b 0755 = ENOENT"]).facts(&["probe- a"]);
    Case::ops("", &["mkdir :d/ 0755"]).facts(&["write d"]);
    Case::ops("link l d", &["mkdir :l 0755 = EEXIST"]).facts(&["probe+ l"]);
    Case::ops("dir d", &["rmdir :d"]).facts(&["delete d"]);
    Case::ops("dir d", &["unlinkat AT_FDCWD :d/ AT_REMOVEDIR"]).facts(&["delete d"]);
    Case::ops("file d/f", &["rmdir :d = ENOTEMPTY"]).facts(&["probe+ d"]);
    Case::ops("file f", &["rmdir :f = ENOTDIR"]).facts(&["?probe+ f", "?probe- f"]);
    Case::ops("", &["rmdir :d = ENOENT"]).facts(&["probe- d"]);
}

#[test]
fn removing_files() {
    Case::ops("file f", &["unlink :f"]).facts(&["delete f"]);
    Case::ops("file f", &["unlinkat AT_FDCWD :f 0"]).facts(&["delete f"]);
    Case::ops("file f\nlink l f", &["unlink :l"]).facts(&["delete l"]);
    Case::ops("file d/f\nlink l d", &["unlink :l/f"]).facts(&["link l", "delete d/f"]);
    Case::ops("", &["unlink :f = ENOENT"]).facts(&["probe- f"]);
    Case::ops("dir d", &["unlink :d = EISDIR"]).facts(&["probe+ d"]);
}

#[test]
fn special_files() {
    Case::ops("", &["mknod :p S_IFIFO|0600 0", "mknodat AT_FDCWD :q S_IFREG|0600 0"])
        .facts(&["write p", "write q"]);
    Case::ops("file p", &["mknod :p S_IFIFO|0600 0 = EEXIST"]).facts(&["probe+ p"]);
}

#[test]
fn sockets_with_names() {
    let calls = ["a: socket AF_UNIX SOCK_STREAM 0", "bind @a &sun:s 110"];
    Case::ops("", &calls).facts(&["write s"]);
    let calls = ["a: socket AF_UNIX SOCK_STREAM 0", "bind @a &sun:f 110 = EADDRINUSE"];
    Case::ops("file f", &calls).facts(&["probe+ f"]);
    let calls = ["a: socket AF_UNIX SOCK_STREAM 0", "connect @a &sun:s 110 = ENOENT"];
    Case::ops("", &calls).facts(&["probe- s"]);
    let calls = ["a: socket AF_UNIX SOCK_STREAM 0", "connect @a &sun:l 110 = ECONNREFUSED"];
    Case::ops("file f\nlink l f", &calls).facts(&["link l", "probe+ f"]);
    let calls = ["a: socket AF_UNIX SOCK_DGRAM 0", "sendto @a &buf 4 0 &sun:d/s 110 = ENOENT"];
    Case::ops("", &calls).facts(&["probe- d"]);
    let calls = [
        "a: socket AF_UNIX SOCK_DGRAM 0",
        "bind @a &sun:s 110",
        "b: socket AF_UNIX SOCK_DGRAM 0",
        "sendto @b &buf 4 0 &sun:s 110",
        "connect @b &sun:s 110",
    ];
    Case::ops("", &calls).facts(&["write s", "?probe+ s"]);
}

#[test]
fn made_and_removed() {
    let calls = [
        "a: open :t O_RDWR|O_CREAT 0600",
        "write @a &buf 2",
        "unlink :t",
        "read @a &buf 2",
        "open :t O_RDONLY = ENOENT",
    ];
    Case::ops("", &calls).facts(&["write t", "delete t", "probe- t"]);
}

#[test]
fn removed_and_made_again() {
    let calls = ["unlink :f", "open :f O_WRONLY|O_CREAT 0644", "stat :f &buf"];
    Case::ops("file f", &calls).facts(&["delete f", "write f", "probe+ f"]);
}

#[test]
fn a_removed_cwd() {
    let calls =
        ["mkdir :d 0755", "chdir :d", "rmdir :$T/d", "open :f O_RDONLY = ENOENT", "stat :.. &buf"];
    // The directory has no name any more; what is in it is absent under its old one.
    Case::ops("", &calls).facts(&[
        "write d",
        "probe+ d",
        "delete d",
        "?probe- d",
        "?probe- d/f",
        "probe+ .",
    ]);
}
