//! From one make description (a directory, its makefiles, their variables) to actions.

use super::assign::{Assignment, Known};
use super::cmake;
use super::depfiles::{self, Depfiles};
use super::history::{Purpose, Runs};
use super::names::{Resolver, shown};
use super::places;
use super::rules::{Group, Rules, archive};
use crate::adapter::{Context, files};
use airtight_policy::Flavour;
use airtight_policy::Place;
use airtight_policy::build::{Action, ActionId, Graph, Input, Nature, RunId, Via};
use airtight_recording::{Exit, Kind, PathId, ProcessId, Recording};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// How many bytes of a recipe are kept.
const LONGEST_COMMAND: usize = 4096;

/// What the recording knows, as far as it is asked here.
pub(super) struct Facts<'a> {
    pub(super) recording: &'a Recording,
    pub(super) runs: &'a Runs<'a>,
    /// What each child of a make is for.
    pub(super) purposes: HashMap<ProcessId, (RunId, Purpose)>,
    /// Who wrote each path, and when last.
    writes: HashMap<PathId, Vec<(ProcessId, u64)>>,
    projects: cmake::Projects,
}

impl<'a> Facts<'a> {
    pub(super) fn new(recording: &'a Recording, runs: &'a Runs<'a>) -> Facts<'a> {
        let mut purposes = HashMap::new();
        for run in runs.values() {
            for &child in &run.children {
                let purpose = run.purpose(&recording.processes[child.0 as usize]);
                purposes.insert(child, (run.id, purpose));
            }
        }
        let mut writes: HashMap<PathId, Vec<(ProcessId, u64)>> = HashMap::new();
        for access in recording.accesses.iter().filter(|a| a.kind == Kind::Write && a.errno == 0) {
            writes.entry(access.path).or_default().push((access.process, access.last));
        }
        Facts { recording, runs, purposes, writes, projects: cmake::Projects::default() }
    }

    fn writes(&self, path: &[u8]) -> &[(ProcessId, u64)] {
        let id = self.recording.paths.find(path);
        id.and_then(|id| self.writes.get(&id)).map_or(&[], Vec::as_slice)
    }

    /// The target whose recipe a process is a part of.
    fn target_of(&self, process: ProcessId) -> Option<&[u8]> {
        let mut at = Some(process);
        while let Some(id) = at {
            if let Some((_, Purpose::Target(target))) = self.purposes.get(&id) {
                return Some(target);
            }
            let process = self.recording.processes.get(id.0 as usize)?;
            at = process.parent.filter(|parent| parent.0 < id.0);
        }
        None
    }
}

/// One description.
pub(super) struct Description {
    /// The runs that used it, in order.
    pub(super) runs: Vec<RunId>,
    pub(super) rules: Rules,
    /// Whether it can't be read any more: a project that only existed for a while, as those of
    /// CMake's `try_compile`.
    pub(super) gone: bool,
    resolver: Resolver,
}

impl Description {
    pub(super) fn new(directory: &Path, makefiles: &[Vec<u8>]) -> Description {
        let resolver = Resolver::new(directory);
        let exists = |name: &[u8]| {
            use std::os::unix::ffi::OsStrExt as _;
            Path::new(std::ffi::OsStr::from_bytes(&resolver.path(name))).exists()
        };
        let usual: [&[u8]; 3] = [b"GNUmakefile", b"makefile", b"Makefile"];
        let gone = match makefiles {
            [] => !usual.iter().any(|name| exists(name)),
            named => !named.iter().all(|name| exists(name)),
        };
        Description { runs: Vec::new(), rules: Rules::default(), gone, resolver }
    }

