//! Whose work each process of a recording did: finds the runs of build tools among the processes,
//! has their graphs loaded, and hands every process to its owner.

use super::{Adapter, Assign, Child, Context};
use crate::error::Error;
use airtight_policy::build::{
    Action, ActionId, Attribution, Build, Graph, Nature, Owner, Run, RunId, Span,
};
use airtight_policy::printable;
use airtight_recording::{Image, Kind, PathId, Process, ProcessId, Recording};
use std::cell::OnceCell;

/// The audited command itself: what belongs to no build tool belongs to it.
pub(crate) const COMMAND: ActionId = ActionId(0);

/// How a nested Airtight is called in [`Run::tool`].
const NESTED: &str = "airtight";

/// A build without a graph: one action, the command.
pub(crate) fn command_alone(recording: &Recording, workspace: &[u8]) -> Build {
    let words: Vec<_> = recording.header.command.iter().map(|word| printable(word)).collect();
    let mut graph = Graph::default();
    let cwd = graph.paths.intern(&recording.header.cwd);
    let command = words.join(" ");
    let nature = Nature::Always;
    graph.add(Action { name: command.clone(), nature, cwd, command, ..Action::default() });
    Build { workspace: workspace.to_vec(), graph, ..Build::default() }
}

/// Makes a build of what was recorded and of the build descriptions on disk.
///
/// # Errors
/// When an adapter can't read a description.
pub(crate) fn attribute(
    recording: &Recording,
    adapters: &[Box<dyn Adapter>],
    context: &Context<'_>,
) -> Result<Build, Error> {
    let mut build = command_alone(recording, context.workspace);
    let tools = Tools::find(recording, adapters, &mut build.graph);
    let mut loaded = Vec::new();
    for (number, adapter) in adapters.iter().enumerate() {
        let of_adapter = |&(run, of): &(RunId, Option<usize>)| (of == Some(number)).then_some(run);
        let runs: Vec<RunId> = tools.adapters().filter_map(|pair| of_adapter(&pair)).collect();
        loaded.push(match runs.as_slice() {
            [] => None,
            runs => Some(adapter.load(recording, runs, &mut build.graph, context)?),
        });
    }
    build.attribution = Hands::new(recording, &tools, &loaded, &mut build.graph).all();
    Ok(build)
}

/// The runs of build tools.
#[derive(Default)]
struct Tools {
    /// The number of the adapter of each run; none for Airtight itself.
    adapter_of: Vec<Option<usize>>,
    /// When a process becomes a tool, and when it ceases to be one: by process, then time.
    changes: Vec<(ProcessId, u64, Option<RunId>)>,
}

impl Tools {
    fn find(recording: &Recording, adapters: &[Box<dyn Adapter>], graph: &mut Graph) -> Tools {
        let mut tools = Tools::default();
        for process in &recording.processes {
            // What the process is now: a tool that executes itself again in the same directory
            // (make, once it has remade its makefiles) goes on with the same run.
            let mut now: Option<(Option<usize>, PathId)> = None;
            for image in &process.images {
                let kind = match adapters.iter().position(|a| a.is_run(recording, image)) {
                    None if is_airtight(recording, image) => Some(None),
                    None => None,
                    number => Some(number),
                };
                let next = kind.map(|kind| (kind, image.cwd));
                if next == now {
                    continue;
                }
                now = next;
                let run = kind.map(|kind| {
                    let tool = kind.map_or(NESTED, |number| adapters[number].name());
                    tools.adapter_of.push(kind);
                    let id = RunId(graph.runs.len() as u32);
                    graph.runs.push(Run {
                        tool: tool.to_owned(),
                        process: process.id,
                        since: image.seq,
                        cwd: graph.paths.intern(recording.path(image.cwd)),
                        argv: image.argv.iter().map(|a| printable(a).into_owned()).collect(),
                        within: None,
                    });
                    id
                });
                tools.changes.push((process.id, image.seq, run));
            }
        }
        tools
    }

    fn adapters(&self) -> impl Iterator<Item = (RunId, Option<usize>)> {
        (0u32..).map(RunId).zip(self.adapter_of.iter().copied())
    }

    fn changes(&self, process: ProcessId) -> &[(ProcessId, u64, Option<RunId>)] {
        let start = self.changes.partition_point(|&(other, ..)| other < process);
        let length = self.changes[start..].partition_point(|&(other, ..)| other == process);
        &self.changes[start..start + length]
    }
}

/// Whether the program is Airtight. It sets the stage for an action and is no part of it.
fn is_airtight(recording: &Recording, image: &Image) -> bool {
    recording.path(image.exe).rsplit(|&b| b == b'/').next() == Some(b"airtight")
}

/// Hands out processes, in order of their births.
struct Hands<'a> {
    recording: &'a Recording,
    tools: &'a Tools,
    loaded: &'a [Option<Box<dyn Assign>>],
    graph: &'a mut Graph,
    written: Written<'a>,
    /// Whose process each run was before it became the tool.
    above: Vec<Owner>,
    /// Those of one process together, in order of time.
    spans: Vec<Span>,
    /// Where in `spans` those of each process begin.
    starts: Vec<usize>,
}

