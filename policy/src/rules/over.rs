//! Declarations and suppressions that say too much.

use super::{Rule, RuleDoc};
use crate::policy::Severity;

pub(crate) const DOCS: [RuleDoc; 3] = [
    RuleDoc {
        rule: Rule::U001,
        slug: "unused-input",
        severity: Severity::Record,
        message: "declared input {} was not used",
        effect: "a change to {} rebuilds {action} for nothing",
        line: None,
        what: "A declared input was never touched. Looked for only if its severity is set to `note` \
or above.",
        why: "Every needless input causes needless rebuilds and cache misses.",
        example: "A compile declares all headers of the project.",
        fix: "Remove the declaration, unless other configurations need it.",
    },
    RuleDoc {
        rule: Rule::U002,
        slug: "unused-suppression",
        severity: Severity::Note,
        message: "suppression not used: {}",
        effect: "it may hide the next, real finding",
        line: None,
        what: "A suppression for this action matched nothing, or its date has passed.",
        why: "It may hide the next, real finding.",
        example: "The undeclared read was fixed, and the suppression stayed.",
        fix: "Remove the suppression.",
    },
    RuleDoc {
        rule: Rule::U003,
        slug: "unused-baseline-entry",
        severity: Severity::Note,
        message: "baseline entry not used: {}",
        effect: "it may hide the next, real finding",
        line: None,
        what: "An entry of the baseline matched nothing.",
        why: "It may hide the next, real finding.",
        example: "The finding was fixed, and the entry stayed.",
        fix: "Remove it with `airtight baseline prune`.",
    },
];

use crate::judge::Case;
use crate::tree::NEVER;
use rustc_hash::FxHashSet;

/// Declared inputs that nobody touched. Looked for on request only, because most builds declare
/// more than one configuration needs.
pub(crate) fn check(case: &mut Case<'_>) {
    let judge = case.judge;
    if judge.policy.severity(Rule::U001) == Severity::Record || judge.neighbours.whole() {
        return;
    }
    let declared = judge.declared.files.iter().chain(&judge.declared.directories);
    let declared: Vec<&[u8]> = declared.map(Vec::as_slice).collect();
    unused(case, &declared);
}

/// Of `declared` what nobody touched.
pub(crate) fn unused(case: &mut Case<'_>, declared: &[&[u8]]) {
    let mut used: FxHashSet<Vec<u8>> = FxHashSet::default();
    for (id, facts) in case.tree.all_facts() {
        if facts.seen() == NEVER && !facts.inherited.happened() {
            continue;
        }
        let path = case.tree.path(id);
        used.extend(crate::name::ancestors(path).map(<[u8]>::to_vec));
        for &name in case.tree.requested.get(&id).into_iter().flatten() {
            used.extend(case.tree.names_on_the_way(name, &mut Vec::new()));
        }
    }
    for path in declared.iter().filter(|path| !used.contains(**path)) {
        case.found_path(Rule::U001, path);
    }
}
