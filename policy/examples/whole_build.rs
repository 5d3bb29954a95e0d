//! Judges a synthetic build of 5,000 actions with a million accesses, and prints how long it took.
//!
//! `cargo run --release -p airtight-policy --example whole_build [ACTIONS [ACCESSES]]`

use airtight_policy::Flavour;
use airtight_policy::Policy;
use airtight_policy::build::{
    Action, ActionId, Attribution, Build, Graph, Input, Nature, Options, Owner, Run, RunId, Span,
    Via, judge,
};
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, Image, Kind, Op, PathId, ProcessId, Recording, Sink,
};
use std::io::Write as _;
use std::time::Instant;

const FILE: u32 = 0o100_000;

fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse().unwrap_or(0));
    let actions: usize = numbers.next().filter(|&n| n > 0).unwrap_or(5_000);
    let accesses: usize = numbers.next().filter(|&n| n > 0).unwrap_or(1_000_000);
    let (build, recording) = make(actions, accesses)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} actions, {} accesses, {} paths, {} processes",
        build.graph.actions.len(),
        recording.accesses.len(),
        recording.paths.len(),
        recording.processes.len()
    )?;
    let policy = Policy::default();
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let verdict = judge(&build, &policy, &recording, Options::default());
        times.push(start.elapsed().as_secs_f64());
        if times.len() == 1 {
            writeln!(out, "{} findings, {:?}", verdict.findings.len(), verdict.counts)?;
        }
    }
    times.sort_by(f64::total_cmp);
    writeln!(
        out,
        "judged in {:.3} s (median of {}; {:.3} to {:.3})",
        times[times.len() / 2],
        times.len(),
        times[0],
        times[times.len() - 1]
    )
}

/// A ninja build in /ws/out: each compile reads one of a hundred generated headers, which it knows
/// from its depfile and order-only; every fiftieth action links the compiles before it, and the
/// links depend on each other in a chain. Of each compile's accesses two thirds are absent names.
fn make(actions: usize, accesses: usize) -> std::io::Result<(Build, Recording)> {
    let mut recording = Recording::default();
    recording.put(&Event::Header(&Header { cwd: b"/ws/out".to_vec(), ..Header::default() }))?;
    for (index, name) in (1u16..).zip(["openat", "newfstatat", "readlink", "access"]) {
        recording.put(&Event::Syscall(index, name))?;
    }
    let mut maker = Maker { recording, graph: Graph::default(), spans: Vec::new(), seq: 0 };
    maker.graph.add(Action { name: "ninja".into(), nature: Nature::Always, ..Action::default() });
    maker.process(None, Owner::Tool(RunId(0)), "/usr/bin/ninja", &["ninja".into()])?;
    let cwd = maker.graph.paths.intern(b"/ws/out");
    maker.graph.runs.push(Run {
        tool: "ninja".into(),
        process: ProcessId(0),
        since: 0,
        cwd,
        argv: vec!["ninja".into()],
        within: Some(ActionId(0)),
    });
    let each = accesses / actions;
    let generated = (actions / 50).max(1);
    let (mut objects, mut links) = (Vec::new(), Vec::new());
    for n in 0..actions {
        if n < generated {
            let (input, header) = (format!("/ws/src/gen{n}.in"), format!("/ws/out/gen{n}.h"));
            let id = maker.action(&header, &[(&input, Via::Declared)]);
            maker.work(id, &["/usr/bin/python3".into(), input.clone()], |maker, process| {
                maker.access(process, Kind::Read, Op::Open, &input, 0)?;
                maker.access(process, Kind::Write, Op::Create, &header, 0)
            })?;
        } else if n % 50 == 49 {
            let output = format!("/ws/out/lib{n}.a");
            let mut inputs: Vec<String> = std::mem::take(&mut objects);
            inputs.extend(links.last().cloned());
            let named: Vec<(&str, Via)> =
                inputs.iter().map(|path| (path.as_str(), Via::Declared)).collect();
            let id = maker.action(&output, &named);
            maker.work(id, &["/usr/bin/ar".into()], |maker, process| {
                for input in &inputs {
                    maker.access(process, Kind::Read, Op::Open, input, 0)?;
                }
                maker.access(process, Kind::Write, Op::Create, &output, 0)
            })?;
            links.push(output);
        } else {
            let object = maker.compile(n, each, generated)?;
            objects.push(object);
        }
    }
    let Maker { mut recording, graph, spans, seq } = maker;
    recording.put(&Event::Exit(ProcessId(0), seq + 1, Exit::Code(0)))?;
    recording.put(&Event::End(&Completeness::Complete))?;
    let build = Build {
        workspace: b"/ws".to_vec(),
        home: b"/home/me".to_vec(),
        graph,
        attribution: Attribution::new(spans),
    };
    Ok((build, recording))
}

