//! GitLab's Code Quality report: the part of the Code Climate format that GitLab reads
//! (docs.gitlab.com/ci/testing/code_quality, "Code Quality report format").

use super::Report;
use super::words::safe;
use crate::error::Error;
use airtight_policy::{Finding, Severity};
use airtight_recording::Digest;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    let mut seen = HashMap::new();
    let issues: Vec<Issue> = report
        .shown()
        .map(|finding| {
            let times = seen.entry(finding.fingerprint()).or_insert(0_u32);
            *times += 1;
            issue(report, finding, *times)
        })
        .collect();
    crate::command::json(&issues)
}

/// A finding; `nth` tells it from others with the same fingerprint, because GitLab shows only one
/// of those that share one.
fn issue(report: &Report<'_>, finding: &Finding, nth: u32) -> Issue {
    let fingerprint = match nth {
        1 => finding.fingerprint().to_owned(),
        nth => {
            let text = format!("{}\0{nth}", finding.fingerprint());
            Digest::of(text.as_bytes()).to_string()[..64].to_owned()
        }
    };
    let spot = report.declaration(finding).or_else(|| report.file(finding));
    let (path, line) = match &spot {
        Some(spot) => (spot.name(), spot.line),
        // An issue must be in a file, and these are about none.
        None => (".".to_owned(), 0),
    };
    Issue {
        description: description(finding),
        check_name: format!("{} {}", finding.rule, finding.slug),
        fingerprint,
        severity: match finding.severity {
            Severity::Error => "major",
            Severity::Warn => "minor",
            Severity::Note | Severity::Record => "info",
        },
        location: Location { path, lines: Lines { begin: line.max(1) } },
    }
}

/// One line: GitLab shows no others.
fn description(finding: &Finding) -> String {
    let mut text = format!("{} by {}; {}", finding.message, finding.action, finding.effect);
    if let Some(proof) = &finding.confirmed {
        text += &format!("; {proof}");
    }
    if let Some(fix) = finding.fix.lines().next() {
        text += "; fix: ";
        text += fix;
    }
    safe(&text)
}
