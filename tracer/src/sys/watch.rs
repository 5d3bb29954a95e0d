//! Notices when a directory or link on the way to a file is moved, removed or changed, by whomever
//! (inotify(7)). Events are queued before the call that causes them returns, so that a look after
//! it finds them.

use super::check;
use rustc_hash::FxHashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by SIGIO: an event has been queued. A signal costs nothing while there is none, and the
/// loop asks at every call.
static EVENT: AtomicBool = AtomicBool::new(false);

/// The handler of SIGIO.
pub(crate) extern "C" fn on_event(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    EVENT.store(true, Ordering::SeqCst);
}

/// Watches names; all are forgotten at the first event.
pub(crate) struct Watch {
    inotify: Option<OwnedFd>,
    names: FxHashSet<Vec<u8>>,
}

/// What happens to the watched thing itself. Replacing a directory by a link takes a removal or a
/// rename first.
const EVENTS: u32 = libc::IN_MOVE_SELF | libc::IN_DELETE_SELF | libc::IN_DONT_FOLLOW;
/// A link that somebody holds is not deleted when it loses its name, but its link count changes.
/// On a directory this would tell of all that is in it.
const LINK_EVENTS: u32 = EVENTS | libc::IN_ATTRIB;

/// Enough for every directory of a build; then they are forgotten together.
const MOST: usize = 16 * 1024;

impl Watch {
    pub(crate) fn new() -> Watch {
        Watch { inotify: None, names: FxHashSet::default() }
    }

    /// Watches `path` (a link if so told, else a directory) and every directory on the way to it. `Ok(true)` when all were watched
    /// already; `Ok(false)` when some were not, so that what is known of them is older than the
    /// watch.
    ///
    /// # Errors
    /// When one can't be watched: no permission to read it, or a limit of the system.
    pub(crate) fn add(&mut self, path: &[u8], link: bool) -> io::Result<bool> {
        if self.names.contains(path) {
            return Ok(true);
        }
        let mut known = true;
        let ends = path.iter().enumerate().filter(|(i, b)| **b == b'/' && *i > 0).map(|(i, _)| i);
        for end in ends.chain([path.len()]) {
            let name = &path[..end];
            if name.is_empty() || name.ends_with(b"/") || self.names.contains(name) {
                continue;
            }
            if self.names.len() >= MOST {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            let events = if link && end == path.len() { LINK_EVENTS } else { EVENTS };
            self.add_one(name, events)?;
            self.names.insert(name.to_vec());
            known = false;
        }
        Ok(known)
    }

    fn add_one(&mut self, name: &[u8], events: u32) -> io::Result<()> {
        let inotify = match &self.inotify {
            Some(inotify) => inotify,
            None => {
                // SAFETY: integers only.
                let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
                let fd = check(i64::from(fd))? as i32;
                // SAFETY: the kernel has just given this descriptor to us alone.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                // SAFETY: integers only.
                unsafe {
                    let (raw, me) = (fd.as_raw_fd(), libc::getpid());
                    check(i64::from(libc::fcntl(raw, libc::F_SETOWN, me)))?;
                    check(i64::from(libc::fcntl(raw, libc::F_SETFL, libc::O_ASYNC)))?;
                }
                self.inotify.insert(fd)
            }
        };
        let name = CString::new(name)?;
        // SAFETY: the name is NUL-terminated.
        let added = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), name.as_ptr(), events) };
        check(i64::from(added)).map(drop)
    }

    /// Whether anything watched has changed since it was asked last; then nothing is watched any
    /// more.
    pub(crate) fn changed(&mut self) -> bool {
        if !EVENT.swap(false, Ordering::SeqCst) {
            return false;
        }
        // With its descriptor all its watches go.
        *self = Watch::new();
        true
    }
}