    /// Adds its actions to the graph, and tells who runs which.
    pub(super) fn add(
        &self,
        graph: &mut Graph,
        facts: &Facts<'_>,
        context: &Context<'_>,
        assignment: &mut Assignment,
    ) {
        let executed = self.executed(facts);
        let maker = Maker::new(self, facts, context, &executed, graph.actions.len());
        let groups = self.rules.groups();
        let mut known = Known::default();
        let mut leaders: HashMap<&[u8], &[u8]> = HashMap::new();
        for group in &groups {
            let names = group.names.iter().chain(&group.outputs);
            leaders.extend(names.map(|&name| (name, group.leader)));
        }
        for group in &groups {
            let times = group.names.iter().filter_map(|&name| executed.get(name)).flatten();
            let mut times: Vec<RunId> = times.copied().collect();
            times.sort_unstable();
            times.dedup();
            let first = times.first().or(self.runs.first()).copied();
            let id = graph_add(graph, maker.action(group, first));
            // Runs one after the other do the work of one action again; two at the same time are
            // two, and get in each other's way.
            let mut instances = vec![(first, id)];
            for &run in times.iter().skip(1) {
                let after = |&(other, _): &(Option<RunId>, ActionId)| {
                    other.is_none_or(|other| self.is_after(facts, run, other))
                };
                let id = match instances.iter().find(|instance| after(instance)) {
                    Some(&(_, id)) => id,
                    None => graph_add(graph, maker.action(group, Some(run))),
                };
                instances.push((Some(run), id));
            }
            let outputs = group.outputs.iter().map(|name| self.resolver.path(name));
            known.add(group, &instances, &outputs.collect::<Vec<_>>());
        }
        let unknown: BTreeMap<_, _> =
            executed.iter().filter(|(name, _)| !leaders.contains_key(name.as_slice())).collect();
        if !unknown.is_empty() && !self.gone {
            let name = String::from_utf8_lossy(unknown.keys().next().map_or(b"", |name| name));
            (context.warn)(format!(
                "{}: make ran the recipe of `{name}`{}, and now says that it has none; what it \
                 depends on is not known",
                String::from_utf8_lossy(self.resolver.directory()),
                match unknown.len() {
                    1 => String::new(),
                    more => format!(" and {} other targets", more - 1),
                }
            ));
        }
        for (name, runs) in unknown {
            for &run in runs {
                let id = graph_add(graph, maker.unknown(name, run));
                known.add_unknown(run, name, id);
            }
        }
        assignment.add(&self.runs, known);
    }

    /// Which runs ran the recipe of each target.
    fn executed(&self, facts: &Facts<'_>) -> BTreeMap<Vec<u8>, Vec<RunId>> {
        let mut executed: BTreeMap<Vec<u8>, Vec<RunId>> = BTreeMap::new();
        for &id in &self.runs {
            let children = facts.runs.get(&id).into_iter().flat_map(|run| &run.children);
            for child in children {
                if let Some((_, Purpose::Target(target))) = facts.purposes.get(child) {
                    let runs = executed.entry(target.clone()).or_default();
                    if runs.last() != Some(&id) {
                        runs.push(id);
                    }
                }
            }
        }
        executed
    }

    /// Whether `run` began after `other` had ended (or is the same).
    fn is_after(&self, facts: &Facts<'_>, run: RunId, other: RunId) -> bool {
        let time = |id| facts.runs.get(&id).map(|run| run.time);
        match (time(run), time(other)) {
            (Some((start, _)), Some((_, end))) => run == other || start >= end,
            _ => true,
        }
    }
}

fn graph_add(graph: &mut Graph, draft: Draft) -> ActionId {
    let mut intern = |path: &[u8]| graph.paths.intern(path);
    let outputs = draft.outputs.iter().map(|path| intern(path)).collect();
    let inputs = draft.inputs.iter().map(|(path, via)| Input { path: intern(path), via: *via });
    let inputs = inputs.collect();
    let cwd = intern(&draft.cwd);
    graph.add(Action { outputs, inputs, cwd, ..draft.rest })
}

/// An action whose paths have no numbers yet.
struct Draft {
    outputs: Vec<Vec<u8>>,
    inputs: BTreeSet<(Vec<u8>, Via)>,
    cwd: Vec<u8>,
    rest: Action,
}

/// Makes actions of groups.
struct Maker<'a> {
    description: &'a Description,
    facts: &'a Facts<'a>,
    context: &'a Context<'a>,
    executed: &'a BTreeMap<Vec<u8>, Vec<RunId>>,
    depfiles: Depfiles,
    always: HashSet<&'a [u8]>,
    /// The targets that are no files.
    names: HashSet<&'a [u8]>,
    /// What is behind these, so that they are no files for other descriptions either.
    suffix: Vec<u8>,
    /// What CMake's rules read without saying so.
    generated: Vec<Vec<u8>>,
    /// What depfiles of CMake's custom commands say, by output.
    custom: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// The makefiles that are no depfiles.
    makefiles: HashSet<Vec<u8>>,
    /// Which makefile names a target first, and in which line.
    named: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    cmake: bool,
}

