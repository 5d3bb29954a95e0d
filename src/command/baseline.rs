//! `airtight baseline`

use super::audit::DEFAULT_FILE;
use super::judging::Judging;
use crate::audit::{self, Again, GraphFrom};
use crate::baseline as files;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, GOOD, Printer, STRONG, WARNING};
use airtight_policy::baseline::{Baseline, Edit, Section, Standing, Standings, create};
use airtight_policy::build::BuildVerdict;
use airtight_policy::{Date, Rule};
use airtight_recording::Exit;
use clap::Subcommand;
use clap::builder::TypedValueParser;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Keep a list of known findings, so that only new ones count
///
/// The list is airtight-baseline.toml in the workspace. `airtight audit` and `airtight check` take
/// what it knows out of their findings; actions with known findings are still not cacheable. Debt
/// is written by these commands. Entries under [[accepted]] are written by people, with a reason,
/// and no command changes them.
///
/// No command takes new findings into the list unasked: `create` never overwrites one, `update`
/// only lowers counts unless --accept names a rule, and `prune` only removes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight audit -- make -j8; airtight baseline create
  airtight baseline show
  airtight baseline update --accept R001
  airtight baseline prune")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Operation,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// Enter all findings of an audit into a new baseline
    Create(Common),
    /// Lower the counts of debt, and enter new findings of the rules that are named
    ///
    /// Ends with 1 when findings are left that the baseline does not know.
    Update {
        /// Enter new findings of this rule
        #[arg(long, value_name = "RULE", value_parser = clap::builder::StringValueParser::new().try_map(rule))]
        accept: Vec<Rule>,
        /// Tell what would be done, and end with 1 if it is anything
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Remove debt that is gone
    ///
    /// Only what the build was seen without: of actions that did not run nothing is removed, and
    /// nothing at all after a build that failed.
    Prune {
        /// Tell what would be done, and end with 1 if it is anything
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Show all entries and how many findings of an audit each covers
    ///
    /// Ends with 1 when there are findings that the baseline does not know.
    Show(Common),
}

/// What all operations take.
#[derive(Debug, clap::Args)]
struct Common {
    /// The file of the audit
    #[arg(value_name = "AUDIT", default_value = DEFAULT_FILE)]
    audit: PathBuf,
    /// The baseline [default: airtight-baseline.toml in the workspace]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    from: GraphFrom,
    #[command(flatten)]
    judging: Judging,
}

fn rule(name: String) -> Result<Rule, String> {
    Rule::find(&name).ok_or_else(|| {
        let near = Rule::nearest(&name).map(|near| format!("; did you mean `{near}`?"));
        format!("unknown rule{}", near.unwrap_or_default())
    })
}

/// An audit that was judged, and the name of the baseline's file.
struct Judged {
    again: Again,
    verdict: BuildVerdict,
    path: PathBuf,
    today: Date,
}

impl Judged {
    fn new(common: &Common, printer: &Printer) -> Result<Judged, Error> {
        let config = Config::load(common.judging.layers()?, None)?;
        printer.configure(config.color);
        let again = audit::reopen(&common.audit, common.from, config, printer)?;
        let verdict = again.judge(false, None)?;
        let default = || files::default(&again.config);
        let path = common.baseline.clone().unwrap_or_else(default);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let today = Date::from_unix(now.unwrap_or_default().as_secs());
        Ok(Judged { again, verdict, path, today })
    }

    fn baseline(&self) -> Result<Baseline, Error> {
        files::read(&self.path)?.ok_or_else(|| Error::Plain {
            message: format!("{} does not exist", self.path.display()),
            hints: vec!["`airtight baseline create` makes one".to_owned()],
        })
    }

    fn standings(&self, baseline: &Baseline) -> Standings {
        baseline.standings(&self.verdict, &self.again.build, Some(self.today))
    }

    /// How a command ends that had `status` so far.
    fn status(&self, status: Status, printer: &Printer) -> Status {
        let complete = self.verdict.completeness.as_ref().is_some_and(|c| c.is_complete());
        if self.verdict.exit != Some(Exit::Code(0)) {
            printer.warning("the build failed, so not all of it was seen");
        }
        if !complete {
            printer.warning("the recording is incomplete, so not all is known");
        }
        match status {
            Status::Success if !complete => Status::Incomplete,
            status => status,
        }
    }
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    match &args.command {
        Operation::Create(common) => make(common, printer),
        Operation::Update { accept, dry_run, common } => {
            let judged = Judged::new(common, printer)?;
            let baseline = judged.baseline()?;
            let standings = judged.standings(&baseline);
            let Judged { again, verdict, today, .. } = &judged;
            let accept = accept.iter().copied().collect();
            let edit = baseline.update(verdict, &again.build, &standings, &accept, *today);
            let edit = edit.map_err(|error| not_editable(&judged.path, &error))?;
            let changed = carry_out(&judged, &baseline, &edit, *dry_run, printer)?;
            let left = baseline.new_findings(verdict, &standings);
            let left = by_rule(left.map(|f| f.rule).filter(|rule| !accept.contains(rule)));
            if !left.is_empty() {
                printer.tell(format!("not in the baseline: {}\n", listed(&left)));
            }
            let findings = !left.is_empty() || (*dry_run && changed);
            let status = if findings { Status::Findings } else { Status::Success };
            Ok(judged.status(status, printer))
        }
        Operation::Prune { dry_run, common } => {
            let judged = Judged::new(common, printer)?;
            let baseline = judged.baseline()?;
            let edit = baseline.prune(&judged.standings(&baseline));
            let edit = edit.map_err(|error| not_editable(&judged.path, &error))?;
            let changed = carry_out(&judged, &baseline, &edit, *dry_run, printer)?;
            let status = if *dry_run && changed { Status::Findings } else { Status::Success };
            Ok(judged.status(status, printer))
        }
        Operation::Show(common) => show(common, printer),
    }
}

fn not_editable(path: &Path, error: &impl std::fmt::Display) -> Error {
    Error::plain(format!("{}: {error}", path.display()))
}

fn make(common: &Common, printer: &Printer) -> Result<Status, Error> {
    let judged = Judged::new(common, printer)?;
    let edit = create(&judged.verdict, &judged.again.build, judged.today);
    let edit = edit.map_err(|error| not_editable(&judged.path, &error))?;
    let shown = files::shown(&judged.path);
    if edit.changes.is_empty() {
        printer.tell(format!("no findings, so {shown} is not made\n"));
        return Ok(judged.status(Status::Success, printer));
    }
    files::create(&judged.path, &edit.text)?;
    let baseline = judged.baseline()?;
    let standings = judged.standings(&baseline);
    let covered: u64 = standings.entries.iter().map(|standing| standing.covers).sum();
    let entries = counted(baseline.entries().len() as u64, "entry", "entries");
    let findings = counted(covered, "finding", "findings");
    printer.tell(format!("wrote {shown}: {entries} for {findings}\n"));
    Ok(judged.status(Status::Success, printer))
}

/// Writes the new text, if it is another, and tells what was changed. Whether anything was.
fn carry_out(
    judged: &Judged,
    baseline: &Baseline,
    edit: &Edit,
    dry_run: bool,
    printer: &Printer,
) -> Result<bool, Error> {
    let changed = edit.text != baseline.text();
    if changed && !dry_run {
        crate::output::replace(&judged.path, edit.text.as_bytes())?;
    }
    let mut text = String::new();
    for change in &edit.changes {
        text += &format!("{change}\n");
    }
    if !changed {
        text += &format!("nothing to change in {}\n", files::shown(&judged.path));
    }
    printer.tell(text);
    Ok(changed)
}

fn show(common: &Common, printer: &Printer) -> Result<Status, Error> {
    let judged = Judged::new(common, printer)?;
    let baseline = judged.baseline()?;
    let standings = judged.standings(&baseline);
    let mut text = String::new();
    for (entry, standing) in baseline.entries().iter().zip(&standings.entries) {
        let section = match entry.section {
            Section::Debt => "debt    ",
            Section::Accepted => "accepted",
        };
        let of = entry.count.map(|count| format!(" of {count}")).unwrap_or_default();
        text += &format!("{DIM}{}:{DIM:#} {section}  {STRONG}{entry}{STRONG:#}", entry.place);
        text += &format!("  covers {}{of}", standing.covers);
        if let Some(since) = entry.since {
            text += &format!(" since {since}");
        }
        if !entry.reason.is_empty() {
            text += &format!("  {DIM}({}){DIM:#}", super::shown(entry.reason.trim().as_bytes()));
        }
        text += &format!("{}\n", state(standing, entry.until));
    }
    let covered: u64 = standings.entries.iter().map(|standing| standing.covers).sum();
    let entries = counted(baseline.entries().len() as u64, "entry covers", "entries cover");
    text += &format!("{entries} {}", counted(covered, "finding", "findings"));
    let stale = standings.entries.iter().filter(|standing| standing.is_stale()).count();
    if stale > 0 {
        text += &format!(
            ", {} (airtight baseline prune)",
            counted(stale as u64, "is stale", "are stale")
        );
    }
    let new = by_rule(baseline.new_findings(&judged.verdict, &standings).map(|f| f.rule));
    if !new.is_empty() {
        text += &format!("; new: {}", listed(&new));
    }
    text.push('\n');
    printer.data(text).map_err(Error::Stdout)?;
    let status = if new.is_empty() { Status::Success } else { Status::Findings };
    Ok(judged.status(status, printer))
}

/// What else there is to say of an entry.
fn state(standing: &Standing, until: Option<Date>) -> String {
    match (standing, until) {
        (Standing { ended: true, .. }, Some(day)) => {
            format!("  {WARNING}ended {day}{WARNING:#}")
        }
        (standing, _) if standing.is_stale() => format!("  {GOOD}stale{GOOD:#}"),
        (Standing { beyond: 1.., .. }, _) => {
            format!("  {WARNING}{} more{WARNING:#}", standing.beyond)
        }
        (Standing { seen: false, .. }, _) => "  not all of its actions ran".to_owned(),
        (_, Some(day)) => format!("  until {day}"),
        _ => String::new(),
    }
}

fn by_rule(rules: impl Iterator<Item = Rule>) -> BTreeMap<Rule, u64> {
    let mut counts = BTreeMap::new();
    rules.for_each(|rule| *counts.entry(rule).or_default() += 1);
    counts
}

/// `3 R001, 1 W003`
fn listed(counts: &BTreeMap<Rule, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
    parts.join(", ")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
