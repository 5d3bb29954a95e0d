use super::*;
use airtight_recording::{Access, Op};
use std::cell::RefCell;

/// A recording made by hand.
#[derive(Default)]
struct Tape {
    recording: Recording,
    clock: u64,
}

impl Tape {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn fork(&mut self, parent: Option<u32>) -> u32 {
        let start = self.tick();
        let id = ProcessId(self.recording.processes.len() as u32);
        let parent = parent.map(ProcessId);
        let pid = 100 + id.0;
        let (images, exit) = (Vec::new(), None);
        self.recording.processes.push(Process { id, parent, pid, start, images, exit });
        id.0
    }

    fn exec(&mut self, process: u32, command: &str, cwd: &str) -> u64 {
        let seq = self.tick();
        let argv: Vec<Vec<u8>> = command.split(' ').map(|word| word.into()).collect();
        let exe = self.recording.paths.intern(&[b"/bin/", argv[0].as_slice()].concat());
        let cwd = self.recording.paths.intern(cwd.as_bytes());
        let image = Image { seq, exe, argv, cwd, env: Vec::new() };
        self.recording.processes[process as usize].images.push(image);
        seq
    }

    /// A child that executes at once.
    fn spawn(&mut self, parent: u32, command: &str) -> u32 {
        let id = self.fork(Some(parent));
        self.exec(id, command, "/w");
        id
    }

    fn write(&mut self, process: u32, path: &str) {
        let (first, path) = (self.tick(), self.recording.paths.intern(path.as_bytes()));
        self.recording.accesses.push(Access {
            process: ProcessId(process),
            path,
            requested: path,
            other: PathId::NONE,
            kind: Kind::Write,
            op: Op::Create,
            errno: 0,
            syscall: 0,
            flags: 0,
            object: 0,
            count: 1,
            first,
            last: first,
        });
    }
}

/// A tool called `tool`, whose graph has the actions `one` and `two` for each run. A child that
/// is called like one of them is its own; `parse` works for the description, `guess` is known by
/// what it writes, and all else is nobody's.
struct Fake;

struct Loaded {
    first: Vec<(RunId, ActionId)>,
    asked: RefCell<Vec<Vec<Vec<u8>>>>,
}

impl Adapter for Fake {
    fn name(&self) -> &'static str {
        "tool"
    }

    fn is_run(&self, recording: &Recording, image: &Image) -> bool {
        recording.path(image.exe) == b"/bin/tool" && image.argv.get(1) != Some(&b"--version".into())
    }

    fn load(
        &self,
        _: &Recording,
        runs: &[RunId],
        graph: &mut Graph,
        _: &Context<'_>,
    ) -> Result<Box<dyn Assign>, Error> {
        let mut first = Vec::new();
        for &run in runs {
            for name in ["one", "two"] {
                let name = format!("{name} of {}", run.0);
                let id = graph.add(Action { name, run: Some(run), ..Action::default() });
                first.push((run, id));
            }
        }
        Ok(Box::new(Loaded { first, asked: RefCell::default() }))
    }
}

impl Assign for Loaded {
    fn assign(&self, _: &Graph, child: &Child<'_>) -> Option<Owner> {
        let of_run = self.first.iter().filter(|(run, _)| *run == child.run);
        let action = |at: usize| of_run.clone().nth(at).map(|(_, id)| Owner::Action(*id));
        match child.image?.argv[0].as_slice() {
            b"one" => action(0),
            b"two" | b"tool" | b"airtight" => action(1),
            b"parse" => Some(Owner::Parsing(child.run)),
            b"guess" => {
                let names = (child.written)();
                let names = names.iter().map(|id| child.recording.path(*id).to_vec());
                self.asked.borrow_mut().push(names.collect());
                let last = self.asked.borrow().last().cloned();
                action(usize::from(last != Some(vec![b"/w/a".to_vec(), b"/w/b".to_vec()])))
            }
            _ => None,
        }
    }
}

fn attributed(tape: &Tape) -> Build {
    let context = Context { workspace: b"/w", warn: &|_| {} };
    let build = attribute(&tape.recording, &[Box::new(Fake)], &context).expect("it can be loaded");
    assert!(build.attribution.covers(&tape.recording));
    build
}

fn owners(build: &Build, process: u32) -> Vec<Owner> {
    build.attribution.of(ProcessId(process)).iter().map(|span| span.owner).collect()
}

fn name(build: &Build, process: u32) -> String {
    match owners(build, process).last() {
        Some(Owner::Action(action)) => build.graph.action(*action).name.clone(),
        other => format!("{other:?}"),
    }
}

const ROOT: Owner = Owner::Action(COMMAND);
const RUN: [Owner; 2] = [Owner::Tool(RunId(0)), Owner::Tool(RunId(1))];

#[test]
fn what_is_no_tool_belongs_to_the_command() {
    let mut tape = Tape::default();
    tape.recording.header.command = vec![b"sh".to_vec(), b"build.sh".to_vec()];
    let root = tape.fork(None);
    tape.exec(root, "sh build.sh", "/w");
    let version = tape.spawn(root, "tool --version");
    let build = attributed(&tape);
    assert_eq!(owners(&build, root), [ROOT]);
    assert_eq!(owners(&build, version), [ROOT]);
    assert!(build.graph.runs.is_empty());
    assert_eq!(build.graph.action(COMMAND).name, "sh build.sh");
    assert_eq!(build.graph.action(COMMAND).nature, Nature::Always);
}

