//! Which entry covers which finding.

use super::entries::{Baseline, Entry, Section};
use crate::build::{Build, BuildVerdict, Nature};
use crate::finding::Finding;
use crate::name::{absolute, below};
use crate::pattern::{Globs, Pattern, TextMatcher, anchor};
use crate::policy::Date;
use crate::rules::Rule;
use airtight_recording::Exit;
use rustc_hash::{FxHashMap, FxHashSet};

/// How an entry fares with the findings of one build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many findings it covers.
    pub covers: u64,
    /// How many more match it, beyond its count.
    pub beyond: u64,
    /// Its date has passed: it covers nothing.
    pub ended: bool,
    /// Whether the build was seen to an extent that what it does not cover is gone: the build
    /// succeeded, and the actions that match it ran (as many of them as it counts findings, or all
    /// that the build has).
    pub seen: bool,
}

impl Standing {
    /// Whether it is of no use any more.
    pub fn is_stale(&self) -> bool {
        self.ended || (self.seen && self.covers == 0)
    }
}

/// How all entries fare, and all findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// Of each entry, at its index.
    pub entries: Vec<Standing>,
    /// Of each finding, at its index: the entry that covers it.
    pub(super) covered: Vec<Option<usize>>,
    /// Of each finding, at its index: the entry that would, had it a greater count.
    pub(super) beyond: Vec<Option<usize>>,
}

/// One entry, made ready.
struct Ready {
    action: Option<TextMatcher>,
    path: Where,
    ended: bool,
    left: u64,
}

/// Which paths an entry is about.
enum Where {
    All,
    /// This one, and with `below` those under it. `text` is for findings about no path.
    Path {
        path: Vec<u8>,
        below: bool,
        text: TextMatcher,
    },
    Globs {
        globs: Globs,
        text: TextMatcher,
    },
}

impl Where {
    fn new(entry: &Entry, build: &Build) -> Where {
        let Some(pattern) = &entry.path else { return Where::All };
        let text = TextMatcher::new(pattern.as_str());
        // As in a suppression, what people write about a directory is about all in it.
        let trees = entry.section == Section::Accepted;
        let anchored = anchor(std::iter::once(pattern), &build.workspace, &|name| match name {
            "WORKSPACE" => Some(build.workspace.clone()),
            "HOME" => Some(build.home.clone()).filter(|home| !home.is_empty()),
            _ => None,
        });
        match anchored.first().map(|a| (a, TextMatcher::literal(&a.glob))) {
            Some((anchored, Some(rest))) => {
                Where::Path { path: absolute(&anchored.base, rest.as_bytes()), below: trees, text }
            }
            _ => Where::Globs { globs: Globs::compile(anchored.iter(), trees), text },
        }
    }

    fn holds(&self, finding: &Finding) -> bool {
        let name = &finding.path.0;
        match self {
            Where::All => true,
            Where::Path { text, .. } | Where::Globs { text, .. } if name.is_empty() => {
                text.is_match(&finding.subject)
            }
            Where::Path { path, below: false, .. } => path == name,
            Where::Path { path, below: true, .. } => below(name, path).is_some(),
            Where::Globs { globs, .. } => globs.is_match(name),
        }
    }
}

impl Baseline {
    /// Holds the entries against the findings of `verdict`. Each finding is covered by at most one
    /// entry: what people accepted comes before debt, then what leaves less open, then what stands
    /// first in the file. Where more findings match than an entry counts, the
    /// first are covered, in the order of the verdict.
    pub fn standings(
        &self,
        verdict: &BuildVerdict,
        build: &Build,
        today: Option<Date>,
    ) -> Standings {
        let mut ready: Vec<Ready> =
            self.entries.iter().map(|e| make_ready(e, build, today)).collect();
        let mut order: Vec<usize> = (0..ready.len()).collect();
        order.sort_by_cached_key(|&at| {
            let entry = &self.entries[at];
            (entry.section, signs(entry.path.as_ref()), signs(entry.action.as_ref()), at)
        });
        // Most entries are debt on one path; only the others must be tried one by one.
        let mut by_path: FxHashMap<(Rule, &[u8]), Vec<usize>> = FxHashMap::default();
        let mut others: FxHashMap<Rule, Vec<usize>> = FxHashMap::default();
        let mut rank = vec![0; ready.len()];
        for (position, &at) in order.iter().enumerate() {
            rank[at] = position;
            let rule = self.entries[at].rule;
            match &ready[at].path {
                Where::Path { path, below: false, .. } => {
                    by_path.entry((rule, path)).or_default().push(at);
                    others.entry(rule).or_default();
                }
                _ => others.entry(rule).or_default().push(at),
            }
        }
        let mut matching: Vec<Vec<usize>> = Vec::with_capacity(verdict.findings.len());
        for finding in &verdict.findings {
            let name = finding.path.0.as_slice();
            let mut candidates: Vec<usize> = Vec::new();
            if let Some(rest) = others.get(&finding.rule) {
                candidates.extend(by_path.get(&(finding.rule, name)).into_iter().flatten());
                candidates.extend(rest);
                if name.is_empty() {
                    // What is about no path is told by its subject.
                    candidates.extend((0..ready.len()).filter(|&at| {
                        let literal = matches!(ready[at].path, Where::Path { below: false, .. });
                        literal && self.entries[at].rule == finding.rule
                    }));
                }
                candidates.retain(|&at| ready[at].matches(finding));
                candidates.sort_unstable_by_key(|&at| rank[at]);
                candidates.dedup();
            }
            matching.push(candidates);
        }
        let mut standings = Standings {
            entries: vec![Standing::default(); ready.len()],
            covered: vec![None; matching.len()],
            beyond: vec![None; matching.len()],
        };
        for (at, candidates) in matching.into_iter().enumerate() {
            let alive = |&entry: &usize| !ready[entry].ended;
            let candidates: Vec<usize> = candidates.into_iter().filter(alive).collect();
            if let Some(&entry) = candidates.iter().find(|&&entry| ready[entry].left > 0) {
                ready[entry].left -= 1;
                standings.covered[at] = Some(entry);
                standings.entries[entry].covers += 1;
            } else if let Some(&entry) = candidates.last() {
                standings.beyond[at] = Some(entry);
                standings.entries[entry].beyond += 1;
            }
        }
        let mut seen = Seen::new(verdict, build);
        for (at, standing) in standings.entries.iter_mut().enumerate() {
            standing.ended = ready[at].ended;
            // Looked at only where it can tell something: it is costly.
            if self.entries[at].count != Some(standing.covers) {
                standing.seen = seen.entry(&self.entries[at], ready[at].action.as_ref());
            } else {
                standing.seen = true;
            }
        }
        standings
    }
}

