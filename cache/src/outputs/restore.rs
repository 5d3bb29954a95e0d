//! Puts what an action made back into the workspace.

use super::builder::{Builder, open_blob};
use super::path::{check_path, check_target, overlapping};
use super::place::{Place, PlaceError, Places};
use super::transaction::Transaction;
use super::tree::{self, Directory, MAX_TREE, check_links};
use crate::local::{LocalStore, StoreError};
use crate::result::ActionResult;
use airtight_recording::Digest;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

/// How outputs are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Files are hard links into the store where that is possible. Since writing to one would
    /// change the store, all restored files are read-only then, linked or not.
    pub hard_links: bool,
    /// This process's umask.
    pub umask: u32,
    /// The umask under which the outputs were made. A mode that came from that umask alone is
    /// restored as it would come from ours; every other mode exactly.
    pub producer_umask: Option<u32>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many regular files, those in directories included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of the files share their blocks with the store.
    pub cloned: u64,
    /// How many of the files are links into the store.
    pub linked: u64,
}

/// Why nothing was restored. The workspace is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store lacks a blob. To be fetched; then worth another try.
    #[error("the store lacks {0}")]
    Missing(Digest),
    /// A blob in the store was not what its digest says. It is removed: as good as missing.
    #[error("damaged in the store: {0}")]
    Damaged(Digest),
    /// The result can't be trusted: it is damaged, or somebody tries something.
    #[error("{path}: {what}")]
    Untrusted {
        /// The output.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A directory above the output is a link that leads out of the workspace.
    #[error("{path}: leads out of the workspace")]
    Escapes {
        /// The output.
        path: String,
    },
    /// The file system refused.
    #[error("{path}: {what}: {source}")]
    System {
        /// The output, or the workspace.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RestoreError {
    pub(super) fn untrusted(path: &str, what: impl Into<String>) -> RestoreError {
        RestoreError::Untrusted { path: path.to_owned(), what: what.into() }
    }

    fn system(path: &str, what: &'static str) -> impl FnOnce(Errno) -> RestoreError {
        move |errno| RestoreError::System { path: path.to_owned(), what, source: errno.into() }
    }
}

/// Restores the outputs of an action into `workspace`: all of them, or nothing. `outputs` are the
/// paths that the action declares, and `result` must have exactly these.
///
/// Every blob is hashed as it is restored. What stands in the place of an output (a file, a link,
/// a directory) is replaced.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    workspace: &Path,
    result: &ActionResult,
    outputs: &[String],
    store: &LocalStore,
    options: RestoreOptions,
) -> Result<Restored, RestoreError> {
    check_outputs(result, outputs)?;
    let mut directories = Vec::new();
    for output in &result.directories {
        directories.push((output.path.as_str(), read_tree(&output.path, &output.tree, store)?));
    }
    let mut needed: Vec<&Digest> = result.files.iter().map(|file| &file.digest).collect();
    for (_, tree) in &directories {
        let mut files = Vec::new();
        tree::files(tree, &mut files);
        needed.extend(files.iter().map(|file| &file.digest));
    }
    store.hold(needed);
    let root = workspace.display().to_string();
    let places = Places::new(workspace, true).map_err(RestoreError::system(&root, "can't open"))?;
    let mut transaction = Transaction::new(places);
    let mut find = |path: &str| {
        transaction.places().find(path).map_err(|error| match error {
            PlaceError::Escapes => RestoreError::Escapes { path: path.to_owned() },
            PlaceError::System(errno) => {
                RestoreError::system(path, "can't reach its directory")(errno)
            }
        })
    };
    let files = result.files.iter().map(|file| Ok((file, find(&file.path)?)));
    let files = files.collect::<Result<Vec<_>, RestoreError>>()?;
    let links = result.links.iter().map(|link| Ok((link, find(&link.path)?)));
    let links = links.collect::<Result<Vec<_>, RestoreError>>()?;
    let directories = directories.into_iter().map(|(path, tree)| Ok((path, tree, find(path)?)));
    let directories = directories.collect::<Result<Vec<_>, RestoreError>>()?;

    // Links between directories can bring together what is apart by name.
    let places: Vec<String> = (files.iter().map(|(_, place)| place))
        .chain(links.iter().map(|(_, place)| place))
        .chain(directories.iter().map(|(_, _, place)| place))
        .map(Place::path)
        .collect();
    if let Some((above, below)) = overlapping(places.iter().map(String::as_str)) {
        return Err(RestoreError::untrusted(below, format!("is part of the output `{above}`")));
    }
    for (link, place) in &links {
        check_target(link.target.as_bytes(), place.depth())
            .map_err(|what| RestoreError::untrusted(&link.path, what))?;
    }
    for (path, tree, place) in &directories {
        check_links(tree, place.depth() + 1)
            .map_err(|(name, what)| RestoreError::untrusted(&format!("{path}/{name}"), what))?;
    }

    let mut builder = Builder::new(store, options);
    for (file, place) in &files {
        transaction
            .stage(place, |dir, name| builder.file(dir, name, &file.digest, file.mode))
            .map_err(|fault| fault.at(&file.path))?;
    }
    for (link, place) in &links {
        transaction
            .stage(place, |dir, name| builder.link(dir, name, &link.target))
            .map_err(|fault| fault.at(&link.path))?;
    }
    for (path, tree, place) in &directories {
        transaction
            .stage(place, |dir, name| builder.directory(dir, name, tree))
            .map_err(|fault| fault.at(path))?;
    }
    transaction
        .commit()
        .map_err(|(path, errno)| RestoreError::system(&path, "can't put it into place")(errno))?;
    Ok(builder.restored())
}

