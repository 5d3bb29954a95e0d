//! One line for each finding: `file: error[R001] message (who)`.

use super::words::{safe, severity, style};
use super::{Report, Subject, chain};
use std::fmt::Write as _;

pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for finding in report.shown() {
        let style = style(finding.severity);
        let word = severity(finding.severity);
        let subject = if finding.subject.is_empty() { &finding.action } else { &finding.subject };
        let (subject, message) = (safe(subject), safe(&finding.message));
        let _ = write!(text, "{subject}: {style}{word}[{}]{style:#} {message}", finding.rule);
        if matches!(report.subject, Subject::Build { .. }) {
            let _ = write!(text, " by {}", safe(&finding.action));
        }
        if let Some(evidence) = finding.evidence.as_ref().filter(|e| !e.chain.is_empty()) {
            let _ = write!(text, " ({})", chain(&evidence.chain, report.look.unicode));
        }
        text.push('\n');
    }
    text
}
