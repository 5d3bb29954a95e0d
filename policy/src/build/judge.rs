//! Holds what happened against the graph.

use super::deeds::Deeds;
use super::edges::Edges;
use super::graph::{ActionId, Nature, Via};
use super::grounds::{Ground, used};
use super::order::Order;
use super::parts::{Parts, Slot};
use super::world::{Member, World};
use super::{ActionVerdict, Build, BuildVerdict, Unattributed};
use crate::declaration::{Declaration, Flavour};
use crate::evidence;
use crate::finding::Finding;
use crate::judge::{Case, Judge, ending};
use crate::name::{absolute, below, printable};
use crate::policy::{Date, Policy, Severity};
use crate::rules::{self, Rule};
use crate::scopes::Scopes;
use crate::source::Place;
use crate::suppress::Suppressions;
use crate::verdict::Counts;
use airtight_recording::{Exit, ProcessId, Recording};
use std::sync::Arc;

/// What else decides a judgement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The date, so that suppressions can end.
    pub today: Option<Date>,
    /// Tell declared inputs that were never read (U001).
    pub unused_inputs: bool,
}

/// Judges a whole build. Numbers in `build` that lead nowhere are left out; [`Build::check`] tells
/// of them.
pub fn judge(
    build: &Build,
    policy: &Policy,
    recording: &Recording,
    options: Options,
) -> BuildVerdict {
    let edges = Edges::new(&build.graph, recording);
    let mut parts = Parts::new(build, recording);
    let deeds = Deeds::new(&mut parts);
    let strays = parts.strays.iter().map(|(_, run)| *run).collect();
    let ran = (0..parts.actions).map(|slot| !parts.processes(slot).is_empty()).collect();
    let order = Order::new(&edges, strays, ran);
    let names = names(build, &parts);
    let exits: Vec<Option<Exit>> = (0..parts.tools()).map(|slot| parts.exit(slot)).collect();
    let world = World {
        edges: &edges,
        order: &order,
        deeds: &deeds,
        names: &names,
        actions: parts.actions,
        tools: parts.tools(),
        workspace: &build.workspace,
        apart: &apart(build, &edges),
        places: &places(&edges),
        failed: &exits.iter().map(|exit| *exit != Some(Exit::Code(0))).collect::<Vec<_>>(),
    };
    let scopes = Scopes::new(policy, &absolute(b"/", &build.workspace), Some(&build.home), None);
    let mut court = Court {
        build,
        policy,
        options,
        scopes: Arc::new(scopes),
        world: &world,
        exits: &exits,
        findings: Vec::new(),
        grounds: Vec::new(),
    };
    for slot in 0..parts.tools() {
        if !parts.processes(slot).is_empty() {
            court.try_slot(&mut parts, slot);
        }
    }
    court.whole(&deeds);
    court.missing_outputs(&parts);
    court.verdict(&parts)
}

/// What all slots are called and where they are declared.
fn names(build: &Build, parts: &Parts<'_>) -> Vec<(String, Option<Place>)> {
    let root = format!("{}/", String::from_utf8_lossy(&build.workspace));
    let actions = build.graph.actions.iter().map(|action| {
        let name =
            if root.len() > 1 { action.name.replace(&root, "") } else { action.name.clone() };
        (name, action.declared_at.clone())
    });
    let strays = parts.strays.iter().map(|&(process, _)| {
        let process = parts.recording.processes.get(process.0 as usize);
        let argv = process.and_then(|process| process.images.first()).map(|image| &image.argv);
        let words = argv.into_iter().flatten().map(|word| printable(word).into_owned());
        (words.collect::<Vec<_>>().join(" ").replace(&root, ""), None)
    });
    actions.chain(strays).collect()
}

/// Whether each run builds in a directory apart from its sources: most of what its actions start
/// from lies elsewhere in the workspace.
fn apart(build: &Build, edges: &Edges<'_>) -> Vec<bool> {
    let runs = &build.graph.runs;
    let apart = |run: u32| {
        let cwd = edges.directory(run);
        let around = below(cwd, &build.workspace).is_some_and(|rest| !rest.is_empty());
        let (mut here, mut there) = (0u64, 0u64);
        let actions = edges.actions_of(run).iter().filter(|_| around);
        for &id in actions.filter(|&&id| edges.nature(id) == Nature::Normal) {
            for (path, _) in edges.inputs(id).filter(|(path, _)| edges.makers(*path).is_empty()) {
                let path = edges.path(path);
                // What CMake makes for its makefiles is no source.
                if below(path, cwd).is_some_and(|rest| rest.starts_with(b"CMakeFiles/")) {
                    continue;
                }
                if below(path, cwd).is_some() {
                    here += 1;
                } else if below(path, &build.workspace).is_some() {
                    there += 1;
                }
            }
        }
        there > here
    };
    (0..runs.len() as u32).map(apart).collect()
}

