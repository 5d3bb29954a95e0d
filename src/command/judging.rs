//! Flags that say how to judge and how to tell it: those of `run` and `check`.

use crate::config::{Format, Layer, Part, flag};
use crate::error::Error;
use airtight_policy::Rule;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// How to judge, and how to tell it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Judging")]
pub(crate) struct Judging {
    /// Lay this policy file over that of airtight.toml
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Which reads must be declared
    #[arg(long, value_name = "LEVEL",
          value_parser = PossibleValuesParser::new(["generated", "workspace", "all"]))]
    strictness: Option<String>,
    /// What to do about one rule: record, warn, fail, deny (EACCES), hide (ENOENT) or kill
    #[arg(long, value_name = "RULE=REACTION")]
    reaction: Vec<String>,
    /// The root of the workspace [default: where airtight.toml, the spec or .git is]
    #[arg(long, value_name = "DIR")]
    workspace: Option<String>,
    /// How to write findings
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Show all findings and notes, not the first 20
    #[arg(long)]
    all: bool,
}

impl Judging {
    /// The settings in these flags, as layers.
    ///
    /// # Errors
    /// When the policy file can't be read, or a rule is unknown.
    pub(crate) fn layers(&self) -> Result<Vec<Layer>, Error> {
        let mut layers = Vec::new();
        if let Some(file) = &self.policy {
            let text = std::fs::read_to_string(file).map_err(Error::file(file, "can't read"))?;
            let name = file.display().to_string();
            layers.push(Layer::file(Part::Policy, file.clone(), name, text));
        }
        if let Some(level) = &self.strictness {
            layers.push(flag("--strictness", "policy.strictness", level));
        }
        for reaction in &self.reaction {
            let (rule, reaction) = reaction.split_once('=').ok_or_else(|| Error::Plain {
                message: format!("--reaction {reaction}: not of the form RULE=REACTION"),
                hints: vec!["like `--reaction R001=deny`".to_owned()],
            })?;
            let rule = Rule::find(rule).ok_or_else(|| Error::Plain {
                message: format!("--reaction: unknown rule `{rule}`"),
                hints: Rule::nearest(rule)
                    .map(|near| format!("did you mean `{near}`?"))
                    .into_iter()
                    .collect(),
            })?;
            layers.push(flag("--reaction", &format!("policy.reaction-of.{rule}"), reaction));
        }
        if let Some(directory) = &self.workspace {
            layers.push(flag("--workspace", "run.workspace", directory));
        }
        if let Some(format) = self.format.and_then(|format| format.to_possible_value()) {
            layers.push(flag("--format", "display.format", format.get_name()));
        }
        if self.all {
            layers.push(flag("--all", "display.all", "true"));
        }
        Ok(layers)
    }
}
