//! HTTP for the remotes that speak it: one client, and what is common to one request and its
//! answer: what is waited for, and what its failures mean.

mod body;

use super::flow::Flow;
use super::{RemoteError, RemoteOptions, Tls, tls};
use crate::blob::Blob;
use crate::local::Incoming;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use rustls::AlertDescription;
use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// As much of a body is read that only explains a status. Where more comes, the connection is given
/// up.
const EXPLANATION: usize = 16 << 10;

/// As many characters of a server's own words are repeated.
const WORDS: usize = 200;

/// No server is waited for longer, whatever it asks.
const RETRY_AFTER_MOST: Duration = Duration::from_secs(300);

/// Connections that wait for longer are closed. Shorter than in most servers, because a request on a
/// connection that the server is just closing fails.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// A client for one server.
pub(super) struct Channel {
    client: reqwest::Client,
    /// What must not be repeated in an error, should the server send it back.
    secrets: Vec<String>,
    slots: Semaphore,
    idle_timeout: Duration,
}

impl Channel {
    /// A client that speaks TLS, and then one of `protocols` (ALPN names), or does not. It follows
    /// no redirects and asks no proxy.
    ///
    /// # Errors
    /// A sentence that says which option is wrong.
    pub(super) fn open(
        options: &RemoteOptions,
        https: bool,
        protocols: &[&[u8]],
        secrets: Vec<String>,
    ) -> Result<Channel, String> {
        let config = if https {
            tls::client(&options.tls, protocols)?
        } else if options.tls != Tls::default() {
            return Err("certificates are given, but the URL isn't https".to_owned());
        } else {
            tls::unused()?
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .user_agent(concat!("airtight/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            .pool_max_idle_per_host(options.connections)
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| error.to_string())?;
        let slots = Semaphore::new(options.connections.max(1));
        Ok(Channel { client, secrets, slots, idle_timeout: options.idle_timeout })
    }

    /// Waits for one of the connections. The time for the request begins after that. `what` is the
    /// method and what it is about, for errors.
    pub(super) async fn begin(&self, what: String) -> Result<Exchange<'_>, RemoteError> {
        let slot = self.slots.acquire().await;
        let slot = slot.map_err(|_| RemoteError::Local(format!("{what}: closed")))?;
        Ok(Exchange { channel: self, what, flow: Arc::new(Flow::new()), _slot: slot })
    }

    /// A request, for [`Exchange::send`].
    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }
}

/// One request and its answer.
pub(super) struct Exchange<'a> {
    channel: &'a Channel,
    /// The method and the path.
    what: String,
    flow: Arc<Flow>,
    _slot: SemaphorePermit<'a>,
}

/// What the header `Content-Length` says.
pub(super) fn length(response: &Response) -> Option<u64> {
    number(response, CONTENT_LENGTH)
}

/// What the header `Retry-After` asks for, in seconds and within reason.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = number(response, RETRY_AFTER)?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MOST))
}

fn number(response: &Response, header: HeaderName) -> Option<u64> {
    response.headers().get(header)?.to_str().ok()?.parse().ok()
}

impl Exchange<'_> {
    /// Does the work of this request as long as bytes flow.
    pub(super) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        tokio::select! {
            biased;
            result = work => result,
            why = self.flow.stalled(self.channel.idle_timeout) => Err(self.transient(&why)),
        }
    }

    /// Sends the request and gives the answer's status and headers.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, RemoteError> {
        let response = request.send().await.map_err(|error| self.failed(error))?;
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
        let piece = response.chunk().await.map_err(|error| self.failed(error))?;
        self.flow.moved(piece.as_ref().map_or(0, Bytes::len));
        Ok(piece)
    }

    /// All of a body that has at most so many bytes.
    pub(super) async fn body(
        &self,
        mut response: Response,
        most: u64,
    ) -> Result<Bytes, RemoteError> {
        let too_large = || self.wrong(&format!("more than {most} bytes"));
        if length(&response).is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response).await? {
            if (body.len() + piece.len()) as u64 > most {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.into())
    }

    /// A blob that is sent as it is.
    pub(super) async fn blob(
        &self,
        mut response: Response,
        into: &mut Incoming,
    ) -> Result<(), RemoteError> {
        let size = into.digest().size();
        let other_size = |came| self.wrong(&format!("{came} bytes came instead of {size}"));
        if let Some(length) = length(&response).filter(|&length| length != size) {
            return Err(other_size(length));
        }
        while let Some(piece) = self.piece(&mut response).await? {
            into.write(&piece).map_err(|error| self.not_taken(&error))?;
        }
        if into.received() == size { Ok(()) } else { Err(other_size(into.received())) }
    }

    /// Sends `blob` as the body of the request.
    pub(super) async fn upload(
        &self,
        request: RequestBuilder,
        blob: &Blob,
    ) -> Result<Response, RemoteError> {
        let failed = Arc::new(OnceLock::new());
        let request = request
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, blob.digest().size())
            .body(body::stream(blob.clone(), self.flow.clone(), failed.clone()));
        let response = self.send(request).await;
        match failed.get() {
            Some(why) => Err(RemoteError::Local(String::clone(why))),
            None => response,
        }
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
        let retry_after = retry_after(&response);
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

    /// The beginning of an error: what was asked, and this.
    pub(super) fn says(&self, what: &str) -> String {
        format!("{}: {what}", self.what)
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
    fn failed(&self, error: reqwest::Error) -> RemoteError {
        // The URL may hold a signature.
        let error = error.without_url();
        let mut cause: &(dyn Error + 'static) = &error;
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
            Some(rustls::Error::AlertReceived(alert)) if of_certificate(*alert) => {
                RemoteError::Denied(what)
            }
            Some(_) => RemoteError::Refused(what),
            None if garbage => RemoteError::Wrong(what),
            None => RemoteError::Transient { what, retry_after: None },
        }
    }

    /// The first line of what a server says in plain text, or the title where it is HTML.
    fn words(&self, text: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(text).ok()?;
        if self.channel.secrets.iter().any(|secret| text.contains(secret)) {
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

/// Whether a server says this about a client's certificate (RFC 8446, 6.2).
fn of_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}
