//! The policy: how strictly to judge, and what to do about findings.

use crate::finding::Finding;
use crate::pattern::Pattern;
use crate::rules::Rule;
use crate::source::{ParseError, Place, Source, parse_toml};
use crate::verdict::Suppressed;
use airtight_recording::{Completeness, Digest, Reason, ReasonCode, Recording};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use toml::Spanned;

/// The default policy as text, with comments: what `airtight config show` and `init` start from.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Which reads must be declared.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Strictness {
    /// Only files that some action of the build makes.
    Generated,
    /// Every file of the workspace.
    #[default]
    Workspace,
    /// Files of the toolchain too.
    All,
}

/// How much a finding weighs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Kept in reports, not shown.
    Record,
    /// Shown; changes nothing.
    Note,
    /// Shown; the result is not published.
    Warn,
    /// Shown; the result is not published, and the reaction of the policy applies.
    Error,
}

/// `record`, `note`, `warn`, `error`
impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Record => "record",
            Severity::Note => "note",
            Severity::Warn => "warn",
            Severity::Error => "error",
        })
    }
}

/// What is done about a finding, the mildest first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// Kept in reports only.
    Record,
    /// Told.
    Warn,
    /// The action fails at its end.
    #[default]
    Fail,
    /// The call fails with EACCES.
    Deny,
    /// The call fails with ENOENT.
    Hide,
    /// The action is killed.
    Kill,
}

/// How a stat of an existing file counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stat {
    /// As a question for existence: R007.
    #[default]
    Probe,
    /// As a read: R001.
    Read,
}

/// A day, for suppressions that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// Reads `2027-01-31`.
    pub fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-');
        let date = Date {
            year: parts.next()?.parse().ok()?,
            month: parts.next()?.parse().ok()?,
            day: parts.next()?.parse().ok()?,
        };
        let fits = (1..=12).contains(&date.month) && (1..=31).contains(&date.day);
        (fits && parts.next().is_none()).then_some(date)
    }

    /// The day (in UTC) of a time given in seconds since the epoch.
    pub fn from_unix(seconds: u64) -> Date {
        // Days to civil date, counting years from March so that the leap day comes last.
        let days = seconds / 86400 + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Date {
            year: u16::try_from(year).unwrap_or(u16::MAX),
            month: u8::try_from(month).unwrap_or(12),
            day: u8::try_from(day).unwrap_or(31),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // TOML has dates of its own; JSON and cautious people write a string.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Own(toml::value::Datetime),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Own(date) => date.to_string(),
        };
        Date::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no date like 2027-01-31")))
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

/// Path patterns of each scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeLists {
    /// Must be declared.
    pub workspace: Vec<Pattern>,
    /// May be read; identity enters the key.
    pub toolchain: Vec<Pattern>,
    /// May be written, if what is made there is removed again.
    pub temporary: Vec<Pattern>,
    /// Of no interest.
    pub ignored: Vec<Pattern>,
    /// State of the machine (H004).
    pub host: Vec<Pattern>,
    /// Must be neither read nor written, whatever is declared.
    pub denied: Vec<Pattern>,
}

/// Contacts that are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Globs over `address:port`.
    pub allow: Vec<Pattern>,
    /// Globs over names of unix sockets.
    pub sockets: Vec<Pattern>,
}

/// Findings that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// For these rules only; all of them if empty.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// For paths that match only. Relative ones start in the workspace.
    #[serde(default)]
    pub path: Option<Pattern>,
    /// For actions whose name matches only.
    #[serde(default)]
    pub action: Option<Pattern>,
    /// Why this is tolerated.
    #[schemars(length(min = 1))]
    #[serde(deserialize_with = "not_empty")]
    pub reason: String,
    /// The last day on which it holds.
    #[serde(default)]
    pub until: Option<Date>,
    /// As if it had not happened (true), or tolerated and never published (false).
    #[serde(default)]
    pub cacheable: bool,
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(D::Error::custom("a suppression needs a reason"));
    }
    Ok(text)
}

