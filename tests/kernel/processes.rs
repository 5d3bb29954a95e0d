//! Who belongs to the tree, and how it ends.

use crate::harness::{is_root, program};
use crate::support::{Place, Trace};
use std::process::{Child, Command, Stdio};

fn offspring(how: &str) -> Option<Trace> {
    let place = Place::new();
    place.write("f", "").write("g", "");
    place.program("offspring", &[how])
}

#[test]
fn every_way_to_make_a_process_is_followed() {
    for how in ["fork", "vfork", "clone", "untraced", "clone3-untraced", "parent", "shared-memory"]
    {
        let Some(trace) = offspring(how) else { return };
        assert_eq!(trace.facts(), ["read f", "read g"], "{how}");
        let made = trace.processes().len();
        assert!(made >= 2, "{how}: {made} processes");
    }
}

#[test]
fn sessions_and_orphans_stay_in_the_tree() {
    let place = Place::new();
    place.write("f", "").write("g", "");
    let script = "setsid sh -c '(cat f &)'; setsid -w cat g";
    let Some(trace) = place.shell(script) else { return };
    trace.did(&["read f", "read g"]);
}

#[test]
fn a_pid_namespace_of_its_own_is_seen() {
    let place = Place::new();
    place.write("f", "");
    let Some(trace) = place.trace(&["unshare", "-pf", "sh", "-c", "cat f; true"]) else { return };
    trace.did(&["read f"]);
    trace.ran("cat f");
}

#[test]
fn a_thread_that_executes_is_the_same_process() {
    let place = Place::new();
    place.write("f", "");
    let Some(trace) = place.program("threadexec", &["f", "/bin/true"]) else { return };
    assert_eq!(trace.processes().len(), 1, "{:?}", trace.programs());
    assert_eq!(trace.programs().len(), 2, "{:?}", trace.programs());
}

#[test]
fn two_thousand_short_processes_are_all_there_and_strangers_are_not() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write("stranger", "");
    let mut stranger = Command::new("sh");
    place.here(&mut stranger);
    let script = "while :; do cat stranger; true & done";
    let mut stranger =
        stranger.args(["-c", script]).stdout(Stdio::null()).spawn().expect("a shell");
    let script = "i=0; while [ $i -lt 2000 ]; do (: > f); i=$((i+1)); done";
    let trace = place.shell(script).expect("root may");
    stranger.kill().expect("it is ours");
    stranger.wait().expect("it has ended");
    trace.did(&["write f"]);
    assert_eq!(trace.processes().len(), 2001);
}

#[test]
fn exit_codes_signals_and_output_are_the_commands_own() {
    let place = Place::new();
    let Some(trace) = place.shell("echo out; echo err >&2; exit 7") else { return };
    assert_eq!(trace.output.status.code(), Some(7));
    assert_eq!(trace.output.stdout, b"out\n");
    assert!(String::from_utf8_lossy(&trace.output.stderr).starts_with("err\n"));
    let killed = place.shell("kill -9 $$").expect("root may");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.output.status), Some(9));
    assert_eq!(killed.processes()[0]["exit"]["signal"], 9);
    let missing = place.airtight(&["trace", "--backend", "fanotify", "--", "/nonexistent/program"]);
    assert_eq!(ended(missing), Some(127));
}

fn ended(mut command: Command) -> Option<i32> {
    command.output().expect("airtight starts").status.code()
}

#[test]
fn who_outlives_the_command_is_told_and_killed() {
    let place = Place::new();
    let Some(trace) = place.shell("sleep 1000 > /dev/null 2>&1 &") else { return };
    let reasons = trace.reasons();
    let told = "surviving-process: sleep outlived the command and was killed";
    assert!(reasons.contains(&told.to_owned()), "{reasons:?}");
}

/// A process that reads the files named on its standard input, as part of nobody's tree.
fn server(place: &Place) -> Server {
    let mut server = Command::new("sh");
    place.here(&mut server);
    let script =
        "mkfifo ask done; echo ready; while read name < ask; do cat $name; echo > done; done";
    let mut server = server.args(["-c", script]).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut ready = [0; 6];
    let stdout = server.stdout.as_mut().expect("piped");
    std::io::Read::read_exact(stdout, &mut ready).expect("it is ready");
    Server(server)
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_daemon_outside_of_the_tree_is_recorded_when_it_is_named() {
    let place = Place::new();
    place.write("f", "");
    let served = server(&place);
    let script = ["sh", "-c", "echo f > ask; read x < done"];
    let pid = served.0.id().to_string();
    let with = place.trace_with(&["--also-pid", &pid], &script);
    if let Some(trace) = &with {
        assert!(trace.facts().contains(&"read f".to_owned()), "{:?}", trace.facts());
        trace.ran("cat f");
        trace.ran("sh -c echo f > ask; read x < done");
        let without = place.trace(&script).expect("root may");
        assert!(!without.facts().contains(&"read f".to_owned()), "{:?}", without.facts());
    }
}

#[test]
fn a_cgroup_is_recorded_when_it_is_named() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let Some(point) = line.and_then(|line| line.split(' ').nth(4)) else { return };
    let dir = format!("{point}/airtight-test-{}", std::process::id());
    // Who may not make one can record nobody either.
    if std::fs::create_dir(&dir).is_err() {
        return;
    }
    let place = Place::new();
    place.write("f", "");
    let served = server(&place);
    std::fs::write(format!("{dir}/cgroup.procs"), served.0.id().to_string()).expect("it moves");
    let script = ["sh", "-c", "echo f > ask; read x < done"];
    let trace = place.trace_with(&["--also-cgroup", &dir], &script);
    drop(served);
    std::fs::remove_dir(&dir).expect("nobody is in it");
    if let Some(trace) = trace {
        assert!(trace.facts().contains(&"read f".to_owned()), "{:?}", trace.facts());
    }
}

#[test]
fn what_can_not_be_recorded_is_refused() {
    let place = Place::new();
    let named = place.airtight(&["trace", "--also-pid", "1", "--", "true"]);
    assert_eq!(ended(named), Some(125));
    if !is_root() {
        return;
    }
    for flags in [["--also-pid", "8388608"], ["--also-cgroup", "/nonexistent"]] {
        let mut command = place.airtight(&["trace", "--backend", "fanotify"]);
        command.args(flags).args(["--", "sh", "-c", ": > ran"]);
        assert_eq!(ended(command), Some(125), "{flags:?}");
    }
    assert!(!place.path("ran").exists());
    // The compiled programs are of use to other tests.
    assert!(program("offspring").exists());
}
