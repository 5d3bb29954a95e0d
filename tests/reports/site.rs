//! Recordings and audits made by hand, with names that no format likes, and the reports on them.

use airtight_policy::build::{
    Action, ActionId, Attribution, Build, Graph, Input, Nature, Owner, Run, RunId, Span, Via,
};
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, Image, Kind, Op, PathId, ProcessId, Recording, Sink,
};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Names that have a meaning to some format or terminal.
pub(crate) const HOSTILE: [&[u8]; 9] = [
    b"plain.h",
    b"</script><script>alert(1)</script>.h",
    b"a&b<c>\"d'e.h",
    b"new\nline\r::error::forged.h",
    b"\x1b[31mred\x07.h",
    b"invalid-\xff\xfe.h",
    "rtl-\u{202e}gpj.h".as_bytes(),
    b"100%,a:b|c`d`*e* [x](1).h",
    "]]>\u{b}\u{ffff}.h".as_bytes(),
];

/// A directory with a workspace in it.
pub(crate) struct Site {
    root: TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site { root: TempDir::with_prefix("airtight-test-").expect("a directory") };
        for name in ["work/.git", "home"] {
            fs::create_dir_all(site.path(name)).expect(name);
        }
        site
    }

    /// Something beside or in the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.root.path()).expect("the directory is there").join(name)
    }

    /// The bytes of the name of a file in the workspace.
    pub(crate) fn inside(&self, name: &[u8]) -> Vec<u8> {
        self.path("work").join(OsStr::from_bytes(name)).into_os_string().as_bytes().to_vec()
    }

    /// `airtight` in the workspace: what it wrote to its standard output, and the code it ended
    /// with.
    pub(crate) fn airtight(&self, args: &[&str]) -> (String, i32) {
        let output = self.command(args).output().expect("airtight starts");
        let text = String::from_utf8(output.stdout).expect("reports are UTF-8");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        (text, output.status.code().expect("no signal"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airtight"));
        command
            .args(args)
            .current_dir(self.path("work"))
            .env_clear()
            .env("HOME", self.path("home"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// The report on a saved recording or audit; there must be findings.
    pub(crate) fn report(&self, file: &str, format: &str, more: &[&str]) -> String {
        let file = self.path(file).into_os_string().into_string().expect("UTF-8");
        let (text, code) = self.airtight(&[&["check", &file, "--format", format], more].concat());
        assert_eq!(code, 1, "{text}");
        text
    }

    /// Saves a recording of one action that read all hostile names and declares none.
    pub(crate) fn save_action(&self, name: &str) {
        self.save_reads(name, &HOSTILE);
    }

    /// Saves a recording of one action that read these files and declares none.
    pub(crate) fn save_reads(&self, name: &str, files: &[&[u8]]) {
        let mut maker = Maker::new(self);
        let cc = maker.process(Some(0), &[b"cc".as_slice(), b"-c", HOSTILE[3], HOSTILE[1]]);
        for file in files {
            maker.read(cc, &self.inside(file));
        }
        let recording = maker.end(0);
        let file = File::create(self.path(name)).expect(name);
        let mut writer = airtight_recording::binary::Writer::new(file).expect(name);
        recording.replay(&mut writer).expect(name);
        writer.finish().expect(name);
    }

    /// Saves the audit of a build by one make: `gen/version.h`, so many compiles, and a link. Each
    /// compile reads its own source, which it declares. The first `bad` of them read three headers
    /// that they don't declare: one that is the same for all, one that is made by another action,
    /// and one with a hostile name.
    pub(crate) fn save_build(&self, name: &str, actions: usize, bad: usize) {
        let mut maker = Maker::new(self);
        let mut graph = Graph::default();
        let work = graph.paths.intern(&self.inside(b""));
        let make = maker.process(Some(0), &[b"make".as_slice(), b"-j8"]);
        graph.add(Action {
            name: "make -j8".into(),
            nature: Nature::Always,
            cwd: work,
            command: "make -j8".into(),
            ..Action::default()
        });
        graph.runs.push(Run {
            tool: "make".into(),
            process: ProcessId(make),
            since: u64::from(make),
            cwd: work,
            argv: vec!["make".into(), "-j8".into()],
            within: Some(ActionId(0)),
        });
        let mut spans = vec![
            Span { process: ProcessId(0), since: 0, owner: Owner::Action(ActionId(0)) },
            Span { process: ProcessId(make), since: 0, owner: Owner::Tool(RunId(0)) },
        ];
        let made = self.inside(b"gen/version.h");
        let outputs = vec![graph.paths.intern(&made)];
        let generator = graph.add(Action {
            name: "gen/version.h".into(),
            outputs,
            run: Some(RunId(0)),
            declared_at: Some("Makefile:1".into()),
            cwd: work,
            command: "sh gen.sh".into(),
            ..Action::default()
        });
        let sh = maker.process(Some(make), &[b"sh".as_slice(), b"gen.sh"]);
        spans.push(Span { process: ProcessId(sh), since: 0, owner: Owner::Action(generator) });
        maker.create(sh, &made);
        let mut objects = Vec::new();
        for number in 0..actions {
            let source = self.inside(format!("src/{number}.c").as_bytes());
            let output = self.inside(format!("obj/{number}.o").as_bytes());
            let input = Input { path: graph.paths.intern(&source), via: Via::Declared };
            let outputs = vec![graph.paths.intern(&output)];
            objects.push(Input { path: outputs[0], via: Via::Declared });
            let id = graph.add(Action {
                name: format!("obj/{number}.o"),
                outputs,
                inputs: vec![input],
                run: Some(RunId(0)),
                declared_at: Some(format!("Makefile:{}", number + 3).as_str().into()),
                cwd: work,
                command: format!("cc -c src/{number}.c -o obj/{number}.o"),
                ..Action::default()
            });
            let argv = format!("cc -c src/{number}.c");
            let argv: Vec<&[u8]> = argv.split(' ').map(str::as_bytes).collect();
            let cc = maker.process(Some(make), &argv);
            spans.push(Span { process: ProcessId(cc), since: 0, owner: Owner::Action(id) });
            maker.read(cc, &source);
            if number < bad {
                maker.read(cc, &self.inside(b"include/common.h"));
                maker.read(cc, &made);
                let own = [b"include/".as_slice(), HOSTILE[number % HOSTILE.len()]].concat();
                maker.read(cc, &self.inside(&own));
            }
            maker.create(cc, &output);
        }
        let output = self.inside(b"app");
        let outputs = vec![graph.paths.intern(&output)];
        let link = graph.add(Action {
            name: "app".into(),
            outputs,
            inputs: objects.clone(),
            run: Some(RunId(0)),
            declared_at: Some("Makefile:2".into()),
            cwd: work,
            command: "ld".into(),
            ..Action::default()
        });
        let ld = maker.process(Some(make), &[b"ld".as_slice(), b"-o", b"app"]);
        spans.push(Span { process: ProcessId(ld), since: 0, owner: Owner::Action(link) });
        for object in objects {
            maker.read(ld, graph.paths.get(object.path));
        }
        maker.create(ld, &output);
        let workspace = self.inside(b"");
        let workspace = workspace.strip_suffix(b"/").expect("a directory").to_vec();
        let build =
            Build { workspace, home: Vec::new(), graph, attribution: Attribution::new(spans) };
        self.save_audit(name, &build, &maker.end(0));
    }

    /// Writes the file of an audit, as `src/audit/file.rs` draws it.
    fn save_audit(&self, name: &str, build: &Build, recording: &Recording) {
        let asked = serde_json::json!({ "adapter": "make", "declared": null });
        let head = serde_json::json!({
            "airtight": "0", "asked": asked, "loaded": true, "build": build,
        });
        let mut frame = zstd::Encoder::new(Vec::new(), 0).expect("memory");
        frame.include_checksum(true).expect("memory");
        serde_json::to_writer(&mut frame, &head).expect("memory");
        let frame = frame.finish().expect("memory");
        let mut out = File::create(self.path(name)).expect(name);
        out.write_all(b"\x89airau\r\n\x01").expect(name);
        out.write_all(&(frame.len() as u64).to_le_bytes()).expect(name);
        out.write_all(&frame).expect(name);
        let mut writer = airtight_recording::binary::Writer::new(out).expect(name);
        recording.replay(&mut writer).expect(name);
        writer.finish().expect(name);
    }
}

/// Builds a recording of `sh` in the workspace.
struct Maker {
    recording: Recording,
    cwd: Vec<u8>,
    seq: u64,
}

impl Maker {
    fn new(site: &Site) -> Maker {
        let cwd = site.path("work").into_os_string().as_bytes().to_vec();
        let mut maker = Maker { recording: Recording::default(), cwd, seq: 0 };
        let header = Header {
            backend: "ptrace".into(),
            cwd: maker.cwd.clone(),
            command: vec![b"sh".to_vec()],
            ..Header::default()
        };
        maker.put(&Event::Header(&header));
        maker.put(&Event::Syscall(1, "openat"));
        maker.process(None, &[b"sh".as_slice(), b"-c", b"make"]);
        maker
    }

    fn put(&mut self, event: &Event<'_>) {
        self.recording.put(event).expect("memory takes every event in order");
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn process(&mut self, parent: Option<u32>, argv: &[&[u8]]) -> u32 {
        let id = self.recording.processes.len() as u32;
        let seq = self.next();
        let parent = parent.map(ProcessId);
        self.put(&Event::Process { id: ProcessId(id), parent, pid: 100 + id, seq });
        let exe = self.recording.paths.intern(&[b"/usr/bin/", argv[0]].concat());
        let cwd = self.recording.paths.intern(&self.cwd.clone());
        let argv = argv.iter().map(|arg| arg.to_vec()).collect();
        let seq = self.next();
        let image = Image { seq, exe, argv, cwd, env: Vec::new() };
        self.put(&Event::Image(ProcessId(id), &image));
        id
    }

    fn read(&mut self, process: u32, path: &[u8]) {
        self.access(process, path, Kind::Read, Op::Open, 0);
    }

    fn create(&mut self, process: u32, path: &[u8]) {
        self.access(process, path, Kind::Write, Op::Create, 0o1101);
    }

    fn access(&mut self, process: u32, path: &[u8], kind: Kind, op: Op, flags: u32) {
        let path = self.recording.paths.intern(path);
        let first = self.next();
        let access = Access {
            process: ProcessId(process),
            path,
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno: 0,
            syscall: 1,
            flags,
            object: 0o100_000,
            count: 1,
            first,
            last: first,
        };
        self.put(&Event::Access(&access));
    }

    fn end(mut self, code: u8) -> Recording {
        for id in (0..self.recording.processes.len() as u32).rev() {
            let seq = self.next();
            self.put(&Event::Exit(ProcessId(id), seq, Exit::Code(code)));
        }
        self.put(&Event::End(&Completeness::Complete));
        self.recording
    }
}

/// A schema of this directory.
pub(crate) fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports/schemas").join(name)
}
