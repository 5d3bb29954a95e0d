//! Time limits by progress: a request may take as long as bytes flow.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;

/// A message is handed to the connection in pieces of this size, so that a large one over a slow
/// line shows that it gets on.
const PIECE: usize = 64 << 10;

/// When bytes of a request last went in either direction.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    last: Arc<Mutex<Instant>>,
    idle: Duration,
}

impl Progress {
    /// Of a request that begins now and may be idle that long.
    pub(super) fn new(idle: Duration) -> Progress {
        Progress { last: Arc::new(Mutex::new(Instant::now())), idle }
    }

    fn mark(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn deadline(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) + self.idle
    }

    fn stalled(&self) -> Status {
        Status::deadline_exceeded(format!("no byte for {:?}", self.idle))
    }

    /// Waits for `future` as long as bytes flow.
    ///
    /// # Errors
    /// When none did for too long.
    pub(super) async fn watch<T>(&self, future: impl Future<Output = T>) -> Result<T, Status> {
        let mut future = pin!(future);
        loop {
            match timeout_at(self.deadline(), &mut future).await {
                Ok(value) => return Ok(value),
                Err(_) if self.deadline() > Instant::now() => {}
                Err(_) => return Err(self.stalled()),
            }
        }
    }
}

/// The body of a request, handed out in pieces.
pub(super) struct Sent {
    pub(super) body: Body,
    pub(super) rest: Bytes,
    pub(super) progress: Progress,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            self.progress.mark();
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        self.progress.mark();
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// The body of an answer, which fails when nothing comes for too long.
pub(super) struct Received {
    pub(super) body: Body,
    pub(super) progress: Progress,
    /// Since nothing was there to be taken. The time that the reader takes doesn't count.
    pub(super) waiting: Option<Pin<Box<Sleep>>>,
    /// The request is under way until its answer has been read.
    pub(super) _permit: OwnedSemaphorePermit,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame);
        }
        if self.waiting.is_none() {
            self.progress.mark();
            self.waiting = Some(Box::pin(sleep_until(self.progress.deadline())));
        }
        while let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(context).is_pending() {
                break;
            }
            // Bytes may have gone the other way meanwhile.
            let deadline = self.progress.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(Some(Err(self.progress.stalled())));
            }
            self.waiting = Some(Box::pin(sleep_until(deadline)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