impl<'a> Hands<'a> {
    fn new(
        recording: &'a Recording,
        tools: &'a Tools,
        loaded: &'a [Option<Box<dyn Assign>>],
        graph: &'a mut Graph,
    ) -> Hands<'a> {
        let above = vec![Owner::Action(COMMAND); graph.runs.len()];
        let written = Written { recording, tables: OnceCell::new() };
        Hands { recording, tools, loaded, graph, written, above, spans: vec![], starts: vec![] }
    }

    fn all(mut self) -> Attribution {
        for process in &self.recording.processes {
            let base = self.at_birth(process);
            self.starts.push(self.spans.len());
            self.spans.push(Span { process: process.id, since: process.start, owner: base });
            for &(process, since, run) in self.tools.changes(process.id) {
                let owner = run.map_or(base, Owner::Tool);
                self.spans.push(Span { process, since, owner });
                if let Some(run) = run {
                    self.above[run.0 as usize] = base;
                    let within = self.within(base);
                    self.graph.runs[run.0 as usize].within = within;
                }
            }
        }
        Attribution::new(self.spans)
    }

    /// The action that what `owner` starts is part of.
    fn within(&self, owner: Owner) -> Option<ActionId> {
        match owner {
            Owner::Action(action) => Some(action),
            Owner::Tool(run) | Owner::Parsing(run) | Owner::Nobody(run) => {
                self.graph.run(run).within
            }
        }
    }

    /// Whose work a process does when it is born.
    fn at_birth(&self, process: &Process) -> Owner {
        // A parent comes before its children; on made-up data it may not.
        let Some(parent) = process.parent.filter(|parent| *parent < process.id) else {
            return Owner::Action(COMMAND);
        };
        let spans = &self.spans[self.starts[parent.0 as usize]..];
        let spans = spans.iter().take_while(|span| span.process == parent);
        let now = spans.take_while(|span| span.since <= process.start).last();
        match now.map_or(Owner::Action(COMMAND), |span| span.owner) {
            Owner::Tool(run) => self.child(run, process),
            owner => owner,
        }
    }

    /// Whose work a process does that a tool itself started.
    fn child(&self, run: RunId, process: &Process) -> Owner {
        let Some(adapter) = self.tools.adapter_of[run.0 as usize] else {
            return self.above[run.0 as usize];
        };
        let child = Child {
            recording: self.recording,
            run,
            process: process.id,
            image: process.images.first(),
            written: &|| self.written.by(process.id),
        };
        let assigned = self.loaded[adapter].as_ref().and_then(|a| a.assign(self.graph, &child));
        assigned.unwrap_or(match child.image {
            Some(_) => Owner::Nobody(run),
            // Forked and never anything else: still the tool.
            None => Owner::Tool(run),
        })
    }
}

/// Finds what processes wrote. Made ready when it is first asked.
struct Written<'a> {
    recording: &'a Recording,
    tables: OnceCell<Tables>,
}

struct Tables {
    /// Parent and child, sorted.
    children: Vec<(ProcessId, ProcessId)>,
    /// Process, time and path of each write, sorted.
    writes: Vec<(ProcessId, u64, PathId)>,
}

impl Written<'_> {
    /// The paths that `process` and those below it wrote, in order of first write.
    fn by(&self, process: ProcessId) -> Vec<PathId> {
        let tables = self.tables.get_or_init(|| Tables::of(self.recording));
        let mut found = Vec::new();
        let mut open = vec![process];
        while let Some(process) = open.pop() {
            let of = run_of(&tables.writes, |write| write.0, process);
            found.extend(of.iter().map(|&(_, seq, path)| (seq, path)));
            open.extend(run_of(&tables.children, |pair| pair.0, process).iter().map(|pair| pair.1));
        }
        found.sort_unstable();
        let mut seen = std::collections::HashSet::new();
        found.into_iter().map(|(_, path)| path).filter(|path| seen.insert(*path)).collect()
    }
}

impl Tables {
    fn of(recording: &Recording) -> Tables {
        let parent = |p: &Process| p.parent.filter(|parent| *parent < p.id).map(|up| (up, p.id));
        let mut children: Vec<_> = recording.processes.iter().filter_map(parent).collect();
        children.sort_unstable();
        let accesses = recording.accesses.iter();
        let writes = accesses.filter(|access| access.kind == Kind::Write && access.errno == 0);
        let mut writes: Vec<_> = writes.map(|a| (a.process, a.first, a.path)).collect();
        writes.sort_unstable();
        Tables { children, writes }
    }
}

/// The part of a sorted list that has this key.
fn run_of<T>(sorted: &[T], key: impl Fn(&T) -> ProcessId, wanted: ProcessId) -> &[T] {
    let start = sorted.partition_point(|item| key(item) < wanted);
    let length = sorted[start..].partition_point(|item| key(item) == wanted);
    &sorted[start..start + length]
}

#[cfg(test)]
mod tests;