struct Maker {
    recording: Recording,
    graph: Graph,
    spans: Vec<Span>,
    seq: u64,
}

impl Maker {
    fn process(
        &mut self,
        parent: Option<ProcessId>,
        owner: Owner,
        exe: &str,
        argv: &[String],
    ) -> std::io::Result<ProcessId> {
        let id = ProcessId(self.recording.processes.len() as u32);
        self.seq += 1;
        let (seq, pid) = (self.seq, 1_000 + id.0);
        self.recording.put(&Event::Process { id, parent, pid, seq })?;
        let exe = self.recording.paths.intern(exe.as_bytes());
        let cwd = self.recording.paths.intern(b"/ws/out");
        let argv = argv.iter().map(|arg| arg.clone().into_bytes()).collect();
        self.recording.put(&Event::Image(id, &Image { seq, exe, argv, cwd, env: Vec::new() }))?;
        self.spans.push(Span { process: id, since: 0, owner });
        Ok(id)
    }

    fn action(&mut self, output: &str, inputs: &[(&str, Via)]) -> ActionId {
        let mut intern = |path: &str| self.graph.paths.intern(path.as_bytes());
        let outputs = vec![intern(output)];
        let inputs = inputs.iter().map(|&(path, via)| Input { path: intern(path), via }).collect();
        let cwd = intern("/ws/out");
        self.graph.add(Action {
            name: output.into(),
            outputs,
            inputs,
            cwd,
            run: Some(RunId(0)),
            flavour: Flavour::Ninja,
            closed: true,
            declared_at: Some(format!("build.ninja:{}", self.graph.actions.len()).as_str().into()),
            ..Action::default()
        })
    }

    /// A shell and a program for one action.
    fn work(
        &mut self,
        id: ActionId,
        argv: &[String],
        work: impl FnOnce(&mut Maker, ProcessId) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let owner = Owner::Action(id);
        let shell = ["/bin/sh".into(), "-c".into(), argv.join(" ")];
        let shell = self.process(Some(ProcessId(0)), owner, "/bin/sh", &shell)?;
        let process = self.process(Some(shell), owner, &argv[0], argv)?;
        work(self, process)?;
        for process in [process, shell] {
            self.seq += 1;
            self.recording.put(&Event::Exit(process, self.seq, Exit::Code(0)))?;
        }
        Ok(())
    }

    fn compile(&mut self, n: usize, each: usize, generated: usize) -> std::io::Result<String> {
        let (source, object) =
            (format!("/ws/src/part{}/f{n}.c", n % 97), format!("/ws/out/f{n}.o"));
        let header = format!("/ws/out/gen{}.h", n % generated);
        let headers: Vec<String> =
            (0..each / 6).map(|h| format!("/ws/src/include/h{}.h", (n * 7 + h) % 2_000)).collect();
        let mut inputs = vec![(source.as_str(), Via::Declared)];
        inputs.push((&header, Via::Depfile));
        inputs.push((&header, Via::OrderOnly));
        inputs.extend(headers.iter().map(|path| (path.as_str(), Via::Depfile)));
        let id = self.action(&object, &inputs);
        let argv: Vec<String> = ["/usr/bin/cc", "-c", &source, "-o", &object]
            .iter()
            .map(|arg| (*arg).to_owned())
            .chain((0..30).map(|i| format!("-DOPTION_{i}=1")))
            .collect();
        self.work(id, &argv, |maker, process| {
            maker.access(process, Kind::Read, Op::Open, &source, 0)?;
            maker.access(process, Kind::Read, Op::Open, &header, 0)?;
            for path in &headers {
                maker.access(process, Kind::Read, Op::Open, path, 0)?;
            }
            for h in 0..each / 6 {
                let path = format!("/usr/include/x86_64-linux-gnu/sys{}.h", (n * 3 + h) % 400);
                maker.access(process, Kind::Read, Op::Open, &path, 0)?;
            }
            for h in 0..each * 2 / 3 {
                let path = format!("/ws/src/part{}/inc{}.h", h % 97, (n * 5 + h) % 3_000);
                maker.access(process, Kind::Probe, Op::Stat, &path, 2)?;
            }
            if n % 500 == 7 {
                maker.access(process, Kind::Read, Op::Open, "/ws/src/undeclared.h", 0)?;
            }
            maker.access(process, Kind::Write, Op::Create, &object, 0)
        })?;
        Ok(object)
    }

    fn access(
        &mut self,
        process: ProcessId,
        kind: Kind,
        op: Op,
        path: &str,
        errno: u16,
    ) -> std::io::Result<()> {
        self.seq += 1;
        let path = self.recording.paths.intern(path.as_bytes());
        self.recording.put(&Event::Access(&Access {
            process,
            path,
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno,
            syscall: 1,
            flags: 0,
            object: if errno == 0 { FILE } else { 0 },
            count: 1,
            first: self.seq,
            last: self.seq,
        }))
    }
}
