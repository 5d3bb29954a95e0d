//! Which rule one touch of one path breaks. The judge and the enforcer share this.

use crate::declaration::Flavour;
use crate::declared::Roles;
use crate::judge::Judge;
use crate::name::{components, parent};
use crate::neighbours::Reading;
use crate::policy::Severity;
use crate::policy::{Stat, Strictness};
use crate::producers::Producer;
use crate::rules::Rule;
use crate::scopes::Scope;
use airtight_recording::Kind;

/// A rule that a touch breaks.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) rule: Rule,
    /// The other action concerned.
    pub(crate) producer: Option<Producer>,
    /// One step more severe than the policy says of notes.
    pub(crate) loud: bool,
    /// No more severe than this, unless the policy names the rule.
    pub(crate) at_most: Option<Severity>,
    /// What the message says beyond the rule's own; empty for nothing.
    pub(crate) detail: &'static str,
    /// What follows, in place of what the rule says; empty for that.
    pub(crate) effect: &'static str,
}

impl Hit {
    pub(crate) fn of(rule: Rule) -> Hit {
        Hit { rule, producer: None, loud: false, at_most: None, detail: "", effect: "" }
    }

    pub(crate) fn with(rule: Rule, producer: Producer) -> Hit {
        Hit { producer: Some(producer), ..Hit::of(rule) }
    }

    pub(crate) fn at_most(self, severity: Severity) -> Hit {
        Hit { at_most: Some(severity), ..self }
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
    /// Whether content was changed, not metadata alone.
    pub(crate) content: bool,
}

const DECLARED: Roles = Roles::INPUT.and(Roles::INPUT_TREE);

/// What the action makes itself: what of it is there beforehand comes from an earlier run.
const MADE: Roles = Roles::OUTPUT.and(Roles::SIDE_EFFECT).and(Roles::TEMPORARY);

impl Judge<'_> {
    /// What `path` is to the action, by its declaration and by the graph of the build, of which
    /// depfiles are left out where `declared` is asked for.
    fn roles(&self, path: &[u8], declared: bool) -> Roles {
        let roles = self.declared.roles(path);
        if self.neighbours.covers(path, declared) { roles | Roles::INPUT } else { roles }
    }

    /// Whether roles are those of a side effect in SCons: it runs the actions that share one, one
    /// after the other, so each may read what the one before has left.
    fn is_shared(&self, roles: Roles) -> bool {
        self.declaration.flavour == Flavour::Scons && roles.any(Roles::SIDE_EFFECT)
    }

    /// Whether reading `path` is allowed because it is shared. The result depends on who came
    /// before, so it can't be kept.
    pub(crate) fn reads_shared(&self, path: &[u8]) -> bool {
        let roles = self.roles(path, false);
        self.is_shared(roles) && !roles.is_input()
    }

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
    ) -> Option<Hit> {
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
        let mut roles = self.roles(path, false);
        if roles.any(DECLARED) {
            return self.neighbours.race(path);
        }
        let exempt = match scope {
            Scope::Toolchain => self.policy.strictness < Strictness::All,
            Scope::Temporary => kind == Kind::Probe,
            _ => false,
        };
        let exempt = exempt || self.policy.strictness == Strictness::Generated;
        if exempt && !roles.any(MADE) && !self.neighbours.concerns(path) {
            return None;
        }
        // Links lead out of the toolchain into /etc and the like: either end is enough here too.
        let mut from_toolchain = false;
        for name in others() {
            roles = roles | self.roles(&name, false);
            from_toolchain |=
                scope == Scope::Outside && self.declared.scope(&name) == Scope::Toolchain;
        }
        let exempt = exempt || (from_toolchain && self.policy.strictness < Strictness::All);
        if roles.any(DECLARED) {
            return self.neighbours.race(path);
        }
        if self.is_shared(roles) {
            return None;
        }
        if roles.any(MADE) {
            // Tools look at what they are about to replace; that alone changes nothing.
            let looks = matches!(kind, Kind::Probe | Kind::Link);
            return if looks { None } else { self.neighbours.source(path, Rule::R008) };
        }
        match self.neighbours.read(path) {
            Reading::Source => {}
            Reading::Settled => return None,
            Reading::Broken(hit) => return Some(hit),
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
        self.neighbours.source(path, rule)
    }

    /// The rule for a name that was not there. A failed action that looked for what another one
    /// makes has probably failed because of it.
    pub(crate) fn absent_rule(&self, path: &[u8], failed: bool) -> Option<Hit> {
        if self.roles(path, false).is_input() {
            return if failed { self.neighbours.race(path) } else { None };
        }
        self.neighbours.absent(path, failed)
    }

    /// The rule that a change breaks.
    pub(crate) fn write_rule(
        &self,
        path: &[u8],
        others: &dyn Fn() -> Vec<Vec<u8>>,
        change: Change,
        own: &dyn Fn(u32) -> bool,
    ) -> Option<Hit> {
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
        if self.neighbours.whole() && scope == Scope::Workspace && change.stays && !change.content {
            // Build systems touch and chmod files of each other's; that changes what is built next,
            // and never what is built.
            return None;
        }
        let mut roles = self.roles(path, true);
        for name in others() {
            roles = roles | self.roles(&name, true);
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
        let inside = scope == Scope::Workspace;
        if existed {
            return self.neighbours.changed(path, undeclared, change, inside);
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
        self.neighbours.changed(path, rule, change, inside)
    }
}

/// `/proc` and the like: what belongs to the action itself is of no interest, other processes
/// are of more interest than the rest.
fn host_rule(path: &[u8], own: &dyn Fn(u32) -> bool) -> Option<Hit> {
    match pid_of(path) {
        Some(pid) if own(pid) => None,
        pid => Some(Hit { loud: pid.is_some(), ..Hit::of(Rule::H004) }),
    }
}

/// The process whose directory under /proc it is.
fn pid_of(path: &[u8]) -> Option<u32> {
    let mut parts = components(path);
    let second = (parts.next() == Some(b"proc")).then(|| parts.next()).flatten()?;
    std::str::from_utf8(second).ok()?.parse().ok()
}
