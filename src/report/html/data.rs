//! What the page's script shows: the actions, the graph around each finding, and the processes.

use super::super::group::Group;
use super::super::words::safe;
use super::super::{Report, Subject};
use super::list::MOST;
use crate::error::Error;
use airtight_policy::Finding;
use airtight_policy::build::{ActionId, ActionVerdict, Build, Owner};
use airtight_recording::{Exit, Kind, PathId, Process, Recording};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// How many neighbours of an action are drawn on each side.
const NEIGHBOURS: usize = 6;

/// How many processes the tree has: the first born.
const PROCESSES: usize = 50_000;

/// How many letters of a command line are shown.
const LETTERS: usize = 120;

/// The names of actions, each once.
#[derive(Default)]
struct Names {
    all: Vec<String>,
    known: HashMap<String, usize>,
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.known.get(name) {
            return number;
        }
        self.all.push(safe(name));
        self.known.insert(name.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }
}

/// Tuples, not maps, because there are many.
#[derive(Serialize)]
struct Data {
    names: Vec<String>,
    /// Name, place, processes, findings, why it is not cacheable.
    actions: Vec<(String, String, u32, u32, String)>,
    /// By their number in the page.
    findings: Vec<Option<Around>>,
    /// The parent's number or -1, the command, whose it is, how it ended where it failed, and how
    /// many findings it has.
    processes: Vec<(i64, String, Option<usize>, String, u32)>,
}

/// The action; what it depends on, and how many more; what depends on it, and how many more; the
/// file; whether the action writes it; who makes it.
type Around = (usize, Vec<usize>, usize, Vec<usize>, usize, String, bool, Option<usize>);

/// The data as JSON that can stand within a script element.
pub(super) fn text(report: &Report<'_>) -> Result<String, Error> {
    let mut names = Names::default();
    let (actions, findings) = match &report.subject {
        Subject::Action { .. } => (Vec::new(), Vec::new()),
        Subject::Build { verdict, build } => {
            let groups = Group::all(report.shown());
            let shown = groups.iter().flat_map(|group| &group.findings).take(MOST);
            let graph = Graph::new(build);
            let around = shown.map(|finding| graph.around(finding, &mut names)).collect();
            (verdict.actions.iter().map(action).collect(), around)
        }
    };
    let processes = match report.recording {
        Some(recording) => processes(report, recording, &mut names),
        None => Vec::new(),
    };
    let data = Data { names: names.all, actions, findings, processes };
    let text = serde_json::to_string(&data)
        .map_err(|error| Error::plain(format!("can't write JSON: {error}")))?;
    // None of these stands outside of a string. So no name ends the element or begins a comment.
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

fn action(action: &ActionVerdict) -> (String, String, u32, u32, String) {
    let place = action.declared_at.as_ref().map(|place| safe(&place.to_string()));
    let why = safe(&action.uncacheable.join("; "));
    let place = place.unwrap_or_default();
    (safe(&action.name), place, action.processes, action.findings, why)
}

/// The graph of a build, to be asked from both ends.
struct Graph<'a> {
    build: &'a Build,
    by_name: HashMap<&'a str, ActionId>,
    makers: HashMap<PathId, ActionId>,
    users: HashMap<PathId, Vec<ActionId>>,
}

impl<'a> Graph<'a> {
    fn new(build: &'a Build) -> Graph<'a> {
        let (mut by_name, mut makers) = (HashMap::new(), HashMap::new());
        let mut users: HashMap<PathId, Vec<ActionId>> = HashMap::new();
        for (at, action) in (0..).zip(&build.graph.actions) {
            let id = ActionId(at);
            by_name.entry(action.name.as_str()).or_insert(id);
            for output in &action.outputs {
                makers.entry(*output).or_insert(id);
            }
            for input in &action.inputs {
                users.entry(input.path).or_default().push(id);
            }
        }
        Graph { build, by_name, makers, users }
    }

    fn around(&self, finding: &Finding, names: &mut Names) -> Option<Around> {
        let id = *self.by_name.get(finding.action.as_str())?;
        let action = self.build.graph.action(id);
        let before: BTreeSet<ActionId> = action
            .inputs
            .iter()
            .filter_map(|input| self.makers.get(&input.path).copied())
            .collect();
        let users = action.outputs.iter().filter_map(|output| self.users.get(output));
        let after: BTreeSet<ActionId> =
            users.flatten().copied().filter(|&user| user != id).collect();
        let mut some = |all: &BTreeSet<ActionId>| {
            let first = all.iter().take(NEIGHBOURS);
            let first: Vec<usize> =
                first.map(|&id| names.number(&self.build.graph.action(id).name)).collect();
            (first.clone(), all.len() - first.len())
        };
        let ((before, more_before), (after, more_after)) = (some(&before), some(&after));
        let file = if finding.path.0.is_empty() { String::new() } else { safe(&finding.subject) };
        let writes = matches!(finding.kind, Some(Kind::Write | Kind::Delete));
        let path = self.build.graph.paths.find(&finding.path.0);
        let maker = path.and_then(|path| self.makers.get(&path)).filter(|&&maker| maker != id);
        let told = || {
            let made =
                finding.related.iter().find_map(|related| related.what.strip_prefix("made by "));
            made.filter(|made| *made != finding.action)
        };
        let maker = maker.map(|&maker| self.build.graph.action(maker).name.as_str()).or_else(told);
        let maker = maker.map(|name| names.number(name));
        let own = names.number(&action.name);
        Some((own, before, more_before, after, more_after, file, writes, maker))
    }
}

fn processes(
    report: &Report<'_>,
    recording: &Recording,
    names: &mut Names,
) -> Vec<(i64, String, Option<usize>, String, u32)> {
    // A pid can be used again, so this is what is likely.
    let mut found: HashMap<u32, u32> = HashMap::new();
    for finding in report.shown() {
        if let Some(step) = finding.evidence.as_ref().and_then(|evidence| evidence.chain.first()) {
            *found.entry(step.pid).or_default() += 1;
        }
    }
    let processes = recording.processes.iter().take(PROCESSES);
    processes
        .map(|process| {
            let parent = process.parent.map_or(-1, |parent| i64::from(parent.0));
            let owner = owner(report, process).map(|name| names.number(name));
            let end = match process.exit {
                Some((_, Exit::Code(0))) => String::new(),
                Some((_, Exit::Code(code))) => format!("exit {code}"),
                Some((_, Exit::Signal(signal))) => format!("signal {signal}"),
                None => "no end".to_owned(),
            };
            let found = found.get(&process.pid).copied().unwrap_or_default();
            (parent, command(process), owner, end, found)
        })
        .collect()
}

/// Whose work a process did at its end.
fn owner<'a>(report: &Report<'a>, process: &Process) -> Option<&'a str> {
    let Subject::Build { build, .. } = &report.subject else { return None };
    match build.attribution.of(process.id).last()?.owner {
        Owner::Action(id) => build.graph.actions.get(id.0 as usize).map(|a| a.name.as_str()),
        Owner::Tool(_) => Some("(the build tool)"),
        Owner::Parsing(_) => Some("(reading the build description)"),
        Owner::Nobody(_) => Some("(unattributed)"),
    }
}

fn command(process: &Process) -> String {
    let Some(image) = process.images.last() else { return "(no program)".to_owned() };
    let words: Vec<_> = image.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let mut text: String = words.join(" ").chars().take(LETTERS + 1).collect();
    if text.chars().count() > LETTERS {
        text = text.chars().take(LETTERS - 1).collect();
        text.push('…');
    }
    safe(&text)
}
