//! The shape of airtight.toml.

use super::cache::Cache;
use crate::printer::Color;
use airtight_policy::{Environment, Layer};
use airtight_tracer as tracer;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::time::Duration;

/// Settings of Airtight for one project.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(rename = "airtight.toml")]
pub(crate) struct Document {
    /// How messages look.
    pub(crate) display: Display,
    /// How actions are run.
    pub(crate) run: Run,
    /// How recordings are judged.
    pub(crate) policy: Layer,
    /// Where results are kept and looked for.
    pub(crate) cache: Cache,
}

/// How messages look.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Display {
    /// How findings are written.
    pub(crate) format: Option<Format>,
    /// When to colour.
    pub(crate) color: Option<Color>,
    /// Show all findings, not the first 20.
    pub(crate) all: Option<bool>,
}

/// How actions are run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Run {
    /// The root of the workspace, relative to this file.
    pub(crate) workspace: Option<String>,
    /// Who observes.
    pub(crate) backend: Option<Backend>,
    /// Who is asked beside the tracer whether it has seen everything.
    pub(crate) witness: Option<Witness>,
    /// Kill the action after this time: `90s`, `5m`, `1h`, or `none`.
    pub(crate) timeout: Option<Time>,
    /// How long processes may outlive the action before they are reported and killed.
    pub(crate) grace: Option<Time>,
    /// Have the kernel ask before every open, and deny those that are not declared, whatever call
    /// they are made by. Needs CAP_SYS_ADMIN.
    pub(crate) guard: Option<bool>,
    /// What to do when this system does not let processes be traced.
    pub(crate) on_untraceable: Option<OnUntraceable>,
    /// Remove outputs that were not declared after a failed verdict.
    pub(crate) remove_undeclared: Option<bool>,
    /// Give the action the caller's whole environment.
    pub(crate) keep_environment: Option<bool>,
    /// The variables that the action gets.
    pub(crate) environment: Environment,
}

/// How findings are written. Other formats are added here and in `report`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people: what, who, why, and the line that mends it
    #[default]
    Human,
    /// One line for each finding
    Short,
    /// The whole verdict, for programs
    Json,
    /// SARIF 2.1.0, for code scanning services and editors
    Sarif,
    /// JUnit XML, one test case for each action
    Junit,
    /// Annotations for GitHub Actions; the rest goes to the summary of the step
    Github,
    /// Code Quality JSON for GitLab
    Gitlab,
    /// One page for a browser, with filters, the graph and the process tree
    Html,
}

impl Format {
    /// Whether its text may hold ANSI styles.
    pub(crate) fn is_styled(self) -> bool {
        matches!(self, Format::Human | Format::Short)
    }
}

/// Who observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    /// The best that works here
    Auto,
    /// ptrace with a seccomp filter
    Ptrace,
    /// The kernel's own events, without tracing anybody; needs CAP_SYS_ADMIN
    Fanotify,
}

impl From<Backend> for tracer::Backend {
    fn from(backend: Backend) -> tracer::Backend {
        match backend {
            Backend::Auto => tracer::Backend::Auto,
            Backend::Ptrace => tracer::Backend::Ptrace,
            Backend::Fanotify => tracer::Backend::Fanotify,
        }
    }
}

/// Who is asked beside the tracer whether it has seen everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Witness {
    /// fanotify where it may be used, else nobody
    Auto,
    /// fanotify: without it nothing is run
    Fanotify,
    /// Nobody
    Off,
}

impl From<Witness> for tracer::Witness {
    fn from(witness: Witness) -> tracer::Witness {
        match witness {
            Witness::Auto => tracer::Witness::Auto,
            Witness::Fanotify => tracer::Witness::Fanotify,
            Witness::Off => tracer::Witness::Off,
        }
    }
}

/// What to do when this system does not let processes be traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnUntraceable {
    /// Run nothing and end with 125
    #[default]
    Fail,
    /// Run the action untraced, say so, and end with 121 where it succeeds
    Uncacheable,
}

/// A time with its unit, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub(crate) struct Time(pub(crate) Option<Duration>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Time).map_err(D::Error::custom)
    }
}

/// Reads `500ms`, `90s`, `5m`, `1h` (also with a fraction), or `none`.
pub(crate) fn parse_duration(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .map(Some)
        .ok_or_else(|| format!("`{text}` is no time like 500ms, 90s, 5m, 1h or none"))
}

/// Adds the variables of `from`. A variable is in one class only: the one it was put in last.
pub(crate) fn add(to: &mut Environment, from: Environment) {
    let remove = |to: &mut Environment, name: &String| {
        to.fixed.remove(name);
        to.tracked.retain(|other| other != name);
        to.passthrough.retain(|other| other != name);
    };
    for (name, value) in from.fixed {
        remove(to, &name);
        to.fixed.insert(name, value);
    }
    for name in from.tracked {
        remove(to, &name);
        to.tracked.push(name);
    }
    for name in from.passthrough {
        remove(to, &name);
        to.passthrough.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let some = |millis| Ok(Some(Duration::from_millis(millis)));
        assert_eq!(parse_duration("500ms"), some(500));
        assert_eq!(parse_duration("1.5s"), some(1500));
        assert_eq!(parse_duration("2m"), some(120_000));
        assert_eq!(parse_duration("1h"), some(3_600_000));
        assert_eq!(parse_duration("none"), Ok(None));
        for wrong in ["", "5", "s", "-1s", "1d", "1 s", "infs", "1e400h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_is_in_the_class_it_was_put_in_last() {
        let mut all = Environment::default();
        add(&mut all, Environment { tracked: vec!["A".into()], ..Environment::default() });
        add(
            &mut all,
            Environment { fixed: [("A".into(), "1".into())].into(), ..Environment::default() },
        );
        assert!(all.tracked.is_empty());
        add(&mut all, Environment { passthrough: vec!["A".into()], ..Environment::default() });
        assert!(all.fixed.is_empty());
        assert_eq!(all.passthrough, ["A"]);
    }
}
