//! Files of every format version stay readable, and say what they always said.
//!
//! After a change of format: give the new version's files a new name in [`LATEST`], run once
//! with `UPDATE_GOLDEN=1`, and add the version before to [`VERSIONS`]. Files that exist are never
//! written again.

#[path = "common/example.rs"]
mod example;

use airtight_recording::binary::Writer;
use airtight_recording::{BinarySource, Recording, json};
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Mutex;

const LATEST: &str = "v2";

/// Every version, with the digest of its binary file.
const VERSIONS: [(&str, &str); 2] = [
    ("v1", "1d3bcf38a8eb3b03b1c70ff7e839ca8a50c2b3f4e898dd2b67e7392c4f4f44c0/850"),
    ("v2", "e57ddbf4943a8e5b578c72afac177699dc7c0ae564dbb4a818e197412f3111f5/884"),
];

/// What a version could hold of the example: format 1 had no variables.
fn example(version: &str) -> Recording {
    let mut recording = example::compile();
    if version == "v1" {
        let images = recording.processes.iter_mut().flat_map(|process| &mut process.images);
        images.for_each(|image| image.env.clear());
    }
    recording
}

fn path(version: &str, extension: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    directory.join(format!("{version}.{extension}"))
}

fn write_missing() {
    // Both tests begin with this; the second one to come waits.
    static WRITING: Mutex<()> = Mutex::new(());
    let _guard = WRITING.lock();
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        return;
    }
    let recording = example::compile();
    if let Ok(file) = File::create_new(path(LATEST, "atrec")) {
        let mut writer = Writer::new(file).expect("the file can be written");
        recording.replay(&mut writer).expect("the example is valid");
        writer.finish().expect("the example has an end");
    }
    if let Ok(file) = File::create_new(path(LATEST, "json")) {
        json::write(&recording, file).expect("the file can be written");
    }
}

#[test]
fn every_version_is_still_read() {
    write_missing();
    for (version, digest) in VERSIONS {
        for extension in ["atrec", "json"] {
            let bytes = fs::read(path(version, extension)).expect("the golden file is there");
            let (recording, _) = Recording::read(&bytes[..]).expect("it is readable");
            assert_eq!(recording, example(version), "{version}.{extension}");
        }
        let bytes = fs::read(path(version, "atrec")).expect("the golden file is there");
        let (_, read) = Recording::read(&bytes[..]).expect("it is readable");
        assert_eq!(read.to_string(), digest, "{version}");
    }
}

#[test]
fn the_latest_is_still_written() {
    write_missing();
    let file = File::open(path(LATEST, "atrec")).expect("the golden file is there");
    let mut text = Vec::new();
    json::write(BinarySource::new(file), &mut text).expect("it is readable");
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    let golden = fs::read_to_string(path(LATEST, "json")).expect("the golden file is there");
    assert!(text == golden, "JSON is now written as:\n{text}");
    let (_, digest) = VERSIONS[VERSIONS.len() - 1];
    let now = example::compile().digest().expect("the example is valid");
    assert_eq!(now.to_string(), digest, "records are written differently");
}
