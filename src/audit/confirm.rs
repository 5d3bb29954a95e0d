//! Proves stale dependencies: makes the file newer, asks the build tool whether it would rebuild
//! what reads it, and puts the file's times back. Nothing else of the tree changes.

use crate::adapter::Adapter;
use crate::error::Error;
use crate::limits;
use crate::printer::Printer;
use airtight_policy::build::{ActionId, Build, BuildVerdict};
use airtight_policy::{Confirmation, Finding, Proof, Rule, printable};
use airtight_recording::Recording;
use nix::fcntl::OFlag;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// The rules whose findings say that a change of the file is missed.
const STALE: [Rule; 4] = [Rule::R001, Rule::R002, Rule::R005, Rule::R006];

/// Tries to prove every finding of a stale dependency. Gives the signal that ended it early, if one
/// did; what was left then is not tried.
///
/// # Errors
/// When signals can't be watched, so that a file could stay changed.
pub(crate) fn confirm(
    verdict: &mut BuildVerdict,
    recording: &Recording,
    build: &Build,
    adapters: &[Box<dyn Adapter>],
    printer: &Printer,
) -> Result<Option<i32>, Error> {
    let watch = Watch::begin();
    let watch = watch.map_err(|error| Error::plain(format!("can't watch signals: {error}")))?;
    let mut names = HashMap::new();
    for action in &verdict.actions {
        names.entry(action.name.clone()).or_insert(action.id);
    }
    let mut questions = Questions { recording, build, adapters, before: HashMap::new() };
    let mut candidates: Vec<&mut Finding> =
        verdict.findings.iter_mut().filter(|finding| STALE.contains(&finding.rule)).collect();
    let count = candidates.len();
    for (at, finding) in candidates.iter_mut().enumerate() {
        if printer.watched() {
            printer.status(&format!("proving {} of {count}", at + 1));
        }
        let result = match (watch.signal(), names.get(&finding.action)) {
            (Some(_), _) => Err("interrupted".to_owned()),
            (None, None) => Err("the action is not in the graph".to_owned()),
            (None, Some(action)) => questions.prove(*action, &finding.path.0),
        };
        let tried = result.unwrap_or_else(|how| Confirmation { result: Proof::NotTried, how });
        finding.confirmed = Some(tried);
    }
    if printer.watched() && count > 0 {
        printer.status("");
    }
    Ok(watch.signal())
}

/// Asks build tools.
struct Questions<'a> {
    recording: &'a Recording,
    build: &'a Build,
    adapters: &'a [Box<dyn Adapter>],
    /// Whether each action was up to date before anything was touched; why not.
    before: HashMap<ActionId, Result<(), String>>,
}

impl Questions<'_> {
    /// Whether the tool misses a change of `file`, or why that can't be tried.
    fn prove(&mut self, id: ActionId, file: &[u8]) -> Result<Confirmation, String> {
        let graph = &self.build.graph;
        let action = graph.action(id);
        let run = action.run.ok_or("no build tool runs the action")?;
        let tool = graph.run(run).tool.as_str();
        let adapter = self.adapters.iter().find(|adapter| adapter.name() == tool);
        let adapter = adapter.ok_or_else(|| format!("{tool} can't be asked"))?;
        let built = |id: &&_| Path::new(OsStr::from_bytes(graph.paths.get(**id))).exists();
        let target = action.outputs.iter().find(built).ok_or("what it makes is not there")?;
        let target = graph.paths.get(*target);
        let ask = || {
            let answer = adapter.up_to_date(self.recording, graph, run, target);
            answer.map_err(|error: Error| error.to_string())
        };
        let before = self.before.entry(id).or_insert_with(|| match ask()? {
            answer if answer.yes => Ok(()),
            answer => Err(format!("`{}` has work to do as it is", answer.command)),
        });
        before.clone()?;
        let made = Path::new(OsStr::from_bytes(target)).metadata().and_then(|m| m.modified());
        let made = made.map_err(|error| format!("{}: {error}", printable(target)))?;
        let workspace = Path::new(OsStr::from_bytes(&self.build.workspace));
        let touched = Touched::new(Path::new(OsStr::from_bytes(file)), workspace, made)?;
        let after = ask();
        touched.restore().map_err(|error| format!("its times can't be put back: {error}"))?;
        let after = after?;
        let (result, would) = match after.yes {
            true => (Proof::Proven, "leaves it as it is"),
            false => (Proof::NotReproduced, "would rebuild it"),
        };
        Ok(Confirmation { result, how: format!("`{}` {would} with a newer file", after.command) })
    }
}

