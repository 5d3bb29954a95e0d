//! The guard in the kernel against judges of all kinds. It needs root; an ordinary user is told.
#![forbid(unsafe_code)]

use airtight_recording::{Completeness, Exit, HostKind, Recording};
use airtight_tracer::{
    Asked, Attempt, Command, Guard, MakeGuard, Options, Outcome, Reaction, guard_ability, run,
};
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A trace waits for every child of its process.
static ALONE: Mutex<()> = Mutex::new(());

/// Answers by a function of the file's name.
struct Judge<F>(F);

impl<F: Fn(&str) -> Reaction + Sync> MakeGuard for Judge<F> {
    fn make(&self) -> Box<dyn Guard + '_> {
        Box::new(Answers(&self.0))
    }
}

struct Answers<'a, F>(&'a F);

impl<F: Fn(&str) -> Reaction> Guard for Answers<'_, F> {
    fn decide(&mut self, attempt: &Attempt<'_>) -> Reaction {
        let path = String::from_utf8_lossy(attempt.path);
        (self.0)(path.rsplit('/').next().unwrap_or_default())
    }
}

struct World {
    directory: tempfile::TempDir,
}

struct Ran {
    outcome: Outcome,
    recording: Recording,
    asked: Asked,
}

impl World {
    fn new(files: &[&str]) -> World {
        let directory = tempfile::tempdir().expect("a directory");
        for file in files {
            std::fs::write(directory.path().join(file), "text\n").expect("a file");
        }
        World { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a script of the shell under the guard; `heard` gets what it prints. None where there
    /// is no guard to be had.
    fn run(
        &self,
        script: &str,
        judge: &dyn MakeGuard,
        limit: Duration,
        heard: impl FnOnce(BufReader<PipeReader>) + Send + 'static,
    ) -> Option<Ran> {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, write) = io::pipe().expect("a pipe");
        let command = Command {
            argv: ["/bin/sh", "-c", script].map(Into::into).to_vec(),
            env: Some(vec![("PATH".into(), "/usr/bin:/bin".into())]),
            cwd: Some(self.path().to_owned()),
            stdio: [None, Some(Arc::new(OwnedFd::from(write))), None],
        };
        let ear = std::thread::spawn(move || heard(BufReader::new(read)));
        let mut recording = Recording::default();
        let options =
            Options { kernel_guard: Some(judge), guard_limit: limit, ..Options::default() };
        let outcome = run(&command, options, &mut recording);
        drop(command);
        ear.join().expect("what it prints");
        if let Err(why) = guard_ability() {
            let told = outcome.expect_err(&why).to_string();
            assert!(told.contains("CAP_SYS_ADMIN") && told.contains("deny"), "{told}");
            return None;
        }
        let outcome = outcome.expect("a run");
        let asked = outcome.asked.expect("counts");
        assert_eq!(asked.outside, 0, "no other process has been asked about: {asked:?}");
        Some(Ran { outcome, recording, asked })
    }
}

impl Ran {
    fn reasons(&self) -> Vec<&str> {
        match &self.outcome.completeness {
            Completeness::Complete => Vec::new(),
            Completeness::Incomplete { reasons } => {
                reasons.iter().map(|reason| reason.detail.as_str()).collect()
            }
        }
    }