impl<'a> Maker<'a> {
    fn new(
        description: &'a Description,
        facts: &'a Facts<'a>,
        context: &'a Context<'a>,
        executed: &'a BTreeMap<Vec<u8>, Vec<RunId>>,
        number: usize,
    ) -> Maker<'a> {
        let (rules, resolver) = (&description.rules, &description.resolver);
        let depfiles = Depfiles::read(rules, |name| resolver.path(name));
        let failed: HashSet<&[u8]> = facts
            .purposes
            .iter()
            .filter_map(|(child, (run, purpose))| match purpose {
                Purpose::Target(target) if description.runs.contains(run) => {
                    let exit = facts.recording.processes[child.0 as usize].exit;
                    let good = matches!(exit, Some((_, Exit::Code(0))));
                    (!good).then_some(target.as_slice())
                }
                _ => None,
            })
            .collect();
        let made =
            |name: &[u8]| failed.contains(name) || !facts.writes(&resolver.path(name)).is_empty();
        let (always, names) = (rules.always(made), rules.names(made));
        let only_rules: HashSet<&[u8]> =
            depfiles.files.iter().map(|file| file.path.as_slice()).collect();
        let is_rules = |path: &Vec<u8>| only_rules.contains(path.as_slice());
        let makefiles = rules.makefiles.iter().map(|name| resolver.path(name));
        let makefiles: HashSet<Vec<u8>> =
            makefiles.filter(|path| !is_rules(path) && !depfiles::has_usual_name(path)).collect();
        let mut named: HashMap<Vec<u8>, (Vec<u8>, u32)> = HashMap::new();
        for name in &rules.makefiles {
            let path = resolver.path(name);
            if depfiles::has_usual_name(&path) {
                continue;
            }
            // One that can't be read only lacks lines.
            for (target, line) in places::lines(&files::read(&path).unwrap_or_default()) {
                if rules.targets.contains_key(target) {
                    named.entry(target.to_vec()).or_insert_with(|| (name.clone(), line));
                }
            }
        }
        let cmake = rules.targets.contains_key(b"cmake_force".as_slice());
        let first = rules.makefiles.first().filter(|_| cmake);
        let generated = first.map(|name| cmake::generated(name, |name| resolver.path(name)));
        let generated = generated.unwrap_or_default();
        let custom = first.map(|name| cmake::custom_inputs(name, |name| resolver.path(name)));
        let custom = custom.unwrap_or_default();
        let suffix = format!("//{number}").into_bytes();
        Maker {
            description,
            facts,
            context,
            executed,
            depfiles,
            always,
            names,
            suffix,
            generated,
            custom,
            makefiles,
            named,
            cmake,
        }
    }

    /// The number of a target or a prerequisite in the graph. A name that is no file gets one of
    /// its own: each description has its `all`.
    fn node(&self, name: &[u8]) -> Vec<u8> {
        let path = self.path(archive(name).unwrap_or(name));
        match self.names.contains(name) {
            true => [path, self.suffix.clone()].concat(),
            false => path,
        }
    }

    fn path(&self, name: &[u8]) -> Vec<u8> {
        self.description.resolver.path(name)
    }

    fn action(&self, group: &Group<'_>, run: Option<RunId>) -> Draft {
        let outputs: Vec<Vec<u8>> = group.outputs.iter().map(|name| self.node(name)).collect();
        let members = group.names.iter().zip(&group.members);
        let inputs: BTreeSet<_> =
            members.flat_map(|(&name, target)| self.inputs(name, target)).collect();
        // The strongest says all; but a depfile knows what changes, and not what comes first.
        let inputs: BTreeSet<_> = inputs
            .iter()
            .filter(|(path, via)| {
                let declared = || inputs.contains(&(path.clone(), Via::Declared));
                !outputs.contains(path) && (*via == Via::Declared || !declared())
            })
            .cloned()
            .collect();
        let recipe = group.recipe();
        let command = recipe.map(|recipe| {
            let text = &recipe.text[..recipe.text.len().min(LONGEST_COMMAND)];
            String::from_utf8_lossy(text).into_owned()
        });
        let (flavour, declared_at) = self.declared(group);
        let rest = Action {
            name: shown(&self.path(group.leader), self.context.workspace),
            nature: self.nature(group, &outputs),
            run,
            declared_at,
            flavour,
            command: command.unwrap_or_default(),
            ..Action::default()
        };
        let cwd = self.description.resolver.directory().to_vec();
        Draft { outputs, inputs, cwd, rest }
    }

    /// What a target depends on, and how that is known.
    fn inputs(&self, name: &[u8], target: &super::rules::Target) -> Vec<(Vec<u8>, Via)> {
        let run = self.executed.get(name).and_then(|runs| runs.first());
        let since = run.and_then(|run| self.facts.runs.get(run)).map(|run| run.time.0);
        let mut inputs = Vec::new();
        for (input, &count) in &target.inputs {
            let late = |file: usize| self.is_late(file, since);
            let alone = self.depfiles.alone(name, input, count, late);
            inputs.push((self.node(input), if alone { Via::Depfile } else { Via::Declared }));
        }
        inputs.extend(target.order_only.iter().map(|input| (self.node(input), Via::OrderOnly)));
        if self.cmake && target.recipe.is_some() {
            inputs.extend(self.generated.iter().map(|path| (path.clone(), Via::Declared)));
            inputs.extend(self.consolidated(name));
            let custom = self.custom.get(&self.path(name)).into_iter().flatten();
            inputs.extend(custom.map(|path| (path.clone(), Via::Depfile)));
        }
        inputs
    }

    /// Whether make read a depfile only after it had started the recipe of a target, in a run
    /// that began at `since`.
    fn is_late(&self, number: usize, since: Option<u64>) -> bool {
        let Some(file) = self.depfiles.files.get(number) else { return false };
        let target = self.description.rules.targets.get(&file.name);
        let own_rule = target.is_some_and(|target| target.recipe.is_some());
        // Its own recipe is run before anything that needs what it says.
        let own = |process| own_rule && self.facts.target_of(process) == Some(&file.name);
        let writes = self.facts.writes(&file.path);
        let last = writes.iter().filter(|(process, _)| !own(*process)).map(|&(_, seq)| seq).max();
        match (last, since) {
            (Some(last), Some(since)) => last > since,
            (Some(_), None) => depfiles::has_usual_name(&file.path),
            (None, _) if own_rule => depfiles::remade_empty(&file.path),
            // It is from an earlier build; a clean one does not have it.
            (None, _) => writes.is_empty() && depfiles::has_usual_name(&file.path),
        }
    }

    /// What CMake's next build will learn of `X.o` from `X.o.d`. The compiler ran in the build
    /// directory of the target.
    fn consolidated(&self, name: &[u8]) -> Vec<(Vec<u8>, Via)> {
        let Some((directory, _)) = cmake::target(name) else { return Vec::new() };
        let depfile = self.path(&[name, b".d"].concat());
        let rules = depfiles::read(&depfile).unwrap_or_default();
        let inputs = rules.into_iter().flat_map(|rule| rule.inputs).map(|input| {
            let relative = !input.starts_with(b"/");
            let input = if relative { [directory, &input].concat() } else { input };
            (self.path(&input), Via::Depfile)
        });
        inputs.collect()
    }

    fn nature(&self, group: &Group<'_>, outputs: &[Vec<u8>]) -> Nature {
        if group.recipe().is_none() {
            return Nature::Alias;
        }
        let makes_itself = outputs.iter().any(|path| self.makefiles.contains(path))
            || group.names.iter().any(|name| self.configures(name));
        if makes_itself {
            return Nature::Configure;
        }
        match group.names.iter().any(|&name| self.always.contains(name)) {
            true => Nature::Always,
            false => Nature::Normal,
        }
    }

    /// Whether a target is one of those that automake and CMake have for their own makefiles.
    fn configures(&self, name: &[u8]) -> bool {
        let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
        if self.cmake {
            return matches!(last, b"depend" | b"rebuild_cache" | b"edit_cache")
                || last == b"cmake_check_build_system";
        }
        let makefile_in =
            name.strip_suffix(b".in").is_some_and(|made| self.makefiles.contains(&self.path(made)));
        makefile_in
            || matches!(last, b"configure" | b"config.status" | b"aclocal.m4" | b"config.h.in")
            || matches!(last, b"config.h" | b"libtool")
            || last.starts_with(b"stamp-h")
    }

    fn declared(&self, group: &Group<'_>) -> (Flavour, Option<Place>) {
        let flavour = if self.cmake { Flavour::Cmake } else { Flavour::Make };
        let recipe = group.recipe();
        let from = recipe.and_then(|recipe| Some((recipe.file.as_ref()?, recipe.line)));
        // A rule that comes with make, or one without a recipe.
        let named = || group.names.iter().find_map(|name| self.named.get(*name));
        let named = || named().map(|(file, line)| (file, *line));
        let first = || self.description.rules.makefiles.first().map(|first| (first, 0));
        let place = from.or_else(named).or_else(first);
        let place = place.map(|(file, line)| {
            let file = shown(&self.path(file), self.context.workspace);
            Place { file, line, column: 0 }
        });
        let makefile = self.description.rules.makefiles.first().filter(|_| self.cmake);
        let written = makefile.and_then(|makefile| {
            let build = self.description.resolver.directory();
            let projects = &self.facts.projects;
            projects.place(build, group.leader, makefile, self.context.workspace)
        });
        (flavour, written.or(place))
    }

    /// An action for a target that make does not know any more.
    fn unknown(&self, name: &[u8], run: RunId) -> Draft {
        let path = self.path(name);
        let gone = self.description.gone;
        let rest = Action {
            name: shown(&path, self.context.workspace),
            nature: if gone { Nature::Configure } else { Nature::Always },
            run: Some(run),
            flavour: Flavour::Make,
            ..Action::default()
        };
        let cwd = self.description.resolver.directory().to_vec();
        Draft { outputs: vec![path], inputs: BTreeSet::new(), cwd, rest }
    }
}
