//! One file per subcommand; the text of its arguments is its manual.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod man;
pub(crate) mod trace;

use crate::error::Error;
use serde::Serialize;

/// Data as JSON for standard output.
pub(crate) fn json(data: &impl Serialize) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(data)
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}
