//! Runs an action where nothing can be traced, for those who asked for it.

use crate::error::Error;
use crate::exit::Status;
use airtight_tracer as tracer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process;

/// Runs `command` to its end. Its success is [`Status::Incomplete`]: 0 would mean that it was
/// judged.
///
/// # Errors
/// When it can't be started.
pub(crate) fn run(command: &tracer::Command) -> Result<Status, Error> {
    let program = command.argv.first().cloned().unwrap_or_default();
    let mut child = process::Command::new(&program);
    child.args(command.argv.iter().skip(1));
    if let Some(env) = &command.env {
        child.env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    }
    if let Some(cwd) = &command.cwd {
        child.current_dir(cwd);
    }
    let failed = |what: &str| {
        let what = what.to_owned();
        |source| Error::from(tracer::Error::System { what, source })
    };
    // The terminal sends the first two to the child as well; the others are passed on.
    let mut signals =
        Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP]).map_err(failed("can't watch signals"))?;
    let mut child = child.spawn().map_err(|source| {
        let program = program.to_string_lossy().into_owned();
        Error::from(match source.kind() {
            io::ErrorKind::NotFound => tracer::Error::NotFound { program },
            _ => tracer::Error::NotExecutable { program, source },
        })
    })?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let handle = signals.handle();
    let status = std::thread::scope(|scope| {
        scope.spawn(|| {
            for signal in signals.forever().filter(|s| [SIGTERM, SIGHUP].contains(s)) {
                // That the child has ended already is no matter.
                let _ = Signal::try_from(signal).map(|signal| kill(pid, signal));
            }
        });
        let status = child.wait();
        handle.close();
        status
    })
    .map_err(failed("can't wait for the command"))?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => Status::Incomplete,
        (Some(code), _) => Status::Code(code.to_le_bytes()[0]),
        (None, signal) => Status::Signal(signal.unwrap_or_default()),
    })
}
