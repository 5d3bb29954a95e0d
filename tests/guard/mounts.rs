//! What is mounted while the action runs, and other mount namespaces.

use crate::harness::run::Ran;
use crate::harness::{Ended, World, program};
use crate::{run, world};

/// Runs a script whose `$1` reads files through io_uring.
fn script(world: &World, flags: &[&str], script: &str) -> Option<Ran> {
    let ring = program("ring").to_str().expect("a UTF-8 path").to_owned();
    // mount(8) notes what it does there.
    let own = ["--allow-io-uring", "--side-effect", "/run/mount", "--in", &ring];
    let flags = [&own, flags].concat();
    run(world, &flags, &["sh", "-c", script, "sh", &ring])
}

fn denied(ran: &Ran, what: &str) {
    let said = ran.stderr_text();
    assert!(said.contains(": Operation not permitted"), "{said}");
    assert!(said.contains(&format!("error[R001]: undeclared read of {what}\n")), "{said}");
}

#[test]
fn a_bind_mount() {
    let world = world("file d/f text\nfile d/g text\ndir e");
    let flags = ["--in", "d/f"];
    let Some(ran) = script(&world, &flags, "mount --bind d e && $1 read e/f read e/g") else {
        return;
    };
    // By the name that the host knows.
    denied(&ran, "d/g");
    assert!(!ran.stderr_text().contains("read e/f: "), "{}", ran.stderr_text());
}

#[test]
fn a_file_system_in_memory() {
    let world = world("dir e");
    let shell = "mount -t tmpfs none e && echo x > e/f && $1 read e/f && cat e/f";
    let Some(ran) = script(&world, &[], shell) else { return };
    assert_eq!(ran.stdout_text(), "x\n", "{}", ran.stderr_text());
    assert_eq!(ran.status, Ended::Code(121), "{}", ran.stderr_text());
    // It was the action's alone.
    assert!(!world.path().join("e/f").exists());
}

#[test]
fn a_mount_that_is_taken_away() {
    let world = world("dir e\nfile e/g text");
    let shell = "mount -t tmpfs none e && umount e && $1 read e/g";
    let Some(ran) = script(&world, &[], shell) else { return };
    denied(&ran, "e/g");
}

#[test]
fn a_namespace_of_its_own() {
    let world = world("file f text\nfile g text\ndir e");
    for shell in [
        "unshare --mount $1 read f read g",
        "unshare --mount --map-root-user $1 read f read g",
        "unshare --mount --fork $1 read f read g",
        "unshare --mount sh -c 'mount --bind . e && $0 read e/f read e/g' $1",
        "/usr/sbin/chroot / unshare --mount $1 read $PWD/f read $PWD/g",
    ] {
        let Some(ran) = script(&world, &["--in", "f"], shell) else { return };
        denied(&ran, "g");
    }
}

#[test]
fn a_namespace_of_others() {
    let world = world("file f text");
    // The parent of the shell is airtight.
    let shell = "nsenter --mount=/proc/$PPID/ns/mnt cat $2/f";
    let place = world.path().to_str().expect("a UTF-8 path").to_owned();
    let flags = ["--in", "f"];
    let Some(ran) = run(&world, &flags, &["sh", "-c", shell, "sh", "-", &place]) else { return };
    let said = ran.stderr_text();
    assert_eq!((ran.stdout_text().as_str(), ran.status), ("text", Ended::Code(121)), "{said}");
    assert!(said.contains("is not guarded in the kernel: it is in a mount namespace of"), "{said}");
}

#[test]
fn a_mount_without_a_place() {
    // What it is called on the host can't be told, so it is denied.
    let world = world("file a/f text");
    let Some(ran) = run(&world, &["--in-dir", "a"], &["spaces", "detached"]) else { return };
    let said = ran.stderr_text();
    assert!(said.contains("denied, because it can't be judged"), "{said}");
}
