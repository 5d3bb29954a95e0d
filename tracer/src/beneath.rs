//! Runs a command beneath the tracer that already traces this process: as a plain child, with the
//! same start, signals, time limit and grace as [`crate::run`] has. What it does is recorded by
//! that tracer ([`crate::Parts`]).

use crate::command::{Command, Error, Options};
use crate::start;
use crate::sys::process::{self, Signals};
use crate::sys::spawn::{self, Started};
use crate::sys::wait::{self, Wait};
use crate::witness::{Summoned, Testimony, Witness};
use airtight_recording::Exit;
use std::io;
use std::time::{Duration, Instant};

/// What came of a command that was run beneath another's trace.
#[derive(Debug)]
pub struct Beneath {
    /// How the root process ended.
    pub exit: Exit,
    /// Its pid.
    pub pid: u32,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// What outlived the root process and the grace, and was killed for it.
    pub killed: Vec<Survivor>,
    /// What outlived them and may live on.
    pub left: Vec<Survivor>,
    /// What the witness has seen, if there was one.
    pub testimony: Option<Testimony>,
    /// Why there was none, where one was wanted if possible.
    pub unwitnessed: Option<String>,
}

/// A process that outlived the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Its pid.
    pub pid: u32,
    /// The file name of its program.
    pub name: String,
}

/// Who traces this process: the id of its process; none if nobody does.
///
/// # Errors
/// When /proc can't be read.
pub fn traced_by() -> io::Result<Option<u32>> {
    match number("/proc/self/status", "TracerPid:")? {
        0 => Ok(None),
        thread => number(&format!("/proc/{thread}/status"), "Tgid:").map(Some),
    }
}

fn number(file: &str, name: &str) -> io::Result<u32> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("{file} has no {name} line")))
}

/// Looks for the program of a command, as [`crate::check`] does where it can trace.
///
/// # Errors
/// When it is missing or can't be executed.
pub fn find(command: &Command) -> Result<(), Error> {
    let plan = start::plan(command, None, false)?;
    start::find_program(command, &plan.candidates)
}

/// Runs a command to its end, and to that of everything it left behind. Of `options`, the time
/// limit, the grace, the survivors and the witness count.
///
/// # Errors
/// When the command could not be started, or the witness can't be had.
pub fn run_beneath(command: &Command, options: &Options<'_>) -> Result<Beneath, Error> {
    let (summoned, unwitnessed) = match Summoned::by(options.witness, command.cwd.as_deref())? {
        Ok(summoned) => (Some(summoned), None),
        Err(why) => (None, why),
    };
    let mut beside = Beside { summoned, witness: None };
    let ended = run(command, options, &mut beside)?;
    Ok(Beneath { testimony: beside.witness.map(Witness::testify), unwitnessed, ..ended })
}

/// Who is told of a plain command's processes.
pub(crate) trait Onlooker {
    /// The root process has been forked, and may be running the command already.
    fn started(&mut self, pid: i32) -> Result<(), Error>;

    /// A process has ended that was our child: the root, or one that had lost its parent.
    fn ended(&mut self, pid: i32, exit: Exit);
}

/// The witness, if there is one.
struct Beside {
    summoned: Option<Summoned>,
    witness: Option<Witness>,
}

impl Onlooker for Beside {
    fn started(&mut self, pid: i32) -> Result<(), Error> {
        self.witness = self.summoned.take().map(|summoned| summoned.follow(pid)).transpose()?;
        Ok(())
    }

    fn ended(&mut self, _: i32, _: Exit) {}
}

