//! Builds made by hand: a graph, and what its actions did.

use super::{DIR, FILE, LINK};
use airtight_policy::build::{
    Action, ActionId, Attribution, Build, BuildVerdict, Graph, Input, Nature, Options, Owner, Run,
    RunId, Span, Via, judge,
};
use airtight_policy::{Date, Flavour, Policy, Severity, Source};
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId,
    ProcessId, Recording, Sink, Stamp,
};

/// `sh -c build` (action 0, process 0) runs `make` (run 0, process 1) in /ws. Everything takes
/// place in the order in which it is said.
pub struct Scene {
    pub graph: Graph,
    pub recording: Recording,
    pub spans: Vec<Span>,
    pub policy: String,
    pub options: Options,
    pub end: Completeness,
    seq: u64,
}

/// One process at work.
pub struct Worker<'s> {
    scene: &'s mut Scene,
    /// Its number.
    pub id: ProcessId,
}

impl Scene {
    pub fn new() -> Scene {
        let mut scene = Scene {
            graph: Graph::default(),
            recording: Recording::default(),
            spans: Vec::new(),
            policy: String::new(),
            options: Options {
                today: Some(Date { year: 2026, month: 6, day: 1 }),
                unused_inputs: false,
            },
            end: Completeness::Complete,
            seq: 0,
        };
        let header = Header {
            backend: "ptrace".into(),
            cwd: b"/ws".to_vec(),
            command: vec![b"sh".to_vec()],
            ..Header::default()
        };
        scene.put(&Event::Header(&header));
        for (index, name) in ["openat", "newfstatat", "rename", "unlink"].iter().enumerate() {
            scene.put(&Event::Syscall(index as u16 + 1, name));
        }
        scene.graph.add(Action {
            name: "sh -c build".into(),
            nature: Nature::Always,
            ..Action::default()
        });
        scene.process(None, Owner::Action(ActionId(0)), "/bin/sh", &["sh", "-c", "build"]);
        scene.run("/ws", ActionId(0));
        scene
    }

    fn put(&mut self, event: &Event<'_>) {
        self.recording.put(event).expect("memory takes every event in order");
    }

