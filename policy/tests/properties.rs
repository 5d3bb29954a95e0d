//! What must hold for every recording, whatever is in it.

mod common;

use airtight_policy::{
    Answer, Attempt, Declaration, Enforcer, Finding, Policy, Rule, Source, Verdict, judge,
};
use airtight_recording::{
    Access, Completeness, Exit, HostKind, HostNote, Kind, Op, PathId, ProcessId, Recording, Stamp,
};
use common::*;
use proptest::prelude::*;

const KINDS: [Kind; 7] =
    [Kind::Read, Kind::Write, Kind::Delete, Kind::Probe, Kind::Exec, Kind::List, Kind::Link];
const OPS: [Op; 16] = [
    Op::Open,
    Op::Create,
    Op::Truncate,
    Op::Change,
    Op::Map,
    Op::Stat,
    Op::Hop,
    Op::Exec,
    Op::Mkdir,
    Op::Rmdir,
    Op::Unlink,
    Op::Rename,
    Op::Hardlink,
    Op::Symlink,
    Op::Metadata,
    Op::Inherited,
];
const NAMES: [&str; 16] = [
    "/ws/a",
    "/ws/b",
    "/ws/b.c",
    "/ws/b.o",
    "/ws/d",
    "/ws/d/a",
    "/ws/d/e/f",
    "/ws",
    "/",
    "/tmp/x",
    "/usr/lib/x",
    "/proc/100/maps",
    "/dev/null",
    "pipe:[7]",
    "../a",
    "d//./../b",
];

prop_compose! {
    fn access()(
        kind in prop::sample::select(&KINDS[..]),
        op in prop::sample::select(&OPS[..]),
        names in [0u32..20, 0u32..20, 0u32..20],
        numbers in [0u32..4, 0u32..4, 0u32..4],
        errno in prop::sample::select(&[0u16, 0, 0, 2, 13, 17, 20][..]),
        object in prop::sample::select(&[0, FILE, FILE, DIR, LINK, FIFO][..]),
        first in 0u64..40,
        more in 0u64..40,
    ) -> Access {
        Access {
            process: ProcessId(numbers[0]),
            path: PathId(names[0]),
            requested: PathId(names[1]),
            other: PathId(names[2]),
            kind,
            op,
            errno,
            syscall: numbers[1] as u16,
            flags: numbers[2],
            object,
            count: numbers[2],
            first,
            last: first + more,
        }
    }
}

prop_compose! {
    /// Accesses with any names and numbers, some of them not defined at all.
    fn recording()(
        accesses in prop::collection::vec(access(), 0..40),
        stamps in prop::collection::vec((0u32..20, any::<bool>()), 0..3),
        notes in prop::collection::vec(0u32..20, 0..3),
        ended in any::<bool>(),
    ) -> Recording {
        let mut maker = Maker::new();
        for name in NAMES {
            maker.intern(name);
        }
        let mut recording = maker.end();
        recording.accesses = accesses;
        for (path, same) in stamps {
            let before = Stamp { size: 1, ..Stamp::default() };
            recording.stamps.push((PathId(path), before, same.then_some(before)));
        }
        for note in notes {
            let detail = NAMES.get(note as usize).unwrap_or(&"/none").as_bytes().to_vec();
            recording.host.push(HostNote {
                process: ProcessId(note),
                kind: HostKind::Enforced,
                detail,
                errno: 0,
                count: 1,
                first: 5,
            });
        }
        if !ended {
            recording.end = None;
        }
        recording
    }
}

fn findings(verdict: &Verdict, rule: Rule) -> impl Iterator<Item = &Finding> {
    verdict.findings().iter().filter(move |f| f.rule == rule)
}

