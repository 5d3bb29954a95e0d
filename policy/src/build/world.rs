//! A whole build as one of its actions meets it.

use super::closure::Closure;
use super::deeds::{Deed, Deeds};
use super::edges::Edges;
use super::graph::{Nature, Via};
use super::order::{Order, Relation};
use super::parts::Slot;
use crate::classify::{Change, Hit};
use crate::fix::Work;
use crate::name::{ancestors, below};
use crate::neighbours::{Neighbours, Reading};
use crate::policy::Severity;
use crate::producers::{self, Part, Producer};
use crate::rules::Rule;
use crate::source::Place;
use airtight_recording::PathId;
use std::fmt;

/// Everything about a build that all judgements of its actions need.
pub(super) struct World<'w, 'b, 'r> {
    pub(super) edges: &'w Edges<'b>,
    pub(super) order: &'w Order<'w, 'b>,
    pub(super) deeds: &'w Deeds<'r>,
    /// How actions and the trees of nobody are called, and where they are declared.
    pub(super) names: &'w [(String, Option<Place>)],
    /// How many actions the graph has.
    pub(super) actions: u32,
    /// The slot of all build tools.
    pub(super) tools: Slot,
    /// The root of the workspace.
    pub(super) workspace: &'w [u8],
    /// For each run whether it builds in a directory apart from its sources.
    pub(super) apart: &'w [bool],
    /// The directories in which something is built.
    pub(super) places: &'w [&'b [u8]],
    /// Which slots failed.
    pub(super) failed: &'w [bool],
}

/// How a slot is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// An action that runs when an input is newer.
    Normal,
    /// An action that runs in every build.
    Always,
    /// It makes the build description.
    Configure,
    /// The command of the audit itself.
    Command,
    /// Processes that nobody knows the action of.
    Stray,
}

impl World<'_, '_, '_> {
    fn role(&self, slot: Slot) -> Role {
        if slot >= self.actions {
            return Role::Stray;
        }
        match self.edges.nature(slot) {
            _ if slot == 0 => Role::Command,
            Nature::Configure => Role::Configure,
            Nature::Always => Role::Always,
            Nature::Normal | Nature::Alias if self.forced(slot) => Role::Always,
            Nature::Normal | Nature::Alias => Role::Normal,
        }
    }

    /// Whether an action depends on a name that is never there, so that it runs every time. For
    /// make any such name does (GNU make, Force Targets), for ninja one without inputs.
    fn forced(&self, slot: Slot) -> bool {
        let run = self.edges.run(slot).and_then(|run| self.edges.graph.runs.get(run as usize));
        let make = run.is_some_and(|run| run.tool == "make");
        let never = |&maker: &u32| match self.edges.nature(maker) {
            Nature::Always => maker != slot,
            Nature::Alias => make || self.edges.inputs(maker).next().is_none(),
            Nature::Normal | Nature::Configure => false,
        };
        self.edges.inputs(slot).filter(|(_, via)| *via == Via::Declared).any(|(path, _)| {
            let makers = self.edges.makers(path);
            !makers.is_empty()
                && makers.iter().all(never)
                && self.deeds.exists(self.edges.path(path)) != Some(true)
        })
    }

    pub(super) fn configures(&self, slot: Slot) -> bool {
        slot < self.actions && self.edges.nature(slot) == Nature::Configure
    }

    fn producer(&self, slot: Slot, order: producers::Order, part: Part) -> Producer {
        let (action, declared_at) = self.names.get(slot as usize).cloned().unwrap_or_default();
        Producer { action, declared_at, order, part }
    }

    fn name(&self, slot: Slot) -> &str {
        self.names.get(slot as usize).map_or("", |(name, _)| name)
    }

    fn declares(&self, slot: Slot, path: &[u8]) -> bool {
        slot < self.actions && self.edges.declares(slot, path)
    }
}

/// One slot of a build among the others.
pub(super) struct Member<'w, 'b, 'r> {
    world: &'w World<'w, 'b, 'r>,
    slot: Slot,
    role: Role,
    closure: Closure<'w, 'b>,
}

impl fmt::Debug for Member<'_, '_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.world.name(self.slot)).finish()
    }
}

/// Who made a path that was read.
enum Maker {
    /// An action that has to be ordered before its readers.
    Other(Slot, Relation),
    /// What this action itself runs, or the tool for it.
    Own,
    /// Nobody: as far as this action is concerned it is a source.
    Nobody,
}

