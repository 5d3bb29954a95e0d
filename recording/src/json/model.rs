//! The JSON objects, field by field. The published schema is made from these.
//!
//! Bytes that are not UTF-8 come base64-encoded under the same name with `_b64` behind it.

use crate::{HostKind, Kind, Op, ReasonCode, Stamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Text, or none.
pub(super) type Text<'a> = Option<Cow<'a, str>>;

/// A recording: every access of one process tree.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Document<'a, A> {
    /// Version of this format. Comes first.
    pub(super) airtight_recording: u64,
    /// Version of the program that recorded.
    pub(super) tracer_version: Cow<'a, str>,
    /// Who observed: `ptrace`, `fanotify`, `fast`; with `+fanotify` behind it where fanotify was the
    /// witness.
    pub(super) backend: Cow<'a, str>,
    /// Host name and kernel release.
    pub(super) host: Cow<'a, str>,
    /// Kernel release, as `uname -r` gives it.
    pub(super) kernel: Cow<'a, str>,
    /// Start of the trace, in seconds since the epoch.
    pub(super) time: u64,
    /// The current directory of the root process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd_b64: Option<String>,
    /// The command as asked for.
    pub(super) command: Vec<Argument<'a>>,
    /// Whether something may have escaped. An incomplete recording is never cacheable.
    pub(super) state: State,
    /// Why the recording is incomplete; at least one then, none otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<Reason<'a>>,
    /// How the root process ended. For convenience: readers take it from `processes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<Exit>,
    /// All processes, in order of birth. The first is the root.
    pub(super) processes: Vec<Process<'a>>,
    /// Contacts with the host that are no file accesses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) contacts: Vec<Contact<'a>>,
    /// The state of inputs at first open and at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) stamps: Vec<InputStamp<'a>>,
    /// All accesses, sorted by `first`.
    #[cfg_attr(test, schemars(with = "Vec<Access<'a>>"))]
    pub(super) accesses: A,
}

/// Whether something may have escaped.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Nothing can have escaped.
    Complete,
    /// Something may have escaped.
    Incomplete,
}

/// One argument of a command: text, or an object with base64 where it is not UTF-8.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Argument<'a> {
    /// UTF-8.
    Text(Cow<'a, str>),
    /// Anything else.
    Bytes {
        /// The bytes, base64-encoded.
        b64: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum Exit {
    /// It exited with this code.
    Code(u8),
    /// A signal killed it.
    Signal(u8),
}

/// Why a recording can't be trusted to hold everything.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Reason<'a> {
    /// The kind of reason.
    pub(super) code: ReasonCode,
    /// What exactly.
    pub(super) detail: Cow<'a, str>,
    /// The `id` of the process concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<u32>,
}

/// One process. Threads belong to their process.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Process<'a> {
    /// Its number: its index in this list. Unlike a pid it is never reused.
    pub(super) id: u32,
    /// The `id` of the process that forked it; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<u32>,
    /// Its pid while it ran.
    pub(super) pid: u32,
    /// The program it ran last. For convenience, like `argv` and `cwd`: readers take them from
    /// `execs`, or from the parent's when that is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exe: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exe_b64: Option<String>,
    /// The arguments of that program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) argv: Vec<Argument<'a>>,
    /// The current directory when that program was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd_b64: Option<String>,
    /// Sequence number of its birth.
    pub(super) start: u64,
    /// Sequence number of its end; absent when the trace ended first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<u64>,
    /// How it ended; absent when the trace ended first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<Exit>,
    /// The programs it executed, in order; none when it was only forked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) execs: Vec<Exec<'a>>,
}

/// One program that a process became by execve.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Exec<'a> {
    /// Sequence number of the exec.
    pub(super) seq: u64,
    /// The file that runs; for a script, its interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exe: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exe_b64: Option<String>,
    /// Its arguments.
    pub(super) argv: Vec<Argument<'a>>,
    /// The current directory at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cwd_b64: Option<String>,
    /// Those variables of its environment that the tracer was asked to note, as `NAME=value`.
    /// Since format 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) env: Vec<Argument<'a>>,
}

