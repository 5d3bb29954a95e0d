//! An action whose key is asked for, with the flags that go into the key: those of `run`.

use super::cc;
use super::judging::Judging;
use crate::action::Declared;
use crate::caching;
use crate::config::{Config, Format, flag};
use crate::error::Error;
use crate::printer::Printer;
use crate::scratch;
use airtight_cache::Cache;
use airtight_cache::key::{Action, Look};
use airtight_policy::{Declaration, Judge};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// The action and how it would be run.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Keyed {
    /// The command is a compiler's, as `airtight cc` takes it
    #[arg(long)]
    cc: bool,
    /// As `run --env-all`: the caller's whole environment is passed on
    #[arg(long)]
    env_all: bool,
    /// As `run --allow-io-uring`
    #[arg(long)]
    allow_io_uring: bool,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    judging: Judging,
}

/// What a key is made from, ready to be asked.
pub(crate) struct Question {
    pub(crate) config: Config,
    pub(crate) declaration: Declaration,
    pub(crate) cache: Cache,
    pub(crate) action: Action,
    pub(crate) json: bool,
}

impl Keyed {
    /// Makes the key as `run` would, with the local store alone: no remote is asked.
    ///
    /// # Errors
    /// When the declaration or the settings are wrong, the local store can't be used, or the
    /// action can't have a key.
    pub(crate) fn question(&self, printer: &Printer) -> Result<Question, Error> {
        let mut layers = self.judging.layers()?;
        for (given, name, key) in [
            (self.env_all, "--env-all", "run.keep-environment"),
            (self.allow_io_uring, "--allow-io-uring", "policy.unsafe-allow-io-uring"),
        ] {
            if given {
                layers.push(flag(name, key, "true"));
            }
        }
        let config = Config::load(layers, self.declared.directory())?;
        printer.configure(config.color);
        let argv = self.argv.clone();
        let (argv, mut declaration) = match self.cc {
            true => cc::declare(self.declared.clone(), argv, &config)?,
            false => self.declared.resolve(argv, None, &config)?,
        };
        if argv.is_empty() {
            return Err(Error::Plain {
                message: "no command".to_owned(),
                hints: vec!["give it behind `--`, or a whole action with --spec".to_owned()],
            });
        }
        let scratch = scratch::path(&declaration, &argv)?;
        declaration.temporary_directory = Some(scratch.into_os_string().into_vec());
        let cache = caching::open_local(&config)?;
        let variables = std::env::vars_os();
        let action = caching::action(&cache, &argv, &declaration, variables, &config)
            .map_err(|error| Error::plain(format!("this action can't be cached: {error}")))?;
        let json = self.json || config.format == Format::Json;
        Ok(Question { config, declaration, cache, action, json })
    }
}

impl Question {
    /// Asks with the present state of files at hand.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&Cache, &Action, &Look<'_>) -> T) -> T {
        let judge = Judge::new(&self.declaration, &self.config.policy);
        let hash = |path: &Path, about: &Metadata| self.cache.hash(path, about);
        ask(&self.cache, &self.action, &Look::new(self.action.workspace(), &judge, &hash))
    }
}
