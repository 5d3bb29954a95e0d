//! The stream a tracer produces: what a recording is made of.

use crate::{Access, Exit, Image, PathId, ProcessId, Stamp};
use serde::{Deserialize, Serialize};
use std::io;

/// What is known before the first event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the program that recorded.
    pub tracer_version: String,
    /// `ptrace`, `fanotify`, `fast`; with `+fanotify` behind it where fanotify was the witness.
    pub backend: String,
    /// Host name and kernel release, for people.
    pub host: String,
    /// `uname -r`.
    pub kernel: String,
    /// Start of the trace, seconds since the epoch.
    pub time: u64,
    /// The current directory of the root process, canonical.
    #[serde(skip)]
    pub cwd: Vec<u8>,
    /// The command as asked for.
    #[serde(skip)]
    pub command: Vec<Vec<u8>>,
}

impl Header {
    /// Whether the kernel's own view was held against what the tracer saw. Where they disagree the
    /// recording is incomplete.
    pub fn is_witnessed(&self) -> bool {
        self.backend.split_once('+').is_some_and(|(_, witness)| witness == "fanotify")
    }

    /// Says whether there was a witness.
    pub fn set_witnessed(&mut self, witnessed: bool) {
        let tracer = self.backend.split('+').next().unwrap_or_default();
        self.backend = format!("{tracer}{}", if witnessed { "+fanotify" } else { "" });
    }
}

/// A contact with the host that is no file access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HostKind {
    /// connect, sendto or bind on an internet socket; the detail is `address:port`.
    Network,
    /// connect or sendto on a unix socket whose server is outside the tree; the detail is its
    /// name (`@` before an abstract one).
    UnixSocket,
    /// A process outlived the root process and the grace time; the detail is its name.
    SurvivingProcess,
    /// getrandom was called.
    Random,
    /// io_uring_setup was answered ENOSYS.
    IoUringRefused,
    /// Another call was answered ENOSYS or EPERM by the tracer; the detail is its name.
    CallRefused,
    /// A set-uid or set-gid program ran without its privilege; the detail is its path.
    PrivilegeLost,
    /// A program asked to be traced or to trace; it was refused.
    PtraceRefused,
    /// A reaction `deny`, `hide` or `kill` was carried out; the detail is the path.
    Enforced,
}

/// A contact with the host, counted like an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNote {
    /// Who.
    pub process: ProcessId,
    /// What kind of contact.
    pub kind: HostKind,
    /// More about it, see [`HostKind`].
    pub detail: Vec<u8>,
    /// 0 when it succeeded, else the errno.
    pub errno: u16,
    /// How many times.
    pub count: u32,
    /// Sequence number of the first time.
    pub first: u64,
}

/// Why a recording can't be trusted to hold everything.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// A syscall number that the table does not know.
    UnknownSyscall,
    /// A call from an ABI that the table does not know.
    UnknownAbi,
    /// A path string changed while the call ran.
    PathChanged,
    /// A path or descriptor could not be read or resolved.
    PathUnreadable,
    /// The memory of a process could not be read.
    MemoryUnreadable,
    /// A process could not be traced.
    Untraceable,
    /// A process outlived the trace.
    SurvivingProcess,
    /// The tracer lost an event, or saw one it did not expect.
    LostEvent,
    /// The time limit ended the action.
    TimedOut,
    /// io_uring was allowed: a witness sees the files that it opens and changes, and nobody sees
    /// its look-ups and its sockets.
    IoUring,
    /// The recording could not be written in full.
    WriteFailed,
    /// The tracer was interrupted.
    Interrupted,
    /// The backend can't see everything by its nature; the detail says what.
    BackendLimits,
    /// Another cause, in the detail.
    Other,
    /// The kernel's own view, asked beside the tracer, holds what the tracer did not see.
    WitnessDisagrees,
}

/// One reason, with the process where there is one.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Reason {
    /// The kind of reason.
    pub code: ReasonCode,
    /// What exactly, for people: lower-case fragment.
    pub detail: String,
    /// The process concerned.
    pub process: Option<ProcessId>,
}

/// How the recording ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Completeness {
    /// Nothing can have escaped.
    Complete,
    /// Something may have escaped; never cacheable.
    Incomplete {
        /// Why; never empty.
        reasons: Vec<Reason>,
    },
}

impl Completeness {
    /// Whether nothing can have escaped.
    pub fn is_complete(&self) -> bool {
        matches!(self, Completeness::Complete)
    }
}

/// One item of the stream. Ids are defined before they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Once, first.
    Header(&'a Header),
    /// Defines the next path number (they come in order, from 1).
    Path(PathId, &'a [u8]),
    /// Defines the next syscall index (in order, from 1). `openat`, or `i386/open` for an ABI
    /// other than the machine's own.
    Syscall(u16, &'a str),
    /// A process was born.
    Process {
        /// Its number.
        id: ProcessId,
        /// Its parent.
        parent: Option<ProcessId>,
        /// Its pid.
        pid: u32,
        /// Sequence number.
        seq: u64,
    },
    /// A process executed a program.
    Image(ProcessId, &'a Image),
    /// A process ended.
    Exit(ProcessId, u64, Exit),
    /// One access. Accesses come grouped as the tracer gives them up, not sorted: order is in
    /// their sequence numbers.
    Access(&'a Access),
    /// A contact with the host.
    Host(&'a HostNote),
    /// The stamp of an input at its first open, and at the end of the trace (none: gone).
    Stamp {
        /// Which file.
        path: PathId,
        /// At first open.
        before: Stamp,
        /// At the end.
        after: Option<Stamp>,
    },
    /// Once, last. A stream without it was cut off.
    End(&'a Completeness),
}

/// Where events go: a file, memory, or several of them.
pub trait Sink {
    /// Takes one event.
    ///
    /// # Errors
    /// When it can't be stored; the tracer then ends the recording as incomplete.
    fn put(&mut self, event: &Event<'_>) -> io::Result<()>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        (**self).put(event)
    }
}

/// Both get every event.
impl<A: Sink, B: Sink> Sink for (A, B) {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.0.put(event)?;
        self.1.put(event)
    }
}
