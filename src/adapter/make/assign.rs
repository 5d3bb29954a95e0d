//! Leads the children of make to the actions they work for.

use super::description::Facts;
use super::history::{Past, Purpose};
use super::recipes;
use super::rules::Group;
use crate::adapter::{Assign, Child};
use airtight_policy::build::{ActionId, Graph, Owner, RunId};
use airtight_recording::ProcessId;
use std::collections::HashMap;

/// Whose work the children of all runs do.
#[derive(Default)]
pub(super) struct Assignment {
    /// Of those whose target is known from make itself.
    owners: HashMap<ProcessId, Owner>,
    /// Which description each run used.
    descriptions: HashMap<RunId, usize>,
    known: Vec<Known>,
}

/// The actions of one description.
#[derive(Default)]
pub(super) struct Known {
    /// By target.
    actions: HashMap<Vec<u8>, ActionId>,
    /// Those of targets that several runs made at the same time.
    again: HashMap<(RunId, Vec<u8>), ActionId>,
    /// What each makes.
    outputs: HashMap<Vec<u8>, ActionId>,
    /// What each runs.
    recipes: Vec<Runs>,
}

/// The recipe of a target.
struct Runs {
    target: Vec<u8>,
    action: ActionId,
    text: Vec<u8>,
}

impl Known {
    /// Adds the actions of a group: one, or one for each of some runs.
    pub(super) fn add(
        &mut self,
        group: &Group<'_>,
        instances: &[(Option<RunId>, ActionId)],
        outputs: &[Vec<u8>],
    ) {
        let Some(&(_, first)) = instances.first() else { return };
        let recipe = group.recipe();
        for &name in group.names.iter().chain(&group.outputs) {
            self.actions.insert(name.to_vec(), first);
            for &(run, action) in instances.iter().filter(|&&(_, action)| action != first) {
                self.again.extend(run.map(|run| ((run, name.to_vec()), action)));
            }
        }
        let Some(recipe) = recipe else { return };
        self.outputs.extend(outputs.iter().map(|path| (path.clone(), first)));
        let (target, text) = (group.leader.to_vec(), recipe.text.clone());
        self.recipes.push(Runs { target, action: first, text });
    }

    /// Adds the action of a target that make does not know any more.
    pub(super) fn add_unknown(&mut self, run: RunId, target: &[u8], action: ActionId) {
        self.actions.entry(target.to_vec()).or_insert(action);
        self.again.insert((run, target.to_vec()), action);
    }

    fn action(&self, run: RunId, target: &[u8]) -> Option<ActionId> {
        let again = || self.again.get(&(run, target.to_vec()));
        let known = if self.again.is_empty() { None } else { again() };
        known.or_else(|| self.actions.get(target)).copied()
    }

    /// The text of the recipe of an action.
    fn recipe(&self, action: ActionId) -> &[u8] {
        let known = self.recipes.iter().find(|recipe| recipe.action == action);
        known.map_or(b"", |recipe| &recipe.text)
    }
}

impl Assignment {
    /// Adds the actions of a description that these runs used.
    pub(super) fn add(&mut self, runs: &[RunId], known: Known) {
        self.descriptions.extend(runs.iter().map(|&run| (run, self.known.len())));
        self.known.push(known);
    }

    fn known(&self, run: RunId) -> Option<&Known> {
        self.known.get(*self.descriptions.get(&run)?)
    }

    /// Finds the owners of all children whose purpose is known, once all is added.
    pub(super) fn settle(&mut self, facts: &Facts<'_>) {
        let mut owners = HashMap::new();
        for run in facts.runs.values() {
            let Some(known) = self.known(run.id) else { continue };
            owners.extend(children(run, known, facts));
        }
        self.owners = owners;
    }
}

/// The owners of the children of one run.
fn children(run: &Past<'_>, known: &Known, facts: &Facts<'_>) -> Vec<(ProcessId, Owner)> {
    let reading = reading(run, facts);
    let mut owners = Vec::new();
    // From the last to the first, since what `$(shell …)` in a recipe works for is told by what
    // make starts next: it expands a recipe just before it starts it.
    let mut next: Option<ActionId> = None;
    for (&child, reading) in run.children.iter().zip(reading).rev() {
        let owner = match facts.purposes.get(&child) {
            Some((_, Purpose::Target(target))) => {
                next = known.action(run.id, target);
                next.map(Owner::Action)
            }
            Some((_, Purpose::Itself)) => Some(Owner::Tool(run.id)),
            Some((_, Purpose::Progress)) => Some(Owner::Parsing(run.id)),
            Some((_, Purpose::Shell)) => {
                let process = &facts.recording.processes[child.0 as usize];
                let command = || process.images.first().map(recipes::command).unwrap_or_default();
                let action = next.filter(|&action| {
                    !reading || recipes::calls_shell(known.recipe(action), &command())
                });
                Some(action.map_or(Owner::Parsing(run.id), Owner::Action))
            }
            Some((_, Purpose::Unknown)) | None => None,
        };
        owners.extend(owner.map(|owner| (child, owner)));
    }
    owners
}

/// Which children of a run were started before the first recipe was: when make starts, and again
/// when it has remade a makefile and executes itself again.
fn reading(run: &Past<'_>, facts: &Facts<'_>) -> Vec<bool> {
    let process = &facts.recording.processes[run.process.0 as usize];
    let mut again = process.images.iter().map(|image| image.seq).peekable();
    let mut reading = true;
    let mut found = Vec::new();
    for child in &run.children {
        let born = facts.recording.processes[child.0 as usize].start;
        while again.next_if(|&began| began <= born).is_some() {
            reading = true;
        }
        found.push(reading);
        reading &= !matches!(facts.purposes.get(child), Some((_, Purpose::Target(_))));
    }
    found
}

impl Assign for Assignment {
    fn assign(&self, graph: &Graph, child: &Child<'_>) -> Option<Owner> {
        if let Some(&owner) = self.owners.get(&child.process) {
            return Some(owner);
        }
        // A make that lost its flags on the way.
        let known = self.known(child.run)?;
        let written = (child.written)();
        let mut paths = written.iter().map(|&path| child.recording.path(path));
        let by_output = paths.find_map(|path| known.outputs.get(path)).copied();
        let by_command = || {
            let command = recipes::command(child.image?);
            let fits = |runs: &&Runs| recipes::fits(&runs.text, &runs.target, &command);
            let mut all = known.recipes.iter().filter(fits);
            let first = all.next()?;
            all.next().is_none().then_some(first.action)
        };
        debug_assert!(by_output.is_none_or(|action| (action.0 as usize) < graph.actions.len()));
        by_output.or_else(by_command).map(Owner::Action)
    }
}
