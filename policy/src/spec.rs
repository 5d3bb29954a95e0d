//! `action.json`: an action and its declaration as a file.

use crate::declaration::{Declaration, Depfile, Environment, Flavour};
use crate::name::absolute;
use crate::pattern::Pattern;
use crate::source::{ParseError, Place, Source, parse_json};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

/// An action with its declaration. Paths are relative to `cwd`, or absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Action")]
pub struct Spec {
    /// The action's name in messages; the first output or the program if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The command: program and arguments.
    pub argv: Vec<String>,
    /// The directory to run in, relative to the workspace; the workspace if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Files that the action reads.
    pub inputs: Vec<String>,
    /// Directories of which it may read everything.
    pub input_dirs: Vec<String>,
    /// Globs of files that it reads.
    pub input_globs: Vec<Pattern>,
    /// Files and whole directories that it makes.
    pub outputs: Vec<String>,
    /// Files and globs that it may leave behind and that are never restored from a cache.
    pub side_effects: Vec<Pattern>,
    /// Files and globs that it makes and removes again.
    pub temporary: Vec<Pattern>,
    /// A depfile that the action writes and that lists further inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depfile: Option<String>,
    /// The environment; the action gets nothing else.
    pub environment: Environment,
    /// Where the action is declared, as `file:line`; this file if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_at: Option<String>,
}

impl Spec {
    /// Reads an action.json.
    ///
    /// # Errors
    /// When it is no JSON, has an unknown key, or a value that does not fit; the error names file,
    /// line and column.
    pub fn parse(source: Source<'_>) -> Result<Spec, ParseError> {
        let spec: Spec = parse_json(source)?;
        let place = Place { file: source.name.to_owned(), line: 1, column: 1 };
        // Serde takes a list for a struct, its fields in order.
        if source.text.trim_start().starts_with('[') {
            return Err(ParseError::new(place, "expected an object, found a list"));
        }
        if spec.argv.is_empty() {
            return Err(ParseError::new(place, "`argv` is missing or empty"));
        }
        Ok(spec)
    }

    /// The declaration in it. `file` is the name of the spec. The content of the depfile is not
    /// known before the action has run.
    pub fn declaration(&self, workspace: &[u8], file: &str) -> Declaration {
        let bytes = |list: &[String]| list.iter().map(|p| p.clone().into_bytes()).collect();
        let name = [self.name.as_ref(), self.outputs.first(), self.argv.first()]
            .into_iter()
            .flatten()
            .next();
        Declaration {
            name: name.cloned().unwrap_or_default(),
            workspace: workspace.to_vec(),
            cwd: absolute(workspace, self.cwd.as_deref().unwrap_or("").as_bytes()),
            files: bytes(&self.inputs),
            directories: bytes(&self.input_dirs),
            globs: self.input_globs.clone(),
            depfile: self
                .depfile
                .as_ref()
                .map(|path| Depfile { path: path.clone().into_bytes(), content: None }),
            outputs: bytes(&self.outputs),
            side_effects: self.side_effects.clone(),
            temporary: self.temporary.clone(),
            environment: self.environment.clone(),
            declared_at: Some(Place::from(self.declared_at.as_deref().unwrap_or(file))),
            flavour: Flavour::Spec,
            temporary_directory: None,
            home: None,
        }
    }
}

/// The JSON schema of an action.json, for editors.
pub fn spec_schema() -> Schema {
    schemars::schema_for!(Spec)
}
