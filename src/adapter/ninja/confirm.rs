//! Asks ninja whether a target is up to date.

use super::invocation::Invocation;
use super::is_ninja;
use crate::adapter::UpToDate;
use crate::error::Error;
use airtight_policy::build::{Graph, RunId};
use airtight_policy::{absolute, printable};
use airtight_recording::Recording;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// `ninja -n TARGET`: a dry run writes neither outputs nor its own logs.
pub(super) fn up_to_date(
    recording: &Recording,
    graph: &Graph,
    run: RunId,
    target: &[u8],
) -> Result<UpToDate, Error> {
    let run = graph.run(run);
    let image = recording.image_at(run.process, run.since);
    let image = image.ok_or_else(|| Error::plain("the ninja that ran is not in the recording"))?;
    let invocation = Invocation::parse(image.argv.get(1..).unwrap_or_default());
    let invocation = invocation.ok_or_else(|| Error::plain("that ninja ran nothing"))?;
    let cwd = recording.path(image.cwd);
    let base = match &invocation.directory {
        Some(directory) => absolute(cwd, directory),
        None => cwd.to_vec(),
    };
    // What runs a script called ninja is not ninja.
    let exe = recording.path(image.exe);
    let program = match (is_ninja(exe), image.argv.first()) {
        (false, Some(called)) => called,
        _ => exe,
    };
    // A manifest may call its outputs either way, and ninja takes only that one.
    let below = target.strip_prefix(base.as_slice()).and_then(|rest| rest.strip_prefix(b"/"));
    let mut errors = String::new();
    for name in below.into_iter().chain([target]) {
        let program = OsStr::from_bytes(program);
        let mut command = Command::new(program);
        command.current_dir(Path::new(OsStr::from_bytes(cwd))).stdin(Stdio::null());
        if let Some(directory) = &invocation.directory {
            command.arg("-C").arg(OsStr::from_bytes(directory));
        }
        command.arg("-f").arg(OsStr::from_bytes(&invocation.file));
        command.arg("-n").arg("--").arg(OsStr::from_bytes(name)).env_remove("NINJA_STATUS");
        let output = command.output().map_err(Error::file(Path::new(program), "can't run it"))?;
        if output.status.success() {
            let yes = output.stdout.windows(14).any(|part| part == b"no work to do.");
            return Ok(UpToDate { yes, command: format!("ninja -n {}", printable(name)) });
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        errors = text.lines().last().unwrap_or("ninja failed").to_owned();
        if !errors.contains("unknown target") {
            break;
        }
    }
    Err(Error::plain(errors))
}
