//! Settings: where they come from, in which order they count, and what they are.
//!
//! Everything that sets something is a layer of the same TOML: the embedded default, the user
//! file, the project file, `AIRTIGHT_*` variables and flags. So each is checked in the same way,
//! and `airtight config show` can tell for each setting which layer it comes from.

mod cache;
mod files;
mod layer;
mod show;
mod types;

pub(crate) use cache::{Caching, parse_size};
pub(crate) use files::{PROJECT_FILE, user_directory};
#[cfg(test)]
pub(crate) use layer::VARIABLES;
pub(crate) use layer::{Layer, Origin, Part, flag, flag_text};
pub(crate) use show::{Shown, show};
pub(crate) use types::{Backend, Format, OnUntraceable, Witness, add, parse_duration};

use crate::error::Error;
use crate::printer::Color;
use airtight_policy::{self as policy, Environment, Policy};
use airtight_tracer as tracer;
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::Document;

/// The embedded default of everything but the policy, with comments.
pub(crate) const DEFAULT_TOML: &str = include_str!("../default.toml");

/// All settings of one run of the command.
#[derive(Debug)]
pub(crate) struct Config {
    /// How findings are written.
    pub(crate) format: Format,
    /// When to colour.
    pub(crate) color: Color,
    /// Show all findings.
    pub(crate) all: bool,
    /// The root of the workspace: absolute, canonical.
    pub(crate) workspace: PathBuf,
    /// Who observes.
    pub(crate) backend: tracer::Backend,
    /// Who is asked beside the tracer, where it is said; see [`Config::witness`].
    witness: Option<tracer::Witness>,
    /// Kill the action after this time.
    pub(crate) timeout: Option<Duration>,
    /// How long processes may outlive the action.
    pub(crate) grace: Duration,
    /// Deny undeclared opens in the kernel.
    pub(crate) guard: bool,
    /// What to do where nothing can be traced.
    pub(crate) on_untraceable: OnUntraceable,
    /// Remove undeclared outputs of a failed action.
    pub(crate) remove_undeclared: bool,
    /// Give the action the caller's whole environment.
    pub(crate) keep_environment: bool,
    /// The variables that the action gets.
    pub(crate) environment: Environment,
    /// How to judge.
    pub(crate) policy: Policy,
    /// Where results are kept and looked for.
    pub(crate) cache: Caching,
    /// What set all this, the lowest first.
    pub(crate) layers: Vec<Layer>,
}

impl Config {
    /// Reads all layers. `flags` are those of the command line. Where nothing names a workspace,
    /// it is the directory of the project file, else `near`, else the root of the repository,
    /// else the current directory.
    ///
    /// # Errors
    /// When a file can't be read or says something that can't be understood; the error names the
    /// place.
    pub(crate) fn load(flags: Vec<Layer>, near: Option<PathBuf>) -> Result<Config, Error> {
        let cwd = std::env::current_dir().map_err(Error::file(Path::new("."), "can't be found"))?;
        let mut layers = vec![
            Layer::embedded(Part::Policy, policy::DEFAULT_TOML),
            Layer::embedded(Part::All, DEFAULT_TOML),
        ];
        layers.extend(files::user()?);
        let project = files::project(&cwd)?;
        let (own, project) = project.unzip();
        let root = own.or(near).or_else(|| files::repository(&cwd)).unwrap_or(cwd);
        layers.extend(project);
        layers.extend(layer::variables(std::env::vars_os())?);
        layers.extend(flags);
        Config::from_layers(layers, root)
    }

