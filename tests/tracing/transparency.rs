//! The traced program must not notice, and neither must whoever started it.

use crate::harness::{Case, Ended, Launch, World, left_behind, program};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

#[test]
fn every_exit_code() {
    for code in 0..256 {
        Case::run("", &["ops".to_owned(), format!("exit {code}")])
            .ends(Ended::Code(code))
            .facts::<&str>(&[]);
    }
}

/// Signals that stop a process (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU): at a terminal, below.
const STOPS: [i32; 4] = [19, 20, 21, 22];

/// Signals that by default are ignored: SIGCHLD, SIGCONT, SIGURG, SIGWINCH.
const IGNORED: [i32; 4] = [17, 18, 23, 28];

#[test]
fn death_by_every_signal() {
    for signal in (1..=64).filter(|s| !STOPS.contains(s)) {
        let ends = if IGNORED.contains(&signal) { Ended::Code(0) } else { Ended::Signal(signal) };
        Case::run("", &["die".to_owned(), signal.to_string()])
            .ends(ends)
            .files_vary()
            .facts::<&str>(&[]);
    }
}

#[test]
fn the_state_it_starts_with() {
    // Signal masks, descriptors, limits, capabilities, environment, arguments: as without us.
    let case = |ordinary| {
        let case = Case::run("", &["startup", "", "two words", "$T"]);
        if ordinary { case.ordinary() } else { case }
    };
    case(false).trace();
    case(true).trace();
}

#[test]
fn unusual_state_to_start_with() {
    let script =
        "ulimit -n 77; ulimit -c 0; umask 027; trap '' USR1 PIPE INT; exec \"$@\" 9<f 7>>g";
    Case::run("file f\nfile g", &["startup"])
        .within(&["/bin/sh", "-c", script, "sh"])
        .facts(&["read f", "write g"]);
}

#[test]
fn standard_input_is_its_own() {
    Case::run("", &["/bin/cat"]).stdin(b"some text\n").prints(&["some text"]).trace();
}

#[test]
fn signals_with_all_that_belongs_to_them() {
    Case::run("", &["signals"]).facts(&["write pipe", "read pipe", "?probe+ pipe"]);
}

#[test]
fn a_broken_pipe_kills_it() {
    Case::run("", &["babble"]).within(&["poke", "pipe"]).prints(&["signal 13"]).trace();
}

#[test]
fn signals_sent_to_us_reach_it() {
    for signal in ["1", "15"] {
        Case::run("file f", &["console", "wait"])
            .within(&["poke", signal])
            .prints(&[&format!("signal {signal}")])
            .facts(&["read f"]);
        Case::run("file f", &["console", "catch"])
            .within(&["poke", signal])
            .prints(&[&format!("caught {signal}"), "exit 5"])
            .facts(&["read f"]);
    }
}

/// A scenario at a terminal (see terminal.c), with what must be on the screen and become of the job.
fn at_terminal(scenario: &str, how: &str, screen: &[&str]) {
    Case::run("file f", &["console", how])
        .within(&["terminal", scenario])
        .prints(screen)
        .facts(&["read f"]);
}

#[test]
fn a_terminal_is_a_terminal() {
    at_terminal("plain", "look", &["111 1 1 24x80", "/dev/tty", "exit 0"]);
}

#[test]
fn input_from_a_terminal() {
    at_terminal("line", "read", &["ready", "read line", "exit 0"]);
    at_terminal("ctrl-d", "read", &["ready", "read nothing", "exit 0"]);
}

#[test]
fn ctrl_c() {
    at_terminal("ctrl-c", "wait", &["ready", "signal 2"]);
    at_terminal("ctrl-c", "catch", &["ready", "caught 2", "exit 5"]);
}

#[test]
fn ctrl_backslash() {
    at_terminal("ctrl-backslash", "wait", &["ready", "signal 3"]);
    at_terminal("ctrl-backslash", "catch", &["ready", "caught 3", "exit 5"]);
}

#[test]
fn ctrl_z_and_continuing() {
    let screen = ["ready", "continued", "ready", "read line", "stopped 20", "exit 3"];
    at_terminal("ctrl-z", "job", &screen);
}

#[test]
fn reading_in_the_background() {
    at_terminal("background", "read", &["ready", "read line", "stopped 21", "exit 0"]);
}

#[test]
fn stopping_itself() {
    at_terminal("plain", "stop-itself", &["and on", "stopped 19", "exit 4"]);
}

#[test]
fn a_terminal_that_changes_its_size() {
    at_terminal("resize", "resized", &["ready", "33x99", "exit 0"]);
}

#[test]
fn a_terminal_that_hangs_up() {
    at_terminal("hangup", "wait", &["ready", "signal 1"]);
    at_terminal("hangup", "catch", &["ready", "exit 5"]);
}

#[test]
fn killing_the_tracer_leaves_nothing() {
    let world = World::new("file f", false);
    world.build();
    let recording = world.recording();
    let mut argv = vec![env!("CARGO_BIN_EXE_airtight").to_owned()];
    argv.extend(["trace", "--format", "json", "-o"].map(str::to_owned));
    argv.push(recording.to_str().expect("a UTF-8 path").to_owned());
    argv.push("--".to_owned());
    argv.push(program("family").to_str().expect("a UTF-8 path").to_owned());
    for format in ["json", "binary"] {
        argv[3] = format.to_owned();
        let launch = Launch::new(&world, &argv, false);
        let mut child = launch.start();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next().expect("a line").expect("a line"), "ready");
        child.kill().expect("kill -9");
        child.wait().expect("wait");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !left_behind(launch.marker()).is_empty() {
            assert!(Instant::now() < deadline, "left: {:?}", left_behind(launch.marker()));
            std::thread::yield_now();
        }
        // Nothing there, or nothing that a reader takes for whole.
        if recording.exists() {
            let whole = std::process::Command::new(&argv[0])
                .args(["diff"])
                .args([&recording, &recording])
                .output()
                .expect("airtight");
            assert!(!whole.status.success(), "{format}: half a recording passes for a whole one");
            fs::remove_file(&recording).expect("remove");
        }
    }
}

#[test]
fn the_cpus_of_a_busy_program() {
    // A thread in a burst of stops is kept on the tracer's CPU; nobody may see that.
    let busy = "i=0; while [ $i -lt 200 ]; do [ -e no ]; i=$((i+1)); done;";
    let look = "nproc; grep Cpus_allowed_list /proc/self/status; cat /proc/$$/status | grep Cpus";
    for script in [
        format!("{busy} {look}"),
        format!("{busy} taskset -c 0 sh -c '{busy} nproc; {busy} nproc'"),
    ] {
        // The harness compares what it prints with what it prints untraced.
        Case::run("", &["/bin/sh", "-c", &script]).trace();
    }
}
