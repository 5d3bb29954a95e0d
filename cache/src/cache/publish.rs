//! The gate: the one way into a cache that others share.

use super::find::with_path_set;
use super::{Beyond, Cache, CacheError, MAX_STREAM};
use crate::blob::Blob;
use crate::entry::{Entry, Provenance};
use crate::key::{Action, KeyDescription, Look, NotCacheable, PathSet, State, unchanged};
use crate::local::StoreError;
use crate::outputs::{self, CollectError};
use crate::remote::{Guarded, Remote, RemoteError};
use crate::result::ActionResult;
use crate::stats::NotCachedReason;
use airtight_policy::{ActionDigest, Dependency, Judge, Verified};
use airtight_recording::{Digest, Recording};
use bytes::Bytes;
use memchr::memmem::Finder;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What an action wrote to its standard streams.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams<'a> {
    /// To standard output.
    pub stdout: &'a [u8],
    /// To standard error.
    pub stderr: &'a [u8],
}

/// The result of a run with its key, in the local store but under no key yet. Only
/// [`Cache::publish`] makes it findable, and that takes a proof.
#[derive(Debug)]
pub struct Sealed {
    weak: Digest,
    strong: Blob,
    paths: PathSet,
    states: Vec<State>,
    set: Digest,
    result: ActionResult,
    names_workspace: Vec<String>,
}

impl Sealed {
    /// The digest that the proof must be bound to.
    pub fn action(&self) -> ActionDigest {
        ActionDigest(self.strong.digest())
    }

    /// The outputs.
    pub fn result(&self) -> &ActionResult {
        &self.result
    }

    /// What the run depended on beside its declared inputs.
    pub fn paths(&self) -> &PathSet {
        &self.paths
    }

    /// What holds the absolute path of the workspace, or may do so because it is compressed:
    /// outputs, and names that were looked for. Only a workspace of the same name can use the
    /// result.
    pub fn names_workspace(&self) -> &[String] {
        &self.names_workspace
    }
}

