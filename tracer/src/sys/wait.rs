//! wait4(2) for plain children.

use airtight_recording::Exit;
use std::io;

/// What has become of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// It has ended.
    Ended(i32, Exit),
    /// A signal has stopped it.
    Stopped(i32, i32),
    /// A signal handler ran.
    Interrupted,
    /// There are no children.
    NoChildren,
}

/// Waits for any child.
pub(crate) fn child() -> io::Result<Wait> {
    let mut status = 0;
    let options = libc::__WALL | libc::WUNTRACED;
    // SAFETY: status is a live integer; the rusage may be null (wait4(2)).
    let pid = unsafe { libc::wait4(-1, &raw mut status, options, std::ptr::null_mut()) };
    if pid < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EINTR) => Ok(Wait::Interrupted),
            Some(libc::ECHILD) => Ok(Wait::NoChildren),
            _ => Err(error),
        };
    }
    Ok(if libc::WIFSTOPPED(status) {
        Wait::Stopped(pid, libc::WSTOPSIG(status))
    } else if libc::WIFSIGNALED(status) {
        Wait::Ended(pid, Exit::Signal(libc::WTERMSIG(status) as u8))
    } else {
        Wait::Ended(pid, Exit::Code(libc::WEXITSTATUS(status) as u8))
    })
}
