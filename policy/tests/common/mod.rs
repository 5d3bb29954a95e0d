//! Recordings made by hand, one line per access.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod scene;

use airtight_policy::{
    Date, Declaration, Judge, Order, Part, Pattern, Policy, Producer, Producers, Source, Verdict,
};
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId,
    ProcessId, Recording, Sink, Stamp,
};

pub const DIR: u32 = 0o040_000;
pub const FILE: u32 = 0o100_000;
pub const LINK: u32 = 0o120_000;
pub const FIFO: u32 = 0o010_000;

/// Builds a recording of `sh` (pid 100) that runs `cc` (pid 101) in /ws.
pub struct Maker {
    recording: Recording,
    seq: u64,
    exit: Exit,
}

impl Maker {
    pub fn new() -> Maker {
        let mut maker = Maker { recording: Recording::default(), seq: 10, exit: Exit::Code(0) };
        let header = Header {
            backend: "ptrace".into(),
            cwd: b"/ws".to_vec(),
            command: vec![b"sh".to_vec()],
            ..Header::default()
        };
        maker.put(&Event::Header(&header));
        for (index, name) in ["openat", "newfstatat", "rename", "unlink"].iter().enumerate() {
            maker.put(&Event::Syscall(index as u16 + 1, name));
        }
        maker.process(None, 100, "/usr/bin/sh", &["sh", "-c", "cc -c b.c"]);
        maker.process(Some(ProcessId(0)), 101, "/usr/bin/cc", &["cc", "-c", "b.c"]);
        maker
    }

    fn put(&mut self, event: &Event<'_>) {
        self.recording.put(event).expect("memory takes every event in order");
    }

    pub fn process(&mut self, parent: Option<ProcessId>, pid: u32, exe: &str, argv: &[&str]) {
        let id = ProcessId(self.recording.processes.len() as u32);
        let seq = self.recording.processes.len() as u64;
        self.put(&Event::Process { id, parent, pid, seq });
        let exe = self.intern(exe);
        let cwd = self.intern("/ws");
        let argv = argv.iter().map(|a| a.as_bytes().to_vec()).collect();
        self.put(&Event::Image(id, &Image { seq, exe, argv, cwd, env: Vec::new() }));
    }

    pub fn intern(&mut self, path: &str) -> PathId {
        if path.is_empty() { PathId::NONE } else { self.recording.paths.intern(path.as_bytes()) }
    }

    /// An access by cc, one later than the last.
    pub fn add(&mut self, kind: Kind, op: Op, path: &str) -> &mut Access {
        self.seq += 1;
        let path = self.intern(path);
        let syscall = match kind {
            Kind::Probe => 2,
            Kind::Delete => 4,
            _ => 1,
        };
        let access = Access {
            process: ProcessId(1),
            path,
            requested: PathId::NONE,
            other: PathId::NONE,
            kind,
            op,
            errno: 0,
            syscall,
            flags: 0,
            object: FILE,
            count: 1,
            first: self.seq,
            last: self.seq,
        };
        self.put(&Event::Access(&access));
        self.recording.accesses.last_mut().expect("just added")
    }

    pub fn read(&mut self, path: &str) {
        self.add(Kind::Read, Op::Open, path);
    }

    pub fn stat(&mut self, path: &str) {
        self.add(Kind::Probe, Op::Stat, path);
    }

    pub fn absent(&mut self, path: &str) {
        let access = self.add(Kind::Probe, Op::Stat, path);
        (access.errno, access.object) = (2, 0);
    }

    pub fn create(&mut self, path: &str) {
        self.add(Kind::Write, Op::Create, path).flags = 0o1101;
    }

    pub fn truncate(&mut self, path: &str) {
        self.add(Kind::Write, Op::Truncate, path).flags = 0o1001;
    }

    pub fn unlink(&mut self, path: &str) {
        self.add(Kind::Delete, Op::Unlink, path);
    }

    pub fn mkdir(&mut self, path: &str) {
        self.add(Kind::Write, Op::Mkdir, path).object = DIR;
    }

    pub fn rename(&mut self, from: &str, to: &str, object: u32) {
        let (a, b) = (self.intern(from), self.intern(to));
        let access = self.add(Kind::Delete, Op::Rename, from);
        (access.other, access.object) = (b, object);
        let access = self.add(Kind::Write, Op::Rename, to);
        (access.other, access.object) = (a, object);
        // Both halves are one call.
        access.first -= 1;
        access.last -= 1;
    }

    pub fn hardlink(&mut self, from: &str, to: &str) {
        let (a, b) = (self.intern(from), self.intern(to));
        self.add(Kind::Read, Op::Hardlink, from).other = b;
        self.add(Kind::Write, Op::Hardlink, to).other = a;
    }

