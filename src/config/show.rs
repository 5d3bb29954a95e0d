//! Every setting with the layer that it comes from.

use super::layer::{Layer, Origin, Part};
use crate::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
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
            &mut |key, value, list, span: Range<usize>| {
                let origin = match layer.origin {
                    Origin::File(_) => {
                        let place = layer.source().place(span.start);
                        format!("{}:{}", place.file, place.line)
                    }
                    _ => layer.name.clone(),
                };
                let settings = all.entry(key.clone()).or_default();
                if !list {
                    settings.clear();
                }
                let added = list && !settings.is_empty();
                settings.push(Shown { key, value, origin, added });
            },
        );
    }
    Ok(all.into_values().flatten().collect())
}

/// Calls `found` for every value that is no table, with its name, its text, whether it is a part
/// of a list, and where it stands.
fn leaves(
    table: &DeTable<'_>,
    text: &str,
    prefix: &str,
    found: &mut impl FnMut(String, String, bool, Range<usize>),
) {
    // A list of many lines is shown on one.
    let line = |span: Range<usize>| text[span].lines().map(str::trim).collect::<Vec<_>>().join(" ");
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
                    let entries = item.get_ref().as_table().into_iter().flatten();
                    let entries: Vec<String> = entries
                        .map(|(key, value)| format!("{} = {}", key.get_ref(), line(value.span())))
                        .collect();
                    found(name.clone(), format!("{{ {} }}", entries.join(", ")), true, item.span());
                }
            }
            leaf => found(name, line(value.span()), leaf.is_array(), value.span()),
        }
    }
}
