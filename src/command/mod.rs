//! One file per subcommand; the text of its arguments is its manual.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod man;
pub(crate) mod trace;

use crate::error::Error;
use airtight_recording::Reason;
use serde::Serialize;

/// Data as JSON for standard output.
pub(crate) fn json(data: &impl Serialize) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(data)
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}

/// A warning with the first reasons why a recording is incomplete.
pub(crate) fn incomplete(reasons: &[Reason]) -> String {
    const SHOWN: usize = 3;
    let mut text = String::from("the recording is incomplete");
    for (at, reason) in reasons.iter().take(SHOWN).enumerate() {
        text += if at == 0 { ": " } else { "; " };
        text += &reason.detail;
    }
    if reasons.len() > SHOWN {
        text += &format!("; … {} more", reasons.len() - SHOWN);
    }
    text
}
