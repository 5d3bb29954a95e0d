//! Recordings to test with.

use airtight_recording::{
    Access, Completeness, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId, Process,
    ProcessId, Reason, ReasonCode, Recording, Stamp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const KINDS: [Kind; 7] =
    [Kind::Read, Kind::Write, Kind::Delete, Kind::Probe, Kind::Exec, Kind::List, Kind::Link];
const OPS: [Op; 5] = [Op::Open, Op::Create, Op::Hop, Op::Kernel, Op::Rename];
const HOST_KINDS: [HostKind; 3] = [HostKind::Network, HostKind::Random, HostKind::Enforced];
const REASONS: [ReasonCode; 3] =
    [ReasonCode::UnknownSyscall, ReasonCode::LostEvent, ReasonCode::Other];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..20),
        "/[a-c]{1,2}(/[a-d.]{1,3}){0,3}".prop_map(String::into_bytes)
    ]
}

fn header() -> impl Strategy<Value = Header> {
    (any::<[String; 2]>(), any::<u64>(), bytes(), vec(bytes(), 0..4)).prop_map(
        |([tracer_version, host], time, cwd, command)| Header {
            tracer_version,
            backend: "ptrace".into(),
            host,
            kernel: "6.1".into(),
            time,
            cwd,
            command,
        },
    )
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![any::<u8>().prop_map(Exit::Code), any::<u8>().prop_map(Exit::Signal)]
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<(u64, u64, u64, i64, i64)>().prop_map(|(dev, ino, size, mtime, ctime)| Stamp {
        dev,
        ino,
        size,
        mtime,
        ctime,
    })
}

fn end(processes: u32) -> impl Strategy<Value = Completeness> {
    let process = option::of((0..processes).prop_map(ProcessId));
    let reason = (select(&REASONS[..]), any::<String>(), process)
        .prop_map(|(code, detail, process)| Reason { code, detail, process });
    vec(reason, 0..3).prop_map(|reasons| match reasons.is_empty() {
        true => Completeness::Complete,
        false => Completeness::Incomplete { reasons },
    })
}

fn access(paths: u32, syscalls: u16, processes: u32) -> impl Strategy<Value = Access> {
    let object = prop_oneof![select(&[0, 0o100_000, 0o040_000, 0o120_000][..]), any::<u32>()];
    let names = [0..paths, 0..paths, 0..paths];
    let numbers = (prop_oneof![0..3u16, any::<u16>()], any::<u32>(), object, any::<u32>());
    let times = (prop_oneof![0..500u64, any::<u64>()], any::<u64>());
    (0..processes, names, select(&KINDS[..]), select(&OPS[..]), 0..syscalls, numbers, times)
        .prop_map(
            |(process, [path, requested, other], kind, op, syscall, numbers, (first, last))| {
                let (errno, flags, object, count) = numbers;
                Access {
                    process: ProcessId(process),
                    path: PathId(path),
                    requested: PathId(requested),
                    other: PathId(other),
                    kind,
                    op,
                    errno,
                    syscall,
                    flags,
                    object,
                    count,
                    first,
                    last,
                }
            },
        )
}

type RawImage = (u64, u32, u32, [Vec<Vec<u8>>; 2]);
type RawProcess = (Option<u32>, u32, u64, Vec<RawImage>, Option<(u64, Exit)>);

fn process(id: usize, paths: u32, raw: RawProcess) -> Process {
    let (parent, pid, start, images, exit) = raw;
    let image = |(seq, exe, cwd, [argv, env]): RawImage| Image {
        seq,
        exe: PathId(exe % paths),
        argv,
        cwd: PathId(cwd % paths),
        env,
    };
    let id = u32::try_from(id).expect("few processes");
    Process {
        id: ProcessId(id),
        parent: parent.filter(|_| id > 0).map(|parent| ProcessId(parent % id)),
        pid,
        start,
        images: images.into_iter().map(image).collect(),
        exit,
    }
}

/// Any recording at all, however unlikely.
pub(crate) fn any_recording() -> impl Strategy<Value = Recording> {
    let image =
        (any::<u64>(), any::<u32>(), any::<u32>(), [vec(bytes(), 0..3), vec(bytes(), 0..3)]);
    let parent = option::of(any::<u32>());
    let raw_process =
        (parent, any::<u32>(), any::<u64>(), vec(image, 0..3), option::of((any::<u64>(), exit())));
    let names = (vec(bytes(), 0..12), vec("[a-z0-9/]{1,9}", 0..4), vec(raw_process, 1..5));
    (header(), names)
        .prop_flat_map(|(header, (names, mut syscalls, raw))| {
            let mut recording = Recording { header, ..Recording::default() };
            for name in names {
                recording.paths.intern(&name);
            }
            syscalls.insert(0, String::new());
            let paths = u32::try_from(recording.paths.len()).expect("few paths");
            let calls = u16::try_from(syscalls.len()).expect("few syscalls");
            let processes = u32::try_from(raw.len()).expect("few processes");
            recording.syscalls = syscalls;
            let raw = raw.into_iter().enumerate();
            recording.processes = raw.map(|(id, raw)| process(id, paths, raw)).collect();
            let note = (0..processes, select(&HOST_KINDS[..]), bytes(), any::<(u16, u32, u64)>())
                .prop_map(|(process, kind, detail, (errno, count, first))| HostNote {
                    process: ProcessId(process),
                    kind,
                    detail,
                    errno,
                    count,
                    first,
                });
            let stamps = ((0..paths).prop_map(PathId), stamp(), option::of(stamp()));
            let accesses = vec(access(paths, calls, processes), 0..40);
            (Just(recording), accesses, vec(note, 0..3), vec(stamps, 0..3), end(processes))
        })
        .prop_map(|(mut recording, accesses, host, stamps, end)| {
            recording.accesses = accesses;
            recording.host = host;
            recording.stamps = stamps;
            recording.end = Some(end);
            recording
        })
}
