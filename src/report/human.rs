//! Findings for people. Each answers: what, which action, who, why, so what, and what to do.

use super::group::Group;
use super::words::{self, safe};
use super::{Report, SHOWN, Subject, chain, commas, deed, times};
use crate::printer::{DIM, GOOD, STRONG};
use airtight_policy::build::{BuildVerdict, Unattributed};
use airtight_policy::{Place, Proof};
use std::fmt::{self, Write as _};

/// How many names of a kind are shown in one group.
const NAMES: usize = 5;

pub(super) fn text(report: &Report<'_>) -> String {
    let groups = Group::all(report.shown());
    let mut text = String::new();
    let shown = if report.look.all { groups.len() } else { SHOWN.min(groups.len()) };
    for group in &groups[..shown] {
        // Writing to a string can't fail.
        let _ = findings(&mut text, report, group);
    }
    let hidden: usize = groups[shown..].iter().map(|group| group.findings.len()).sum();
    if hidden > 0 {
        let _ = writeln!(text, "{} {hidden} more (--all)\n", dots(report));
    }
    match &report.subject {
        Subject::Action { .. } if groups.is_empty() => (),
        Subject::Action { .. } => {
            let _ = writeln!(text, "{}", summary(report, &parts(report)));
        }
        Subject::Build { verdict, .. } => {
            let _ = unattributed(&mut text, report, &verdict.unattributed);
            let _ = writeln!(text, "{}", summary(report, &of_build(report, verdict)));
        }
    }
    text
}

fn dots(report: &Report<'_>) -> &'static str {
    if report.look.unicode { "…" } else { "..." }
}

/// The lines below a headline: a label and what goes with it.
struct Lines<'t> {
    text: &'t mut String,
    width: usize,
}

impl Lines<'_> {
    fn line(&mut self, label: &str, value: &str) -> fmt::Result {
        if value.is_empty() {
            return Ok(());
        }
        // What goes on in further lines stands under the first.
        let value = value.replace('\n', &format!("\n{:indent$}", "", indent = self.width + 4));
        writeln!(self.text, "  {DIM}{label:<width$}{DIM:#}  {value}", width = self.width)
    }
}

/// Findings that share rule, directory and producer.
fn findings(text: &mut String, report: &Report<'_>, group: &Group<'_>) -> fmt::Result {
    let first = group.first();
    let style = words::style(first.severity);
    let word = words::severity(first.severity);
    let message = safe(&first.message);
    writeln!(text, "{style}{word}[{}]{style:#}{STRONG}: {message}{STRONG:#}", first.rule)?;
    let label = deed(first.kind);
    let mut lines = Lines { text, width: label.len().max(7) };
    let most = if report.look.all { usize::MAX } else { NAMES };
    let names = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| safe(name)).collect();
        commas(names.iter().map(String::as_str), most, report.look.unicode)
    };
    lines.line("also", &names(&group.others(|finding| &finding.subject)))?;
    let declared_at = first.declared_at.as_ref();
    let place = declared_at.map(|place| format!("   declared at {}", safe(&place.to_string())));
    lines.line("action", &format!("{}{}", safe(&first.action), place.unwrap_or_default()))?;
    let actions = group.others(|finding| &finding.action);
    if !actions.is_empty() {
        let count = actions.len();
        let others = if count == 1 { "other action" } else { "other actions" };
        lines.line("also in", &format!("{count} {others}: {}", names(&actions)))?;
    }
    if let Some(evidence) = &first.evidence {
        let how = match (evidence.syscall.as_str(), evidence.flags.as_str()) {
            ("", _) => "the kernel".to_owned(),
            (call, "") => call.to_owned(),
            (call, flags) => format!("{call}({flags})"),
        };
        let refused = if first.enforced { ", refused" } else { "" };
        let who = chain(&evidence.chain, report.look.unicode);
        lines.line(label, &format!("{who}   {how}, {}{refused}", times(first.count)))?;
        lines.line("asked", &safe(&evidence.requested))?;
    }
    // Where the action is declared stands above.
    let elsewhere = |place: Option<&Place>| place.is_none() || place != declared_at;
    for related in first.related.iter().filter(|related| elsewhere(related.place.as_ref())) {
        let place = related.place.as_ref().map(|place| format!(" at {place}"));
        lines.line("see", &safe(&format!("{}{}", related.what, place.unwrap_or_default())))?;
    }
    lines.line("effect", &safe(&first.effect))?;
    lines.line("proof", &safe(&proof(group)))?;
    lines.line("fix", &fixes(report, group))?;
    text.push('\n');
    Ok(())
}

