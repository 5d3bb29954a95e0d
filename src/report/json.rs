//! The whole verdict as JSON.

use super::Report;
use crate::error::Error;
use airtight_policy::{Place, Verdict};
use serde::Serialize;

/// The version of this form. Fields may be added without a change; none is taken away or given
/// another meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    airtight: &'static str,
    cacheable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_at: Option<&'a Place>,
    verdict: &'a Verdict,
}

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    crate::command::json(&document(report))
}

pub(super) fn value(report: &Report<'_>) -> Result<serde_json::Value, Error> {
    serde_json::to_value(document(report))
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))
}

fn document<'a>(report: &Report<'a>) -> Document<'a> {
    Document {
        version: VERSION,
        airtight: env!("CARGO_PKG_VERSION"),
        cacheable: report.verdict.is_cacheable(),
        declared_at: report.declared_at,
        verdict: report.verdict,
    }
}
