//! Reads: what an action read, executed or looked at.

use super::{Rule, RuleDoc};
use crate::fix::Fix;
use crate::policy::Severity;

pub(crate) const DOCS: [RuleDoc; 10] = [
    RuleDoc {
        rule: Rule::R001,
        slug: "undeclared-source-read",
        severity: Severity::Error,
        message: "undeclared read of {}",
        effect: "a change to {} would not rebuild {action}",
        line: Some(Fix::Input),
        what: "A file in the workspace was opened for reading, and the action declares neither it, \
nor a directory or glob that holds it, nor a depfile that lists it. With `stat = \
\"read\"` a stat counts too; with strictness `all` files of the toolchain count too.",
        why: "When the file changes, the build does not run the action again, and a cache serves \
the old result to everybody.",
        example: "`b.c` includes `cfg_x.h` through a macro that the dependency scanner does not \
expand.",
        fix: "Declare the file as an input, or let the compiler write a depfile and declare that.",
    },
    RuleDoc {
        rule: Rule::R002,
        slug: "undeclared-generated-read",
        severity: Severity::Error,
        message: "undeclared read of generated {}",
        effect: "a change to {} would not rebuild {action}",
        line: Some(Fix::Input),
        what: "A file that another action makes was read (or, by an action that failed, looked for) \
without being declared. The producer happens to run before.",
        why: "Nothing but luck keeps the order, and a change of the generated file does not \
rebuild the reader.",
        example: "A compile reads `version.h`, made by a script that another input already waits for.",
        fix: "Declare the generated file as an input.",
    },
    RuleDoc {
        rule: Rule::R003,
        slug: "read-race",
        severity: Severity::Error,
        message: "read of {} races with its producer",
        effect: "in a parallel build {action} may see an old, new or half-written {}",
        line: Some(Fix::Input),
        what: "A file that another action makes was read without being declared, and nothing orders \
the producer before the reader.",
        why: "In a parallel build the reader sees the old file, the new one, half of one or none.",
        example: "`make -j8` fails now and then because `parser.h` is not there yet.",
        fix: "Declare the generated file as an input, so that its producer runs first.",
    },
    RuleDoc {
        rule: Rule::R004,
        slug: "read-cycle",
        severity: Severity::Error,
        message: "read of {} closes a cycle",
        effect: "{action} sees what an earlier build left in {}",
        line: None,
        what: "A file was read whose producer itself waits for the reader.",
        why: "The action can only have seen the file of an earlier build, so two builds in a row \
differ.",
        example: "A generator reads the index that is made from its own output.",
        fix: "Break the cycle: split the action, or read from an own copy.",
    },
    RuleDoc {
        rule: Rule::R005,
        slug: "read-of-undeclared-output",
        severity: Severity::Error,
        message: "read of {}, which its producer does not declare",
        effect: "on a cache hit of the producer {} would be missing or old",
        line: Some(Fix::Input),
        what: "A file was read that another action writes without declaring it as an output.",
        why: "The build does not know that the file exists, so it neither orders nor restores it; \
on a cache hit of the producer the file is not there.",
        example: "A compile reads `tables.inc`, which a generator writes beside its declared \
`tables.c`.",
        fix: "Declare the file as an output of its producer and as an input of the reader.",
    },
    RuleDoc {
        rule: Rule::R006,
        slug: "undeclared-exec",
        severity: Severity::Error,
        message: "undeclared execution of {}",
        effect: "a change to {} would not rebuild {action}",
        line: Some(Fix::Input),
        what: "A program or interpreter in the workspace was executed and is not declared.",
        why: "A change of the program changes the output, but does not run the action again.",
        example: "A rule runs `tools/gen.sh` and declares only the data that it reads.",
        fix: "Declare the program as an input.",
    },
    RuleDoc {
        rule: Rule::R007,
        slug: "undeclared-stat",
        severity: Severity::Error,
        message: "undeclared look at {}",
        effect: "if {} appeared, vanished or changed, {action} would not be rebuilt",
        line: Some(Fix::Look),
        what: "An existing file was asked for with stat, access or the like, and it is not \
declared. Directories need no declaration.",
        why: "Whether the file exists, its size or its times may change the output.",
        example: "A script does `test -f local.mk` and builds something else when it is there.",
        fix: "Declare the file as an input, or set the severity of R007 if existence can't matter.",
    },
    RuleDoc {
        rule: Rule::R008,
        slug: "reads-own-stale-output",
        severity: Severity::Error,
        message: "read of {} left by an earlier run",
        effect: "the result of {action} depends on the result before it",
        line: None,
        what: "The action read a file that an earlier run of it left behind: it writes the file \
too, but read it first.",
        why: "The output depends on the previous output, so a clean build gives another result.",
        example: "A script appends to its output instead of writing it anew.",
        fix: "Remove the output before the command, or write to a new file and rename it. State that must \
stay from run to run is an input too: declare it as both.",
    },
    RuleDoc {
        rule: Rule::R009,
        slug: "probe-under-undeclared-output",
        severity: Severity::Error,
        message: "look for {}, which another action makes undeclared",
        effect: "whether {action} finds {} depends on the order of actions",
        line: Some(Fix::Input),
        what: "The action looked for a name, which was absent, and another action makes that name \
without declaring it.",
        why: "The answer depends on whether the other action ran before.",
        example: "A compiler looks for `gen/config.h` on its include path before it finds another one.",
        fix: "Declare the file as an output of its producer and as an input here.",
    },
    RuleDoc {
        rule: Rule::R010,
        slug: "read-outside-scopes",
        severity: Severity::Error,
        message: "read outside of all scopes: {}",
        effect: "another machine may hold another {} or none",
        line: Some(Fix::Input),
        what: "A file outside of every scope of the policy, or in a denied one, was read, executed \
or looked at.",
        why: "Other machines may hold another file there, or none, and the key does not know of \
it.",
        example: "A tool reads `~/.toolrc`.",
        fix: "Keep the tool from reading it (an option or HOME), declare it by its absolute path, \
or add it to `policy.scopes.toolchain`.",
    },
];

