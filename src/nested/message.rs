//! What an outer airtight answers to one that has connected: one line of JSON, which the
//! recording follows where there is one. The inner one says nothing: that it has connected, and to
//! which socket, is all there is to say.

use airtight_recording::ProcessId;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read};

/// The version of the protocol. It grows when an airtight of the old one would misunderstand.
const PROTOCOL: u32 = 1;

/// The longest line in bytes.
const MAX_LINE: u64 = 64 << 10;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// The children of the caller are recorded on their own from now on.
    Begun {
        /// The variables that are noted of each program.
        marks: Vec<String>,
    },
    /// A recording in the binary format follows, of this many bytes.
    Recording {
        /// How long it is.
        length: u64,
        /// The processes in it that are airtights themselves, or said so.
        airtights: Vec<ProcessId>,
    },
    /// There is nothing for the caller, for this reason.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    protocol: u32,
    answer: Answer,
}

/// What of a line of any protocol can be read.
#[derive(Deserialize)]
struct Envelope {
    protocol: u32,
}

/// The line of an answer, with its end.
pub(super) fn line(answer: Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Line { protocol: PROTOCOL, answer }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads an answer.
///
/// # Errors
/// When it does not come, is cut off, too long, or of another protocol.
pub(super) fn read(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = Vec::new();
    from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        let what = if line.len() as u64 >= MAX_LINE - 1 { "too long" } else { "cut off" };
        return Err(io::Error::other(format!("its answer is {what}")));
    }
    parse(&line).map_err(io::Error::other)
}

fn parse(line: &[u8]) -> Result<Answer, String> {
    // Serde takes a list for a struct, its fields in order.
    if line.first() != Some(&b'{') {
        return Err("its answer is no object".to_owned());
    }
    let bad = |error: serde_json::Error| format!("its answer can't be understood: {error}");
    let Envelope { protocol } = serde_json::from_slice(line).map_err(bad)?;
    if protocol != PROTOCOL {
        return Err(format!("it speaks protocol {protocol}, this airtight {PROTOCOL}"));
    }
    serde_json::from_slice(line).map(|Line { answer, .. }| answer).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            proptest::collection::vec(any::<String>(), 0..4)
                .prop_map(|marks| Answer::Begun { marks }),
            (any::<u64>(), proptest::collection::vec(any::<u32>(), 0..4)).prop_map(
                |(length, ids)| Answer::Recording {
                    length,
                    airtights: ids.into_iter().map(ProcessId).collect(),
                }
            ),
            any::<String>().prop_map(|reason| Answer::Refused { reason }),
        ]
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, what) in [
            ("", "its answer is cut off"),
            (r#"{"protocol":1,"#, "its answer is cut off"),
            ("[1,{}]\n", "its answer is no object"),
            ("\n", "its answer is no object"),
            (r#"{"protocol":2,"answer":{"novelty":[]}}"#, "it speaks protocol 2, this airtight 1"),
            (r#"{"protocol":1}"#, "its answer can't be understood: missing field `answer`"),
            (
                r#"{"protocol":1,"answer":{"recording":{"length":-1,"airtights":[]}}}"#,
                "its answer can't be understood: invalid value: integer `-1`, expected u64",
            ),
        ] {
            let cut = what.ends_with("cut off");
            let line =
                if cut || line.ends_with('\n') { line.to_owned() } else { format!("{line}\n") };
            let error = read(&mut line.as_bytes()).expect_err(&line).to_string();
            assert!(error.starts_with(what), "{line}: {error}");
        }
        let long = vec![b' '; 1 << 20];
        let error = read(&mut &long[..]).expect_err("no end").to_string();
        assert_eq!(error, "its answer is too long");
    }

    proptest! {
        #[test]
        fn answers_come_back(answer in answers(), rest in any::<Vec<u8>>()) {
            let mut bytes = line(answer.clone());
            bytes.extend_from_slice(&rest);
            let mut bytes = &bytes[..];
            prop_assert_eq!(read(&mut bytes).unwrap(), answer);
            prop_assert_eq!(bytes, &rest[..], "what follows is left");
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(
            at in 0_usize..60,
            bytes in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let mut line = line(Answer::Recording { length: 12345, airtights: vec![ProcessId(3)] });
            line.splice(at.min(line.len())..line.len().min(at + bytes.len()), bytes);
            let _ = read(&mut &line[..]);
        }
    }
}
