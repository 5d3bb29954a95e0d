//! Leads the children of ninja to their edges.

use super::super::{Assign, Child};
use airtight_policy::build::{ActionId, Graph, Owner, RunId};
use airtight_recording::{Image, PathId, ProcessId, Recording};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// The manifests that were loaded, and which run uses which.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) projects: Vec<Project>,
    /// An index of `projects`.
    pub(super) runs: HashMap<RunId, usize>,
    /// What has been led to an edge already: ninja runs each edge once.
    pub(super) taken: RefCell<HashSet<(RunId, ActionId)>>,
}

/// One manifest.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// The edges that have this command, in order of the manifest.
    pub(super) commands: HashMap<Vec<u8>, Vec<ActionId>>,
    /// The edge that makes a file; a number in [`Graph::paths`].
    pub(super) makers: HashMap<PathId, ActionId>,
    /// Whether the manifest was written while ninja ran, so that commands of an older one may
    /// have run.
    pub(super) regenerated: bool,
    /// Whether it was removed during the build, so that the edges are not known.
    pub(super) gone: bool,
}

impl Assign for Loaded {
    fn assign(&self, graph: &Graph, child: &Child<'_>) -> Option<Owner> {
        let project = &self.projects[*self.runs.get(&child.run)?];
        if project.gone {
            return graph.run(child.run).within.map(Owner::Action);
        }
        let action = match project.candidates(child.image) {
            [] if project.regenerated => project.maker(graph, child)?,
            [] => return None,
            [action] => *action,
            several => self.choose(graph, child, several),
        };
        self.taken.borrow_mut().insert((child.run, action));
        Some(Owner::Action(action))
    }
}

impl Loaded {
    /// Gives actions to the run that ran them, the last of several: what a script runs later comes
    /// later, though the manifest may not order it (`ninja && ninja test`).
    pub(super) fn order(&self, recording: &Recording, graph: &mut Graph) {
        let mut runs: HashMap<ProcessId, Vec<RunId>> = HashMap::new();
        for &run in self.runs.keys() {
            runs.entry(graph.run(run).process).or_default().push(run);
        }
        for process in &recording.processes {
            let of_parent = process.parent.and_then(|parent| runs.get(&parent)).into_iter();
            let begun = of_parent.flatten().filter(|run| graph.run(**run).since <= process.start);
            let Some(&run) = begun.max_by_key(|run| graph.run(**run).since) else { continue };
            let project = &self.projects[self.runs[&run]];
            if let [action] = project.candidates(process.images.first()) {
                graph.actions[action.0 as usize].run = Some(run);
            }
        }
    }

    /// Which of several edges with one command: the one that makes most of what was written; of
    /// those that are alike the first that has not run yet, since ninja prefers earlier edges.
    fn choose(&self, graph: &Graph, child: &Child<'_>, several: &[ActionId]) -> ActionId {
        let written = written(graph, child);
        let taken = self.taken.borrow();
        let rank = |action: &ActionId| {
            let outputs = &graph.action(*action).outputs;
            let made = outputs.iter().filter(|output| written.contains(output)).count();
            (made, !taken.contains(&(child.run, *action)))
        };
        // `max_by_key` would take the last of equals.
        let best = several.iter().map(rank).max();
        let best = several.iter().find(|action| Some(rank(action)) == best);
        best.copied().unwrap_or(several[0])
    }
}

impl Project {
    /// The edges that have the command of this process.
    fn candidates(&self, image: Option<&Image>) -> &[ActionId] {
        let command = image.and_then(|image| match image.argv.as_slice() {
            [_, option, command] if option == b"-c" => Some(command),
            _ => None,
        });
        command.and_then(|command| self.commands.get(command)).map_or(&[], Vec::as_slice)
    }

    /// The one edge that makes what this process wrote.
    fn maker(&self, graph: &Graph, child: &Child<'_>) -> Option<ActionId> {
        let mut makers =
            written(graph, child).into_iter().filter_map(|path| self.makers.get(&path));
        let first = *makers.next()?;
        makers.all(|other| *other == first).then_some(first)
    }
}

/// What a child wrote of the names that the graph knows.
fn written(graph: &Graph, child: &Child<'_>) -> Vec<PathId> {
    let written = (child.written)().into_iter();
    written.filter_map(|path| graph.paths.find(child.recording.path(path))).collect()
}
