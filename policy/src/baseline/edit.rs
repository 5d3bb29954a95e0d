//! Changes to the text of a baseline. What people wrote stays as it is, byte for byte.

use super::entries::{Baseline, Entry, Section};
use super::group::{Group, groups};
use super::{Standings, enters};
use crate::build::{Build, BuildVerdict};
use crate::finding::Finding;
use crate::pattern::Pattern;
use crate::policy::{Date, Severity};
use crate::rules::Rule;
use crate::source::{Place, Source};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// What a new baseline begins with.
const HEADER: &str = "\
# Findings that are known, so that only new ones count.
#
# [[debt]] is written by `airtight baseline`. [[accepted]] is written by people and left alone:
# the same keys, with a `reason` and, if wanted, `until = 2030-01-31` and `cacheable = true`.
";

/// A baseline in a form that no tool can edit, like `debt = [{ … }]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("can't be edited: {0}")]
pub struct EditError(&'static str);

/// One thing that an operation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new entry.
    Added(String),
    /// The count of an entry becomes another.
    Count {
        /// The entry.
        entry: String,
        /// What it was.
        from: u64,
        /// What it becomes.
        to: u64,
    },
    /// An entry goes.
    Removed(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(entry) => write!(f, "added {entry}"),
            Change::Count { entry, from, to } => write!(f, "count of {entry}: {from} -> {to}"),
            Change::Removed(entry) => write!(f, "removed {entry}"),
        }
    }
}

/// A new text, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The whole new text; the old one, byte for byte, when nothing changes.
    pub text: String,
    /// What was changed.
    pub changes: Vec<Change>,
}

/// Whether a finding keeps a build from being clean, so that a baseline may be wanted for it.
fn counts(finding: &Finding) -> bool {
    finding.severity >= Severity::Warn && enters(finding.rule)
}

/// The text of a new baseline of all findings of `verdict` that weigh `warn` or more and that are
/// no matter of the recording itself.
///
/// # Errors
/// Never, unless the library for TOML contradicts itself.
pub fn create(verdict: &BuildVerdict, build: &Build, today: Date) -> Result<Edit, EditError> {
    let groups = groups(verdict.findings.iter().filter(|finding| counts(finding)), build);
    let baseline = Baseline { text: HEADER.to_owned(), ..Baseline::default() };
    let mut editor = Editor::new(&baseline)?;
    groups.iter().for_each(|group| editor.add(group, today));
    editor.finish()
}

impl Baseline {
    /// The findings that no entry covers and that a baseline could.
    pub fn new_findings<'a>(
        &self,
        verdict: &'a BuildVerdict,
        standings: &'a Standings,
    ) -> impl Iterator<Item = &'a Finding> {
        let all = verdict.findings.iter().zip(&standings.covered);
        all.filter(|(finding, covered)| covered.is_none() && counts(finding))
            .map(|(finding, _)| finding)
    }

    /// Lowers the counts of debt to what is left of it, and enters what is new of the rules in
    /// `accept`. Nothing is removed.
    ///
    /// # Errors
    /// When the text has its entries in a form that can't be edited.
    pub fn update(
        &self,
        verdict: &BuildVerdict,
        build: &Build,
        standings: &Standings,
        accept: &BTreeSet<Rule>,
        today: Date,
    ) -> Result<Edit, EditError> {
        let mut editor = Editor::new(self)?;
        let mut new = Vec::new();
        let mut more = vec![0u64; self.entries.len()];
        for (at, finding) in verdict.findings.iter().enumerate() {
            let wanted = counts(finding) && accept.contains(&finding.rule);
            if !wanted || standings.covered[at].is_some() {
                continue;
            }
            // A count that people set is theirs to raise.
            let raised =
                standings.beyond[at].filter(|&entry| self.entries[entry].section == Section::Debt);
            match raised {
                Some(entry) => more[entry] += 1,
                None => new.push(finding),
            }
        }
        for (at, (entry, standing)) in self.entries.iter().zip(&standings.entries).enumerate() {
            let (Section::Debt, Some(count)) = (entry.section, entry.count) else { continue };
            let fewer = standing.seen && (1..count).contains(&standing.covers);
            let to = if fewer { standing.covers } else { count + more[at] };
            if to != count {
                editor.set_count(at, to);
            }
        }
        groups(new.into_iter(), build).iter().for_each(|group| editor.add(group, today));
        editor.finish()
    }

    /// Removes the debt that is stale.
    ///
    /// # Errors
    /// When the text has its entries in a form that can't be edited.
    pub fn prune(&self, standings: &Standings) -> Result<Edit, EditError> {
        let mut editor = Editor::new(self)?;
        let all = self.entries.iter().zip(&standings.entries).enumerate();
        all.filter(|(_, (entry, standing))| entry.section == Section::Debt && standing.is_stale())
            .for_each(|(at, _)| editor.remove(at));
        editor.finish()
    }
}

/// Changes to a text, to be made all at once.
struct Editor<'a> {
    baseline: &'a Baseline,
    /// What is replaced by what, in any order; inserts at one place keep theirs.
    pieces: Vec<(Range<usize>, String)>,
    changes: Vec<Change>,
    /// The blocks of all entries, as they stand in the text, with the number of each.
    blocks: Vec<(Range<usize>, usize)>,
}

