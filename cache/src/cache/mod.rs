//! The cache as a whole: the local store first, then remotes in order.
//!
//! | local store | remote | what happens |
//! |---|---|---|
//! | miss | miss | the action runs; both get its result, if it is verified |
//! | miss | hit | restored from the remote; the local store gets it |
//! | hit | not asked | restored from the local store (with `reshare`, remotes get it) |

mod explain;
mod find;
mod inspect;
mod publish;

pub use explain::{Known, KnownEntry, KnownSet, Nearest};
pub use find::{Hit, Miss, Restore};
pub use inspect::{Record, RecordError};
pub use publish::{PublishError, Sealed, Streams};

use crate::file_digests::{FileDigests, stamp_of};
use crate::local::{LocalStore, StoreError, StoreOptions};
use crate::remote::{self, Guarded, Remote as _, RemoteError, RemoteOptions, RemoteOptionsError};
use crate::sign::{SigningKey, TrustedKeys};
use crate::stats::{Counters, Stats};
use airtight_recording::{Digest, Stamp};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::Runtime;

/// The largest standard output or error that is stored: 64 MiB.
pub const MAX_STREAM: u64 = 64 << 20;

/// How the cache is to be used.
#[derive(Debug)]
pub struct CacheOptions {
    /// The directory of the local store.
    pub directory: PathBuf,
    /// The size in bytes that the local store is kept below.
    pub max_size: u64,
    /// What is stored locally is on the disk before it can be found.
    pub durable: bool,
    /// Results are taken.
    pub fetch: bool,
    /// Verified results are kept.
    pub push: bool,
    /// Remotes get results that only the local store has.
    pub reshare: bool,
    /// Read-only outputs may be hard links into the local store.
    pub hard_links: bool,
    /// Whose results are taken.
    pub trusted: TrustedKeys,
    /// Signs what is published.
    pub signing: Option<SigningKey>,
    /// In the order in which they are asked.
    pub remotes: Vec<RemoteOptions>,
}

/// The cache can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The local store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A remote can't be used as it is configured.
    #[error(transparent)]
    Remote(#[from] RemoteOptionsError),
    /// The runtime of the remotes can't be started.
    #[error("can't start what talks to remotes: {0}")]
    Runtime(io::Error),
}

/// The cache. Many threads may use it at once.
#[derive(Debug)]
pub struct Cache {
    local: LocalStore,
    digests: FileDigests,
    options: CacheOptions,
    /// Remotes and what drives them, made when the first of them is needed.
    beyond: OnceLock<Beyond>,
    /// Held while they are made, so that they are made once.
    making: Mutex<()>,
    counters: Mutex<Counters>,
}

/// Whether a remote answers.
pub type Ping = Result<(), RemoteError>;

#[derive(Debug)]
struct Beyond {
    runtime: Runtime,
    remotes: Vec<Guarded>,
    /// What of their counters is in the statistics already.
    flushed: Mutex<Vec<remote::Counters>>,
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Some(Beyond { runtime, remotes, .. }) = self.beyond.take() {
            drop(remotes);
            // A name that nobody resolves or a mount that hangs is not waited for.
            runtime.shutdown_background();
        }
    }
}

impl Cache {
    /// Opens the local store. Remotes are not talked to yet, but their options are looked at.
    ///
    /// # Errors
    /// When the local store can't be used, or the options of a remote are wrong.
    pub fn open(options: CacheOptions) -> Result<Cache, CacheError> {
        let store = StoreOptions { durable: options.durable };
        let local = LocalStore::open_with(&options.directory, store)?;
        let digests = FileDigests::open(&local);
        options.remotes.iter().try_for_each(remote::check)?;
        let (beyond, making, counters) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Ok(Cache { local, digests, options, beyond, making, counters })
    }

    /// The local store.
    pub fn local(&self) -> &LocalStore {
        &self.local
    }

