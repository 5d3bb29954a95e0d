//! `airtight fix`

use super::audit::DEFAULT_FILE;
use super::judging::Judging;
use crate::audit::{self, Again, GraphFrom};
use crate::baseline::Known;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::fix::{self, Advice, Plan, Site};
use crate::printer::{DIM, GOOD, Printer, STRONG};
use airtight_policy::build::BuildVerdict;
use airtight_policy::{Finding, Severity, absolute};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// How many actions are told of one advice.
const ACTIONS: usize = 3;

/// Tell, or write, the lines that the build files lack
///
/// For missing and order-only inputs, races and undeclared outputs that an audit found: the edits
/// of makefiles, build.ninja, CMakeLists.txt and meson.build as a unified diff on standard output,
/// to be taken by `git apply` or `patch -p1`. What can't be done for certain is never guessed into
/// a file, but told on standard error with the reason. Files that a program makes are never
/// edited.
///
/// Ends with 0 when there is nothing to do, and with 1 when there is; with --write, with 1 when
/// something is left to do by hand, and with --diff, when there is a diff.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight fix
  airtight fix R001-1a2b3c4d build/main.o
  airtight fix --diff | git apply
  airtight fix --write include/config.h")]
pub(crate) struct Args {
    /// The file of an audit, then what to mend: findings, rules, actions, or files. All if none
    #[arg(value_name = "AUDIT|WHAT")]
    what: Vec<OsString>,
    /// Write the edits into the build files
    #[arg(long, conflicts_with = "diff")]
    write: bool,
    /// The diff alone, and nothing on what is left to do by hand
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    from: GraphFrom,
    #[command(flatten)]
    known: Known,
    #[command(flatten)]
    judging: Judging,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.judging.layers()?, None)?;
    printer.configure(config.color);
    let mut what = args.what.as_slice();
    let mut path = PathBuf::from(DEFAULT_FILE);
    if let Some((first, rest)) = what.split_first()
        && audit::is_audit(first.as_ref())
    {
        (path, what) = (PathBuf::from(first), rest);
    }
    let again = audit::reopen(&path, args.from, config, printer)?;
    let baseline = args.known.load(&again.config)?;
    let verdict = again.judge(false, baseline.as_ref())?;
    let selected = select(&verdict, &again, what)?;
    let Again { recording, build, config, .. } = &again;
    let site = Site { workspace: &config.workspace, build, recording };
    let plan = fix::plan(&site, &verdict, |finding| selected.contains(finding.id.as_str()));
    let done = args.write && plan.texts.changed() > 0;
    if done {
        plan.texts.write()?;
    } else {
        printer.raw(&plan.texts.diff()).map_err(Error::Stdout)?;
    }
    if !args.diff {
        printer.tell(told(&plan, args.write));
    }
    let open = match (args.write, args.diff) {
        (true, _) => plan.left > 0,
        (false, true) => plan.texts.changed() > 0,
        (false, false) => plan.left > 0 || plan.texts.changed() > 0,
    };
    Ok(if open { Status::Findings } else { Status::Success })
}

/// The findings that are meant, by their names.
fn select<'a>(
    verdict: &'a BuildVerdict,
    again: &Again,
    what: &[OsString],
) -> Result<HashSet<&'a str>, Error> {
    if what.is_empty() {
        let heavy = verdict.findings.iter().filter(|finding| finding.severity >= Severity::Warn);
        return Ok(heavy.map(|finding| finding.id.as_str()).collect());
    }
    let cwd = std::env::current_dir().map_err(Error::file(".".as_ref(), "can't be found"))?;
    let mut selected = HashSet::new();
    for word in what {
        let bytes = word.as_bytes();
        let paths =
            [cwd.as_os_str().as_bytes(), &again.build.workspace].map(|base| absolute(base, bytes));
        let text = word.to_string_lossy();
        let declared = |finding: &Finding| {
            let place = finding.declared_at.as_ref();
            place.is_some_and(|place| {
                paths.contains(&absolute(&again.build.workspace, place.file.as_bytes()))
            })
        };
        let is_meant = |finding: &&Finding| {
            finding.id == text
                || airtight_policy::Rule::find(&text) == Some(finding.rule)
                || finding.action == text
                || paths.contains(&finding.path.0)
                || declared(finding)
        };
        let mut meant = verdict.findings.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            return Err(Error::Plain {
                message: format!("no finding is, or is about, {}", super::shown(bytes)),
                hints: vec!["`airtight check` lists what the audit found".to_owned()],
            });
        }
        selected.extend(meant.map(|finding| finding.id.as_str()));
    }
    Ok(selected)
}

/// What there is to say beside the diff.
fn told(plan: &Plan, write: bool) -> String {
    let mut text = String::new();
    let mut advice: Vec<&Advice> = plan.advice.iter().collect();
    while let Some(Advice { line, why, .. }) = advice.first().copied() {
        // The same for several actions is told once.
        let same = |other: &&Advice| other.line == *line && other.why == *why;
        let (these, rest): (Vec<&Advice>, Vec<&Advice>) = advice.into_iter().partition(same);
        advice = rest;
        let word = if why.is_empty() { "better" } else { "by hand" };
        let _ = writeln!(text, "{STRONG}{word}{STRONG:#}: {GOOD}{line}{GOOD:#}");
        for Advice { action, place, .. } in these.iter().take(ACTIONS) {
            let place = place.as_ref().map(|place| format!("   declared at {place}"));
            let _ = writeln!(text, "  {DIM}action{DIM:#}  {action}{}", place.unwrap_or_default());
        }
        if these.len() > ACTIONS {
            let _ = writeln!(text, "          {} more", these.len() - ACTIONS);
        }
        if !why.is_empty() {
            let _ = writeln!(text, "  {DIM}why{DIM:#}     {why}");
        }
    }
    let count =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut parts = Vec::new();
    if plan.mended > 0 {
        let verb = if write { "mended" } else { "can be mended" };
        let files = count(plan.texts.changed(), "file");
        parts.push(format!("{} {verb} in {files}", count(plan.mended, "finding")));
    }
    if plan.left > 0 {
        parts.push(format!("{} left to do by hand", count(plan.left, "finding")));
    }
    if parts.is_empty() {
        parts.push("nothing to mend".to_owned());
    }
    let hint = match (plan.texts.changed() > 0, write) {
        (true, false) => " (--write)",
        (true, true) => "; build and audit again",
        (false, _) => "",
    };
    let _ = writeln!(text, "{}{DIM}{hint}{DIM:#}", parts.join(", "));
    text
}
