//! The kernel's own view: what happened to files and who belongs to the tree, whatever system
//! calls were used for it.
//!
//! A [`Watch`] is set before the root of the tree is forked: from then on the kernel queues events
//! of every file system. [`Watch::follow`] starts the thread that reads them, and
//! [`Watcher::finish`] gives the [`View`]. Events carry a pid and no time, so the reader notes
//! between which moments each was queued, and the [`family`] tells who had the pid then.

pub mod event;
mod facts;
pub(crate) mod family;
pub(crate) mod guard;
mod handles;
mod images;
mod marks;
mod order;
pub(crate) mod recorder;
pub(crate) mod records;
mod story;
pub(crate) mod tree;
mod unwatched;
pub(crate) mod view;

pub use guard::{Asked, guard_ability};
pub use tree::Also;

use crate::command::Error;
use crate::mounts::parse;
use crate::sys::fanotify;
use crate::sys::perf;
use family::Family;
use marks::{Blind, FileSystems, Groups};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tree::Tree;
use view::{Batch, Eye, Opened, View};

/// How often events are read, in milliseconds. Nobody is woken for a single one.
const PAUSE: i32 = 20;

/// Enough for some thousand events.
const BUFFER: usize = 256 * 1024;

/// More than any event with handles and names has.
const LARGEST: usize = 4096;

/// The mount table of this process, or of a thread with mounts of its own.
const OWN_MOUNTS: &str = "/proc/thread-self/mountinfo";

/// What the reader shares with the thread that traces.
#[derive(Default)]
struct State {
    all: FileSystems,
    eye: Eye,
    blind: Vec<Blind>,
    /// Of this process: every mount that it has had.
    mounts: Vec<u8>,
}

impl State {
    fn mark(&mut self, groups: &Groups, table: &[u8], root: &[u8]) {
        let (new, blind) = self.all.mark(groups, table, root);
        for number in new {
            self.eye.begin(&self.all, number);
        }
        for blind in blind {
            if !self.blind.contains(&blind) {
                self.blind.push(blind);
            }
        }
    }
}

/// File systems that are watched, and events that nobody reads yet.
pub(crate) struct Watch {
    groups: Groups,
    state: State,
    /// When it was set.
    since: u64,
}

/// A thread that reads events.
pub(crate) struct Watcher {
    groups: Arc<Groups>,
    state: Arc<Mutex<State>>,
    stop: PipeWriter,
    reader: JoinHandle<Reader>,
}

fn system(what: &str) -> impl Fn(io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::System { what: what.clone(), source }
}

/// Why the kernel's file events can't be had.
fn refusal(source: io::Error) -> Error {
    let remedy = match source.raw_os_error() {
        Some(libc::EPERM) => "CAP_SYS_ADMIN, in the first user namespace",
        Some(libc::EINVAL) => "Linux 6.0",
        Some(libc::ENOSYS) => "a kernel with CONFIG_FANOTIFY",
        Some(libc::EMFILE) => "fewer fanotify groups, or more (fs.fanotify.max_user_groups)",
        _ => "`airtight doctor` tells more",
    };
    Error::Forbidden { what: format!("fanotify is refused ({source})"), remedy: remedy.into() }
}

impl Watch {
    /// Watches every file system that this process sees.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the kernel refuses fanotify, or opening files by their handles.
    pub(crate) fn set() -> Result<Watch, Error> {
        Watch::with(false)
    }

    /// The same, where reads of files are told as well as their opening.
    ///
    /// # Errors
    /// As [`Watch::set`].
    pub(crate) fn set_with_reads() -> Result<Watch, Error> {
        Watch::with(true)
    }

    fn with(reads: bool) -> Result<Watch, Error> {
        let since = perf::now();
        let groups = Groups::new(reads).map_err(refusal)?;
        let mounts = std::fs::read(OWN_MOUNTS).map_err(system(OWN_MOUNTS))?;
        let mut state = State::default();
        state.mark(&groups, &mounts, b"");
        state.mounts = mounts;
        state.all.probe().map_err(|source| Error::Forbidden {
            what: format!("files can't be opened by their handles ({source})"),
            remedy: "CAP_DAC_READ_SEARCH".into(),
        })?;
        Ok(Watch { groups, state, since })
    }

    /// File systems that can't be watched.
    pub(crate) fn blind(&self) -> &[Blind] {
        &self.state.blind
    }

    /// Tells of each thing that was done to a name only who did it first. Without this, of each
    /// process that did it.
    pub(crate) fn names_only(mut self) -> Watch {
        self.state.eye.names_only();
        self
    }

