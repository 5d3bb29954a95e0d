//! A double of bazel-remote's HTTP side, which is written in Go and can't be installed here.
//!
//! What it answers was taken from bazel-remote's documentation and source: `…/ac/KEY` and
//! `…/cas/KEY` with 64 hex digits, GET, HEAD and PUT. A PUT needs a Content-Length; 200 when
//! stored; 400 for a malformed path, a value that is no `ActionResult` or too large a blob; 500
//! when a blob hasn't its digest; 507 when the disk is full; 404 for what isn't there; 401. The
//! empty blob is always there. Blobs go both ways as zstd when the client says so, uploads with
//! `X-Digest-SizeBytes`. An action result gets a worker's name when it has none, and is found only
//! as long as everything it names is there.
//!
//! Left out: action results as JSON, which are refused with 400, and eviction.

mod storage;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::background::Background;
use storage::{Key, Kind, Storage};

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether values of the action cache must be action results. bazel-remote's default, and
    /// switched off for ccache.
    pub validate: bool,
    /// The name and password to ask for.
    pub user: Option<(String, String)>,
    /// Whether only PUT asks for them.
    pub open_reads: bool,
    /// The largest blob taken, in bytes.
    pub largest: u64,
    /// How many bytes it takes before it is full.
    pub capacity: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            validate: true,
            user: None,
            open_reads: false,
            largest: u64::MAX,
            capacity: u64::MAX,
        }
    }
}

/// A running double of bazel-remote.
#[derive(Debug)]
pub struct BazelRemote {
    background: Background,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    storage: Storage,
    directory: TempDir,
    requests: Mutex<Vec<Handled>>,
}

/// A request as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// `GET`, `HEAD` or `PUT`.
    pub method: String,
    /// With its leading slash.
    pub path: String,
    /// What it was answered with.
    pub status: u16,
    /// The encoding of the body that was sent or received.
    pub zstd: bool,
}

type Answer = Response<Full<Bytes>>;

const X_DIGEST_SIZE: HeaderName = HeaderName::from_static("x-digest-sizebytes");

impl BazelRemote {
    /// A server with an empty storage.
    pub fn start(options: Options) -> BazelRemote {
        let directory = tempfile::Builder::new().prefix("airtight-server-").tempdir();
        let directory = directory.expect("a temporary directory");
        let storage = Storage::create(directory.path(), options.largest, options.capacity);
        let requests = Mutex::default();
        let shared = Arc::new(Shared { options, storage, directory, requests });
        let served = shared.clone();
        let background = Background::start(move |stream| served.clone().serve(stream));
        BazelRemote { background, shared }
    }

    /// `http://127.0.0.1:PORT`. A path may be appended: it is the instance.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.background.address()
    }

    /// Its storage: blobs in `cas/KEY`, action results in `ac/KEY`, those of an instance in
    /// `ac/INSTANCE/KEY`. What tests change there is served as it is.
    pub fn storage(&self) -> &Path {
        self.shared.directory.path()
    }

    /// Every request since the start, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Handled> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Ok(client) = stream.peer_addr() else { return };
        let service = service_fn(move |request| {
            let shared = self.clone();
            async move { Ok::<_, Infallible>(shared.handle(request, client).await) }
        });
        // An error is the client's, who has gone or doesn't speak HTTP.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn handle(&self, request: Request<Incoming>, client: SocketAddr) -> Answer {
        let method = request.method().to_string();
        let path = request.uri().path().to_owned();
        let sent_zstd = is_zstd(request.headers());
        let answer = self.answer(request, client).await;
        let handled = Handled {
            method,
            path,
            status: answer.status().as_u16(),
            zstd: sent_zstd || is_zstd(answer.headers()),
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(handled);
        answer
    }

    async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Answer {
        if !self.may(&request) {
            let mut answer = plain(StatusCode::UNAUTHORIZED, "who are you");
            let challenge = HeaderValue::from_static("Basic realm=\"cache\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return answer;
        }
        let Some(key) = Key::of_path(request.uri().path()) else {
            return plain(StatusCode::BAD_REQUEST, "neither /ac/SHA256 nor /cas/SHA256");
        };
        match *request.method() {
            Method::GET | Method::HEAD => self.get(&key, request.headers()),
            Method::PUT => match self.put(&key, request, client).await {
                Ok(()) => plain(StatusCode::OK, ""),
                Err((status, message)) => plain(status, message),
            },
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD or PUT"),
        }
    }

    fn may(&self, request: &Request<Incoming>) -> bool {
        let Some((user, password)) = &self.options.user else { return true };
        if self.options.open_reads && request.method() != Method::PUT {
            return true;
        }
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let given = request.headers().get(header::AUTHORIZATION);
        given.is_some_and(|given| given.as_bytes() == expected.as_bytes())
    }

    fn get(&self, key: &Key, headers: &HeaderMap) -> Answer {
        let found = match key.kind {
            Kind::Ac if self.options.validate => self.storage.action_result(key),
            _ => self.storage.get(key),
        };
        let Some(found) = found else { return plain(StatusCode::NOT_FOUND, "not found") };
        let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
        let zstd = accepted.filter_map(|value| value.to_str().ok()).any(|v| v.contains("zstd"));
        let zstd = zstd && matches!(key.kind, Kind::Cas);
        let body = if zstd { zstd::encode_all(&found[..], 1).expect("into memory") } else { found };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        let octets = HeaderValue::from_static("application/octet-stream");
        answer.headers_mut().insert(header::CONTENT_TYPE, octets);
        if zstd {
            let encoding = HeaderValue::from_static("zstd");
            answer.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        }
        answer
    }

    async fn put(
        &self,
        key: &Key,
        request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<(), (StatusCode, &'static str)> {
        let bad = |message| (StatusCode::BAD_REQUEST, message);
        let headers = request.headers();
        let zstd = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => false,
            Some(b"zstd") => true,
            Some(_) => return Err(bad("unknown Content-Encoding")),
        };
        let length =
            number(headers, header::CONTENT_LENGTH).ok_or(bad("PUT without Content-Length"))?;
        let size = match zstd {
            true => number(headers, X_DIGEST_SIZE).ok_or(bad("zstd without X-Digest-SizeBytes"))?,
            false => length,
        };
        let json = headers.get(header::CONTENT_TYPE).is_some_and(|v| v == "application/json");
        if matches!(key.kind, Kind::Ac) && self.options.validate {
            if json {
                return Err(bad("action results as JSON aren't taken here"));
            }
            if zstd || length > 64 << 20 {
                return Err(bad("too large or encoded"));
            }
            let body = request.into_body().collect().await.map_err(|_| bad("no whole body"))?;
            let worker = client.ip().to_string();
            let value = storage::with_worker(&body.to_bytes(), &worker)
                .ok_or(bad("not an ActionResult"))?;
            let mut upload = self.storage.upload(key, value.len() as u64, false)?;
            upload.write(&value)?;
            return upload.finish();
        }
        let mut upload = self.storage.upload(key, size, zstd)?;
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            // Nothing is kept of a blob whose upload breaks off.
            let frame = frame.map_err(|_| bad("no whole body"))?;
            if let Some(data) = frame.data_ref() {
                upload.write(data)?;
            }
        }
        upload.finish()
    }
}

fn is_zstd(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "zstd")
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn plain(status: StatusCode, message: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(message.as_bytes())));
    *answer.status_mut() = status;
    answer
}