/// A file that is newer for a while.
struct Touched {
    file: File,
    /// Its times as they were.
    times: FileTimes,
    restored: bool,
}

impl Touched {
    /// Makes a file newer than `than`.
    fn new(path: &Path, workspace: &Path, than: SystemTime) -> Result<Touched, String> {
        if !path.starts_with(workspace) {
            return Err("the file is outside of the workspace".to_owned());
        }
        let found = path.symlink_metadata().map_err(|error| format!("the file: {error}"))?;
        if !found.is_file() {
            return Err("it is no plain file".to_owned());
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path)
            .map_err(|error| format!("the file can't be opened: {error}"))?;
        let times = || -> io::Result<FileTimes> {
            let found = file.metadata()?;
            Ok(FileTimes::new().set_accessed(found.accessed()?).set_modified(found.modified()?))
        };
        let times = times().map_err(|error| format!("its times can't be read: {error}"))?;
        let newer = SystemTime::now().max(than + Duration::from_millis(1));
        let touched = Touched { file, times, restored: false };
        let set = touched.file.set_times(FileTimes::new().set_modified(newer));
        set.map_err(|error| format!("its time can't be changed: {error}"))?;
        Ok(touched)
    }

    fn restore(mut self) -> io::Result<()> {
        self.restored = true;
        self.file.set_times(self.times)
    }
}

/// Also when something panics.
impl Drop for Touched {
    fn drop(&mut self) {
        if !self.restored {
            // There is nobody left to tell.
            let _ = self.file.set_times(self.times);
        }
    }
}

/// Holds signals back while a file is touched.
struct Watch {
    signal: Arc<AtomicUsize>,
    /// Once set, signals do what they did before.
    over: Arc<AtomicBool>,
}

impl Watch {
    fn begin() -> io::Result<Watch> {
        let watch = Watch { signal: Arc::default(), over: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if limits::is_ignored(signal) {
                continue;
            }
            flag::register_conditional_default(signal, watch.over.clone())?;
            flag::register_usize(signal, watch.signal.clone(), signal.unsigned_abs() as usize)?;
        }
        Ok(watch)
    }

    /// The signal that came.
    fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_put_back_to_the_nanosecond() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        std::fs::write(&path, "content")?;
        let at = |seconds, nanos| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        let (accessed, modified) = (at(1_000_000_000, 123_456_789), at(999_999_999, 987_654_321));
        let times = FileTimes::new().set_accessed(accessed).set_modified(modified);
        File::open(&path)?.set_times(times)?;
        let seen = || -> io::Result<_> {
            let found = path.metadata()?;
            Ok((found.accessed()?, found.modified()?))
        };
        let future = SystemTime::now() + Duration::from_secs(3600);
        let touched = Touched::new(&path, dir.path(), future)?;
        assert!(seen()?.1 > future);
        touched.restore()?;
        assert_eq!(seen()?, (accessed, modified));
        let panicked = std::panic::catch_unwind(|| {
            let _touched = Touched::new(&path, dir.path(), future);
            std::panic::panic_any(());
        });
        assert!(panicked.is_err());
        assert_eq!(seen()?, (accessed, modified));
        Ok(())
    }

    #[test]
    fn only_plain_files_of_the_workspace_are_touched() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "")?;
        std::os::unix::fs::symlink(&file, &link)?;
        let touch = |path: &Path, workspace: &Path| {
            Touched::new(path, workspace, SystemTime::UNIX_EPOCH).map(drop).err()
        };
        assert_eq!(touch(&file, dir.path()), None);
        assert_eq!(touch(&link, dir.path()).as_deref(), Some("it is no plain file"));
        assert_eq!(touch(dir.path(), dir.path()).as_deref(), Some("it is no plain file"));
        let outside = Some("the file is outside of the workspace");
        assert_eq!(touch(&file, &dir.path().join("sub")).as_deref(), outside);
        assert!(touch(&dir.path().join("absent"), dir.path()).is_some());
        Ok(())
    }
}