    fn tick(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Starts a process that does somebody's work.
    pub fn process(
        &mut self,
        parent: Option<ProcessId>,
        owner: Owner,
        exe: &str,
        argv: &[&str],
    ) -> ProcessId {
        let id = ProcessId(self.recording.processes.len() as u32);
        let seq = self.tick();
        self.put(&Event::Process { id, parent, pid: 100 + id.0, seq });
        self.spans.push(Span { process: id, since: 0, owner });
        self.exec(id, exe, argv);
        id
    }

    /// A process becomes another program.
    pub fn exec(&mut self, id: ProcessId, exe: &str, argv: &[&str]) {
        let seq = self.tick();
        let exe = self.recording.paths.intern(exe.as_bytes());
        let cwd = self.recording.paths.intern(b"/ws");
        let argv = argv.iter().map(|a| a.as_bytes().to_vec()).collect();
        self.put(&Event::Image(id, &Image { seq, exe, argv, cwd, env: Vec::new() }));
    }

    /// A process of `within` runs make in `cwd`.
    pub fn run(&mut self, cwd: &str, within: ActionId) -> RunId {
        let run = RunId(self.graph.runs.len() as u32);
        let parent = self.last_of(within);
        let process = self.process(Some(parent), Owner::Tool(run), "/usr/bin/make", &["make"]);
        let cwd = self.graph.paths.intern(cwd.as_bytes());
        self.graph.runs.push(Run {
            tool: "make".into(),
            process,
            since: self.seq,
            cwd,
            argv: vec!["make".into()],
            within: Some(within),
        });
        run
    }

    fn last_of(&self, action: ActionId) -> ProcessId {
        let mine = |span: &&Span| span.owner == Owner::Action(action);
        self.spans.iter().rfind(mine).map_or(ProcessId(0), |span| span.process)
    }

    /// A rule of the makefile of run 0: `outputs` are made of `inputs`, which begin with `|` when
    /// they are order-only and with `.d ` when a depfile names them.
    pub fn rule(&mut self, outputs: &[&str], inputs: &[&str]) -> ActionId {
        self.rule_of(RunId(0), "/ws", outputs, inputs)
    }

    /// The same of another run, whose names start in `cwd`.
    pub fn rule_of(
        &mut self,
        run: RunId,
        cwd: &str,
        outputs: &[&str],
        inputs: &[&str],
    ) -> ActionId {
        let name = |name: &str| match name.starts_with('/') {
            true => name.to_owned(),
            false => format!("{cwd}/{name}"),
        };
        let inputs = inputs.iter().map(|text| {
            let (via, path) = match (text.strip_prefix('|'), text.strip_prefix(".d ")) {
                (Some(path), _) => (Via::OrderOnly, path),
                (_, Some(path)) => (Via::Depfile, path),
                _ => (Via::Declared, *text),
            };
            Input { path: self.graph.paths.intern(name(path).as_bytes()), via }
        });
        let inputs = inputs.collect();
        let outputs = outputs.iter().map(|path| self.graph.paths.intern(name(path).as_bytes()));
        let outputs: Vec<PathId> = outputs.collect();
        let first = outputs.first().map(|id| self.graph.paths.get(*id));
        let name = first.map(|path| String::from_utf8_lossy(path).into_owned());
        let line = self.graph.actions.len() as u32;
        let cwd = self.graph.paths.intern(cwd.as_bytes());
        self.graph.add(Action {
            name: name.unwrap_or_else(|| "nameless".into()),
            outputs,
            inputs,
            run: Some(run),
            declared_at: Some(format!("Makefile:{line}").as_str().into()),
            flavour: Flavour::Make,
            cwd,
            ..Action::default()
        })
    }

    pub fn change(&mut self, id: ActionId, change: impl FnOnce(&mut Action)) {
        change(&mut self.graph.actions[id.0 as usize]);
    }

    /// The tool of an action starts a process for it, which works and ends with 0.
    pub fn does(&mut self, id: ActionId, work: impl FnOnce(&mut Worker<'_>)) {
        self.does_as(id, "/usr/bin/cc", Exit::Code(0), work);
    }

    pub fn does_as(
        &mut self,
        id: ActionId,
        exe: &str,
        exit: Exit,
        work: impl FnOnce(&mut Worker<'_>),
    ) {
        let parent = match self.graph.action(id).run {
            Some(run) => self.graph.run(run).process,
            None => ProcessId(0),
        };
        let process = if id == ActionId(0) {
            ProcessId(0)
        } else {
            let name = self.graph.action(id).name.clone();
            self.process(Some(parent), Owner::Action(id), exe, &["cc", &name])
        };
        work(&mut Worker { scene: self, id: process });
        if id != ActionId(0) {
            self.ends(process, exit);
        }
    }

    pub fn ends(&mut self, process: ProcessId, exit: Exit) {
        let seq = self.tick();
        self.put(&Event::Exit(process, seq, exit));
    }

    /// Processes work for others than an action.
    pub fn works(&mut self, owner: Owner, argv: &[&str], work: impl FnOnce(&mut Worker<'_>)) {
        let process = self.process(Some(ProcessId(1)), owner, "/usr/bin/tool", argv);
        work(&mut Worker { scene: self, id: process });
        self.ends(process, Exit::Code(0));
    }

    /// A process that is there already works.
    pub fn worker(&mut self, id: ProcessId) -> Worker<'_> {
        Worker { scene: self, id }
    }

    /// The build, its recording as it is now.
    pub fn build(&self) -> (Build, Recording) {
        let mut recording = self.recording.clone();
        recording.end = Some(self.end.clone());
        for id in [1, 0] {
            recording.processes[id].exit.get_or_insert((self.seq + 2, Exit::Code(0)));
        }
        let build = Build {
            workspace: b"/ws".to_vec(),
            home: b"/home/me".to_vec(),
            graph: self.graph.clone(),
            attribution: Attribution::new(self.spans.clone()),
        };
        (build, recording)
    }

    pub fn verdict(&self) -> BuildVerdict {
        let (build, recording) = self.build();
        let policy = Policy::parse(Source { name: "airtight.toml", text: &self.policy })
            .expect("the policies of the scenes are good");
        judge(&build, &policy, &recording, self.options)
    }

    /// Every finding that people see: rule, action and subject.
    pub fn found(&self) -> Vec<String> {
        let verdict = self.verdict();
        let shown = verdict.findings.iter().filter(|f| f.severity > Severity::Record);
        shown.map(|f| format!("{} {} {}", f.rule, f.action, f.subject)).collect()
    }

    #[track_caller]
    pub fn finds(&self, expected: &[&str]) {
        assert_eq!(self.found(), expected);
    }
}

impl Worker<'_> {
    /// The whole scene, to let others work.
    pub fn scene(&mut self) -> &mut Scene {
        self.scene
    }

    pub fn add(&mut self, kind: Kind, op: Op, path: &str) -> &mut Access {
        let seq = self.scene.tick();
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/ws/{path}"),
        };
        let path = self.scene.recording.paths.intern(path.as_bytes());
        let access = Access {
            process: self.id,
            path,
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno: 0,
            syscall: 1,
            flags: 0,
            object: FILE,
            count: 1,
            first: seq,
            last: seq,
        };
        self.scene.put(&Event::Access(&access));
        self.scene.recording.accesses.last_mut().expect("just added")
    }

    pub fn read(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Read, Op::Open, path);
        self
    }

