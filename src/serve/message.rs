//! What clients send. docs/serve.md says the same for those who write them.

use airtight_policy::Spec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of the protocol. It grows when a client of the old one would misunderstand.
pub(super) const PROTOCOL: u32 = 1;

/// The longest request in bytes: 16 MiB.
pub(super) const MAX_MESSAGE: usize = 16 << 20;

/// What a client calls one of its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "an id is a text or a number from 0 on")]
pub(super) enum Id {
    Number(u64),
    Text(String),
}

/// One line from a client, with one request in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    id: Id,
    hello: Option<Hello>,
    lookup: Option<Box<Lookup>>,
    restore: Option<Restore>,
    begin: Option<Box<Begin>>,
    end: Option<End>,
    abort: Option<Abort>,
    stats: Option<Nothing>,
    flush: Option<Nothing>,
    shutdown: Option<Nothing>,
}

/// What of a broken message may still be read.
#[derive(Debug, Default, Deserialize)]
struct Envelope {
    id: Option<Id>,
}

/// What a client wants.
#[derive(Debug)]
pub(super) enum Request {
    Hello(Hello),
    Lookup(Box<Lookup>),
    Restore(Restore),
    Begin(Box<Begin>),
    End(End),
    Abort(Abort),
    Stats,
    Flush,
    Shutdown,
}

/// A request without anything to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The first request, for clients that care.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    /// The version that the client speaks.
    pub(super) protocol: u32,
}

/// Where an action comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Caller {
    /// The root of the workspace, absolute.
    pub(super) workspace: PathBuf,
    /// The environment of the client: what the action inherits comes from here.
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    /// The umask of the client; that of the daemon if left out.
    pub(super) umask: Option<u32>,
    /// The build system that the action comes from, if it is one that has words of its own.
    pub(super) build_system: Option<BuildSystem>,
}

/// A build system whose users are told what to do in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum BuildSystem {
    Scons,
}

/// Look for a result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lookup {
    pub(super) action: Spec,
    pub(super) caller: Caller,
    /// Write the outputs.
    #[serde(default = "yes")]
    pub(super) restore: bool,
    /// Keep what was found, for a later `restore`.
    #[serde(default)]
    pub(super) hold: bool,
}

/// Write the outputs of a result that was found and kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    pub(super) token: String,
}

/// Look for a result, and prepare a run if there is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    pub(super) action: Spec,
    pub(super) caller: Caller,
    /// Run the action even if its result is known.
    #[serde(default)]
    pub(super) refresh: bool,
    /// The client has looked for it: run it, and count no miss.
    #[serde(default)]
    pub(super) searched: bool,
    /// Leave the cache alone: the run is only judged.
    #[serde(default = "yes")]
    pub(super) cache: bool,
    /// Delete nothing: the client has removed what it wants removed.
    #[serde(default)]
    pub(super) keep: bool,
}

/// Judge a run and publish its result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) token: String,
    /// Where the recording is, if not where the answer to `begin` said.
    pub(super) recording: Option<PathBuf>,
    /// The recordings of an action that is several commands, in order, in place of that one.
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    /// Why the result must not be published, though the recording may be clean.
    #[serde(default)]
    pub(super) limits: Vec<String>,
    /// How `airtight trace` ended: a code, or a signal as a negative number.
    pub(super) exit: i32,
    /// What the action wrote to standard output; left out if that is not known.
    pub(super) stdout: Option<Stream>,
    /// And to standard error.
    pub(super) stderr: Option<Stream>,
    /// The client has killed the action because it took too long.
    #[serde(default)]
    pub(super) timed_out: bool,
    /// Answer when the result is published, and not when the run is judged.
    #[serde(default = "yes")]
    pub(super) wait: bool,
    /// How long the action took; by the clock of the daemon if left out.
    pub(super) duration_ms: Option<u64>,
}

/// One command of an action.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) recording: PathBuf,
    /// Its command line, as the recording must have it.
    pub(super) argv: Vec<String>,
}

/// Forget a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Abort {
    pub(super) token: String,
}

/// Bytes of a standard stream: UTF-8, anything as base64, or a file that holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stream {
    Text(String),
    Base64(String),
    File(PathBuf),
}

fn yes() -> bool {
    true
}

