//! The whole verdict as JSON.

use super::{Report, Subject};
use crate::error::Error;
use airtight_policy::build::BuildVerdict;
use airtight_policy::{Place, Verdict};
use serde::Serialize;

/// The schema of this form.
#[cfg(test)]
pub(crate) fn schema() -> schemars::Schema {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document<'_>>()
}

/// The version of this form. Fields may be added without a change; none is taken away or given
/// another meaning.
const VERSION: u32 = 1;

/// The judgement on one action, or on a whole build.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Airtight report"))]
struct Document<'a> {
    /// The version of this form.
    version: u32,
    /// The version of the program that wrote it.
    airtight: &'static str,
    /// Who observed: `ptrace`, and `ptrace+fanotify` where the kernel's own view was held against
    /// what the tracer saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    #[serde(flatten)]
    judged: Judged<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Judged<'a> {
    /// Of `run` and of `check` on a recording.
    Action {
        /// Whether the result may be published.
        cacheable: bool,
        /// Where the action is declared.
        #[serde(skip_serializing_if = "Option::is_none")]
        declared_at: Option<&'a Place>,
        /// The judgement.
        verdict: &'a Verdict,
    },
    /// Of `audit` and of `check` on an audit.
    Build {
        /// The judgement.
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
    let backend = report.recording.map(|recording| recording.header.backend.as_str());
    Document { version: VERSION, airtight: env!("CARGO_PKG_VERSION"), backend, judged }
}
