//! What tools are known to do beside their work, and what nothing depends on.

use super::Build;
use crate::name::{below, components, file_name, parent};
use crate::rules::integrity::compiler_cache;
use airtight_recording::{Access, Image, Kind, Recording};

/// Which accesses of a recording nothing depends on.
pub(super) struct Understood {
    git: Times,
    caches: Times,
    /// By number of path.
    paths: Vec<Known>,
}

/// What a name alone tells of a path.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Python's compiled modules.
    python: bool,
    /// Below a `.git`.
    dot_git: bool,
    /// Outside of the workspace, and no name of the graph.
    foreign: bool,
    /// Foreign, and a compiler cache changes it.
    cached: bool,
}

/// When each process was one of some programs.
struct Times(Vec<(u64, u64)>);

impl Times {
    fn of(recording: &Recording, is: impl Fn(&[u8], &Image) -> bool) -> Times {
        let is = |image: &Image| {
            let known = (image.exe.0 as usize) < recording.paths.len();
            known && is(recording.paths.get(image.exe), image)
        };
        let mut times = Vec::new();
        if !recording.processes.iter().flat_map(|process| &process.images).any(is) {
            return Times(times);
        }
        times.resize(recording.processes.len(), (u64::MAX, 0));
        for (id, process) in recording.processes.iter().enumerate() {
            // Until it is another program, a child is the one that its parent is.
            let above = process.parent.and_then(|parent| times.get(parent.0 as usize));
            if above.is_some_and(|&(from, to)| from <= process.start && process.start < to) {
                times[id] = (0, u64::MAX);
            }
            for image in &process.images {
                if is(image) {
                    times[id] = (times[id].0.min(image.seq), u64::MAX);
                } else if times[id].1 == u64::MAX {
                    times[id].1 = image.seq;
                }
            }
        }
        Times(times)
    }

    fn hold(&self, access: &Access) -> bool {
        let times = self.0.get(access.process.0 as usize);
        times.is_some_and(|&(from, to)| from <= access.first && access.first < to)
    }
}

impl Understood {
    pub(super) fn new(build: &Build, recording: &Recording) -> Understood {
        let git = Times::of(recording, |exe, _| is_git(exe));
        let caches = Times::of(recording, |exe, image| compiler_cache(exe, image).is_some());
        let (any_git, any_cache) = (!git.0.is_empty(), !caches.0.is_empty());
        let known = |path: &[u8]| Known {
            python: path.ends_with(b".pyc") || components(path).any(|part| part == b"__pycache__"),
            dot_git: any_git && components(path).any(|part| part == b".git"),
            foreign: any_cache
                && path.starts_with(b"/")
                && below(path, &build.workspace).is_none()
                && build.graph.paths.find(path).is_none_or(|id| id.is_none()),
            cached: false,
        };
        let mut paths: Vec<Known> = recording.paths.iter().map(|(_, path)| known(path)).collect();
        for access in recording.accesses.iter().filter(|access| caches.hold(access)) {
            let changes = access.errno == 0 && matches!(access.kind, Kind::Write | Kind::Delete);
            if let Some(known) = paths.get_mut(access.path.0 as usize).filter(|_| changes) {
                known.cached = known.foreign;
            }
        }
        Understood { git, caches, paths }
    }

    /// Whether an access is none that counts.
    pub(super) fn is(&self, access: &Access) -> bool {
        let known = self.paths.get(access.path.0 as usize).copied().unwrap_or_default();
        let writes = matches!(access.kind, Kind::Write | Kind::Delete);
        known.python
            || (self.git.hold(access) && (known.dot_git || !writes))
            // Its own files: I004 tells of the cache. A compiler that it calls works on some too.
            || known.cached
            || (known.foreign && access.kind != Kind::Exec && self.caches.hold(access))
    }
}

/// Whether a program is git or one of its parts.
fn is_git(exe: &[u8]) -> bool {
    let name = file_name(exe);
    name == b"git" || parent(exe).is_some_and(|directory| file_name(directory) == b"git-core")
}