impl<'w, 'b, 'r> Member<'w, 'b, 'r> {
    pub(super) fn new(world: &'w World<'w, 'b, 'r>, slot: Slot) -> Member<'w, 'b, 'r> {
        let closure = Closure::new(world.edges, slot);
        Member { world, slot, role: world.role(slot), closure }
    }

    /// Whether this action can be out of date at all, as far as the rest of the build knows.
    pub(super) fn is_normal(&self) -> bool {
        self.role == Role::Normal
    }

    fn relation(&self, other: Slot) -> Relation {
        self.world.order.relation(self.slot, other)
    }

    /// The others that really made a file of this name, with how they stand to this one. What
    /// makes the build description, and what runs around a tool, makes sources for it.
    fn makers(&self, path: &[u8]) -> impl Iterator<Item = (Deed, Relation)> {
        let others = self.world.deeds.of(path).iter();
        let others = others.filter(|deed| deed.slot != self.slot && deed.slot < self.world.tools);
        let others = others.filter(|deed| deed.made() && !self.world.configures(deed.slot));
        others.map(|deed| (*deed, self.relation(deed.slot)))
    }

    fn maker(&self, path: &[u8]) -> Maker {
        let deeds = self.world.deeds.of(path);
        let mut best: Option<(Slot, Relation)> = None;
        let mut note = |slot: Slot, relation: Relation| {
            let rank = |relation| match relation {
                Relation::Before => 0,
                Relation::Unordered => 1,
                _ => 2,
            };
            let key = |slot: Slot, relation| {
                (rank(relation), !self.world.declares(slot, path), self.world.name(slot), slot)
            };
            if best.is_none_or(|(other, known)| key(slot, relation) < key(other, known)) {
                best = Some((slot, relation));
            }
        };
        // A response file of the tool is there while the action runs only.
        let by_tool = |deed: &Deed| deed.slot == self.world.tools && deed.content;
        let mut own = deeds.iter().any(by_tool);
        if deeds.iter().any(|deed| deed.made() && deed.slot != self.slot) {
            for (deed, relation) in self.makers(path) {
                match relation {
                    Relation::Within => own = true,
                    Relation::Around => {}
                    _ => note(deed.slot, relation),
                }
            }
        } else if let Some(id) = self.world.edges.find(path) {
            // Nobody made it in this build, but somebody would.
            let makers = self.world.edges.makers(id).iter().copied();
            let normal =
                |&slot: &u32| slot != self.slot && self.world.edges.nature(slot) == Nature::Normal;
            for slot in makers.filter(normal) {
                match self.relation(slot) {
                    Relation::Within => own = true,
                    Relation::Around => {}
                    relation => note(slot, relation),
                }
            }
        }
        match best {
            Some((slot, relation)) => Maker::Other(slot, relation),
            None if own => Maker::Own,
            None => Maker::Nobody,
        }
    }

    /// Whether reads of this slot are judged.
    fn reads(&self) -> bool {
        !matches!(self.role, Role::Configure | Role::Stray)
    }

    fn unordered(&self, maker: Slot, path: &[u8], covered: bool) -> Hit {
        let part =
            if self.world.declares(maker, path) { Part::Output } else { Part::UndeclaredOutput };
        let producer = self.world.producer(maker, producers::Order::Unordered, part);
        let mut hit = Hit::with(Rule::R003, producer);
        if covered {
            hit.detail = ", which only a depfile of an earlier build knows";
            if part == Part::UndeclaredOutput {
                hit.detail = ", which does not declare it";
            }
        }
        hit
    }

    fn after(&self, maker: Slot, path: &[u8]) -> Hit {
        let part =
            if self.world.declares(maker, path) { Part::Output } else { Part::UndeclaredOutput };
        let hit = Hit::with(Rule::R004, self.world.producer(maker, producers::Order::After, part));
        // What runs in every build may well compare with the result of the build before.
        if self.role == Role::Always { hit.at_most(Severity::Note) } else { hit }
    }

    /// Whether a path lies in the sources of a build that keeps them apart.
    fn among_sources(&self, path: &[u8]) -> bool {
        let Some(run) = self.world.order.run(self.slot) else { return false };
        self.world.apart.get(run as usize) == Some(&true)
            && !self.world.places.iter().any(|place| below(path, place).is_some())
    }

    /// Another action whose source this is, as the description has it.
    fn user(&self, path: &[u8]) -> Option<Slot> {
        let id = self.world.edges.find(path)?;
        let mut users = self.world.edges.users(id).iter().copied();
        if self.world.edges.makers(id).is_empty() {
            users.find(|&slot| slot != self.slot)
        } else {
            None
        }
    }

    /// The removal of what another action made, or declares.
    fn removal(&self, path: &[u8]) -> Option<Hit> {
        let own = self.world.deeds.of(path).iter().find(|deed| deed.slot == self.slot)?;
        let made = self.makers(path).find(|(deed, relation)| {
            !matches!(relation, Relation::Within | Relation::Around)
                // To clean up what an earlier build left is what some actions are for.
                && (self.role == Role::Normal || deed.first < own.first)
        });
        if let Some((deed, relation)) = made {
            let producer = self.world.producer(deed.slot, order_of(relation), Part::Output);
            let hit = Hit::with(Rule::W009, producer);
            // `make; make clean` is meant so; `make -j clean all` is a race.
            let meant = self.role == Role::Always && relation == Relation::Before;
            return Some(if meant { hit.at_most(Severity::Record) } else { hit });
        }
        if self.role != Role::Normal {
            return None;
        }
        let id = self.world.edges.find(path)?;
        let normal =
            |slot: &u32| *slot != self.slot && self.world.edges.nature(*slot) == Nature::Normal;
        let maker = self.world.edges.makers(id).iter().copied().find(normal)?;
        let relation = self.relation(maker);
        let apart = !matches!(relation, Relation::Within | Relation::Around);
        let producer = || self.world.producer(maker, order_of(relation), Part::Output);
        apart.then(|| Hit::with(Rule::W009, producer()))
    }

    /// Whether it is this action, of two that write the same file, that is told of it.
    fn is_told(&self, path: &[u8], other: Slot, relation: Relation) -> bool {
        let key = |slot: Slot| (!self.world.declares(slot, path), self.world.name(slot), slot);
        let (own, theirs) = (key(self.slot), key(other));
        match relation {
            _ if own.0 != theirs.0 => own.0,
            Relation::Before => true,
            Relation::After => false,
            _ => own > theirs,
        }
    }

    fn double_write(&self, path: &[u8]) -> Option<Hit> {
        let mut best: Option<(bool, &str, Slot, Relation)> = None;
        for (deed, relation) in self.makers(path) {
            let other = deed.slot;
            if matches!(relation, Relation::Within | Relation::Around)
                || !self.is_told(path, other, relation)
            {
                continue;
            }
            let both = self.world.declares(other, path) && self.world.declares(self.slot, path);
            let again = self.world.name(other) == self.world.name(self.slot);
            if both && again && relation != Relation::Unordered {
                // The same action in a later run of the tool.
                continue;
            }
            let key = (!self.world.declares(other, path), self.world.name(other), other, relation);
            if best.is_none_or(|known| (key.0, key.1, key.2) < (known.0, known.1, known.2)) {
                best = Some(key);
            }
        }
        let (undeclared, _, other, relation) = best?;
        let part = if undeclared { Part::UndeclaredOutput } else { Part::Output };
        let producer = self.world.producer(other, order_of(relation), part);
        let detail = match relation {
            Relation::Unordered => ", and nothing orders the two",
            _ => ", one after the other",
        };
        Some(Hit { detail, ..Hit::with(Rule::W003, producer) })
    }

    /// Another action that looked for what this one makes, before it was there.
    fn looked_for(&self, path: &[u8]) -> Option<Hit> {
        let own = self.world.deeds.of(path).iter().find(|deed| deed.slot == self.slot)?;
        if own.existed || self.world.deeds.exists(path) != Some(true) {
            return None;
        }
        let mut found: Option<(&str, Slot, Relation)> = None;
        for look in self.world.deeds.looks(path) {
            let slot = look.slot;
            if look.first >= own.first || slot == self.slot || slot >= self.world.actions {
                continue;
            }
            let makes = self.world.deeds.of(path).iter().any(|deed| deed.slot == slot);
            let role = self.world.role(slot);
            let failed = self.world.failed.get(slot as usize) == Some(&true);
            if makes || failed || self.world.declares(slot, path) {
                continue;
            }
            let relation = self.relation(slot);
            let harmless = match relation {
                Relation::Within | Relation::Around | Relation::After => true,
                Relation::Before => role != Role::Normal,
                Relation::Unordered => matches!(role, Role::Configure | Role::Command),
            };
            let key = (self.world.name(slot), slot);
            if !harmless && found.is_none_or(|(name, slot, _)| key < (name, slot)) {
                found = Some((key.0, slot, relation));
            }
        }
        let (_, slot, relation) = found?;
        let producer = self.world.producer(slot, order_of(relation), Part::AbsentProbe);
        Some(Hit::with(Rule::W006, producer))
    }

    fn shared_temporary(&self, path: &[u8]) -> Option<Hit> {
        let deeds = self.world.deeds.of(path);
        let own = deeds.iter().find(|deed| deed.slot == self.slot && deed.temporary())?;
        let mut best: Option<(&str, Slot)> = None;
        for other in deeds.iter().filter(|deed| deed.slot != self.slot) {
            if other.slot >= self.world.tools || (own.exclusive && other.exclusive) {
                continue;
            }
            let key = (self.world.name(other.slot), other.slot);
            let told = other.made()
                || (other.temporary() && (self.world.name(self.slot), self.slot) > key);
            if told
                && self.relation(other.slot) == Relation::Unordered
                && best.is_none_or(|known| key < known)
            {
                best = Some(key);
            }
        }
        let (_, other) = best?;
        let order = producers::Order::Unordered;
        Some(Hit::with(Rule::W008, self.world.producer(other, order, Part::Temporary)))
    }
}

