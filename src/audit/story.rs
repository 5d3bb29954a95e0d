//! Tells about one target or one file of a build: who makes it, who uses it, how the build
//! description knows, and what it lacks.

use super::include;
use crate::command::shown;
use crate::error::Error;
use crate::printer::{DIM, GOOD, STRONG};
use crate::report::{chain, deed, severity_word};
use airtight_policy::build::{Action, ActionId, Build, BuildVerdict, Nature, Owner, Via};
use airtight_policy::{Finding, Step, absolute, display};
use airtight_recording::{Access, Image, Index, Kind, PathId, ProcessId, Recording};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

/// How wide the labels are.
const LABEL: usize = 11;

/// How many characters of a command are shown.
const COMMAND: usize = 120;

/// The processes that led to what `process` did at `seq`, the nearest first.
pub(crate) fn chain_at(
    recording: &Recording,
    process: ProcessId,
    seq: u64,
    unicode: bool,
) -> String {
    told(recording, recording.chain(process, seq), unicode)
}

fn told(recording: &Recording, images: Vec<&Image>, unicode: bool) -> String {
    let steps: Vec<Step> = images
        .into_iter()
        .map(|image| Step {
            pid: 0,
            exe: shown(recording.path(image.exe)),
            argv: image.argv.iter().map(|arg| shown(arg)).collect(),
        })
        .collect();
    chain(&steps, unicode)
}

/// Tells about one build.
pub(crate) struct Story<'a> {
    recording: &'a Recording,
    build: &'a Build,
    verdict: &'a BuildVerdict,
    index: Index<'a>,
    /// Which actions make each name of the graph.
    makers: HashMap<PathId, Vec<ActionId>>,
    unicode: bool,
}

