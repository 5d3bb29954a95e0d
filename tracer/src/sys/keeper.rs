//! Lets processes live on that may outlive the command.
//!
//! They carry the seccomp filter, whose stops need a tracer: without one their calls fail with
//! ENOSYS. A tracer can't be handed over, so each thread is detached while it is stopped, and
//! seized again by a process of ours that answers every stop and records nothing.

use super::{process, ptrace};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A keeper that waits for the word to begin.
pub(crate) struct Keeper {
    go: OwnedFd,
}

/// Forks the keeper of `threads`, which belong to `processes`. It does nothing before
/// [`Keeper::begin`].
pub(crate) fn fork(processes: &[i32], threads: &[i32]) -> io::Result<Keeper> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for the two descriptors pipe2 writes.
    super::check(i64::from(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: the kernel has just given these descriptors to us alone.
    let (read, go) = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: the child makes only system calls, allocates nothing, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: integers and one live byte; _exit runs no destructors.
            unsafe {
                // A session of its own: no signal of the terminal, nobody waits for it.
                libc::setsid();
                libc::close(ends[1]);
                let mut word = 0u8;
                let told = libc::read(read.as_raw_fd(), (&raw mut word).cast(), 1) == 1;
                // The caller's streams must see their end when the caller has ended.
                libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
                if told {
                    keep(processes, threads);
                }
                libc::_exit(0)
            }
        }
        _ => Ok(Keeper { go }),
    }
}

impl Keeper {
    /// The threads have been detached: they are the keeper's now.
    pub(crate) fn begin(self) {
        // SAFETY: one live byte.
        unsafe { libc::write(self.go.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
    }
}

/// Seizes all, lets them go on, and answers their stops until none is left.
fn keep(processes: &[i32], threads: &[i32]) {
    for &thread in threads {
        // One that has been killed meanwhile needs nothing.
        let _ = ptrace::seize(thread);
    }
    for &process in processes {
        process::kill(process, libc::SIGCONT);
    }
    loop {
        let (tid, status) = match ptrace::wait_any() {
            Ok(ptrace::Wait::Status(tid, status)) => (tid, status),
            Ok(ptrace::Wait::Interrupted) => continue,
            Ok(ptrace::Wait::NoChildren) | Err(_) => return,
        };
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        const STOPS: &[i32] = &[libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        // A thread that was killed meanwhile can't be resumed; its end follows.
        let _ = match event {
            libc::PTRACE_EVENT_STOP if STOPS.contains(&signal) => ptrace::listen(tid),
            0 if signal != libc::SIGTRAP | 0x80 => ptrace::resume(tid, signal),
            _ => ptrace::resume(tid, 0),
        };
    }
}