impl<'a> Editor<'a> {
    fn new(baseline: &'a Baseline) -> Result<Editor<'a>, EditError> {
        let text = baseline.text.as_str();
        let mut starts: Vec<(usize, usize)> =
            baseline.spans.iter().enumerate().map(|(at, span)| (span.start, at)).collect();
        starts.sort_unstable();
        if starts.iter().any(|&(start, _)| !is_header(text, start)) {
            return Err(EditError("the entries are not written as [[debt]] and [[accepted]]"));
        }
        let mut blocks = Vec::with_capacity(starts.len());
        let mut free = 0;
        for (position, &(start, at)) in starts.iter().enumerate() {
            let next = starts.get(position + 1).map_or(text.len(), |next| next.0);
            let end = content_end(text, start, next);
            blocks.push((with_comments(text, free, start)..end, at));
            free = end;
        }
        Ok(Editor { baseline, pieces: Vec::new(), changes: Vec::new(), blocks })
    }

    fn set_count(&mut self, at: usize, to: u64) {
        let entry = &self.baseline.entries[at];
        let from = entry.count.unwrap_or_default();
        self.pieces.push((self.baseline.spans[at].count.clone(), to.to_string()));
        self.changes.push(Change::Count { entry: entry.to_string(), from, to });
    }

    /// Takes out an entry with the comments right above it and the empty lines below.
    fn remove(&mut self, at: usize) {
        let Some((block, _)) = self.blocks.iter().find(|(_, of)| *of == at) else { return };
        let rest = &self.baseline.text[block.end..];
        let blank: usize = rest
            .split_inclusive('\n')
            .take_while(|line| line.trim().is_empty())
            .map(str::len)
            .sum();
        self.pieces.push((block.start..block.end + blank, String::new()));
        self.changes.push(Change::Removed(self.baseline.entries[at].to_string()));
    }

    /// Puts a new entry before the first debt that sorts after it, or behind the last.
    fn add(&mut self, group: &Group, today: Date) {
        let text = self.baseline.text.as_str();
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut entry = format!("[[debt]]{newline}rule = \"{}\"{newline}", group.rule);
        for (key, pattern) in [("action", &group.action), ("path", &group.path)] {
            if let Some(pattern) = pattern {
                entry += &format!("{key} = {}{newline}", toml::Value::from(pattern.as_str()));
            }
        }
        entry += &format!("count = {}{newline}since = {today}{newline}", group.count);
        let own = (group.rule, group.action.as_deref(), group.path.as_deref());
        let mut debt = self.blocks.iter().filter(|(_, at)| *at < self.debts());
        let next = debt.clone().find(|(_, at)| {
            let Entry { rule, action, path, .. } = &self.baseline.entries[*at];
            (*rule, action.as_ref().map(Pattern::as_str), path.as_ref().map(Pattern::as_str)) > own
        });
        let piece = match (next, debt.next_back()) {
            (Some((block, _)), _) => (block.start..block.start, format!("{entry}{newline}")),
            (None, Some((last, _))) => (last.end..last.end, format!("{newline}{entry}")),
            (None, None) => (text.len()..text.len(), format!("{newline}{entry}")),
        };
        self.pieces.push(piece);
        let Group { rule, action, path, count } = group;
        let on = path.as_ref().map(|path| format!(" on {path}")).unwrap_or_default();
        let of = action.as_ref().map(|action| format!(" in {action}")).unwrap_or_default();
        let name = format!("{rule}{on}{of}, {count}");
        self.changes.push(Change::Added(crate::printable(name.as_bytes()).into_owned()));
    }

    /// How many entries are debt: they come first.
    fn debts(&self) -> usize {
        self.baseline.entries.partition_point(|entry| entry.section == Section::Debt)
    }

    fn finish(mut self) -> Result<Edit, EditError> {
        let old = self.baseline.text.as_str();
        self.pieces.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(old.len());
        let mut from = 0;
        for (range, new) in &self.pieces {
            text.push_str(&old[from..range.start]);
            // The last line of the file may have no end.
            if new.contains('\n') && !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(new);
            from = range.end;
        }
        text.push_str(&old[from..]);
        // People's entries must be there as they were, whatever the form of the file.
        let source = Source { name: "the new text", text: &text };
        let new = Baseline::parse(source).map_err(|_| EditError("its form is not known"))?;
        let accepted = |baseline: &Baseline| -> Vec<Entry> {
            let own = baseline.entries.iter().filter(|entry| entry.section == Section::Accepted);
            own.cloned().map(|entry| Entry { place: Place::default(), ..entry }).collect()
        };
        if accepted(&new) != accepted(self.baseline) {
            return Err(EditError("its form is not known"));
        }
        Ok(Edit { text, changes: self.changes })
    }
}

/// Whether an entry's own header stands there, and nothing before it on its line.
fn is_header(text: &str, start: usize) -> bool {
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    text[line..start].trim().is_empty() && text[start..].starts_with("[[")
}

/// Where what is said from `start` on ends, with its line, when the next header is at `next`:
/// empty lines and comments before that do not belong to it.
fn content_end(text: &str, start: usize, next: usize) -> usize {
    let mut end = next;
    for line in text[start..next].split_inclusive('\n').rev() {
        let line_text = line.trim();
        if !line_text.is_empty() && !line_text.starts_with('#') {
            break;
        }
        end -= line.len();
    }
    end
}

/// Where the comments begin that stand right above the header at `start`; what stands above
/// `free` belongs to others. A comment at the very start of the file is the file's own.
fn with_comments(text: &str, free: usize, start: usize) -> usize {
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1).max(free);
    let mut begin = line;
    for line in text[free..line].split_inclusive('\n').rev() {
        if !line.trim_start().starts_with('#') {
            break;
        }
        begin -= line.len();
    }
    if begin == 0 { line } else { begin }
}
