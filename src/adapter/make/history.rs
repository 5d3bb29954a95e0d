//! What the recording knows of the runs of make: how each was called, and which targets' recipes
//! it ran.

use super::cmake::tells_progress;
use super::flags::Call;
use super::names::real;
use super::{LEVEL, MARK};
use airtight_policy::build::{Graph, RunId};
use airtight_recording::{Image, Process, ProcessId, Recording};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// One run of make.
pub(super) struct Past<'a> {
    pub(super) id: RunId,
    pub(super) process: ProcessId,
    pub(super) image: &'a Image,
    pub(super) call: Call,
    /// Where it went (`-C`), absolute.
    pub(super) directory: PathBuf,
    /// Whether its recipes' processes carry marks.
    pub(super) marked: bool,
    /// The value of `MAKELEVEL` that it got.
    level: Vec<u8>,
    /// From when to when it ran.
    pub(super) time: (u64, u64),
    /// The processes that it started, in order of birth.
    pub(super) children: Vec<ProcessId>,
}

/// What a child of make is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The recipe of a target.
    Target(Vec<u8>),
    /// `$(shell …)`.
    Shell,
    /// It never became a program: make's own work.
    Itself,
    /// It tells how far the build is.
    Progress,
    /// Not known.
    Unknown,
}

/// All runs, by their numbers.
pub(super) type Runs<'a> = BTreeMap<RunId, Past<'a>>;

/// Looks the runs up. One whose process or image is not in the recording is left out.
pub(super) fn runs<'a>(recording: &'a Recording, graph: &Graph, ids: &[RunId]) -> Runs<'a> {
    let mut runs = Runs::new();
    let mut by_process: HashMap<ProcessId, Vec<(u64, RunId)>> = HashMap::new();
    for &id in ids {
        let run = graph.run(id);
        let Some(process) = recording.processes.get(run.process.0 as usize) else { continue };
        let Some(image) = process.images.iter().rev().find(|image| image.seq <= run.since) else {
            continue;
        };
        by_process.entry(run.process).or_default().push((run.since, id));
        runs.insert(id, past(recording, id, process, image));
    }
    for process in &recording.processes {
        let Some(own) = process.parent.and_then(|parent| by_process.get(&parent)) else { continue };
        let latest = own.iter().filter(|(since, _)| *since <= process.start).max();
        if let Some(run) = latest.and_then(|(_, id)| runs.get_mut(id)) {
            run.children.push(process.id);
        }
    }
    runs
}

fn past<'a>(recording: &Recording, id: RunId, process: &Process, image: &'a Image) -> Past<'a> {
    let call = Call::parse(image.argv.get(1..).unwrap_or_default());
    let start = Path::new(OsStr::from_bytes(recording.path(image.cwd)));
    let directory = call
        .directories
        .iter()
        .fold(start.to_owned(), |directory, next| directory.join(OsStr::from_bytes(next)));
    let ours = |name| variable(image, name).is_some_and(|value| contains(value, MARK.as_bytes()));
    let end = process.exit.map_or(u64::MAX, |(seq, _)| seq);
    Past {
        id,
        process: process.id,
        image,
        call,
        directory: real(&directory),
        marked: ours("GNUMAKEFLAGS") || ours("MAKEFLAGS"),
        level: level(image),
        time: (image.seq, end),
        children: Vec::new(),
    }
}

impl Past<'_> {
    /// What one of its children is for.
    pub(super) fn purpose(&self, child: &Process) -> Purpose {
        let Some(image) = child.images.first() else { return Purpose::Itself };
        if tells_progress(image) {
            return Purpose::Progress;
        }
        if !self.marked {
            return Purpose::Unknown;
        }
        let mark = variable(image, MARK);
        if mark.is_none() || mark == variable(self.image, MARK) {
            return Purpose::Shell;
        }
        match mark.and_then(split) {
            Some((level, _)) if level != self.level => Purpose::Shell,
            // 4.4 exports to `$(shell …)` too.
            Some((_, target)) if target.is_empty() => Purpose::Shell,
            Some((_, target)) => Purpose::Target(target),
            None => Purpose::Unknown,
        }
    }
}

/// Takes a mark (`LEVEL:MEMBER:TARGET`) apart; a member of an archive gets its usual name.
pub(super) fn split(mark: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let mut parts = mark.splitn(3, |&byte| byte == b':');
    let (level, member, target) = (parts.next()?, parts.next()?, parts.next()?);
    let name = match member {
        b"" => target.to_vec(),
        member => [target, b"(", member, b")"].concat(),
    };
    Some((level, name))
}

fn level(image: &Image) -> Vec<u8> {
    variable(image, LEVEL).filter(|level| !level.is_empty()).unwrap_or(b"0").to_vec()
}

/// A variable that was noted when an image began.
pub(super) fn variable<'a>(image: &'a Image, name: &str) -> Option<&'a [u8]> {
    image.env.iter().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

/// The shell that runs the makefiles' commands, with its flags: what most of the children of a
/// run were.
pub(super) fn shell(recording: &Recording, run: &Past<'_>) -> Vec<Vec<u8>> {
    let mut seen: Vec<(&[Vec<u8>], u32)> = Vec::new();
    let images =
        run.children.iter().filter_map(|&id| recording.processes[id.0 as usize].images.first());
    for image in images {
        let Some((_, before)) = image.argv.split_last() else { continue };
        let Some((program, flags)) = before.split_first() else { continue };
        let base = program.rsplit(|&byte| byte == b'/').next().unwrap_or(program);
        let is_flag = |flag: &Vec<u8>| flag.starts_with(b"-") && flag.ends_with(b"c");
        if !base.ends_with(b"sh") || !flags.last().is_some_and(is_flag) {
            continue;
        }
        match seen.iter_mut().find(|(known, _)| *known == before) {
            Some((_, count)) => *count += 1,
            None => seen.push((before, 1)),
        }
    }
    let most = seen.into_iter().rev().max_by_key(|&(_, count)| count);
    most.map_or_else(|| vec![b"/bin/sh".to_vec(), b"-c".to_vec()], |(words, _)| words.to_vec())
}
