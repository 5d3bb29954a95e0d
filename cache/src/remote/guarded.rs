//! A remote with everything around it that keeps a build from suffering: retries, a time budget, a
//! circuit breaker, permissions and counters.

mod breaker;
mod budget;
mod down;
mod request;

use super::{MAX_ENTRY, Remote, RemoteError, RemoteOptions};
use crate::blob::Blob;
use crate::local::Incoming;
use airtight_recording::Digest;
use breaker::{Breaker, Shut, Way};
use budget::Budget;
use bytes::Bytes;
use down::DownFile;
use futures_util::FutureExt;
use request::{GetBlob, GetBlobs, Request, Simple};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first pause before another try is at most this; each further one at most twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer, unless the server asks for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A remote that can't hurt a build. Any [`Remote`] inside, and the same trait outside:
///
/// - What may go better next time is tried again, after pauses with full jitter.
/// - An action loses no more than the budget to it ([`Guarded::for_action`] begins a new one): then
///   the request is given up, and further ones are not made. Bytes that flow at 1 MiB a second or
///   faster cost nothing, and requests at the same time count once.
/// - After three failures in a row it is left alone for half a minute, after a refusal of the
///   credentials at once; then a single request tries again. Fetching and storing are judged apart.
///   A file tells other processes of a remote that is down, so that not each of them has to wait.
/// - Without `fetch` everything is a miss. Without `push` nothing is missing, and storing is
///   [`RemoteError::Refused`].
///
/// A request that is not made is [`RemoteError::Skipped`].
pub struct Guarded {
    inner: Arc<Inner>,
    budget: Budget,
}

struct Inner {
    remote: Box<dyn Remote>,
    name: String,
    fetch: bool,
    push: bool,
    retries: u32,
    limit: Duration,
    breaker: Breaker,
    counters: Arc<Mutex<Counters>>,
    trouble: Mutex<Trouble>,
}

/// What a remote was asked and what came of it, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests made, tries included; a batch is one.
    pub requests: u64,
    /// Entries and blobs that it had.
    pub hits: u64,
    /// Entries and blobs that it lacked.
    pub misses: u64,
    /// Further tries.
    pub retries: u64,
    /// Requests that were not made: it had failed before, or the action's budget was spent.
    pub skipped: u64,
    /// Tries that ended as [`RemoteError::Transient`], those that ran out of budget included.
    pub unavailable: u64,
    /// Tries that ended as [`RemoteError::Denied`].
    pub denied: u64,
    /// Tries that ended as [`RemoteError::Full`].
    pub full: u64,
    /// Tries that ended as [`RemoteError::Wrong`], and what [`Guarded::found_wrong`] was told.
    pub wrong: u64,
    /// Tries that ended as [`RemoteError::Refused`].
    pub refused: u64,
    /// Tries that ended as [`RemoteError::Local`].
    pub local: u64,
    /// Bytes of entries and blobs that came, in vain or not.
    pub received: u64,
    /// Bytes of entries and blobs that went.
    pub sent: u64,
    /// Time with at least one request under way, added up over actions.
    pub busy: Duration,
    /// How much of it counted against budgets.
    pub waited: Duration,
}

#[derive(Debug, Default)]
struct Trouble {
    first: Option<String>,
    told: bool,
}

impl Guarded {
    /// Puts the guard around `remote`. `down` is the directory in which processes tell each other
    /// about remotes that are down, such as `remotes-v1` in the local store; it is made when
    /// needed.
    pub fn new(remote: Box<dyn Remote>, options: &RemoteOptions, down: Option<&Path>) -> Guarded {
        let endpoint = options.endpoint.as_deref().unwrap_or_default();
        let identity = format!("{}\n{endpoint}\n{}", options.url, options.region);
        let inner = Inner {
            remote,
            name: super::without_secrets(&options.url),
            fetch: options.fetch,
            push: options.push,
            retries: options.retries,
            limit: options.budget,
            breaker: Breaker::new(DownFile::new(down, &identity)),
            counters: Arc::default(),
            trouble: Mutex::default(),
        };
        Guarded::with_budget(Arc::new(inner))
    }

