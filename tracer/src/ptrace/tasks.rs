//! The threads and processes of the tree.

use crate::log::{Call, Tally};
use crate::look::{Base, Look};
use crate::sys::memory::Memory;
use crate::table::{Abi, Decoder, Row};
use airtight_recording::ProcessId;
use std::cell::RefCell;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What threads made with CLONE_FS share: root and current directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct FsView {
    /// Canonical name of the current directory with the generation it was read in; none when it
    /// must be asked for again.
    pub(crate) cwd: Option<(u64, Rc<[u8]>)>,
    /// The root or the mounts are not those of the tracer.
    pub(crate) foreign: bool,
}

/// One process.
pub(crate) struct Proc {
    pub(crate) id: ProcessId,
    pub(crate) tally: Tally,
    pub(crate) threads: u32,
    /// Our look could differ from what the kernel does for it: credentials, shared memory.
    /// Then no exit stop is left out, and strings are read again.
    pub(crate) doubtful: bool,
    /// The file name of its program, or its maker's; empty before the first exec of the root.
    pub(crate) name: Vec<u8>,
}

/// A call between its entry and its exit.
pub(crate) struct Pending {
    pub(crate) row: &'static Row,
    pub(crate) abi: Abi,
    pub(crate) args: [u64; 6],
    /// What the two names of the call meant at entry.
    pub(crate) looks: [Look; 2],
    /// The base of the first name.
    pub(crate) base: Base,
    /// Flags of an open, where they are not an argument.
    pub(crate) flags: u64,
    /// Whether the file of an O_CREAT open was there before.
    pub(crate) existed: bool,
    /// What an exec will load.
    pub(crate) exec: Option<Box<super::exec::Plan>>,
    /// Whether it may change what directories are called, which nobody may believe meanwhile.
    pub(crate) unsettles: bool,
    /// What a socket call turned out to be, behind i386's multiplexer.
    pub(crate) socket: Option<Decoder>,
}

impl Pending {
    /// The call, for recordings.
    pub(crate) fn call(&self) -> Call {
        Call { name: self.row.name, abi: self.abi }
    }
}

/// One thread.
pub(crate) struct Task {
    pub(crate) tid: i32,
    pub(crate) tgid: i32,
    pub(crate) fs: Rc<RefCell<FsView>>,
    /// A call whose exit stop is awaited.
    pub(crate) pending: Option<Box<Pending>>,
    /// In SECCOMP_MODE_STRICT, which is emulated: every call stops.
    pub(crate) strict: bool,
    /// Its memory, once it was read.
    pub(crate) memory: Option<Memory>,
    /// Its `/proc/TID/fd`, once it was needed.
    pub(crate) fds: Option<OwnedFd>,
    /// The file, with device and inode, whose open was foreseen and may not have happened yet;
    /// see [`super::trust`].
    pub(crate) trusted: Option<(Vec<u8>, u64, u64)>,
}

impl Task {
    pub(crate) fn new(tid: i32, tgid: i32, fs: Rc<RefCell<FsView>>) -> Task {
        Task { tid, tgid, fs, pending: None, strict: false, memory: None, fds: None, trusted: None }
    }
}

/// Statuses of threads that were seen before the event that announces them.
pub(crate) type Early = HashSet<i32>;
