//! ninja, and what writes manifests for it: CMake and meson.
//!
//! ninja runs every edge as `/bin/sh -c COMMAND`, a child of its own, so a process is led to its
//! edge by the command, and the manifest tells the command of every edge exactly. Nothing of the
//! build is touched.

mod assign;
mod confirm;
mod declared;
mod graph;
mod invocation;
mod log;
mod manifest;

use super::{Adapter, Assign, Context, UpToDate, files};
use crate::error::Error;
use airtight_policy::absolute;
use airtight_policy::build::{Graph, RunId};
use airtight_recording::{Image, Kind, Recording};
use assign::{Loaded, Project};
use invocation::Invocation;
use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

/// The adapter of ninja and samurai.
pub(crate) struct Ninja;

/// How the program is called.
const PROGRAMS: [&[u8]; 3] = [b"ninja", b"ninja-build", b"samu"];

fn is_ninja(program: &[u8]) -> bool {
    program.rsplit(|&b| b == b'/').next().is_some_and(|name| PROGRAMS.contains(&name))
}

impl Adapter for Ninja {
    fn name(&self) -> &'static str {
        "ninja"
    }

    fn is_run(&self, recording: &Recording, image: &Image) -> bool {
        // A script called ninja has its interpreter in both places.
        let known = is_ninja(recording.path(image.exe))
            || image.argv.first().is_some_and(|program| is_ninja(program));
        known && Invocation::parse(image.argv.get(1..).unwrap_or_default()).is_some()
    }

    fn load(
        &self,
        recording: &Recording,
        runs: &[RunId],
        graph: &mut Graph,
        context: &Context<'_>,
    ) -> Result<Box<dyn Assign>, Error> {
        let mut known: HashMap<(Vec<u8>, Vec<u8>), usize> = HashMap::new();
        let mut loaded = Loaded::default();
        for &run in runs {
            let (directory, file) = description(recording, graph, run);
            let project = match known.get(&(directory.clone(), file.clone())) {
                Some(&project) => project,
                None => {
                    let project = load(recording, run, &directory, &file, graph, context)?;
                    known.insert((directory, file), loaded.projects.len());
                    loaded.projects.push(project);
                    loaded.projects.len() - 1
                }
            };
            loaded.runs.insert(run, project);
        }
        loaded.order(recording, graph);
        Ok(Box::new(loaded))
    }

    fn up_to_date(
        &self,
        recording: &Recording,
        graph: &Graph,
        run: RunId,
        target: &[u8],
    ) -> Result<UpToDate, Error> {
        confirm::up_to_date(recording, graph, run, target)
    }
}

/// The directory that a run works in, canonical, and the name of its manifest.
fn description(recording: &Recording, graph: &Graph, run: RunId) -> (Vec<u8>, Vec<u8>) {
    let run = graph.run(run);
    let image = recording.image_at(run.process, run.since);
    let arguments = image.and_then(|image| image.argv.get(1..)).unwrap_or_default();
    let invocation = Invocation::parse(arguments)
        .unwrap_or(Invocation { directory: None, file: b"build.ninja".to_vec() });
    let cwd = graph.paths.get(run.cwd);
    let directory = absolute(cwd, &invocation.directory.unwrap_or_default());
    // `-C` may lead through a link.
    let directory = match fs::canonicalize(files::path(&directory)) {
        Ok(canonical) => canonical.as_os_str().as_bytes().to_vec(),
        Err(_) => directory,
    };
    (directory, invocation.file)
}

fn load(
    recording: &Recording,
    run: RunId,
    directory: &[u8],
    file: &[u8],
    graph: &mut Graph,
    context: &Context<'_>,
) -> Result<Project, Error> {
    let path = absolute(directory, file);
    if !files::path(&path).exists() && was_removed(recording, &path) {
        // CMake removes what it tries when it configures, as everybody knows.
        let shown = graph::shown(directory, context.workspace);
        if !shown.contains("CMakeFiles/CMakeScratch/") && !shown.ends_with("CMakeFiles/CMakeTmp") {
            (context.warn)(format!(
                "the manifest of the ninja run in {shown} was removed during the build, so its \
                 edges count as one action; keep that directory until the audit has ended"
            ));
        }
        return Ok(Project { gone: true, ..Project::default() });
    }
    let mut read = |name: &[u8]| files::read(&absolute(directory, name));
    let limits = manifest::Limits::default();
    let manifest = manifest::Manifest::read(file, &mut read, limits).map_err(|error| {
        let directory = graph::shown(directory, context.workspace);
        Error::Plain {
            message: format!("{directory}/{error}"),
            hints: vec![format!(
                "an audit needs the manifest as it was when ninja ran; `ninja -C {directory} -t \
                 targets` tells whether ninja can still read it"
            )],
        }
    })?;
    let mut project = graph::add(&manifest, run, directory, file, graph, context)?;
    project.regenerated = recording.paths.find(&path).is_some_and(|path| {
        let since = graph.run(run).since;
        let written = |access: &airtight_recording::Access| {
            access.path == path && access.kind == Kind::Write && access.errno == 0
        };
        recording.accesses.iter().any(|access| access.last >= since && written(access))
    });
    Ok(project)
}

/// Whether a file, or a directory that it was in, was removed while the command ran.
fn was_removed(recording: &Recording, path: &[u8]) -> bool {
    let ends = path.iter().enumerate().filter(|&(at, &b)| b == b'/' && at > 0).map(|(at, _)| at);
    let names = ends.chain([path.len()]).filter_map(|end| recording.paths.find(&path[..end]));
    let names: Vec<_> = names.collect();
    recording.accesses.iter().any(|access| {
        access.kind == Kind::Delete && access.errno == 0 && names.contains(&access.path)
    })
}

#[cfg(test)]
mod tests;
