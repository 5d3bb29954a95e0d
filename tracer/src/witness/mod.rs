//! The witness: the kernel's own view of what the tree did, held against what the tracer recorded.

mod agreements;

use crate::command::{Error, Witness as Wanted};
use crate::kernel::tree::Tree;
use crate::kernel::view::{Act, Place, Sight, View};
use crate::kernel::{Also, Watch, Watcher};
use crate::log::{Deeds, Log};
use crate::sys::{files, perf, process};
use agreements::{Agreement, agreement};
use airtight_recording::{ProcessId, Reason, ReasonCode, Recording};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Finds out whether the witness that is wanted can be had, so that a refusal is known before
/// anything is changed for its sake.
///
/// # Errors
/// [`Error::NoWitness`], if [`Wanted::Fanotify`] can't be had.
pub fn check(wanted: Wanted) -> Result<(), Error> {
    match wanted {
        Wanted::Fanotify => crate::kernel::ability().map(drop).map_err(refused),
        Wanted::Auto | Wanted::Off => Ok(()),
    }
}

/// The error of one who asked for a witness.
fn refused(error: Error) -> Error {
    match error {
        Error::Forbidden { what, remedy } => Error::NoWitness {
            what,
            remedy: format!(
                "{remedy}; or do without: `--witness auto` asks for one where it can be had, and \
                 `--witness off` never"
            ),
        },
        error => error,
    }
}

/// A witness that watches before the command is started.
pub(crate) struct Summoned {
    watch: Watch,
    tree: Tree,
    /// When it began, by CLOCK_MONOTONIC in nanoseconds.
    since: u64,
}

impl Summoned {
    /// Begins to watch, if that is wanted, for a command that starts in `cwd`. Else gives the
    /// reason why it can't, if it is wanted.
    ///
    /// # Errors
    /// [`Error::NoWitness`], if [`Wanted::Fanotify`] can't be had.
    pub(crate) fn by(
        wanted: Wanted,
        cwd: Option<&Path>,
    ) -> Result<Result<Summoned, Option<String>>, Error> {
        if wanted == Wanted::Off {
            return Ok(Err(None));
        }
        match Summoned::begin(cwd) {
            Ok(summoned) => Ok(Ok(summoned)),
            Err(error) if wanted == Wanted::Fanotify => Err(refused(error)),
            Err(Error::Forbidden { what, .. }) => Ok(Err(Some(what))),
            Err(error) => Ok(Err(Some(error.to_string()))),
        }
    }

    fn begin(cwd: Option<&Path>) -> Result<Summoned, Error> {
        let tree = Tree::start(&Also::default())?;
        let watch = Watch::set()?;
        let device = device_of(cwd.unwrap_or(Path::new("."))).unwrap_or_default();
        if let Some(blind) = watch.blind().iter().find(|blind| blind.device == device) {
            return Err(Error::Forbidden {
                what: format!("the current directory can't be watched: {blind}"),
                remedy: "a file system that can (ext4, xfs, btrfs, tmpfs)".to_owned(),
            });
        }
        Ok(Summoned { watch, tree, since: perf::now() })
    }

    /// The command has been started as this process.
    ///
    /// # Errors
    /// When there can't be a thread. The process is killed then.
    pub(crate) fn follow(self, root: i32) -> Result<Witness, Error> {
        let Summoned { watch, mut tree, since } = self;
        tree.root(root, since);
        let watcher = watch.names_only().follow(tree);
        Ok(Witness(watcher.inspect_err(|_| process::kill(root, libc::SIGKILL))?))
    }
}

/// A witness, until the tree has ended.
pub(crate) struct Witness(Watcher);

impl Witness {
    /// Mounts may have changed in the view of a stopped thread.
    pub(crate) fn remounted(&self, tid: i32) {
        self.0.remounted(tid);
    }

    /// What it has seen. To be called when the tree has ended.
    pub(crate) fn testify(self) -> Testimony {
        Testimony(self.0.finish().0)
    }
}

/// The file system of a directory, as mountinfo has it: `8:1`.
fn device_of(directory: &Path) -> io::Result<Vec<u8>> {
    let directory = OwnedFd::from(std::fs::File::open(directory)?);
    let id = files::mount_id(&directory)?;
    let mounts = crate::mounts::parse(&std::fs::read("/proc/self/mountinfo")?);
    let mount = mounts.into_iter().find(|mount| mount.id == id);
    mount.map(|mount| mount.device).ok_or_else(|| io::Error::other("no such mount"))
}

