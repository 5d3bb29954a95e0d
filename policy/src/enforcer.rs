//! The judge's answers while the action runs.

use crate::classify::Change;
use crate::declaration::Declaration;
use crate::judge::Judge;
use crate::name::{absolute, components};
use crate::policy::{Policy, Reaction};
use crate::producers::Producers;
use crate::rules::Rule;
use crate::tree::is_directory;
use airtight_recording::Kind;
use rustc_hash::FxHashMap;

/// What a process is about to do to one path.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The canonical path, as far as it can be known before the call.
    pub path: &'a [u8],
    /// The absolute name as asked for.
    pub requested: &'a [u8],
    /// What it wants.
    pub kind: Kind,
    /// Whether the path exists now.
    pub exists: bool,
    /// Whether the action has itself written the path earlier.
    pub own: bool,
    /// File type bits (`st_mode & S_IFMT`), or 0 when not known: then a probe is let through and
    /// judged at the end, because directories may be looked at freely.
    pub object: u32,
}

/// What to do with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Let the call be made.
    Allow,
    /// The call fails with EACCES.
    Deny,
    /// The call fails with ENOENT.
    Hide,
    /// The whole tree is killed.
    Kill,
}

/// Decides calls as they are made, by the same rules as [`crate::judge`]. What can't be known
/// yet is let through and judged at the end: a new file in the workspace may be a temporary one.
/// Only a reaction set for W001 itself refuses such files at once.
#[derive(Debug)]
pub struct Enforcer<'a> {
    judge: Judge<'a>,
    /// A process repeats itself: answers that depend on nothing but path and kind.
    known: FxHashMap<(Box<[u8]>, Kind), Option<Rule>>,
}

/// Whether any rule of the policy is enforced in the act, so that an [`Enforcer`] is of use.
pub fn enforces(policy: &Policy) -> bool {
    Rule::all().any(|doc| policy.reaction(doc.rule, policy.severity(doc.rule)) >= Reaction::Deny)
}

impl<'a> Enforcer<'a> {
    /// An enforcer for one action.
    pub fn new(declaration: &'a Declaration, policy: &'a Policy) -> Enforcer<'a> {
        Enforcer { judge: Judge::new(declaration, policy), known: FxHashMap::default() }
    }

    /// Tells it of the other actions of the build.
    #[must_use]
    pub fn producers(mut self, producers: &'a Producers) -> Enforcer<'a> {
        self.judge = self.judge.producers(producers);
        self
    }

    /// The answer to one attempt.
    pub fn decide(&mut self, attempt: &Attempt<'_>) -> Answer {
        self.rule(attempt).map_or(Answer::Allow, |rule| self.answer(rule))
    }

    /// The rule that the attempt breaks for certain.
    pub fn rule(&mut self, attempt: &Attempt<'_>) -> Option<Rule> {
        if attempt.own {
            return None;
        }
        match attempt.kind {
            Kind::Write | Kind::Delete => self.write(attempt),
            _ if !attempt.exists => None,
            // What a link leads to is asked for too, and judged then.
            Kind::Link => None,
            Kind::Probe if attempt.object == 0 => None,
            _ => self.read(attempt),
        }
    }

    fn read(&mut self, attempt: &Attempt<'_>) -> Option<Rule> {
        let directory = is_directory(attempt.object);
        let plain = attempt.requested == attempt.path && !directory;
        let key = (Box::from(attempt.path), attempt.kind);
        if plain && let Some(rule) = self.known.get(&key) {
            return *rule;
        }
        let others = || asked_for(attempt);
        let rule = self
            .judge
            .read_rule(attempt.path, &others, attempt.kind, directory, false, &|_| true)
            .map(|hit| hit.rule);
        if plain {
            self.known.insert(key, rule);
        }
        rule
    }

    fn write(&self, attempt: &Attempt<'_>) -> Option<Rule> {
        let strict = self.judge.policy.reaction_of.contains_key(&Rule::W001);
        let stays = attempt.kind == Kind::Write && (attempt.exists || strict);
        let change = Change {
            existed: Some(attempt.exists),
            stays,
            directory: is_directory(attempt.object),
            // An own directory may come to hold outputs; nobody knows yet.
            empty: false,
            content: true,
        };
        let others = || asked_for(attempt);
        let hit = self.judge.write_rule(attempt.path, &others, change, &|_| true)?;
        // Whether a temporary is left behind shows at the end.
        (hit.rule != Rule::W007).then_some(hit.rule)
    }

    fn answer(&self, rule: Rule) -> Answer {
        let policy = self.judge.policy;
        match policy.reaction(rule, policy.severity(rule)) {
            Reaction::Record | Reaction::Warn | Reaction::Fail => Answer::Allow,
            Reaction::Deny => Answer::Deny,
            Reaction::Hide => Answer::Hide,
            Reaction::Kill => Answer::Kill,
        }
    }
}

/// The requested name, where its text alone says what it means: `..` after a link does not.
fn asked_for(attempt: &Attempt<'_>) -> Vec<Vec<u8>> {
    let plain = !components(attempt.requested).any(|part| part == b"..");
    Vec::from_iter(plain.then(|| absolute(b"/", attempt.requested)))
}
