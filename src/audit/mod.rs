//! Whole builds: what was recorded, the build's own graph, and the judgement on both.

mod again;
mod confirm;
pub(crate) mod file;
mod include;
pub(crate) mod origin;
mod progress;
mod story;

pub(crate) use again::{Again, GraphFrom};
pub(crate) use confirm::confirm;
pub(crate) use file::{Head, Saved};
pub(crate) use progress::Progress;
pub(crate) use story::{Story, chain_at};

use crate::action::{Declared, load_depfile};
use crate::adapter::{self, Adapter, Context};
use crate::command::Outcome;
use crate::config::Config;
use crate::error::Error;
use crate::printer::Printer;
use airtight_policy::baseline::Baseline;
use airtight_policy::build::{self, ActionVerdict, Build, BuildVerdict, Options};
use airtight_policy::{Date, Judge, Rule};
use airtight_recording::binary::Limits;
use airtight_recording::{Completeness, Recording};
use clap::ValueEnum;
use file::FileError;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Which build tools are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// All that are known
    #[default]
    Auto,
    /// GNU make
    Make,
    /// ninja, also below CMake and meson
    Ninja,
    /// None: the command is one action
    None,
}

impl Choice {
    /// The adapters to use.
    pub(crate) fn adapters(self) -> Vec<Box<dyn Adapter>> {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        let wanted = |called: &str| match self {
            Choice::Auto => true,
            Choice::None => false,
            Choice::Make | Choice::Ninja => name.as_deref() == Some(called),
        };
        adapter::all().into_iter().filter(|adapter| wanted(adapter.name())).collect()
    }
}

/// What an audit was asked for, as far as it matters when it is judged again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Which build tools.
    pub(crate) adapter: Choice,
    /// What the command, being one action, says of itself.
    pub(crate) declared: Option<Declared>,
}

/// Reads the build's graph and finds the owner of each process.
///
/// # Errors
/// When a build description can't be read.
pub(crate) fn attribute(
    recording: &Recording,
    asked: &Asked,
    config: &Config,
    printer: &Printer,
) -> Result<Build, Error> {
    let workspace = config.workspace.clone().into_os_string().into_vec();
    let warn = |text: String| printer.warning(&text);
    let context = Context { workspace: &workspace, warn: &warn };
    let mut build = adapter::attribute(recording, &asked.adapter.adapters(), &context)?;
    build.home = home();
    if build.graph.runs.is_empty() && asked.adapter != Choice::None {
        printer.warning(
            "no build tool was seen: only what needs no declaration is judged \
             (`--adapter none` with `--in` and `--out`, or `--spec`, declares the command itself)",
        );
    }
    Ok(build)
}

/// A build of which only the command is known.
pub(crate) fn command_alone(recording: &Recording, config: &Config) -> Build {
    let workspace = config.workspace.clone().into_os_string().into_vec();
    Build { home: home(), ..adapter::command_alone(recording, &workspace) }
}

/// Reads the file of an audit; none if it is something else.
///
/// # Errors
/// When it can't be read or is damaged.
pub(crate) fn open(path: &Path) -> Result<Option<Saved>, Error> {
    let file = File::open(path).map_err(Error::file(path, "can't read"))?;
    let mut input = BufReader::new(file);
    if !file::is_audit(input.fill_buf().map_err(Error::file(path, "can't read"))?) {
        return Ok(None);
    }
    let saved = file::read(input, Limits::default());
    saved.map(Some).map_err(|source| Error::Audit { path: path.to_owned(), source })
}

/// Whether a file begins like that of an audit.
pub(crate) fn is_audit(path: &Path) -> bool {
    let mut start = [0; file::MAGIC.len()];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && file::is_audit(&start)
}

/// Reads the file of an audit and makes it ready to be judged again.
///
/// # Errors
/// When it can't be read, is no audit, or no graph can be had.
pub(crate) fn reopen(
    path: &Path,
    from: GraphFrom,
    config: Config,
    printer: &Printer,
) -> Result<Again, Error> {
    let saved = open(path)?.ok_or_else(|| Error::Plain {
        message: format!("{}: not the file of an audit", path.display()),
        hints: vec!["`airtight audit -- COMMAND` makes one".to_owned()],
    })?;
    Again::new(saved, path, &Declared::default(), from, config, printer)
}

impl Asked {
    /// What the audit of a saved file was asked for.
    ///
    /// # Errors
    /// When the file says what no audit can have been asked for.
    pub(crate) fn of(head: &Head, path: &Path) -> Result<Asked, Error> {
        Asked::deserialize(&head.asked).map_err(|error| Error::Audit {
            path: path.to_owned(),
            source: FileError::Damaged(error.to_string()),
        })
    }
}

/// Whether a judgement is clean, apart from how the build itself ended.
pub(crate) fn outcome(verdict: &BuildVerdict) -> Outcome {
    // These say in the verdict what the recording says of itself.
    let incomplete = |rule| matches!(rule, Rule::I002 | Rule::I003);
    let complete = verdict.completeness.as_ref().is_some_and(Completeness::is_complete);
    if verdict.findings.iter().any(|f| f.fails() && !incomplete(f.rule)) {
        Outcome::Undeclared
    } else if !complete || verdict.fails() {
        Outcome::Incomplete
    } else {
        Outcome::Clean
    }
}

fn home() -> Vec<u8> {
    std::env::var_os("HOME").unwrap_or_default().into_vec()
}

/// Judges a build, or, where the command declares something itself, that one action, and takes out
/// what `baseline` knows.
///
/// # Errors
/// When the declaration can't be read.
pub(crate) fn judge(
    recording: &Recording,
    build: &Build,
    asked: &Asked,
    config: &Config,
    unused_inputs: bool,
    baseline: Option<&Baseline>,
) -> Result<BuildVerdict, Error> {
    let today = Some(Date::from_unix(recording.header.time));
    let mut verdict = match &asked.declared {
        Some(declared) => judge_command(recording, declared, today, config)?,
        None => {
            let options = Options { today, unused_inputs };
            build::judge(build, &config.policy, recording, options)
        }
    };
    if let Some(baseline) = baseline {
        baseline.apply(&mut verdict, build, &config.policy, today);
    }
    Ok(verdict)
}

/// Judges the command as one action.
fn judge_command(
    recording: &Recording,
    declared: &Declared,
    today: Option<Date>,
    config: &Config,
) -> Result<BuildVerdict, Error> {
    let argv = recording.header.command.iter().cloned().map(OsString::from_vec).collect();
    let (_, mut declaration) = declared.resolve(argv, Some(&recording.header.cwd), config)?;
    load_depfile(&mut declaration)?;
    let mut judge = Judge::new(&declaration, &config.policy);
    if let Some(today) = today {
        judge = judge.today(today);
    }
    let judged = judge.judge(recording);
    let processes = u32::try_from(recording.processes.len()).unwrap_or(u32::MAX);
    let mut verdict = BuildVerdict::default();
    verdict.exit = judged.exit();
    verdict.completeness = recording.end.as_ref().map(|_| judged.completeness().clone());
    verdict.counts = judged.counts();
    verdict.findings = judged.findings().to_vec();
    verdict.suppressed = judged.suppressed().to_vec();
    verdict.processes = processes;
    verdict.actions = vec![ActionVerdict {
        id: adapter::COMMAND,
        name: declaration.name.clone(),
        declared_at: declaration.declared_at.clone(),
        processes,
        findings: u32::try_from(judged.findings().len()).unwrap_or(u32::MAX),
        uncacheable: judged.uncacheable().to_vec(),
    }];
    Ok(verdict)
}
