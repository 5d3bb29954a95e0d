//! Keeps a [`Family`] up to date: reads the kernel's records, and looks for the processes that
//! belong to the tree without descending from its root.

use super::family::Family;
use crate::command::Error;
use crate::sys::perf::{self, Rings, Step, What};
use crate::sys::process;
use std::io;
use std::path::{Path, PathBuf};

/// Processes outside of the tree that work for it. With each, its descendants belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Also {
    /// Living processes, by pid.
    pub pids: Vec<i32>,
    /// Directories of cgroup v2 (cgroups(7)): the processes in them and in those below. Who is
    /// moved there during the run is noticed within 20 ms or so.
    pub cgroups: Vec<PathBuf>,
}

/// The process tree of a run, as it grows.
pub(crate) struct Tree {
    rings: Rings,
    family: Family,
    cgroups: Vec<PathBuf>,
    /// The root is known. Before, no record counts.
    rooted: bool,
    /// When the last drain began.
    drained: u64,
    bytes: Vec<u8>,
}

impl Tree {
    /// Begins to record, before the root is forked.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the kernel refuses its process events; else when what was named
    /// is no process, or no directory of cgroup v2.
    pub(crate) fn start(also: &Also) -> Result<Tree, Error> {
        Tree::with(also, What::Tasks)
    }

    /// The same, with the file of each program that is executed.
    ///
    /// # Errors
    /// As [`Tree::start`].
    pub(crate) fn start_with_programs(also: &Also) -> Result<Tree, Error> {
        Tree::with(also, What::TasksAndMaps)
    }

    fn with(also: &Also, what: What) -> Result<Tree, Error> {
        let rings = Rings::open(what).map_err(|(step, error)| refusal(step, error))?;
        let mut tree = Tree {
            rings,
            family: Family::default(),
            cgroups: also.cgroups.clone(),
            rooted: false,
            drained: 0,
            bytes: Vec::new(),
        };
        for &pid in &also.pids {
            let source = io::Error::from_raw_os_error(libc::ESRCH);
            let threads = threads(pid)
                .ok_or_else(|| Error::System { what: format!("process {pid}"), source })?;
            tree.family.add(pid, &threads, perf::now());
            for pid in process::below(pid) {
                tree.add(pid);
            }
        }
        for dir in &also.cgroups {
            let source = |source| Error::System { what: dir.display().to_string(), source };
            std::fs::read_to_string(dir.join("cgroup.procs")).map_err(source)?;
        }
        tree.look();
        Ok(tree)
    }

    /// The root has been forked by this process, after `since`.
    pub(crate) fn root(&mut self, pid: i32, since: u64) {
        self.family.expect(pid, std::process::id() as i32, since);
        self.rooted = true;
    }

    /// Takes what the kernel has recorded. What was recorded before the last drain counts then.
    pub(crate) fn drain(&mut self) {
        let now = perf::now();
        self.take();
        if self.rooted {
            self.look();
            self.family.settle(self.drained);
        }
        self.drained = now;
    }

    /// Who belongs to the tree, as far as it is settled.
    pub(crate) fn family(&self) -> &Family {
        &self.family
    }

    /// Takes the last records: all is settled then. Also says why a process may be unknown, if
    /// one may.
    pub(crate) fn finish(mut self) -> (Family, Option<String>) {
        self.take();
        self.family.settle(u64::MAX);
        let doubt = self.family.doubt().or_else(|| self.rings.doubt().map(String::from));
        (self.family, doubt)
    }

    fn take(&mut self) {
        self.bytes.clear();
        self.rings.drain(&mut self.bytes);
        self.family.feed(&self.bytes);
    }

    fn look(&mut self) {
        let mut pids = Vec::new();
        for dir in &self.cgroups {
            in_cgroup(dir, &mut pids);
        }
        for pid in pids {
            self.add(pid);
        }
    }

    fn add(&mut self, pid: i32) {
        // What we do ourselves is no part of the run.
        if pid != std::process::id() as i32
            && let Some(threads) = threads(pid)
        {
            self.family.add(pid, &threads, perf::now());
        }
    }
}

/// The threads of a living process.
fn threads(pid: i32) -> Option<Vec<i32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The processes in a cgroup and those below it. One that is removed meanwhile has none.
fn in_cgroup(dir: &Path, pids: &mut Vec<i32>) {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            in_cgroup(&entry.path(), pids);
        }
    }
}

/// Why the kernel's process events can't be had.
pub(super) fn refusal(step: Step, source: io::Error) -> Error {
    let remedy = match (step, source.raw_os_error()) {
        (Step::Open, Some(libc::EACCES)) => {
            "CAP_SYS_ADMIN, or CAP_PERFMON, or kernel.perf_event_paranoid = 0"
        }
        (Step::Open, Some(libc::EPERM)) => {
            "CAP_SYS_ADMIN; in a container its seccomp profile must allow perf_event_open as well \
             (docker run --cap-add SYS_ADMIN does both)"
        }
        (Step::Open, Some(libc::ENOSYS | libc::ENOENT | libc::EINVAL)) => {
            "the kernel needs CONFIG_PERF_EVENTS, and Linux 4.1"
        }
        (Step::Open, Some(libc::EMFILE)) => "one descriptor for each CPU (ulimit -n)",
        (Step::Map, Some(libc::EPERM)) => {
            "more locked memory (ulimit -l, or kernel.perf_event_mlock_kb), or CAP_IPC_LOCK"
        }
        (Step::Cpus, _) => "/sys must be mounted",
        _ => "`airtight doctor` tells more",
    };
    let what = match step {
        Step::Open => "perf_event_open is refused",
        Step::Map => "a ring for process events can't be mapped",
        Step::Cpus => "the CPUs are not known",
    };
    Error::Forbidden { what: format!("{what} ({source})"), remedy: remedy.into() }
}

#[cfg(test)]
mod tests;
