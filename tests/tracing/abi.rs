//! The same calls in every ABI a process can use, and from programs without a libc.

use crate::harness::Case;

/// Calls that exist, with the same arguments, in every ABI; and what they amount to.
const SETUP: &str = "file a\nfile b text\nfile c\nlink l a\ndir d\nfile e\nfile g";
const CALLS: [&str; 18] = [
    "open :l O_RDONLY",
    "openat AT_FDCWD :b O_WRONLY|O_TRUNC",
    "openat2 AT_FDCWD :c &how:O_RDONLY,0,0 24",
    "creat :n1 0644",
    "statx AT_FDCWD :d 0 STATX_ALL &buf",
    "statx AT_FDCWD :d/no 0 STATX_ALL &buf = ENOENT",
    "access :c R_OK",
    "readlink :l &buf 100",
    "rename :c :n2",
    "link :a :n3",
    "symlink :a :n4",
    "mkdir :n5 0755",
    "rmdir :n5",
    "unlink :e",
    "chmod :g 0600",
    "x: open :d O_RDONLY|O_DIRECTORY",
    "openat @x :f O_WRONLY|O_CREAT 0644",
    "unlinkat AT_FDCWD :n3 0",
];
const FACTS: [&str; 21] = [
    "link l",
    "read a",
    "write b",
    "read c",
    "write n1",
    "probe+ d",
    "probe- d/no",
    "probe+ c",
    "delete c",
    "write n2",
    "write n3",
    "write n4",
    "write n5",
    "delete n5",
    "delete e",
    "write g",
    "list d",
    "write d/f",
    "delete n3",
    "?probe+ a",
    "?probe+ b",
];

#[test]
fn dynamic() {
    Case::ops_by("ops", SETUP, &CALLS).facts(&FACTS);
}

#[test]
fn statically_linked() {
    Case::ops_by("ops.static", SETUP, &CALLS).facts(&FACTS);
}

#[test]
fn i386() {
    Case::ops_by("ops.m32", SETUP, &CALLS).facts(&FACTS);
    Case::ops_by("ops.m32static", SETUP, &CALLS).facts(&FACTS);
}

#[test]
fn i386_calls_from_64_bit_code() {
    Case::ops_by("ops.int80", SETUP, &CALLS).facts(&FACTS);
}

#[test]
fn i386_calls_of_its_own() {
    let calls = [
        "stat64 :a &buf",
        "lstat64 :l &buf",
        "fstatat64 AT_FDCWD :b &buf 0",
        "stat64 :no &buf = ENOENT",
        "truncate64 :c 0 0",
        "a: open :d O_RDONLY",
        "fstat64 @a &buf",
        "oldstat :m &buf = ENOENT",
        "oldlstat :n &buf = ENOENT",
    ];
    let facts = [
        "probe+ a",
        "probe+ l",
        "probe+ b",
        "probe- no",
        "write c",
        "list d",
        "probe- m",
        "probe- n",
    ];
    for program in ["ops.m32", "ops.int80"] {
        Case::ops_by(program, SETUP, &calls).facts(&facts);
    }
}

#[test]
fn x32() {
    // A kernel without x32 answers ENOSYS and touches nothing; one with it does the work.
    let found = std::process::Command::new(crate::harness::program("ops.x32"))
        .arg("stat :/ &buf")
        .output()
        .expect("ops.x32");
    match found.stdout.as_slice() {
        b"stat = ENOSYS\n" => {
            let calls: Vec<String> = CALLS
                .iter()
                .map(|c| format!("{} = ENOSYS", c.split(" = ").next().unwrap_or(c)))
                .collect();
            Case::ops_by("ops.x32", SETUP, &calls).facts::<&str>(&[]);
        }
        _ => {
            Case::ops_by("ops.x32", SETUP, &CALLS).facts(&FACTS);
        }
    }
}

#[test]
fn a_program_of_bare_instructions() {
    Case::run("file in text\nlink l in", &["bare.bare"]).facts(&[
        "link l",
        "read in",
        "write out",
        "probe- no",
    ]);
}

#[test]
fn a_32_bit_program_that_executes_a_64_bit_one_and_back() {
    let setup = "copy m32 ops.m32\ncopy m64 ops\nfile a\nfile b";
    let calls = ["ops.m32", "spawn :m64 :stat%20:a%20&buf", "stat64 :b &buf"];
    Case::run(setup, &calls)
        .prints(&["stat = ok", "spawn = 0", "stat64 = ok"])
        .facts(&["exec m64", "probe+ a", "probe+ b"]);
    Case::ops(setup, &["spawn :m32 = 0", "stat :b &buf"]).facts(&["exec m32", "probe+ b"]);
}

#[test]
fn numbers_that_no_kernel_has() {
    // The kernel says ENOSYS: nothing was done, nothing can have escaped.
    Case::run("", &["number", "100000"]).prints(&["ENOSYS"]).facts::<&str>(&[]);
}

#[test]
fn a_number_with_its_upper_half_set() {
    // The kernel looks at 32 bits of the number only.
    Case::run("file f", &["number", "high"]).prints(&["ok"]).facts(&["probe+ f"]);
}
