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
