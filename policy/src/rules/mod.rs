//! The rules: their ids, their documentation, and (one module per family) how they judge.

pub(crate) mod host;
pub(crate) mod integrity;
pub(crate) mod over;
pub(crate) mod reads;
pub(crate) mod writes;

use crate::fix::Fix;
use crate::policy::Severity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A rule. Ids never change their meaning and are never used again.
#[expect(missing_docs, reason = "each is documented by its RuleDoc, the one place")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[rustfmt::skip]
pub enum Rule {
    R001, R002, R003, R004, R005, R006, R007, R008, R009, R010,
    W001, W002, W003, W004, W005, W006, W007, W008, W009,
    H001, H002, H003, H004, H005,
    I001, I002, I003, I004, I005,
    U001, U002, U003,
}

/// What there is to say about a rule.
#[derive(Debug)]
pub struct RuleDoc {
    /// Which rule.
    pub rule: Rule,
    /// Its speaking name: `undeclared-source-read`.
    pub slug: &'static str,
    /// How much it weighs when the policy says nothing.
    pub severity: Severity,
    /// The headline of a finding, with `{}` for what it is about.
    pub(crate) message: &'static str,
    /// So what, with `{}` for what it is about and `{action}`.
    pub(crate) effect: &'static str,
    /// What line fixes it, if a line does; else `fix` is told.
    pub(crate) line: Option<Fix>,
    /// What it reports, in one or two sentences.
    pub what: &'static str,
    /// Why that is bad.
    pub why: &'static str,
    /// A case of it.
    pub example: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// A family of rules.
struct Family {
    letter: char,
    title: &'static str,
    docs: &'static [RuleDoc],
}

const FAMILIES: [Family; 5] = [
    Family { letter: 'R', title: "Reads", docs: &reads::DOCS },
    Family { letter: 'W', title: "Writes", docs: &writes::DOCS },
    Family { letter: 'H', title: "Host", docs: &host::DOCS },
    Family { letter: 'I', title: "Integrity", docs: &integrity::DOCS },
    Family { letter: 'U', title: "Over-declaration", docs: &over::DOCS },
];

impl Rule {
    /// All rules in the order of their families and numbers.
    pub fn all() -> impl Iterator<Item = &'static RuleDoc> {
        FAMILIES.iter().flat_map(|family| family.docs)
    }

    /// What there is to say about it.
    ///
    /// # Panics
    /// Never: a test holds that every rule has its text.
    pub fn doc(self) -> &'static RuleDoc {
        Rule::all().find(|doc| doc.rule == self).expect("every rule is documented")
    }

    /// `R001`
    pub fn id(self) -> String {
        format!("{self:?}")
    }

    /// `undeclared-source-read`
    pub fn slug(self) -> &'static str {
        self.doc().slug
    }

    /// Its first letter: R reads, W writes, H host, I integrity, U over-declaration.
    pub fn family(self) -> char {
        self.id().chars().next().unwrap_or('?')
    }

    /// The rule with this id (in any case) or slug.
    pub fn find(name: &str) -> Option<Rule> {
        Rule::all()
            .map(|doc| doc.rule)
            .find(|rule| rule.id().eq_ignore_ascii_case(name) || rule.slug() == name)
    }

    /// The id or slug nearest to `name`, if one is near.
    pub fn nearest(name: &str) -> Option<String> {
        let names: Vec<String> =
            Rule::all().flat_map(|doc| [doc.slug.to_owned(), doc.rule.id()]).collect();
        crate::source::nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// `R001`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Rule::find(&name).ok_or_else(|| {
            let near = Rule::nearest(&name).map(|n| format!(", expected one of `{n}`"));
            D::Error::custom(format!("unknown rule `{name}`{}", near.unwrap_or_default()))
        })
    }
}

impl JsonSchema for Rule {
    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<String> =
            Rule::all().flat_map(|doc| [doc.rule.id(), doc.slug.to_owned()]).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

impl RuleDoc {
    /// The text of `airtight explain R001`, in Markdown.
    pub fn markdown(&self) -> String {
        let RuleDoc { rule, slug, severity, what, why, example, fix, .. } = self;
        format!(
            "### {rule} {slug}\n\nDefault severity: `{severity}`.\n\n{what}\n\n\
             **Why it is bad.** {why}\n\n**Example.** {example}\n\n**Fix.** {fix}\n"
        )
    }
}

/// The whole of docs/rules.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Rules\n\n\
         <!-- Made from the rules themselves: cargo run -p airtight-policy --example rules > docs/rules.md -->\n\n\
         Every finding names one of these rules. `airtight explain R001` prints the same text.\n\
         Ids never change their meaning and are never used again. Severities and reactions are set\n\
         per rule in `airtight.toml`. A finding of the families R, W, H and I with severity `warn`\n\
         or `error` keeps the result of its action out of every cache.\n",
    );
    for family in &FAMILIES {
        let _ = write!(out, "\n## {} ({})\n", family.title, family.letter);
        for doc in family.docs {
            let _ = write!(out, "\n{}", doc.markdown());
        }
    }
    out
}
