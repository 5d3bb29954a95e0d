//! What an airtight within an action does itself.

use crate::caching;
use crate::config::Config;
use airtight_recording::{Completeness, ProcessId, Reason, ReasonCode, Recording};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Takes out of a recording what airtights within the action have done for themselves: with their
/// store, their temporary directories, their remotes. They restore nothing there, so nothing of it
/// gets into a result.
///
/// What they touch in the workspace stays: their settings decide what their command gets, and
/// what they delete there is gone. Only a process that runs our own program is one of them, whoever
/// else has `announced` itself.
pub(crate) fn disown(
    recording: &mut Recording,
    announced: &[ProcessId],
    workspace: &[u8],
    config: &Config,
) {
    let Ok(program) = std::env::current_exe() else { return };
    let workspace = Path::new(OsStr::from_bytes(workspace));
    let store = caching::directory(config).ok();
    let since: HashMap<ProcessId, u64> = announced
        .iter()
        .filter_map(|&id| {
            let image = recording.processes.get(id.0 as usize)?.images.last()?;
            let ours = recording.path(image.exe) == program.as_os_str().as_bytes();
            ours.then_some((id, image.seq))
        })
        .collect();
    let its_own = |process: ProcessId, first: u64| since.get(&process).is_some_and(|s| first >= *s);
    let paths = &recording.paths;
    recording.accesses.retain(|access| {
        let path = Path::new(OsStr::from_bytes(paths.get(access.path)));
        let counts =
            path.starts_with(workspace) && !store.as_ref().is_some_and(|s| path.starts_with(s));
        counts || !its_own(access.process, access.first)
    });
    recording.host.retain(|note| !its_own(note.process, note.first));
    // A witness of theirs opens files by handles, on mounts of its own. Ours sees that too.
    let inside = format!("{}/", workspace.display());
    let about_itself = |reason: &Reason| {
        let of_witness = match reason.code {
            ReasonCode::Other | ReasonCode::PathUnreadable => true,
            ReasonCode::WitnessDisagrees => !reason.detail.starts_with(&inside),
            _ => false,
        };
        of_witness && reason.process.is_some_and(|process| since.contains_key(&process))
    };
    if let Some(Completeness::Incomplete { reasons }) = &mut recording.end {
        reasons.retain(|reason| !about_itself(reason));
        if reasons.is_empty() {
            recording.end = Some(Completeness::Complete);
        }
    }
}
