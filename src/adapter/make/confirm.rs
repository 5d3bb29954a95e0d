//! Asks make whether a target is up to date.

use super::load::{keeps_its_shell, makefiles, query};
use super::{database, history};
use crate::adapter::UpToDate;
use crate::error::Error;
use airtight_policy::build::{Graph, RunId};
use airtight_policy::printable;
use airtight_recording::Recording;
use std::os::unix::ffi::OsStrExt as _;

/// `make -q TARGET`, called as it was in `run`, with a shell that executes no recipe. A make within
/// another gets the variables of its command line, and else those of the caller.
pub(super) fn up_to_date(
    recording: &Recording,
    graph: &Graph,
    run: RunId,
    target: &[u8],
) -> Result<UpToDate, Error> {
    let mut runs = history::runs(recording, graph, &[run]);
    if let Some(read) = makefiles(recording, &runs).get(&graph.run(run).process)
        && let Some(makefile) = keeps_its_shell(read)
    {
        let makefile = makefile.display();
        return Err(Error::plain(format!(
            "{makefile} says `override SHELL`: recipes would be run"
        )));
    }
    let missing = || Error::plain("the make that ran is not in the recording");
    let mut run = runs.remove(&run).ok_or_else(missing)?;
    // A makefile may call its targets either way, and make takes only that one.
    let directory = run.directory.as_os_str().as_bytes();
    let below = target.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/"));
    let names: Vec<Vec<u8>> = below.into_iter().chain([target]).map(<[u8]>::to_vec).collect();
    for name in names {
        run.call.goals = vec![name.clone()];
        let answer = query(recording, &run, std::env::vars_os().collect()).ask();
        let answer =
            answer.map_err(|error| Error::plain(format!("make can't be asked: {error}")))?;
        let files = database::parse(&answer.text).files;
        // Of a file that it has no rule for, make says that there is nothing to be done.
        if !files.iter().any(|file| file.name == name && file.recipe.is_some()) {
            continue;
        }
        let command = format!("make -q {}", printable(&name));
        return match answer.status {
            Some(status @ (0 | 1)) => Ok(UpToDate { yes: status == 0, command }),
            _ => {
                let why = answer.errors.lines().last().unwrap_or("it failed");
                Err(Error::plain(format!("`{command}`: {}", printable(why.as_bytes()))))
            }
        };
    }
    Err(Error::plain(format!("make has no recipe for {}", printable(target))))
}
