//! Lets the judge answer the tracer, and the kernel.

use crate::error::Error;
use airtight_policy::{Answer, Declaration, Enforcer, Policy, enforces};
use airtight_tracer::{self as tracer, Attempt, Guard, MakeGuard, Reaction};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

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

/// Whether an action can be guarded in the kernel.
///
/// # Errors
/// Why not, and what to do instead.
pub(crate) fn check(declaration: &Declaration, within_another: bool) -> Result<(), Error> {
    let refuse = |why: &str, hint: &str| {
        let message = format!("the action can't be guarded: {why}");
        Err(Error::Plain { message, hints: vec![hint.to_owned()] })
    };
    if within_another {
        return refuse(
            "this airtight runs within another one, and the processes are not its own",
            "leave the guard out here (AIRTIGHT_GUARD=false)",
        );
    }
    if declaration.depfile.is_some() {
        return refuse(
            "a depfile tells what it reads only afterwards",
            "declare the inputs with --in, --in-dir or a glob, or leave the guard out",
        );
    }
    match tracer::guard_ability() {
        Ok(()) => Ok(()),
        Err(why) => refuse(&why, tracer::GUARD_REMEDY),
    }
}

/// What the kernel's questions are answered by.
pub(crate) struct Guarded {
    declaration: Declaration,
    /// The policy of the action. A guard that only tells would be none: what would make the action
    /// fail is denied.
    pub(crate) policy: Policy,
}

impl Guarded {
    /// The kernel knows a file by the name at the end of all links, so what is declared by another
    /// name is declared by that as well.
    pub(crate) fn new(declaration: &Declaration, policy: &Policy) -> Guarded {
        let (mut declaration, mut policy) = (declaration.clone(), policy.clone());
        policy.reaction = policy.reaction.max(airtight_policy::Reaction::Deny);
        let cwd = Path::new(OsStr::from_bytes(&declaration.cwd)).to_owned();
        for list in [&mut declaration.files, &mut declaration.directories] {
            let real = |path: &Vec<u8>| {
                let real = cwd.join(OsStr::from_bytes(path)).canonicalize().ok()?;
                Some(real.into_os_string().into_vec()).filter(|real| real != path)
            };
            let real: Vec<_> = list.iter().filter_map(real).collect();
            list.extend(real);
        }
        Guarded { declaration, policy }
    }
}

impl MakeGuard for Guarded {
    fn make(&self) -> Box<dyn Guard + '_> {
        Box::new(Judge(Enforcer::new(&self.declaration, &self.policy)))
    }
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