#[test]
fn children_of_a_tool_are_assigned_and_theirs_inherit() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    let since = tape.exec(root, "tool all", "/w");
    let one = tape.spawn(root, "one");
    let below = tape.spawn(one, "cc");
    let parse = tape.spawn(root, "parse");
    let under = tape.spawn(parse, "cat");
    let strange = tape.spawn(root, "strange");
    let lost = tape.spawn(strange, "cat");
    let forked = tape.fork(Some(root));
    let build = attributed(&tape);
    assert_eq!(owners(&build, root), [ROOT, RUN[0]]);
    assert_eq!(build.attribution.owner(ProcessId(root), since - 1), Some(ROOT));
    assert_eq!(build.attribution.owner(ProcessId(root), since), Some(RUN[0]));
    assert_eq!([name(&build, one), name(&build, below)], ["one of 0", "one of 0"]);
    assert_eq!(owners(&build, parse), [Owner::Parsing(RunId(0))]);
    assert_eq!(owners(&build, under), [Owner::Parsing(RunId(0))]);
    assert_eq!(owners(&build, strange), [Owner::Nobody(RunId(0))]);
    assert_eq!(owners(&build, lost), [Owner::Nobody(RunId(0))]);
    assert_eq!(owners(&build, forked), [RUN[0]]);
    assert_eq!(build.graph.runs[0].within, Some(COMMAND));
    let unattributed: Vec<ProcessId> = build.attribution.unattributed().collect();
    assert_eq!(unattributed, [ProcessId(strange), ProcessId(lost)]);
}

#[test]
fn a_tool_that_executes_itself_again_is_one_run() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    tape.exec(root, "sh", "/w");
    tape.exec(root, "tool all", "/w");
    let before = tape.spawn(root, "one");
    tape.exec(root, "tool all", "/w");
    let after = tape.spawn(root, "one");
    tape.exec(root, "tool all", "/w/elsewhere");
    let other = tape.spawn(root, "one");
    let build = attributed(&tape);
    assert_eq!(build.graph.runs.len(), 2);
    assert_eq!(owners(&build, root), [ROOT, RUN[0], RUN[1]]);
    let names = [before, after, other].map(|process| name(&build, process));
    assert_eq!(names, ["one of 0", "one of 0", "one of 1"]);
}

#[test]
fn a_tool_within_an_action() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    tape.exec(root, "tool", "/w");
    // Executed at once, through a shell, and by a shell that then becomes the tool.
    let direct = tape.spawn(root, "tool sub");
    let inner = tape.spawn(direct, "two");
    let shell = tape.spawn(root, "one");
    let through = tape.spawn(shell, "tool sub");
    let deep = tape.spawn(through, "one");
    let becomes = tape.spawn(root, "one");
    tape.exec(becomes, "tool sub", "/w");
    let back = tape.exec(becomes, "cat", "/w");
    let build = attributed(&tape);
    let within: Vec<_> = build.graph.runs.iter().map(|run| run.within).collect();
    let named = |name: &str| {
        let at = build.graph.actions.iter().position(|action| action.name == name);
        at.map(|at| ActionId(at as u32))
    };
    let (one, two) = (named("one of 0"), named("two of 0"));
    assert_eq!(within, [Some(COMMAND), two, one, one]);
    assert_eq!(name(&build, inner), "two of 1");
    assert_eq!(name(&build, deep), "one of 2");
    assert_eq!(owners(&build, through)[1], Owner::Tool(RunId(2)));
    // What it becomes after that is its action's again.
    assert_eq!(owners(&build, becomes).len(), 3);
    let owner = build.attribution.owner(ProcessId(becomes), back);
    assert_eq!(owner, one.map(Owner::Action));
}

#[test]
fn an_airtight_within_an_action_is_no_part_of_it_and_its_command_is() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    tape.exec(root, "tool", "/w");
    let nested = tape.spawn(root, "airtight run");
    let compiler = tape.spawn(nested, "cc");
    let becomes = tape.spawn(root, "airtight run");
    let then = tape.exec(becomes, "cc", "/w");
    let build = attributed(&tape);
    let run = &build.graph.runs[1];
    assert_eq!(run.tool, "airtight");
    assert_eq!(owners(&build, nested)[1], RUN[1]);
    assert_eq!(name(&build, compiler), "two of 0");
    assert_eq!(run.within.map(|id| build.graph.action(id).name.as_str()), Some("two of 0"));
    let owner = build.attribution.owner(ProcessId(becomes), then);
    assert_eq!(owner, run.within.map(Owner::Action));
}

#[test]
fn what_a_child_and_those_below_it_wrote_can_be_asked_for() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    tape.exec(root, "tool", "/w");
    let first = tape.spawn(root, "guess");
    let below = tape.spawn(first, "cc");
    tape.write(below, "/w/a");
    tape.write(first, "/w/b");
    tape.write(below, "/w/a");
    let second = tape.spawn(root, "guess");
    tape.write(second, "/w/c");
    let build = attributed(&tape);
    assert_eq!([name(&build, first), name(&build, second)], ["one of 0", "two of 0"]);
}

#[test]
fn a_process_without_parent_belongs_to_the_command() {
    let mut tape = Tape::default();
    let root = tape.fork(None);
    tape.exec(root, "tool", "/w");
    let stray = tape.fork(None);
    let later = tape.fork(Some(9));
    let build = attributed(&tape);
    assert_eq!([owners(&build, stray), owners(&build, later)], [[ROOT], [ROOT]]);
}
