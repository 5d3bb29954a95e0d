//! Lets the judge answer the tracer.

use airtight_policy::{Answer, Declaration, Enforcer, Policy, enforces};
use airtight_recording::Kind;
use airtight_tracer::{Attempt, Guard, Reaction};

/// `S_IFDIR` of inode(7).
const DIRECTORY: u32 = 0o040_000;

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
        let &Attempt { path, requested, kind, exists, own } = attempt;
        let object = if kind == Kind::List { DIRECTORY } else { 0 };
        let attempt = airtight_policy::Attempt { path, requested, kind, exists, own, object };
        match self.0.decide(&attempt) {
            Answer::Allow => Reaction::Allow,
            Answer::Deny => Reaction::Deny,
            Answer::Hide => Reaction::Hide,
            Answer::Kill => Reaction::Kill,
        }
    }
}
