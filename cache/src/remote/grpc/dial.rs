//! Connections by TLS. tonic could make them, but where a server refuses our certificate it would
//! only say that the connection was closed: with TLS 1.3 that comes after the handshake.

use crate::remote::{RemoteOptions, tls};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;
use tonic::codegen::{BoxFuture, Service, StdError};

/// Makes connections by TLS.
#[derive(Clone)]
pub(super) struct Dial {
    tcp: HttpConnector,
    tls: TlsConnector,
    name: ServerName<'static>,
    timeout: Duration,
    alarm: Alarm,
}

/// What TLS said last of a connection that broke.
#[derive(Clone, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<rustls::Error>>>);

impl Alarm {
    fn set(&self, error: Option<rustls::Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// None when it said nothing since the last attempt to connect.
    pub(super) fn get(&self) -> Option<rustls::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dial {
    /// To `host`, with TLS as the options say. The error is what is wrong with them.
    pub(super) fn new(host: &str, options: &RemoteOptions) -> Result<Dial, String> {
        let config = tls::client(&options.tls, &[b"h2"])?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| "its host can't be in a certificate".to_owned())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Dial {
            tcp,
            tls: TlsConnector::from(Arc::new(config)),
            name,
            timeout: options.connect_timeout,
            alarm: Alarm::default(),
        })
    }

    /// Tells why connections broke.
    pub(super) fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    async fn connect(mut self, uri: Uri) -> Result<TokioIo<Connection>, StdError> {
        self.alarm.set(None);
        let tcp = self.tcp.call(uri).await?.into_inner();
        let stream = self.tls.connect(self.name, tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("the server doesn't offer HTTP/2 by TLS".into());
        }
        Ok(TokioIo::new(Connection { stream, alarm: self.alarm }))
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Connection>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, StdError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move {
            let timeout = dial.timeout;
            match tokio::time::timeout(timeout, dial.connect(uri)).await {
                Ok(connection) => connection,
                Err(_) => Err("no connection in time".into()),
            }
        })
    }
}

/// A connection that remembers what TLS says when it breaks.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    alarm: Alarm,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &read
            && let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref())
        {
            self.alarm.set(Some(rustls::Error::clone(error)));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
