//! What is prepared before the fork, and what is said when the start fails.

use crate::command::{Command, Error};
use crate::sys::files;
use crate::sys::spawn::{Failure, Plan, candidates};
use airtight_recording::Header;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_| Error::System {
        what: format!("argument {text:?} holds a NUL byte"),
        source: io::Error::from_raw_os_error(libc::EINVAL),
    })
}

/// Everything the child needs.
pub(crate) fn plan<'a>(
    command: &Command,
    filter: Option<&'a [libc::sock_filter]>,
    no_new_privs: bool,
) -> Result<Plan<'a>, Error> {
    let argv = command.argv.iter().map(|a| c_string(a)).collect::<Result<Vec<_>, _>>()?;
    let Some(program) = argv.first() else {
        return Err(Error::NotFound { program: String::new() });
    };
    let vars: Vec<_> = match &command.env {
        Some(env) => env.clone(),
        None => std::env::vars_os().collect(),
    };
    let path = vars.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_bytes());
    let candidates = candidates(program, path);
    let env = vars
        .iter()
        .map(|(name, value)| {
            c_string(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let cwd = command.cwd.as_ref().map(|dir| c_string(dir.as_os_str())).transpose()?;
    let stdio = command.stdio.clone();
    Ok(Plan { candidates, argv, env, cwd, stdio, filter, no_new_privs })
}

/// Whether one of `candidates` can be executed, in the command's own directory.
pub(crate) fn find_program(command: &Command, candidates: &[CString]) -> Result<(), Error> {
    let program =
        || command.argv.first().map_or(String::new(), |a| a.to_string_lossy().into_owned());
    let mut refused = None;
    for candidate in candidates {
        let path = Path::new(OsStr::from_bytes(candidate.as_bytes()));
        let path = match &command.cwd {
            Some(cwd) => cwd.join(path),
            None => path.to_owned(),
        };
        match path.metadata() {
            Ok(found) if found.is_file() => {
                let name = c_string(path.as_os_str())?;
                if files::accessible(&name, libc::X_OK) {
                    return Ok(());
                }
                refused = Some(libc::EACCES);
            }
            Ok(_) => refused = Some(libc::EACCES),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                refused = Some(libc::EACCES);
            }
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(errno) => {
            Error::NotExecutable { program: program(), source: io::Error::from_raw_os_error(errno) }
        }
        None => Error::NotFound { program: program() },
    })
}

/// The header of a recording that begins now.
pub(crate) fn header(command: &Command, backend: &str) -> Header {
    let line = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let kernel = line("/proc/sys/kernel/osrelease");
    let cwd = command.cwd.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    let cwd = std::fs::canonicalize(&cwd).unwrap_or(cwd);
    Header {
        tracer_version: env!("CARGO_PKG_VERSION").into(),
        backend: backend.into(),
        host: line("/proc/sys/kernel/hostname"),
        kernel,
        time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        cwd: cwd.as_os_str().as_bytes().to_vec(),
        command: command.argv.iter().map(|a| a.as_bytes().to_vec()).collect(),
    }
}

/// What a person can do where opens can't be guarded in the kernel.
pub const GUARD_REMEDY: &str = "run airtight as root, or in a container with --cap-add SYS_ADMIN; or leave the guard out: a \
     policy whose reaction is deny refuses calls without any privilege";

/// Why the command never ran.
pub(crate) fn error(failure: Failure, command: &Command) -> Error {
    let program = command.argv.first().map_or(String::new(), |a| a.to_string_lossy().into_owned());
    let system = |what: &str, source| Error::System { what: what.into(), source };
    let tracer_pid = || crate::traced_by().ok().flatten();
    match failure {
        Failure::Fork(source) => system("starting a process", source),
        Failure::Stdio(source) => system("redirecting a standard stream", source),
        Failure::Chdir(source) => {
            let dir = command.cwd.as_ref().map_or(String::new(), |d| d.display().to_string());
            system(&format!("entering {dir}"), source)
        }
        Failure::Apart(source) if source.raw_os_error() == Some(libc::EPERM) => Error::Forbidden {
            what: format!("a guard in the kernel needs CAP_SYS_ADMIN ({source})"),
            remedy: GUARD_REMEDY.into(),
        },
        Failure::Apart(source) => system("guarding the command", source),
        Failure::Seize(_) if let Some(tracer) = tracer_pid() => Error::Forbidden {
            what: format!(
                "this process is already traced by process {tracer}, and Linux allows one tracer"
            ),
            remedy: "run airtight outside of strace, gdb, or an airtight that can't be asked for \
                     its recording; or with CAP_SYS_ADMIN take --backend fanotify"
                .into(),
        },
        Failure::Seize(source) => Error::Forbidden {
            what: format!("ptrace is refused ({source})"),
            remedy: "in a container allow it (docker run --cap-add SYS_PTRACE, or a seccomp \
                     profile that has ptrace); on a host set kernel.yama.ptrace_scope to 0 or 1; \
                     `airtight doctor` tells more"
                .into(),
        },
        Failure::Filter(source) => Error::Forbidden {
            what: format!("a seccomp filter can't be installed ({source})"),
            remedy: "the kernel needs CONFIG_SECCOMP_FILTER, and the container's seccomp profile \
                     must allow prctl and seccomp; `airtight doctor` tells more"
                .into(),
        },
        Failure::Exec(source) => match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Error::NotFound { program },
            _ => Error::NotExecutable { program, source },
        },
    }
}
