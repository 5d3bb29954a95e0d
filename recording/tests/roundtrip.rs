//! What is written comes back, in both formats.

mod common;

use airtight_recording::binary::Writer;
use airtight_recording::{BinarySource, Digest, Recording, json};
use proptest::prelude::*;
use std::io::Cursor;

fn to_binary(recording: &Recording) -> (Vec<u8>, Digest) {
    let mut writer = Writer::new(Vec::new()).expect("memory can be written");
    recording.replay(&mut writer).expect("the recording is valid");
    writer.finish().expect("the recording has an end")
}

fn to_json(recording: &Recording) -> Vec<u8> {
    let mut out = Vec::new();
    json::write(recording, &mut out).expect("the recording is valid");
    out
}

proptest! {
    #[test]
    fn binary_comes_back(recording in common::any_recording()) {
        let (bytes, written) = to_binary(&recording);
        let (back, read) = Recording::read(&bytes[..]).unwrap();
        prop_assert_eq!(&back, &recording);
        prop_assert_eq!(back.accesses, recording.accesses.clone(), "order is kept");
        prop_assert_eq!(read, written);
        prop_assert_eq!(recording.digest().unwrap(), written);
    }

    #[test]
    fn json_comes_back(recording in common::any_recording()) {
        let text = to_json(&recording);
        let (back, digest) = Recording::read(&text[..]).unwrap();
        prop_assert_eq!(&back, &recording);
        prop_assert_eq!(back.digest().unwrap(), digest);
        prop_assert!(back.accesses.is_sorted_by_key(|access| access.first));
        prop_assert_eq!(to_json(&back), text, "JSON written again is the same");
    }

    #[test]
    fn json_is_the_same_from_a_binary_file(recording in common::any_recording()) {
        let (bytes, _) = to_binary(&recording);
        let mut out = Vec::new();
        json::write(BinarySource::new(Cursor::new(bytes)), &mut out).unwrap();
        prop_assert_eq!(out, to_json(&recording));
    }
}
