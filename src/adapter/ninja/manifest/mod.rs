//! Reads the manifests of ninja (build.ninja and what it includes) as ninja itself does, down to
//! the exact command of every edge. Pure: files come from whoever calls.
//!
//! The language is described in the ninja manual, "Ninja file reference". What that leaves open
//! was found by asking ninja (`-t commands`), which the tests do as well:
//! - Variables of a file, and those of an edge, get their value where they stand. Variables of a
//!   rule get theirs when all has been read, so a later line of the file can change a command.
//! - A variable is looked for in the edge, then in the rule, then in the file and those around
//!   it. An edge without variables of its own looks in the file first.

pub(crate) mod dyndep;
mod lexer;
mod name;
mod parser;
mod text;

pub(crate) use name::canonical;

use airtight_recording::{PathId, Paths};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use text::{PHONY, RuleId, ScopeId, Scopes, Text, Value};

/// What is wrong with a manifest: a lower-case fragment.
pub(crate) type Message = Cow<'static, str>;

/// Gives the content of a file by its name in the manifest: relative to the directory that ninja
/// runs in.
pub(crate) type Reader<'r> = dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + 'r;

/// A manifest that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub(crate) struct ManifestError {
    /// The file as the manifest names it.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: u32,
    /// What is wrong.
    pub(crate) message: Message,
}

/// How much a manifest may ask for. A few lines can ask for any amount: variables double each
/// other, files include themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Files, each counted as often as it is included.
    pub(crate) files: u32,
    /// Files that include one another.
    pub(crate) depth: u32,
    /// Bytes of all files, each counted as often as it is included, and of all values of
    /// variables.
    pub(crate) bytes: usize,
    /// Bytes of one value or command.
    pub(crate) value: usize,
}

impl Default for Limits {
    /// Ten times what the largest known manifests need (Chromium's: 50,000 files, 300 MB).
    fn default() -> Limits {
        Limits { files: 500_000, depth: 100, bytes: 3 << 30, value: 64 << 20 }
    }
}

/// All edges of a build, and what their commands are made of.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The names of all files, in canonical form.
    pub(crate) names: Paths,
    /// The edges, in order of the files. Outputs that an earlier edge makes are left out, and
    /// edges that have no others.
    pub(crate) edges: Vec<Edge>,
    /// The names of the files that were read, as written. [`Edge::file`] is an index.
    pub(crate) files: Vec<Vec<u8>>,
    /// The index of the edge that makes a name.
    makers: HashMap<PathId, u32>,
    scopes: Scopes,
    longest: usize,
}

/// One `build` statement. Names are numbers in [`Manifest::names`].
#[derive(Debug)]
pub(crate) struct Edge {
    /// The index of its file in [`Manifest::files`].
    pub(crate) file: u32,
    /// The line of the word `build`, from 1.
    pub(crate) line: u32,
    /// What it makes; the explicit ones first.
    pub(crate) outputs: Vec<PathId>,
    explicit_outputs: usize,
    inputs: Vec<PathId>,
    explicit: usize,
    order_only: usize,
    rule: RuleId,
    scope: ScopeId,
}

impl Edge {
    /// Whether it only joins names.
    pub(crate) fn is_phony(&self) -> bool {
        self.rule == PHONY
    }

    /// The inputs after whose change it runs again.
    pub(crate) fn inputs(&self) -> &[PathId] {
        &self.inputs[..self.order_only]
    }

    /// All inputs.
    pub(crate) fn all_inputs(&self) -> &[PathId] {
        &self.inputs
    }

    /// What is only made first.
    pub(crate) fn order_only(&self) -> &[PathId] {
        &self.inputs[self.order_only..]
    }
}

/// How names are written in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// As words of the shell: in commands.
    Shell,
    /// As they are: in names of files.
    None,
}

impl Manifest {
    /// Reads `file` and all that it includes.
    ///
    /// # Errors
    /// When a file can't be read, says something that ninja does not take either, or asks for more
    /// than `limits`.
    pub(crate) fn read(
        file: &[u8],
        read: &mut Reader<'_>,
        limits: Limits,
    ) -> Result<Manifest, ManifestError> {
        parser::read(file, read, limits)
    }

    /// The bytes of a name.
    pub(crate) fn name(&self, id: PathId) -> &[u8] {
        self.names.get(id)
    }

    /// The edge that makes a file.
    pub(crate) fn maker(&self, name: PathId) -> Option<&Edge> {
        self.makers.get(&name).and_then(|&index| self.edges.get(index as usize))
    }

    /// The name of the rule of an edge.
    pub(crate) fn rule(&self, edge: &Edge) -> &[u8] {
        &self.scopes.rule(edge.rule).name
    }

    /// The value of a variable at the end of the first file.
    pub(crate) fn variable(&self, name: &[u8]) -> &[u8] {
        self.scopes.value(Scopes::ROOT, name)
    }

    /// What the shell is given to run; empty for phony edges.
    ///
    /// # Errors
    /// As [`Manifest::binding`].
    pub(crate) fn command(&self, edge: &Edge) -> Result<Vec<u8>, Message> {
        self.binding(edge, b"command", Quoting::Shell)
    }

    /// The value that a variable has for an edge; empty when it has none.
    ///
    /// # Errors
    /// When the value is too long or refers to itself.
    pub(crate) fn binding(
        &self,
        edge: &Edge,
        name: &[u8],
        quoting: Quoting,
    ) -> Result<Vec<u8>, Message> {
        let mut value = Value::new(self.longest);
        self.add(edge, name, quoting, &mut Vec::new(), &mut value)?;
        Ok(value.bytes)
    }

    /// Adds the value of a variable to `out`. `open` are the variables of the rule that are being
    /// replaced.
    fn add<'m>(
        &'m self,
        edge: &'m Edge,
        name: &'m [u8],
        quoting: Quoting,
        open: &mut Vec<&'m Text>,
        out: &mut Value,
    ) -> Result<(), Message> {
        let explicit = &edge.inputs[..edge.explicit];
        match name {
            b"in" => return self.add_names(explicit, b' ', quoting, out),
            b"in_newline" => return self.add_names(explicit, b'\n', quoting, out),
            b"out" => {
                let outputs = &edge.outputs[..edge.explicit_outputs];
                return self.add_names(outputs, b' ', quoting, out);
            }
            _ => {}
        }
        if let Some(value) = self.scopes.own(edge.scope, name) {
            return out.add(value);
        }
        let Some(text) = self.scopes.rule(edge.rule).get(name) else {
            return out.add(self.scopes.outer(edge.scope, name));
        };
        if open.iter().any(|other| std::ptr::eq(*other, text)) {
            let name = String::from_utf8_lossy(name);
            return Err(format!("the variable `{name}` of a rule refers to itself").into());
        }
        open.push(text);
        text.expand(out, |name, out| self.add(edge, name, quoting, open, out))?;
        open.pop();
        Ok(())
    }

    fn add_names(
        &self,
        names: &[PathId],
        separator: u8,
        quoting: Quoting,
        out: &mut Value,
    ) -> Result<(), Message> {
        for (at, &id) in names.iter().enumerate() {
            if at > 0 {
                out.add(&[separator])?;
            }
            match quoting {
                Quoting::None => out.add(self.name(id))?,
                Quoting::Shell => out.add(&name::quoted(self.name(id)))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
