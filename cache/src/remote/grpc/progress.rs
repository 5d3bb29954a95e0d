//! The bytes of a request and of its answer, watched on their way.

use crate::remote::flow::Flow;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

/// A message is handed to the connection in pieces of this size, so that a large one over a slow
/// line shows that it gets on.
const PIECE: usize = 64 << 10;

/// Ends, with the reason, when a request has stood still for too long.
pub(super) type Stalled = Pin<Box<dyn Future<Output = Status> + Send>>;

/// Watches what flows.
pub(super) fn stalled(flow: Arc<Flow>, idle: Duration) -> Stalled {
    Box::pin(async move { Status::deadline_exceeded(flow.stalled(idle).await) })
}

/// The body of a request, handed out in pieces.
pub(super) struct Sent {
    body: Body,
    rest: Bytes,
    flow: Arc<Flow>,
}

impl Sent {
    pub(super) fn new(body: Body, flow: Arc<Flow>) -> Sent {
        Sent { body, rest: Bytes::new(), flow }
    }
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
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = self.rest.len().min(PIECE);
        self.flow.moved(piece);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// The body of an answer, which fails when the request stands still.
pub(super) struct Received {
    pub(super) body: Body,
    pub(super) flow: Arc<Flow>,
    pub(super) stalled: Stalled,
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
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            self.flow.moved(data.map_or(0, Bytes::len));
            return Poll::Ready(frame);
        }
        self.stalled.as_mut().poll(context).map(|status| Some(Err(status)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
