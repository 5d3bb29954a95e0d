//! Airtight is killed: whoever waited for it must not wait for ever.

use crate::harness::{Ended, Launch, World, is_root, left_behind, program};
use crate::{launch, run, world};
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Far more than anybody needs who is not blocked.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for something that must come.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "{what}");
        thread::yield_now();
    }
}

/// The first line of what a child prints: its pid. The rest is left to be read.
fn first_line(child: &mut Child) -> (String, BufReader<std::process::ChildStdout>) {
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    (line.trim().to_owned(), out)
}

fn pids() -> impl Iterator<Item = i32> {
    let list = std::fs::read_dir("/proc").expect("/proc").flatten();
    list.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[test]
fn nobody_is_left_waiting() {
    let world = world("file f text");
    if !is_root() {
        run(&world, &[], &["opens", "kept"]);
        return;
    }
    for _ in 0..20 {
        round(&world);
    }
}

/// Eight threads of the tree open files, and eight of a process outside that sees the same mounts
/// and is not traced; then airtight is killed.
fn round(world: &World) {
    let tree = launch(world, &["--in", "f"], &["opens", "loop", "8", "1000000000", "f"]);
    let mut airtight = tree.start();
    let (pid, _out) = first_line(&mut airtight);
    let opens = program("opens").to_str().expect("a UTF-8 path").to_owned();
    let namespace = format!("--mount=/proc/{pid}/ns/mnt");
    let file = world.fill("$T/f");
    let argv = ["nsenter", &namespace, &opens, "loop", "8", "20000", &file];
    let mut other = Launch::new(world, &argv.map(str::to_owned), false).start();
    let (begun, mut rest) = first_line(&mut other);
    assert!(!begun.is_empty(), "the other process has not begun");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    thread::sleep(Duration::from_micros(u64::from(now.subsec_nanos()) % 20_000));
    airtight.kill().expect("it can be killed");
    airtight.wait().expect("wait");

    until("a process of the tree is left", || left_behind(tree.marker()).is_empty());
    let mut ended = None;
    until("the other process waits for ever", || {
        ended = other.try_wait().expect("wait");
        ended.is_some()
    });
    let mut failed = String::new();
    rest.read_line(&mut failed).expect("a line");
    assert_eq!(failed, "0\n", "opens of the other process that failed");
    assert!(ended.is_some_and(|status| status.success()));
}

#[test]
fn the_group_is_in_no_process_that_lives_on() {
    let world = world(
        "file f text\nfile airtight.toml [run]\\ngrace='50ms'\\n[policy]\\nsurvivors=['daemon']",
    );
    let Some(ran) = run(&world, &["--in", "f"], &["daemon", "plain"]) else { return };
    assert_eq!(ran.status, Ended::Code(121), "{}", ran.stderr_text());
    let left = left_behind(&ran.marker);
    let groups = |pid: &i32| {
        let list = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        list.filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|link| link.to_string_lossy().contains("fanotify"))
    };
    // Its keeper alone has our mark: the action's environment is its own.
    let Some(keeper) = left.first().copied() else { panic!("nobody keeps what survives") };
    let kept = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&format!("TracerPid:\t{keeper}\n"))
    };
    let mut all = Vec::new();
    until("the daemon is kept", || {
        all = pids().filter(kept).collect();
        !all.is_empty()
    });
    all.extend(left);
    assert_eq!(all.len(), 2, "the daemon and its keeper: {all:?}");
    // The keeper closes what it has when it begins.
    until("the group is still there", || !all.iter().any(groups));
    ran.end_survivors();
}
