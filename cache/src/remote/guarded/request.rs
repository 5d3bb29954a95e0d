//! Requests that can be made again.

use crate::local::Incoming;
use crate::remote::{Remote, RemoteError};
use futures_util::future::BoxFuture;

/// A request that can be made again after it has failed as [`RemoteError::Transient`].
#[async_trait::async_trait]
pub(super) trait Request: Send {
    /// What is asked for.
    type Answer: Send;

    /// One try.
    async fn make(&mut self) -> Result<Self::Answer, RemoteError>;
}

/// One that has no state of its own: a function that makes it.
pub(super) struct Simple<F>(pub(super) F);

#[async_trait::async_trait]
impl<'a, T, F> Request for Simple<F>
where
    T: Send,
    F: FnMut() -> BoxFuture<'a, Result<T, RemoteError>> + Send,
{
    type Answer = T;

    async fn make(&mut self) -> Result<T, RemoteError> {
        (self.0)().await
    }
}

/// A blob, from its first byte at every try.
pub(super) struct GetBlob<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) into: &'a mut Incoming,
}

#[async_trait::async_trait]
impl Request for GetBlob<'_> {
    type Answer = bool;

    async fn make(&mut self) -> Result<bool, RemoteError> {
        from_the_start(self.into)?;
        let answer = self.remote.get_blob(self.into).await;
        whole(answer, self.into)
    }
}

/// A batch of blobs; a further try asks for those only that may still come.
pub(super) struct GetBlobs<'a> {
    remote: &'a dyn Remote,
    /// Those to ask for first, then those that are answered for.
    into: &'a mut [Incoming],
    /// For each place in `into`, where its blob was and has to be in the end.
    order: Vec<usize>,
    /// By the places in the end.
    answers: Vec<Option<Result<bool, RemoteError>>>,
    open: usize,
}

impl<'a> GetBlobs<'a> {
    pub(super) fn new(remote: &'a dyn Remote, into: &'a mut [Incoming]) -> GetBlobs<'a> {
        let (order, answers, open) =
            ((0..into.len()).collect(), vec![None; into.len()], into.len());
        GetBlobs { remote, into, order, answers, open }
    }

    /// All answers, in order; `failure` where none came.
    pub(super) fn finish(mut self, failure: Option<RemoteError>) -> Vec<Result<bool, RemoteError>> {
        for at in 0..self.order.len() {
            while self.order[at] != at {
                let place = self.order[at];
                self.swap(at, place);
            }
        }
        let failure = failure.map_or(Ok(false), Err);
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(|| failure.clone())).collect()
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.into.swap(one, other);
        self.order.swap(one, other);
    }
}

#[async_trait::async_trait]
impl Request for GetBlobs<'_> {
    type Answer = ();

    /// Fails when one of them does, as [`RemoteError::Transient`] when there is one to try again.
    async fn make(&mut self) -> Result<(), RemoteError> {
        let open = &mut self.into[..self.open];
        open.iter_mut().try_for_each(from_the_start)?;
        let came = self.remote.get_blobs(open).await;
        if came.len() != open.len() {
            let what = format!("{} answers for {} blobs", came.len(), open.len());
            return Err(RemoteError::Wrong(what));
        }
        let mut again = Vec::new();
        let mut worst = Ok(());
        for (at, answer) in came.into_iter().enumerate() {
            match whole(answer, &self.into[at]) {
                Err(error @ RemoteError::Transient { .. }) => {
                    again.push(at);
                    worst = Err(error);
                }
                answer => {
                    if let (Ok(()), Err(error)) = (&worst, &answer) {
                        worst = Err(error.clone());
                    }
                    self.answers[self.order[at]] = Some(answer);
                }
            }
        }
        self.open = again.len();
        for (front, at) in again.into_iter().enumerate() {
            self.swap(front, at);
        }
        worst
    }
}

fn from_the_start(into: &mut Incoming) -> Result<(), RemoteError> {
    match into.received() {
        0 => Ok(()),
        _ => into.restart().map_err(|error| RemoteError::Local(format!("temporary file: {error}"))),
    }
}

/// A blob that came is what was asked for.
fn whole(answer: Result<bool, RemoteError>, into: &Incoming) -> Result<bool, RemoteError> {
    match answer {
        Ok(true) if !into.is_right() => {
            let (came, digest) = (into.received(), into.digest());
            Err(RemoteError::Wrong(format!("{came} bytes came that are not the blob {digest}")))
        }
        answer => answer,
    }
}