fn order_of(relation: Relation) -> producers::Order {
    match relation {
        Relation::Before | Relation::Around => producers::Order::Before,
        Relation::After | Relation::Within => producers::Order::After,
        Relation::Unordered => producers::Order::Unordered,
    }
}

impl Neighbours for Member<'_, '_, '_> {
    fn whole(&self) -> bool {
        true
    }

    fn work(&self) -> Work {
        let edges = self.world.edges;
        let ends = |path: PathId, with: &[&str]| {
            with.iter().any(|end| edges.path(path).ends_with(end.as_bytes()))
        };
        let objects = [".o", ".obj", ".lo"];
        let inputs = edges.inputs(self.slot).filter(|(_, via)| *via == Via::Declared);
        let mut inputs = inputs.map(|(path, _)| path);
        if edges.outputs(self.slot).next().is_some_and(|path| ends(path, &objects)) {
            let sources =
                [".c", ".cc", ".cpp", ".cxx", ".C", ".m", ".mm", ".S", ".s", ".f90", ".cu"];
            let source = inputs.find(|&path| ends(path, &sources));
            return source.map_or(Work::Command, |path| Work::Compile(edges.path(path).to_vec()));
        }
        if inputs.any(|path| ends(path, &objects)) { Work::Link } else { Work::Command }
    }

    fn concerns(&self, path: &[u8]) -> bool {
        self.world.edges.find(path).is_some() || !self.world.deeds.of(path).is_empty()
    }

    fn covers(&self, path: &[u8], declared: bool) -> bool {
        let edges = self.world.edges;
        let known = |path: &[u8]| {
            edges.find(path).filter(|&path| self.closure.covers(path, declared)).is_some()
        };
        // Of a directory that an action makes as a whole all is meant.
        let made = |path: &&[u8]| edges.find(path).is_some_and(|id| !edges.makers(id).is_empty());
        let above = || ancestors(path).skip(1).filter(made).any(known);
        self.reads() && (known(path) || above())
    }

    fn race(&self, path: &[u8]) -> Option<Hit> {
        if !self.reads() {
            return None;
        }
        let Maker::Other(maker, relation) = self.maker(path) else { return None };
        // The description itself may order them by way of a name that the maker does not declare.
        if self.world.order.before(maker, self.slot) {
            return None;
        }
        Some(match relation {
            Relation::After => self.after(maker, path),
            _ => self.unordered(maker, path, true),
        })
    }

    fn read(&self, path: &[u8]) -> Reading {
        if self.owes_depfile()
            && self.reads()
            && let Maker::Other(maker, relation) = self.maker(path)
        {
            if self.world.order.before(maker, self.slot) {
                return Reading::Settled;
            }
            return Reading::Broken(match relation {
                Relation::After => self.after(maker, path),
                _ => self.unordered(maker, path, !self.world.declares(maker, path)),
            });
        }
        self.undeclared(path)
    }

    fn source(&self, path: &[u8], rule: Rule) -> Option<Hit> {
        let stale = matches!(rule, Rule::R001 | Rule::R002 | Rule::R006 | Rule::R007);
        match (self.role, rule) {
            (Role::Configure | Role::Stray | Role::Command, _) => None,
            (Role::Always, _) if stale => None,
            _ if stale && self.owes_depfile() => None,
            // To compare with the result of the build before is common, and mostly harmless.
            (_, Rule::R008) => Some(Hit::of(rule).at_most(Severity::Note)),
            _ => Some(self.order_only(path, Hit::of(rule))),
        }
    }

    fn absent(&self, path: &[u8], failed: bool) -> Option<Hit> {
        match failed.then(|| self.undeclared(path)) {
            Some(Reading::Broken(hit)) => Some(hit),
            _ => None,
        }
    }

    fn written(&self, path: &[u8], change: Change) -> Option<Hit> {
        // What is written to a device is kept nowhere.
        let device = path.starts_with(b"/dev/");
        if change.directory || !change.content || device || self.role == Role::Configure {
            return None;
        }
        if change.stays {
            self.double_write(path).or_else(|| self.looked_for(path))
        } else {
            self.shared_temporary(path)
        }
    }

    fn changed(&self, path: &[u8], rule: Rule, change: Change, inside: bool) -> Option<Hit> {
        if !inside {
            return Some(Hit::of(rule));
        }
        if matches!(self.role, Role::Configure | Role::Command | Role::Stray) || change.directory {
            return None;
        }
        if rule == Rule::W009 {
            return self.removal(path);
        }
        if rule != Rule::W001 {
            return None;
        }
        if change.existed == Some(true)
            && self.world.deeds.existed(path)
            && let Some(user) = self.user(path)
        {
            let order = order_of(self.relation(user));
            let producer = self.world.producer(user, order, Part::Input);
            return Some(Hit::with(Rule::W005, producer));
        }
        // What runs in every build, as to install does, writes where it is told to.
        if self.role == Role::Normal && self.among_sources(path) {
            return Some(Hit::of(rule));
        }
        let action = self.world.edges.action(self.slot);
        let closed = action.is_some_and(|action| action.closed) && self.role == Role::Normal;
        closed.then(|| Hit::of(rule).at_most(Severity::Note))
    }
}

