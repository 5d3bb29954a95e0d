//! A proxy that misbehaves: in front of an HTTP server by request, in front of any other by
//! connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::background::Background;

/// What is done to an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: everything is passed on.
    #[default]
    None,
    /// The request is taken and there is never an answer. A connection that hangs goes on to hang
    /// when the fault is switched off.
    Hang,
    /// The connection is closed after so many bytes of the answer, its head included.
    CloseAfter(usize),
    /// So many bytes of the answer arrive, then nothing for so long, and again.
    Drip {
        /// How many at once.
        bytes: usize,
        /// How long until the next ones.
        every: Duration,
    },
    /// As many bytes as the answer has, but not its protocol.
    Garbage,
    /// HTTP only: this status instead of what was asked for; the server behind is not asked.
    Status {
        /// 100 to 999.
        code: u16,
        /// The `Retry-After` sent with it, in seconds.
        retry_after: Option<u64>,
    },
    /// HTTP only: half the body is sent and the connection closed.
    CloseInBody,
    /// HTTP only: half the body, with a length that fits it.
    Truncate,
    /// HTTP only: the lowest bit of this byte of the body is flipped, counted round and round.
    Flip(usize),
}

impl Fault {
    /// HTTP only: a status without a `Retry-After`.
    pub fn status(code: u16) -> Fault {
        Fault::Status { code, retry_after: None }
    }

    /// HTTP only: for so many requests, then none.
    pub fn times(self, count: usize) -> Rule {
        Rule::from(self).times(count)
    }

    /// HTTP only: for requests whose method, space and path contain this text, as in `PUT /ac/`.
    pub fn on(self, requests: &str) -> Rule {
        Rule::from(self).on(requests)
    }
}

/// A fault and what it is done to.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    fault: Fault,
    requests: String,
    left: Option<usize>,
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Rule {
        Rule { fault, ..Rule::default() }
    }
}

impl Rule {
    /// As [`Fault::times`].
    pub fn times(self, count: usize) -> Rule {
        Rule { left: Some(count), ..self }
    }

    /// As [`Fault::on`].
    pub fn on(self, requests: &str) -> Rule {
        Rule { requests: requests.to_owned(), ..self }
    }

    /// The fault for one request, which is counted off.
    fn take(&mut self, request: &str) -> Fault {
        if !request.contains(&self.requests) || self.left == Some(0) {
            return Fault::None;
        }
        self.left = self.left.map(|left| left - 1);
        self.fault.clone()
    }
}

