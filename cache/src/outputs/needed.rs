//! What a restore needs and the store lacks.

use super::restore::{RestoreError, read_tree};
use super::tree;
use crate::blob::Blob;
use crate::local::LocalStore;
use crate::result::ActionResult;
use airtight_recording::Digest;
use std::collections::BTreeSet;

/// What is to be fetched before a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The blobs that the store lacks, sorted, each once.
    pub missing: Vec<Digest>,
    /// Trees are among them, so that what is in these directories can't be told yet: ask again
    /// when they are there.
    pub more: bool,
    /// The bytes of all blobs of the result that are known by now, in the store or not.
    pub bytes: u64,
}

/// What `store` lacks of `result`, standard output and error included.
///
/// Asked before a download and again when the trees are there. Nothing is fetched of a result that
/// is larger than `limit` bytes altogether.
///
/// # Errors
/// When the result or one of its trees can't be trusted, or the store can't be read.
pub fn needed(
    result: &ActionResult,
    store: &LocalStore,
    limit: u64,
) -> Result<Needed, RestoreError> {
    let (blobs, more) = blobs(result, store)?;
    let bytes = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size()));
    if bytes > limit {
        let what = format!("a result of {bytes} bytes; the limit is {limit}");
        let path = result.files.iter().map(|file| &file.path);
        let mut path = path.chain(result.directories.iter().map(|output| &output.path));
        return Err(RestoreError::untrusted(path.next().map_or("", String::as_str), what));
    }
    let missing = blobs.into_iter().filter(|blob| !store.has_blob(blob)).collect();
    Ok(Needed { missing, more, bytes })
}

/// All blobs of `result`, standard output and error included, and whether the store lacks a tree,
/// so that there are more.
pub(crate) fn blobs(
    result: &ActionResult,
    store: &LocalStore,
) -> Result<(BTreeSet<Digest>, bool), RestoreError> {
    let files = result.files.iter().map(|file| file.digest);
    let mut blobs: BTreeSet<Digest> = files.chain(result.stdout).chain(result.stderr).collect();
    let mut more = false;
    for output in &result.directories {
        blobs.insert(output.tree);
        match read_tree(&output.path, &output.tree, store) {
            Ok(directory) => {
                let mut files = Vec::new();
                tree::files(&directory, &mut files);
                blobs.extend(files.iter().map(|file| file.digest));
            }
            Err(RestoreError::Missing(_) | RestoreError::Damaged(_)) => more = true,
            Err(error) => return Err(error),
        }
    }
    Ok((blobs, more))
}

/// The messages of all directories below those of `result`, each once for each of these. Airtight
/// has no use for them, as they stand in the trees.
pub(crate) fn directories(
    result: &ActionResult,
    store: &LocalStore,
) -> Result<Vec<Blob>, RestoreError> {
    let mut messages = Vec::new();
    for output in &result.directories {
        let directory = read_tree(&output.path, &output.tree, store)?;
        messages.extend(tree::below(&directory).into_iter().map(Blob::of));
    }
    Ok(messages)
}