    /// The digest of a file's content, from the digest cache where it knows the file, with the
    /// stamp of what was hashed. `about` is what the file system says of it, links followed.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn hash(&self, path: &Path, about: &Metadata) -> io::Result<(Digest, Stamp)> {
        let stamp = stamp_of(about);
        match self.digests.known(&stamp) {
            Some(digest) => Ok((digest, stamp)),
            None => self.digests.digest(path),
        }
    }

    /// The remotes in order: their names, whether results are taken from them, and stored in them.
    pub fn remotes(&self) -> impl Iterator<Item = (String, bool, bool)> + '_ {
        let CacheOptions { fetch, push, remotes, .. } = &self.options;
        remotes.iter().map(move |remote| {
            (remote::without_secrets(&remote.url), *fetch && remote.fetch, *push && remote.push)
        })
    }

    /// What all processes have counted since the last reset, without what this one has not yet
    /// written.
    ///
    /// # Errors
    /// When the statistics can't be read.
    pub fn totals(&self) -> io::Result<Counters> {
        Stats::open(self.local.root()).read()
    }

    /// What remotes deserve to be warned of, each once.
    pub fn warnings(&self) -> Vec<String> {
        let remotes = self.beyond.get().map(|beyond| beyond.remotes.as_slice());
        remotes.unwrap_or_default().iter().filter_map(Guarded::take_warning).collect()
    }

    /// Counts something.
    pub fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.counters());
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was counted so far to the statistics of the store.
    pub fn flush(&self) {
        let mut counters = std::mem::take(&mut *self.counters());
        if let Some(Beyond { remotes, flushed, .. }) = self.beyond.get() {
            let mut flushed = flushed.lock().unwrap_or_else(PoisonError::into_inner);
            for (remote, before) in remotes.iter().zip(flushed.iter_mut()) {
                let now = remote.counters();
                let errors = |c: &remote::Counters| {
                    c.unavailable + c.denied + c.full + c.wrong + c.refused + c.local
                };
                let sums = counters.remote(remote.name());
                sums.errors += errors(&now) - errors(before);
                sums.tripped += now.skipped - before.skipped;
                sums.bytes_up += now.sent - before.sent;
                sums.bytes_down += now.received - before.received;
                *before = now;
            }
        }
        // Only a count would be lost.
        let _ = Stats::open(self.local.root()).add(&counters);
    }

    /// Removes what was not used for the longest time, if the local store has grown too large.
    pub fn shrink(&self) {
        if let Some(report) = self.local.trim(self.options.max_size) {
            self.counters().evicted += report.entries + report.blobs;
        }
    }

    /// Asks each remote for an entry that nobody has, to see whether it answers; with its name for
    /// messages. Neither their budget nor what is known of their failures is touched.
    ///
    /// # Errors
    /// When the options of a remote are wrong.
    pub fn ping(remotes: &[RemoteOptions]) -> Result<Vec<(String, Ping)>, CacheError> {
        let runtime = runtime()?;
        runtime.block_on(async {
            let mut answers = Vec::new();
            for options in remotes {
                let remote = Guarded::new(remote::open(options)?, options, None);
                let answer = remote.get_entry(&Digest::of(b"airtight doctor")).await;
                answers.push((remote.name().to_owned(), answer.map(|_| ())));
            }
            Ok(answers)
        })
    }

    /// The remotes, and the runtime that drives them.
    fn beyond(&self) -> Result<&Beyond, CacheError> {
        if let Some(beyond) = self.beyond.get() {
            return Ok(beyond);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beyond) = self.beyond.get() {
            return Ok(beyond);
        }
        let runtime = runtime()?;
        let down = self.local.root().join("remotes-v1");
        let remotes: Vec<Guarded> = {
            let _inside = runtime.enter();
            let open = |options: &RemoteOptions| {
                Ok(Guarded::new(remote::open(options)?, options, Some(&down)))
            };
            self.options.remotes.iter().map(open).collect::<Result<_, RemoteOptionsError>>()?
        };
        let flushed = Mutex::new(vec![remote::Counters::default(); remotes.len()]);
        Ok(self.beyond.get_or_init(|| Beyond { runtime, remotes, flushed }))
    }
}

fn runtime() -> Result<Runtime, CacheError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(CacheError::Runtime)
}
