//! Writes: what an action made, changed or removed.

use super::{Rule, RuleDoc};
use crate::fix::Fix;
use crate::policy::Severity;

pub(crate) const DOCS: [RuleDoc; 9] = [
    RuleDoc {
        rule: Rule::W001,
        slug: "undeclared-output",
        severity: Severity::Error,
        message: "undeclared write of {}",
        effect: "on a cache hit {} would be missing or old",
        line: Some(Fix::Output),
        what: "A file was written, or changed, that the action does not declare as an output, and \
it was still there at the end.",
        why: "On a cache hit the file is missing; without a cache another action may read what it \
happens to find.",
        example: "A script writes `debug.log` beside its output.",
        fix: "Declare the file as an output (kept and restored) or as a side effect (tolerated, \
never restored), or stop the command from writing it.",
    },
    RuleDoc {
        rule: Rule::W002,
        slug: "missing-declared-output",
        severity: Severity::Error,
        message: "declared output {} is missing",
        effect: "what depends on {} finds an old file or none",
        line: None,
        what: "A declared output was not written, was removed again, or is a FIFO, a socket or a \
device.",
        why: "What depends on the output finds an old file or none.",
        example: "A compile is given `-o b.obj` while `b.o` is declared.",
        fix: "Correct the declared name, or let the command write it.",
    },
    RuleDoc {
        rule: Rule::W003,
        slug: "double-write",
        severity: Severity::Error,
        message: "{} is written by another action too",
        effect: "the last writer of {} wins",
        line: None,
        what: "A file was written that another action writes too.",
        why: "The last writer wins, so the content depends on the order.",
        example: "Two rules both write `config.h`.",
        fix: "Let one action write it and the other read it.",
    },
    RuleDoc {
        rule: Rule::W004,
        slug: "input-mutated",
        severity: Severity::Error,
        message: "declared input {} was changed",
        effect: "others that read {} see one state or the other",
        line: None,
        what: "The action changed, replaced or removed a file that it declares as an input.",
        why: "Others that read the input see one state or the other; the key speaks of content \
that is gone.",
        example: "A formatter runs over the sources inside of a compile rule.",
        fix: "Work on a copy, and declare the copy as an output.",
    },
    RuleDoc {
        rule: Rule::W005,
        slug: "source-rewritten",
        severity: Severity::Error,
        message: "source {} was rewritten in place",
        effect: "a second run of {action} starts from the result of the first",
        line: None,
        what: "A file is declared both as input and as output, existed before, and was rewritten in \
place.",
        why: "A second run starts from the result of the first one, so the action is never up to \
date and can't be cached.",
        example: "`sed -i` on a source file.",
        fix: "Write the result under another name.",
    },
    RuleDoc {
        rule: Rule::W006,
        slug: "write-over-absent-probe",
        severity: Severity::Error,
        message: "{} was made after another action looked for it",
        effect: "the other action would do something else if it ran now",
        line: None,
        what: "A file was written that another action had looked for and found absent.",
        why: "The other action would do something else if it ran now.",
        example: "A header is made late in a directory that comes early on the include path.",
        fix: "Declare the file as an input of the action that looks for it, so that it is made \
first.",
    },
    RuleDoc {
        rule: Rule::W007,
        slug: "leftover-temporary",
        severity: Severity::Warn,
        message: "{} was left behind",
        effect: "a later action may find {}",
        line: Some(Fix::Leftover),
        what: "A file in a temporary directory, or one declared as temporary, was left behind; or \
an empty directory that is no output.",
        why: "It fills the disk, and a later action may find it.",
        example: "A script makes `/tmp/gen.XXXX` and is not careful to remove it.",
        fix: "Remove it at the end of the command, or declare it as an output or a side effect.",
    },
    RuleDoc {
        rule: Rule::W008,
        slug: "shared-temporary-path",
        severity: Severity::Error,
        message: "temporary {} is shared with another action",
        effect: "in a parallel build each destroys the other's file",
        line: None,
        what: "A temporary file has a fixed name that another action, not ordered against this one, \
uses as well.",
        why: "In a parallel build each destroys the other's file.",
        example: "Two rules both write `tmp.out` and rename it.",
        fix: "Use a name of its own for each action.",
    },
    RuleDoc {
        rule: Rule::W009,
        slug: "undeclared-delete-or-rename",
        severity: Severity::Error,
        message: "undeclared removal of {}",
        effect: "others may need {}, and a cache hit does not remove it",
        line: Some(Fix::Leftover),
        what: "A file that the action did not make was removed or renamed away, and it is not \
declared.",
        why: "Other actions may need it, and a cache hit does not remove it.",
        example: "A rule cleans up with `rm -f *.o`.",
        fix: "Declare the file as a side effect, or don't remove it.",
    },
];

