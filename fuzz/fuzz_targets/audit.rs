//! Any bytes, read as the file of an audit: never a panic, and what passes for whole can be judged,
//! written and read again.
//!
//! A mutation of compressed bytes rarely gets past the checksum. So what follows `HEAD` and a line
//! break is also compressed here, and put before a small recording.
#![no_main]

#[path = "../../src/audit/file.rs"]
#[allow(dead_code, reason = "the command uses the rest")]
mod file;

use airtight_policy::Policy;
use airtight_policy::build::{Options, judge};
use airtight_recording::binary::{Limits, Writer};
use airtight_recording::{Completeness, Process, ProcessId, Recording};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Small, so that a hit of the memory limit is a finding and not the input's fault.
const LIMITS: Limits = Limits { bytes: 16 << 20 };

static POLICY: LazyLock<Policy> = LazyLock::new(Policy::default);

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // As in `seeds/audit/`.
    if let Some(json) = bytes.strip_prefix(b"HEAD\n") {
        let frame = zstd::encode_all(json, 1).expect("memory can be written");
        let start = [&file::MAGIC[..], &[file::VERSION]].concat();
        let length = (frame.len() as u64).to_le_bytes();
        read(&[&start[..], &length, &frame, &recording()].concat());
    }
});

fn read(bytes: &[u8]) {
    let Ok(saved) = file::read(bytes, LIMITS) else { return };
    let file::Saved { head, recording } = saved;
    let mut written = Vec::new();
    file::write(&head, &recording, &mut written).expect("what was read can be written");
    let again = file::read(&written[..], LIMITS).expect("what was written can be read");
    assert!(again.recording == recording);
    if head.loaded {
        judge(&head.build, &POLICY, &recording, Options { unused_inputs: true, ..Options::default() });
    }
}

/// Three processes in a row.
fn recording() -> Vec<u8> {
    let process = |id: u32| Process {
        id: ProcessId(id),
        parent: id.checked_sub(1).map(ProcessId),
        pid: id,
        start: id.into(),
        images: Vec::new(),
        exit: None,
    };
    let recording = Recording {
        processes: (0..3).map(process).collect(),
        syscalls: vec![String::new()],
        end: Some(Completeness::Complete),
        ..Recording::default()
    };
    let mut writer = Writer::new(Vec::new()).expect("memory can be written");
    recording.replay(&mut writer).expect("memory can be written");
    writer.finish().expect("it has an end").0
}
