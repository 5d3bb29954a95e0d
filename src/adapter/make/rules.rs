//! The rules of one make description, joined from what several questions answered.

use super::database::{Database, File, Recipe};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// All targets, by their names as make has them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) targets: BTreeMap<Vec<u8>, Target>,
    /// The makefiles that were read; one as often as it was read.
    pub(super) makefiles: Vec<Vec<u8>>,
}

/// One target.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Its prerequisites, and how often rules name each.
    pub(super) inputs: BTreeMap<Vec<u8>, usize>,
    pub(super) order_only: BTreeSet<Vec<u8>>,
    pub(super) phony: bool,
    /// A double-colon rule without prerequisites: its recipe always runs.
    pub(super) always: bool,
    pub(super) absent: bool,
    pub(super) intermediate: bool,
    also_makes: BTreeSet<Vec<u8>>,
    /// What it runs; none too for a recipe that is empty.
    pub(super) recipe: Option<Recipe>,
}

/// Targets that one run of one recipe makes together.
pub(super) struct Group<'a> {
    /// The first of their names.
    pub(super) leader: &'a [u8],
    /// All of their names.
    pub(super) names: Vec<&'a [u8]>,
    /// What they are, in the same order.
    pub(super) members: Vec<&'a Target>,
    /// What it makes: names of files, or of what never is a file. Make may know some of them
    /// from the rule alone, as no targets.
    pub(super) outputs: Vec<&'a [u8]>,
}

impl Group<'_> {
    pub(super) fn recipe(&self) -> Option<&Recipe> {
        self.members.iter().find_map(|target| target.recipe.as_ref())
    }
}

impl Rules {
    /// Adds what another question, with other goals, brought.
    pub(super) fn join(&mut self, database: Database) {
        let mut targets: BTreeMap<Vec<u8>, Target> = BTreeMap::new();
        let own = |file: &File| {
            let ours = file.name == super::PROBE.as_bytes();
            !ours && !file.builtin && !is_special(&file.name)
        };
        for file in database.files.into_iter().filter(own) {
            if file.is_target || file.recipe.is_some() {
                targets.entry(file.name.clone()).or_default().add_rule(file);
            }
        }
        for (name, target) in targets {
            self.targets.entry(name).or_default().join(target);
        }
        if database.makefiles.len() > self.makefiles.len() {
            self.makefiles = database.makefiles;
        }
    }

    /// All targets, those together that are made together.
    pub(super) fn groups(&self) -> Vec<Group<'_>> {
        let leaders = self.leaders();
        let mut groups: BTreeMap<&[u8], Group<'_>> = BTreeMap::new();
        // A file that a rule only names (as `-MP` does in depfiles) is no action.
        let says = |target: &Target| {
            let named = target.inputs.is_empty() && target.order_only.is_empty();
            target.recipe.is_some() || target.phony || target.absent || !named
        };
        for (name, target) in &self.targets {
            let leader = leaders.get(name.as_slice()).copied();
            if leader.is_none() && !says(target) {
                continue;
            }
            let leader = leader.unwrap_or(name);
            let group = groups.entry(leader).or_insert_with(|| Group {
                leader,
                names: Vec::new(),
                members: Vec::new(),
                outputs: Vec::new(),
            });
            group.outputs.push(archive(name).unwrap_or(name));
            group.outputs.extend(target.also_makes.iter().map(Vec::as_slice));
            group.names.push(name);
            group.members.push(target);
        }
        let mut groups: Vec<Group<'_>> = groups.into_values().collect();
        for group in &mut groups {
            group.outputs.sort_unstable();
            group.outputs.dedup();
        }
        groups
    }

    /// The first name of the group that a target is in, for those that are not alone.
    fn leaders(&self) -> HashMap<&[u8], &[u8]> {
        let mut leaders: HashMap<&[u8], &[u8]> = HashMap::new();
        for (name, target) in &self.targets {
            if let Some(archive) = archive(name) {
                leaders.insert(name, archive);
                continue;
            }
            if target.also_makes.is_empty() || leaders.contains_key(name.as_slice()) {
                continue;
            }
            let all = || target.also_makes.iter().chain([name]);
            let first = all().min().unwrap_or(name);
            for member in all() {
                leaders.entry(member).or_insert(first);
            }
        }
        leaders
    }

    /// The targets that are no files: phony ones, and those that no recipe ever makes. Whatever
    /// depends on one is out of date in every build. `made` tells whether the build wrote that
    /// file, or tried to.
    pub(super) fn names(&self, made: impl Fn(&[u8]) -> bool) -> HashSet<&[u8]> {
        let never_made =
            |name: &[u8], target: &Target| target.absent && !target.intermediate && !made(name);
        let names = self.targets.iter().filter(|(name, target)| {
            archive(name).is_none() && (target.phony || never_made(name, target))
        });
        names.map(|(name, _)| name.as_slice()).collect()
    }

    /// The targets whose recipes run in every build, so that nothing about them can be stale.
    pub(super) fn always(&self, made: impl Fn(&[u8]) -> bool) -> HashSet<&[u8]> {
        let names = self.names(made);
        let always = |(name, target): &(&Vec<u8>, &Target)| {
            let forced = || target.inputs.keys().any(|input| names.contains(input.as_slice()));
            target.recipe.is_some()
                && (target.always || names.contains(name.as_slice()) || forced())
        };
        self.targets.iter().filter(always).map(|(name, _)| name.as_slice()).collect()
    }
}