/// How much a pattern leaves open: a name nothing, and no pattern all.
fn signs(pattern: Option<&Pattern>) -> usize {
    pattern.map_or(usize::MAX, |pattern| match TextMatcher::literal(pattern.as_str()) {
        Some(_) => 0,
        None => pattern.as_str().matches(['*', '?', '[', '{']).count(),
    })
}

fn make_ready(entry: &Entry, build: &Build, today: Option<Date>) -> Ready {
    Ready {
        action: entry.action.as_ref().map(|pattern| TextMatcher::new(pattern.as_str())),
        path: Where::new(entry, build),
        ended: matches!((entry.until, today), (Some(until), Some(today)) if until < today),
        left: entry.count.unwrap_or(u64::MAX),
    }
}

impl Ready {
    fn matches(&self, finding: &Finding) -> bool {
        self.action.as_ref().is_none_or(|action| action.is_match(&finding.action))
            && self.path.holds(finding)
    }
}

/// Which actions the build has, and which of them ran.
struct Seen<'a> {
    /// None when the build was not seen to its end.
    names: Option<Vec<(&'a str, bool)>>,
    by_name: FxHashMap<&'a str, bool>,
    /// For each pattern: how many actions it has, and how many of them ran.
    known: FxHashMap<Option<&'a Pattern>, (u64, u64)>,
}

impl<'a> Seen<'a> {
    fn new(verdict: &'a BuildVerdict, build: &'a Build) -> Seen<'a> {
        let complete = verdict.completeness.as_ref().is_some_and(|c| c.is_complete());
        if verdict.exit != Some(Exit::Code(0)) || !complete {
            return Seen {
                names: None,
                by_name: FxHashMap::default(),
                known: FxHashMap::default(),
            };
        }
        let ran: FxHashSet<u32> = verdict.actions.iter().map(|action| action.id.0).collect();
        let of_graph = build.graph.actions.iter().enumerate();
        let names: Vec<(&str, bool)> = of_graph
            .filter(|(_, action)| action.nature != Nature::Alias)
            .map(|(at, action)| {
                (action.name.as_str(), u32::try_from(at).is_ok_and(|at| ran.contains(&at)))
            })
            .collect();
        let mut by_name: FxHashMap<&str, bool> = FxHashMap::default();
        for &(name, ran) in &names {
            // Of several with one name, all must have run.
            by_name.entry(name).and_modify(|all| *all &= ran).or_insert(ran);
        }
        Seen { names: Some(names), by_name, known: FxHashMap::default() }
    }

    fn entry(&mut self, entry: &'a Entry, action: Option<&TextMatcher>) -> bool {
        let Some(names) = &self.names else { return false };
        if let Some(name) = action.and_then(TextMatcher::as_literal) {
            // An action that the build does not have any more has no findings.
            return self.by_name.get(name).copied().unwrap_or(true);
        }
        let (all, ran) = *self.known.entry(entry.action.as_ref()).or_insert_with(|| {
            let mut counts = (0, 0);
            for (name, ran) in names {
                if action.is_none_or(|action| action.is_match(name)) {
                    counts.0 += 1;
                    counts.1 += u64::from(*ran);
                }
            }
            counts
        });
        ran == all || entry.count.is_some_and(|count| ran >= count)
    }
}