    fn with_budget(inner: Arc<Inner>) -> Guarded {
        let budget = Budget::new(inner.limit, inner.counters.clone());
        Guarded { inner, budget }
    }

    /// The same remote with a budget of its own, for one more action. All else is shared.
    pub fn for_action(&self) -> Guarded {
        Guarded::with_budget(self.inner.clone())
    }

    /// The URL, for messages: without user, password and query.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Results may be taken from it.
    pub fn fetches(&self) -> bool {
        self.inner.fetch
    }

    /// Results may be stored in it.
    pub fn pushes(&self) -> bool {
        self.inner.push
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        *self.count()
    }

    /// To be told when an entry that it gave turned out to be wrong. Blobs are hashed here.
    pub fn found_wrong(&self, what: &str) {
        self.count().wrong += 1;
        self.trouble().first.get_or_insert_with(|| what.to_owned());
    }

    /// The one warning that this remote deserves, if it does and nobody has taken it. Nothing when
    /// it is only another process that has found it down: that one has warned.
    pub fn take_warning(&self) -> Option<String> {
        let skipped = self.count().skipped;
        let mut trouble = self.trouble();
        if trouble.told {
            return None;
        }
        let why = trouble.first.clone()?;
        trouble.told = true;
        let name = self.name();
        Some(match skipped {
            0 => format!("remote {name} failed: {why}"),
            1 => format!("remote {name} is skipped: {why} (1 request not made)"),
            _ => format!("remote {name} is skipped: {why} ({skipped} requests not made)"),
        })
    }

    /// Makes a request of however many tries, within the budget.
    async fn guard<R: Request>(&self, way: Way, request: &mut R) -> Result<R::Answer, RemoteError> {
        if self.budget.left().is_zero() {
            return Err(self.skipped(self.out_of_time()));
        }
        self.inner.breaker.admit(way).map_err(|shut| self.skipped(shut.why))?;
        let answer = match self.budget.within(self.tries(way, request)).await {
            Some(answer) => answer,
            None => {
                let what = self.out_of_time();
                self.inner.breaker.too_slow(&what);
                self.count().unavailable += 1;
                Err(RemoteError::Transient { what, retry_after: None })
            }
        };
        let others = self.inner.breaker.shut(way).is_some_and(|shut| shut.by_others());
        if let Err(error) = &answer
            && !matches!(error, RemoteError::Local(_))
            && !others
        {
            self.trouble().first.get_or_insert_with(|| error.to_string());
        }
        answer
    }

    async fn tries<R: Request>(&self, way: Way, request: &mut R) -> Result<R::Answer, RemoteError> {
        let mut retry = 0;
        loop {
            let began = Instant::now();
            self.count().requests += 1;
            let answer = request.make().await;
            self.inner.breaker.note(way, began, answer.as_ref().err());
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.count().failed(&error);
            let RemoteError::Transient { retry_after, .. } = &error else { return Err(error) };
            let pause = pause(retry).max(retry_after.unwrap_or_default());
            let vain = |shut: Option<Shut>| shut.is_some() || pause >= self.budget.left();
            if retry == self.inner.retries || vain(self.inner.breaker.shut(way)) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            if self.inner.breaker.shut(way).is_some() {
                return Err(error);
            }
            retry += 1;
            self.count().retries += 1;
        }
    }

    fn skipped(&self, why: String) -> RemoteError {
        self.count().skipped += 1;
        RemoteError::Skipped(why)
    }

    fn out_of_time(&self) -> String {
        let limit = self.inner.limit.as_secs_f64();
        format!("an action has lost {limit} s to it, and no more is allowed")
    }