/// One file's say on the policy: the `[policy]` part of airtight.toml, or a file of its own.
/// Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(rename = "Policy")]
pub struct Layer {
    /// Which reads must be declared.
    pub strictness: Option<Strictness>,
    /// How a stat of an existing, undeclared file counts.
    pub stat: Option<Stat>,
    /// What is done about findings of severity `error`.
    pub reaction: Option<Reaction>,
    /// Names of processes that may outlive the action.
    pub survivors: Vec<String>,
    /// Let io_uring through, although its operations can't be seen.
    pub unsafe_allow_io_uring: Option<bool>,
    /// Publish results of actions that talked to a server outside of their process tree.
    pub unsafe_publish_with_daemons: Option<bool>,
    /// Take a recording by the fanotify backend for a complete one, although it can't know what was
    /// looked for and not found.
    pub unsafe_accept_fanotify: Option<bool>,
    /// Path patterns of each scope.
    pub scopes: ScopeLists,
    /// Contacts that are allowed.
    pub network: Network,
    /// Severity of single rules, by id or slug.
    pub severity: BTreeMap<Rule, Severity>,
    /// Reaction to single rules, by id or slug, whatever their severity.
    pub reaction_of: BTreeMap<Rule, Reaction>,
    /// Findings that are known.
    #[schemars(with = "Vec<Suppression>")]
    pub suppress: Vec<Spanned<Suppression>>,
}

impl Layer {
    /// Reads a file that holds nothing but a policy.
    ///
    /// # Errors
    /// When it is no TOML, has an unknown key, or a value that does not fit.
    pub fn parse(source: Source<'_>) -> Result<Layer, ParseError> {
        parse_toml(source)
    }
}

/// The JSON schema of a policy, for editors.
pub fn policy_schema() -> Schema {
    schemars::schema_for!(Layer)
}

/// A whole policy: the defaults with all layers over them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// Which reads must be declared.
    pub strictness: Strictness,
    /// How a stat of an existing, undeclared file counts.
    pub stat: Stat,
    /// What is done about findings of severity `error`.
    pub reaction: Reaction,
    /// Names of processes that may outlive the action.
    pub survivors: Vec<String>,
    /// Let io_uring through.
    pub unsafe_allow_io_uring: bool,
    /// Publish in spite of H002.
    pub unsafe_publish_with_daemons: bool,
    /// Take a recording for complete in spite of what its backend can't see.
    pub unsafe_accept_fanotify: bool,
    /// Path patterns of each scope.
    pub scopes: ScopeLists,
    /// Contacts that are allowed.
    pub network: Network,
    /// Severities that differ from the default of their rule.
    pub severity: BTreeMap<Rule, Severity>,
    /// Reactions that differ from `reaction`.
    pub reaction_of: BTreeMap<Rule, Reaction>,
    /// Known findings.
    pub suppress: Vec<Suppression>,
    /// Where each of `suppress` stands.
    #[serde(skip)]
    pub suppress_places: Vec<Place>,
    /// The names of the layers, the lowest first.
    #[serde(skip)]
    pub origins: Vec<String>,
}

/// The embedded default.
impl Default for Policy {
    fn default() -> Policy {
        let source = Source { name: "default policy", text: DEFAULT_TOML };
        let layer = Layer::parse(source).expect("a test holds that the default policy is right");
        let mut policy = Policy {
            strictness: Strictness::default(),
            stat: Stat::default(),
            reaction: Reaction::default(),
            survivors: Vec::new(),
            unsafe_allow_io_uring: false,
            unsafe_publish_with_daemons: false,
            unsafe_accept_fanotify: false,
            scopes: ScopeLists::default(),
            network: Network::default(),
            severity: BTreeMap::new(),
            reaction_of: BTreeMap::new(),
            suppress: Vec::new(),
            suppress_places: Vec::new(),
            origins: Vec::new(),
        };
        policy.layer(layer, source);
        policy
    }
}

