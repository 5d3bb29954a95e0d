//! The connection: who we are, how many requests at once, and how long each may be idle.

use super::address::Address;
use super::dial::{Alarm, Dial};
use super::progress::{Received, Sent, stalled};
use crate::remote::flow::Flow;
use crate::remote::{Credentials, RemoteOptions, Tls};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// How many bytes a server may send before we have taken them: for one request, and altogether.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;

/// A connection to one server, made with the first request and made anew when it has broken.
#[derive(Clone)]
pub(super) struct Wire {
    channel: Channel,
    alarm: Alarm,
    permits: Arc<Semaphore>,
    authorization: Option<HeaderValue>,
    idle: Duration,
}

impl Wire {
    /// To be called within the runtime. The error is what is wrong with the options.
    pub(super) fn new(address: &Address, options: &RemoteOptions) -> Result<Wire, String> {
        let authorization = authorization(&options.credentials)?;
        if authorization.is_some() && !address.tls && !address.is_loopback() {
            // Anybody on the way could read them and then poison the cache in our name.
            return Err("credentials are sent by TLS only; use grpcs://".to_owned());
        }
        let endpoint = Endpoint::from(address.uri.clone())
            .connect_timeout(options.connect_timeout)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            // A connection that died unnoticed is given up before the request that met it, so
            // that the next one doesn't meet it again. Servers take two pings without data, not
            // more (gRPC A8).
            .http2_keep_alive_interval(options.idle_timeout / 2)
            .keep_alive_timeout(options.idle_timeout / 4);
        let (channel, alarm) = if address.tls {
            let dial = Dial::new(address.uri.host().unwrap_or_default(), options)?;
            let alarm = dial.alarm();
            (Channel::new(dial, endpoint), alarm)
        } else if options.tls == Tls::default() {
            (endpoint.connect_lazy(), Alarm::default())
        } else {
            return Err("certificates are given, but the URL isn't grpcs".to_owned());
        };
        Ok(Wire {
            channel,
            alarm,
            permits: Arc::new(Semaphore::new(options.connections.clamp(1, 10_000))),
            authorization,
            idle: options.idle_timeout,
        })
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Ok(permit) = self.permits.acquire_owned().await else {
            return Err(Status::internal("the semaphore is closed"));
        };
        let (mut head, body) = request.into_parts();
        if let Some(authorization) = self.authorization {
            head.headers.insert(header::AUTHORIZATION, authorization);
        }
        let flow = Arc::new(Flow::new());
        let mut stalled = stalled(Arc::clone(&flow), self.idle);
        let request = Request::from_parts(head, Body::new(Sent::new(body, Arc::clone(&flow))));
        let mut channel = self.channel;
        let answer = async {
            poll_fn(|context| channel.poll_ready(context)).await?;
            channel.call(request).await
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer.map_err(|error| {
                let mut status = Status::from_error(Box::new(error));
                if let Some(alarm) = self.alarm.get() {
                    status.set_source(Arc::new(alarm));
                }
                status
            })?,
            status = &mut stalled => return Err(status),
        };
        flow.moved(0);
        not_grpc(answer.status(), answer.headers()).map_or(Ok(()), Err)?;
        Ok(answer.map(|body| Body::new(Received { body, flow, stalled, _permit: permit })))
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<Response<Body>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// The value of the `authorization` header.
fn authorization(credentials: &Credentials) -> Result<Option<HeaderValue>, String> {
    let text = match credentials {
        Credentials::None => return Ok(None),
        Credentials::Basic { user, password } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal())))
        }
        Credentials::Bearer(token) => format!("Bearer {}", token.reveal()),
        Credentials::S3 { .. } => return Err("access keys are for s3:// only".to_owned()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the credentials hold characters that can't be sent".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// What is told by an answer that no gRPC server but something on the way gave (gRPC, "HTTP to gRPC
/// Status Code Mapping").
fn not_grpc(status: StatusCode, headers: &HeaderMap) -> Option<Status> {
    if headers.contains_key(Status::GRPC_STATUS) {
        return None;
    }
    let code = match status {
        StatusCode::OK => {
            let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
            if kind.starts_with(b"application/grpc") {
                return None;
            }
            return Some(Status::unimplemented("the answer is not gRPC"));
        }
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Code::Unauthenticated
        }
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE => Code::ResourceExhausted,
        status if status.is_server_error() => Code::Unavailable,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Code::Unavailable,
        _ => Code::FailedPrecondition,
    };
    // So answers nginx who comes without the certificate that it demands.
    let hint = if status == StatusCode::BAD_REQUEST { " (is a certificate needed?)" } else { "" };
    let mut told = Status::new(code, format!("HTTP {} instead of gRPC{hint}", status.as_u16()));
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    if let Some(Ok(value)) = retry_after.map(str::parse) {
        told.metadata_mut().insert("retry-after", value);
    }
    Some(told)
}
