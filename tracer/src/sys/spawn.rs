//! Starts the root process: forked, seized, filtered, then executed; or a plain one.

use super::process::Signals;
use super::{check, ptrace};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

/// What the child needs, prepared before the fork: after it, nothing may allocate.
pub(crate) struct Plan<'a> {
    /// Paths to try in order, as execvp(3) does.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// What becomes of descriptors 0, 1 and 2.
    pub(crate) stdio: [Option<Arc<OwnedFd>>; 3],
    /// None for a plain child, which is not seized either.
    pub(crate) filter: Option<&'a [libc::sock_filter]>,
    /// Whether the filter can be installed only with NO_NEW_PRIVS.
    pub(crate) no_new_privs: bool,
}

/// Where a start failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Fork(io::Error),
    Seize(io::Error),
    Stdio(io::Error),
    Chdir(io::Error),
    Filter(io::Error),
    Exec(io::Error),
}

/// A child that has been seized and told to go on.
pub(crate) struct Started {
    pub(crate) pid: i32,
    /// Carries the report of a start that failed; closed by a successful exec.
    report: File,
}

const STEP_STDIO: u8 = 4;
const STEP_CHDIR: u8 = 1;
const STEP_FILTER: u8 = 2;
const STEP_EXEC: u8 = 3;

impl Started {
    /// Why the child never became the command, if so. To be asked when the child has ended.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        let mut report = [0; 5];
        self.report.read_exact(&mut report).ok()?;
        let [step, errno @ ..] = report;
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
        Some(match step {
            STEP_STDIO => Failure::Stdio(error),
            STEP_CHDIR => Failure::Chdir(error),
            STEP_FILTER => Failure::Filter(error),
            _ => Failure::Exec(error),
        })
    }
}

/// A pipe whose ends are closed by exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for the two descriptors pipe2 writes.
    check(i64::from(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: the kernel has just given these descriptors to us alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Forks and seizes the child before it does anything of note.
pub(crate) fn start(plan: &Plan<'_>, signals: &Signals) -> Result<Started, Failure> {
    let (go_read, go_write) = pipe().map_err(Failure::Fork)?;
    let (report_read, report_write) = pipe().map_err(Failure::Fork)?;
    let pointers =
        |list: &[CString]| list.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
    let (argv, env) = (pointers(&plan.argv), pointers(&plan.env));
    // For a file whose format execve does not know: `/bin/sh FILE ARGS…`, as execvp(3) does.
    let mut shell = vec![c"/bin/sh".as_ptr(), ptr::null()];
    shell.extend(argv.iter().skip(1));
    let go_write_number = go_write.as_raw_fd();

    // SAFETY: the child calls only async-signal-safe functions until it executes or exits, and
    // allocates nothing.
    match unsafe { libc::fork() } {
        -1 => Err(Failure::Fork(io::Error::last_os_error())),
        0 => {
            // SAFETY: closes the child's copy of the writing end: end of file must reach us when
            // the parent drops its own. The child never drops the owner.
            unsafe { libc::close(go_write_number) };
            let (step, errno) = child(plan, signals, &go_read, &argv, &env, &mut shell);
            let e = errno.to_ne_bytes();
            let report = [step, e[0], e[1], e[2], e[3]];
            // SAFETY: the buffer is live; _exit runs no destructors, which are the parent's.
            unsafe {
                libc::write(report_write.as_raw_fd(), report.as_ptr().cast(), report.len());
                libc::_exit(127)
            }
        }
        pid => {
            drop(report_write);
            if plan.filter.is_some()
                && let Err(error) = ptrace::seize(pid)
            {
                // The child reads end of file instead of the word to go, and exits.
                drop(go_write);
                // SAFETY: reaps our own child; no status is asked for.
                unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                return Err(Failure::Seize(error));
            }
            // SAFETY: the buffer is live.
            unsafe { libc::write(go_write.as_raw_fd(), [1u8].as_ptr().cast(), 1) };
            Ok(Started { pid, report: report_read.into() })
        }
    }
}

/// The child between fork and exec; returns the step that failed and its errno.
fn child(
    plan: &Plan<'_>,
    signals: &Signals,
    go: &OwnedFd,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    shell: &mut [*const libc::c_char],
) -> (u8, i32) {
    let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(0);
    signals.restore_in_child();
    let mut word = 0u8;
    // SAFETY: the buffer is one live byte.
    if unsafe { libc::read(go.as_raw_fd(), (&raw mut word).cast(), 1) } != 1 {
        // The parent could not seize us, and says so itself.
        return (STEP_FILTER, libc::EPERM);
    }
    let program = plan.filter.map(|filter| libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        filter: filter.as_ptr().cast_mut(),
    });
    // SAFETY: all pointers are to NUL-terminated strings and NULL-terminated lists that live in
    // the plan; prctl and seccomp get integers and live structures of the right types.
    unsafe {
        for (number, stream) in (0..).zip(&plan.stdio) {
            // They are above 2: the runtime of Rust opens 0 to 2 where they are closed at start. Exec
            // closes them, and leaves the copies open.
            if let Some(stream) = stream
                && libc::dup2(stream.as_raw_fd(), number) < 0
            {
                return (STEP_STDIO, errno());
            }
        }
        if let Some(cwd) = &plan.cwd
            && libc::chdir(cwd.as_ptr()) != 0
        {
            return (STEP_CHDIR, errno());
        }
        if plan.no_new_privs && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return (STEP_FILTER, errno());
        }
        // SPEC_ALLOW: on older kernels a filter turns speculation mitigations on, which the
        // untraced command does not have.
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
        if let Some(program) = &program
            && libc::syscall(libc::SYS_seccomp, mode, flags, std::ptr::from_ref(program)) != 0
        {
            return (STEP_FILTER, errno());
        }
        let mut worst = libc::ENOENT;
        for candidate in &plan.candidates {
            libc::execve(candidate.as_ptr(), argv.as_ptr(), env.as_ptr());
            match errno() {
                libc::ENOEXEC => {
                    shell[1] = candidate.as_ptr();
                    libc::execve(shell[0], shell.as_ptr(), env.as_ptr());
                    return (STEP_EXEC, errno());
                }
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => worst = libc::EACCES,
                other => return (STEP_EXEC, other),
            }
        }
        (STEP_EXEC, worst)
    }
}

/// The paths that execvp(3) tries for `program`.
pub(crate) fn candidates(program: &CStr, search: Option<&[u8]>) -> Vec<CString> {
    let name = program.to_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return vec![program.to_owned()];
    }
    let candidate = |dir: &[u8]| {
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        CString::new([dir, slash, name].concat()).ok()
    };
    search.unwrap_or(b"/bin:/usr/bin").split(|b| *b == b':').filter_map(candidate).collect()
}
