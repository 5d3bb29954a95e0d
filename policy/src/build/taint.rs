//! What must not be published because of what it was made from.

use super::order::Relation;
use super::parts::Slot;
use super::world::World;
use crate::tree::{NEVER, Tree};
use airtight_recording::PathId;
use rustc_hash::FxHashMap;

/// Which slots used what others made.
#[derive(Default)]
pub(super) struct Taint {
    /// For each slot the others, each with a path that it made.
    used: FxHashMap<Slot, Vec<(Slot, Vec<u8>)>>,
}

impl Taint {
    /// Notes what `slot` read of the work of others. `whole` has the numbers in the recording of
    /// the build of the paths of `tree`.
    pub(super) fn note(
        &mut self,
        world: &World<'_, '_, '_>,
        slot: Slot,
        tree: &Tree<'_>,
        whole: &[PathId],
    ) {
        let mut used: FxHashMap<Slot, PathId> = FxHashMap::default();
        for (id, facts) in tree.all_facts() {
            let first = facts.read.first.min(facts.exec.first).min(facts.inherited.first);
            let own = tree.states.get(&id).map_or(NEVER, |state| state.own_since);
            if first >= own || facts.directory {
                continue;
            }
            let Some(&path) = whole.get(id.0 as usize) else { continue };
            for deed in world.deeds.of_id(path) {
                if deed.made() && deed.slot != slot && deed.slot != world.tools {
                    used.entry(deed.slot).or_insert(path);
                }
            }
        }
        let mut used: Vec<(Slot, Vec<u8>)> = used
            .into_iter()
            .filter(|&(maker, _)| {
                let relation = world.order.relation(slot, maker);
                !world.configures(maker) && !matches!(relation, Relation::Around | Relation::Within)
            })
            .map(|(maker, path)| (maker, world.deeds.tree.path(path).to_vec()))
            .collect();
        if !used.is_empty() {
            used.sort_unstable();
            self.used.insert(slot, used);
        }
    }

    /// Adds a reason to every one of `slots` that used what one with a reason made.
    pub(super) fn spread(
        &self,
        world: &World<'_, '_, '_>,
        slots: &[Slot],
        reasons: &mut [Vec<String>],
    ) {
        let position: FxHashMap<Slot, usize> =
            slots.iter().enumerate().map(|(at, &slot)| (slot, at)).collect();
        let mut users: Vec<Vec<(usize, &[u8])>> = vec![Vec::new(); slots.len()];
        for (at, slot) in slots.iter().enumerate() {
            for (maker, path) in self.used.get(slot).into_iter().flatten() {
                if let Some(&maker) = position.get(maker) {
                    users[maker].push((at, path));
                }
            }
        }
        let mut open: Vec<usize> =
            (0..slots.len()).rev().filter(|&at| !reasons[at].is_empty()).collect();
        let mut tainted = vec![false; slots.len()];
        while let Some(maker) = open.pop() {
            for &(user, path) in &users[maker] {
                if !std::mem::replace(&mut tainted[user], true) {
                    if reasons[user].is_empty() {
                        open.push(user);
                    }
                    let path = crate::name::display(path, world.workspace);
                    let (maker, _) = &world.names[slots[maker] as usize];
                    reasons[user]
                        .push(format!("it used {path} of {maker}, which must not be published"));
                }
            }
        }
    }
}
