//! What happened in the cache, counted over all processes.

use crate::local::Ledger;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The name of the file in the store.
pub(crate) const FILE: &str = "stats-v1";

/// An enum whose values have names that never change.
macro_rules! names {
    ($(#[$about:meta])* $type:ident { $($(#[$doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$doc])* $value,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[$type] = &[$($type::$value),*];

            /// The name that statistics know it by.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$value => $name,)*
                }
            }
        }
    };
}

names! {
    /// Why an action was not restored from a cache.
    MissReason {
        /// No cache knows the action.
        NoEntry = "no-entry",
        /// Known, but a file beyond the declared inputs has changed, appeared or gone.
        PathsChanged = "paths-changed",
        /// An entry or blob was not what it should be.
        Damaged = "damaged",
        /// A blob that the entry names is gone.
        BlobMissing = "blob-missing",
        /// The entry has other outputs than are declared.
        OtherOutputs = "other-outputs",
        /// No trusted key has signed the entry.
        Untrusted = "untrusted",
        /// The user asked for a new run.
        Refreshed = "refreshed",
        /// A hit that was run again nevertheless, for comparison.
        Sampled = "sampled",
        /// The outputs could not be written.
        RestoreFailed = "restore-failed",
    }
}

names! {
    /// Why the result of an action was not stored.
    NotCachedReason {
        /// The command failed.
        Failed = "failed",
        /// It was stopped after its time was up.
        TimedOut = "timed-out",
        /// The verdict is not clean.
        Findings = "findings",
        /// The recording is incomplete.
        Incomplete = "incomplete",
        /// An input changed while the action ran.
        InputChanged = "input-changed",
        /// A declared output is missing.
        OutputMissing = "output-missing",
        /// An output can't be stored: a device, a link out of the workspace, too large.
        OutputUnfit = "output-unfit",
        /// A finding is suppressed in a way that forbids caching.
        Suppressed = "suppressed",
        /// The action is declared as not cacheable.
        NotCacheable = "not-cacheable",
        /// Two runs gave different outputs.
        NotDeterministic = "not-deterministic",
        /// Storing is turned off.
        Disabled = "disabled",
        /// There is no room in the local store.
        StoreFull = "store-full",
        /// The local store failed in another way.
        StoreFailed = "store-failed",
    }
}

/// What happened with one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct RemoteCounters {
    /// Actions restored from it.
    pub hits: u64,
    /// Actions published to it.
    pub published: u64,
    /// Requests that failed for good.
    pub errors: u64,
    /// Times that it was left alone after too many errors.
    pub tripped: u64,
    /// Bytes of content sent to it.
    pub bytes_up: u64,
    /// Bytes of content taken from it.
    pub bytes_down: u64,
}

/// What happened. Names that a newer version has counted are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct Counters {
    /// Actions restored from the local store.
    pub local_hits: u64,
    /// Actions restored from a remote.
    pub remote_hits: u64,
    /// Actions that were run, by the name of a [`MissReason`].
    pub misses: BTreeMap<String, u64>,
    /// Actions whose result was stored.
    pub published: u64,
    /// Actions whose result was not stored, by the name of a [`NotCachedReason`].
    pub not_cached: BTreeMap<String, u64>,
    /// Entries and blobs that were damaged.
    pub damaged: u64,
    /// Entries and blobs that were evicted.
    pub evicted: u64,
    /// By remote. Whoever counts names it without credentials.
    pub remotes: BTreeMap<String, RemoteCounters>,
}

impl Counters {
    /// Counts an action that was restored: from this remote, or from the local store.
    pub fn hit(&mut self, remote: Option<&str>) {
        match remote {
            None => self.local_hits += 1,
            Some(name) => {
                self.remote_hits += 1;
                self.remote(name).hits += 1;
            }
        }
    }

    /// Counts a miss.
    pub fn miss(&mut self, reason: MissReason) {
        *self.misses.entry(reason.name().to_owned()).or_default() += 1;
    }

