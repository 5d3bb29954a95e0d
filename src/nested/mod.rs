//! One airtight within another: `airtight run` in a makefile whose build is itself audited.
//!
//! Linux allows a process one tracer, so the inner airtight can't trace its command. The outer one
//! sees that command anyway: it records the children of the inner one on their own as well
//! ([`tracer::Parts`]), and hands that recording over when they have ended. The inner one judges it
//! as its own, and may publish.
//!
//! They find each other without help: the inner one asks the kernel who traces it, and connects to
//! a socket whose name is made of that process's number. Both ask the kernel who is at the other
//! end. That the connection is made at all is seen by the tracer, at the time it is made.

mod inner;
mod message;
mod outer;
mod own;

pub(crate) use inner::Inner;
use outer::Outer;
pub(crate) use own::disown;

use crate::error::Error;
use airtight_recording::{ProcessId, Sink};
use airtight_tracer as tracer;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

/// Runs a command and puts what it did into `sink`: traced by ourselves, or, where this process is
/// itself traced by an airtight, by that one. Other airtights within the command have theirs
/// recorded by the same; their processes are given too, for [`disown`].
///
/// # Errors
/// When the command can't be started, or nobody can record it.
pub(crate) fn run(
    command: &tracer::Command,
    options: tracer::Options<'_>,
    sink: &mut dyn Sink,
) -> Result<(tracer::Outcome, Vec<ProcessId>), Error> {
    record(Inner::detect()?.as_ref(), command, options, sink)
}

/// The same for one who knows already whom it runs within.
///
/// # Errors
/// As [`run`].
pub(crate) fn record(
    inner: Option<&Inner>,
    command: &tracer::Command,
    options: tracer::Options<'_>,
    sink: &mut dyn Sink,
) -> Result<(tracer::Outcome, Vec<ProcessId>), Error> {
    if let Some(inner) = inner {
        return inner.run(command, &options, sink);
    }
    // Without one, an airtight within the command will say that it is traced already.
    let mut outer = Outer::start().ok();
    let parts = outer.as_mut().map(|outer| outer as &mut dyn tracer::Parts);
    let outcome = tracer::run(command, tracer::Options { parts, ..options }, sink)?;
    Ok((outcome, outer.map_or_else(Vec::new, |outer| outer.announced().to_vec())))
}

/// The two sockets of an outer airtight, by the process that it is. The names are abstract
/// (unix(7)): no file is touched, and they vanish with it.
struct Names {
    begin: String,
    end: String,
    /// What the names begin with that ask for a variable to be noted. There are no such sockets:
    /// that somebody tries to connect is seen.
    note: String,
}

impl Names {
    /// Those of a process of this pid namespace.
    fn of(pid: u32) -> io::Result<Names> {
        // Namespaces that share a network may have equal pids.
        let namespace = std::fs::read_link("/proc/self/ns/pid")?;
        let namespace: String =
            namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let name = |what: &str| format!("airtight/{namespace}/{pid}/{what}");
        Ok(Names { begin: name("begin"), end: name("end"), note: name("note/") })
    }

    /// What the tracer sees when somebody connects.
    fn signal(&self, name: &[u8]) -> Option<tracer::Signal> {
        match name.strip_prefix(b"@")? {
            name if name == self.begin.as_bytes() => Some(tracer::Signal::Begin),
            name if name == self.end.as_bytes() => Some(tracer::Signal::End),
            name => {
                let variable = name.strip_prefix(self.note.as_bytes())?;
                String::from_utf8(variable.to_vec()).ok().map(tracer::Signal::Note)
            }
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}