    /// Begins to read, for a tree whose root is known.
    ///
    /// # Errors
    /// When there can't be a thread.
    pub(crate) fn follow(self, tree: Tree) -> Result<Watcher, Error> {
        let (word, stop) = io::pipe().map_err(system("a pipe"))?;
        let (groups, state) = (Arc::new(self.groups), Arc::new(Mutex::new(self.state)));
        let reader = Reader {
            groups: Arc::clone(&groups),
            state: Arc::clone(&state),
            tree,
            waiting: VecDeque::new(),
            emptied: self.since,
            buffer: vec![0; BUFFER],
            failed: None,
        };
        // Signals are the tracing thread's.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let started = std::thread::Builder::new()
            .name("airtight-watch".to_owned())
            .spawn(move || reader.run(&word));
        if let Ok(before) = before {
            // Can't fail: the mask was in force before.
            let _ = before.thread_set_mask();
        }
        let reader = started.map_err(system("starting a thread"))?;
        Ok(Watcher { groups, state, stop, reader })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A reader that has panicked is told of at the end.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Mounts may have changed in the view of a stopped thread: what is new is watched from now on.
    pub(crate) fn remounted(&self, tid: i32) {
        let table = std::fs::read(format!("/proc/{tid}/mountinfo"));
        let mut state = lock(&self.state);
        match table {
            Ok(table) => {
                let root = format!("/proc/{tid}/root");
                state.mark(&self.groups, &table, root.as_bytes());
            }
            Err(error) => state.eye.gap(format!("the mounts of {tid} could not be read: {error}")),
        }
    }

    /// Reads the last events, and tells all that was seen and who belonged to the tree.
    pub(crate) fn finish(mut self) -> (View, Family) {
        // Its end wakes the reader as well.
        let _ = self.stop.write(&[1]);
        drop(self.stop);
        match self.reader.join() {
            Ok(reader) => reader.close(),
            Err(_) => {
                let gaps = vec!["the thread that reads the kernel's events has died".to_owned()];
                (View { gaps, ..View::default() }, Family::default())
            }
        }
    }
}

/// Reads events, and finds out whose they are.
struct Reader {
    groups: Arc<Groups>,
    state: Arc<Mutex<State>>,
    tree: Tree,
    /// What was read, until it is settled who had which pid.
    waiting: VecDeque<Batch>,
    /// When the queue was found empty last.
    emptied: u64,
    buffer: Vec<u8>,
    failed: Option<io::Error>,
}

impl Reader {
    fn run(mut self, stop: &PipeReader) -> Reader {
        loop {
            let stopped = fanotify::wait(stop.as_raw_fd(), PAUSE);
            if let Err(error) = self.read() {
                self.failed = Some(error);
                return self;
            }
            self.tree.drain();
            let settled = self.tree.family().settled();
            while let Some(batch) = self.waiting.pop_front_if(|batch| batch.window.1 <= settled) {
                let mut state = lock(&self.state);
                let State { all, eye, .. } = &mut *state;
                let (from, to) = batch.window;
                eye.take(all, &batch, |pid| self.tree.family().owner(pid, from, to));
            }
            if stopped {
                return self;
            }
        }
    }

    /// Reads all there is.
    fn read(&mut self) -> io::Result<()> {
        let (mut bytes, mut opened, mut to) = (Vec::new(), Vec::new(), 0);
        let emptied = loop {
            let now = perf::now();
            let named = self.groups.named.read(&mut self.buffer)?;
            bytes.extend_from_slice(&self.buffer[..named]);
            let plain = self.groups.opened.read(&mut self.buffer)?;
            self.locate(plain, &mut opened)?;
            if named > 0 || plain > 0 {
                to = perf::now();
            }
            // What was queued before has been read: the kernel stops early only where nothing is
            // left. To wait for nothing at all could take forever, where each read makes an event
            // (under a tracer that keeps a log of them).
            if named + LARGEST <= self.buffer.len() && plain == 0 {
                break now;
            }
        };
        if !bytes.is_empty() || !opened.is_empty() {
            self.waiting.push_back(Batch { bytes, opened, window: (self.emptied, to) });
        }
        self.emptied = emptied;
        Ok(())
    }

    /// Finds the names of files that were opened, as long as they have them.
    fn locate(&mut self, read: usize, opened: &mut Vec<Opened>) -> io::Result<()> {
        let state = lock(&self.state);
        for event in event::events(&self.buffer[..read]) {
            let event = event.map_err(io::Error::other)?;
            let file = self.groups.opened.take(event.fd);
            let place = file.and_then(|file| state.all.locate(&file));
            opened.push(Opened { mask: event.mask, pid: event.pid, place });
        }
        Ok(())
    }

    fn close(self) -> (View, Family) {
        let (family, doubt) = self.tree.finish();
        let mut state = std::mem::take(&mut *lock(&self.state));
        for batch in &self.waiting {
            let (from, to) = batch.window;
            state.eye.take(&state.all, batch, |pid| family.owner(pid, from, to));
        }
        if let Some(doubt) = doubt {
            state.eye.gap(doubt);
        }
        if let Some(error) = self.failed {
            state.eye.gap(format!("the kernel's events could not be read: {error}"));
        }
        let mut mounts = parse(&state.mounts);
        for mount in parse(&std::fs::read(OWN_MOUNTS).unwrap_or_default()) {
            if !mounts.contains(&mount) {
                mounts.push(mount);
            }
        }
        (state.eye.close(&state.all, mounts, state.blind), family)
    }
}

/// Whether the kernel's own view can be had here, and which file systems it does not show: where
/// they are, of what type, and why not. Nothing is changed.
///
/// # Errors
/// [`Error::Forbidden`] with what is refused, and what can be done about it.
pub fn ability() -> Result<Vec<String>, Error> {
    // What needs more privilege is asked for first.
    let blind = Watch::set()?.state.blind;
    Tree::start(&Also::default())?;
    Ok(blind.iter().map(Blind::to_string).collect())
}

#[cfg(test)]
mod tests;
