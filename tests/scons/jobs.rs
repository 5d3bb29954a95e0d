//! The scheduler: many requests under way, `-j` for builds alone, and everything else as in SCons.

use crate::cache::{both, clean, fetch, forget, remote, scons, taken};
use crate::project::{End, Project};
use crate::support::{airtight, plain};
use airtight_test_servers::{Fault, Faults, SCONS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes here that does not wait for what never comes.
const SOON: Duration = Duration::from_secs(100);

/// Settings in which a remote may be silent for longer than that. Gives the flags to use it.
fn patient(project: &Project, url: &str) -> Vec<String> {
    let times = "idle-timeout = \"300s\"\nbudget = \"300s\"\n";
    project.write("airtight.toml", format!("[[cache.remote]]\nurl = \"{url}\"\n{times}"));
    ["-Q", "--remote-cache-fetch-enabled"].map(str::to_owned).into()
}

/// A project of so many independent actions.
fn copies(count: usize) -> Project {
    Project::new(&format!(
        "\
-- SConstruct --
import os
env = Environment(ENV={{'PATH': os.environ['PATH']}})
for n in range({count}):
    env.Command('out%d' % n, 'in', 'cp $SOURCE $TARGET')
-- in --
in
"
    ))
}

/// A remote that has nothing, and says so to nobody until so many have asked at once.
fn patient_remote(at_once: usize) -> String {
    counting_remote(at_once).0
}

/// As [`patient_remote`], with the most requests that were ever there at once.
fn counting_remote(at_once: usize) -> (String, Arc<AtomicUsize>) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let barrier = Arc::new(Barrier::new(at_once));
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, barrier) = (stream.expect("a connection"), Arc::clone(&barrier));
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            thread::spawn(move || {
                nothing(&stream, || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    barrier.wait();
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            });
        }
    });
    (url, counted)
}

fn nothing(stream: &TcpStream, wait: impl Fn()) {
    let mut lines = BufReader::new(stream).lines();
    let mut writer = stream;
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            wait();
            // The client may have gone.
            let _ = writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    }
}

#[test]
fn requests_do_not_wait_for_slots() {
    for version in SCONS {
        for slots in ["-j1", "-j2"] {
            // With fewer than 60 at once nobody would ever get an answer.
            let project = copies(60);
            let flags = fetch(&patient_remote(60));
            let end = scons(&project, version, &flags, &[slots, "--airtight=off"]);
            assert_eq!(end.code(0).stdout.matches("cp in out").count(), 60, "{version} {slots}");
            assert_eq!(end.stderr, "", "{version} {slots}");
        }
    }
}

#[test]
fn connections_bound_the_requests() {
    for version in SCONS {
        let project = copies(12);
        let (url, most) = counting_remote(3);
        let more = ["--remote-cache-connections=3", "-j8", "--airtight=off"];
        let end = scons(&project, version, &fetch(&url), &more);
        assert_eq!(end.code(0).stdout.matches("cp in out").count(), 12, "{version}");
        assert_eq!(most.load(Ordering::SeqCst), 3, "{version}");
    }
}

#[test]
fn slots_bound_the_builds() {
    // Each says how many run beside it.
    let text = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
for n in range(12):
    env.Command('out%d' % n, 'count', './count $TARGET')
-- count --
#!/bin/sh
mkdir -p run
touch run/$1
ls run | wc -l >$1
n=0
while [ ! -e go ] && [ $(ls run | wc -l) -lt $(cat slots) ] && [ $n -lt 3000 ]
do sleep 0.01; n=$((n + 1)); done
ls run | wc -l >>$1
touch go
rm run/$1
";
    let server = remote();
    for version in SCONS {
        for slots in [1, 4] {
            let project = Project::new(text);
            project.write("slots", format!("{slots}\n"));
            let flag = format!("-j{slots}");
            let flags = fetch(&server.url());
            scons(&project, version, &flags, &[&flag, "--airtight=off"]).code(0);
            let most = (0..12)
                .flat_map(|n| {
                    let text = project.read(&format!("out{n}"));
                    text.lines().map(|line| line.trim().parse().unwrap_or(0)).collect::<Vec<_>>()
                })
                .max();
            assert_eq!(most, Some(slots), "{version}");
        }
    }
}

