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

/// Called with the child's pid when it has a mount namespace of its own and has opened nothing there
/// yet.
pub(crate) type Apart<'a> = &'a mut dyn FnMut(i32) -> io::Result<()>;

/// Where a start failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Fork(io::Error),
    /// A mount namespace of its own, or what was to be done about it.
    Apart(io::Error),
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

const STEP_APART: u8 = 5;
const STEP_STDIO: u8 = 4;
const STEP_CHDIR: u8 = 1;
const STEP_FILTER: u8 = 2;
const STEP_EXEC: u8 = 3;

impl Started {
    /// Why the child never became the command, if so. To be asked when the child has ended.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        let (step, error) = read_report(&mut self.report).ok()?;
        Some(match step {
            STEP_APART => Failure::Apart(error),
            STEP_STDIO => Failure::Stdio(error),
            STEP_CHDIR => Failure::Chdir(error),
            STEP_FILTER => Failure::Filter(error),
            _ => Failure::Exec(error),
        })
    }
}

/// A step and the errno that came of it.
fn read_report(report: &mut File) -> io::Result<(u8, io::Error)> {
    let mut bytes = [0; 5];
    report.read_exact(&mut bytes)?;
    let [step, errno @ ..] = bytes;
    Ok((step, io::Error::from_raw_os_error(i32::from_ne_bytes(errno))))
}

/// Writes what [`read_report`] reads. Async-signal-safe.
fn write_report(to: &OwnedFd, step: u8, errno: i32) {
    let e = errno.to_ne_bytes();
    let bytes = [step, e[0], e[1], e[2], e[3]];
    // SAFETY: the buffer is live.
    unsafe { libc::write(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
}

/// A pipe whose ends are closed by exec.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for the two descriptors pipe2 writes.
    check(i64::from(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // SAFETY: the kernel has just given these descriptors to us alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Gives the calling process a mount namespace of its own: what is mounted there is seen by nobody
/// else, and what others mount is not seen there. Async-signal-safe.
fn live_apart() -> io::Result<()> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let none = ptr::null();
    // SAFETY: integers and a NUL-terminated constant; the other strings may be null.
    unsafe {
        check(i64::from(libc::unshare(libc::CLONE_NEWNS)))?;
        check(i64::from(libc::mount(none, c"/".as_ptr(), none, flags, ptr::null())))?;
    }
    Ok(())
}

/// Tries in a process of its own whether there is a mount namespace to be had.
pub(crate) fn may_live_apart() -> io::Result<()> {
    // SAFETY: the child makes only system calls and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let errno = live_apart().err().map_or(0, |error| error.raw_os_error().unwrap_or(255));
            // SAFETY: runs no destructors, which are the parent's.
            unsafe { libc::_exit(errno) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: reaps our own child into a live integer.
            while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            match libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)) {
                Some(0) => Ok(()),
                Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                None => Err(io::Error::other("the trial process was killed")),
            }
        }
    }
}

/// Forks and seizes the child before it does anything of note.
pub(crate) fn start(plan: &Plan<'_>, signals: &Signals) -> Result<Started, Failure> {
    start_apart(plan, signals, None)
}

/// The same, in a mount namespace of its own if `apart` is given. It is called after the fork, so
/// what it opens is never the child's.
pub(crate) fn start_apart(
    plan: &Plan<'_>,
    signals: &Signals,
    apart: Option<Apart<'_>>,
) -> Result<Started, Failure> {
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
            signals.restore_in_child();
            let moved = match &apart {
                // Before it is seized: no stop can keep the parent waiting for the report.
                Some(_) => live_apart().map(|()| write_report(&report_write, 0, 0)),
                None => Ok(()),
            };
            let (step, errno) = match moved {
                Ok(()) => child(plan, &go_read, &argv, &env, &mut shell),
                Err(error) => (STEP_APART, error.raw_os_error().unwrap_or(0)),
            };
            write_report(&report_write, step, errno);
            // SAFETY: _exit runs no destructors, which are the parent's.
            unsafe { libc::_exit(127) }
        }
        pid => {
            drop(report_write);
            let mut report = File::from(report_read);
            if let Some(guard) = apart {
                let moved = match read_report(&mut report) {
                    Ok((0, _)) => guard(pid),
                    Ok((_, error)) | Err(error) => Err(error),
                };
                if let Err(error) = moved {
                    drop(go_write);
                    // SAFETY: reaps our own child; no status is asked for.
                    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
                    return Err(Failure::Apart(error));
                }
            }
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
            Ok(Started { pid, report })
        }
    }
}

/// The child between fork and exec; returns the step that failed and its errno.
fn child(
    plan: &Plan<'_>,
    go: &OwnedFd,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    shell: &mut [*const libc::c_char],
) -> (u8, i32) {
    let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(0);
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