    /// Counts a result that was not stored.
    pub fn not_cached(&mut self, reason: NotCachedReason) {
        *self.not_cached.entry(reason.name().to_owned()).or_default() += 1;
    }

    /// The counters of a remote.
    pub fn remote(&mut self, name: &str) -> &mut RemoteCounters {
        self.remotes.entry(name.to_owned()).or_default()
    }

    /// All hits.
    pub fn hits(&self) -> u64 {
        self.local_hits.saturating_add(self.remote_hits)
    }

    /// All misses.
    pub fn all_misses(&self) -> u64 {
        self.misses.values().fold(0, |sum, n| sum.saturating_add(*n))
    }
}

/// The statistics of a store: an append-only file that all processes add to.
#[derive(Clone, Debug)]
pub struct Stats(Ledger);

impl Stats {
    /// The statistics in the store at `root`. Makes nothing.
    pub fn open(root: &Path) -> Stats {
        Stats(Ledger::new(root.join(FILE)))
    }

    /// Adds what happened, with one short write. To be called once for each process or action.
    /// It waits for other processes for 20 ms at most.
    ///
    /// # Errors
    /// When it can't be written. No reason to stop: only the count is lost.
    pub fn add(&self, counters: &Counters) -> io::Result<()> {
        match without_zeros(serde_json::to_value(counters)?) {
            Some(line) => self.0.add(&line),
            None => Ok(()),
        }
    }

    /// What happened since the last reset.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&self) -> io::Result<Counters> {
        Ok(serde_json::from_value(Value::Object(self.0.read()?))?)
    }

    /// Begins anew.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn reset(&self) -> io::Result<()> {
        self.0.update(serde_json::Map::clear)
    }
}

/// Leaves out what adds nothing.
fn without_zeros(value: Value) -> Option<Value> {
    match value {
        Value::Number(number) => (number.as_u64() != Some(0)).then_some(Value::Number(number)),
        Value::Object(members) => {
            let members: serde_json::Map<_, _> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_zeros(value)?)))
                .collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Counters {
        let mut counters = Counters { local_hits: 2, damaged: 1, ..Counters::default() };
        counters.miss(MissReason::NoEntry);
        counters.not_cached(NotCachedReason::Findings);
        counters.remote("http://one").bytes_up = 10;
        counters
    }

    #[test]
    fn counters_add_up() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let stats = Stats::open(directory.path());
        assert_eq!(stats.read()?, Counters::default());
        stats.add(&some())?;
        assert_eq!(stats.read()?, some());
        for _ in 0..99 {
            stats.add(&some())?;
        }
        let sum = stats.read()?;
        assert_eq!((sum.hits(), sum.all_misses(), sum.damaged), (200, 100, 100));
        assert_eq!(sum.not_cached["findings"], 100);
        assert_eq!(sum.remotes["http://one"].bytes_up, 1000);
        stats.reset()?;
        assert_eq!(stats.read()?, Counters::default());
        Ok(())
    }

    #[test]
    fn what_newer_versions_count_survives() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join(FILE);
        let newer = r#"{"local-hits":1,"new":{"x":1},"misses":{"newer-reason":3}}"#;
        std::fs::write(&file, newer)?;
        let stats = Stats::open(directory.path());
        // Enough to fold it.
        for _ in 0..500 {
            stats.add(&some())?;
        }
        let read = stats.read()?;
        assert_eq!((read.local_hits, read.misses["newer-reason"]), (1001, 3));
        assert!(std::fs::read_to_string(&file)?.contains(r#""new":{"x":1}"#));
        Ok(())
    }

    #[test]
    fn names_are_their_own() {
        let names: std::collections::BTreeSet<_> =
            NotCachedReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), NotCachedReason::ALL.len());
        let names: std::collections::BTreeSet<_> =
            MissReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), MissReason::ALL.len());
    }
}