use crate::judge::Case;
use crate::name::{below, display};
use crate::scopes::Scope;
use crate::tree::{Fact, Facts, NEVER};
use airtight_recording::{Kind, PathId};
use rustc_hash::FxHashSet;

pub(crate) fn check(case: &mut Case<'_>) {
    let paths: Vec<(PathId, Facts)> = case
        .tree
        .all_facts()
        .filter(|(_, facts)| facts.seen() != NEVER || facts.inherited.happened())
        .map(|(id, facts)| (id, *facts))
        .collect();
    let mut found = FxHashSet::default();
    for (id, facts) in &paths {
        for (kind, fact) in [
            (Kind::Exec, facts.exec),
            (Kind::Read, facts.read),
            (Kind::Read, facts.inherited),
            (Kind::List, facts.list),
        ] {
            if fact.happened() && look(case, *id, facts, kind, fact) {
                found.insert(*id);
                break;
            }
        }
    }
    links(case, &paths, &mut found);
    for (id, facts) in &paths {
        // Of what the action changed, the rules on writes tell more.
        let changed = case.tree.states.get(id).is_some_and(|s| s.changed);
        if facts.probe.happened() && !changed && !found.contains(id) {
            look(case, *id, facts, Kind::Probe, facts.probe);
        }
    }
    absent(case);
}