/// Why a result was not published, or not everywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The proof is of another action.
    #[error("the proof is of action {proof}, the result of {result}")]
    OtherAction {
        /// Whom the proof speaks of.
        proof: ActionDigest,
        /// Whose result it is.
        result: ActionDigest,
    },
    /// The local store can't take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cache can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Cache {
    /// Takes the outputs of a run into the local store, and finds its key: the weak one that
    /// `action` has from before the run, with the state of everything that the recording shows the
    /// run to depend on. `scratch` is the action's private temporary directory, `started` the time
    /// of its start in nanoseconds since the epoch.
    ///
    /// # Errors
    /// When an output can't be stored, or an input changed since it was read.
    pub fn seal(
        &self,
        action: &Action,
        judge: &Judge<'_>,
        recording: &Recording,
        streams: Streams<'_>,
        scratch: &Path,
        started: i64,
    ) -> Result<Sealed, NotCacheable> {
        let workspace = action.workspace().as_os_str().as_bytes();
        // A name that is a part of nearly everything tells nothing.
        let needles = [workspace, scratch.as_os_str().as_bytes()]
            .map(|needle| if needle.len() > 1 { needle } else { &[] });
        let collected =
            outputs::collect(action.workspace(), action.outputs(), &needles, &self.local)
                .map_err(unfit)?;
        let mut names_workspace: Vec<String> = collected
            .contains
            .into_iter()
            .map(|found| found.path)
            .chain(collected.opaque)
            .collect();
        let mut result = collected.result;
        for (name, bytes, slot) in [
            ("standard output", streams.stdout, &mut result.stdout),
            ("standard error", streams.stderr, &mut result.stderr),
        ] {
            if bytes.is_empty() {
                continue;
            }
            if bytes.len() as u64 > MAX_STREAM {
                let what = format!("is larger than {MAX_STREAM} bytes");
                return Err(NotCacheable::Unfit { path: name.to_owned(), what });
            }
            if needles
                .iter()
                .any(|needle| !needle.is_empty() && memchr::memmem::find(bytes, needle).is_some())
            {
                names_workspace.push(name.to_owned());
            }
            let digest = self
                .local
                .put_bytes(bytes)
                .map_err(|error| NotCacheable::Store { what: error.to_string() })?;
            *slot = Some(digest);
        }
        let dependencies = judge.dependencies(recording);
        names_workspace.extend(named_after(action.workspace(), &dependencies));
        names_workspace.sort();
        names_workspace.dedup();
        let paths = PathSet::new(&dependencies, action.workspace(), !names_workspace.is_empty());
        let encoded = paths.encode();
        let set = Digest::of(&encoded);
        let hash = |path: &Path, about: &Metadata| self.hash(path, about);
        let look = Look::new(action.workspace(), judge, &hash);
        let states = look.states(&paths);
        // After the states were taken, so that a change in between is seen.
        unchanged(action, &dependencies, &look, started)?;
        let strong = action.strong(&set, &states.digest);
        self.local
            .put_bytes(&encoded)
            .map_err(|error| NotCacheable::Store { what: error.to_string() })?;
        let weak = action.weak();
        let states = states.states;
        Ok(Sealed { weak, strong, paths, states, set, result, names_workspace })
    }

    /// Publishes a sealed result, and uses the proof up: first all blobs, then the messages that
    /// make the key, then the entry, in the local store and in every remote that takes it. What
    /// remotes refuse is told by [`Cache::warnings`].
    ///
    /// A bare action digest is not enough:
    /// ```compile_fail,E0308
    /// use airtight_cache::{Action, ActionDigest, Cache, Provenance, Sealed};
    /// fn smuggle(cache: &Cache, digest: ActionDigest, action: &Action, sealed: &Sealed) {
    ///     let _ = cache.publish(digest, action, sealed, &Provenance::default());
    /// }
    /// ```
    /// a verdict is not enough, however clean:
    /// ```compile_fail,E0308
    /// use airtight_cache::{Action, Cache, Provenance, Sealed};
    /// use airtight_policy::Verdict;
    /// fn smuggle(cache: &Cache, verdict: Verdict, action: &Action, sealed: &Sealed) {
    ///     let _ = cache.publish(verdict, action, sealed, &Provenance::default());
    /// }
    /// ```
    /// one proof does not publish twice:
    /// ```compile_fail,E0382
    /// use airtight_cache::{Action, Cache, Provenance, Sealed, Verified};
    /// fn twice(cache: &Cache, verified: Verified, action: &Action, one: &Sealed, other: &Sealed) {
    ///     let _ = cache.publish(verified, action, one, &Provenance::default());
    ///     let _ = cache.publish(verified, action, other, &Provenance::default());
    /// }
    /// ```
    /// and this is how it is done:
    /// ```
    /// use airtight_cache::{Action, Cache, Provenance, Sealed, Verified};
    /// fn publish(cache: &Cache, verified: Verified, action: &Action, sealed: &Sealed) {
    ///     let _ = cache.publish(verified, action, sealed, &Provenance::default());
    /// }
    /// ```
    ///
    /// # Errors
    /// When the proof is of another action, or the local store fails. The build goes on without.
    pub fn publish(
        &self,
        verified: Verified,
        action: &Action,
        sealed: &Sealed,
        provenance: &Provenance,
    ) -> Result<(), PublishError> {
        if verified.action() != sealed.action() || action.weak() != sealed.weak {
            let (proof, result) = (verified.action(), sealed.action());
            return Err(PublishError::OtherAction { proof, result });
        }
        let key = self.options.signing.as_ref();
        // What the proof says of itself is believed, not what the caller says of it.
        let provenance = &Provenance {
            policy: verified.policy().to_string(),
            recording: verified.recording().to_string(),
            ..provenance.clone()
        };
        let entry = Entry::encode(&verified, action, &sealed.result, provenance, key);
        let messages = [action.command(), action.weak_action(), &sealed.strong];
        if !self.options.push {
            self.counters().not_cached(NotCachedReason::Disabled);
            return Ok(());
        }
        for message in messages {
            self.local.put_bytes(&message.bytes().unwrap_or_default())?;
        }
        self.local.put_entry(&sealed.strong.digest(), &entry)?;
        self.list_path_set(&sealed.weak, &sealed.set)?;
        self.describe(action, sealed, provenance.time);
        self.counters().published += 1;
        let strong = sealed.strong.clone();
        self.push(action, &sealed.set, strong, entry.into(), &sealed.result, false)
    }

    /// Keeps what the key is made of, to explain a later miss. Nothing depends on it.
    fn describe(&self, action: &Action, sealed: &Sealed, time: i64) {
        let (paths, states) = (&sealed.paths, &sealed.states);
        let description = KeyDescription::new(action, sealed.action(), paths, states, time);
        if let Ok(bytes) = description.encode() {
            let _ = self.local.put_description(&KeyDescription::name(action), &bytes);
        }
    }

    /// Sends a result that the local store has to the remotes that lack it.
    pub(super) fn reshare(
        &self,
        action: &Action,
        set: &Digest,
        strong: Blob,
        entry: Bytes,
        result: &ActionResult,
    ) -> Result<(), PublishError> {
        self.push(action, set, strong, entry, result, true)
    }

    /// Stores a result in every remote that takes it and lacks it.
    fn push(
        &self,
        action: &Action,
        set: &Digest,
        strong: Blob,
        entry: Bytes,
        result: &ActionResult,
        known: bool,
    ) -> Result<(), PublishError> {
        if !self.options.push || !self.options.remotes.iter().any(|remote| remote.push) {
            return Ok(());
        }
        let (Ok((blobs, false)), Ok(directories)) =
            (outputs::blobs(result, &self.local), outputs::directories(result, &self.local))
        else {
            // Evicted already.
            return Ok(());
        };
        let Beyond { runtime, remotes, .. } = self.beyond()?;
        let (weak, key) = (action.weak(), strong.digest());
        let mut all = vec![action.command().clone(), action.weak_action().clone(), strong];
        for digest in blobs.iter().chain([set]) {
            if let Some(file) = self.local.open_blob(digest)? {
                all.push(Blob::file(file, *digest));
            }
        }
        let package =
            Package { blobs: all, directories, strong: key, entry, weak, set: *set, known };
        let pushes = remotes.iter().filter(|remote| remote.pushes()).map(|remote| async {
            if package.push(&remote.for_action()).await == Ok(true) {
                self.counters().remote(remote.name()).published += 1;
            }
        });
        runtime.block_on(futures_util::future::join_all(pushes));
        Ok(())
    }
}