    /// `requested` is opened, and leads over the link `hop` with the text `text` to `path`.
    pub fn read_over(&mut self, hop: &str, text: &str, requested: &str, path: &str) {
        let (text, requested) = (self.intern(text), self.intern(requested));
        let access = self.add(Kind::Link, Op::Hop, hop);
        (access.other, access.object) = (text, LINK);
        let access = self.add(Kind::Read, Op::Open, path);
        access.requested = requested;
        access.first -= 1;
        access.last -= 1;
    }

    pub fn note(&mut self, kind: HostKind, detail: &str, errno: u16) {
        self.seq += 1;
        let note = HostNote {
            process: ProcessId(1),
            kind,
            detail: detail.as_bytes().to_vec(),
            errno,
            count: 1,
            first: self.seq,
        };
        self.put(&Event::Host(&note));
    }

    pub fn stamp(&mut self, path: &str, after: Option<u64>) {
        let path = self.intern(path);
        let before = Stamp { dev: 1, ino: 7, size: 10, mtime: 1_000, ctime: 1_000 };
        let after = after.map(|size| Stamp { size, mtime: 2_000, ctime: 2_000, ..before });
        self.put(&Event::Stamp { path, before, after });
    }

    pub fn exit(&mut self, exit: Exit) {
        self.exit = exit;
    }

    pub fn end(self) -> Recording {
        self.end_as(&Completeness::Complete)
    }

    pub fn end_as(mut self, end: &Completeness) -> Recording {
        let exit = self.exit;
        self.put(&Event::Exit(ProcessId(1), 1_000, exit));
        self.put(&Event::Exit(ProcessId(0), 1_001, exit));
        self.put(&Event::End(end));
        self.recording
    }
}

/// An action in /ws that reads b.c and makes b.o.
pub fn action() -> Declaration {
    Declaration {
        name: "b.o".into(),
        workspace: b"/ws".to_vec(),
        cwd: b"/ws".to_vec(),
        files: vec![b"b.c".to_vec()],
        outputs: vec![b"b.o".to_vec()],
        declared_at: Some("SConstruct:14".into()),
        ..Declaration::default()
    }
}

pub fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|p| Pattern::new(p).expect("a good pattern")).collect()
}

/// A recording of the true action: b.c is read, b.o written, and `more` in between.
pub fn recorded(more: impl FnOnce(&mut Maker)) -> Recording {
    let mut maker = Maker::new();
    maker.read("/ws/b.c");
    more(&mut maker);
    maker.create("/ws/b.o");
    maker.end()
}

/// A case: what is declared and asked for, and what happened.
pub struct Case {
    pub name: &'static str,
    pub declaration: Declaration,
    pub policy: String,
    pub producers: Producers,
    pub recording: Recording,
}

impl Case {
    pub fn new(name: &'static str, more: impl FnOnce(&mut Maker)) -> Case {
        Case::of(name, recorded(more))
    }

    pub fn of(name: &'static str, recording: Recording) -> Case {
        let producers = Producers::default();
        Case { name, declaration: action(), policy: String::new(), producers, recording }
    }

    pub fn declaring(mut self, change: impl FnOnce(&mut Declaration)) -> Case {
        change(&mut self.declaration);
        self
    }

    pub fn policy(mut self, text: &str) -> Case {
        self.policy = text.to_owned();
        self
    }

    pub fn producer(mut self, path: &str, order: Order, part: Part) -> Case {
        let producer = Producer {
            action: "gen".into(),
            declared_at: Some("SConstruct:3".into()),
            order,
            part,
        };
        self.producers.add(path.as_bytes().to_vec(), producer);
        self
    }

    /// The verdict on the recording as it comes back from its file in tests/recordings.
    pub fn verdict(&self) -> Verdict {
        let policy = Policy::parse(Source { name: "airtight.toml", text: &self.policy })
            .expect("the policies of the cases are good");
        let judge = Judge::new(&self.declaration, &policy).producers(&self.producers);
        let today = Date { year: 2026, month: 6, day: 1 };
        judge.today(today).judge(&self.filed())
    }

    fn filed(&self) -> Recording {
        let name = self.name.replace(' ', "-");
        let path = format!("{}/tests/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
        if !std::fs::exists(&path).expect("tests/recordings can be looked at") {
            let mut text = Vec::new();
            airtight_recording::json::write(&self.recording, &mut text).expect("memory");
            std::fs::write(&path, text).expect("tests/recordings can be written");
            panic!("{path} was not there; it is now: look at it and run again");
        }
        let bytes = std::fs::read(&path).expect("just seen");
        let (recording, _) = Recording::read(&bytes[..]).expect("a good recording");
        assert!(recording == self.recording, "{path} is of an older case: remove it");
        recording
    }
}
