//! Enforcement in the act: a judge that is asked before a call is made.

use airtight_recording::Kind;

/// What a process is about to do to one path.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The canonical path as far as it can be known before the call.
    pub path: &'a [u8],
    /// The name as asked for, absolute, in the process's view.
    pub requested: &'a [u8],
    /// Read, write, delete, probe, exec, list or link.
    pub kind: Kind,
    /// Whether the path exists now.
    pub exists: bool,
    /// File type bits of what exists, as in `st_mode & S_IFMT`; 0 when absent.
    pub object: u32,
    /// Whether this process tree has itself written the path earlier.
    pub own: bool,
}

/// What to do with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Let the call be made.
    Allow,
    /// The call fails with EACCES.
    Deny,
    /// The call fails with ENOENT.
    Hide,
    /// The whole tree is killed with SIGKILL.
    Kill,
}

/// Asked at the entry of every call that names a path, or by the kernel at every open.
pub trait Guard {
    /// Decides one attempt. Must be quick: the process waits.
    fn decide(&mut self, attempt: &Attempt<'_>) -> Reaction;
}

/// Makes a guard on the thread that will ask it.
pub trait MakeGuard: Sync {
    /// Called once for each tree.
    fn make(&self) -> Box<dyn Guard + '_>;
}
