//! Finding and restoring the result of an action.

use super::{Beyond, Cache, MAX_STREAM};
use crate::blob::Blob;
use crate::entry::{Damage, Entry, MAX_PATH_SETS, decode_path_sets, encode_path_sets};
use crate::key::{Action, Look, PathSet};
use crate::local::StoreError;
use crate::outputs::{self, RestoreError, RestoreOptions, Restored};
use crate::remote::{Guarded, MAX_ENTRY, Remote};
use crate::stats::MissReason;
use airtight_policy::ActionDigest;
use airtight_recording::Digest;
use bytes::Bytes;
use std::io::Read;

/// A result that was found, and restored if that was asked for.
#[derive(Debug)]
pub struct Hit {
    /// The remote it came from; none for the local store.
    pub remote: Option<String>,
    /// The strong key.
    pub action: ActionDigest,
    /// The entry.
    pub entry: Entry,
    /// What the action wrote to standard output.
    pub stdout: Bytes,
    /// What the action wrote to standard error.
    pub stderr: Bytes,
    /// What was written; nothing if nothing was to be restored.
    pub restored: Restored,
    /// What was found damaged on the way, one line each.
    pub notes: Vec<String>,
}

/// Why nothing was found.
#[derive(Debug)]
pub struct Miss {
    /// The reason that tells most.
    pub reason: MissReason,
    /// What was found damaged or not to be trusted, one line each.
    pub notes: Vec<String>,
}

/// What is to be done with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restore {
    /// Write the outputs, under this umask.
    Outputs {
        /// The umask of this process.
        umask: u32,
    },
    /// Only find it.
    Nothing,
}

/// One search.
pub(super) struct Search<'a> {
    cache: &'a Cache,
    action: &'a Action,
    look: &'a Look<'a>,
    restore: Restore,
    pub(super) notes: Vec<String>,
    /// How much was found damaged.
    damaged: u64,
    reason: MissReason,
}

/// How much a reason tells: a later one is kept.
fn weight(reason: MissReason) -> u8 {
    match reason {
        MissReason::NoEntry => 0,
        MissReason::PathsChanged => 1,
        MissReason::BlobMissing => 2,
        _ => 3,
    }
}

impl Cache {
    /// Looks for the result of `action` and restores it: from the local store, else from the
    /// remotes in order. `look` tells the present state of the files that the result depends on.
    /// Nothing that was found is believed; see [`Entry::decode`] and [`outputs::restore`].
    ///
    /// # Errors
    /// When no store has a result that can be used. The workspace is as it was.
    pub fn restore(&self, action: &Action, look: &Look<'_>, restore: Restore) -> Result<Hit, Miss> {
        let mut search = Search::new(self, action, look, restore);
        let found = if self.options.fetch { search.run() } else { None };
        let Search { notes, damaged, reason, .. } = search;
        let mut counters = self.counters();
        counters.damaged += damaged;
        match found {
            Some(mut hit) => {
                hit.notes = notes;
                // What is done with it otherwise is the caller's to count.
                if restore != Restore::Nothing {
                    counters.hit(hit.remote.as_deref());
                }
                Ok(hit)
            }
            None => {
                counters.miss(reason);
                Err(Miss { reason, notes })
            }
        }
    }

    /// Writes the outputs of a hit that was found with [`Restore::Nothing`], under this umask. Gives
    /// the notes.
    ///
    /// # Errors
    /// When that fails: what was found is damaged or gone by now, or can't be written. The
    /// workspace is as it was.
    pub fn write(
        &self,
        action: &Action,
        look: &Look<'_>,
        hit: &Hit,
        umask: u32,
    ) -> Result<Vec<String>, Miss> {
        let mut search = Search::new(self, action, look, Restore::Outputs { umask });
        let written = search.write(&hit.entry, None);
        let Search { notes, damaged, reason, .. } = search;
        let mut counters = self.counters();
        counters.damaged += damaged;
        match written {
            Some(_) => {
                counters.hit(hit.remote.as_deref());
                Ok(notes)
            }
            None => {
                counters.miss(reason);
                Err(Miss { reason, notes })
            }
        }
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(
        cache: &'a Cache,
        action: &'a Action,
        look: &'a Look<'a>,
        restore: Restore,
    ) -> Search<'a> {
        let (notes, damaged, reason) = (Vec::new(), 0, MissReason::NoEntry);
        Search { cache, action, look, restore, notes, damaged, reason }
    }
}

