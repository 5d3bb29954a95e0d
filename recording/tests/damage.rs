//! Files that were cut, changed, made up or made later never pass for whole recordings, and
//! never make the reader panic.

#[path = "common/example.rs"]
mod example;

use airtight_recording::binary::{Limits, MAGIC, Reader, VERSION, Writer};
use airtight_recording::{Digest, Event, ReadError, Recording, Sink, json};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io;

fn binary() -> (Vec<u8>, Digest) {
    let mut writer = Writer::new(Vec::new()).expect("memory can be written");
    example::compile().replay(&mut writer).expect("the recording is valid");
    writer.finish().expect("the recording has an end")
}

fn json() -> Vec<u8> {
    let mut out = Vec::new();
    json::write(&example::compile(), &mut out).expect("the recording is valid");
    out
}

/// The records of the example, uncompressed.
fn records() -> Vec<u8> {
    zstd::decode_all(&binary().0[MAGIC.len() + 1..]).expect("just compressed")
}

/// A file with these records, however wrong, and a right checksum.
fn file_of(records: &[u8]) -> Vec<u8> {
    let mut file = [&MAGIC[..], &[VERSION]].concat();
    file.extend(zstd::encode_all(records, 1).expect("memory can be written"));
    file
}

fn error(bytes: &[u8]) -> ReadError {
    Recording::read(bytes).map(drop).expect_err("such a file is refused")
}

