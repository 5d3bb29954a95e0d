//! Runs small programs under a watch.

use super::super::family::Family;
use super::super::tree::Tree;
use super::super::view::{Sight, View};
use super::super::{Also, Watch, perf};
use crate::sys::process::{CAP_SYS_ADMIN, has_capability};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

pub(super) fn is_privileged() -> bool {
    has_capability(CAP_SYS_ADMIN)
}

/// A program of `tests/programs`, compiled.
pub(super) fn program(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/programs/{name}.c"));
    let exe = std::env::current_exe().expect("this program has a name");
    let dir = exe.parent().expect("it is in a directory").join("kernel-tests");
    std::fs::create_dir_all(&dir).expect("mkdir");
    let made = dir.join(name);
    let time = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if time(&made) < time(&source) {
        let draft = dir.join(format!("{name}.{}", std::process::id()));
        let gcc =
            Command::new("gcc").args(["-O1", "-pthread", "-o"]).args([&draft, &source]).status();
        assert!(gcc.expect("gcc is needed to compile the test programs").success());
        std::fs::rename(&draft, &made).expect("rename");
    }
    made
}

/// A watch and a tree without a root; none when the kernel refuses it, as it must without privilege.
pub(super) fn start() -> Option<(Watch, Tree)> {
    match Watch::set().and_then(|watch| Ok((watch, Tree::start(&Also::default())?))) {
        Ok(started) => Some(started),
        Err(error) => {
            assert!(!is_privileged(), "{error}");
            None
        }
    }
}

/// Runs a program under a watch; none when the kernel refuses it, as it must without privilege.
pub(super) fn watch(command: &mut Command) -> Option<(View, Family)> {
    let (watch, mut tree) = start()?;
    let since = perf::now();
    let mut child = command.spawn().expect("a program starts");
    tree.root(child.id() as i32, since);
    let watcher = watch.follow(tree).expect("a thread starts");
    let status = child.wait().expect("the program ends");
    let seen = watcher.finish();
    assert!(status.success(), "{command:?}: {status}");
    Some(seen)
}

/// A directory where programs run.
pub(super) struct Run {
    dir: tempfile::TempDir,
}

impl Run {
    pub(super) fn new() -> Run {
        Run::within(&std::env::temp_dir())
    }

    pub(super) fn within(dir: &Path) -> Run {
        Run { dir: tempfile::tempdir_in(dir).expect("a directory") }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes calls, one after another, see `ops.c`.
    pub(super) fn ops(&self, calls: &[&str]) -> Option<View> {
        self.program("ops", calls)
    }

    pub(super) fn program(&self, name: &str, args: &[&str]) -> Option<View> {
        if !is_privileged() {
            return None;
        }
        let mut command = Command::new(program(name));
        command.args(args).current_dir(self.path()).stdout(std::process::Stdio::null());
        watch(&mut command).map(|(view, _)| view)
    }

    pub(super) fn shell(&self, script: &str) -> Option<View> {
        let mut command = Command::new("sh");
        let view = watch(command.args(["-ec", script]).current_dir(self.path()));
        view.map(|(view, _)| view)
    }
}

/// A sight, as `act name`, with a slash behind a directory.
pub(super) fn fact(view: &View, sight: &Sight, dir: &Path) -> Option<String> {
    let dir = dir.as_os_str().as_encoded_bytes();
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    let within = |place| {
        let names = view.names(place);
        let names = names.iter().find_map(|name| {
            let rest = name.strip_prefix(dir)?;
            if rest.is_empty() { Some(&b"."[..]) } else { rest.strip_prefix(b"/") }
        });
        names.map(|name| String::from_utf8_lossy(name).into_owned())
    };
    let slash = if sight.dir { "/" } else { "" };
    let mut fact = format!("{:?} {}{slash}", sight.act, within(&sight.place)?);
    for also in sight.also.iter().filter_map(within) {
        fact.push_str(&format!(" or {also}{slash}"));
    }
    Some(fact)
}

/// What was done in a directory.
pub(super) fn facts(view: &View, dir: &Path) -> Vec<String> {
    let dir = dir.canonicalize().expect("it is there");
    let mut found: Vec<_> =
        view.sights.iter().filter_map(|sight| fact(view, sight, &dir)).collect();
    found.sort();
    found.dedup();
    found
}

/// Nothing was missed, and in the directory exactly this was done.
#[track_caller]
pub(super) fn exactly(view: Option<View>, dir: &Path, expected: &[&str]) {
    let Some(view) = view else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(facts(&view, dir), expected);
}
