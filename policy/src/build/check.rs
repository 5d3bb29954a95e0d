//! Whether the numbers in a build lead somewhere. A build that comes from a file may say anything.

use super::Build;
use super::attribution::Owner;
use airtight_recording::{PathId, Recording};

/// A number in a build that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{owner} names {what} {number}, and there are {count}")]
pub struct BuildError {
    owner: String,
    what: &'static str,
    number: u32,
    count: usize,
}

impl Build {
    /// Whether all numbers lead somewhere: those of the graph in it, those of processes in
    /// `recording`. [`judge`](super::judge) leaves out what leads nowhere, others may not.
    ///
    /// # Errors
    /// The first number that leads nowhere.
    pub fn check(&self, recording: &Recording) -> Result<(), BuildError> {
        let (paths, processes) = (self.graph.paths.len(), recording.processes.len());
        let (actions, runs) = (self.graph.actions.len(), self.graph.runs.len());
        let check = |owner: &dyn Fn() -> String, what, number: u32, count: usize| {
            let wrong = || BuildError { owner: owner(), what, number, count };
            if (number as usize) < count { Ok(()) } else { Err(wrong()) }
        };
        for (number, action) in self.graph.actions.iter().enumerate() {
            let owner = || format!("action {number}");
            let inputs = action.inputs.iter().map(|input| input.path);
            let own = [action.depfile, action.cwd];
            for PathId(path) in inputs.chain(action.outputs.iter().copied()).chain(own) {
                check(&owner, "path", path, paths)?;
            }
            if let Some(run) = action.run {
                check(&owner, "run", run.0, runs)?;
            }
        }
        for (number, run) in self.graph.runs.iter().enumerate() {
            let owner = || format!("run {number}");
            check(&owner, "path", run.cwd.0, paths)?;
            check(&owner, "process", run.process.0, processes)?;
            if let Some(within) = run.within {
                check(&owner, "action", within.0, actions)?;
            }
        }
        for (number, span) in self.attribution.spans().iter().enumerate() {
            let owner = || format!("span {number}");
            check(&owner, "process", span.process.0, processes)?;
            match span.owner {
                Owner::Action(action) => check(&owner, "action", action.0, actions)?,
                Owner::Tool(run) | Owner::Parsing(run) | Owner::Nobody(run) => {
                    check(&owner, "run", run.0, runs)?;
                }
            }
        }
        Ok(())
    }
}