    fn enforced(&self) -> Vec<String> {
        let notes = self.recording.host.iter().filter(|note| note.kind == HostKind::Enforced);
        let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        notes.map(|note| name(note.detail.rsplit(|b| *b == b'/').next().unwrap_or(b""))).collect()
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn lines(out: BufReader<PipeReader>) -> Vec<String> {
    out.lines().map(|line| line.expect("text")).collect()
}

#[test]
fn what_is_denied_fails_and_is_recorded() {
    let world = World::new(&["good", "bad"]);
    let judge = Judge(|name: &str| if name == "bad" { Reaction::Deny } else { Reaction::Allow });
    let script = "read x < good && echo good; read x < bad || echo no; echo made > new; cat new";
    let (said, hear) = channel();
    let ran = world.run(script, &judge, LIMIT, move |out| said.send(lines(out)).expect("send"));
    let said = hear.recv().expect("lines");
    let Some(ran) = ran else { return };
    assert_eq!(said, ["good", "no", "made"]);
    assert_eq!(ran.outcome.exit, Exit::Code(0));
    assert_eq!((ran.reasons(), ran.enforced()), (vec![], vec!["bad".to_owned()]));
    assert!(ran.asked.opens > 4 && ran.asked.denied == 1, "{:?}", ran.asked);
}

#[test]
fn a_reaction_that_kills_kills_the_tree() {
    let world = World::new(&["bad"]);
    let judge = Judge(|name: &str| if name == "bad" { Reaction::Kill } else { Reaction::Allow });
    let Some(ran) = world.run("(read x < bad); sleep 1000", &judge, LIMIT, |_| {}) else { return };
    assert_eq!(ran.outcome.exit, Exit::Signal(9));
    assert_eq!(ran.enforced(), ["bad"]);
}

/// A judge that gives no answer about `slow` until it is told to.
fn slow(word: Receiver<()>) -> impl MakeGuard {
    let word = Mutex::new(word);
    Judge(move |name: &str| {
        if name == "slow" {
            let word = word.lock().unwrap_or_else(PoisonError::into_inner);
            word.recv_timeout(LIMIT).expect("a word");
        }
        Reaction::Allow
    })
}

#[test]
fn a_slow_judge_is_answered_for() {
    let world = World::new(&["slow", "fine"]);
    let (go, word) = channel();
    // The first open is denied, and every other one until the judge has found back.
    let script = "read x < slow || echo denied; until read x < fine; do :; done; echo fine";
    let hear = move |mut out: BufReader<PipeReader>, go: Sender<()>| {
        let mut line = String::new();
        // Nothing at all where there is no guard to be had.
        if out.read_line(&mut line).expect("text") > 0 {
            assert_eq!(line, "denied\n");
            go.send(()).expect("the judge waits");
            assert_eq!(lines(out), ["fine"]);
        }
    };
    let judge = slow(word);
    let ran = world.run(script, &judge, Duration::from_millis(50), move |out| hear(out, go));
    let Some(ran) = ran else { return };
    let reasons = ran.reasons();
    assert!(reasons.iter().any(|why| why.contains("slow was denied, because")), "{reasons:?}");
}

#[test]
fn a_judge_that_fails_has_not_allowed() {
    let world = World::new(&["bad", "good"]);
    let judge = Judge(|name: &str| {
        assert_ne!(name, "bad", "no judgement");
        Reaction::Allow
    });
    let (said, hear) = channel();
    let script = "read x < bad || echo no; read x < good && echo good";
    let ran = world.run(script, &judge, LIMIT, move |out| said.send(lines(out)).expect("send"));
    let said = hear.recv().expect("lines");
    let Some(ran) = ran else { return };
    assert_eq!(said, ["no", "good"]);
    assert_eq!(ran.enforced(), ["bad"]);
    let reasons = ran.reasons();
    assert!(reasons.iter().any(|why| why.contains("judging it failed")), "{reasons:?}");
}

#[test]
fn nobody_else_is_asked_about() {
    let world = World::new(&["file"]);
    // A process of nobody's tree opens the same file 50,000 times while the tree opens it too.
    let loops = "(until [ -e begun ]; do :; done
                  i=0; while [ $i -lt 50000 ]; do : < file; i=$((i+1)); done
                  echo > ended) > /dev/null 2>&1 &";
    let mut shell = std::process::Command::new("/bin/sh");
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let status = shell.args(["-c", loops]).current_dir(world.path()).status().expect("sh");
    drop(alone);
    assert!(status.success());
    let script = "echo > begun; until [ -e ended ]; do : < file; done";
    let judge = Judge(|_: &str| Reaction::Allow);
    let ran = world.run(script, &judge, LIMIT, |_| {});
    // Also where there is no guard: it must not wait for ever.
    std::fs::write(world.path().join("begun"), "").expect("a file");
    while !world.path().join("ended").exists() {
        std::thread::yield_now();
    }
    // That nobody outside was asked about, every run checks.
    let Some(ran) = ran else { return };
    assert_eq!((ran.asked.denied, ran.reasons()), (0, vec![]));
}
