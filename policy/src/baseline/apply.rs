//! Takes out of a verdict what the baseline knows of, and tells what of the baseline is not used.

use super::entries::{Baseline, Entry, Section};
use crate::build::{Build, BuildVerdict};
use crate::finding::{Finding, PathBytes, Related};
use crate::policy::{Date, Policy};
use crate::rules::Rule;
use crate::verdict::{KnownBy, Suppressed};

impl Baseline {
    /// Moves the findings that an entry covers to [`BuildVerdict::suppressed`], and adds a U003 for
    /// every stale entry. What is covered stays unpublished, unless an accepted entry says
    /// otherwise. `build` is what `verdict` judges; without `today` no entry ends.
    pub fn apply(
        &self,
        verdict: &mut BuildVerdict,
        build: &Build,
        policy: &Policy,
        today: Option<Date>,
    ) {
        let standings = self.standings(verdict, build, today);
        let mut left = Vec::new();
        for (at, mut finding) in std::mem::take(&mut verdict.findings).into_iter().enumerate() {
            if let Some(entry) = standings.covered[at].map(|entry| &self.entries[entry]) {
                verdict.suppressed.push(known(finding, entry));
                continue;
            }
            if let Some(entry) = standings.beyond[at].map(|entry| &self.entries[entry]) {
                let count = entry.count.unwrap_or_default();
                let what = format!("more than the {count} that the baseline knows");
                finding.related.push(Related { what, place: Some(entry.place.clone()) });
            }
            left.push(finding);
        }
        let command = build.graph.actions.first().map_or("", |action| action.name.as_str());
        for (entry, standing) in self.entries.iter().zip(&standings.entries) {
            if standing.is_stale() {
                left.push(unused(entry, standing.ended, command, policy));
            }
        }
        left.sort_by(Finding::compare);
        verdict.findings = left;
        verdict.weigh(policy);
    }
}

fn known(finding: Finding, entry: &Entry) -> Suppressed {
    let (reason, by) = match entry.section {
        Section::Accepted => (entry.reason.clone(), KnownBy::Accepted),
        Section::Debt => {
            let since = entry.since.map(|day| format!(" since {day}")).unwrap_or_default();
            (format!("baseline{since}"), KnownBy::Debt)
        }
    };
    Suppressed { finding, reason, cacheable: entry.cacheable, place: Some(entry.place.clone()), by }
}

fn unused(entry: &Entry, ended: bool, command: &str, policy: &Policy) -> Finding {
    let doc = Rule::U003.doc();
    let ending = entry.until.filter(|_| ended).map(|day| format!(", ended {day}"));
    let subject = format!("{entry}{}", ending.unwrap_or_default());
    let severity = policy.severity(Rule::U003);
    let fill = |text: &str| text.replace("{}", &subject);
    let mut finding = Finding {
        id: String::new(),
        rule: Rule::U003,
        slug: doc.slug,
        severity,
        reaction: policy.reaction(Rule::U003, severity),
        action: command.to_owned(),
        declared_at: Some(entry.place.clone()),
        path: PathBytes::default(),
        message: fill(doc.message),
        effect: fill(doc.effect),
        subject,
        kind: None,
        count: 1,
        evidence: None,
        related: vec![Related { what: "stands here".into(), place: Some(entry.place.clone()) }],
        fix: match entry.section {
            Section::Debt => doc.fix.to_owned(),
            Section::Accepted => format!("remove the entry at {}", entry.place),
        },
        group: Rule::U003.to_string(),
        enforced: false,
        missing_generated: false,
        confirmed: None,
        fingerprint: String::new(),
    };
    finding.seal();
    finding
}