/// What came of the attempts to prove the findings of a group.
fn proof(group: &Group<'_>) -> String {
    let all: Vec<_> = group.findings.iter().filter_map(|f| f.confirmed.as_ref()).collect();
    let Some(first) = all.first() else { return String::new() };
    if all.len() == 1 {
        return first.to_string();
    }
    let counts = [
        (Proof::Proven, "proven"),
        (Proof::NotReproduced, "not reproduced"),
        (Proof::NotTried, "not tried"),
    ]
    .map(|(result, word)| (all.iter().filter(|c| c.result == result).count(), word));
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    format!("{}; the first: {first}", told.join(", "))
}

/// The lines to paste, each once.
fn fixes(report: &Report<'_>, group: &Group<'_>) -> String {
    let mut fixes: Vec<&str> = group.others(|finding| &finding.fix);
    let first = &group.first().fix;
    if !first.is_empty() {
        fixes.insert(0, first);
    }
    let whole =
        |report: &Report<'_>| report.look.all || matches!(report.subject, Subject::Action { .. });
    let shown = if whole(report) { fixes.len() } else { NAMES.min(fixes.len()) };
    let lines = |fix: &&str| fix.lines().map(safe).collect::<Vec<_>>().join("\n");
    let mut text = fixes[..shown].iter().map(lines).collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        return text;
    }
    text = format!("{GOOD}{text}{GOOD:#}");
    if shown < fixes.len() {
        let _ = write!(text, "\n{} {} more (--all)", dots(report), fixes.len() - shown);
    }
    text
}

/// The processes that belong to no action.
fn unattributed(text: &mut String, report: &Report<'_>, all: &[Unattributed]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    let style = words::style(airtight_policy::Severity::Warn);
    let processes = if all.len() == 1 { "process belongs" } else { "processes belong" };
    let count = all.len();
    writeln!(
        text,
        "{style}warning{style:#}{STRONG}: {count} {processes} to no action that could be found; \
         what they touched was not judged{STRONG:#}"
    )?;
    let mut lines = Lines { text, width: 7 };
    let shown = if report.look.all { count } else { NAMES.min(count) };
    for process in &all[..shown] {
        let who = chain(&process.chain, report.look.unicode);
        let accesses = if process.accesses == 1 { "access" } else { "accesses" };
        lines.line("process", &format!("{who}   {} {accesses}", process.accesses))?;
    }
    if shown < count {
        lines.line("", &format!("{} {} more (--all)", dots(report), count - shown))?;
    }
    lines
        .line("fix", "run the tool that starts them in the traced command itself, or --adapter")?;
    text.push('\n');
    Ok(())
}

/// `2 errors`, `1 warning`, `3 suppressed`
fn parts(report: &Report<'_>) -> Vec<String> {
    let counts = report.counts();
    let mut parts = Vec::new();
    for (count, word) in [(counts.error, "error"), (counts.warn, "warning"), (counts.note, "note")]
    {
        if count > 0 {
            parts.push(words::count(count, word));
        }
    }
    if counts.suppressed > 0 {
        parts.push(format!("{} suppressed", counts.suppressed));
    }
    parts
}

/// As [`parts`], and of how much.
fn of_build(report: &Report<'_>, verdict: &BuildVerdict) -> Vec<String> {
    let mut parts = parts(report);
    if report.shown().next().is_none() {
        parts.insert(0, "nothing found".to_owned());
    }
    let with = verdict.actions.iter().filter(|action| action.findings > 0).count() as u64;
    let actions = words::count(verdict.actions.len() as u64, "action");
    parts.push(if with > 0 { format!("{with} of {actions}") } else { actions });
    parts.push(words::counted(u64::from(verdict.processes), "process", "processes"));
    parts.push(format!("{} unattributed", verdict.unattributed.len()));
    parts
}

/// `a.o: 2 errors, 1 warning (airtight explain R001)`
fn summary(report: &Report<'_>, parts: &[String]) -> String {
    let mut text = format!("{STRONG}{}{STRONG:#}: {}", safe(report.name()), parts.join(", "));
    if let Some(first) = report.shown().next() {
        let _ = write!(text, " {DIM}(airtight explain {}){DIM:#}", first.rule);
    }
    text
}
