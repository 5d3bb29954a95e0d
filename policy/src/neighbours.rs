//! What the rest of a build has to do with the paths that one action touches.

use crate::classify::{Change, Hit};
use crate::fix::Work;
use crate::producers::{Order, Part, Producer, Producers};
use crate::rules::Rule;
use std::fmt::Debug;

/// What a read of a path means, seen from the rest of the build.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nobody else makes it: the action's own declaration decides.
    Source,
    /// It is as it should be.
    Settled,
    /// It breaks a rule.
    Broken(Hit),
}

/// The rest of a build, as one of its actions meets it. What is not overridden says that the
/// action stands alone.
pub(crate) trait Neighbours: Debug {
    /// Whether this action is judged as a part of a whole build, so that what concerns all of it
    /// (the end of the recording, outputs that are missing at the end) is judged elsewhere.
    fn whole(&self) -> bool {
        false
    }

    /// What the action does, for the words of its description.
    fn work(&self) -> Work {
        Work::Command
    }

    /// Whether anything at all may be known of `path`.
    fn concerns(&self, path: &[u8]) -> bool;

    /// Whether the graph runs the action again when `path` changes; with `declared` it must be
    /// the description itself that says so, and no depfile.
    fn covers(&self, _path: &[u8], _declared: bool) -> bool {
        false
    }

    /// What is wrong with a read of something that is declared.
    fn race(&self, _path: &[u8]) -> Option<Hit> {
        None
    }

    /// What a read of something undeclared means.
    fn read(&self, path: &[u8]) -> Reading;

    /// What is left of `rule`, broken by a read of something that nobody else makes.
    fn source(&self, _path: &[u8], rule: Rule) -> Option<Hit> {
        Some(Hit::of(rule))
    }

    /// The rule for a name that was looked for and was not there.
    fn absent(&self, path: &[u8], failed: bool) -> Option<Hit>;

    /// What other actions have to do with a path that this one changed.
    fn written(&self, path: &[u8], change: Change) -> Option<Hit>;

    /// What is left of `rule`, broken by an undeclared change; `inside` the workspace or not.
    fn changed(&self, _path: &[u8], rule: Rule, _change: Change, _inside: bool) -> Option<Hit> {
        Some(Hit::of(rule))
    }
}

impl Neighbours for Producers {
    fn concerns(&self, _path: &[u8]) -> bool {
        !self.is_empty()
    }

    fn read(&self, path: &[u8]) -> Reading {
        let parts = [Part::Output, Part::UndeclaredOutput];
        let Some(producer) = self.find(path, &parts) else { return Reading::Source };
        let rule = match (producer.part, producer.order) {
            (Part::UndeclaredOutput, _) => Rule::R005,
            (_, Order::Before) => Rule::R002,
            (_, Order::Unordered) => Rule::R003,
            (_, Order::After) => Rule::R004,
        };
        Reading::Broken(Hit::with(rule, producer.clone()))
    }

    fn absent(&self, path: &[u8], failed: bool) -> Option<Hit> {
        if let Some(producer) = self.find_above(path, &[Part::UndeclaredOutput]) {
            return Some(Hit::with(Rule::R009, producer.clone()));
        }
        match self.read(path) {
            Reading::Broken(hit) if failed => Some(hit),
            _ => None,
        }
    }

    fn written(&self, path: &[u8], change: Change) -> Option<Hit> {
        let hit = |rule, producer: &Producer| Hit::with(rule, producer.clone());
        if change.stays {
            let writer = self.find(path, &[Part::Output, Part::UndeclaredOutput]);
            let prober = || self.find(path, &[Part::AbsentProbe]).map(|p| hit(Rule::W006, p));
            return writer.map(|p| hit(Rule::W003, p)).or_else(prober);
        }
        let other = self.find(path, &[Part::Temporary])?;
        (other.order == Order::Unordered).then(|| hit(Rule::W008, other))
    }
}