    fn count(&self) -> MutexGuard<'_, Counters> {
        self.inner.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.inner.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("remote", &self.inner.remote).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl Remote for Guarded {
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        if !self.inner.fetch {
            return Ok(None);
        }
        let get = || async {
            let entry = self.inner.remote.get_entry(key).await?;
            self.budget.received.add(entry.as_ref().map_or(0, Bytes::len));
            match &entry {
                Some(value) if value.len() as u64 > MAX_ENTRY => {
                    Err(RemoteError::Wrong(format!("an entry of more than {MAX_ENTRY} bytes")))
                }
                _ => Ok(entry),
            }
        };
        let entry = self.guard(Way::Fetch, &mut Simple(|| get().boxed())).await?;
        self.count().found(entry.is_some());
        Ok(entry)
    }

    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        self.may_push()?;
        let put = || {
            self.budget.sent.add(value.len());
            self.inner.remote.put_entry(key, value.clone())
        };
        self.guard(Way::Push, &mut Simple(put)).await
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        if !self.inner.fetch {
            return Ok(false);
        }
        into.metered(&self.budget.received);
        let found = self
            .guard(Way::Fetch, &mut GetBlob { remote: self.inner.remote.as_ref(), into })
            .await?;
        self.count().found(found);
        Ok(found)
    }

    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        if !self.inner.push || digests.is_empty() {
            return Ok(Vec::new());
        }
        self.guard(Way::Push, &mut Simple(|| self.inner.remote.missing(digests))).await
    }

    fn wants_directories(&self) -> bool {
        self.inner.remote.wants_directories()
    }

    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        self.may_push()?;
        let blob = blob.metered(&self.budget.sent);
        self.guard(Way::Push, &mut Simple(|| self.inner.remote.put_blob(&blob))).await
    }

    async fn get_blobs(&self, into: &mut [Incoming]) -> Vec<Result<bool, RemoteError>> {
        if !self.inner.fetch || into.is_empty() {
            return into.iter().map(|_| Ok(false)).collect();
        }
        for blob in into.iter_mut() {
            blob.metered(&self.budget.received);
        }
        let mut request = GetBlobs::new(self.inner.remote.as_ref(), into);
        let failure = self.guard(Way::Fetch, &mut request).await.err();
        let answers = request.finish(failure);
        for found in answers.iter().flatten() {
            self.count().found(*found);
        }
        answers
    }

    async fn put_blobs(&self, blobs: &[Blob]) -> Result<(), RemoteError> {
        self.may_push()?;
        if blobs.is_empty() {
            return Ok(());
        }
        let blobs: Vec<Blob> = blobs.iter().map(|blob| blob.metered(&self.budget.sent)).collect();
        self.guard(Way::Push, &mut Simple(|| self.inner.remote.put_blobs(&blobs))).await
    }
}

impl Guarded {
    fn may_push(&self) -> Result<(), RemoteError> {
        match self.inner.push {
            true => Ok(()),
            false => Err(RemoteError::Refused("nothing is to be stored in it".to_owned())),
        }
    }
}

impl Counters {
    fn found(&mut self, found: bool) {
        match found {
            true => self.hits += 1,
            false => self.misses += 1,
        }
    }

    fn failed(&mut self, error: &RemoteError) {
        match error {
            RemoteError::Transient { .. } => self.unavailable += 1,
            RemoteError::Denied(_) => self.denied += 1,
            RemoteError::Full(_) => self.full += 1,
            RemoteError::Wrong(_) => self.wrong += 1,
            RemoteError::Refused(_) => self.refused += 1,
            RemoteError::Local(_) => self.local += 1,
            RemoteError::Skipped(_) => self.skipped += 1,
        }
    }
}

/// How long to wait before the next try: anything up to a bound that doubles ("full jitter").
fn pause(retry: u32) -> Duration {
    let bound = FIRST_PAUSE.saturating_mul(1 << retry.min(16)).min(LONGEST_PAUSE);
    bound.mul_f64(fastrand::f64())
}
