//! What must hold for every build, whatever is in it.

mod common;

use airtight_policy::build::{
    Action, ActionId, Attribution, Build, Graph, Input, Nature, Options, Owner, Run, RunId, Span,
    Via, judge,
};
use airtight_policy::{Policy, Severity};
use airtight_recording::{Access, Completeness, Exit, Kind, Op, PathId, ProcessId, Recording};
use common::scene::Scene;
use common::{DIR, FILE};
use proptest::prelude::*;

const KINDS: [Kind; 7] =
    [Kind::Read, Kind::Write, Kind::Delete, Kind::Probe, Kind::Exec, Kind::List, Kind::Link];
const OPS: [Op; 10] = [
    Op::Open,
    Op::Create,
    Op::Truncate,
    Op::Mkdir,
    Op::Unlink,
    Op::Rename,
    Op::Hardlink,
    Op::Symlink,
    Op::Metadata,
    Op::Inherited,
];
const NATURES: [Nature; 4] = [Nature::Normal, Nature::Always, Nature::Configure, Nature::Alias];
const VIAS: [Via; 3] = [Via::Declared, Via::Depfile, Via::OrderOnly];
const NAMES: [&str; 10] = [
    "/ws/a",
    "/ws/b",
    "/ws/c",
    "/ws/d",
    "/ws/d/e",
    "/ws/d/f",
    "/ws",
    "/tmp/x",
    "/usr/lib/x",
    "d/../b",
];

prop_compose! {
    fn access()(
        kind in prop::sample::select(&KINDS[..]),
        op in prop::sample::select(&OPS[..]),
        names in [0u32..13, 0u32..13, 0u32..13],
        process in 0u32..9,
        errno in prop::sample::select(&[0u16, 0, 0, 2, 20][..]),
        object in prop::sample::select(&[0, FILE, FILE, DIR][..]),
        first in 0u64..60,
        more in 0u64..9,
    ) -> Access {
        Access {
            process: ProcessId(process),
            path: PathId(names[0]),
            requested: PathId(names[1]),
            other: PathId(names[2]),
            kind,
            op,
            errno,
            syscall: 1,
            flags: 0,
            object,
            count: 1,
            first,
            last: first + more,
        }
    }
}

prop_compose! {
    fn action()(
        outputs in prop::collection::vec(0u32..13, 0..3),
        inputs in prop::collection::vec((0u32..13, prop::sample::select(&VIAS[..])), 0..5),
        depfile in 0u32..13,
        nature in prop::sample::select(&NATURES[..]),
        run in prop::option::of(0u32..5),
        closed in any::<bool>(),
    ) -> Action {
        let inputs = inputs.into_iter().map(|(path, via)| Input { path: PathId(path), via });
        Action {
            name: format!("{nature:?}"),
            outputs: outputs.into_iter().map(PathId).collect(),
            inputs: inputs.collect(),
            depfile: PathId(depfile),
            nature,
            run: run.map(RunId),
            closed,
            ..Action::default()
        }
    }
}

fn owner() -> impl Strategy<Value = Owner> {
    (0u32..4, 0u32..9).prop_map(|(kind, number)| match kind {
        0 => Owner::Tool(RunId(number)),
        1 => Owner::Parsing(RunId(number)),
        2 => Owner::Nobody(RunId(number)),
        _ => Owner::Action(ActionId(number)),
    })
}

prop_compose! {
    fn run()(
        process in 0u32..9,
        since in 0u64..60,
        cwd in 0u32..13,
        within in prop::option::of(0u32..9),
    ) -> Run {
        Run {
            tool: "make".into(),
            process: ProcessId(process),
            since,
            cwd: PathId(cwd),
            argv: Vec::new(),
            within: within.map(ActionId),
        }
    }
}