impl Search<'_> {
    fn run(&mut self) -> Option<Hit> {
        if let Some(hit) = self.local() {
            return Some(hit);
        }
        if !self.cache.options.remotes.iter().any(|remote| remote.fetch) {
            return None;
        }
        match self.cache.beyond() {
            Ok(Beyond { runtime, remotes, .. }) => runtime.block_on(self.remotes(remotes)),
            Err(error) => {
                self.notes.push(error.to_string());
                None
            }
        }
    }

    fn because(&mut self, reason: MissReason) {
        if weight(reason) >= weight(self.reason) {
            self.reason = reason;
        }
    }

    /// An entry of the local store can't be read.
    fn unreadable(&mut self, error: &StoreError) {
        self.damaged += u64::from(error.is_damage());
        self.notes.push(error.to_string());
        self.because(MissReason::Damaged);
    }

    /// Something stored can't be used. Damage from a remote is told by the remote's warning.
    fn damaged(&mut self, from: Option<&Guarded>, what: &str, damage: &Damage) {
        let note = format!("{what}: {damage}");
        // That others sign with other keys, or don't, is no fault of the store.
        let fault = !matches!(damage, Damage::Signature(_));
        self.damaged += u64::from(fault);
        match from {
            Some(remote) if fault => remote.found_wrong(&note),
            _ => self.notes.push(note),
        }
        self.because(match damage {
            Damage::Signature(_) => MissReason::Untrusted,
            Damage::Outputs(_) => MissReason::OtherOutputs,
            _ => MissReason::Damaged,
        });
    }

    /// The path sets that stand under the weak key in the local store.
    pub(super) fn path_sets(&mut self) -> Option<Vec<Digest>> {
        let weak = self.action.weak();
        let list = match self.cache.local.get_entry(&weak) {
            Ok(list) => list?,
            Err(error) => {
                self.unreadable(&error);
                return None;
            }
        };
        match decode_path_sets(&list) {
            Ok(sets) => Some(sets),
            Err(damage) => {
                self.damaged(None, &format!("path sets of {weak}"), &damage);
                self.cache.local.discard_entry(&weak);
                None
            }
        }
    }

    fn local(&mut self) -> Option<Hit> {
        self.path_sets()?.iter().find_map(|set| {
            let paths = self.path_set(None, set)?;
            self.because(MissReason::PathsChanged);
            let message = self.strong(set, &paths);
            let strong = ActionDigest(message.digest());
            let bytes = match self.cache.local.get_entry(&strong.0) {
                Ok(bytes) => bytes?,
                Err(error) => {
                    self.unreadable(&error);
                    return None;
                }
            };
            let entry = self.believe(None, &bytes, &strong)?;
            let hit = self.apply(entry, strong, None)?;
            if self.cache.options.reshare {
                let result = &hit.entry.result;
                if let Err(error) =
                    self.cache.reshare(self.action, set, message, bytes.into(), result)
                {
                    self.notes.push(format!("not reshared: {error}"));
                }
            }
            Some(hit)
        })
    }

    /// The message of the strong key for a path set as things are now.
    fn strong(&self, set: &Digest, paths: &PathSet) -> Blob {
        self.action.strong(set, &self.look.states(paths).digest)
    }

    /// A path set from the local store, which has it from there.
    pub(super) fn path_set(&mut self, from: Option<&Guarded>, set: &Digest) -> Option<PathSet> {
        let bytes = match self.blob(set, MAX_ENTRY) {
            Ok(bytes) => bytes,
            Err(Damage::Blob(_)) if !self.cache.local.has_blob(set) => {
                self.because(MissReason::BlobMissing);
                return None;
            }
            Err(damage) => {
                self.damaged(None, &format!("path set {set}"), &damage);
                return None;
            }
        };
        match PathSet::decode(&bytes) {
            Ok(paths) => Some(paths),
            Err(error) => {
                let damage = Damage::Garbage(error.to_string());
                self.damaged(from, &format!("path set {set}"), &damage);
                None
            }
        }
    }

    /// A small blob from the local store, hashed. A damaged one is removed.
    fn blob(&self, digest: &Digest, most: u64) -> Result<Bytes, Damage> {
        if digest.size() > most {
            return Err(Damage::Blob(format!("{digest} is larger than {most} bytes")));
        }
        let local = &self.cache.local;
        let file = local.open_blob(digest).map_err(|error| Damage::Blob(error.to_string()))?;
        let file = file.ok_or_else(|| Damage::Blob(format!("the store lacks {digest}")))?;
        let mut bytes = Vec::with_capacity(usize::try_from(digest.size()).unwrap_or(0));
        // One byte more shows a blob that has grown.
        let read = file.take(digest.size() + 1).read_to_end(&mut bytes);
        read.map_err(|error| Damage::Blob(error.to_string()))?;
        if Digest::of(&bytes) != *digest {
            local.discard_blob(digest);
            return Err(Damage::Blob(format!("{digest} is damaged in the store")));
        }
        Ok(bytes.into())
    }

    fn believe(
        &mut self,
        from: Option<&Guarded>,
        bytes: &[u8],
        strong: &ActionDigest,
    ) -> Option<Entry> {
        match Entry::decode(bytes, self.action, strong, &self.cache.options.trusted) {
            Ok(entry) => Some(entry),
            Err(damage) => {
                self.damaged(from, &format!("entry {strong}"), &damage);
                None
            }
        }
    }

    /// Restores what an entry tells, if all of it is in the local store.
    fn apply(&mut self, entry: Entry, action: ActionDigest, from: Option<&Guarded>) -> Option<Hit> {
        let result = &entry.result;
        let mut stream = |digest: Option<Digest>| match digest {
            None => Some(Bytes::new()),
            Some(digest) => match self.blob(&digest, MAX_STREAM) {
                Ok(bytes) => Some(bytes),
                Err(_) if !self.cache.local.has_blob(&digest) => {
                    self.because(MissReason::BlobMissing);
                    None
                }
                Err(damage) => {
                    self.damaged(None, &format!("output of {action}"), &damage);
                    None
                }
            },
        };
        let (stdout, stderr) = (stream(result.stdout)?, stream(result.stderr)?);
        let restored = self.write(&entry, from)?;
        let remote = from.map(|remote| remote.name().to_owned());
        Some(Hit { remote, action, entry, stdout, stderr, restored, notes: Vec::new() })
    }

    /// Writes the outputs, if that is wanted.
    fn write(&mut self, entry: &Entry, from: Option<&Guarded>) -> Option<Restored> {
        let Restore::Outputs { umask } = self.restore else { return Some(Restored::default()) };
        let options = RestoreOptions {
            hard_links: self.cache.options.hard_links,
            umask,
            producer_umask: Some(entry.provenance.umask),
        };
        let (workspace, names) = (self.action.workspace(), self.action.outputs());
        match outputs::restore(workspace, &entry.result, names, &self.cache.local, options) {
            Ok(restored) => Some(restored),
            Err(error) => {
                self.not_restored(from, &error);
                None
            }
        }
    }

    fn not_restored(&mut self, from: Option<&Guarded>, error: &RestoreError) {
        match error {
            RestoreError::Missing(_) => self.because(MissReason::BlobMissing),
            RestoreError::Damaged(digest) => {
                self.cache.local.discard_blob(digest);
                self.damaged(None, "an output", &Damage::Blob(error.to_string()));
            }
            RestoreError::Untrusted { .. } => {
                self.damaged(from, "an output", &Damage::Blob(error.to_string()));
            }
            RestoreError::Store(store) if store.is_damage() => {
                self.damaged(None, "an output", &Damage::Blob(error.to_string()));
            }
            _ => {
                self.notes.push(format!("not restored: {error}"));
                self.because(MissReason::RestoreFailed);
            }
        }
    }

    async fn remotes(&mut self, remotes: &[Guarded]) -> Option<Hit> {
        for remote in remotes.iter().filter(|remote| remote.fetches()) {
            let remote = remote.for_action();
            if let Some(hit) = self.remote(&remote).await {
                return Some(hit);
            }
        }
        None
    }

    /// Looks in one remote. Its errors are told by the remote's own warning.
    async fn remote(&mut self, remote: &Guarded) -> Option<Hit> {
        let weak = self.action.weak();
        let list = remote.get_entry(&weak).await.ok()??;
        let sets = match decode_path_sets(&list) {
            Ok(sets) => sets,
            Err(damage) => {
                self.damaged(Some(remote), &format!("path sets of {weak}"), &damage);
                return None;
            }
        };
        let small: Vec<Digest> =
            sets.iter().copied().filter(|set| set.size() <= MAX_ENTRY).collect();
        self.fetch(remote, &small).await;
        for set in small {
            let Some(paths) = self.path_set(Some(remote), &set) else { continue };
            self.because(MissReason::PathsChanged);
            let strong = ActionDigest(self.strong(&set, &paths).digest());
            let Some(bytes) = remote.get_entry(&strong.0).await.ok().flatten() else { continue };
            let Some(entry) = self.believe(Some(remote), &bytes, &strong) else { continue };
            if !self.fetch_outputs(remote, &entry).await {
                continue;
            }
            if let Some(hit) = self.apply(entry, strong, Some(remote)) {
                self.keep(&set, &strong, &bytes);
                return Some(hit);
            }
        }
        None
    }

    /// Brings blobs into the local store that it lacks. What can't be had is missed later.
    async fn fetch(&mut self, remote: &Guarded, blobs: &[Digest]) {
        let local = &self.cache.local;
        let mut incoming = Vec::new();
        for blob in blobs.iter().filter(|blob| !local.has_blob(blob)) {
            match local.incoming(*blob) {
                Ok(blob) => incoming.push(blob),
                Err(error) => {
                    self.notes.push(error.to_string());
                    return;
                }
            }
        }
        if incoming.is_empty() {
            return;
        }
        let came = remote.get_blobs(&mut incoming).await;
        for (blob, came) in incoming.into_iter().zip(came) {
            if !matches!(came, Ok(true)) {
                continue;
            }
            let digest = blob.digest();
            if let Err(error) = blob.commit() {
                if error.kind() == std::io::ErrorKind::InvalidData {
                    self.damaged(Some(remote), "a blob", &Damage::Blob(error.to_string()));
                } else {
                    self.notes.push(format!("{digest}: {error}"));
                    self.because(MissReason::RestoreFailed);
                }
            }
        }
    }

    /// Brings everything into the local store that an entry names; false when that failed.
    async fn fetch_outputs(&mut self, remote: &Guarded, entry: &Entry) -> bool {
        // Once for what the entry names, once for what the trees of directories name.
        for _ in 0..2 {
            let limit = self.cache.options.max_size;
            match outputs::needed(&entry.result, &self.cache.local, limit) {
                Ok(needed) if needed.missing.is_empty() => return true,
                Ok(needed) => self.fetch(remote, &needed.missing).await,
                Err(error) => {
                    self.not_restored(Some(remote), &error);
                    return false;
                }
            }
        }
        let needed = outputs::needed(&entry.result, &self.cache.local, self.cache.options.max_size);
        let whole = needed.is_ok_and(|needed| needed.missing.is_empty());
        if !whole {
            self.because(MissReason::BlobMissing);
        }
        whole
    }

    /// Keeps what a remote had in the local store.
    fn keep(&mut self, set: &Digest, strong: &ActionDigest, entry: &[u8]) {
        let kept = self
            .cache
            .local
            .copy_entry(&strong.0, entry)
            .and_then(|()| self.cache.list_path_set(&self.action.weak(), set));
        if let Err(error) = kept {
            self.notes.push(error.to_string());
        }
    }
}

impl Cache {
    /// Puts a path set in front of those that stand under a weak key in the local store.
    pub(super) fn list_path_set(&self, weak: &Digest, set: &Digest) -> Result<(), StoreError> {
        let known = self.local.get_entry(weak).ok().flatten();
        match with_path_set(known.as_deref(), set) {
            Some(list) => self.local.copy_entry(weak, &list),
            None => Ok(()),
        }
    }
}

/// A list of path sets with `set` in front; none if it stands there already. Of two processes that
/// add to a list at the same time one may win; the other's set costs a miss, and is added again.
pub(super) fn with_path_set(known: Option<&[u8]>, set: &Digest) -> Option<Vec<u8>> {
    let known = known.and_then(|list| decode_path_sets(list).ok()).unwrap_or_default();
    if known.first() == Some(set) {
        return None;
    }
    let others = known.iter().filter(|other| *other != set);
    let sets: Vec<Digest> =
        std::iter::once(set).chain(others).take(MAX_PATH_SETS).copied().collect();
    Some(encode_path_sets(&sets))
}
