//! The graph of a build, made ready for walking. Numbers that lead nowhere are left out here, so
//! that nobody else has to look.

use super::graph::{Action, Graph, Nature, RunId, Via};
use crate::name::ancestors;
use airtight_recording::{PathId, ProcessId, Recording};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;

/// A graph with its edges in both directions, and where its runs stand in time.
pub(super) struct Edges<'b> {
    pub(super) graph: &'b Graph,
    /// The actions that make each path, by number of path.
    makers: Vec<Vec<u32>>,
    /// The actions that declare each path as an input, by number of path.
    users: OnceCell<Vec<Vec<u32>>>,
    /// The actions of each run.
    actions_of: Vec<Vec<u32>>,
    /// The runs within each action.
    runs_of: FxHashMap<u32, Vec<u32>>,
    /// From when to when each run lasted.
    times: Vec<(u64, u64)>,
    /// For each run the one before it in the same script, and the ones that ended since that one
    /// began.
    before: Vec<(Option<u32>, Vec<u32>)>,
}

impl<'b> Edges<'b> {
    pub(super) fn new(graph: &'b Graph, recording: &Recording) -> Edges<'b> {
        let mut edges = Edges {
            graph,
            makers: vec![Vec::new(); graph.paths.len()],
            users: OnceCell::new(),
            actions_of: vec![Vec::new(); graph.runs.len()],
            runs_of: FxHashMap::default(),
            times: times(graph, recording),
            before: vec![(None, Vec::new()); graph.runs.len()],
        };
        for (id, action) in (0u32..).zip(&graph.actions) {
            for path in &action.outputs {
                if let Some(makers) = edges.makers.get_mut(path.0 as usize)
                    && !path.is_none()
                    && makers.last() != Some(&id)
                {
                    makers.push(id);
                }
            }
            if let Some(of_run) =
                edges.run(id).and_then(|run| edges.actions_of.get_mut(run as usize))
            {
                of_run.push(id);
            }
        }
        for run in 0..graph.runs.len() as u32 {
            if let Some(around) = edges.around(run) {
                edges.runs_of.entry(around).or_default().push(run);
            }
        }
        edges.sort_runs();
        edges
    }

    /// Runs of one script follow each other, where one ended before the other began.
    fn sort_runs(&mut self) {
        let Edges { times, before, runs_of, .. } = self;
        for runs in runs_of.values() {
            let mut begun = runs.clone();
            begun.sort_by_key(|&run| (times[run as usize].0, run));
            let mut ended = runs.clone();
            ended.sort_by_key(|&run| (times[run as usize].1, run));
            let mut ended = ended.into_iter().peekable();
            let mut last = None;
            for &run in &begun {
                let since = times[run as usize].0;
                let over = |other: &u32| times[*other as usize].1 <= since && *other != run;
                let mut these = Vec::new();
                while let Some(other) = ended.next_if(over) {
                    these.push(other);
                }
                before[run as usize] = (last, these);
                last = Some(run);
            }
        }
    }

    pub(super) fn action(&self, id: u32) -> Option<&'b Action> {
        self.graph.actions.get(id as usize)
    }

    pub(super) fn nature(&self, id: u32) -> Nature {
        self.action(id).map_or(Nature::Always, |action| action.nature)
    }