impl Policy {
    /// Lays `layer` over this policy: values replace, lists are added. `source` is the text that
    /// the layer was read from (the whole file, if it is a part of one).
    pub fn layer(&mut self, layer: Layer, source: Source<'_>) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        set(&mut self.strictness, layer.strictness);
        set(&mut self.stat, layer.stat);
        set(&mut self.reaction, layer.reaction);
        set(&mut self.unsafe_allow_io_uring, layer.unsafe_allow_io_uring);
        set(&mut self.unsafe_publish_with_daemons, layer.unsafe_publish_with_daemons);
        set(&mut self.unsafe_accept_fanotify, layer.unsafe_accept_fanotify);
        self.survivors.extend(layer.survivors);
        self.scopes.workspace.extend(layer.scopes.workspace);
        self.scopes.toolchain.extend(layer.scopes.toolchain);
        self.scopes.temporary.extend(layer.scopes.temporary);
        self.scopes.ignored.extend(layer.scopes.ignored);
        self.scopes.host.extend(layer.scopes.host);
        self.scopes.denied.extend(layer.scopes.denied);
        self.network.allow.extend(layer.network.allow);
        self.network.sockets.extend(layer.network.sockets);
        self.severity.extend(layer.severity);
        self.reaction_of.extend(layer.reaction_of);
        for suppression in layer.suppress {
            self.suppress_places.push(source.place(suppression.span().start));
            self.suppress.push(suppression.into_inner());
        }
        self.origins.push(source.name.to_owned());
    }

    /// The default policy with one file over it.
    ///
    /// # Errors
    /// When the text is no policy.
    pub fn parse(source: Source<'_>) -> Result<Policy, ParseError> {
        let mut policy = Policy::default();
        policy.layer(Layer::parse(source)?, source);
        Ok(policy)
    }

    /// How much findings of `rule` weigh.
    pub fn severity(&self, rule: Rule) -> Severity {
        self.severity.get(&rule).copied().unwrap_or_else(|| rule.doc().severity)
    }

    /// What is done about findings of `rule` that weigh `severity`: what is set for the rule, else
    /// the general reaction for errors, and telling or keeping for the rest.
    pub fn reaction(&self, rule: Rule, severity: Severity) -> Reaction {
        match (self.reaction_of.get(&rule), severity) {
            (Some(&reaction), _) => reaction,
            (None, Severity::Error) => self.reaction,
            (None, Severity::Warn | Severity::Note) => self.reaction.min(Reaction::Warn),
            (None, Severity::Record) => Reaction::Record,
        }
    }

    /// How complete a recording is, apart from reasons that this policy accepts.
    pub(crate) fn completeness(&self, recording: &Recording) -> Completeness {
        let mut reasons = match &recording.end {
            Some(Completeness::Complete) => return Completeness::Complete,
            Some(Completeness::Incomplete { reasons }) => reasons.clone(),
            None => vec![Reason {
                code: ReasonCode::Other,
                detail: "the recording has no end".into(),
                process: None,
            }],
        };
        if self.unsafe_accept_fanotify {
            reasons.retain(|reason| reason.code != ReasonCode::BackendLimits);
        }
        match reasons.is_empty() {
            true => Completeness::Complete,
            false => Completeness::Incomplete { reasons },
        }
    }

    /// Whether findings of `rule` that weigh `warn` or more keep a result from being published.
    pub(crate) fn keeps_from_cache(&self, rule: Rule) -> bool {
        rule.family() != 'U' && !(rule == Rule::H002 && self.unsafe_publish_with_daemons)
    }

    /// Why an action with these findings must not be published.
    pub(crate) fn against_publishing<'f>(
        &self,
        findings: impl IntoIterator<Item = &'f Finding>,
        suppressed: impl IntoIterator<Item = &'f Suppressed>,
    ) -> Vec<String> {
        let telling = |f: &&Finding| self.keeps_from_cache(f.rule) && f.severity >= Severity::Warn;
        let rules: BTreeSet<Rule> = findings.into_iter().filter(telling).map(|f| f.rule).collect();
        let tolerated = |s: &&Suppressed| !s.cacheable && s.finding.severity >= Severity::Warn;
        let tolerated = suppressed.into_iter().filter(tolerated).map(|known| {
            let Finding { rule, subject, .. } = &known.finding;
            format!("{rule} on {subject} is tolerated, not cacheable")
        });
        let rules = rules.iter().map(|rule| format!("{rule} {}", rule.slug()));
        rules.chain(tolerated).collect()
    }

    /// The policy epoch: the digest of everything that can change a verdict. It salts the cache
    /// key, so that results verified under another policy are never taken.
    pub fn digest(&self) -> Digest {
        // Maps are sorted and fields come in a fixed order, so equal policies give equal bytes.
        let canonical = serde_json::to_vec(self).expect("a policy is always JSON");
        Digest::of(&canonical)
    }
}
