//! SARIF 2.1.0 (OASIS), for code scanning services and editors.

use super::spot::{Spot, uri};
use super::words::{safe, story};
use super::{Report, Subject};
use crate::error::Error;
use airtight_policy::{Finding, KnownBy, Rule, RuleDoc, Severity, Suppressed};
use airtight_recording::{Completeness, Exit};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The name that relative references start from.
const ROOT: &str = "%SRCROOT%";

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    let findings: Vec<&Finding> = report.shown().collect();
    let suppressed: Vec<&Suppressed> = report.shown_suppressed().collect();
    let all = findings.iter().copied().chain(suppressed.iter().map(|known| &known.finding));
    let rules: Vec<Rule> = all.map(|f| f.rule).collect::<BTreeSet<_>>().into_iter().collect();
    let mut results: Vec<Value> = Vec::with_capacity(findings.len() + suppressed.len());
    // Only a baseline tells old findings from new ones.
    let based = report.suppressed().iter().any(|known| known.by != KnownBy::Policy);
    results.extend(findings.iter().map(|finding| {
        let mut result = result(report, &rules, finding);
        if based {
            result.insert("baselineState".to_owned(), "new".into());
        }
        Value::Object(result)
    }));
    results.extend(suppressed.iter().map(|known| {
        let mut result = result(report, &rules, &known.finding);
        result.insert("suppressions".to_owned(), json!([suppression(report, known)]));
        if based {
            result.insert("baselineState".to_owned(), "unchanged".into());
        }
        Value::Object(result)
    }));
    let mut root = uri(report.workspace);
    if !root.ends_with('/') {
        root.push('/');
    }
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Airtight",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule.doc())).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { ROOT: {
                "uri": root,
                "description": { "text": "The root of the workspace." },
            } },
            "invocations": [invocation(report)],
            "results": results,
        }],
    });
    crate::command::json(&document)
}

/// What there is to say about a rule (SARIF 3.49).
fn descriptor(doc: &RuleDoc) -> Value {
    let RuleDoc { rule, slug, severity, what, why, example, fix, .. } = doc;
    let pascal: String = slug.split('-').map(capital).collect();
    json!({
        "id": rule.id(),
        "name": pascal,
        "shortDescription": { "text": capital(&slug.replace('-', " ")) },
        "fullDescription": { "text": what },
        "help": {
            "text": format!("{what}\n\nWhy it is bad: {why}\n\nExample: {example}\n\nFix: {fix}\n"),
            "markdown": doc.markdown(),
        },
        "defaultConfiguration": { "level": level(*severity) },
        "properties": { "precision": "very-high", "tags": ["hermeticity", "build"] },
    })
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warning",
        Severity::Note => "note",
        Severity::Record => "none",
    }
}

/// One finding (SARIF 3.27).
fn result(report: &Report<'_>, rules: &[Rule], finding: &Finding) -> Map<String, Value> {
    let declaration = report.declaration(finding);
    let file = report.file(finding);
    let mut related = Vec::new();
    // The place to mend comes first; the file itself stands in for it.
    let mut location = match (&declaration, file) {
        (Some(declaration), file) => {
            related.extend(file.map(|file| (file, "The file that the finding is about.".into())));
            physical(declaration)
        }
        (None, Some(file)) => physical(&file),
        (None, None) => Map::new(),
    };
    let action = safe(&finding.action);
    location.insert("logicalLocations".to_owned(), json!([{ "name": action, "kind": "action" }]));
    for other in &finding.related {
        let spot = other.place.as_ref().map(|place| Spot::at(place, report.workspace));
        related.extend(
            spot.filter(|spot| declaration.as_ref() != Some(spot))
                .map(|spot| (spot, safe(&other.what))),
        );
    }
    let related: Vec<Value> = related
        .iter()
        .enumerate()
        .map(|(at, (spot, what))| {
            let mut location = physical(spot);
            location.insert("id".to_owned(), (at + 1).into());
            location.insert("message".to_owned(), json!({ "text": what }));
            Value::Object(location)
        })
        .collect();
    let mut result = Map::new();
    let index = rules.binary_search(&finding.rule).ok();
    let mut put = |key: &str, value: Value| result.insert(key.to_owned(), value);
    put("ruleId", finding.rule.id().into());
    put("ruleIndex", index.into());
    put("level", level(finding.severity).into());
    put("message", json!({ "text": story(finding) }));
    put("locations", json!([location]));
    put("partialFingerprints", json!({ "airtight/v1": finding.fingerprint() }));
    put("occurrenceCount", finding.count.max(1).into());
    let mut properties = json!({ "action": action, "fails": finding.fails(), "id": finding.id });
    if let Some(confirmed) = &finding.confirmed {
        properties["proof"] = safe(&confirmed.to_string()).into();
    }
    put("properties", properties);
    if !related.is_empty() {
        put("relatedLocations", related.into());
    }
    result
}

fn physical(spot: &Spot<'_>) -> Map<String, Value> {
    let mut artifact = json!({ "uri": spot.uri() });
    if spot.is_inside() {
        artifact["uriBaseId"] = ROOT.into();
    }
    let mut physical = json!({ "artifactLocation": artifact });
    if spot.line > 0 {
        physical["region"] = json!({ "startLine": spot.line });
        if spot.column > 0 {
            physical["region"]["startColumn"] = spot.column.into();
        }
    }
    Map::from_iter([("physicalLocation".to_owned(), physical)])
}

/// Why a result does not count (SARIF 3.35).
fn suppression(report: &Report<'_>, known: &Suppressed) -> Value {
    let mut suppression = json!({ "kind": "external", "justification": safe(&known.reason) });
    if let Some(place) = &known.place {
        suppression["location"] = physical(&Spot::at(place, report.workspace)).into();
    }
    suppression
}

/// How the command that was judged ended, and what keeps the judgement from being whole (SARIF
/// 3.20).
fn invocation(report: &Report<'_>) -> Value {
    let complete = report.completeness().is_some_and(Completeness::is_complete);
    let mut invocation = json!({ "executionSuccessful": complete });
    match report.exit() {
        Some(Exit::Code(code)) => invocation["exitCode"] = code.into(),
        Some(Exit::Signal(signal)) => invocation["exitSignalNumber"] = signal.into(),
        None => (),
    }
    let mut notes = Vec::new();
    let mut note = |text: String| {
        notes.push(json!({ "level": "warning", "message": { "text": text } }));
    };
    if let Some(Completeness::Incomplete { reasons }) = report.completeness() {
        for reason in reasons {
            note(format!("the recording is incomplete: {}", safe(&reason.detail)));
        }
    }
    if let Subject::Build { verdict, .. } = &report.subject {
        for process in &verdict.unattributed {
            let chain = super::chain(&process.chain, true);
            note(format!("belongs to no action that could be found: {chain}"));
        }
    }
    if !notes.is_empty() {
        invocation["toolExecutionNotifications"] = notes.into();
    }
    invocation
}
