//! Why the result of an action must not be published: its own faults, and what it was made from.

use super::graph::ActionId;
use super::order::Relation;
use super::parts::Slot;
use super::verdict::BuildVerdict;
use super::world::World;
use crate::finding::Finding;
use crate::name::display;
use crate::policy::Policy;
use crate::rules::Rule;
use crate::scopes::{Scope, Scopes};
use crate::tree::{NEVER, Tree};
use crate::verdict::{Counts, Suppressed};
use airtight_recording::PathId;
use rustc_hash::FxHashMap;

/// What of one slot decides on publishing, apart from its findings. Kept with a verdict, so that it
/// can be weighed again when findings turn out to be known.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    pub(super) slot: Slot,
    /// What its findings call it.
    pub(super) name: String,
    /// Reasons that are no findings.
    pub(super) reasons: Vec<String>,
    /// The slots whose work it used, each with the name of a file.
    pub(super) used: Vec<(Slot, String)>,
}

/// The slots whose work `slot` read, with a file for each. `whole` has the numbers in the recording
/// of the build of the paths of `tree`.
pub(super) fn used(
    world: &World<'_, '_, '_>,
    scopes: &Scopes,
    slot: Slot,
    tree: &Tree<'_>,
    whole: &[PathId],
) -> Vec<(Slot, String)> {
    let mut used: FxHashMap<Slot, PathId> = FxHashMap::default();
    for (id, facts) in tree.all_facts() {
        let first = facts.read.first.min(facts.exec.first).min(facts.inherited.first);
        let own = tree.states.get(&id).map_or(NEVER, |state| state.own_since);
        if first >= own || facts.directory {
            continue;
        }
        let Some(&path) = whole.get(id.0 as usize) else { continue };
        let deeds = world.deeds.of_id(path);
        if deeds.is_empty() || matches!(scopes.of(tree.path(id)), Scope::Ignored | Scope::Host) {
            continue;
        }
        for deed in deeds {
            if deed.made() && deed.slot != slot && deed.slot < world.tools {
                used.entry(deed.slot).or_insert(path);
            }
        }
    }
    // What makes the description, and what runs around a tool, makes sources.
    used.retain(|&maker, _| {
        !world.configures(maker)
            && !matches!(world.order.relation(slot, maker), Relation::Around | Relation::Within)
    });
    let name = |path| display(world.deeds.tree.path(path), world.workspace).into_owned();
    let mut used: Vec<(Slot, String)> =
        used.into_iter().map(|(maker, path)| (maker, name(path))).collect();
    used.sort_unstable();
    used
}

impl BuildVerdict {
    /// Counts the findings, and says anew of each action how many it has and why its result must
    /// not be published. To be called when findings were moved to [`BuildVerdict::suppressed`].
    pub fn weigh(&mut self, policy: &Policy) {
        self.counts = Counts::of(&self.findings, &self.suppressed);
        let mut of: FxHashMap<&str, (Vec<&Finding>, Vec<&Suppressed>)> = FxHashMap::default();
        for finding in &self.findings {
            of.entry(&finding.action).or_default().0.push(finding);
        }
        for known in &self.suppressed {
            of.entry(&known.finding.action).or_default().1.push(known);
        }
        let reasons = self.grounds.iter().map(|ground| {
            let mut reasons = ground.reasons.clone();
            if let Some((findings, known)) = of.get(ground.name.as_str()) {
                let (findings, known) = (findings.iter().copied(), known.iter().copied());
                reasons.extend(policy.against_publishing(findings, known));
            }
            reasons
        });
        let mut reasons: Vec<Vec<String>> = reasons.collect();
        spread(&self.grounds, &mut reasons);
        let position = positions(&self.grounds);
        for action in &mut self.actions {
            let ActionId(slot) = action.id;
            if let Some(&at) = position.get(&slot) {
                action.uncacheable = std::mem::take(&mut reasons[at]);
            }
            let found = of.get(action.name.as_str()).map(|(findings, _)| findings.iter());
            // What the policy and the baseline say too much is no fault of the action.
            let own = |f: &&&Finding| !matches!(f.rule, Rule::U002 | Rule::U003);
            let found = found.map_or(0, |findings| findings.filter(own).count());
            action.findings = u32::try_from(found).unwrap_or(u32::MAX);
        }
    }
}

fn positions(grounds: &[Ground]) -> FxHashMap<Slot, usize> {
    grounds.iter().enumerate().map(|(at, ground)| (ground.slot, at)).collect()
}

/// Adds a reason to every slot that used what one with a reason made.
fn spread(grounds: &[Ground], reasons: &mut [Vec<String>]) {
    let position = positions(grounds);
    let mut users: Vec<Vec<(usize, &str)>> = vec![Vec::new(); grounds.len()];
    for (at, ground) in grounds.iter().enumerate() {
        for (maker, path) in &ground.used {
            if let Some(&maker) = position.get(maker) {
                users[maker].push((at, path));
            }
        }
    }
    let mut open: Vec<usize> =
        (0..grounds.len()).rev().filter(|&at| !reasons[at].is_empty()).collect();
    let mut tainted = vec![false; grounds.len()];
    while let Some(maker) = open.pop() {
        for &(user, path) in &users[maker] {
            if std::mem::replace(&mut tainted[user], true) {
                continue;
            }
            if reasons[user].is_empty() {
                open.push(user);
            }
            let maker = &grounds[maker].name;
            reasons[user].push(format!("it used {path} of {maker}, which must not be published"));
        }
    }
}