    /// Where the actions of a run work, else where the tool was started (`-C` leads elsewhere).
    pub(super) fn directory(&self, run: u32) -> &'b [u8] {
        let first = self.actions_of(run).first().and_then(|&id| self.action(id));
        let run =
            self.graph.runs.get(run as usize).map_or(b"".as_slice(), |run| self.path(run.cwd));
        first.map(|action| self.path(action.cwd)).filter(|cwd| !cwd.is_empty()).unwrap_or(run)
    }

    /// The inputs of an action that are paths.
    pub(super) fn inputs(&self, id: u32) -> impl Iterator<Item = (PathId, Via)> + use<'b> {
        let most = self.graph.paths.len();
        let inputs = self.action(id).map(|action| action.inputs.iter()).unwrap_or_default();
        let inputs = inputs.map(|input| (input.path, input.via));
        inputs.filter(move |(path, _)| !path.is_none() && (path.0 as usize) < most)
    }

    /// The outputs of an action that are paths.
    pub(super) fn outputs(&self, id: u32) -> impl Iterator<Item = PathId> + use<'b> {
        let most = self.graph.paths.len();
        let outputs = self.action(id).map(|action| action.outputs.iter()).unwrap_or_default();
        outputs.copied().filter(move |path| !path.is_none() && (path.0 as usize) < most)
    }

    /// The bytes of a path of the graph; nothing for a number that does not exist.
    pub(super) fn path(&self, id: PathId) -> &'b [u8] {
        if (id.0 as usize) < self.graph.paths.len() { self.graph.paths.get(id) } else { b"" }
    }

    /// The number of a path, if the graph has it.
    pub(super) fn find(&self, path: &[u8]) -> Option<PathId> {
        self.graph.paths.find(path).filter(|id| !id.is_none())
    }

    /// The actions that declare a path as their output.
    pub(super) fn makers(&self, path: PathId) -> &[u32] {
        self.makers.get(path.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The actions that declare a path as their input.
    pub(super) fn users(&self, path: PathId) -> &[u32] {
        let users = self.users.get_or_init(|| {
            let mut users = vec![Vec::new(); self.graph.paths.len()];
            for id in 0..self.graph.actions.len() as u32 {
                for (path, _) in self.inputs(id).filter(|(_, via)| *via == Via::Declared) {
                    users[path.0 as usize].push(id);
                }
            }
            users
        });
        users.get(path.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether an action declares a path, or a directory that holds it, as its output.
    pub(super) fn declares(&self, id: u32, path: &[u8]) -> bool {
        let action = self.action(id);
        let output = |path| self.find(path).is_some_and(|path| self.makers(path).contains(&id));
        action.is_some_and(|action| self.path(action.depfile) == path && !path.is_empty())
            || ancestors(path).any(output)
    }

    /// The run that an action belongs to.
    pub(super) fn run(&self, id: u32) -> Option<u32> {
        let RunId(run) = self.action(id)?.run?;
        ((run as usize) < self.graph.runs.len()).then_some(run)
    }

    /// The actions of a run.
    pub(super) fn actions_of(&self, run: u32) -> &[u32] {
        self.actions_of.get(run as usize).map_or(&[], Vec::as_slice)
    }

    /// The action that a run is a part of: the command of the audit when no other is known.
    pub(super) fn around(&self, run: u32) -> Option<u32> {
        let within = self.graph.runs.get(run as usize)?.within.map_or(0, |id| id.0);
        ((within as usize) < self.graph.actions.len()).then_some(within)
    }

    /// The runs that are a part of an action.
    pub(super) fn runs_of(&self, id: u32) -> &[u32] {
        self.runs_of.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The run that began before `run` in the same script, and those that ended in between.
    pub(super) fn before(&self, run: u32) -> (Option<u32>, &[u32]) {
        self.before.get(run as usize).map_or((None, &[]), |(last, ended)| (*last, ended))
    }
}

/// A run lasts until its process is another tool, or until it ends.
fn times(graph: &Graph, recording: &Recording) -> Vec<(u64, u64)> {
    let mut next: FxHashMap<ProcessId, Vec<u64>> = FxHashMap::default();
    for run in &graph.runs {
        next.entry(run.process).or_default().push(run.since);
    }
    let end = |run: &super::graph::Run| {
        let later = next.get(&run.process).into_iter().flatten();
        let later = later.copied().filter(|&since| since > run.since).min();
        let process = recording.processes.get(run.process.0 as usize);
        let exit = process.and_then(|process| process.exit).map(|(seq, _)| seq);
        later.or(exit).unwrap_or(u64::MAX)
    };
    graph.runs.iter().map(|run| (run.since, end(run))).collect()
}