/// A running proxy, which passes everything on until a fault is set.
#[derive(Debug)]
pub struct Faults {
    background: Background,
    shared: Arc<Shared>,
    scheme: String,
    path: String,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    rule: Mutex<Rule>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Faults {
    /// A proxy in front of the server at this URL (`http://127.0.0.1:8080/path`, `grpc://…`). The
    /// scheme `http` makes the faults of HTTP possible.
    pub fn in_front_of(url: &str) -> Faults {
        let (scheme, rest) = url.split_once("://").expect("a URL with a scheme");
        let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let shared = Arc::new(Shared {
            server: server.parse().expect("an address and a port in the URL"),
            rule: Mutex::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let served = shared.clone();
        let http = scheme == "http";
        let background = Background::start(move |stream| {
            served.connections.fetch_add(1, Ordering::Relaxed);
            let shared = served.clone();
            async move { if http { shared.serve(stream).await } else { shared.pass(stream).await } }
        });
        Faults { background, shared, scheme: scheme.to_owned(), path: path.to_owned() }
    }

    /// The server's URL with the proxy's address.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.address(), self.path)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.background.address()
    }

    /// What is to go wrong from now on, instead of what was set before. In front of another
    /// server than one of HTTP it concerns answers on open connections too.
    pub fn set(&self, rule: impl Into<Rule>) {
        let rule = rule.into();
        let of_http = rule.left.is_some()
            || !rule.requests.is_empty()
            || matches!(
                rule.fault,
                Fault::Status { .. } | Fault::CloseInBody | Fault::Truncate | Fault::Flip(_)
            );
        assert!(self.scheme == "http" || !of_http, "{rule:?} is for HTTP only");
        *lock(&self.shared.rule) = rule;
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// HTTP only: every request as `METHOD PATH`, in the order in which they came.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Body = BoxBody<Bytes, io::Error>;

impl Shared {
    /// Copies bytes both ways.
    async fn pass(self: Arc<Self>, client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.server).await else { return };
        let fault = move || lock(&self.rule).fault.clone();
        let mut client = Tap { stream: client, fault, closing: 0, drip: None };
        // Ends with an error when one of them has gone, which the other notices.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }

    /// Takes requests, has them answered and damages the answers.
    async fn serve(self: Arc<Self>, client: TcpStream) {
        let current = Arc::new(Mutex::new(Fault::None));
        let of_answer = current.clone();
        let fault = move || lock(&of_answer).clone();
        let client = Tap { stream: client, fault, closing: 0, drip: None };
        let service = service_fn(move |request: Request<Incoming>| {
            let (shared, current) = (self.clone(), current.clone());
            async move {
                let line = format!("{} {}", request.method(), request.uri().path());
                let fault = lock(&shared.rule).take(&line);
                lock(&shared.requests).push(line);
                // The answer to the request before has been written: there is no pipelining.
                *lock(&current) = fault.clone();
                Ok::<_, Infallible>(shared.answer(request, fault).await)
            }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
    }

    async fn answer(&self, request: Request<Incoming>, fault: Fault) -> Response<Body> {
        match fault {
            Fault::Hang => std::future::pending().await,
            Fault::Status { code, retry_after } => {
                let mut answer = Response::new(nothing());
                *answer.status_mut() = StatusCode::from_u16(code).expect("a status");
                if let Some(seconds) = retry_after {
                    let value = HeaderValue::from(seconds);
                    answer.headers_mut().insert(header::RETRY_AFTER, value);
                }
                answer
            }
            fault => self.forward(request, fault).await.unwrap_or_else(|_| {
                let mut answer = Response::new(nothing());
                *answer.status_mut() = StatusCode::BAD_GATEWAY;
                answer
            }),
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        fault: Fault,
    ) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
        let server = TokioIo::new(TcpStream::connect(self.server).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(server).await?;
        tokio::spawn(connection);
        let head = request.method() == Method::HEAD;
        let (mut parts, body) = sender.send_request(request).await?.into_parts();
        // The client's connection is another one than the server's.
        parts.headers.remove(header::CONNECTION);
        if head || !matches!(fault, Fault::CloseInBody | Fault::Truncate | Fault::Flip(_)) {
            return Ok(Response::from_parts(parts, body.map_err(io::Error::other).boxed()));
        }
        let mut body = body.collect().await?.to_bytes().to_vec();
        let half = body.len() / 2;
        let body = match fault {
            Fault::CloseInBody => {
                let first = Frame::data(Bytes::copy_from_slice(&body[..half]));
                // A pause first, so that hyper sends what it has before it closes.
                let close = async {
                    tokio::task::yield_now().await;
                    Err(io::ErrorKind::ConnectionReset.into())
                };
                let first = stream::once(async { Ok(first) });
                BodyExt::boxed(StreamBody::new(first.chain(stream::once(close))))
            }
            Fault::Truncate => {
                body.truncate(half);
                whole(body)
            }
            Fault::Flip(index) => {
                let length = body.len().max(1);
                if let Some(byte) = body.get_mut(index % length) {
                    *byte ^= 1;
                }
                whole(body)
            }
            _ => whole(body),
        };
        if let Some(length) = body.size_hint().exact() {
            parts.headers.remove(header::TRANSFER_ENCODING);
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(Response::from_parts(parts, body))
    }
}

fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

fn whole(body: Vec<u8>) -> Body {
    Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed()
}

/// A client's connection. What is written to it suffers the faults of the wire.
struct Tap<F> {
    stream: TcpStream,
    /// The fault of the moment.
    fault: F,
    /// Bytes written since [`Fault::CloseAfter`] is in force.
    closing: usize,
    /// Runs while nothing may be written.
    drip: Option<Pin<Box<Sleep>>>,
}

impl<F: Fn() -> Fault + Unpin> AsyncRead for Tap<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<F: Fn() -> Fault + Unpin> AsyncWrite for Tap<F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(drip) = &mut self.drip {
            ready!(drip.as_mut().poll(context));
            self.drip = None;
        }
        let fault = (self.fault)();
        if !matches!(fault, Fault::CloseAfter(_)) {
            self.closing = 0;
        }
        match fault {
            Fault::Hang => Poll::Pending,
            Fault::CloseAfter(limit) => {
                let left = limit.saturating_sub(self.closing).min(bytes.len());
                if left == 0 {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                let written =
                    ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..left]));
                self.closing += written.as_ref().copied().unwrap_or(0);
                Poll::Ready(written)
            }
            Fault::Drip { bytes: most, every } => {
                let some = &bytes[..bytes.len().min(most.max(1))];
                let written = ready!(Pin::new(&mut self.stream).poll_write(context, some));
                self.drip = Some(Box::pin(sleep(every)));
                Poll::Ready(written)
            }
            Fault::Garbage => {
                let garbage: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x5a).collect();
                Pin::new(&mut self.stream).poll_write(context, &garbage)
            }
            _ => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