#[test]
fn a_file_cut_off_anywhere_says_so() {
    let (whole, _) = binary();
    assert!(matches!(error(b""), ReadError::NotARecording));
    for length in 1..whole.len() {
        let error = error(&whole[..length]);
        assert!(matches!(error, ReadError::CutOff { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn records_without_their_end_are_cut_off() {
    let records = records();
    for length in 0..records.len() {
        let error = error(&file_of(&records[..length]));
        assert!(matches!(error, ReadError::CutOff { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn a_writer_that_was_killed_leaves_no_whole_file() {
    struct Shared<'a>(&'a std::cell::RefCell<Vec<u8>>);
    impl io::Write for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let file = std::cell::RefCell::default();
    let mut writer = Writer::new(Shared(&file)).unwrap();
    example::compile().replay(&mut writer).unwrap();
    // All events are put, the end too; only `finish` was not reached.
    drop(writer);
    let written = file.borrow().clone();
    assert!(matches!(error(&written), ReadError::CutOff { .. }));
}

#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let (whole, digest) = binary();
    let recording = example::compile();
    let mut harmless = 0;
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok((read, read_digest)) = Recording::read(&changed[..]) {
            assert_eq!((&read, read_digest), (&recording, digest), "bit {bit}");
            harmless += 1;
        }
    }
    // Some bits of a zstd header only say how much memory to reserve, some of its tables are about
    // symbols that don't occur.
    assert!(harmless <= 24, "{harmless} of {} bits", whole.len() * 8);
}

#[test]
fn what_follows_the_end_is_refused() {
    let mut twice = binary().0;
    twice.push(0);
    assert!(error(&twice).to_string().contains("bytes follow the end"));
    let mut records = records();
    records.extend([2, 2, b'x']);
    assert!(error(&file_of(&records)).to_string().contains("records follow the end"));
}

#[test]
fn a_missing_record_is_counted() {
    // Each record is its length (one byte here, if small), type and fields.
    let records = records();
    let mut at = 0;
    let mut accesses = 0;
    while at < records.len() {
        let size = usize::from(records[at]) + 1;
        assert!(records[at] < 128, "records of the example are short");
        if records[at + 1] == 7 {
            accesses += 1;
            let without = [&records[..at], &records[at + size..]].concat();
            let error = error(&file_of(&without)).to_string();
            assert!(error.contains("15 Access records in all, found 14"), "{error}");
        }
        at += size;
    }
    assert_eq!(accesses, 15);
}

#[test]
fn a_later_format_is_named() {
    let mut binary = binary().0;
    binary[MAGIC.len()] = 7;
    let expected = "written by a newer airtight (format 7, this one reads up to 2)";
    assert!(error(&binary).to_string().starts_with(expected));
    for later in [
        "{\"airtight_recording\": 7, \"accesses\": [], \"novelty\": 1}",
        " {\n \"airtight_recording\" : 7 ,\n \"novelty\": {}}",
    ] {
        assert!(error(later.as_bytes()).to_string().starts_with(expected));
    }
}

#[test]
fn other_files_are_named_as_such() {
    for other in [&b"hello"[..], b"\x7fELF", b"\x89PNG\r\n", &[0; 100]] {
        assert!(matches!(error(other), ReadError::NotARecording), "{other:?}");
    }
}

#[test]
fn a_bomb_stays_within_the_limit() {
    // A path record of 16 MiB, many times.
    let mut record = vec![0x80, 0x80, 0x80, 0x08, 2];
    record.resize((16 << 20) + 4, b'a');
    let header = &records()[..usize::from(records()[0]) + 1];
    let mut encoder = zstd::Encoder::new([&MAGIC[..], &[VERSION]].concat(), 1).unwrap();
    io::Write::write_all(&mut encoder, header).unwrap();
    for _ in 0..5 {
        io::Write::write_all(&mut encoder, &record).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let error = Recording::read_with(&bomb[..], Limits { bytes: 40 << 20 }).map(drop);
    // The second path is the same as the first: in memory that is an error sooner.
    assert!(matches!(error, Err(ReadError::Sink(_))), "{error:?}");
    let mut reader = Reader::with_limits(&bomb[..], Limits { bytes: 40 << 20 }).unwrap();
    let error = loop {
        match reader.next_event() {
            Ok(event) => assert!(!matches!(event, None | Some(Event::End(_)))),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::TooLarge { record: 3, .. }), "{error}");
    assert!(reader.next_event().is_err(), "no event after an error");
    let error = Recording::read_with(&json()[..], Limits { bytes: 100 }).map(drop);
    assert!(matches!(error, Err(ReadError::TooLarge { .. })), "{error:?}");
}

#[test]
fn a_window_that_needs_much_memory_is_refused() {
    let mut encoder = zstd::Encoder::new([&MAGIC[..], &[VERSION]].concat(), 1).unwrap();
    encoder.window_log(27).unwrap();
    io::Write::write_all(&mut encoder, &records()).unwrap();
    let file = encoder.finish().unwrap();
    assert!(matches!(error(&file), ReadError::Damaged { .. }));
}

#[test]
fn json_cut_off_anywhere_is_refused() {
    let whole = json();
    for length in 0..whole.len() - 1 {
        error(&whole[..length]);
    }
    // Only the last line break may be missing.
    assert!(Recording::read(&whole[..whole.len() - 1]).is_ok());
    let error = error(&whole[..whole.len() / 2]).to_string();
    assert!(error.starts_with("damaged at line "), "{error}");
}

#[test]
fn json_errors_name_the_place() {
    let text = String::from_utf8(json()).expect("JSON is UTF-8");
    for (from, to, expected) in [
        ("\"kind\": \"exec\"", "\"kind\": \"exce\"", "unknown variant `exce`"),
        ("\"exists\": false", "\"exists\": true", "`exists` contradicts `errno`"),
        ("\"time\"", "\"tiem\"", "unknown field `tiem`"),
        ("\"state\": \"incomplete\"", "\"state\": \"complete\"", "reasons: expected none"),
        ("{\"id\": 1,", "{\"id\": 5,", "processes[1]: expected id 1, found 5"),
        ("\"process\": 3", "\"process\": 33", "process not defined"),
        ("\"path_b64\": \"", "\"path_b64\": \"!", "wrong base64"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = error(text.replacen(from, to, 1).as_bytes()).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("damaged at "), "{error}");
    }
}

#[test]
fn a_full_disk_is_not_forgotten() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut recording = example::compile();
    for i in 0..300_000u32 {
        let name = i.wrapping_mul(2_654_435_761).to_le_bytes();
        recording.paths.intern(&[b"/", &name[..]].concat());
    }
    let mut writer = Writer::new(Full(100_000)).unwrap();
    let error = recording.replay(&mut writer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(writer.put(&Event::End(recording.end.as_ref().unwrap())).is_err());
    assert!(writer.finish().is_err());
    assert!(Writer::new(Full(3)).is_err());
}

#[test]
fn a_writer_refuses_what_no_reader_takes() {
    let recording = example::compile();
    let mut writer = Writer::new(Vec::new()).unwrap();
    let access = recording.accesses[0];
    assert!(writer.put(&Event::Access(&access)).is_err(), "no header yet");
    writer.put(&Event::Header(&recording.header)).unwrap();
    assert!(writer.put(&Event::Header(&recording.header)).is_err(), "a second header");
    assert!(writer.put(&Event::Access(&access)).is_err(), "ids not defined");
    assert!(writer.finish().is_err(), "no end");
}

proptest! {
    #[test]
    fn any_records_are_read_without_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut records = records();
        for (at, byte) in changes {
            let at = at.index(records.len());
            records[at] = byte;
        }
        let _ = Recording::read(&file_of(&records)[..]);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Recording::read(&file_of(&bytes)[..]).is_err());
        prop_assert!(Recording::read(&[&MAGIC[..], &[VERSION], &bytes].concat()[..]).is_err());
    }

    #[test]
    fn any_json_is_read_without_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = json();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let _ = Recording::read(&text[..]);
    }
}
