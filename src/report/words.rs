//! The words that reports share.

use crate::printer::{ERROR, NOTE, WARNING};
use airtight_policy::{Finding, Severity, Step};
use airtight_recording::Kind;
use anstyle::Style;

/// How many characters of a command line are shown.
const ARGUMENTS: usize = 60;

/// The word before a rule's id.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warning",
        Severity::Note | Severity::Record => "note",
    }
}

/// The style of that word.
pub(super) fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => ERROR,
        Severity::Warn => WARNING,
        Severity::Note | Severity::Record => NOTE,
    }
}

/// What was done, as the label before who did it.
pub(crate) fn deed(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Read | Kind::Link) => "read by",
        Some(Kind::Write) => "written by",
        Some(Kind::Delete) => "deleted by",
        Some(Kind::Probe) => "probed by",
        Some(Kind::Exec) => "executed by",
        Some(Kind::List) => "listed by",
        _ => "done by",
    }
}

/// All there is to say about a finding in plain words, one thing a line. It holds no control
/// character but the line feed.
pub(super) fn story(finding: &Finding) -> String {
    let mut lines = vec![safe(&finding.message)];
    let place = finding.declared_at.as_ref().map(|place| format!(", declared at {place}"));
    lines.push(safe(&format!("action: {}{}", finding.action, place.unwrap_or_default())));
    if let Some(evidence) = finding.evidence.as_ref().filter(|e| !e.chain.is_empty()) {
        lines.push(format!("{}: {}", deed(finding.kind), chain(&evidence.chain, true)));
    }
    for related in finding.related.iter().filter(|related| related.what != "declared here") {
        let place = related.place.as_ref().map(|place| format!(" at {place}"));
        lines.push(safe(&format!("see: {}{}", related.what, place.unwrap_or_default())));
    }
    let proof = finding.confirmed.as_ref().map(ToString::to_string).unwrap_or_default();
    for (label, text) in [("effect", &finding.effect), ("proof", &proof), ("fix", &finding.fix)] {
        for line in text.lines() {
            lines.push(format!("{label}: {}", safe(line)));
        }
    }
    lines.join("\n")
}

/// `1 time`, `3 times`
pub(crate) fn times(times: u64) -> String {
    count(times, "time")
}

/// `1 error`, `3 errors`
pub(super) fn count(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `1 process`, `3 processes`
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Who did it and how they came to: `cc1 ← gcc -c src/b.c`. All by name, the last with its
/// arguments, because that is what a person typed.
pub(crate) fn chain(steps: &[Step], unicode: bool) -> String {
    let arrow = if unicode { " ← " } else { " <- " };
    let last = steps.len().saturating_sub(1);
    let mut names: Vec<String> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let name = name(step);
        if at == last {
            names.push(with_arguments(name, step, unicode));
        } else {
            names.push(name.to_owned());
        }
    }
    safe(&names.join(arrow))
}

/// Control characters escaped, and those that turn the direction of the text, so that no argument
/// can forge a line of a report.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether it changes the direction of the text around it (Unicode annex 9).
pub(super) fn is_bidi(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The program as it was called, without its directory.
fn name(step: &Step) -> &str {
    let called = step.argv.first().filter(|arg| !arg.is_empty()).unwrap_or(&step.exe);
    called.rsplit('/').next().unwrap_or(called)
}

fn with_arguments(name: &str, step: &Step, unicode: bool) -> String {
    let mut text = name.to_owned();
    for argument in step.argv.iter().skip(1) {
        text.push(' ');
        text.push_str(argument);
    }
    if text.chars().count() > ARGUMENTS {
        text = text.chars().take(ARGUMENTS - 1).collect();
        text.push_str(if unicode { "…" } else { "..." });
    }
    text
}

/// `a, b, c`, at most `most` of them.
pub(crate) fn commas<'a>(
    words: impl ExactSizeIterator<Item = &'a str>,
    most: usize,
    unicode: bool,
) -> String {
    let more = words.len().saturating_sub(most);
    let mut text = words.take(most).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!("{} {more} more", if unicode { " …" } else { " ..." });
    }
    text
}