impl Target {
    /// Adds one rule: a double-colon target may have several.
    fn add_rule(&mut self, file: File) {
        let runs = |recipe: &Recipe| !recipe.text.trim_ascii().is_empty();
        let recipe = file.recipe.filter(runs);
        self.always |= file.double_colon && file.inputs.is_empty() && recipe.is_some();
        for input in file.inputs {
            *self.inputs.entry(input).or_default() += 1;
        }
        self.order_only.extend(file.order_only);
        self.phony |= file.phony;
        self.absent |= file.absent;
        self.intermediate |= file.intermediate;
        self.also_makes.extend(file.also_makes.into_iter().filter(|name| *name != file.name));
        self.recipe = self.recipe.take().or(recipe);
    }

    /// Adds the same target, as another question showed it: without the search for implicit
    /// rules some of it is missing.
    fn join(&mut self, other: Target) {
        for (input, count) in other.inputs {
            let known = self.inputs.entry(input).or_default();
            *known = count.max(*known);
        }
        self.order_only.extend(other.order_only);
        self.phony |= other.phony;
        self.always |= other.always;
        self.absent |= other.absent;
        self.intermediate |= other.intermediate;
        self.also_makes.extend(other.also_makes);
        self.recipe = self.recipe.take().or(other.recipe);
    }
}

/// `.PHONY` and the like are no files. The names are those of the make manual, "Special Built-in
/// Target Names"; another one, as `.FORCE`, is like every target.
fn is_special(name: &[u8]) -> bool {
    const SPECIAL: [&str; 18] = [
        "DEFAULT",
        "DELETE_ON_ERROR",
        "EXPORT_ALL_VARIABLES",
        "IGNORE",
        "INTERMEDIATE",
        "LOW_RESOLUTION_TIME",
        "MAKE",
        "NOTINTERMEDIATE",
        "NOTPARALLEL",
        "ONESHELL",
        "PHONY",
        "POSIX",
        "PRECIOUS",
        "SECONDARY",
        "SECONDEXPANSION",
        "SILENT",
        "SUFFIXES",
        "WAIT",
    ];
    let name = name.strip_prefix(b".").and_then(|name| std::str::from_utf8(name).ok());
    name.is_some_and(|name| SPECIAL.contains(&name))
}

/// The archive of `archive(member)`. Its members are made together with it: all of their recipes
/// change the one file.
pub(super) fn archive(name: &[u8]) -> Option<&[u8]> {
    let at = name.iter().position(|&byte| byte == b'(')?;
    (at > 0 && name.ends_with(b")") && name.len() > at + 2).then(|| &name[..at])
}
