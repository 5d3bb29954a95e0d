//! Which rule one touch of one path breaks. The judge and the enforcer share this.

use crate::declared::{Roles, Scope};
use crate::judge::Judge;
use crate::name::{components, parent};
use crate::policy::{Stat, Strictness};
use crate::producers::{Order, Part, Producer};
use crate::rules::Rule;
use airtight_recording::Kind;

/// A rule that a touch breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit<'a> {
    pub(crate) rule: Rule,
    /// The other action concerned.
    pub(crate) producer: Option<&'a Producer>,
    /// One step more severe than the policy says of notes.
    pub(crate) loud: bool,
}

impl Hit<'_> {
    pub(crate) fn of(rule: Rule) -> Hit<'static> {
        Hit { rule, producer: None, loud: false }
    }
}

/// What a tree did to a path, all in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// Whether the path was there before; none when that is not known.
    pub(crate) existed: Option<bool>,
    /// Whether it is there at the end.
    pub(crate) stays: bool,
    pub(crate) directory: bool,
    /// Whether a directory has nothing in it that the tree made.
    pub(crate) empty: bool,
}

const DECLARED: Roles = Roles::INPUT.and(Roles::INPUT_TREE);

/// What the action makes itself: what of it is there beforehand comes from an earlier run.
const MADE: Roles = Roles::OUTPUT.and(Roles::SIDE_EFFECT).and(Roles::TEMPORARY);