/// The same as [`run_beneath`], with somebody who looks on.
pub(crate) fn run(
    command: &Command,
    options: &Options<'_>,
    onlooker: &mut dyn Onlooker,
) -> Result<Beneath, Error> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |source| Error::System { what, source }
    };
    let plan = start::plan(command, None, false)?;
    let signals = Signals::install().map_err(system("installing signal handlers"))?;
    // Whoever loses its parent becomes our child, so that nothing gets out of sight.
    let _reaper = process::Reaper::begin().map_err(system("becoming a subreaper"))?;
    let mut started =
        spawn::start(&plan, &signals).map_err(|failure| start::error(failure, command))?;
    if let Err(error) = onlooker.started(started.pid) {
        // It must not run on with nobody to record it.
        loop {
            descendants().iter().for_each(|(pid, _)| process::kill(*pid, libc::SIGKILL));
            if matches!(wait::child(), Ok(Wait::NoChildren) | Err(_)) {
                return Err(error);
            }
        }
    }
    let mut watch = Watch {
        options,
        onlooker,
        root: started.pid,
        exit: None,
        deadline: None,
        ending: false,
        timed_out: false,
        killed: Vec::new(),
        left: Vec::new(),
    };
    if let Some(limit) = options.timeout {
        watch.set(limit);
    }
    process::forward_to(started.pid);
    watch.follow().map_err(system("waiting for the command"))?;
    watch.finish(&mut started, command)
}

/// Waits for a command.
struct Watch<'a, 'b> {
    options: &'a Options<'b>,
    onlooker: &'a mut dyn Onlooker,
    root: i32,
    exit: Option<Exit>,
    deadline: Option<Instant>,
    /// What is left is being killed.
    ending: bool,
    timed_out: bool,
    killed: Vec<Survivor>,
    left: Vec<Survivor>,
}

impl Watch<'_, '_> {
    fn set(&mut self, limit: Duration) {
        self.deadline = Some(Instant::now() + limit);
        process::alarm(limit.max(Duration::from_millis(1)));
    }

    fn follow(&mut self) -> io::Result<()> {
        loop {
            let news = wait::child()?;
            if let Wait::Ended(pid, exit) = news {
                self.onlooker.ended(pid, exit);
            }
            match news {
                Wait::Ended(pid, exit) if pid == self.root => {
                    self.exit = Some(exit);
                    process::forward_to(0);
                    if !self.ending {
                        self.set(self.options.grace);
                    }
                }
                Wait::Stopped(pid, signal) if pid == self.root => process::stop_self(signal),
                Wait::Ended(..) | Wait::Stopped(..) | Wait::Interrupted => {}
                Wait::NoChildren => return Ok(()),
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.ending = true;
                self.timed_out |= self.exit.is_none();
            }
            if self.ending && !self.end_rest() {
                return Ok(());
            }
        }
    }

    /// Kills what is left and may not live on; false when there is nothing of that kind.
    fn end_rest(&mut self) -> bool {
        let mut some = false;
        self.left.clear();
        for (pid, name) in descendants() {
            let survivor = Survivor { pid: pid as u32, name };
            if !self.timed_out && self.options.survivors.contains(&survivor.name) {
                self.left.push(survivor);
                continue;
            }
            some = true;
            process::kill(pid, libc::SIGKILL);
            if !self.timed_out && !self.killed.iter().any(|known| known.pid == survivor.pid) {
                self.killed.push(survivor);
            }
        }
        some || self.exit.is_none()
    }

    fn finish(self, started: &mut Started, command: &Command) -> Result<Beneath, Error> {
        if let Some(failure) = started.failure() {
            return Err(start::error(failure, command));
        }
        let exit = self.exit.unwrap_or(Exit::Code(255));
        let pid = self.root as u32;
        let Watch { timed_out, killed, left, .. } = self;
        Ok(Beneath { exit, pid, timed_out, killed, left, testimony: None, unwitnessed: None })
    }
}

/// The living processes below this one, with the file names of their programs.
fn descendants() -> Vec<(i32, String)> {
    let below = process::below(std::process::id() as i32);
    below.into_iter().map(|pid| (pid, name(pid))).collect()
}

fn name(pid: i32) -> String {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    exe.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