fn policy(text: &str) -> Policy {
    Policy::parse(Source { name: "test", text }).expect("a good policy")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_recording_makes_it_panic(recording in recording()) {
        for text in ["", "strictness = 'all'", "severity.U001 = 'warn'\nstat = 'read'"] {
            let policy = policy(text);
            let verdict = judge(&action(), &policy, &recording);
            prop_assert!(serde_json::to_string(&verdict).is_ok());
            if !recording.is_complete() {
                prop_assert!(!verdict.is_cacheable());
            }
            let blocking = verdict.findings().iter().any(|f| f.fails());
            prop_assert!(!(blocking && verdict.is_cacheable()));
        }
    }

    #[test]
    fn declaring_a_file_settles_its_read(recording in recording()) {
        let before = judge(&action(), &Policy::default(), &recording);
        for finding in findings(&before, Rule::R001).filter(|f| !f.enforced) {
            let mut declaration = action();
            declaration.files.push(finding.path.0.clone());
            let after = judge(&declaration, &Policy::default(), &recording);
            prop_assert!(findings(&after, Rule::R001).all(|f| f.path != finding.path || f.enforced));
        }
    }

    #[test]
    fn a_suppression_takes_out_what_it_names_and_nothing_else(
        recording in recording(),
        cacheable in any::<bool>(),
    ) {
        let before = judge(&action(), &Policy::default(), &recording);
        let text = format!(
            "[[suppress]]\nrules = ['R001']\npath = 'd/**'\nreason = 'known'\ncacheable = {cacheable}",
        );
        let after = judge(&action(), &policy(&text), &recording);
        let covered = |f: &&Finding| f.rule == Rule::R001 && f.path.0.starts_with(b"/ws/d/");
        let named = before.findings().iter().filter(covered).count();
        prop_assert_eq!(after.suppressed().len(), named);
        prop_assert_eq!(after.findings().len() + named, before.findings().len());
        prop_assert!(!after.findings().iter().any(|f| covered(&f)));
        if named > 0 && !cacheable {
            prop_assert!(!after.is_cacheable());
        }
    }

    #[test]
    fn the_enforcer_refuses_only_what_the_judge_finds(
        kind in prop::sample::select(&KINDS[..]),
        name in prop::sample::select(&NAMES[..13]),
        declared in prop::sample::select(&NAMES[..8]),
        object in prop::sample::select(&[FILE, DIR][..]),
        as_input in any::<bool>(),
        strictness in prop::sample::select(&["generated", "workspace", "all"][..]),
    ) {
        let mut declaration = action();
        let list = if as_input { &mut declaration.files } else { &mut declaration.outputs };
        list.push(declared.as_bytes().to_vec());
        let policy = policy(&format!("reaction = 'deny'\nstrictness = '{strictness}'"));
        let attempt = Attempt {
            path: name.as_bytes(),
            requested: name.as_bytes(),
            kind,
            exists: true,
            own: false,
            object,
        };
        // What a single access does, recorded as a tracer would have it.
        let mut maker = Maker::new();
        let op = match kind {
            Kind::Write => Op::Truncate,
            Kind::Delete => Op::Unlink,
            Kind::Probe => Op::Stat,
            Kind::Exec => Op::Exec,
            Kind::List => Op::Enumerate,
            _ => Op::Open,
        };
        maker.add(kind, op, name).object = object;
        let recording = maker.end();
        let rule = Enforcer::new(&declaration, &policy).rule(&attempt);
        let answer = Enforcer::new(&declaration, &policy).decide(&attempt);
        let verdict = judge(&declaration, &policy, &recording);
        let mut found =
            verdict.findings().iter().filter(|f| f.path.0 == name.as_bytes() && f.rule != Rule::W002);
        match rule {
            Some(rule) => prop_assert!(found.any(|f| f.rule == rule), "only the enforcer: {rule}"),
            None => {
                // Pids are not known beforehand, and links are judged by what they lead to.
                let later = |f: &Finding| f.rule == Rule::H004 || kind == Kind::Link;
                let first = found.find(|f| !later(f)).map(|f| f.rule);
                prop_assert_eq!(first, None, "only the judge");
            }
        }
        prop_assert_eq!(answer == Answer::Deny, rule.is_some());
    }
}

#[test]
fn a_clean_verdict_is_a_proof_and_no_other_is() {
    use airtight_policy::ActionDigest;
    use airtight_recording::Digest;
    let digest = ActionDigest(Digest::of(b"action"));
    let clean = recorded(|_| {});
    let proof = judge(&action(), &Policy::default(), &clean).verify(digest).expect("clean");
    assert_eq!(proof.action(), digest);
    assert_eq!(Some(proof.recording()), airtight_policy::RecordingDigest::of(&clean));
    assert_eq!(proof.policy(), Policy::default().digest());

    let refused = |recording: &Recording| {
        let verdict = judge(&action(), &Policy::default(), recording);
        verdict.verify(digest).expect_err("not clean").to_string()
    };
    let header = refused(&recorded(|m| m.read("/ws/x.h")));
    assert_eq!(header, "b.o is not publishable: R001 undeclared-source-read");
    let failed = refused(&recorded(|m| m.exit(Exit::Code(1))));
    assert_eq!(failed, "b.o is not publishable: the action failed with 1");
    let mut open = recorded(|_| {});
    open.end = None;
    assert!(refused(&open).contains("the recording is incomplete"));
    let mut wrong = recorded(|_| {});
    wrong.accesses[0].other = PathId(1 << 30);
    assert_eq!(refused(&wrong), "b.o is not publishable: the recording contradicts itself");
}

#[test]
fn an_incomplete_recording_is_no_proof_even_if_suppressed() {
    let text = "[[suppress]]\nreason = 'x'\ncacheable = true";
    let mut recording = recorded(|_| {});
    recording.end = Some(Completeness::Incomplete { reasons: Vec::new() });
    let declaration: Declaration = action();
    assert!(!judge(&declaration, &policy(text), &recording).is_cacheable());
}