/// The directories in which something is built: where a run works that has more to do than to call
/// others.
fn places<'b>(edges: &Edges<'b>) -> Vec<&'b [u8]> {
    let builds =
        |&run: &u32| edges.actions_of(run).iter().any(|&id| edges.nature(id) == Nature::Normal);
    let runs = (0..edges.graph.runs.len() as u32).filter(builds);
    let mut places: Vec<&[u8]> = runs.map(|run| edges.directory(run)).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// The judgement while it is made.
struct Court<'c, 'b, 'r> {
    build: &'b Build,
    policy: &'c Policy,
    options: Options,
    scopes: Arc<Scopes>,
    world: &'c World<'c, 'b, 'r>,
    exits: &'c [Option<Exit>],
    findings: Vec<Finding>,
    grounds: Vec<Ground>,
}

impl<'b> Court<'_, 'b, '_> {
    /// What an action says of itself. Its inputs are in the graph.
    fn declaration(&self, slot: Slot) -> Declaration {
        let (name, declared_at) = self.world.names.get(slot as usize).cloned().unwrap_or_default();
        let action = self.world.edges.action(slot);
        let path = |id| self.world.edges.path(id).to_vec();
        let mut outputs: Vec<Vec<u8>> = self.world.edges.outputs(slot).map(path).collect();
        let depfile = action.map(|action| path(action.depfile)).filter(|path| !path.is_empty());
        outputs.extend(depfile);
        let cwd = action.map(|action| path(action.cwd)).filter(|cwd| !cwd.is_empty());
        Declaration {
            name,
            workspace: self.build.workspace.clone(),
            cwd: cwd.unwrap_or_else(|| self.build.workspace.clone()),
            outputs,
            declared_at,
            flavour: action.map_or(Flavour::Make, |action| action.flavour),
            home: Some(self.build.home.clone()),
            ..Declaration::default()
        }
    }

    fn try_slot(&mut self, parts: &mut Parts<'_>, slot: Slot) {
        let part = parts.cut(slot, true);
        let exit = self.exits.get(slot as usize).copied().flatten();
        let declaration = self.declaration(slot);
        let member = Member::new(self.world, slot);
        let judge = Judge::within(&declaration, self.policy, &self.scopes, &member);
        let (mut case, _) = judge.examine(&part.recording, exit);
        if self.options.unused_inputs && member.is_normal() && exit == Some(Exit::Code(0)) {
            self.unused_inputs(slot, &mut case);
        }
        let used = used(self.world, &self.scopes, slot, &case.tree, &part.whole);
        let Case { findings, uncacheable, .. } = case;
        self.findings.extend(findings);
        let mut reasons = Vec::from_iter(ending(exit));
        reasons.extend(uncacheable);
        if !self.policy.completeness(parts.recording).is_complete() {
            reasons.push("the recording is incomplete".into());
        }
        self.grounds.push(Ground { slot, name: declaration.name.clone(), reasons, used });
    }

    /// Inputs that the description names, and that the action never touched. Names that are no
    /// files, and files that are there to order actions only, are not meant to be touched.
    fn unused_inputs(&self, slot: Slot, case: &mut Case<'_>) {
        let edges = self.world.edges;
        let normal = |&maker: &u32| edges.nature(maker) == Nature::Normal;
        let named = edges.inputs(slot).filter(|(_, via)| *via == Via::Declared);
        let files = named.map(|(id, _)| id).filter(|&id| {
            let makers = edges.makers(id);
            (makers.is_empty() || makers.iter().any(normal))
                && self.world.deeds.exists(edges.path(id)) == Some(true)
        });
        let files: Vec<&[u8]> = files.map(|id| edges.path(id)).collect();
        let before = case.findings.len();
        rules::over::unused(case, &files);
        for finding in case.findings.iter_mut().skip(before) {
            // Whoever asks for them wants to see them.
            finding.severity = finding.severity.max(Severity::Note);
            finding.reaction = self.policy.reaction(finding.rule, finding.severity);
        }
    }

