//! Every setting with the layer that it comes from.

use super::layer::{Layer, Origin, Part};
use crate::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// Its name with dots, as in airtight.toml.
    pub(crate) key: String,
    /// Its value, as written there.
    pub(crate) value: String,
    /// Where it was set: `default`, `airtight.toml:3`, `AIRTIGHT_STRICTNESS`, `--strictness`.
    pub(crate) origin: String,
    /// Whether it is added to what lower layers say, and does not replace it.
    pub(crate) added: bool,
}

/// Every setting, by name; those that add to each other from the lowest layer up.
///
/// # Errors
/// When a layer is no TOML.
pub(crate) fn show(layers: &[Layer]) -> Result<Vec<Shown>, Error> {
    let mut all: BTreeMap<String, Vec<Shown>> = BTreeMap::new();
    for layer in layers {
        let prefix = match layer.part {
            Part::All => "",
            Part::Policy => "policy.",
        };
        let table = DeTable::parse(&layer.text)
            .map_err(|error| Error::plain(format!("{}: {}", layer.name, error.message())))?;
        leaves(
            table.get_ref(),
            &layer.text,
            prefix,
            &mut |key, value, span: std::ops::Range<usize>| {
                let origin = match layer.origin {
                    Origin::File(_) => {
                        let place = layer.source().place(span.start);
                        format!("{}:{}", place.file, place.line)
                    }
                    _ => layer.name.clone(),
                };
                let settings = all.entry(key.clone()).or_default();
                let list = matches!(value, DeValue::Array(_));
                if !list {
                    settings.clear();
                }
                // A list of many lines is shown on one.
                let text = layer.text[span].lines().map(str::trim).collect::<Vec<_>>().join(" ");
                let added = list && !settings.is_empty();
                settings.push(Shown { key, value: text, origin, added });
            },
        );
    }
    Ok(all.into_values().flatten().collect())
}

/// Calls `found` for every value that is no table.
fn leaves(
    table: &DeTable<'_>,
    text: &str,
    prefix: &str,
    found: &mut impl FnMut(String, &DeValue<'_>, std::ops::Range<usize>),
) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            // A header alone sets nothing.
            DeValue::Table(inner) if !inner.is_empty() || !text[value.span()].starts_with('{') => {
                leaves(inner, text, &format!("{name}."), found);
            }
            // Tables in an array stand alone: each is an addition.
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for item in items {
                    found(name.clone(), value.get_ref(), item.span());
                }
            }
            leaf => found(name, leaf, value.span()),
        }
    }
}