/// The second of four fails; the fifth depends on it.
const FAILING: &str = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
for n in range(4):
    env.Command('out%d' % n, 'in', 'cp $SOURCE $TARGET' + ('; exit 3' if n == 1 else ''))
env.Command('after', 'out1', 'cp $SOURCE $TARGET')
Default('out0', 'out1', 'out2', 'out3', 'after')
-- in --
in
";

#[test]
fn errors_stop_the_build_as_in_scons() {
    for version in SCONS {
        let server = remote();
        // One by one, the output is that of stock SCons; with -k too, and with -i.
        for more in [&["-j1"][..], &["-j1", "-k"], &["-j1", "-i"]] {
            let stock = Project::new(FAILING);
            let stock = stock.end(plain(&stock, version, &[&["-Q"], more].concat()));
            let project = Project::new(FAILING);
            let more = [more, &["--airtight=off"]].concat();
            let end = scons(&project, version, &fetch(&server.url()), &more);
            let outcome = |end: &End| (end.code, end.stdout.clone(), end.stderr.clone());
            assert_eq!(outcome(&end), outcome(&stock), "{version} {more:?}");
        }
        // What is known is taken all the same, where it does not depend on what failed.
        let project = Project::new(FAILING);
        let end = scons(&project, version, &both(&server.url()), &["-j8", "-k"]);
        assert_eq!(end.code, Some(2), "{version}\n{}", end.show());
        clean(&project, version);
        forget(&project);
        let end = scons(&project, version, &fetch(&server.url()), &["-j8", "-k"]);
        assert_eq!(taken(&end), BTreeSet::from(["out0", "out2", "out3"]), "{version}");
        assert_eq!(end.stderr, "scons: *** [out1] Error 3\n", "{version}");
        assert!(!project.path("after").exists(), "{version}");
    }
}

#[test]
fn an_error_does_not_wait_for_requests() {
    let server = remote();
    let text = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
env.NoCache(env.Command('fails', 'in', 'exit 3'))
for n in range(20):
    env.Command('more%d' % n, 'in', 'cp $SOURCE $TARGET')
Default('fails', ['more%d' % n for n in range(20)])
-- in --
in
";
    for version in SCONS {
        for slots in ["-j1", "-j4"] {
            let proxy = Faults::in_front_of(&server.url());
            proxy.set(Fault::Hang);
            let project = Project::new(text);
            project.write("more3", "old\n");
            let flags = patient(&project, &proxy.url());
            let begun = Instant::now();
            let end = scons(&project, version, &flags, &[slots, "--airtight=off"]);
            assert_eq!(end.code, Some(2), "{version} {slots}\n{}", end.show());
            assert_eq!(end.stderr, "scons: *** [fails] Error 3\n", "{version} {slots}");
            assert!(begun.elapsed() < SOON, "{version} {slots}: {:?}", begun.elapsed());
            // What was only asked for is as it was.
            assert_eq!(project.read("more3"), "old\n", "{version} {slots}");
        }
    }
}

#[test]
fn questions_and_dry_runs_ask_nobody() {
    let server = remote();
    for version in SCONS {
        let project = copies(3);
        for more in [&["-q"][..], &["-n"], &["-c"], &["-n", "-c"]] {
            let stock = project.end(plain(&project, version, &[&["-Q"], more].concat()));
            let end = scons(&project, version, &fetch(&server.url()), more);
            let outcome = |end: &End| (end.code, end.stdout.clone(), end.stderr.clone());
            assert_eq!(outcome(&end), outcome(&stock), "{version} {more:?}");
        }
        assert!(server.requests().is_empty(), "{version}: {:?}", server.requests());
        // Nor does a build with nothing to do.
        project.end(plain(&project, version, &["-Q"])).code(0);
        let end = scons(&project, version, &fetch(&server.url()), &[]);
        assert_eq!(end.code(0).stdout, "scons: `.' is up to date.\n", "{version}");
        assert!(server.requests().is_empty(), "{version}: {:?}", server.requests());
    }
}