    pub fn execs(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Exec, Op::Exec, path);
        self
    }

    pub fn stat(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Probe, Op::Stat, path);
        self
    }

    pub fn list(&mut self, path: &str) -> &mut Self {
        self.add(Kind::List, Op::Enumerate, path).object = DIR;
        self
    }

    pub fn absent(&mut self, path: &str) -> &mut Self {
        let access = self.add(Kind::Probe, Op::Stat, path);
        (access.errno, access.object) = (2, 0);
        self
    }

    /// Looks for `path`, of which the directory `missing` is not there.
    pub fn absent_below(&mut self, missing: &str, path: &str) -> &mut Self {
        let requested = self.scene.recording.paths.intern(format!("/ws/{path}").as_bytes());
        self.absent(missing);
        self.scene.recording.accesses.last_mut().expect("just added").requested = requested;
        self
    }

    pub fn create(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Create, path).flags = 0o1101;
        self
    }

    pub fn create_new(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Create, path).flags = 0o1301;
        self
    }

    pub fn truncate(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Truncate, path).flags = 0o1001;
        self
    }

    pub fn chmod(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Metadata, path);
        self
    }

    pub fn unlink(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Delete, Op::Unlink, path);
        self
    }

    pub fn symlink(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Symlink, path).object = LINK;
        self
    }

    /// Meets a link on the way.
    pub fn follow(&mut self, link: &str, text: &str) -> &mut Self {
        let text = self.scene.recording.paths.intern(text.as_bytes());
        let access = self.add(Kind::Link, Op::Hop, link);
        (access.other, access.object) = (text, LINK);
        self
    }

    /// Asks for the text of a link.
    pub fn readlink(&mut self, link: &str, text: &str) -> &mut Self {
        self.follow(link, text);
        self.scene.recording.accesses.last_mut().expect("just added").op = Op::Readlink;
        self
    }

    /// Reads `path` under another name.
    pub fn read_as(&mut self, requested: &str, path: &str) -> &mut Self {
        let requested = self.scene.recording.paths.intern(format!("/ws/{requested}").as_bytes());
        self.add(Kind::Read, Op::Open, path).requested = requested;
        self
    }

    pub fn chmod_as(&mut self, requested: &str, path: &str) -> &mut Self {
        let requested = self.scene.recording.paths.intern(format!("/ws/{requested}").as_bytes());
        self.add(Kind::Write, Op::Metadata, path).requested = requested;
        self
    }

    /// The file changes before the end of the build.
    pub fn stamp(&mut self, path: &str) -> &mut Self {
        let path = self.scene.recording.paths.intern(format!("/ws/{path}").as_bytes());
        let before = Stamp { dev: 1, ino: 7, size: 10, mtime: 1_000, ctime: 1_000 };
        let after = Some(Stamp { size: 11, ..before });
        if !self.scene.recording.stamps.iter().any(|(known, ..)| *known == path) {
            self.scene.put(&Event::Stamp { path, before, after });
        }
        self
    }

    pub fn mkdir(&mut self, path: &str) -> &mut Self {
        self.add(Kind::Write, Op::Mkdir, path).object = DIR;
        self
    }

    pub fn note(&mut self, kind: HostKind, detail: &str) -> &mut Self {
        let first = self.scene.tick();
        let note = HostNote {
            process: self.id,
            kind,
            detail: detail.as_bytes().to_vec(),
            errno: 0,
            count: 1,
            first,
        };
        self.scene.put(&Event::Host(&note));
        self
    }
}