/// Checks that the paths of `result` are those of `outputs`, and paths that may be written to.
fn check_outputs(result: &ActionResult, outputs: &[String]) -> Result<(), RestoreError> {
    let files = result.files.iter().map(|output| &output.path);
    let links = result.links.iter().map(|output| &output.path);
    let directories = result.directories.iter().map(|output| &output.path);
    let mut given = BTreeSet::new();
    for path in files.chain(links).chain(directories) {
        check_path(path).map_err(|what| RestoreError::untrusted(path, what))?;
        if !given.insert(path) {
            return Err(RestoreError::untrusted(path, "is there twice"));
        }
    }
    let declared: BTreeSet<&String> = outputs.iter().collect();
    if let Some(path) = given.difference(&declared).next() {
        return Err(RestoreError::untrusted(path, "is not a declared output"));
    }
    if let Some(path) = declared.difference(&given).next() {
        return Err(RestoreError::untrusted(path, "is declared and not in the result"));
    }
    if let Some(file) = result.files.iter().find(|file| file.mode > 0o777) {
        return Err(RestoreError::untrusted(&file.path, format!("has the mode {:o}", file.mode)));
    }
    Ok(())
}

/// Reads and decodes the tree of the output `path`.
pub(super) fn read_tree(
    path: &str,
    digest: &Digest,
    store: &LocalStore,
) -> Result<Directory, RestoreError> {
    if digest.size() > MAX_TREE {
        let what = format!("a tree of {} bytes; the limit is {MAX_TREE}", digest.size());
        return Err(RestoreError::untrusted(path, what));
    }
    let file = open_blob(store, digest).map_err(|fault| fault.at(path))?;
    let mut bytes = Vec::new();
    file.take(digest.size() + 1).read_to_end(&mut bytes).map_err(|source| {
        RestoreError::System { path: path.to_owned(), what: "can't read its tree", source }
    })?;
    if Digest::of(&bytes) != *digest {
        store.discard_blob(digest);
        return Err(RestoreError::Damaged(*digest));
    }
    tree::decode(&bytes).map_err(|what| RestoreError::untrusted(path, what))
}