impl Stream {
    pub(super) fn of(bytes: &[u8]) -> Stream {
        match std::str::from_utf8(bytes) {
            Ok(text) => Stream::Text(text.to_owned()),
            Err(_) => Stream::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes in base64.
    pub(super) fn decode(text: &str) -> Result<Vec<u8>, Failure> {
        STANDARD.decode(text).map_err(|error| Failure::new(Code::BadMessage, error.to_string()))
    }
}

/// Reads one line. The id comes back with the failure where it can still be read.
pub(super) fn parse(line: &[u8]) -> Result<(Id, Request), (Option<Id>, Failure)> {
    // Serde takes a list for a struct, its fields in order.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err((None, Failure::new(Code::BadMessage, "expected an object")));
    }
    let message: Message = serde_json::from_slice(line).map_err(|error| {
        let envelope: Envelope = serde_json::from_slice(line).unwrap_or_default();
        let failure = Failure {
            code: Code::BadMessage,
            message: error.to_string(),
            column: Some(error.column()),
            hints: Vec::new(),
        };
        (envelope.id, failure)
    })?;
    let Message { id, hello, lookup, restore, begin, end, abort, stats, flush, shutdown } = message;
    let mut requests = [
        hello.map(Request::Hello),
        lookup.map(Request::Lookup),
        restore.map(Request::Restore),
        begin.map(Request::Begin),
        end.map(Request::End),
        abort.map(Request::Abort),
        stats.map(|_| Request::Stats),
        flush.map(|_| Request::Flush),
        shutdown.map(|_| Request::Shutdown),
    ]
    .into_iter()
    .flatten();
    match (requests.next(), requests.next()) {
        (Some(request), None) => Ok((id, request)),
        (None, _) => Err((Some(id), Failure::new(Code::BadMessage, "no request in it"))),
        _ => Err((Some(id), Failure::new(Code::BadMessage, "more than one request in it"))),
    }
}

/// What kind of failure. The names are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Code {
    /// No JSON, or no request of this protocol.
    BadMessage,
    /// Longer than 16 MiB.
    TooLong,
    /// A version of the protocol that is not spoken here.
    Protocol,
    /// The action can't be what it says.
    BadAction,
    /// No such token on this connection.
    UnknownToken,
    /// Too many tokens on this connection.
    TooManyTokens,
    /// The recording can't be read.
    NoRecording,
    /// The recording is not one of this run.
    ForeignRecording,
    /// A file of the action can't be used.
    File,
}

/// Why a request was not carried out.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
    /// Where in the line, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hints: Vec<String>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), column: None, hints: Vec::new() }
    }

    /// An error of the command's own.
    pub(super) fn of(code: Code, error: &crate::error::Error) -> Failure {
        Failure { code, message: error.to_string(), column: None, hints: error.hints() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> (Option<Id>, String) {
        let (id, failure) = parse(line.as_bytes()).expect_err(line);
        assert_eq!(failure.code, Code::BadMessage, "{line}");
        (id, failure.message)
    }

    #[test]
    fn one_request_with_an_id() {
        for (line, id) in [
            (r#"{"id":7,"stats":{}}"#, Id::Number(7)),
            (r#"{"flush":{},"id":"seven"}"#, Id::Text("seven".into())),
            (r#"{"id":0,"hello":{"protocol":1},"stats":null}"#, Id::Number(0)),
        ] {
            assert_eq!(parse(line.as_bytes()).expect(line).0, id);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_the_id_where_there_is_one() {
        let seven = Some(Id::Number(7));
        for (line, id, what) in [
            ("", None, "expected an object"),
            ("nonsense", None, "expected an object"),
            ("[7]", None, "expected an object"),
            (r#"{"id":7,"stats":{}"#, None, "EOF while parsing an object at line 1 column 18"),
            (r#"{"stats":{}}"#, None, "missing field `id` at line 1 column 12"),
            (r#"{"id":7}"#, seven.clone(), "no request in it"),
            (r#"{"id":7,"stats":{},"flush":{}}"#, seven.clone(), "more than one request in it"),
            (
                r#"{"id":7,"hello":{"protocol":"x"}}"#,
                seven.clone(),
                "invalid type: string \"x\", expected u32 at line 1 column 31",
            ),
            (
                r#"{"id":-1,"stats":{}}"#,
                None,
                "an id is a text or a number from 0 on at line 1 column 8",
            ),
        ] {
            assert_eq!(failure(line), (id, what.to_owned()), "{line}");
        }
        let (id, unknown) = failure(r#"{"id":7,"look":{}}"#);
        assert_eq!(id, seven);
        assert!(unknown.starts_with("unknown field `look`, expected one of"), "{unknown}");
        let deep = format!(r#"{{"id":7,"lookup":{}"#, "[".repeat(100_000));
        let (_, what) = failure(&deep);
        assert!(what.contains("column"), "{what}");
    }

    #[test]
    fn the_page_names_every_request_and_member() {
        let page = include_str!("../../docs/serve.md");
        let expected = |line: &str| -> Vec<String> {
            let (_, what) = failure(line);
            let (_, names) = what.split_once("expected ").expect("a list of names");
            names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let requests = expected(r#"{"?":0}"#);
        assert_eq!(requests.len(), 10, "{requests:?}");
        let bodies = ["hello", "lookup", "restore", "begin", "end", "abort"];
        let members = bodies.map(|name| expected(&format!(r#"{{"id":0,"{name}":{{"?":0}}}}"#)));
        let caller = expected(r#"{"id":0,"lookup":{"caller":{"?":0}}}"#);
        let step = expected(r#"{"id":0,"end":{"steps":[{"?":0}]}}"#);
        let members = members.iter().flatten().chain(&caller).chain(&step);
        for name in requests.iter().chain(members) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn streams_are_text_where_they_can_be() {
        assert_eq!(Stream::of("ä\n".as_bytes()), Stream::Text("ä\n".into()));
        assert_eq!(Stream::of(b"\xff"), Stream::Base64("/w==".into()));
        assert_eq!(Stream::decode("/w==").map_err(|failure| failure.message), Ok(vec![0xff]));
        assert!(Stream::decode("?").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_a_failure(
            at in 0_usize..100,
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..8),
        ) {
            let mut line = br#"{"id":1,"lookup":{"action":{"argv":["a"],"outputs":["b"]},"caller":{"workspace":"/"},"restore":true}}"#.to_vec();
            assert!(parse(&line).is_ok());
            line.splice(at..line.len().min(at + bytes.len()), bytes);
            if let Err((_, failure)) = parse(&line) {
                assert_eq!(failure.code, Code::BadMessage);
            }
        }
    }
}
