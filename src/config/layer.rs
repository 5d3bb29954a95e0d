//! One layer of settings: a text of TOML and where it comes from.

use super::types::Document;
use crate::error::Error;
use airtight_policy::{self as policy, Source, parse_toml};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a layer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Embedded in the program.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

/// Which part of the settings a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of airtight.toml.
    All,
    /// What stands under `[policy]` there.
    Policy,
}

/// One layer of settings.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) part: Part,
    pub(crate) origin: Origin,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Single settings that have a variable of their own.
pub(crate) const VARIABLES: [(&str, &str); 18] = [
    ("AIRTIGHT_FORMAT", "display.format"),
    ("AIRTIGHT_COLOR", "display.color"),
    ("AIRTIGHT_ALL", "display.all"),
    ("AIRTIGHT_WORKSPACE", "run.workspace"),
    ("AIRTIGHT_BACKEND", "run.backend"),
    ("AIRTIGHT_WITNESS", "run.witness"),
    ("AIRTIGHT_TIMEOUT", "run.timeout"),
    ("AIRTIGHT_GRACE", "run.grace"),
    ("AIRTIGHT_GUARD", "run.guard"),
    ("AIRTIGHT_ON_UNTRACEABLE", "run.on-untraceable"),
    ("AIRTIGHT_KEEP_ENVIRONMENT", "run.keep-environment"),
    ("AIRTIGHT_STRICTNESS", "policy.strictness"),
    ("AIRTIGHT_CACHE", "cache.enabled"),
    ("AIRTIGHT_CACHE_DIR", "cache.dir"),
    ("AIRTIGHT_CACHE_MAX_SIZE", "cache.max-size"),
    ("AIRTIGHT_CACHE_FETCH", "cache.fetch"),
    ("AIRTIGHT_CACHE_PUSH", "cache.push"),
    ("AIRTIGHT_REMOTE", "cache.remote"),
];

/// A setting as TOML. `true` and `false` are truth values, all else is text.
fn setting(key: &str, value: &str) -> String {
    match value {
        // The one setting that is a list of tables.
        url if key == "cache.remote" => format!("[[{key}]]\nurl = {}", toml::Value::from(url)),
        "true" | "false" => format!("{key} = {value}"),
        _ => format!("{key} = {}", toml::Value::from(value)),
    }
}

/// The layer of one flag with a value.
pub(crate) fn flag(name: &'static str, key: &str, value: &str) -> Layer {
    flag_text(name, setting(key, value))
}

/// The layer of one flag that sets more than one value.
pub(crate) fn flag_text(name: &'static str, text: String) -> Layer {
    Layer { part: Part::All, origin: Origin::Flag(name), name: name.to_owned(), text }
}

/// The layers of the environment variables that are set and not empty.
///
/// # Errors
/// When one is no UTF-8, or looks like a misspelt one of ours: a policy must not be forgotten
/// silently.
pub(crate) fn variables(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Layer>, Error> {
    let mine = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("AIRTIGHT_"))?;
        (!value.is_empty()).then_some((name, value))
    };
    let mut set: BTreeMap<String, OsString> = environment.filter_map(mine).collect();
    let mut layers = Vec::new();
    for (name, key) in VARIABLES {
        let Some(value) = set.remove(name) else { continue };
        let value = value
            .to_str()
            .ok_or_else(|| Error::plain(format!("{name}: the value is not UTF-8")))?;
        let text = setting(key, value);
        layers.push(Layer {
            part: Part::All,
            origin: Origin::Variable(name),
            name: name.to_owned(),
            text,
        });
    }
    // What is left belongs to someone else, unless it is nearly one of ours.
    for unknown in set.into_keys() {
        let near = |name: &&str| strsim::damerau_levenshtein(name, &unknown) <= 3;
        if let Some(name) = VARIABLES.into_iter().map(|(name, _)| name).find(near) {
            return Err(Error::Plain {
                message: format!("{unknown}: no setting has this variable"),
                hints: vec![format!("did you mean `{name}`?")],
            });
        }
    }
    Ok(layers)
}

impl Layer {
    /// The layer of the embedded default.
    pub(crate) fn embedded(part: Part, text: &str) -> Layer {
        let (name, text) = ("default".to_owned(), text.to_owned());
        Layer { part, origin: Origin::Default, name, text }
    }

    /// The layer of a file.
    pub(crate) fn file(part: Part, path: PathBuf, name: String, text: String) -> Layer {
        Layer { part, origin: Origin::File(path), name, text }
    }

    /// The text with its name, for places.
    pub(crate) fn source(&self) -> Source<'_> {
        Source { name: &self.name, text: &self.text }
    }

    /// What the layer says.
    ///
    /// # Errors
    /// When it can't be understood; the error names the place.
    pub(crate) fn parse(&self) -> Result<Document, Error> {
        let parsed = match self.part {
            Part::All => parse_toml(self.source()),
            Part::Policy => policy::Layer::parse(self.source())
                .map(|policy| Document { policy, ..Document::default() }),
        };
        parsed.map_err(|mut error| {
            // The text of a flag or variable is ours: a line and a column in it help nobody.
            if !matches!(self.origin, Origin::File(_)) {
                (error.place.line, error.place.column) = (0, 0);
            }
            Error::from(error)
        })
    }
}
