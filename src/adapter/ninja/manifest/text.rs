//! Texts with variables in them, the scopes that give the variables values, and the bounds on what
//! comes of it.

use super::Message;
use std::collections::HashMap;

/// A text in which variables are yet to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Variable(Box<[u8]>),
}

impl Text {
    pub(super) fn literal(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Part::Literal(text)) => text.extend_from_slice(bytes),
            _ => self.parts.push(Part::Literal(bytes.to_vec())),
        }
    }

    pub(super) fn variable(&mut self, name: &[u8]) {
        self.parts.push(Part::Variable(name.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds this text to `out`, its variables replaced by what `expand` adds for them.
    pub(super) fn expand<'t>(
        &'t self,
        out: &mut Value,
        mut expand: impl FnMut(&'t [u8], &mut Value) -> Result<(), Message>,
    ) -> Result<(), Message> {
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.add(bytes)?,
                Part::Variable(name) => {
                    out.step()?;
                    expand(name, out)?;
                }
            }
        }
        Ok(())
    }
}

/// A text that is being put together, with bounds: a few lines can ask for any length, and for any
/// number of replacements of nothing.
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    longest: usize,
    steps: u32,
}

impl Value {
    pub(super) fn new(longest: usize) -> Value {
        Value { bytes: Vec::new(), longest, steps: 1 << 20 }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Message> {
        if bytes.len() > self.longest - self.bytes.len() {
            return Err("a value that is too long".into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Message> {
        self.steps = self.steps.checked_sub(1).ok_or("a value with too many variables in it")?;
        Ok(())
    }
}

/// The number of a [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleId(pub(super) u32);

/// The rule that every manifest has and that runs nothing.
pub(super) const PHONY: RuleId = RuleId(0);

/// The number of a [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScopeId(pub(super) u32);

/// A rule: variables that are replaced anew for each edge.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) name: Vec<u8>,
    pub(super) bindings: Vec<(Vec<u8>, Text)>,
}

impl Rule {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Text> {
        // The last of several wins.
        self.bindings.iter().rev().find(|(key, _)| key == name).map(|(_, text)| text)
    }
}

/// What a file (or `subninja`, or an edge with variables of its own) defines.
#[derive(Debug, Default)]
pub(super) struct Scope {
    parent: Option<ScopeId>,
    bindings: HashMap<Vec<u8>, Vec<u8>>,
    rules: HashMap<Vec<u8>, RuleId>,
}

/// All rules and scopes of a manifest.
#[derive(Debug)]
pub(super) struct Scopes {
    rules: Vec<Rule>,
    scopes: Vec<Scope>,
}

impl Scopes {
    /// The scope of the first file, which knows `phony`.
    pub(super) const ROOT: ScopeId = ScopeId(0);

    pub(super) fn new() -> Scopes {
        let phony = Rule { name: b"phony".to_vec(), bindings: Vec::new() };
        let rules = HashMap::from([(phony.name.clone(), PHONY)]);
        Scopes { rules: vec![phony], scopes: vec![Scope { rules, ..Scope::default() }] }
    }

    pub(super) fn inner(&mut self, parent: ScopeId) -> ScopeId {
        let id = ScopeId(u32::try_from(self.scopes.len()).unwrap_or(u32::MAX));
        self.scopes.push(Scope { parent: Some(parent), ..Scope::default() });
        id
    }

    pub(super) fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// Adds a rule; false when the scope has one of that name.
    pub(super) fn add_rule(&mut self, scope: ScopeId, rule: Rule) -> bool {
        let id = RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
        let known = &mut self.scopes[scope.0 as usize].rules;
        if known.contains_key(&rule.name) {
            return false;
        }
        known.insert(rule.name.clone(), id);
        self.rules.push(rule);
        true
    }

    pub(super) fn find_rule(&self, scope: ScopeId, name: &[u8]) -> Option<RuleId> {
        self.upwards(scope).find_map(|scope| scope.rules.get(name).copied())
    }

    pub(super) fn bind(&mut self, scope: ScopeId, name: &[u8], value: Vec<u8>) {
        self.scopes[scope.0 as usize].bindings.insert(name.to_vec(), value);
    }

    /// The value of a variable; one that is not defined is empty.
    pub(super) fn value(&self, scope: ScopeId, name: &[u8]) -> &[u8] {
        self.upwards(scope).find_map(|scope| scope.bindings.get(name)).map_or(b"", Vec::as_slice)
    }

    /// What the scope itself defines, without those around it.
    pub(super) fn own(&self, scope: ScopeId, name: &[u8]) -> Option<&[u8]> {
        self.scopes[scope.0 as usize].bindings.get(name).map(Vec::as_slice)
    }

    /// What is defined around the scope.
    pub(super) fn outer(&self, scope: ScopeId, name: &[u8]) -> &[u8] {
        match self.scopes[scope.0 as usize].parent {
            Some(parent) => self.value(parent, name),
            None => b"",
        }
    }

    /// `text` with the values that variables have now.
    pub(super) fn expand(
        &self,
        scope: ScopeId,
        text: &Text,
        longest: usize,
    ) -> Result<Vec<u8>, Message> {
        let mut value = Value::new(longest);
        text.expand(&mut value, |name, out| out.add(self.value(scope, name)))?;
        Ok(value.bytes)
    }

    fn upwards(&self, scope: ScopeId) -> impl Iterator<Item = &Scope> {
        let at = |id: ScopeId| &self.scopes[id.0 as usize];
        std::iter::successors(Some(at(scope)), move |scope| scope.parent.map(at))
    }
}
