//! Findings for people. Each answers: what, which action, who, why, so what, and what to do.

use super::{Report, SHOWN, chain, commas, deed, times, words};
use crate::printer::{DIM, GOOD, STRONG};
use airtight_policy::{Finding, Place};
use std::fmt::{self, Write as _};

pub(super) fn text(report: &Report<'_>) -> String {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in report.findings() {
        // A group keeps the place of its first finding, so that the worst comes first.
        match groups.iter_mut().find(|group| group[0].group == finding.group) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    let mut text = String::new();
    if groups.is_empty() {
        return text;
    }
    let shown = if report.all { groups.len() } else { SHOWN.min(groups.len()) };
    for group in &groups[..shown] {
        // Writing to a string can't fail.
        let _ = findings(&mut text, report, group);
    }
    let hidden: usize = groups[shown..].iter().map(Vec::len).sum();
    if hidden > 0 {
        let dots = if report.unicode { "…" } else { "..." };
        let _ = writeln!(text, "{dots} {hidden} more (--all)\n");
    }
    let _ = summary(&mut text, report);
    text
}

/// Findings that share rule and directory.
fn findings(text: &mut String, report: &Report<'_>, group: &[&Finding]) -> fmt::Result {
    let first = group[0];
    let style = words::style(first.severity);
    let word = words::severity(first.severity);
    writeln!(text, "{style}{word}[{}]{style:#}{STRONG}: {}{STRONG:#}", first.rule, first.message)?;
    let label = deed(first.kind);
    let width = label.len().max(7);
    let mut line = |label: &str, value: &str| -> fmt::Result {
        if value.is_empty() {
            return Ok(());
        }
        // What goes on in further lines stands under the first.
        let value = value.replace('\n', &format!("\n{:indent$}", "", indent = width + 4));
        writeln!(text, "  {DIM}{label:<width$}{DIM:#}  {value}")
    };
    if group.len() > 1 {
        let most = if report.all { usize::MAX } else { 5 };
        let others = group[1..].iter().map(|finding| finding.subject.as_str());
        line("also", &commas(others, most, report.unicode))?;
    }
    let place = report.declared_at.map(|place| format!("   declared at {place}"));
    line("action", &format!("{}{}", first.action, place.unwrap_or_default()))?;
    if let Some(evidence) = &first.evidence {
        let how = match (evidence.syscall.as_str(), evidence.flags.as_str()) {
            ("", _) => "the kernel".to_owned(),
            (call, "") => call.to_owned(),
            (call, flags) => format!("{call}({flags})"),
        };
        let refused = if first.enforced { ", refused" } else { "" };
        let who = chain(&evidence.chain, report.unicode);
        line(label, &format!("{who}   {how}, {}{refused}", times(first.count)))?;
        line("asked", &evidence.requested)?;
    }
    // Where the action is declared stands above.
    let elsewhere = |place: Option<&Place>| place.is_none() || place != report.declared_at;
    for related in first.related.iter().filter(|related| elsewhere(related.place.as_ref())) {
        let place = related.place.as_ref().map(|place| format!(" at {place}"));
        line("see", &format!("{}{}", related.what, place.unwrap_or_default()))?;
    }
    line("effect", &first.effect)?;
    let mut fixes: Vec<&str> = Vec::new();
    for finding in group {
        if !finding.fix.is_empty() && !fixes.contains(&finding.fix.as_str()) {
            fixes.push(&finding.fix);
        }
    }
    line("fix", &format!("{GOOD}{}{GOOD:#}", fixes.join("\n")))?;
    text.push('\n');
    Ok(())
}

/// `a.o: 2 errors, 1 warning; not cached (airtight explain R001)`
fn summary(text: &mut String, report: &Report<'_>) -> fmt::Result {
    let counts = report.verdict.counts();
    let mut parts = Vec::new();
    for (count, word) in [(counts.error, "error"), (counts.warn, "warning"), (counts.note, "note")]
    {
        if count > 0 {
            parts.push(format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if counts.suppressed > 0 {
        parts.push(format!("{} suppressed", counts.suppressed));
    }
    write!(text, "{STRONG}{}{STRONG:#}: {}", report.verdict.action(), parts.join(", "))?;
    if let Some(first) = report.findings().next() {
        write!(text, " {DIM}(airtight explain {}){DIM:#}", first.rule)?;
    }
    text.push('\n');
    Ok(())
}
