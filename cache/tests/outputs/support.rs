//! Workspaces, and what is in them.

use airtight_cache::local::LocalStore;
use airtight_cache::outputs::{CollectError, Collected, RestoreError, RestoreOptions, Restored};
use airtight_cache::{ActionResult, outputs};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The umask is the process's own and not touched: modes are set exactly.
pub(crate) const EXACT: RestoreOptions =
    RestoreOptions { hard_links: false, umask: 0o022, producer_umask: None };

/// One name in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(u32, Vec<u8>),
    Link(String),
    Directory(u32),
}

/// A workspace and a store, both empty at first.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) store: LocalStore,
}

impl Bench {
    pub(crate) fn new() -> Result<Bench, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let store = LocalStore::open(&dir.path().join("store"))?;
        let bench = Bench { dir, store };
        fs::create_dir(bench.workspace())?;
        fs::create_dir(bench.other())?;
        Ok(bench)
    }

    /// Where actions run.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    /// Another one, to restore into.
    pub(crate) fn other(&self) -> PathBuf {
        self.dir.path().join("other")
    }

    pub(crate) fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> io::Result<()> {
        write(&self.workspace().join(path), mode, content)
    }

    pub(crate) fn directory(&self, path: &str, mode: u32) -> io::Result<()> {
        let path = self.workspace().join(path);
        fs::create_dir_all(&path)?;
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    pub(crate) fn link(&self, target: &str, path: &str) -> io::Result<()> {
        let path = self.workspace().join(path);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        symlink(target, path)
    }

    pub(crate) fn collect(&self, paths: &[&str]) -> Result<Collected, CollectError> {
        outputs::collect(&self.workspace(), &strings(paths), &[], &self.store)
    }

    pub(crate) fn restore(
        &self,
        result: &ActionResult,
        paths: &[&str],
    ) -> Result<Restored, RestoreError> {
        outputs::restore(&self.other(), result, &strings(paths), &self.store, EXACT)
    }
}

pub(crate) fn write(path: &Path, mode: u32, content: impl AsRef<[u8]>) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

pub(crate) fn strings(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// Everything below `dir`, by its path in it.
pub(crate) fn snapshot(dir: &Path) -> io::Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let mode = metadata.mode() & 0o7777;
            let entry = if metadata.is_dir() {
                todo.push(path.clone());
                Entry::Directory(mode)
            } else if metadata.is_symlink() {
                Entry::Link(fs::read_link(&path)?.to_string_lossy().into_owned())
            } else {
                Entry::File(mode, fs::read(&path)?)
            };
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            entries.insert(name, entry);
        }
    }
    Ok(entries)
}

/// Whether we may do everything anyway, so that no file is unreadable.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}