/// What the kernel saw of a process tree.
#[derive(Debug)]
pub struct Testimony(View);

impl Testimony {
    /// Why a recording of the same tree does not hold everything; empty when the two agree.
    pub fn against(&self, recording: &Recording) -> Vec<Reason> {
        let mut deeds: FxHashMap<&[u8], Deeds> = FxHashMap::default();
        for access in &recording.accesses {
            *deeds.entry(recording.path(access.path)).or_default() |= Deeds::from(access);
        }
        // The last that had the pid.
        let process = |pid| recording.processes.iter().rev().find(|p| p.pid as i32 == pid);
        compare(
            &self.0,
            |name| deeds.get(name).copied().unwrap_or_default(),
            |pid| process(pid).map(|process| process.id),
        )
    }

    /// Adds to a log why it does not hold everything.
    pub(crate) fn complete(&self, log: &mut Log<'_>) {
        log.settle();
        for Reason { code, detail, process } in
            compare(&self.0, |name| log.deeds(name), |pid| log.process_of_pid(pid))
        {
            log.incomplete(process, code, || detail);
        }
    }

    /// The file systems that it did not see, where and why.
    pub fn blind(&self) -> Vec<String> {
        self.0.blind.iter().map(ToString::to_string).collect()
    }
}

/// How many disagreements are named; of the others only the number is told.
const MOST: usize = 50;

/// Holds a view against what was recorded of each name. Empty when they agree.
fn compare(
    view: &View,
    deeds: impl Fn(&[u8]) -> Deeds,
    process: impl Fn(i32) -> Option<ProcessId>,
) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = view
        .gaps
        .iter()
        .map(|gap| Reason {
            code: ReasonCode::LostEvent,
            detail: format!("the witness may have missed something: {gap}"),
            process: None,
        })
        .collect();
    let mut told = FxHashSet::default();
    let mut more = 0;
    for sight in &view.sights {
        let Some(agreement) = agreement(sight.act, sight.dir) else { continue };
        if accounted(view, sight, agreement, &deeds) {
            continue;
        }
        let names = view.names(&sight.place);
        let name = names.first().map(Vec::as_slice).unwrap_or(&sight.place.path);
        let detail = format!(
            "{} was {} by process {}: fanotify saw it, and the tracer did not",
            String::from_utf8_lossy(name),
            agreement.verb,
            sight.pid
        );
        if !told.insert(detail.clone()) {
            continue;
        }
        match told.len() > MOST {
            true => more += 1,
            false => {
                let (code, process) = (ReasonCode::WitnessDisagrees, process(sight.pid));
                reasons.push(Reason { code, detail, process });
            }
        }
    }
    if more > 0 {
        let detail = format!("fanotify saw {more} things more that the tracer did not");
        reasons.push(Reason { code: ReasonCode::WitnessDisagrees, detail, process: None });
    }
    reasons
}

/// Whether what was recorded accounts for a sight under one of the names that it may be of.
fn accounted(
    view: &View,
    sight: &Sight,
    agreement: &Agreement,
    deeds: &impl Fn(&[u8]) -> Deeds,
) -> bool {
    let done =
        |place: &Place, by: Deeds| view.names(place).iter().any(|name| deeds(name).meets(by));
    // Made by the tree for itself; what is not in memory makes the recording incomplete anyway.
    if !view.mounts.iter().any(|mount| mount.device == sight.place.device) {
        return true;
    }
    // An overlay marks the directories of its layers.
    if sight.loose && sight.dir && sight.act == Act::Attrib {
        return true;
    }
    let by = if sight.loose { Deeds::ANY } else { agreement.by };
    let mut places = std::iter::once(&sight.place).chain(&sight.also);
    places.any(|place| {
        done(place, by) || nameless_in(place).is_some_and(|dir| done(&dir, Deeds::NAMELESS))
    })
}

/// The directory of a file without a name, which the kernel calls `#` and its inode.
fn nameless_in(place: &Place) -> Option<Place> {
    let slash = place.path.iter().rposition(|byte| *byte == b'/')?;
    let number = place.path[slash + 1..].strip_prefix(b"#")?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let path = place.path[..slash.max(1)].to_vec();
    Some(Place { path, device: place.device.clone() })
}

#[cfg(test)]
mod tests;
