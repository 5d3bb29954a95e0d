//! Starts programs, ends them in bounded time, and finds what they leave behind.

use super::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

/// Held while a process is forked, and while files are written that will be executed.
pub(super) static FORK: Mutex<()> = Mutex::new(());

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A run that takes longer is killed, and its test fails.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By exit.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// A command about to be run.
pub(crate) struct Launch {
    argv: Vec<String>,
    cwd: PathBuf,
    stdin: Vec<u8>,
    marker: String,
}

/// A command that was run.
pub(crate) struct Ran {
    /// How it ended.
    pub(crate) status: Ended,
    /// What it printed.
    pub(crate) output: Output,
    /// Its environment's mark, see [`left_behind`].
    pub(crate) marker: String,
}

impl Launch {
    /// Runs `argv` in the world; as an ordinary user if asked for and the caller is root.
    pub(crate) fn new(world: &World, argv: &[String], ordinary: bool) -> Launch {
        let mut all = Vec::new();
        if ordinary && is_root() {
            let drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
            all.extend(drop.map(str::to_owned));
        }
        all.extend(argv.iter().cloned());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Launch {
            argv: all,
            cwd: world.path().to_owned(),
            stdin: Vec::new(),
            marker: format!("AIRTIGHT_TEST_MARK={}-{number}", std::process::id()),
        }
    }

    /// What it reads.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Launch {
        self.stdin = bytes.to_vec();
        self
    }

    /// The mark in its environment, see [`left_behind`].
    pub(crate) fn marker(&self) -> &str {
        &self.marker
    }

    /// Starts it, with a small, fixed environment and pipes for its streams.
    pub(crate) fn start(&self) -> Child {
        let (name, value) = self.marker.split_once('=').expect("a mark");
        let _writers = FORK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Command::new(&self.argv[0])
            .args(&self.argv[1..])
            .current_dir(&self.cwd)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("HOME", "/nonexistent")])
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.argv[0]))
    }

    /// Runs it to its end.
    pub(crate) fn end(self) -> Ran {
        let mut child = self.start();
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let mut pipe = child.stdin.take().expect("a pipe");
        // It may end without reading.
        drop(pipe.write_all(&self.stdin));
        drop(pipe);
        let (done, watch) = mpsc::channel::<()>();
        let marker = self.marker.clone();
        let watchdog = std::thread::spawn(move || {
            let late = watch.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                let _ = kill(pid, Signal::SIGKILL);
                // Its children hold the pipes we read.
                end_survivors(&marker);
            }
            late
        });
        let output = child.wait_with_output().expect("wait");
        drop(done);
        let late = watchdog.join().expect("the watchdog");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!late, "{:?} did not end in {LIMIT:?}: {text}", self.argv);
        let status = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.expect("a signal")),
        };
        Ran { status, output, marker: self.marker }
    }
}

impl Ran {
    /// Standard output as text.
    pub(crate) fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Kills what it left behind.
    pub(crate) fn end_survivors(&self) {
        end_survivors(&self.marker);
    }
}

fn end_survivors(marker: &str) {
    loop {
        let left = left_behind(marker);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
}

/// The live processes that have this in their environment.
pub(crate) fn left_behind(marker: &str) -> BTreeSet<i32> {
    let wanted = marker.as_bytes();
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|&b| b == 0).any(|word| word == wanted))
        })
        .collect()
}