    /// What concerns the build as a whole and no action in particular.
    fn whole(&mut self, deeds: &Deeds<'_>) {
        let declaration = self.declaration(0);
        let member = Member::new(self.world, 0);
        let judge = Judge::within(&declaration, self.policy, &self.scopes, &member);
        self.findings.extend(judge.of_build(&deeds.tree));
    }

    /// Outputs that an action declares, that ran and succeeded, and that are not there.
    fn missing_outputs(&mut self, parts: &Parts<'_>) {
        for slot in 0..parts.actions {
            let ended = self.exits.get(slot as usize).copied().flatten();
            if parts.processes(slot).is_empty() || ended != Some(Exit::Code(0)) {
                continue;
            }
            let member = Member::new(self.world, slot);
            if self.world.edges.nature(slot) != Nature::Normal || !member.is_normal() {
                continue;
            }
            let edges = self.world.edges;
            let missing = edges.outputs(slot).map(|path| edges.path(path));
            // It did make what others removed later. make itself removes intermediate files, which
            // are wanted for a while only.
            let made_or_removed_by_tool = |path: &&[u8]| {
                let tools = self.world.tools;
                let mut deeds = self.world.deeds.of(path).iter();
                deeds.any(|deed| {
                    (deed.slot == slot && deed.stays) || (deed.slot == tools && !deed.stays)
                })
            };
            let missing: Vec<&[u8]> = missing
                .filter(|path| self.world.deeds.exists(path) == Some(false))
                .filter(|path| !made_or_removed_by_tool(path))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let declaration = self.declaration(slot);
            let judge = Judge::within(&declaration, self.policy, &self.scopes, &member);
            let hit = crate::classify::Hit::of(Rule::W002);
            self.findings.extend(missing.iter().map(|path| judge.finding_on(&hit, path)));
        }
    }

    fn verdict(mut self, parts: &Parts<'_>) -> BuildVerdict {
        let recording = parts.recording;
        let mut findings = std::mem::take(&mut self.findings);
        findings.iter_mut().for_each(Finding::seal);
        findings.sort_by(Finding::compare);
        merge(&mut findings);
        let home = Some(self.build.home.as_slice());
        let known = Suppressions::new(self.policy, &self.build.workspace, home, self.options.today);
        let ran: Vec<Slot> =
            (0..parts.tools()).filter(|&slot| !parts.processes(slot).is_empty()).collect();
        let names: Vec<&str> =
            ran.iter().map(|&slot| self.world.names[slot as usize].0.as_str()).collect();
        let (mut findings, suppressed, unused) = known.apply(findings, &names);
        let declaration = self.declaration(0);
        let member = Member::new(self.world, 0);
        let judge = Judge::within(&declaration, self.policy, &self.scopes, &member);
        findings.extend(unused.iter().map(|unused| judge.unused(unused)));
        findings.sort_by(Finding::compare);
        let actions = ran.iter().filter(|&&slot| slot < parts.actions).map(|&slot| {
            let (name, declared_at) = self.world.names[slot as usize].clone();
            let processes = parts.processes(slot).len() as u32;
            let id = ActionId(slot);
            ActionVerdict { id, name, declared_at, processes, findings: 0, uncacheable: Vec::new() }
        });
        let mut verdict = BuildVerdict {
            exit: recording.exit(),
            completeness: recording.end.as_ref().map(|_| self.policy.completeness(recording)),
            counts: Counts::default(),
            findings,
            suppressed,
            actions: actions.collect(),
            processes: recording.processes.len() as u32,
            unattributed: unattributed(parts),
            grounds: self.grounds,
        };
        verdict.weigh(self.policy);
        verdict
    }
}

/// Two actions of one name (a rule that ran twice) may break the same rule on the same path.
fn merge(findings: &mut Vec<Finding>) {
    findings.dedup_by(|later, earlier| {
        let same = later.fingerprint == earlier.fingerprint && later.path == earlier.path;
        if same {
            earlier.count += later.count;
        }
        same
    });
}

fn unattributed(parts: &Parts<'_>) -> Vec<Unattributed> {
    let strays = (parts.actions..).zip(&parts.strays);
    let told = strays.map(|(slot, &(process, _))| {
        let first = parts.recording.processes.get(process.0 as usize);
        let seq = first.map_or(0, |first| first.images.first().map_or(first.start, |i| i.seq));
        let accesses = parts.accesses(slot).iter();
        let count = |&index: &u32| u64::from(parts.recording.accesses[index as usize].count.max(1));
        Unattributed {
            chain: evidence::of_process(parts.recording, ProcessId(process.0), seq).chain,
            accesses: accesses.map(count).sum(),
        }
    });
    told.collect()
}