impl<'a> Story<'a> {
    /// Makes ready to tell.
    pub(crate) fn new(
        recording: &'a Recording,
        build: &'a Build,
        verdict: &'a BuildVerdict,
        unicode: bool,
    ) -> Story<'a> {
        let mut makers: HashMap<PathId, Vec<ActionId>> = HashMap::new();
        for (id, action) in (0u32..).map(ActionId).zip(&build.graph.actions) {
            for output in &action.outputs {
                makers.entry(*output).or_default().push(id);
            }
        }
        Story { recording, build, verdict, index: Index::new(recording), makers, unicode }
    }

    /// Tells about what a person calls `what`: the name of an action, or of a file as seen from
    /// the workspace, from where the build ran, or from `here`.
    ///
    /// # Errors
    /// When there is neither such a target nor such a file; the hints name some that are alike.
    pub(crate) fn tell(&self, what: &[u8], here: &[u8]) -> Result<String, Error> {
        let bases = [self.build.workspace.as_slice(), &self.recording.header.cwd, here];
        let names: Vec<Vec<u8>> = bases.iter().map(|base| absolute(base, what)).collect();
        let made = |name: &Vec<u8>| {
            let id = self.build.graph.paths.find(name)?;
            self.makers.get(&id)
        };
        let used = |name: &Vec<u8>| {
            let id = self.recording.paths.find(name)?;
            (self.index.of(id).len() > 0).then_some(id)
        };
        let file = names.iter().find(|name| made(name).is_some() || used(name).is_some());
        let called = |(_, action): &(ActionId, &Action)| action.name.as_bytes() == what;
        let all = (0u32..).map(ActionId).zip(&self.build.graph.actions);
        let mut actions: BTreeSet<ActionId> = all.filter(called).map(|(id, _)| id).collect();
        actions.extend(file.and_then(made).into_iter().flatten());
        let mut text = String::new();
        for action in &actions {
            // Writing to a string can't fail.
            let _ = self.action(&mut text, *action);
        }
        if let Some(id) = file.and_then(used) {
            let _ = self.file(&mut text, id);
        }
        if text.is_empty() { Err(self.unknown(what)) } else { Ok(text) }
    }

    fn unknown(&self, what: &[u8]) -> Error {
        let last = |path: &[u8]| path.rsplit(|&b| b == b'/').next().map(<[u8]>::to_vec);
        let wanted = last(what);
        let files = self.recording.accesses.iter().filter(|access| access.exists());
        let files = files.map(|access| self.recording.path(access.path));
        let targets = self.makers.keys().map(|id| self.build.graph.paths.get(*id));
        let same: BTreeSet<&[u8]> =
            files.chain(targets).filter(|path| last(path) == wanted).collect();
        let hint = |path: &[u8]| format!("did you mean `{}`?", self.name(path));
        Error::Plain {
            message: format!("{}: no target and no file of this build", shown(what)),
            hints: same.into_iter().take(3).map(hint).collect(),
        }
    }

    /// A path as people read it.
    fn name(&self, path: &[u8]) -> String {
        display(path, &self.build.workspace).into_owned()
    }

    fn action(&self, text: &mut String, id: ActionId) -> std::fmt::Result {
        let graph = &self.build.graph;
        let action = graph.action(id);
        let ran = self.verdict.actions.iter().find(|ran| ran.id == id);
        writeln!(text, "{STRONG}target {}{STRONG:#}", shown(action.name.as_bytes()))?;
        let place = action.declared_at.as_ref().map(|place| place.to_string());
        let tool = action.run.map(|run| graph.run(run).tool.clone());
        let how = match (action.nature, ran) {
            (Nature::Alias, _) => "joins names and runs nothing".to_owned(),
            (_, None) => "did not run".to_owned(),
            (Nature::Always, Some(ran)) => {
                format!("runs in every build; {}", processes(ran.processes))
            }
            (Nature::Configure, Some(ran)) => {
                format!("makes the build description; {}", processes(ran.processes))
            }
            (Nature::Normal, Some(ran)) => processes(ran.processes),
        };
        line(text, "declared at", &place.unwrap_or_default())?;
        line(text, "run by", &tool.map_or(how.clone(), |tool| format!("{tool}; {how}")))?;
        let command: String = shown(action.command.as_bytes()).chars().take(COMMAND).collect();
        line(text, "command", &command)?;
        let names = |ids: &mut dyn Iterator<Item = PathId>| {
            let names: BTreeSet<String> = ids.map(|id| self.name(graph.paths.get(id))).collect();
            names.into_iter().collect::<Vec<_>>().join("\n")
        };
        line(text, "makes", &names(&mut action.outputs.iter().copied()))?;
        for (via, label) in
            [(Via::Declared, "needs"), (Via::Depfile, "by depfile"), (Via::OrderOnly, "after")]
        {
            let of_kind = action.inputs.iter().filter(|input| input.via == via);
            line(text, label, &names(&mut of_kind.map(|input| input.path)))?;
        }
        for finding in self.findings(|finding| finding.action == action.name) {
            self.finding(text, finding)?;
        }
        Ok(())
    }

    fn file(&self, text: &mut String, path: PathId) -> std::fmt::Result {
        let bytes = self.recording.path(path);
        writeln!(text, "{STRONG}file {}{STRONG:#}", self.name(bytes))?;
        let known = self.build.graph.paths.find(bytes);
        for maker in known.and_then(|id| self.makers.get(&id)).into_iter().flatten() {
            let action = self.build.graph.action(*maker);
            let place = action.declared_at.as_ref().map(|place| format!("   declared at {place}"));
            let name = shown(action.name.as_bytes());
            line(text, "made by", &format!("{name}{}", place.unwrap_or_default()))?;
        }
        let within = bytes.starts_with(&self.build.workspace);
        let mut told = HashSet::new();
        for access in self.index.of(path) {
            let owner = self.build.attribution.owner(access.process, access.first);
            let deed = deed(Some(access.kind));
            if !told.insert((owner, deed, access.exists())) {
                continue;
            }
            let chain = self.chain(access, owner);
            let mut what = format!("{}  {DIM}{chain}{DIM:#}", self.owner(owner));
            if !access.exists() {
                what += "   absent";
            }
            let Some(Owner::Action(action)) = owner else {
                line(text, deed, &what)?;
                continue;
            };
            if within && access.exists() {
                what += &format!("   {}", self.standing(action, known, access));
            }
            line(text, deed, &what)?;
            let name = &self.build.graph.action(action).name;
            let mut findings = self
                .findings(|finding| finding.action == *name && finding.path.0 == bytes)
                .peekable();
            if findings.peek().is_some()
                && let Some(place) = include::hint(self.recording, access, &self.build.workspace)
            {
                line(text, "", &format!("{} names it", self.name(place.as_bytes())))?;
            }
            for finding in findings {
                line(text, "", &headline(finding))?;
                line(text, "", &fix(finding))?;
            }
        }
        Ok(())
    }

    /// The processes of the action that led to an access, the nearest first.
    fn chain(&self, access: &Access, owner: Option<Owner>) -> String {
        let Recording { processes, .. } = self.recording;
        let (mut at, mut seq) = (Some(access.process), access.first);
        let mut images = Vec::new();
        while let Some(process) = at.and_then(|id| processes.get(id.0 as usize)) {
            images.extend(process.images.iter().rev().find(|image| image.seq <= seq));
            seq = process.start;
            at = process.parent.filter(|parent| *parent < process.id);
            let above = at.and_then(|parent| self.build.attribution.owner(parent, seq));
            if above != owner && !images.is_empty() {
                break;
            }
        }
        told(self.recording, images, self.unicode)
    }

    /// How an action knows a file.
    fn standing(&self, id: ActionId, path: Option<PathId>, access: &Access) -> &'static str {
        let action = self.build.graph.action(id);
        let changes = matches!(access.kind, Kind::Write | Kind::Delete);
        let Some(path) = path else { return "not declared" };
        if action.outputs.contains(&path) {
            return "its output";
        }
        if changes {
            return "not declared";
        }
        let direct = action.inputs.iter().filter(|input| input.path == path).map(|input| input.via);
        match direct.min() {
            Some(Via::Declared) => "declared",
            Some(Via::Depfile) => "known from a depfile",
            _ if self.reaches(id, path, false) => "declared through another target",
            Some(Via::OrderOnly) => "order-only: made first, and no reason to rebuild",
            None if self.reaches(id, path, true) => "made first, and no reason to rebuild",
            None => "not declared",
        }
    }

    /// Whether `path` is among what an action depends on, at any distance.
    fn reaches(&self, from: ActionId, path: PathId, order_only: bool) -> bool {
        let graph = &self.build.graph;
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            let inputs = graph.action(id).inputs.iter();
            for input in inputs.filter(|input| order_only || input.via != Via::OrderOnly) {
                if input.path == path {
                    return true;
                }
                let makers = self.makers.get(&input.path).into_iter().flatten();
                open.extend(makers.filter(|maker| seen.insert(**maker)));
            }
        }
        false
    }

    fn owner(&self, owner: Option<Owner>) -> String {
        let tool = |run| self.build.graph.run(run).tool.as_str();
        match owner {
            Some(Owner::Action(id)) => shown(self.build.graph.action(id).name.as_bytes()),
            Some(Owner::Tool(run)) => format!("{} itself", tool(run)),
            Some(Owner::Parsing(run)) => format!("{}, reading its description", tool(run)),
            Some(Owner::Nobody(run)) => format!("a process of {} without action", tool(run)),
            None => "a process without owner".to_owned(),
        }
    }

    fn findings(&self, wanted: impl Fn(&Finding) -> bool) -> impl Iterator<Item = &'a Finding> {
        let shown = self.verdict.findings.iter().filter(|finding| finding.shown());
        shown.filter(move |finding| wanted(finding))
    }

    /// One finding below the action that it is of.
    fn finding(&self, text: &mut String, finding: &Finding) -> std::fmt::Result {
        line(text, "finding", &headline(finding))?;
        if let Some(evidence) = finding.evidence.as_ref().filter(|e| !e.chain.is_empty()) {
            line(text, "", &format!("{DIM}{}{DIM:#}", chain(&evidence.chain, self.unicode)))?;
        }
        let id = self.recording.paths.find(&finding.path.0);
        let seq = finding.evidence.as_ref().map(|evidence| evidence.seq);
        let access = id.and_then(|id| self.index.of(id).find(|access| Some(access.first) == seq));
        let place = access.and_then(|a| include::hint(self.recording, a, &self.build.workspace));
        if let Some(place) = place {
            line(text, "", &format!("{} names it", self.name(place.as_bytes())))?;
        }
        line(text, "", &fix(finding))
    }
}

fn processes(count: u32) -> String {
    format!("{count} process{}", if count == 1 { "" } else { "es" })
}

fn headline(finding: &Finding) -> String {
    let text = shown(finding.message.as_bytes());
    format!("{}[{}]: {text}", severity_word(finding.severity), finding.rule)
}

fn fix(finding: &Finding) -> String {
    let lines: Vec<String> = finding.fix.lines().map(|line| shown(line.as_bytes())).collect();
    let place = finding.declared_at.as_ref().map(|place| format!("   {DIM}at {place}{DIM:#}"));
    match lines.is_empty() {
        true => String::new(),
        false => format!("fix: {GOOD}{}{GOOD:#}{}", lines.join("\n"), place.unwrap_or_default()),
    }
}

/// A label and what goes with it; what goes on in further lines stands under the first.
fn line(text: &mut String, label: &str, value: &str) -> std::fmt::Result {
    if value.is_empty() {
        return Ok(());
    }
    let value = value.replace('\n', &format!("\n{:indent$}", "", indent = LABEL + 3));
    writeln!(text, "  {DIM}{label:<LABEL$}{DIM:#} {value}")
}
