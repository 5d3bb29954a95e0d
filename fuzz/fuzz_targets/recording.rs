//! Any bytes, read as a recording: never a panic, and what passes for whole can be written and
//! read again.
//!
//! A mutation of compressed bytes rarely gets past the checksum. So what follows `RECORDS` and a
//! line break is also compressed here, with a right checksum, and then read.
#![no_main]

use airtight_recording::binary::{Limits, MAGIC, VERSION, Writer};
use airtight_recording::{Recording, diff, json};
use libfuzzer_sys::fuzz_target;

/// Small, so that a hit of the memory limit is a finding and not the input's fault.
const LIMITS: Limits = Limits { bytes: 16 << 20 };

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // As in `seeds/recording/`.
    if let Some(records) = bytes.strip_prefix(b"RECORDS\n") {
        let compressed = zstd::encode_all(records, 1).expect("memory can be written");
        for version in 1..=VERSION {
            read(&[&MAGIC[..], &[version], &compressed].concat());
        }
    }
});

fn read(bytes: &[u8]) {
    let Ok((recording, _)) = Recording::read_with(bytes, LIMITS) else { return };
    let mut writer = Writer::new(Vec::new()).expect("memory can be written");
    recording.replay(&mut writer).expect("what was read can be written");
    let (binary, written) = writer.finish().expect("what was read has an end");
    let (again, read) = Recording::read(&binary[..]).expect("what was written can be read");
    assert!(again == recording && written == read);
    let mut text = Vec::new();
    json::write(&recording, &mut text).expect("what was read can be written");
    let (again, _) = Recording::read(&text[..]).expect("what was written can be read");
    assert!(again == recording);
    assert!(diff::diff(&recording, &again).is_empty());
    let index = recording.index();
    for access in &recording.accesses {
        index.hops(access);
        recording.chain(access.process, access.first);
    }
}
