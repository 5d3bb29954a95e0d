//! Lets the judge answer the tracer.

use airtight_policy::{Answer, Declaration, Enforcer, Policy, enforces};
use airtight_tracer::{Attempt, Guard, Reaction};

struct Judge<'a>(Enforcer<'a>);

/// The guard of an action; none where the policy refuses nothing in the act, because asking
/// costs time.
pub(crate) fn of<'a>(
    declaration: &'a Declaration,
    policy: &'a Policy,
) -> Option<Box<dyn Guard + 'a>> {
    enforces(policy).then(|| {
        let guard: Box<dyn Guard + 'a> = Box::new(Judge(Enforcer::new(declaration, policy)));
        guard
    })
}

/// The reactions of a policy that are carried out in the act, as they stand in it.
pub(crate) fn reactions(policy: &Policy) -> Vec<String> {
    let word = |reaction: &airtight_policy::Reaction| match reaction {
        airtight_policy::Reaction::Deny => Some("deny"),
        airtight_policy::Reaction::Hide => Some("hide"),
        airtight_policy::Reaction::Kill => Some("kill"),
        _ => None,
    };
    let general = word(&policy.reaction).map(|word| format!("`{word}`"));
    let single = policy
        .reaction_of
        .iter()
        .filter_map(|(rule, reaction)| word(reaction).map(|word| format!("`{word}` for {rule}")));
    general.into_iter().chain(single).collect()
}

impl Guard for Judge<'_> {
    fn decide(&mut self, attempt: &Attempt<'_>) -> Reaction {
        let &Attempt { path, requested, kind, exists, object, own } = attempt;
        let attempt = airtight_policy::Attempt { path, requested, kind, exists, own, object };
        match self.0.decide(&attempt) {
            Answer::Allow => Reaction::Allow,
            Answer::Deny => Reaction::Deny,
            Answer::Hide => Reaction::Hide,
            Answer::Kill => Reaction::Kill,
        }
    }
}
