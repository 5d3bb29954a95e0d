//! Whether the recording can be believed.

use super::{Rule, RuleDoc};
use crate::policy::Severity;

pub(crate) const DOCS: [RuleDoc; 5] = [
    RuleDoc {
        rule: Rule::I001,
        slug: "input-changed-during-action",
        severity: Severity::Error,
        message: "{} changed while the action ran",
        effect: "the result may come from the old content, the new one or a mixture",
        line: None,
        what: "A file that the action read was changed by somebody else before the action ended.",
        why: "The output may come from the old content, the new one or a mixture.",
        example: "An editor saves a source file during the build.",
        fix: "Run the build again, and look for another process that writes the file.",
    },
    RuleDoc {
        rule: Rule::I002,
        slug: "recording-incomplete",
        severity: Severity::Error,
        message: "recording incomplete: {}",
        effect: "what else was read or written is not known",
        line: None,
        what: "Something may have escaped the trace; the finding says what.",
        why: "A verdict on half of the facts is worth nothing, so the result is never published.",
        example: "A process used a system call that this version does not know.",
        fix: "Look at the reason; `airtight doctor` tells what the system lacks.",
    },
    RuleDoc {
        rule: Rule::I003,
        slug: "untraceable-process",
        severity: Severity::Error,
        message: "process not traced: {}",
        effect: "what it read and wrote is not known",
        line: None,
        what: "A process of the action could not be traced.",
        why: "What it read and wrote is not known.",
        example: "A program is already traced by a debugger.",
        fix: "Run the program without what keeps it from being traced.",
    },
    RuleDoc {
        rule: Rule::I004,
        slug: "compiler-cache-hides-dependencies",
        severity: Severity::Warn,
        message: "compiler cache {} ran inside of the action",
        effect: "on its hit the trace sees nothing of the real dependencies",
        line: None,
        what: "A compiler cache or distributor (ccache, sccache, distcc, icecc) ran inside of the \
action.",
        why: "On its hit no source or header is opened, so the trace sees nothing of what the \
output depends on.",
        example: "`CC = ccache gcc`.",
        fix: "Disable it for traced builds (`CCACHE_DISABLE=1`); Airtight's own cache takes its \
place.",
    },
    RuleDoc {
        rule: Rule::I005,
        slug: "nondeterministic-output",
        severity: Severity::Error,
        message: "{} differs between two runs",
        effect: "what depends on {} is rebuilt for nothing",
        line: None,
        what: "Two runs of the action with the same inputs gave different outputs.",
        why: "Whoever compares by content sees changes that are none.",
        example: "`__DATE__` in a source file.",
        fix: "Remove times, random numbers and directory order from the output. Reported by builds \
that compare two runs, not by a single action.",
    },
];

use crate::declaration::Flavour;
use crate::judge::Case;
use crate::name::{display, file_name};
use crate::scopes::Scope;
use airtight_recording::{Completeness, HostKind, Image, ReasonCode, Stamp};

/// Compiler caches and distributors, with the variable that switches them off.
const COMPILER_CACHES: [(&str, Option<&str>); 5] = [
    ("ccache", Some("CCACHE_DISABLE")),
    ("sccache", None),
    ("distcc", None),
    ("icecc", None),
    ("buildcache", Some("BUILDCACHE_DISABLE")),
];

/// The compiler cache or distributor that a program is, with the variable that switches it off.
pub(crate) fn compiler_cache(
    exe: &[u8],
    image: &Image,
) -> Option<(&'static str, Option<&'static str>)> {
    let named = image.argv.first().map(|arg| file_name(arg)).unwrap_or_default();
    let names = [file_name(exe), named];
    COMPILER_CACHES.iter().copied().find(|(name, _)| names.contains(&name.as_bytes()))
}

pub(crate) fn check(case: &mut Case<'_>) {
    if !case.judge.neighbours.whole() {
        stamps(case);
    }
    caches(case);
}

/// What is told of every recording, judged or not.
pub(crate) fn completeness(case: &mut Case<'_>) {
    let Completeness::Incomplete { reasons } = case.judge.policy.completeness(case.tree.recording)
    else {
        return;
    };
    let noted = |kind| {
        case.tree.recording.host.iter().any(|note: &airtight_recording::HostNote| note.kind == kind)
    };
    let survivors = noted(HostKind::SurvivingProcess);
    for reason in &reasons {
        let rule = match reason.code {
            ReasonCode::Untraceable => Rule::I003,
            // The note says which process it was.
            ReasonCode::SurvivingProcess if survivors => continue,
            _ => Rule::I002,
        };
        let detail = crate::name::printable(reason.detail.as_bytes()).into_owned();
        case.found_text(rule, &detail);
    }
}

/// Inputs that somebody else changed.
pub(crate) fn stamps(case: &mut Case<'_>) {
    let judge = case.judge;
    for &(path, before, after) in &case.tree.recording.stamps {
        // Links made to it and removed change the times of the inode, and so does a change by
        // the tree itself, which the rules on writes judge.
        if after == Some(before) || case.tree.touched(path) {
            continue;
        }
        let inode_only =
            after.is_some_and(|after| Stamp { ctime: before.ctime, ..after } == before);
        if inode_only && case.is_link_source(path) {
            continue;
        }
        if inode_only && judge.declaration.flavour == Flavour::Scons {
            // SCons links sources into variant directories while other actions read them.
            let name = display(case.tree.path(path), &judge.declared.workspace).into_owned();
            case.uncacheable.push(format!("the times of {name} changed while it was read"));
            continue;
        }
        if matches!(judge.declared.scope(case.tree.path(path)), Scope::Ignored | Scope::Host) {
            continue;
        }
        case.found_changed_input(path, before, after);
    }
}

fn caches(case: &mut Case<'_>) {
    let fixed = &case.judge.declaration.environment.fixed;
    let mut seen: Vec<&str> = Vec::new();
    for process in &case.tree.recording.processes {
        for image in &process.images {
            let cache = compiler_cache(case.tree.path(image.exe), image);
            if let Some((name, switch)) = cache
                && switch.is_none_or(|switch| !fixed.contains_key(switch))
                && !seen.contains(&name)
            {
                seen.push(name);
                case.found_process(Rule::I004, name, process.id, image.seq);
            }
        }
    }
}
