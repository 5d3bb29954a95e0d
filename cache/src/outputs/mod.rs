//! What an action made: taken into the store after a verified run, and put back on a hit.
//!
//! An output is a regular file, a symbolic link, or a directory with everything in it. Its
//! permission bits are kept, its time is not: what is restored is as new as what was just made, so
//! that make and ninja take it for that.
//!
//! Nothing is refused silently: what can't be stored faithfully (devices, FIFOs, sockets, set-id
//! bits, file capabilities, names that are not UTF-8, links that lead out of the workspace) is a
//! [`Refusal`], and the action stays uncached. Access control lists, other extended attributes and
//! the set-group-id bit of directories (which they inherit) are not stored.
//!
//! # After a `kill -9`
//! A restored output appears by one rename. A process that is killed while it restores leaves
//! complete outputs, some old and some new, and temporary names `.airtight-<id>.<number>`; the next
//! process that restores into the same directory removes these. On a file system that can't
//! exchange two names (NFS) an old output may be missing, with its content under such a name.

mod builder;
mod collect;
mod needed;
mod opaque;
mod path;
mod place;
mod restore;
mod room;
mod transaction;
mod tree;

pub use collect::{CollectError, Collected, Found, Refusal, collect};
pub use needed::{Needed, needed};
pub(crate) use needed::{blobs, directories};
pub use restore::{RestoreError, RestoreOptions, Restored, restore};
pub use room::is_temporary;
pub use tree::{MAX_DEPTH, MAX_NODES, MAX_TREE};

/// Decodes a `Tree` as a restore does, for the fuzzer.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn check_tree(bytes: &[u8]) -> Result<Vec<u8>, String> {
    tree::decode(bytes).map(|directory| tree::encode(&directory))
}
