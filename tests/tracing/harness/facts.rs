//! The facts of a recording, in the shape tests write them.

use super::World;
use super::run::Ran;
use super::world::encode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A set of facts: those under the world with relative names, and those of elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Under the world.
    pub(crate) inside: BTreeSet<String>,
    /// Elsewhere, absolute.
    pub(crate) outside: BTreeSet<String>,
}

/// A traced run and its recording.
pub(crate) struct Trace {
    /// How it ended and what it printed.
    pub(crate) run: Ran,
    /// What was seen.
    pub(crate) facts: Facts,
    /// Codes of the reasons why the recording is incomplete; empty when it is complete.
    pub(crate) reasons: Vec<String>,
    /// The whole recording.
    pub(crate) json: Value,
}

impl Facts {
    /// Reads the flat list of accesses.
    fn of(world: &World, json: &Value) -> Facts {
        let root = world.path().to_str().expect("a UTF-8 path");
        let mut facts = Facts::default();
        for access in json["accesses"].as_array().expect("a list of accesses") {
            let path = match (access["path"].as_str(), access["path_b64"].as_str()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (None, Some(text)) => BASE64_STANDARD.decode(text).expect("base64"),
                (None, None) => panic!("an access without a path: {access}"),
            };
            let path = encode(&path);
            let kind = access["kind"].as_str().expect("a kind");
            let sign = match (kind, access["exists"].as_bool()) {
                ("probe", Some(true)) => "+",
                ("probe", Some(false)) => "-",
                ("probe", None) => panic!("a probe without exists: {access}"),
                _ => "",
            };
            match path.strip_prefix(root) {
                Some("") => facts.inside.insert(format!("{kind}{sign} .")),
                Some(rest) if rest.starts_with('/') => {
                    facts.inside.insert(format!("{kind}{sign} {}", &rest[1..]))
                }
                _ => facts.outside.insert(format!("{kind}{sign} {path}")),
            };
        }
        facts
    }

    /// See [`super::Case::facts`].
    pub(crate) fn assert_exactly<S: AsRef<str>>(&self, expected: &[S]) {
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        let open: BTreeSet<&str> = expected.iter().filter_map(|f| f.strip_prefix('?')).collect();
        let (outside, inside): (BTreeSet<&str>, BTreeSet<&str>) = expected
            .iter()
            .copied()
            .filter(|f| !f.starts_with('?'))
            .partition(|f| f.contains(" /"));
        let seen: BTreeSet<&str> = self.inside.iter().map(String::as_str).collect();
        let missing: Vec<_> = inside
            .difference(&seen)
            .copied()
            .chain(outside.into_iter().filter(|&f| !self.outside.contains(f)))
            .collect();
        let surplus: Vec<_> = seen.difference(&inside).filter(|f| !open.contains(**f)).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "facts\n  missing: {missing:#?}\n  surplus: {surplus:#?}"
        );
    }
}

impl Trace {
    /// Reads a recording.
    pub(crate) fn read(world: &World, file: &Path, run: Ran) -> Trace {
        let bytes = std::fs::read(file)
            .unwrap_or_else(|e| panic!("no recording: {e}; stderr: {}", run.stderr_text()));
        let json: Value = serde_json::from_slice(&bytes).expect("JSON");
        let reasons: Vec<String> = json["reasons"]
            .as_array()
            .map(|list| list.iter().map(|r| text(&r["code"])).collect())
            .unwrap_or_default();
        let state = if reasons.is_empty() { "complete" } else { "incomplete" };
        assert_eq!(json["state"], state, "the state and the reasons");
        Trace { run, facts: Facts::of(world, &json), reasons, json }
    }

    /// Contacts with the host: kind and detail.
    pub(crate) fn notes(&self) -> BTreeSet<(String, String)> {
        let contacts = self.json["contacts"].as_array().map(Vec::as_slice).unwrap_or_default();
        contacts.iter().map(|c| (text(&c["kind"]), text(&c["detail"]))).collect()
    }

    /// The kinds of contact with the host that are not routine.
    pub(crate) fn note_kinds(&self) -> BTreeSet<String> {
        self.notes().into_iter().map(|(kind, _)| kind).filter(|k| k != "random").collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
