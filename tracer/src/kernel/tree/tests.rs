use super::super::family::Member;
use super::*;
use std::process::{Child, Command};

/// Runs a script to its end as the root of a tree; none where the kernel refuses, which is
/// asserted to be said.
fn tree_of(also: &Also, script: &str, meanwhile: impl FnOnce(&mut Tree)) -> Option<Vec<Member>> {
    let mut tree = match Tree::start(also) {
        Ok(tree) => tree,
        Err(Error::Forbidden { what, remedy }) => {
            assert!(!process::has_capability(process::CAP_SYS_ADMIN), "{what}");
            assert!(what.starts_with("perf_event_open is refused"), "{what}");
            assert!(remedy.contains("CAP_SYS_ADMIN"), "{remedy}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let since = perf::now();
    let mut root = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
    tree.root(root.id() as i32, since);
    meanwhile(&mut tree);
    assert!(root.wait().unwrap().success());
    let (family, doubt) = tree.finish();
    assert_eq!(doubt, None);
    Some(family.members().to_vec())
}

fn names(members: &[Member]) -> Vec<String> {
    let all = members.iter().flat_map(|m| &m.images);
    let mut names: Vec<_> = all.map(|p| String::from_utf8_lossy(&p.comm).into_owned()).collect();
    names.sort();
    names
}

#[test]
fn processes_that_leave_their_parent_or_session_stay_in_the_tree() {
    let script = "(setsid sh -c '(env true &)'; :) | cat; wait";
    let Some(members) = tree_of(&Also::default(), script, |_| {}) else { return };
    assert_eq!(names(&members), ["cat", "env", "setsid", "sh", "sh", "true"]);
    assert!(members[1..].iter().all(|m| m.parent.is_some()));
    assert!(members[0].ended.is_some());
}

#[test]
fn short_processes_are_all_seen_and_strangers_are_not() {
    let script = "i=0; while [ $i -lt 2000 ]; do (:); i=$((i+1)); done";
    let strangers = |_: &mut Tree| {
        for _ in 0..50 {
            assert!(Command::new("/bin/true").status().unwrap().success());
        }
    };
    let Some(members) = tree_of(&Also::default(), script, strangers) else { return };
    assert_eq!((members.len(), names(&members)), (2001, vec!["sh".to_owned()]));
    assert!(members.iter().all(|m| m.ended.is_some()));
}

/// A process that waits until its standard input ends, with a child that does the same.
fn daemon() -> Child {
    let script = "exec 3<&0; cat <&3 & read word <&3; env true; wait";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(std::process::Stdio::piped());
    let daemon = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    while process::below(daemon.id() as i32).is_empty() {
        std::thread::yield_now();
    }
    daemon
}

#[test]
fn a_process_outside_belongs_to_the_tree_when_it_is_named() {
    let mut outside = daemon();
    let also = Also { pids: vec![outside.id() as i32], cgroups: Vec::new() };
    let members = tree_of(&also, "env true", |tree| {
        tree.drain();
        drop(outside.stdin.take());
        assert!(outside.wait().unwrap().success());
    });
    let Some(members) = members else {
        drop(outside.stdin.take());
        outside.wait().unwrap();
        return;
    };
    assert_eq!(members[0].pid, outside.id() as i32);
    assert_eq!(names(&members[2..]), ["env", "env", "sh", "true", "true"].map(String::from)[..]);
}

#[test]
fn what_can_not_be_named_is_refused() {
    // 2^22 is the largest that there can be (proc_sys_kernel(5), pid_max).
    let also = Also { pids: vec![1 << 23], cgroups: Vec::new() };
    match Tree::start(&also) {
        Err(Error::System { what, .. }) => assert_eq!(what, "process 8388608"),
        Err(Error::Forbidden { .. }) if !process::has_capability(process::CAP_SYS_ADMIN) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("there is no such process"),
    }
}
