//! Recordings of parts of the tree, for processes of the tree that ask for them while it runs.

use airtight_recording::{ProcessId, Recording};

/// What a process says by connecting to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// This variable is to be noted of each program of the parts that it begins from now on, as
    /// those of [`crate::Options::marks`] are. The socket need not be there.
    Note(String),
    /// Its children that are born from now on, and theirs, are to be recorded on their own too.
    Begin,
    /// That recording is to be given out as it is now.
    End,
}

/// Takes the recordings of parts, and hands them to those who asked.
///
/// A process of the tree asks by connecting to an abstract unix socket that this has bound: the
/// tracer stops it there before the call is made, so whatever happened before is in the recording,
/// and nothing that happens after. Nobody but a traced process can ask, and it gets nothing but
/// what its own children did. The connection itself is no contact with the outside and is recorded
/// nowhere.
///
/// Called in the tracer's own thread while everything waits: must be quick.
pub trait Parts {
    /// What it means to connect to the abstract socket `name`, which begins with `@` for its NUL.
    fn signal(&self, name: &[u8]) -> Option<Signal>;

    /// The process with this number in the whole recording, and this pid, has begun a part, in which
    /// these variables are noted.
    fn begun(&mut self, process: ProcessId, pid: u32, marks: &[String]);

    /// The process with this pid has ended a part.
    fn ended(&mut self, pid: u32, part: Part);

    /// The process with this pid is gone.
    fn gone(&mut self, pid: u32);
}

/// What was recorded of a part.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The recording. It has an end: incomplete when something may have escaped from this part or
    /// from the whole tree, or when a process of the part lives on. Its header is that of the whole.
    pub recording: Recording,
    /// The processes in it that have themselves begun a part.
    pub begun: Vec<ProcessId>,
}
