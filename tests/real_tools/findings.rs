//! What `airtight run --format json` or `airtight audit` found.

use serde_json::Value;

/// Rule and path of every finding that people see, sorted.
pub(crate) fn findings(json: &str) -> Vec<(String, String)> {
    let report: Value =
        serde_json::from_str(json).unwrap_or_else(|e| panic!("not JSON: {e}\n{json}"));
    // Of one action, or of a whole build.
    let verdict = report.get("verdict").unwrap_or(&report["build"]);
    let list = verdict["findings"].as_array().expect("a list of findings");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut found: Vec<_> = list
        .iter()
        .filter(|finding| finding["severity"] == "error" || finding["severity"] == "warn")
        .map(|finding| (text(&finding["rule"]), text(&finding["subject"])))
        .collect();
    found.sort();
    found
}
