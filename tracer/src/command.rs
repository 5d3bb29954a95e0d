//! The public face: what to run, how, and what came of it.

use crate::{Also, Asked, Guard, MakeGuard, Parts};
use airtight_recording::{Completeness, Exit, Sink};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A command to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments; the program is searched in PATH if it has no slash.
    pub argv: Vec<OsString>,
    /// The whole environment, or none to pass on the caller's own.
    pub env: Option<Vec<(OsString, OsString)>>,
    /// The current directory, or none for the caller's own.
    pub cwd: Option<PathBuf>,
    /// Standard input, output and error; none for the caller's own.
    pub stdio: [Option<Arc<OwnedFd>>; 3],
}

/// Who observes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The best that works here (now: ptrace).
    #[default]
    Auto,
    /// ptrace with a seccomp filter.
    Ptrace,
    /// The kernel's own events of files (fanotify(7)) and processes. Needs CAP_SYS_ADMIN. Nobody is
    /// traced; what it can't see is a reason that the recording is incomplete.
    Fanotify,
}

/// Who is asked beside the tracer whether it has seen everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Witness {
    /// Nobody.
    #[default]
    Off,
    /// fanotify where it may be used here, else nobody ([`Outcome::unwitnessed`]).
    Auto,
    /// fanotify; the command is not run where it can't be used.
    Fanotify,
}

/// How to trace.
pub struct Options<'a> {
    /// Who observes.
    pub backend: Backend,
    /// Who is asked beside it. What it saw and the recording has not makes that incomplete.
    pub witness: Witness,
    /// Kill the tree after this time.
    pub timeout: Option<Duration>,
    /// How long processes may outlive the root process before they are reported and killed.
    pub grace: Duration,
    /// Names (of the executable file) that may outlive the root; they are left running,
    /// unrecorded, and the recording is incomplete.
    pub survivors: Vec<String>,
    /// Let io_uring_setup pass; the recording is then incomplete. The fanotify backend sees what is
    /// done by it, and refuses nothing.
    pub allow_io_uring: bool,
    /// Names of environment variables whose values are noted of each program that is executed
    /// ([`airtight_recording::Image::env`]). No other variable is ever kept.
    pub marks: Vec<String>,
    /// Who gives out recordings of parts of the tree while it runs.
    pub parts: Option<&'a mut dyn Parts>,
    /// Processes outside of the tree that work for it. By the fanotify backend alone.
    pub also: Also,
    /// Asked before every call that names a path.
    pub guard: Option<Box<dyn Guard + 'a>>,
    /// Asked by the kernel before every open, whatever call it is made by; on a thread of its own.
    /// The command then runs in a mount namespace of its own. Needs CAP_SYS_ADMIN, see
    /// [`guard_ability`](crate::guard_ability).
    pub kernel_guard: Option<&'a dyn MakeGuard>,
    /// How long `kernel_guard` may take for one answer. Then the open is denied, and the recording
    /// is incomplete.
    pub guard_limit: Duration,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            backend: Backend::Auto,
            witness: Witness::Off,
            timeout: None,
            grace: Duration::from_secs(2),
            survivors: Vec::new(),
            allow_io_uring: false,
            marks: Vec::new(),
            parts: None,
            also: Also::default(),
            guard: None,
            kernel_guard: None,
            guard_limit: Duration::from_secs(2),
        }
    }
}

/// What came of a traced command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How the root process ended.
    pub exit: Exit,
    /// Whether everything was seen; the same as the recording's end.
    pub completeness: Completeness,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// Why there was no witness, where [`Witness::Auto`] asked for one.
    pub unwitnessed: Option<String>,
    /// The file systems that the witness did not see: where they are, of what type, and why.
    pub unwatched: Vec<String>,
    /// How often [`Options::kernel_guard`] was asked, if there was one.
    pub asked: Option<Asked>,
}

/// Why a command could not be run under the tracer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program does not exist (exit code 127).
    #[error("{program}: command not found")]
    NotFound {
        /// The program as asked for.
        program: String,
    },
    /// The program exists and can't be executed (exit code 126).
    #[error("{program}: {source}")]
    NotExecutable {
        /// The program as asked for.
        program: String,
        /// What execve said.
        source: io::Error,
    },
    /// The kernel or the container forbids tracing (exit code 125).
    #[error("this system does not let processes be traced: {what}\n  remedy: {remedy}")]
    Forbidden {
        /// What was refused, with the reason.
        what: String,
        /// What a person can do about it.
        remedy: String,
    },
    /// The witness that was asked for can't be had (exit code 125).
    #[error("fanotify can't be the witness here: {what}\n  remedy: {remedy}")]
    NoWitness {
        /// What was refused, with the reason.
        what: String,
        /// What a person can do about it.
        remedy: String,
    },
    /// A system call of the tracer itself failed (exit code 125).
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Tries everything that [`run`] does before the command itself, so that a refusal is known before
/// anything is changed for its sake. Costs one fork, or none.
///
/// # Errors
/// As [`run`]: the program is missing or can't be executed, or tracing is forbidden here.
pub fn check(command: &Command, backend: Backend) -> Result<(), Error> {
    match backend {
        Backend::Auto | Backend::Ptrace => crate::ptrace::check(command),
        Backend::Fanotify => crate::kernel::recorder::check(command),
    }
}

/// Runs a command to its end and puts what it did into `sink`.
///
/// # Errors
/// When the command could not be started under the tracer. Nothing has run untraced then.
pub fn run(command: &Command, options: Options<'_>, sink: &mut dyn Sink) -> Result<Outcome, Error> {
    match options.backend {
        Backend::Fanotify => crate::kernel::recorder::run(command, &options, sink),
        Backend::Auto | Backend::Ptrace if options.also != Also::default() => Err(Error::System {
            what: "recording other processes than the command's, by the ptrace backend".into(),
            source: io::ErrorKind::Unsupported.into(),
        }),
        Backend::Auto | Backend::Ptrace => crate::ptrace::run(command, options, sink),
    }
}
