//! One request and its answer: what is waited for, and what its failures mean.

use super::Http;
use crate::remote::RemoteError;
use crate::remote::flow::Flow;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderName, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// As much of a body is read that only explains a status. Where more comes, the connection is given
/// up.
const EXPLANATION: usize = 16 << 10;

/// As many characters of a server's own words are repeated.
const WORDS: usize = 200;

/// No server is waited for longer, whatever it asks.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(300);

/// One request and its answer.
pub(super) struct Exchange<'a> {
    remote: &'a Http,
    /// The method and the path.
    what: String,
    flow: Arc<Flow>,
    _slot: SemaphorePermit<'a>,
}

/// What the header `Content-Length` says.
pub(super) fn length(response: &Response) -> Option<u64> {
    number(response, CONTENT_LENGTH)
}

fn number(response: &Response, header: HeaderName) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.parse().ok()
}

impl<'a> Exchange<'a> {
    /// Waits for one of the remote's connections. The time for the request begins after that.
    pub(super) async fn begin(remote: &'a Http, what: String) -> Result<Self, RemoteError> {
        let slot = remote.slots.acquire().await;
        let slot = slot.map_err(|_| RemoteError::Local(format!("{what}: closed")))?;
        Ok(Exchange { remote, what, flow: Arc::new(Flow::new()), _slot: slot })
    }

    /// What watches this request, for the body of an upload.
    pub(super) fn flow(&self) -> Arc<Flow> {
        self.flow.clone()
    }

    /// Does the work of this request as long as bytes flow.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        tokio::select! {
            biased;
            result = work => result,
            why = self.flow.stalled(self.remote.idle_timeout) => Err(self.transient(&why)),
        }
    }

    /// Sends the request and gives the answer's status and headers.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        self.flow.moved(0);
        Ok(response)
    }

    /// Sends a GET; none when the server answers that it has nothing.
    pub(super) async fn get(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<Response>, RemoteError> {
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            StatusCode::NOT_FOUND => {
                self.explanation(response).await;
                Ok(None)
            }
            status if status.is_success() => Err(self.wrong(&format!("status {status}"))),
            _ => Err(self.refused(response).await),
        }
    }

    /// The next bytes of a body; none at its end.
    pub(super) async fn piece(
        &self,
        response: &mut Response,
    ) -> Result<Option<Bytes>, RemoteError> {
        let piece = response.chunk().await.map_err(|error| self.failed(&error))?;
        self.flow.moved(piece.as_ref().map_or(0, Bytes::len));
        Ok(piece)
    }

    /// Reads the begin of a body, so that the connection can be used again when that is all.
    pub(super) async fn explanation(&self, mut response: Response) -> Vec<u8> {
        let mut text = Vec::new();
        while let Ok(Some(piece)) = self.piece(&mut response).await {
            text.extend_from_slice(&piece);
            if text.len() > EXPLANATION {
                text.truncate(EXPLANATION);
                break;
            }
        }
        text
    }

    /// What a status means that is no success.
    pub(super) async fn refused(&self, response: Response) -> RemoteError {
        let status = response.status();
        let retry_after = number(&response, RETRY_AFTER)
            .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MOST));
        let text = self.explanation(response).await;
        let mut what = format!("{}: {}", self.what, status.as_u16());
        if let Some(words) = self.words(&text) {
            what = format!("{what}: {words}");
        }
        match status.as_u16() {
            401 | 403 | 407 => RemoteError::Denied(what),
            413 | 507 => RemoteError::Full(what),
            408 | 429 | 500 | 502 | 503 | 504 => RemoteError::Transient { what, retry_after },
            _ => RemoteError::Refused(what),
        }
    }

    /// The server can't mean what it says.
    pub(super) fn wrong(&self, what: &str) -> RemoteError {
        RemoteError::Wrong(format!("{}: {what}", self.what))
    }

    /// Why bytes that came could not be written.
    pub(super) fn not_taken(&self, error: &io::Error) -> RemoteError {
        match error.kind() {
            io::ErrorKind::InvalidData => self.wrong(&error.to_string()),
            _ => RemoteError::Local(format!("{}: can't write: {error}", self.what)),
        }
    }

    fn transient(&self, why: &str) -> RemoteError {
        RemoteError::Transient { what: format!("{}: {why}", self.what), retry_after: None }
    }

    /// What it means that no whole answer came.
    fn failed(&self, error: &reqwest::Error) -> RemoteError {
        let mut cause: &(dyn Error + 'static) = error;
        let mut garbage = false;
        let mut tls = None;
        while let Some(next) = cause.source() {
            cause = next;
            garbage |= cause.downcast_ref().is_some_and(hyper::Error::is_parse);
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                garbage |= error.kind() == io::ErrorKind::InvalidInput;
                tls = tls.or(of_tls(error));
            }
        }
        let what = match self.printable(&cause.to_string()) {
            _ if error.is_connect() && error.is_timeout() => {
                format!("{}: no connection in time", self.what)
            }
            why => format!("{}: {why}", self.what),
        };
        match tls {
            // The one thing that servers have against a client in a handshake.
            Some(rustls::Error::AlertReceived(_)) => RemoteError::Denied(what),
            Some(_) => RemoteError::Refused(what),
            None if garbage => RemoteError::Wrong(what),
            None => RemoteError::Transient { what, retry_after: None },
        }
    }

    /// The first line of what a server says in plain text, or the title where it is HTML.
    fn words(&self, text: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(text).ok()?;
        if self.remote.secrets.iter().any(|secret| text.contains(secret)) {
            return None;
        }
        let line = match text.split_once("<title>") {
            Some((_, title)) => title.split("</title>").next()?,
            None => text.lines().next()?,
        };
        Some(self.printable(line)).filter(|line| !line.is_empty())
    }

    fn printable(&self, text: &str) -> String {
        let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        text.trim().chars().take(WORDS).map(plain).collect()
    }
}

/// What TLS says, however often it is wrapped.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| of_tls(inner.downcast_ref()?))
}
