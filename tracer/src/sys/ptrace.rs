//! ptrace(2) and wait4(2), raw. nix's `waitpid` loses stops by real-time signals (it fails with
//! EINVAL after the event was consumed), so the loop takes the status as an integer.

use super::check;
use std::io;
use std::mem::{size_of, zeroed};

/// What PTRACE_GET_SYSCALL_INFO tells of a stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyscallStop {
    /// `AUDIT_ARCH_*`.
    pub(crate) arch: u32,
    /// Number and arguments: at an entry or seccomp stop.
    pub(crate) nr: u64,
    /// Arguments as the registers have them.
    pub(crate) args: [u64; 6],
    /// SECCOMP_RET_DATA of the filter that stopped.
    pub(crate) data: u32,
    /// What kind of stop it is.
    pub(crate) op: u8,
    /// Result at an exit stop (negative errno on failure).
    pub(crate) rval: i64,
}

/// [`SyscallStop::op`] at a syscall-entry stop.
pub(crate) const STOP_ENTRY: u8 = 1;
/// [`SyscallStop::op`] at a syscall-exit stop.
pub(crate) const STOP_EXIT: u8 = 2;

/// `struct ptrace_syscall_info` of <linux/ptrace.h>.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawInfo {
    op: u8,
    _pad: [u8; 3],
    arch: u32,
    ip: u64,
    sp: u64,
    /// entry and seccomp: nr, args[6], ret_data; exit: rval, is_error.
    body: [u64; 8],
}

const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_EXITKILL;

fn request(request: libc::c_uint, tid: i32, addr: usize, data: usize) -> io::Result<i64> {
    // SAFETY: `data` is an integer, or the address of a live buffer of the size that the request
    // writes: the callers below see to it.
    check(unsafe { libc::ptrace(request, tid, addr, data) })
}

/// Attaches without stopping; children and threads follow; all die with the tracer.
pub(crate) fn seize(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, OPTIONS as usize).map(drop)
}

/// Goes on until the next stop of interest, delivering `signal` if not 0.
pub(crate) fn resume(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, 0, signal as usize).map(drop)
}

/// Goes on to the next syscall stop, delivering `signal` if not 0.
pub(crate) fn resume_to_syscall(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, tid, 0, signal as usize).map(drop)
}

/// Leaves a group-stopped thread stopped, but listens for its SIGCONT.
pub(crate) fn listen(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0).map(drop)
}

/// Lets go of a stopped thread. One in a group stop stays stopped.
pub(crate) fn detach(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, 0).map(drop)
}

/// The message of the last ptrace event: new pid, former tid, filter data.
pub(crate) fn event_message(tid: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, tid, 0, &raw mut message as usize)?;
    Ok(message)
}

/// Number, arguments or result of the call a thread is stopped at.
pub(crate) fn syscall_info(tid: i32) -> io::Result<SyscallStop> {
    // SAFETY: RawInfo is plain integers, for which all zeroes is a value.
    let mut raw: RawInfo = unsafe { zeroed() };
    request(libc::PTRACE_GET_SYSCALL_INFO, tid, size_of::<RawInfo>(), &raw mut raw as usize)?;
    let b = raw.body;
    Ok(if raw.op == STOP_EXIT {
        SyscallStop { arch: raw.arch, nr: 0, args: [0; 6], data: 0, op: raw.op, rval: b[0] as i64 }
    } else {
        let args = [b[1], b[2], b[3], b[4], b[5], b[6]];
        SyscallStop { arch: raw.arch, nr: b[0], args, data: b[7] as u32, op: raw.op, rval: 0 }
    })
}

/// One change of state, as wait4(2) reports it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// A thread changed state; the status is the raw integer.
    Status(i32, i32),
    /// A signal handler ran.
    Interrupted,
    /// Nothing is left to wait for.
    NoChildren,
}

/// Waits for the next stop or end of any traced thread or child.
pub(crate) fn wait_any() -> io::Result<Wait> {
    let mut status = 0;
    // SAFETY: status is a live integer; the rusage may be null (wait4(2)).
    let tid = unsafe { libc::wait4(-1, &raw mut status, libc::__WALL, std::ptr::null_mut()) };
    if tid > 0 {
        return Ok(Wait::Status(tid, status));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINTR) => Ok(Wait::Interrupted),
        Some(libc::ECHILD) => Ok(Wait::NoChildren),
        _ => Err(error),
    }
}
