//! What stands under a key in the local store, for people who have only the key.

use crate::blob::Blob;
use crate::digest::from_hex;
use crate::entry::{Damage, Entry, action_of, decode_path_sets};
use crate::local::{LocalStore, StoreError};
use crate::proto::{self, reapi};
use crate::remote::MAX_ENTRY;
use airtight_policy::ActionDigest;
use airtight_recording::Digest;
use bytes::Bytes;
use prost::Message;

/// What stands under a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum Record {
    /// Under a strong key: a result.
    Result {
        /// The strong key.
        action: ActionDigest,
        /// The result.
        entry: Box<Entry>,
        /// The action's messages are in the store. Without them the paths are relative to the
        /// directory of the action, and its signature is not checked, so that no signer is told.
        checked: bool,
    },
    /// Under a weak key: the digests of path sets, the newest first.
    PathSets(Vec<Digest>),
}

/// Why it can't be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It can't be read, or its checksum is wrong; then it is removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not what it should be.
    #[error(transparent)]
    Damage(#[from] Damage),
}

impl LocalStore {
    /// What stands under the key with this hash; none when nothing does.
    ///
    /// # Errors
    /// When it can't be read or is damaged.
    pub fn inspect(&self, hash: &[u8; 32]) -> Result<Option<Record>, RecordError> {
        let Some(bytes) = self.get_entry(&Digest::from_parts(*hash, 0))? else { return Ok(None) };
        let named = match action_of(&bytes) {
            Ok(named) => named,
            Err(damage) => {
                let sets = decode_path_sets(&bytes).ok().filter(|sets| !sets.is_empty());
                return sets.map(|sets| Some(Record::PathSets(sets))).ok_or(damage.into());
            }
        };
        let digest = named.split_once('/').and_then(|(h, size)| from_hex(h, size.parse().ok()?));
        let digest = digest.filter(|digest| digest.hash() == hash).ok_or(Damage::Moved)?;
        let action = ActionDigest(digest);
        let declared = self.declared(&digest);
        let checked = declared.is_some();
        let entry = Entry::of_outputs(&bytes, declared.as_deref(), &action)?;
        Ok(Some(Record::Result { action, entry: Box::new(entry), checked }))
    }

    /// The outputs of an action, as the protocol has them and relative to the workspace, from the
    /// messages that were stored with its result.
    fn declared(&self, action: &Digest) -> Option<Vec<(String, String)>> {
        let action = reapi::Action::decode(self.message(action)?).ok()?;
        let command = proto::from_digest(action.command_digest.as_ref())?;
        let command = reapi::Command::decode(self.message(&command)?).ok()?;
        let outputs = command.output_paths.into_iter();
        outputs
            .map(|wire| {
                let path = inside(&command.working_directory, &wire)?;
                Some((wire, path))
            })
            .collect()
    }

    /// A small blob, hashed.
    fn message(&self, digest: &Digest) -> Option<Bytes> {
        let file = self.open_blob(digest).ok()??;
        (digest.size() <= MAX_ENTRY).then(|| Blob::file(file, *digest).bytes().ok())?
    }
}

/// A path relative to a directory of the workspace as one relative to the workspace; none when it
/// leads out.
fn inside(cwd: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = cwd.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => return None,
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_from_the_workspace() {
        for (cwd, path, expected) in [
            ("", "a.o", Some("a.o")),
            ("build", "a.o", Some("build/a.o")),
            ("build/x", "../y/a.o", Some("build/y/a.o")),
            ("build", "../../a.o", None),
            ("", "/a.o", None),
        ] {
            assert_eq!(inside(cwd, path).as_deref(), expected, "{path} in {cwd}");
        }
    }
}
