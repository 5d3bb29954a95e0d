//! How a finding is known: the processes that led to it, the call and its flags.

use crate::finding::{Evidence, Step};
use crate::name::printable;
use airtight_recording::{Access, Image, Process, ProcessId, Recording};

/// No chain is longer in a report.
const LONGEST_CHAIN: usize = 64;

/// `O_*` of open(2) on x86-64 beyond the access mode, as in asm-generic/fcntl.h.
const OPEN_FLAGS: [(u32, &str); 14] = [
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o40000, "O_DIRECT"),
    (0o100_000, "O_LARGEFILE"),
    (0o20_000_000 | 0o200_000, "O_TMPFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
];

/// The name of a call without its ABI.
pub(crate) fn call_name<'a>(recording: &'a Recording, access: &Access) -> &'a str {
    let name = recording.syscalls.get(usize::from(access.syscall)).map_or("", String::as_str);
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether the call opens files, so that its flags are `O_*`.
pub(crate) fn is_open(call: &str) -> bool {
    call.starts_with("open") || call == "creat"
}

pub(crate) fn of_access(recording: &Recording, access: &Access) -> Evidence {
    let call = call_name(recording, access);
    let name = |id: airtight_recording::PathId| {
        let known = !id.is_none() && (id.0 as usize) < recording.paths.len();
        if known { printable(recording.paths.get(id)).into_owned() } else { String::new() }
    };
    Evidence {
        flags: if is_open(call) { open_flags(access.flags) } else { String::new() },
        requested: if access.requested == access.path {
            String::new()
        } else {
            name(access.requested)
        },
        syscall: recording.syscalls.get(usize::from(access.syscall)).cloned().unwrap_or_default(),
        ..of_process(recording, access.process, access.first)
    }
}

pub(crate) fn of_process(recording: &Recording, process: ProcessId, seq: u64) -> Evidence {
    let mut chain = Vec::new();
    let mut at = recording.processes.get(process.0 as usize);
    let mut time = seq;
    while let Some(process) = at.filter(|_| chain.len() < LONGEST_CHAIN) {
        if let Some(image) = image_at(process, time) {
            let known = (image.exe.0 as usize) < recording.paths.len();
            let exe = if known { recording.paths.get(image.exe) } else { b"" };
            chain.push(Step {
                pid: process.pid,
                exe: printable(exe).into_owned(),
                argv: image.argv.iter().map(|arg| printable(arg).into_owned()).collect(),
            });
        }
        // A process that ran its parent's program has no step of its own.
        time = process.start;
        at = process
            .parent
            .filter(|parent| *parent < process.id)
            .and_then(|parent| recording.processes.get(parent.0 as usize));
    }
    Evidence { chain, seq, ..Evidence::default() }
}

fn image_at(process: &Process, seq: u64) -> Option<&Image> {
    process.images.iter().rev().find(|image| image.seq <= seq)
}

fn open_flags(flags: u32) -> String {
    let mut text = String::from(match flags & 3 {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        _ => "O_RDWR",
    });
    let mut left = flags;
    for (bits, name) in OPEN_FLAGS {
        if left & bits == bits {
            left &= !bits;
            text.push('|');
            text.push_str(name);
        }
    }
    text
}