#[test]
fn missing_sources_are_told_as_in_scons() {
    let text = "\
-- SConstruct --
import os
env = Environment(ENV={'PATH': os.environ['PATH']})
env.Command('one', 'in', 'cp $SOURCE $TARGET')
env.Command('two', 'missing', 'cp $SOURCE $TARGET')
-- in --
in
";
    let server = remote();
    for version in SCONS {
        for more in [&["-j1"][..], &["-j1", "-k"]] {
            let stock = Project::new(text);
            let wanted = stock.end(plain(&stock, version, &[&["-Q"], more].concat()));
            let project = Project::new(text);
            let more = [more, &["--airtight=off"]].concat();
            let end = scons(&project, version, &fetch(&server.url()), &more);
            assert_eq!((end.code, &end.stderr), (wanted.code, &wanted.stderr), "{version}");
            assert_eq!(end.stdout, wanted.stdout, "{version}");
        }
    }
}

/// Runs a command in a group of its own, and presses Ctrl-C when it is `ready`. Gives how it ended,
/// and how long after that.
fn interrupted(mut command: Command, ready: impl Fn() -> bool) -> (Output, Duration) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().expect("it starts");
    let deadline = Instant::now() + SOON;
    while !ready() {
        assert!(Instant::now() < deadline, "it never came so far");
        thread::yield_now();
    }
    let begun = Instant::now();
    let group = Pid::from_raw(-i32::try_from(child.id()).expect("a pid"));
    kill(group, Signal::SIGINT).expect("it runs");
    (child.wait_with_output().expect("it ends"), begun.elapsed())
}

#[test]
fn ctrl_c_waits_for_no_remote() {
    let server = remote();
    for version in SCONS {
        for slots in ["-j1", "-j4"] {
            let proxy = Faults::in_front_of(&server.url());
            proxy.set(Fault::Hang);
            let project = copies(4);
            project.write("out2", "old\n");
            let flags = patient(&project, &proxy.url());
            // Without -Q, so that all is told.
            let flags: Vec<&str> =
                flags.iter().skip(1).map(String::as_str).chain([slots]).collect();
            let command = airtight(&project, version, &flags);
            let (end, took) = interrupted(command, || proxy.requests().len() >= 4);
            let stderr = String::from_utf8_lossy(&end.stderr);
            assert_eq!(end.status.code(), Some(2), "{version} {slots}\n{stderr}");
            let stdout = String::from_utf8_lossy(&end.stdout);
            assert!(!stdout.contains("out"), "{version} {slots}: built or taken\n{stdout}");
            assert!(stderr.contains("scons: Build interrupted.\n"), "{version} {slots}\n{stderr}");
            assert!(took < SOON, "{version} {slots}: {took:?}");
            assert_eq!(project.read("out2"), "old\n", "{version} {slots}");
            // And the next build is as any other.
            proxy.set(Fault::None);
            scons(&project, version, &patient(&project, &proxy.url()), &[slots]).code(0);
            assert_eq!(project.read("out2"), "in\n", "{version} {slots}");
        }
    }
}

#[test]
fn interactive_builds_take_results_too() {
    let server = remote();
    for version in SCONS {
        let project = copies(2);
        scons(&project, version, &both(&server.url()), &[]).code(0);
        clean(&project, version);
        forget(&project);
        let flags = both(&server.url());
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["--interactive"]).collect();
        let mut command = airtight(&project, version, &flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(b"build out0\nbuild out0\nbuild -n out1\nbuild out1\nexit\n")
            .expect("read");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).replace("scons>>> ", "");
        let wanted = "Retrieved `out0' from cache\nscons: `out0' is up to date.\n\
                      cp in out1\nRetrieved `out1' from cache\n";
        assert_eq!(text, wanted, "{version}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read(project.path("out1")).is_ok_and(|bytes| bytes == b"in\n"), "{version}");
    }
}