/// Judges one way of touching one path.
fn look(case: &mut Case<'_>, id: PathId, facts: &Facts, kind: Kind, fact: Fact) -> bool {
    let state = case.tree.states.get(&id);
    if fact.first >= state.map_or(NEVER, |s| s.own_since) {
        // First touched by a write: the action's own work, read back.
        return false;
    }
    let rewritten = state.is_some_and(|s| s.content && s.changed);
    let inherited = kind == Kind::Read && !facts.read.happened();
    let Some(hit) = case.read_hit(id, kind, facts.directory, rewritten) else {
        let path = case.tree.path(id);
        if matches!(kind, Kind::Read | Kind::Exec) && case.judge.reads_shared(path) {
            let name = display(path, &case.judge.declared.workspace).into_owned();
            case.uncacheable.push(format!("it read {name}, a side effect"));
        }
        return false;
    };
    if inherited && hit.rule == Rule::R010 {
        // What the caller held open belongs to the caller, unless it is the workspace's.
        return false;
    }
    case.found_access(&hit, id, kind, fact, false);
    true
}

/// A link that was followed is shown with the file it led to. What is left are links whose other
/// end needs no declaration: their text is an input all the same.
fn links(case: &mut Case<'_>, paths: &[(PathId, Facts)], found: &mut FxHashSet<PathId>) {
    let mut open: FxHashSet<PathId> = FxHashSet::default();
    for (id, facts) in paths {
        let own = case.tree.states.get(id).map_or(NEVER, |s| s.own_since);
        if facts.link.first < own
            && !found.contains(id)
            && case.read_hit(*id, Kind::Link, false, false).is_some()
        {
            open.insert(*id);
        }
    }
    if open.is_empty() {
        return;
    }
    let mut hops = Vec::new();
    for (&path, names) in &case.tree.requested {
        for &name in names {
            hops.clear();
            let on_the_way = case.tree.names_on_the_way(name, &mut hops);
            hops.retain(|hop| open.contains(hop));
            if hops.is_empty() {
                continue;
            }
            let facts = case.tree.facts(path);
            let end_is_plain = facts.directory && case.in_workspace(path);
            if end_is_plain || found.contains(&path) || case.is_declared(&on_the_way) {
                hops.iter().for_each(|hop| {
                    open.remove(hop);
                });
            }
        }
    }
    let mut open: Vec<PathId> = open.into_iter().collect();
    if case.judge.neighbours.whole() {
        // Compilers ask for the text of each directory on the way to their arguments.
        open.retain(|&id| !leads_to_directory(case, id));
    }
    open.sort_unstable();
    for id in open {
        if let Some(hit) = case.read_hit(id, Kind::Link, false, false) {
            let fact = case.tree.facts(id).link;
            case.found_access(&hit, id, Kind::Link, fact, false);
            found.insert(id);
        }
    }
}

/// Whether a link leads to a directory of the workspace, as far as the action has seen.
fn leads_to_directory(case: &Case<'_>, link: PathId) -> bool {
    let names = case.tree.names_on_the_way(link, &mut Vec::new());
    let Some(end) = names.last() else { return false };
    case.judge.declared.scope(end) == Scope::Workspace
        && case.tree.all_facts().any(|(id, facts)| {
            facts.seen() != NEVER
                && below(case.tree.path(id), end)
                    .is_some_and(|rest| !rest.is_empty() || facts.directory)
        })
}

/// Names that were not there: a finding only where another action makes them.
fn absent(case: &mut Case<'_>) {
    if case.judge.neighbours.whole() && !case.failed {
        return;
    }
    let missing: Vec<(PathId, Fact)> = case
        .tree
        .all_facts()
        .filter(|(_, facts)| facts.absent.happened())
        .map(|(id, facts)| (id, facts.absent))
        .collect();
    for (id, fact) in missing {
        let mut names = vec![id];
        names.extend(case.tree.requested.get(&id).into_iter().flatten());
        let hit = names.into_iter().find_map(|name| {
            let path = case.tree.path(name);
            case.judge.absent_rule(path, case.failed).map(|hit| (name, hit))
        });
        if let Some((name, hit)) = hit {
            let missing = hit.rule != Rule::R009;
            case.found_access(&hit, name, Kind::Probe, fact, missing);
        }
    }
}
