//! What programs are started with: looked up in /proc at each exec, for the kernel's records have
//! the name alone. A program that ends within some ten microseconds is missed.

use super::records::{self, Record};
use super::tree::refusal;
use super::unwatched::Mounted;
use crate::command::Error;
use crate::log::name_of;
use crate::sys::perf::{Rings, What};
use crate::sys::process;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::unix::ffi::OsStringExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What was found of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its process.
    pub(super) pid: i32,
    /// When it was executed, to some microseconds.
    pub(super) time: u64,
    /// Its file, by the name that we have for it.
    pub(super) exe: Vec<u8>,
    /// Its arguments.
    pub(super) argv: Vec<Vec<u8>>,
    /// Those of its variables that were asked for, as `NAME=value`.
    pub(super) env: Vec<Vec<u8>>,
    /// Its current directory.
    pub(super) cwd: Vec<u8>,
    /// A file system in its view that is not watched.
    pub(super) unwatched: Option<String>,
}

/// A thread that looks.
pub(super) struct Images {
    stop: PipeWriter,
    found: Receiver<Found>,
}

/// The most that is read of arguments or variables: what one exec can have by default, and more.
const MOST: u64 = 4 * 1024 * 1024;

impl Images {
    /// Begins to look, and notes the variables that are named. `mounted` is watched.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the kernel refuses its process events.
    pub(super) fn begin(marks: Vec<String>, mounted: Mounted) -> Result<Images, Error> {
        let system = |source| Error::System { what: "watching for programs".into(), source };
        let rings = Rings::open(What::Execs).map_err(|(step, error)| refusal(step, error))?;
        let (word, stop) = io::pipe().map_err(system)?;
        let (sender, found) = channel();
        // Signals are the waiting thread's.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let started = std::thread::Builder::new()
            .name("airtight-images".to_owned())
            .spawn(move || look(rings, &marks, &mounted, &word, &sender));
        if let Ok(before) = before {
            // Can't fail: the mask was in force before.
            let _ = before.thread_set_mask();
        }
        started.map_err(system)?;
        Ok(Images { stop, found })
    }

    /// All that was found. A program can make whoever reads its arguments wait, by memory that a
    /// server must supply; so the wait is bounded.
    pub(super) fn end(self) -> Vec<Found> {
        const PATIENCE: Duration = Duration::from_secs(1);
        drop(self.stop);
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.found.recv_timeout(left) {
                Ok(found) => all.push(found),
                Err(_) => return all,
            }
        }
    }
}

fn look(
    mut rings: Rings,
    marks: &[String],
    mounted: &Mounted,
    stop: &PipeReader,
    sender: &Sender<Found>,
) {
    // It has little to do, and a short time to do it in.
    process::hurry();
    let mut bytes = Vec::new();
    // Those whose arguments were not in their place yet, and how often that was so.
    let mut later: Vec<(Exec, u32)> = Vec::new();
    loop {
        let stopped = rings.wait(stop, if later.is_empty() { -1 } else { 1 });
        bytes.clear();
        rings.drain(&mut bytes);
        let mut execs = std::mem::take(&mut later);
        // What is lost or malformed costs arguments, which may be missing at any time.
        let _ = records::parse(&bytes, |record| {
            if let Record::Exec { time, pid, comm } = record {
                execs.push((Exec { time, pid, comm }, 0));
            }
        });
        for (exec, tries) in execs {
            match exec.look(marks) {
                Look::Found(mut found) => {
                    found.unwatched = mounted.of(exec.pid);
                    if sender.send(found).is_err() {
                        return;
                    }
                }
                Look::Early if tries < MOST_TRIES => later.push((exec, tries + 1)),
                Look::Early | Look::Gone => {}
            }
        }
        if stopped {
            return;
        }
    }
}

/// An exec that was recorded.
struct Exec {
    time: u64,
    pid: i32,
    comm: Vec<u8>,
}

enum Look {
    Found(Found),
    /// The exec is known a moment before the arguments are in their place.
    Early,
    Gone,
}

/// About 200 ms; a program can have no arguments at all.
const MOST_TRIES: u32 = 200;

impl Exec {
    /// What the process runs, if that is still what it executed. Its arguments first: the rest is
    /// known by other means, or of less use, and every moment counts.
    fn look(&self, marks: &[String]) -> Look {
        const QUICK: u32 = 20;
        const MOMENT: Duration = Duration::from_micros(20);
        let mut argv = list(self.pid, "cmdline");
        for _ in 0..QUICK {
            if argv.as_ref().is_none_or(|argv| !argv.is_empty()) {
                break;
            }
            std::thread::sleep(MOMENT);
            argv = list(self.pid, "cmdline");
        }
        match argv {
            Some(argv) if argv.is_empty() => Look::Early,
            Some(argv) => self.with(argv, marks).map_or(Look::Gone, Look::Found),
            None => Look::Gone,
        }
    }

    fn with(&self, argv: Vec<Vec<u8>>, marks: &[String]) -> Option<Found> {
        let &Exec { time, pid, ref comm } = self;
        let mut env = if marks.is_empty() { Vec::new() } else { list(pid, "environ")? };
        env.retain(|entry| marks.iter().any(|mark| mark.as_bytes() == name_of(entry)));
        let link = |name: &str| {
            let link = std::fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
            link.into_os_string().into_vec()
        };
        let (exe, cwd) = (link("exe"), link("cwd"));
        let now = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
        let unwatched = None;
        let found = Found { pid, time, exe, argv, env, cwd, unwatched };
        (now.strip_suffix(b"\n")? == comm).then_some(found)
    }
}

/// A file of strings that end with a NUL each.
fn list(pid: i32, name: &str) -> Option<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(MOST).read_to_end(&mut text).ok()?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Some(match text {
        b"" => Vec::new(),
        text => text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
    })
}
