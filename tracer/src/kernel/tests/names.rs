//! Every way to change a name, a file or its attributes, on the file systems that Linux has most.

use super::harness::{Run, exactly, facts};
use std::path::Path;

/// On the file system of the temporary directory (ext4 where this is developed), and in memory.
fn both(calls: &[&str], expected: &[&str]) {
    for place in [&std::env::temp_dir(), Path::new("/dev/shm")] {
        let run = Run::within(place);
        exactly(run.ops(calls), run.path(), expected);
    }
}

#[test]
fn files_are_made_written_and_read() {
    both(
        &[
            "a: openat AT_FDCWD :f O_WRONLY|O_CREAT 0600",
            "write @a :xyz 3",
            "close @a",
            "b: openat AT_FDCWD :f O_RDONLY",
            "read @b &buf 100",
            "close @b",
            "openat AT_FDCWD :f O_PATH",
            "openat AT_FDCWD :absent O_RDONLY",
            "openat AT_FDCWD :f O_RDWR|O_CREAT|O_EXCL 0600",
            "stat :f &buf",
        ],
        &["Create f", "Open f", "Modify f", "CloseWrite f"],
    );
}

#[test]
fn reading_alone_changes_nothing() {
    let run = Run::new();
    std::fs::write(run.path().join("f"), "text").expect("write");
    let calls = ["a: openat AT_FDCWD :f O_RDONLY", "read @a &buf 9", "truncate :f 1"];
    exactly(run.ops(&calls), run.path(), &["Open f", "Modify f"]);
}

#[test]
fn names_are_made_and_removed() {
    both(
        &[
            "a: openat AT_FDCWD :f O_WRONLY|O_CREAT 0600",
            "close @a",
            "link :f :g",
            "symlink :f :s",
            "mknod :p S_IFIFO|0600 0",
            "mkdir :d 0700",
            "unlink :g",
            "rmdir :d",
            "unlink :absent",
        ],
        &[
            "Create f",
            "Open f",
            "CloseWrite f",
            "Create g",
            "Create s",
            "Create p",
            "Create d/",
            "Delete g",
            "Delete d/",
        ],
    );
}

#[test]
fn a_change_of_the_number_of_links_is_no_act_of_its_own() {
    let run = Run::new();
    std::fs::write(run.path().join("f"), "text").expect("write");
    std::fs::write(run.path().join("g"), "text").expect("write");
    let calls = ["link :f :f2", "unlink :f", "rename :f2 :g"];
    let expected = ["Create f2", "Delete f", "MovedFrom f2", "MovedTo g"];
    exactly(run.ops(&calls), run.path(), &expected);
}

#[test]
fn renames_tell_both_names() {
    both(
        &[
            "mkdir :d 0700",
            "a: openat AT_FDCWD :f O_WRONLY|O_CREAT 0600",
            "close @a",
            "rename :f :d/g",
            "symlink :x :s",
            "renameat2 AT_FDCWD :s AT_FDCWD :d RENAME_EXCHANGE",
            "rename :absent :f",
        ],
        &[
            "Create d/",
            "Create f",
            "Open f",
            "CloseWrite f",
            "MovedFrom f",
            // In the time of one event d was renamed.
            "MovedTo d/g or s/g",
            "Create s",
            "MovedFrom s",
            "MovedTo d",
            "MovedFrom d/",
            "MovedTo s/",
        ],
    );
}

#[test]
fn attributes_are_changed() {
    let run = Run::new();
    std::fs::write(run.path().join("f"), "text").expect("write");
    std::fs::create_dir(run.path().join("d")).expect("mkdir");
    std::os::unix::fs::symlink("f", run.path().join("s")).expect("symlink");
    let expected = |names: &[&str]| names.iter().map(|n| format!("Attrib {n}")).collect::<Vec<_>>();
    for (call, names) in [
        ("chmod :f 0600", &["f"][..]),
        ("chmod :s 0640", &["f"]),
        ("chmod :d 0700", &["d/"]),
        ("chown :f 0 0", &["f"]),
        ("lchown :s 0 0", &["s"]),
        ("utimensat AT_FDCWD :f &times 0", &["f"]),
        ("setxattr :f :user.a :b 1 0", &["f"]),
        ("removexattr :f :user.a", &["f"]),
        ("chmod :absent 0600", &[]),
    ] {
        let Some(view) = run.ops(&[call]) else { return };
        assert_eq!(facts(&view, run.path()), expected(names), "{call}");
    }
}

#[test]
fn directories_are_opened_and_listed() {
    let run = Run::new();
    std::fs::create_dir(run.path().join("d")).expect("mkdir");
    let calls = [
        "a: openat AT_FDCWD :d O_RDONLY|O_DIRECTORY",
        "close @a",
        "b: openat AT_FDCWD :. O_RDONLY",
        "getdents64 @b &buf 1000",
        "openat AT_FDCWD :d O_PATH|O_DIRECTORY",
    ];
    exactly(run.ops(&calls), run.path(), &["Open d/", "Open ./", "List ./"]);
}

#[test]
fn a_temporary_file_without_a_name_gets_one() {
    let run = Run::new();
    let calls = [
        "a: openat AT_FDCWD :. O_TMPFILE|O_WRONLY 0600",
        "write @a :x 1",
        "linkat @a : AT_FDCWD :f AT_EMPTY_PATH",
        "close @a",
    ];
    let Some(view) = run.ops(&calls) else { return };
    let facts = facts(&view, run.path());
    assert!(facts.contains(&"Create f".to_owned()), "{facts:?}");
    // Its kernel name is a number that no name begins with a program could choose.
    let others: Vec<_> = facts.iter().filter(|fact| *fact != "Create f").collect();
    assert!(others.iter().all(|fact| fact.contains(" #")), "{facts:?}");
    assert_eq!(others.len(), 3, "{facts:?}");
}

#[test]
fn a_file_is_written_after_its_last_name_is_gone() {
    let run = Run::new();
    let calls = [
        "a: openat AT_FDCWD :f O_WRONLY|O_CREAT 0600",
        "unlink :f",
        "write @a :x 1",
        "fchmod @a 0640",
        "close @a",
    ];
    let expected = ["Create f", "Open f", "Delete f", "Modify f", "Attrib f", "CloseWrite f"];
    exactly(run.ops(&calls), run.path(), &expected);
}

#[test]
fn names_are_bytes() {
    let run = Run::new();
    let Some(view) = run.ops(&["mkdir :%ff%0a 0700", "mkdir :%ff%0a/%20 0700"]) else { return };
    let dir = run.path().canonicalize().expect("it is there");
    let mut names: Vec<Vec<u8>> = Vec::new();
    for sight in &view.sights {
        for name in view.names(&sight.place) {
            if let Some(rest) = name.strip_prefix(dir.as_os_str().as_encoded_bytes()) {
                names.push(rest.to_vec());
            }
        }
    }
    names.sort();
    assert_eq!(names, [b"/\xff\n".to_vec(), b"/\xff\n/ ".to_vec()]);
}
