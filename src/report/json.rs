//! The whole verdict as JSON.

use super::{Report, Subject};
use crate::error::Error;
use airtight_policy::build::BuildVerdict;
use airtight_policy::{Place, Verdict};
use serde::Serialize;

/// The version of this form. Fields may be added without a change; none is taken away or given
/// another meaning.
const VERSION: u32 = 1;

/// The judgement on one action, or on a whole build.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    airtight: &'static str,
    #[serde(flatten)]
    judged: Judged<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Judged<'a> {
    Action {
        cacheable: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        declared_at: Option<&'a Place>,
        verdict: &'a Verdict,
    },
    Build {
        build: &'a BuildVerdict,
    },
}

pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    crate::command::json(&document(report))
}

pub(super) fn value(report: &Report<'_>) -> Result<serde_json::Value, Error> {
    serde_json::to_value(document(report))
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))
}

fn document<'a>(report: &Report<'a>) -> Document<'a> {
    let judged = match report.subject {
        Subject::Action { verdict, declared_at } => {
            Judged::Action { cacheable: verdict.is_cacheable(), declared_at, verdict }
        }
        Subject::Build { verdict, .. } => Judged::Build { build: verdict },
    };
    Document { version: VERSION, airtight: env!("CARGO_PKG_VERSION"), judged }
}