impl Judge<'_> {
    /// The rule that a look at something existing breaks. `path` is the canonical name,
    /// `others` gives the names on the way to it, `own` tells whether a pid is the action's.
    pub(crate) fn read_rule(
        &self,
        path: &[u8],
        others: &dyn Fn() -> Vec<Vec<u8>>,
        kind: Kind,
        directory: bool,
        rewritten: bool,
        own: &dyn Fn(u32) -> bool,
    ) -> Option<Hit<'_>> {
        if !path.starts_with(b"/") {
            // A pipe, a socket, a file without a name.
            return None;
        }
        let directory = directory && kind != Kind::Exec;
        let scope = self.declared.scope(path);
        let probe = kind == Kind::Probe && self.policy.stat == Stat::Probe;
        match scope {
            Scope::Ignored => return None,
            Scope::Denied if directory && kind == Kind::Probe => return None,
            Scope::Denied => return Some(Hit::of(Rule::R010)),
            Scope::Host if directory => return None,
            Scope::Host => return host_rule(path, own),
            _ => {}
        }
        if directory || kind == Kind::List || self.declared.is_private(path) {
            return None;
        }
        let mut roles = self.declared.roles(path);
        if roles.any(DECLARED) {
            return None;
        }
        let exempt = match scope {
            Scope::Toolchain => self.policy.strictness < Strictness::All,
            Scope::Temporary => kind == Kind::Probe,
            _ => false,
        };
        let exempt = exempt || self.policy.strictness == Strictness::Generated;
        if exempt && self.producers.is_empty() && !roles.any(MADE) {
            return None;
        }
        // Links lead out of the toolchain into /etc and the like: either end is enough here too.
        let mut from_toolchain = false;
        for name in others() {
            roles = roles | self.declared.roles(&name);
            from_toolchain |=
                scope == Scope::Outside && self.declared.scope(&name) == Scope::Toolchain;
        }
        let exempt = exempt || (from_toolchain && self.policy.strictness < Strictness::All);
        if roles.any(DECLARED) {
            return None;
        }
        if roles.any(MADE) {
            // Tools look at what they are about to replace; that alone changes nothing.
            let looks = matches!(kind, Kind::Probe | Kind::Link);
            return (!looks).then_some(Hit::of(Rule::R008));
        }
        if let Some(hit) = self.generated(path) {
            return Some(hit);
        }
        if exempt {
            return None;
        }
        let inside = scope != Scope::Outside && scope != Scope::Temporary;
        let rule = match kind {
            Kind::Probe if probe => Rule::R007,
            Kind::Exec if inside => Rule::R006,
            _ if !inside => Rule::R010,
            _ if rewritten => Rule::R008,
            _ => Rule::R001,
        };
        Some(Hit::of(rule))
    }

    /// The rule for a read of what another action makes.
    fn generated(&self, path: &[u8]) -> Option<Hit<'_>> {
        let parts = [Part::Output, Part::UndeclaredOutput];
        let producer = self.producers.find(path, &parts)?;
        let rule = match (producer.part, producer.order) {
            (Part::UndeclaredOutput, _) => Rule::R005,
            (_, Order::Before) => Rule::R002,
            (_, Order::Unordered) => Rule::R003,
            (_, Order::After) => Rule::R004,
        };
        Some(Hit { rule, producer: Some(producer), loud: false })
    }

    /// The rule for a name that was not there. A failed action that looked for what another one
    /// makes has probably failed because of it.
    pub(crate) fn absent_rule(&self, path: &[u8], failed: bool) -> Option<Hit<'_>> {
        if self.declared.roles(path).is_input() {
            return None;
        }
        let undeclared = self.producers.find_above(path, &[Part::UndeclaredOutput]);
        match undeclared {
            Some(_) => Some(Hit { rule: Rule::R009, producer: undeclared, loud: false }),
            None if failed => self.generated(path),
            None => None,
        }
    }

    /// The rule that a change breaks.
    pub(crate) fn write_rule(
        &self,
        path: &[u8],
        others: &dyn Fn() -> Vec<Vec<u8>>,
        change: Change,
        own: &dyn Fn(u32) -> bool,
    ) -> Option<Hit<'_>> {
        if !path.starts_with(b"/") {
            return None;
        }
        let existed = change.existed == Some(true);
        let undeclared = if existed && !change.stays { Rule::W009 } else { Rule::W001 };
        let scope = self.declared.scope(path);
        match scope {
            Scope::Ignored => return None,
            Scope::Denied => return Some(Hit::of(undeclared)),
            Scope::Host => {
                let ours = pid_of(path).is_some_and(own);
                return (!ours).then_some(Hit::of(undeclared));
            }
            _ => {}
        }
        if self.declared.is_private(path) {
            return None;
        }
        let mut roles = self.declared.roles(path);
        for name in others() {
            roles = roles | self.declared.roles(&name);
        }
        if roles.any(Roles::SIDE_EFFECT) {
            return None;
        }
        if roles.any(Roles::OUTPUT) {
            return (existed && roles.any(Roles::INPUT)).then_some(Hit::of(Rule::W005));
        }
        let above = change.directory && roles.any(Roles::ABOVE_OUTPUT);
        if above && change.stays {
            return None;
        }
        // What is declared by name is taken to have been there.
        let input = if change.existed.is_none() { Roles::INPUT } else { DECLARED };
        if change.existed != Some(false) && roles.is_input() && roles.any(input) {
            return Some(Hit::of(Rule::W004));
        }
        if roles.any(Roles::TEMPORARY) {
            return change.stays.then_some(Hit::of(Rule::W007));
        }
        if existed {
            return Some(Hit::of(undeclared));
        }
        let around = parent(path).map(|up| self.declared.roles(up)).unwrap_or_default();
        let writable =
            matches!(scope, Scope::Workspace | Scope::Temporary) || around.any(Roles::ABOVE_OUTPUT);
        let rule = match change {
            _ if !writable => Rule::W001,
            Change { stays: false, .. } => return None,
            Change { directory: true, empty: false, .. } => return None,
            Change { directory: true, .. } => Rule::W007,
            _ if scope == Scope::Temporary => Rule::W007,
            _ => Rule::W001,
        };
        Some(Hit::of(rule))
    }
}

/// `/proc` and the like: what belongs to the action itself is of no interest, other processes
/// are of more interest than the rest.
fn host_rule(path: &[u8], own: &dyn Fn(u32) -> bool) -> Option<Hit<'static>> {
    match pid_of(path) {
        Some(pid) if own(pid) => None,
        pid => Some(Hit { rule: Rule::H004, producer: None, loud: pid.is_some() }),
    }
}

/// The process whose directory under /proc it is.
fn pid_of(path: &[u8]) -> Option<u32> {
    let mut parts = components(path);
    let second = (parts.next() == Some(b"proc")).then(|| parts.next()).flatten()?;
    std::str::from_utf8(second).ok()?.parse().ok()
}