/// A contact with the host.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Contact<'a> {
    /// What kind of contact.
    pub(super) kind: HostKind,
    /// The `id` of the process.
    pub(super) process: u32,
    /// The address, name or path concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail_b64: Option<String>,
    /// The errno when it failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) errno: u16,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Text<'a>,
    /// How many times.
    pub(super) count: u32,
    /// Sequence number of the first time.
    pub(super) first: u64,
}

/// The state of one input at its first open and at the end of the trace.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct InputStamp<'a> {
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path_b64: Option<String>,
    /// At first open.
    pub(super) before: Stamp,
    /// At the end; absent when the file was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Stamp>,
}

/// One fact about one path. Either `path` or `path_b64` is there.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Access<'a> {
    /// The canonical name: absolute and without links. For a name that does not exist, the
    /// first one on the way that was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path_b64: Option<String>,
    /// What the access means.
    pub(super) kind: Kind,
    /// On probes: whether the name was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exists: Option<bool>,
    /// How exactly it was made.
    pub(super) op: Op,
    /// The type of the file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<Object>,
    /// The errno when it failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) errno: u16,
    /// Its name, such as `ENOENT`. For convenience: readers take `errno`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Text<'a>,
    /// The `id` of the process.
    pub(super) process: u32,
    /// The system call, such as `openat` or `i386/open`; absent when the kernel did it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) syscall: Text<'a>,
    /// The flags of the call: `O_*` of open, `AT_*` of the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) flags: u32,
    /// The absolute name as the process asked for it, when it differs from `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requested: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requested_b64: Option<String>,
    /// A second name: the text of a link, the other end of a rename or hard link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target_b64: Option<String>,
    /// How many times the same process did the same with the same outcome.
    pub(super) count: u32,
    /// Sequence number, within the recording, of the first time.
    pub(super) first: u64,
    /// Sequence number of the last time, when that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<u64>,
}

/// The type of a file.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum Object {
    /// By name.
    Known(FileType),
    /// Other mode bits, as a number.
    Bits(u32),
}

/// The types of files that Linux knows.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// `S_IFMT` bits, see inode(7).
const FILE_TYPES: [(u32, FileType); 7] = [
    (0o100_000, FileType::File),
    (0o040_000, FileType::Dir),
    (0o120_000, FileType::Symlink),
    (0o010_000, FileType::Fifo),
    (0o140_000, FileType::Socket),
    (0o020_000, FileType::Char),
    (0o060_000, FileType::Block),
];

impl Object {
    pub(super) fn from_bits(bits: u32) -> Option<Object> {
        let known = FILE_TYPES.iter().find(|(known, _)| *known == bits);
        match known {
            Some(&(_, file_type)) => Some(Object::Known(file_type)),
            None if bits == 0 => None,
            None => Some(Object::Bits(bits)),
        }
    }

    pub(super) fn bits(self) -> u32 {
        match self {
            Object::Bits(bits) => bits,
            Object::Known(file_type) => {
                let known = FILE_TYPES.iter().find(|(_, known)| *known == file_type);
                known.map_or(0, |(bits, _)| *bits)
            }
        }
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes as the two fields `name` and `name_b64`.
pub(super) fn split(bytes: &[u8]) -> (Text<'_>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(Cow::Borrowed(text)), None),
        Err(_) => (None, Some(BASE64.encode(bytes))),
    }
}

/// The bytes behind the two fields; none when both are absent.
pub(super) fn join(text: Text<'_>, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.into_owned().into_bytes())),
        (None, Some(base64)) => match BASE64.decode(base64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(format!("wrong base64: {error}")),
        },
        (Some(_), Some(_)) => Err("both text and base64 are given, expected one".to_owned()),
    }
}

impl<'a> Argument<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Argument<'a> {
        match split(bytes) {
            (_, Some(b64)) => Argument::Bytes { b64 },
            (text, None) => Argument::Text(text.unwrap_or_default()),
        }
    }

    pub(super) fn list(list: &'a [Vec<u8>]) -> Vec<Argument<'a>> {
        list.iter().map(|bytes| Argument::new(bytes)).collect()
    }

    pub(super) fn into_bytes(self) -> Result<Vec<u8>, String> {
        let joined = match self {
            Argument::Text(text) => join(Some(text), None),
            Argument::Bytes { b64 } => join(None, Some(b64)),
        };
        joined.map(Option::unwrap_or_default)
    }
}
