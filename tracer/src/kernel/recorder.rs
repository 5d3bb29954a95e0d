//! The fanotify backend: a recording made of the kernel's own view and nothing else. Nobody is
//! traced, so what can't be traced is recorded too.

use super::family::Family;
use super::images::{Found, Images};
use super::tree::Tree;
use super::unwatched::Mounted;
use super::view::View;
use super::{OWN_MOUNTS, Watch, Watcher, story};
use crate::beneath::{self, Beneath, Onlooker};
use crate::command::{Command, Error, Options, Outcome};
use crate::mounts::{Mount, parse};
use crate::start;
use crate::sys::{perf, process};
use airtight_recording::{Exit, Sink};
use std::io;
use std::os::unix::ffi::OsStringExt;

/// What the kernel has told by the end of the run.
pub(super) struct Told {
    pub(super) view: View,
    pub(super) family: Family,
    /// What was found of the programs that were executed on this machine.
    pub(super) found: Vec<Found>,
    /// The files that the command had open from the start.
    pub(super) inherited: Vec<Inherited>,
    /// How those ended that were our children, by their pids, and when that was known.
    pub(super) ends: Vec<(i32, Exit, u64)>,
    pub(super) ran: Beneath,
    /// A file system that was mounted meanwhile.
    pub(super) unwatched: Option<String>,
    /// When the run began, in nanoseconds since the epoch: what changed then or later changed during
    /// it.
    pub(super) began: i64,
}

/// A file that was open before the command was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) path: Vec<u8>,
    /// `O_*` of open(2).
    pub(super) flags: u32,
}

/// Whether a command could be recorded by this backend.
///
/// # Errors
/// As [`run`], when the program is missing or the kernel refuses.
pub(crate) fn check(command: &Command) -> Result<(), Error> {
    beneath::find(command)?;
    begin(&Options::default(), &Mounted::default()).map(drop)
}

/// Runs a command as a plain child, and records what the kernel tells of its tree.
///
/// # Errors
/// [`Error::Forbidden`] where the kernel refuses to tell; else as [`beneath::run`].
pub(crate) fn run(
    command: &Command,
    options: &Options<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, Error> {
    if options.guard.is_some() || options.kernel_guard.is_some() {
        let what = "refusing what a command does, by the fanotify backend".to_owned();
        return Err(Error::System { what, source: io::ErrorKind::Unsupported.into() });
    }
    let header = start::header(command, "fanotify");
    let mounted = Mounted::now()
        .map_err(|source| Error::System { what: "reading the mount table".to_owned(), source })?;
    let (watch, tree, images) = begin(options, &mounted)?;
    let mounts = mounts()?;
    if let Some(blind) = watch.blind().iter().find(|blind| blind.holds(&header.cwd, &mounts)) {
        return Err(forbidden(&format!("the kernel tells nothing of {blind}")));
    }
    let inherited = inherited(command);
    let began = process::new_tick();
    let mut recorder = Recorder {
        ready: Some((watch, tree)),
        watcher: None,
        ends: Vec::new(),
        since: perf::now(),
    };
    let ran = beneath::run(command, options, &mut recorder)?;
    let Recorder { watcher: Some(watcher), ends, .. } = recorder else {
        return Err(Error::System {
            what: "watching the command".to_owned(),
            source: io::Error::other("it was never started"),
        });
    };
    let (exit, timed_out) = (ran.exit, ran.timed_out);
    let (view, family) = watcher.finish();
    let (found, unwatched) = (images.end(), mounted.since());
    let told = Told { view, family, found, inherited, ends, ran, began, unwatched };
    let completeness = story::tell(&header, told, sink);
    let (unwitnessed, unwatched, asked) = (None, Vec::new(), None);
    Ok(Outcome { exit, completeness, timed_out, unwitnessed, unwatched, asked })
}

/// Everything that must be there before the command is.
fn begin(options: &Options<'_>, mounted: &Mounted) -> Result<(Watch, Tree, Images), Error> {
    let all = || {
        // The first is the one that needs most.
        let watch = Watch::set_with_reads()?;
        let tree = Tree::start_with_programs(&options.also)?;
        Ok((watch, tree, Images::begin(options.marks.clone(), mounted.clone())?))
    };
    all().map_err(|error| match error {
        Error::Forbidden { what, remedy } => Error::Forbidden {
            what: format!("the fanotify backend needs CAP_SYS_ADMIN: {what}"),
            remedy: format!("{remedy}; or take the ptrace backend, which needs no privilege"),
        },
        error => error,
    })
}

fn mounts() -> Result<Vec<Mount>, Error> {
    let text = std::fs::read(OWN_MOUNTS);
    let text = text.map_err(|source| Error::System { what: OWN_MOUNTS.to_owned(), source })?;
    Ok(parse(&text))
}

fn forbidden(what: &str) -> Error {
    let remedy = "another directory to work in, or the ptrace backend".to_owned();
    Error::Forbidden { what: what.to_owned(), remedy }
}

struct Recorder {
    ready: Option<(Watch, Tree)>,
    watcher: Option<Watcher>,
    ends: Vec<(i32, Exit, u64)>,
    /// Before the root was forked.
    since: u64,
}

impl Onlooker for Recorder {
    fn started(&mut self, pid: i32) -> Result<(), Error> {
        if let Some((watch, mut tree)) = self.ready.take() {
            tree.root(pid, self.since);
            self.watcher = Some(watch.follow(tree)?);
        }
        Ok(())
    }

    fn ended(&mut self, pid: i32, exit: Exit) {
        self.ends.push((pid, exit, perf::now()));
    }
}

/// The files that a command gets open from us, without those streams that it replaces.
fn inherited(command: &Command) -> Vec<Inherited> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.retain(|&fd| command.stdio.get(fd).is_none_or(Option::is_none));
    numbers
        .into_iter()
        .filter_map(|fd| {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
            // proc_pid_fdinfo(5): in octal, with O_CLOEXEC.
            let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
            let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
            let path = path.into_os_string().into_vec();
            let kept = flags & libc::O_CLOEXEC as u32 == 0
                && path.starts_with(b"/")
                && !path.ends_with(b" (deleted)");
            kept.then_some(Inherited { path, flags })
        })
        .collect()
}
