//! Contacts with the machine beyond its files.

use super::{Rule, RuleDoc};
use crate::fix::Fix;
use crate::policy::Severity;

pub(crate) const DOCS: [RuleDoc; 5] = [
    RuleDoc {
        rule: Rule::H001,
        slug: "network",
        severity: Severity::Error,
        message: "network contact with {}",
        effect: "what comes from {} may be another thing tomorrow",
        line: None,
        what: "A process of the action contacted an internet address that the policy does not \
allow.",
        why: "What comes from the network is no declared input and may be another thing tomorrow.",
        example: "A build script downloads a dependency.",
        fix: "Fetch it before the build and declare the file, or list the host under \
`policy.network.allow`.",
    },
    RuleDoc {
        rule: Rule::H002,
        slug: "external-daemon",
        severity: Severity::Warn,
        message: "contact with the outside server {}",
        effect: "work may be done where the trace does not see it",
        line: None,
        what: "A process of the action connected to a server outside of the process tree over a \
unix socket.",
        why: "Work may be done where the trace does not see it.",
        example: "A gradle or adb client talks to its daemon.",
        fix: "Run the tool without its daemon, or list the socket under `policy.network.sockets`.",
    },
    RuleDoc {
        rule: Rule::H003,
        slug: "surviving-process",
        severity: Severity::Error,
        message: "process {} outlived the action",
        effect: "it may go on writing after the outputs were taken",
        line: None,
        what: "A process outlived the action's root process and the grace time.",
        why: "It may go on writing after the outputs were taken.",
        example: "A script starts a server in the background and does not stop it.",
        fix: "Stop the process at the end of the command, or list its name under \
`policy.survivors`; the action is then never cached.",
    },
    RuleDoc {
        rule: Rule::H004,
        slug: "host-state",
        severity: Severity::Note,
        message: "use of machine state: {}",
        effect: "the result may depend on the machine or on chance",
        line: None,
        what: "The action asked for the state of the machine: random numbers, number of processors, \
memory, load, other processes, or a privilege that the trace can't give.",
        why: "The output may depend on the machine or on chance.",
        example: "A link step picks its number of threads from /proc/cpuinfo.",
        fix: "Usually harmless. If the outputs differ between runs, give the tool a fixed number \
or seed.",
    },
    RuleDoc {
        rule: Rule::H005,
        slug: "undeclared-environment",
        severity: Severity::Warn,
        message: "undeclared environment variable {}",
        effect: "its value may change the result, and the key does not hold it",
        line: Some(Fix::Environment),
        what: "The action ran with environment variables that it does not declare.",
        why: "Their values may change the output, and the key does not hold them.",
        example: "CFLAGS is set in one shell and not in the other.",
        fix: "Declare the variables with `--env`, or run without them.",
    },
];

use crate::judge::Case;
use airtight_recording::HostKind;

pub(crate) fn check(case: &mut Case<'_>) {
    let recording = case.tree.recording;
    let judge = case.judge;
    for note in &recording.host {
        let detail = crate::name::printable(&note.detail);
        let allowed =
            |list: &[crate::pattern::Pattern]| list.iter().any(|p| p.matches_text(&detail));
        match note.kind {
            HostKind::Network if !allowed(&judge.policy.network.allow) => {
                case.found_note(Rule::H001, &detail, note, false);
            }
            // ENOENT 2, ECONNREFUSED 111: nobody is there, so nothing is done out of sight. The
            // absent nscd is asked for by every look-up of a user or host.
            HostKind::UnixSocket
                if !matches!(note.errno, 2 | 111) && !allowed(&judge.policy.network.sockets) =>
            {
                case.found_note(Rule::H002, &detail, note, false);
            }
            HostKind::SurvivingProcess => survivor(case, &detail, note),
            HostKind::Random => case.found_note(Rule::H004, "getrandom", note, false),
            HostKind::IoUringRefused => {
                case.found_note(Rule::H004, "io_uring, which was refused", note, false);
            }
            HostKind::CallRefused => {
                case.found_note(Rule::H004, &format!("{detail}, which was refused"), note, false);
            }
            HostKind::PrivilegeLost => {
                let what = format!("{detail}, which ran without its privilege");
                case.found_note(Rule::H004, &what, note, true);
            }
            HostKind::PtraceRefused => {
                case.found_note(Rule::H004, "ptrace, which was refused", note, true);
            }
            _ => {}
        }
    }
    for variable in &judge.declaration.environment.undeclared {
        case.found_text(Rule::H005, variable);
    }
}

fn survivor(case: &mut Case<'_>, name: &str, note: &airtight_recording::HostNote) {
    if case.judge.policy.survivors.iter().any(|allowed| allowed == name) {
        case.uncacheable.push(format!("process {name} was allowed to outlive the action"));
    } else {
        case.found_note(Rule::H003, name, note, false);
    }
}
