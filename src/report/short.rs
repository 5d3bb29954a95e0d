//! One line for each finding: `file: error[R001] message (who)`.

use super::{Report, chain, words};
use std::fmt::Write as _;

pub(super) fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for finding in report.findings() {
        let style = words::style(finding.severity);
        let word = words::severity(finding.severity);
        let subject = if finding.subject.is_empty() { &finding.action } else { &finding.subject };
        let _ =
            write!(text, "{subject}: {style}{word}[{}]{style:#} {}", finding.rule, finding.message);
        if let Some(evidence) = finding.evidence.as_ref().filter(|e| !e.chain.is_empty()) {
            let _ = write!(text, " ({})", chain(&evidence.chain, report.unicode));
        }
        text.push('\n');
    }
    text
}
