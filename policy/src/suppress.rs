//! Findings that the policy knows of.

use crate::finding::Finding;
use crate::name::below;
use crate::pattern::{Anchored, Globs, anchor};
use crate::policy::{Date, Policy, Suppression};
use crate::source::Place;
use crate::verdict::{KnownBy, Suppressed};

/// The suppressions of a policy, compiled.
#[derive(Debug)]
pub(crate) struct Suppressions<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    entry: &'a Suppression,
    place: Option<&'a Place>,
    /// Its day is over.
    ended: bool,
    anchored: Vec<Anchored>,
    globs: Globs,
}

/// A suppression that is of no use.
pub(crate) struct Unused<'a> {
    /// Its reason, and when it ended.
    pub(crate) text: String,
    pub(crate) place: Option<&'a Place>,
}

impl<'a> Suppressions<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        workspace: &[u8],
        home: Option<&[u8]>,
        today: Option<Date>,
    ) -> Suppressions<'a> {
        let variable = |name: &str| match name {
            "WORKSPACE" => Some(workspace.to_vec()),
            "HOME" => home.map(<[u8]>::to_vec),
            _ => None,
        };
        let compile = |(index, entry): (usize, &'a Suppression)| {
            let anchored = anchor(entry.path.iter(), workspace, &variable);
            Entry {
                entry,
                place: policy.suppress_places.get(index),
                ended: matches!((entry.until, today), (Some(until), Some(today)) if until < today),
                globs: Globs::compile(anchored.iter(), true),
                anchored,
            }
        };
        Suppressions { entries: policy.suppress.iter().enumerate().map(compile).collect() }
    }

    /// Takes out what is known. `actions` are the names of the actions that were judged: what is
    /// for one of them and matched nothing is of no use, and what is over isn't either. What is
    /// for all actions may serve another one.
    pub(crate) fn apply(
        &self,
        findings: Vec<Finding>,
        actions: &[&str],
    ) -> (Vec<Finding>, Vec<Suppressed>, Vec<Unused<'a>>) {
        let mut rest = findings;
        let (mut suppressed, mut unused) = (Vec::new(), Vec::new());
        for known in &self.entries {
            let action = known.entry.action.as_ref();
            if action.is_some_and(|action| !actions.iter().any(|name| action.matches_text(name))) {
                continue;
            }
            let before = suppressed.len();
            if !known.ended {
                let (found, left) = rest.into_iter().partition(|finding| known.covers(finding));
                rest = left;
                suppressed.extend(Vec::into_iter(found).map(|finding| Suppressed {
                    finding,
                    reason: known.entry.reason.clone(),
                    cacheable: known.entry.cacheable,
                    place: known.place.cloned(),
                    by: KnownBy::Policy,
                }));
            }
            if known.ended || (action.is_some() && suppressed.len() == before) {
                let ending = known.entry.until.filter(|_| known.ended);
                let ending = ending.map(|day| format!(", ended {day}")).unwrap_or_default();
                let text = format!("{}{ending}", known.entry.reason);
                unused.push(Unused { text, place: known.place });
            }
        }
        (rest, suppressed, unused)
    }
}

impl Entry<'_> {
    fn covers(&self, finding: &Finding) -> bool {
        let rules = &self.entry.rules;
        let path = &finding.path.0;
        (rules.is_empty() || rules.contains(&finding.rule))
            && match &self.entry.path {
                None => true,
                Some(pattern) if path.is_empty() => pattern.matches_text(&finding.subject),
                Some(_) => {
                    let literal =
                        |a: &Anchored| a.glob.is_empty() && below(path, &a.base).is_some();
                    self.globs.is_match(path) || self.anchored.iter().any(literal)
                }
            }
            && self.entry.action.as_ref().is_none_or(|a| a.matches_text(&finding.action))
    }
}