    /// Lays the layers over one another. `root` is where relative names of workspaces start.
    fn from_layers(layers: Vec<Layer>, root: PathBuf) -> Result<Config, Error> {
        let mut config = Config {
            format: Format::default(),
            color: Color::default(),
            all: false,
            workspace: root,
            backend: tracer::Backend::default(),
            witness: None,
            timeout: None,
            grace: tracer::Options::default().grace,
            guard: false,
            on_untraceable: OnUntraceable::default(),
            remove_undeclared: false,
            keep_environment: false,
            environment: Environment::default(),
            policy: Policy::default(),
            cache: Caching::default(),
            layers: Vec::new(),
        };
        for layer in &layers {
            // The default policy is in `Policy::default` already.
            if (layer.part, &layer.origin) != (Part::Policy, &Origin::Default) {
                config.lay(layer)?;
            }
        }
        config.workspace = std::fs::canonicalize(&config.workspace)
            .map_err(Error::file(&config.workspace, "can't use it as workspace"))?;
        config.layers = layers;
        Ok(config)
    }

    /// Who is asked beside the tracer whether it has seen everything. `usual` is what is done where
    /// no setting says it.
    pub(crate) fn witness(&self, usual: tracer::Witness) -> tracer::Witness {
        match self.witness {
            // It would be held against itself.
            _ if self.backend == tracer::Backend::Fanotify => tracer::Witness::Off,
            Some(witness) => witness,
            // Without one nothing could be published.
            None if self.cache.require_witness && usual == tracer::Witness::Off => {
                tracer::Witness::Auto
            }
            None => usual,
        }
    }

    /// Whether a result may be published only where a witness has agreed with the recording.
    pub(crate) fn publishes_witnessed_only(&self) -> bool {
        self.cache.require_witness || self.witness == Some(tracer::Witness::Fanotify)
    }

    fn lay(&mut self, layer: &Layer) -> Result<(), Error> {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        let Document { display, run, policy, cache } = layer.parse()?;
        set(&mut self.format, display.format);
        set(&mut self.color, display.color);
        set(&mut self.all, display.all);
        if let Some(workspace) = run.workspace.filter(|name| !name.is_empty()) {
            // A flag or variable is relative to the current directory, a file to its own.
            self.workspace = match &layer.origin {
                Origin::File(file) => file.parent().unwrap_or(Path::new("/")).join(workspace),
                _ => PathBuf::from(workspace),
            };
        }
        set(&mut self.backend, run.backend.map(tracer::Backend::from));
        set(&mut self.witness, run.witness.map(|witness| Some(witness.into())));
        set(&mut self.timeout, run.timeout.map(|time| time.0));
        set(&mut self.grace, run.grace.and_then(|time| time.0));
        set(&mut self.guard, run.guard);
        set(&mut self.on_untraceable, run.on_untraceable);
        set(&mut self.remove_undeclared, run.remove_undeclared);
        set(&mut self.keep_environment, run.keep_environment);
        add(&mut self.environment, run.environment);
        self.policy.layer(policy, layer.source());
        self.cache.lay(cache, layer)?;
        Ok(())
    }
}

/// The JSON schema of airtight.toml, for editors.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Document)
}

/// What `airtight init` writes: every setting with its default, as comments.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# Settings of Airtight for this project. Each line shows a default: take away the `# ` to\n\
         # change it. Lists are added to the defaults, values replace them. `airtight config show`\n\
         # tells what is in force and where it was set.\n\n",
    );
    commented(&mut text, DEFAULT_TOML, "");
    text.push_str("\n[policy]\n");
    commented(&mut text, policy::DEFAULT_TOML, "policy.");
    text
}

/// `toml` with all settings as comments; tables stay, under `prefix`.
fn commented(text: &mut String, toml: &str, prefix: &str) {
    for line in toml.lines() {
        // A header may be a comment itself, and may be that of an array.
        let start = line.find(|c| !matches!(c, '#' | ' ' | '[')).unwrap_or(0);
        if line[..start].contains('[') && line.ends_with(']') {
            text.push_str(&format!("{}{prefix}{}", &line[..start], &line[start..]));
        } else if line.is_empty() || line.starts_with('#') {
            text.push_str(line);
        } else {
            text.push_str(&format!("# {line}"));
        }
        text.push('\n');
    }
}
