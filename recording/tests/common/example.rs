//! A small recording by hand: a compile that finds a header through a link.

use airtight_recording::{
    Access, Completeness, Exit, Header, HostKind, HostNote, Image, Kind, Op, Process, ProcessId,
    Reason, ReasonCode, Recording, Stamp,
};

const ENOENT: u16 = 2;
const FILE: u32 = 0o100_000;
const DIR: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// One access: process, kind, op, path, and what else is said with [`Builder::last`].
struct Builder(Recording);

impl Builder {
    fn syscall(&mut self, name: &str) -> u16 {
        let names = &mut self.0.syscalls;
        let known = names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        u16::try_from(index).expect("few syscalls")
    }

    fn access(&mut self, process: u32, kind: Kind, op: Op, syscall: &str, path: &[u8], seq: u64) {
        let access = Access {
            process: ProcessId(process),
            path: self.0.paths.intern(path),
            requested: airtight_recording::PathId::NONE,
            other: airtight_recording::PathId::NONE,
            kind,
            op,
            errno: 0,
            syscall: self.syscall(syscall),
            flags: 0,
            object: FILE,
            count: 1,
            first: seq,
            last: seq,
        };
        self.0.accesses.push(access);
    }

    fn last(&mut self) -> &mut Access {
        self.0.accesses.last_mut().expect("one was put")
    }

    fn requested(&mut self, path: &[u8]) {
        self.last().requested = self.0.paths.intern(path);
    }

    fn other(&mut self, path: &[u8]) {
        self.last().other = self.0.paths.intern(path);
    }

    fn process(&mut self, parent: Option<u32>, start: u64, exit: (u64, Exit)) {
        let id = u32::try_from(self.0.processes.len()).expect("few processes");
        self.0.processes.push(Process {
            id: ProcessId(id),
            parent: parent.map(ProcessId),
            pid: 4000 + id,
            start,
            images: Vec::new(),
            exit: Some(exit),
        });
    }

    fn image(&mut self, process: usize, seq: u64, exe: &[u8], argv: &[&[u8]], env: &[&[u8]]) {
        let image = Image {
            seq,
            exe: self.0.paths.intern(exe),
            argv: argv.iter().map(|argument| argument.to_vec()).collect(),
            cwd: self.0.paths.intern(b"/w"),
            env: env.iter().map(|variable| variable.to_vec()).collect(),
        };
        self.0.processes[process].images.push(image);
    }
}

/// `make` forks a shell-less child that becomes `gcc`, which runs `cc1`: `/w/inc` is a link to
/// `include`, and `cfg.h` in it a link to `/w/gen/cfg.h`.
pub(crate) fn compile() -> Recording {
    let mut b = Builder(Recording {
        header: Header {
            tracer_version: "0.1.0".into(),
            backend: "ptrace".into(),
            host: "builder, Linux 6.1.0".into(),
            kernel: "6.1.0".into(),
            time: 1_700_000_000,
            cwd: b"/w".to_vec(),
            command: vec![b"make".to_vec(), b"caf\xe9.o".to_vec()],
        },
        syscalls: vec![String::new()],
        ..Recording::default()
    });
    b.process(None, 1, (90, Exit::Code(0)));
    b.process(Some(0), 10, (80, Exit::Code(0)));
    b.process(Some(1), 20, (70, Exit::Code(0)));
    b.process(Some(2), 60, (65, Exit::Signal(15)));
    b.image(0, 2, b"/usr/bin/make", &[b"make", b"caf\xe9.o"], &[]);
    let (gcc, target) = (&b"/usr/bin/x86_64-linux-gnu-gcc-12"[..], &b"TARGET=0:caf\xe9.o"[..]);
    b.image(1, 12, gcc, &[b"gcc", b"-c", b"caf\xe9.c"], &[target, b"LEVEL=0"]);
    b.image(2, 21, b"/usr/lib/gcc/cc1", &[b"cc1", b"-quiet"], &[b"LEVEL="]);

    b.access(0, Kind::Exec, Op::Exec, "execve", b"/usr/bin/make", 2);
    b.access(0, Kind::Exec, Op::Loader, "", b"/usr/lib/ld-linux-x86-64.so.2", 2);
    b.syscall("");
    b.access(0, Kind::List, Op::Enumerate, "openat", b"/w", 5);
    (b.last().object, b.last().flags) = (DIR, 0o200_000);
    b.access(1, Kind::Link, Op::Hop, "execve", b"/usr/bin/gcc", 12);
    b.last().object = SYMLINK;
    b.other(b"x86_64-linux-gnu-gcc-12");
    b.access(1, Kind::Exec, Op::Exec, "execve", b"/usr/bin/x86_64-linux-gnu-gcc-12", 12);
    b.requested(b"/usr/bin/gcc");
    b.access(2, Kind::Probe, Op::Stat, "openat", b"/w/src/cfg.h", 33);
    (b.last().errno, b.last().object) = (ENOENT, 0);
    (b.last().count, b.last().last) = (3, 48);
    b.access(2, Kind::Read, Op::Open, "openat", b"/w/caf\xe9.c", 30);
    b.last().flags = 0o2_000_000;
    for (link, text) in [(&b"/w/inc"[..], &b"include"[..]), (b"/w/include/cfg.h", b"/w/gen/cfg.h")]
    {
        b.access(2, Kind::Link, Op::Hop, "openat", link, 35);
        b.last().object = SYMLINK;
        b.other(text);
    }
    b.access(2, Kind::Read, Op::Open, "openat", b"/w/gen/cfg.h", 35);
    b.requested(b"/w/src/../inc/./cfg.h");
    b.access(2, Kind::Probe, Op::Stat, "newfstatat", b"/w/gen", 36);
    b.last().object = DIR;
    b.access(2, Kind::Write, Op::Create, "openat", b"/w/caf\xe9.o.tmp", 40);
    b.last().flags = 0o1101;
    b.access(2, Kind::Delete, Op::Rename, "rename", b"/w/caf\xe9.o.tmp", 50);
    b.other(b"/w/caf\xe9.o");
    b.access(2, Kind::Write, Op::Rename, "rename", b"/w/caf\xe9.o", 50);
    b.other(b"/w/caf\xe9.o.tmp");
    b.access(3, Kind::Read, Op::Open, "i386/open", b"/w/caf\xe9.o", 61);

    let mut recording = b.0;
    recording.host.push(HostNote {
        process: ProcessId(2),
        kind: HostKind::UnixSocket,
        detail: b"/run/nscd/socket".to_vec(),
        errno: ENOENT,
        count: 2,
        first: 31,
    });
    let stamp =
        Stamp { dev: 2049, ino: 77, size: 120, mtime: 1_600_000_000_000_000_000, ctime: -5 };
    let source = recording.paths.intern(b"/w/caf\xe9.c");
    let header = recording.paths.intern(b"/w/gen/cfg.h");
    recording.stamps.push((source, stamp, Some(stamp)));
    recording.stamps.push((header, Stamp { ino: 78, ..stamp }, None));
    recording.end = Some(Completeness::Incomplete {
        reasons: vec![Reason {
            code: ReasonCode::UnknownSyscall,
            detail: "syscall 999 is not in the table".into(),
            process: Some(ProcessId(2)),
        }],
    });
    recording
}
