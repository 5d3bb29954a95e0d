//! GitHub: annotations as workflow commands, and the summary of a step in Markdown.

use super::group::Group;
use super::words::{self, count, safe};
use super::{Report, Subject};
use airtight_policy::{Finding, Severity};
use std::fmt::Write as _;

/// How many annotations of a kind GitHub shows for one step.
const MOST: usize = 10;

/// How large the summary of a step may be, in bytes.
pub(crate) const SUMMARY: usize = 1 << 20;

/// `::error file=Makefile,line=12,title=R001 undeclared-source-read::undeclared read of a.h …`
pub(super) fn text(report: &Report<'_>) -> String {
    let groups = Group::all(report.shown());
    let mut text = String::new();
    for (severity, kind, word) in [
        (Severity::Error, "error", "error"),
        (Severity::Warn, "warning", "warning"),
        (Severity::Note, "notice", "note"),
    ] {
        let of_kind: Vec<&Group<'_>> =
            groups.iter().filter(|group| group.first().severity == severity).collect();
        let shown = if of_kind.len() > MOST { MOST - 1 } else { of_kind.len() };
        for group in &of_kind[..shown] {
            annotation(&mut text, report, kind, group);
        }
        let hidden: usize = of_kind[shown..].iter().map(|group| group.findings.len()).sum();
        if hidden > 0 {
            let more = count(hidden as u64, &format!("more {word}"));
            let _ = writeln!(text, "::{kind} title=Airtight::{more} in the summary of this step");
        }
    }
    text
}

fn annotation(text: &mut String, report: &Report<'_>, kind: &str, group: &Group<'_>) {
    let first = group.first();
    let _ = write!(text, "::{kind} ");
    let spot = report.declaration(first).or_else(|| report.file(first));
    if let Some(spot) = spot.filter(|spot| spot.is_inside()) {
        let _ = write!(text, "file={},", property(&spot.name()));
        if spot.line > 0 {
            let _ = write!(text, "line={},", spot.line);
        }
        if spot.column > 0 {
            let _ = write!(text, "col={},", spot.column);
        }
    }
    let title = format!("{} {}", first.rule, first.slug);
    let mut message = words::story(first);
    for (others, what) in [
        (group.others(|finding| &finding.subject).len(), "other name"),
        (group.others(|finding| &finding.action).len(), "other action"),
    ] {
        if others > 0 {
            let _ = write!(message, "\nalso: {}", count(others as u64, what));
        }
    }
    let _ = writeln!(text, "title={}::{}", property(&title), data(&message));
}

/// The escaping of what follows the second `::` of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The escaping of the value of a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The summary of the step, at most `most` bytes of Markdown; empty when that holds nothing.
pub(super) fn summary(report: &Report<'_>, most: usize) -> String {
    let groups = Group::all(report.shown());
    let mut text = format!("### Airtight: {}\n\n{}.\n", code(report.name()), counts(report));
    if !groups.is_empty() {
        text += "\n| | rule | what | action | declared at | fix |\n|---|---|---|---|---|---|\n";
    }
    // The last line must find room whatever stands before it.
    let room = most.saturating_sub(64);
    let mut shown = 0;
    for group in &groups {
        let row = row(group);
        if text.len() + row.len() > room {
            break;
        }
        text += &row;
        shown += 1;
    }
    let hidden: usize = groups[shown..].iter().map(|group| group.findings.len()).sum();
    if hidden > 0 {
        let _ = write!(text, "\n… {hidden} more\n");
    }
    if text.len() > most { String::new() } else { text }
}

fn counts(report: &Report<'_>) -> String {
    let counts = report.counts();
    let mut parts = vec![count(counts.error, "error"), count(counts.warn, "warning")];
    if counts.suppressed > 0 {
        parts.push(format!("{} suppressed", counts.suppressed));
    }
    if let Subject::Build { verdict, .. } = &report.subject {
        parts.push(count(verdict.actions.len() as u64, "action"));
        parts.push(format!("{} unattributed", verdict.unattributed.len()));
    }
    parts.join(", ")
}

/// A row of the table: one cause.
fn row(group: &Group<'_>) -> String {
    let first = group.first();
    let also = |of: fn(&Finding) -> &str, what: &str| match group.others(of).len() {
        0 => String::new(),
        others => format!(" and {}", count(others as u64, what)),
    };
    let place = first.declared_at.as_ref().map(|place| code(&place.to_string()));
    let fix = first.fix.lines().map(code).collect::<Vec<_>>().join("<br>");
    format!(
        "| {} | {} {} | {}{} | {}{} | {} | {fix} |\n",
        words::severity(first.severity),
        first.rule,
        first.slug,
        code(&first.message),
        also(|finding| &finding.subject, "other name"),
        code(&first.action),
        also(|finding| &finding.action, "other action"),
        place.unwrap_or_default(),
    )
}

/// Text that no name can make anything else of: as references to characters, it is neither
/// Markdown nor HTML.
fn code(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in safe(text).chars() {
        if c.is_ascii_punctuation() && !matches!(c, '/' | '.' | '-') {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out + "</code>"
}
