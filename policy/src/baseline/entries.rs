//! The entries of a baseline, as they stand in its file.

use crate::pattern::Pattern;
use crate::policy::Date;
use crate::rules::Rule;
use crate::source::{ParseError, Place, Source, parse_toml};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// Who an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `[[accepted]]`: written by people.
    Accepted,
    /// `[[debt]]`: written by the tool.
    Debt,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who it belongs to.
    pub section: Section,
    /// For findings of this rule.
    pub rule: Rule,
    /// Of actions whose name matches; of all if none.
    pub action: Option<Pattern>,
    /// On paths that match; on all if none. What is about no path is matched by its subject.
    pub path: Option<Pattern>,
    /// How many findings it covers; all that match if none. Debt always has a count.
    pub count: Option<u64>,
    /// Since when.
    pub since: Option<Date>,
    /// Why it is accepted; empty for debt.
    pub reason: String,
    /// The last day on which it holds.
    pub until: Option<Date>,
    /// Whether results may be published all the same.
    pub cacheable: bool,
    /// Where it stands.
    pub place: Place,
}

/// `R001 on $WORKSPACE/include/cfg.h in build/*.o`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule)?;
        if let Some(path) = &self.path {
            write!(f, " on {}", crate::printable(path.as_str().as_bytes()))?;
        }
        if let Some(action) = &self.action {
            write!(f, " in {}", crate::printable(action.as_str().as_bytes()))?;
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    debt: Vec<Spanned<Debt>>,
    accepted: Vec<Spanned<Accepted>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Debt {
    rule: Rule,
    action: Option<Pattern>,
    path: Option<Pattern>,
    count: Spanned<i64>,
    since: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    rule: Rule,
    action: Option<Pattern>,
    path: Option<Pattern>,
    count: Option<Spanned<i64>>,
    since: Option<Date>,
    #[serde(deserialize_with = "reason")]
    reason: String,
    until: Option<Date>,
    #[serde(default)]
    cacheable: bool,
}

/// The count of an entry.
fn count(count: &Spanned<i64>, source: Source<'_>) -> Result<u64, ParseError> {
    u64::try_from(*count.get_ref()).ok().filter(|&count| count > 0).ok_or_else(|| {
        let message = format!("`count = {}` covers nothing: it must be 1 or more", count.get_ref());
        ParseError::new(source.place(count.span().start), &message)
    })
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("an accepted finding needs a reason"));
    }
    Ok(text)
}

/// A baseline, with the text that it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    pub(super) text: String,
    /// In each section in the order of the file: debt first.
    pub(super) entries: Vec<Entry>,
    /// Where in `text` each entry is.
    pub(super) spans: Vec<Span>,
}

/// Where in the text an entry is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// Its header.
    pub(super) start: usize,
    /// The value of its count; empty if it has none.
    pub(super) count: Range<usize>,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// When it is no TOML, has an unknown key, or a value that does not fit; the error names the
    /// place, and what was probably meant.
    pub fn parse(source: Source<'_>) -> Result<Baseline, ParseError> {
        let document: Document = parse_toml(source)?;
        let mut entries = Vec::with_capacity(document.debt.len() + document.accepted.len());
        let mut spans = Vec::with_capacity(entries.capacity());
        // Places are looked up in one pass: a baseline may have thousands of entries.
        let mut places = Places { source, offset: 0, line: 1 };
        for debt in document.debt {
            let start = debt.span().start;
            let Debt { rule, action, path, count: number, since } = debt.into_inner();
            spans.push(Span { start, count: number.span() });
            entries.push(Entry {
                section: Section::Debt,
                rule,
                action,
                path,
                count: Some(count(&number, source)?),
                since: Some(since),
                reason: String::new(),
                until: None,
                cacheable: false,
                place: places.at(start),
            });
        }
        let mut places = Places { source, offset: 0, line: 1 };
        for accepted in document.accepted {
            let start = accepted.span().start;
            let Accepted { rule, action, path, count: number, since, reason, until, cacheable } =
                accepted.into_inner();
            let span = number.as_ref().map(Spanned::span).unwrap_or_default();
            spans.push(Span { start, count: span });
            entries.push(Entry {
                section: Section::Accepted,
                rule,
                action,
                path,
                count: number.map(|number| count(&number, source)).transpose()?,
                since,
                reason,
                until,
                cacheable,
                place: places.at(start),
            });
        }
        Ok(Baseline { text: source.text.to_owned(), entries, spans })
    }

    /// The entries: debt first, else in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The text that it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Turns growing offsets into lines.
struct Places<'a> {
    source: Source<'a>,
    offset: usize,
    line: u32,
}

impl Places<'_> {
    fn at(&mut self, offset: usize) -> Place {
        let bytes = self.source.text.as_bytes();
        let offset = offset.min(bytes.len());
        if let Some(between) = bytes.get(self.offset..offset) {
            let lines = between.iter().filter(|&&byte| byte == b'\n').count();
            self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.offset = offset;
        }
        Place { file: self.source.name.to_owned(), line: self.line, column: 0 }
    }
}