/// Everything that makes a result findable.
struct Package {
    blobs: Vec<Blob>,
    /// For the remotes that want them.
    directories: Vec<Blob>,
    strong: Digest,
    entry: Bytes,
    weak: Digest,
    set: Digest,
    /// The remote may have it already.
    known: bool,
}

impl Package {
    /// Stores everything in a remote; false when it has it already.
    async fn push(&self, remote: &Guarded) -> Result<bool, RemoteError> {
        if self.known && remote.get_entry(&self.strong).await?.is_some() {
            return Ok(false);
        }
        remote.put_blobs(&self.blobs).await?;
        if remote.wants_directories() && !self.directories.is_empty() {
            remote.put_blobs(&self.directories).await?;
        }
        remote.put_entry(&self.strong, self.entry.clone()).await?;
        // A remote that is only pushed to is not asked; its list is then replaced.
        let known = remote.get_entry(&self.weak).await.ok().flatten();
        if let Some(list) = with_path_set(known.as_deref(), &self.set) {
            remote.put_entry(&self.weak, list.into()).await?;
        }
        Ok(true)
    }
}

/// Dependencies that are named after the workspace: in another one, other names would be looked
/// for. So gcc does with the files of a profile, with `#` for each slash (`-fprofile-use`), and
/// whoever keeps a tree for each workspace.
fn named_after<'a>(
    workspace: &'a Path,
    dependencies: &'a [Dependency],
) -> impl Iterator<Item = String> + 'a {
    let root = workspace.as_os_str().as_bytes();
    let mangled: Vec<u8> = root.iter().map(|&b| if b == b'/' { b'#' } else { b }).collect();
    let names = [Finder::new(root).into_owned(), Finder::new(&mangled).into_owned()];
    let dependencies = if root.len() > 1 { dependencies } else { &[] };
    dependencies.iter().filter_map(move |dependency| {
        let path = Path::new(OsStr::from_bytes(&dependency.path));
        let rest = path.strip_prefix(workspace).unwrap_or(path);
        let named = names.iter().any(|name| name.find(rest.as_os_str().as_bytes()).is_some());
        named.then(|| rest.display().to_string())
    })
}

fn unfit(error: CollectError) -> NotCacheable {
    match error {
        CollectError::Refused { path, refusal } => {
            NotCacheable::Unfit { path, what: refusal.to_string() }
        }
        CollectError::Unreadable { path, source } => {
            NotCacheable::Unreadable { path, what: source.to_string() }
        }
        other => NotCacheable::Store { what: other.to_string() },
    }
}