impl Member<'_, '_, '_> {
    /// Whether this action failed before its depfile told what it depends on. It runs again
    /// whatever changes, so only the order of what it read matters.
    fn owes_depfile(&self) -> bool {
        let action = self.world.edges.action(self.slot);
        self.world.failed.get(self.slot as usize) == Some(&true)
            && action.is_some_and(|action| !self.world.edges.path(action.depfile).is_empty())
    }

    /// What a read means of what neither the description nor a depfile names.
    fn undeclared(&self, path: &[u8]) -> Reading {
        if !self.reads() {
            return Reading::Settled;
        }
        let (maker, relation) = match self.maker(path) {
            Maker::Nobody => return Reading::Source,
            Maker::Own => return Reading::Settled,
            Maker::Other(maker, relation) => (maker, relation),
        };
        let stale = self.role == Role::Normal;
        let declared = self.world.declares(maker, path);
        Reading::Broken(match relation {
            Relation::Before if !stale => return Reading::Settled,
            _ if !declared && stale && relation != Relation::After => {
                let action = self.world.edges.action(maker);
                if action.is_some_and(|action| !action.closed) && self.closure.follows(maker, false)
                {
                    // In make a rule can't declare it, and whenever it changes the reader runs.
                    return Reading::Settled;
                }
                let producer =
                    self.world.producer(maker, order_of(relation), Part::UndeclaredOutput);
                Hit::with(Rule::R005, producer)
            }
            Relation::Before => {
                let producer = self.world.producer(maker, order_of(relation), Part::Output);
                self.order_only(path, Hit::with(Rule::R002, producer))
            }
            Relation::After => self.after(maker, path),
            _ => self.unordered(maker, path, false),
        })
    }

    /// Says of a finding that the graph knows the path, though not as it should.
    fn order_only(&self, path: &[u8], hit: Hit) -> Hit {
        let known = self.world.edges.find(path).is_some_and(|path| self.closure.knows(path));
        if !known {
            return hit;
        }
        Hit {
            detail: ", which is known as order-only",
            effect: "{} is built first, but a change to it would not rebuild {action}",
            ..hit
        }
    }
}