use crate::classify::Change;
use crate::judge::Case;
use crate::name::{absolute, below, parent};
use crate::scopes::Scope;
use crate::tree::{State, is_directory, is_special};
use airtight_recording::{Exit, Kind, PathId};
use rustc_hash::FxHashSet;

pub(crate) fn check(case: &mut Case<'_>) {
    let mut states: Vec<(PathId, State)> =
        case.tree.states.iter().map(|(&id, &state)| (id, state)).collect();
    states.sort_unstable_by_key(|(id, _)| *id);
    let occupied: FxHashSet<Vec<u8>> = states
        .iter()
        .filter(|(_, state)| state.exists)
        .filter_map(|(id, _)| parent(case.tree.path(*id)).map(<[u8]>::to_vec))
        .collect();
    for (id, state) in &states {
        let empty = !occupied.contains(case.tree.path(*id));
        if state.changed {
            changed(case, *id, state, empty);
        }
    }
    if !case.judge.neighbours.whole() {
        outputs(case, &states);
    }
}

fn changed(case: &mut Case<'_>, id: PathId, state: &State, empty: bool) {
    let change = Change {
        existed: state.existed,
        stays: state.exists,
        directory: is_directory(state.object) || case.tree.facts(id).directory,
        empty,
        content: state.content,
    };
    let path = case.tree.path(id);
    let shared = matches!(case.judge.declared.scope(path), Scope::Ignored | Scope::Host);
    let others =
        if shared { None } else { case.judge.neighbours.written(case.tree.path(id), change) };
    let own = case.write_hit(id, change);
    // Where all actions are known, that another one writes it too says more.
    let hit = if case.judge.neighbours.whole() { others.or(own) } else { own.or(others) };
    let Some(hit) = hit else { return };
    let index = match hit.rule {
        Rule::W009 => state.removed.unwrap_or(state.first),
        _ => state.foreign.or(state.removed).unwrap_or(state.first),
    };
    let kind = match case.tree.access(index) {
        Some(access) if hit.rule == Rule::W009 || access.kind == Kind::Delete => Kind::Delete,
        _ => Kind::Write,
    };
    case.found_change(&hit, id, kind, index, state.count);
}

/// Every declared output must be there at the end, as a file or a directory.
fn outputs(case: &mut Case<'_>, states: &[(PathId, State)]) {
    let judge = case.judge;
    let succeeded = case.exit == Some(Exit::Code(0));
    if !succeeded {
        // A failed action owes nothing.
        return;
    }
    let mut there: FxHashSet<&[u8]> = FxHashSet::default();
    let mut special: Vec<Vec<u8>> = Vec::new();
    for (id, state) in states.iter().filter(|(_, state)| state.exists) {
        let names = case.tree.requested.get(id).into_iter().flatten();
        for name in std::iter::once(id).chain(names) {
            let path = case.tree.path(*name);
            if is_special(state.object) {
                special.push(path.to_vec());
            }
            // A directory is there if anything in it is.
            there.extend(crate::name::ancestors(path));
        }
    }
    let mut missing: Vec<(Vec<u8>, Option<String>)> = Vec::new();
    for output in &judge.declared.outputs {
        if !there.contains(output.as_slice()) {
            missing.push((output.clone(), None));
        }
    }
    if let Some(depfile) = &judge.declaration.depfile {
        let path = absolute(&judge.declared.cwd, &depfile.path);
        match depfile.content.as_deref().map(crate::depfile::parse) {
            Some(Ok(_)) => {}
            None => missing.push((path, Some("the depfile was not written".into()))),
            Some(Err(error)) => missing.push((path, Some(format!("no depfile: {error}")))),
        }
    }
    let what = "it is a FIFO, a socket or a device, which no cache can hold";
    for path in special {
        if judge.declared.outputs.iter().any(|output| below(&path, output).is_some()) {
            missing.push((path, Some(what.into())));
        }
    }
    for (path, detail) in missing {
        case.found_missing(&path, detail);
    }
}