prop_compose! {
    /// Numbers in it lead anywhere and nowhere, in circles too.
    fn build()(
        actions in prop::collection::vec(action(), 0..7),
        runs in prop::collection::vec(run(), 0..4),
        spans in prop::collection::vec((0u32..9, 0u64..60, owner()), 0..16),
        accesses in prop::collection::vec(access(), 0..60),
        parents in prop::collection::vec((prop::option::of(0u32..9), any::<bool>()), 7),
        complete in any::<bool>(),
    ) -> (Build, Recording) {
        let mut graph = Graph { actions, runs, ..Graph::default() };
        let (_, mut recording) = Scene::new().build();
        for name in NAMES {
            graph.paths.intern(name.as_bytes());
            recording.paths.intern(name.as_bytes());
        }
        // The scene has named some paths: the numbers of the two tables differ.
        recording.accesses = accesses;
        recording.processes.truncate(1);
        for (id, (parent, ended)) in (1u32..).zip(parents) {
            let mut process = recording.processes[0].clone();
            process.id = ProcessId(id);
            process.parent = parent.map(ProcessId);
            process.start = u64::from(id);
            process.exit = ended.then_some((50, Exit::Code(0)));
            recording.processes.push(process);
        }
        recording.end = complete.then_some(Completeness::Complete);
        let spans = spans.into_iter().map(|(process, since, owner)| {
            Span { process: ProcessId(process), since, owner }
        });
        let attribution = Attribution::new(spans.collect());
        let (workspace, home) = (b"/ws".to_vec(), b"/home".to_vec());
        (Build { workspace, home, graph, attribution }, recording)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_build_makes_it_panic((build, recording) in build()) {
        let options = Options { today: None, unused_inputs: true };
        let verdict = judge(&build, &Policy::default(), &recording, options);
        let text = serde_json::to_string(&verdict).expect("JSON");
        let again = judge(&build, &Policy::default(), &recording, options);
        prop_assert_eq!(text, serde_json::to_string(&again).expect("JSON"));
        for finding in &verdict.findings {
            let action = verdict.actions.iter().find(|action| action.name == finding.action);
            let blocks = finding.severity >= Severity::Warn && finding.rule.family() != 'U';
            if let Some(action) = action.filter(|_| blocks) {
                prop_assert!(!action.uncacheable.is_empty());
            }
        }
        if !recording.is_complete() {
            prop_assert!(verdict.actions.iter().all(|action| !action.uncacheable.is_empty()));
        }
    }

    #[test]
    fn a_build_comes_back_from_its_file((build, recording) in build()) {
        let text = serde_json::to_string(&build).expect("JSON");
        let back: Build = serde_json::from_str(&text).expect("a build");
        prop_assert_eq!(&text, &serde_json::to_string(&back).expect("JSON"));
        prop_assert_eq!(build.check(&recording), back.check(&recording));
    }

    /// What the check passes can be asked for by number.
    #[test]
    fn what_is_checked_leads_somewhere((build, recording) in build()) {
        if build.check(&recording).is_ok() {
            for action in &build.graph.actions {
                let inputs = action.inputs.iter().map(|input| input.path);
                let own = [action.depfile, action.cwd];
                for path in inputs.chain(action.outputs.iter().copied()).chain(own) {
                    build.graph.paths.get(path);
                }
                action.run.map(|run| build.graph.run(run));
            }
            for run in &build.graph.runs {
                prop_assert!((run.process.0 as usize) < recording.processes.len());
                run.within.map(|action| build.graph.action(action));
            }
        }
    }

    /// Whatever else there is: a file that an action declares is no stale dependency of it.
    #[test]
    fn declaring_a_file_settles_its_read((mut build, recording) in build()) {
        use airtight_policy::Rule;
        let stale = [Rule::R001, Rule::R002, Rule::R005, Rule::R006, Rule::R007];
        let judged = |build: &Build| judge(build, &Policy::default(), &recording, Options::default());
        let before = judged(&build);
        let found = before.findings.iter().find(|f| stale.contains(&f.rule));
        if let Some(finding) = found {
            let (rule, path) = (finding.rule, finding.path.clone());
            let id = build.graph.paths.intern(&path.0);
            for action in build.graph.actions.iter_mut().filter(|a| a.name == finding.action) {
                action.inputs.push(Input { path: id, via: Via::Declared });
            }
            let after = judged(&build);
            let same = |f: &airtight_policy::Finding| {
                f.rule == rule && f.path == path && f.action == finding.action
            };
            prop_assert!(!after.findings.iter().any(same), "{rule} stays");
        }
    }
}

#[test]
fn a_check_tells_what_leads_nowhere() {
    let mut scene = Scene::new();
    let a = scene.rule(&["a"], &["x"]);
    scene.does(a, |w| {
        w.read("x").create("a");
    });
    let (build, recording) = scene.build();
    assert_eq!(build.check(&recording), Ok(()));
    let wrong = |change: &dyn Fn(&mut Build)| {
        let mut build = build.clone();
        change(&mut build);
        build.check(&recording).expect_err("wrong").to_string()
    };
    let paths = build.graph.paths.len();
    assert_eq!(
        wrong(&|build| build.graph.actions[1].outputs.push(PathId(99))),
        format!("action 1 names path 99, and there are {paths}")
    );
    assert_eq!(
        wrong(&|build| build.graph.actions[1].run = Some(RunId(1))),
        "action 1 names run 1, and there are 1"
    );
    assert_eq!(
        wrong(&|build| build.graph.runs[0].process = ProcessId(3)),
        "run 0 names process 3, and there are 3"
    );
    let span = Span { process: ProcessId(0), since: 0, owner: Owner::Action(ActionId(7)) };
    assert_eq!(
        wrong(&|build| build.attribution = Attribution::new(vec![span])),
        "span 0 names action 7, and there are 2"
    );
}
