//! A cache behind plain HTTP, as bazel-remote, nginx and many others serve it.
//!
//! ```text
//! PREFIX/ac/<hash>    encoded ActionResults, named by the hash of the Action
//! PREFIX/cas/<hash>   blobs, named by the SHA-256 of their content
//! ```
//!
//! GET reads, PUT with a Content-Length stores, HEAD asks whether a blob is there. 404 is a miss.
//! The empty blob is always there and never asked for. Redirects aren't followed, and proxies of
//! the environment aren't used.
//!
//! Where the options allow it, blobs are asked for as zstd, and taken as the server sends them.
//! Nothing says whether a server decodes what is uploaded as zstd, and one that doesn't would keep
//! rubbish. So [`Http::decodes`] finds out with a blob of its own, once, before the first upload
//! that is worth it.

mod upload;

use super::channel::{Channel, Exchange, length};
use super::{Credentials, MAX_ENTRY, Remote, RemoteError, RemoteOptions, RemoteOptionsError};
use super::{without_secrets, zstd};
use crate::blob::Blob;
use crate::digest::hex;
use crate::local::Incoming;
use airtight_recording::Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::try_join_all;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use std::fmt;
use std::net::IpAddr;
use tokio::sync::{OnceCell, Semaphore};

/// A cache behind plain HTTP.
pub(super) struct Http {
    channel: Channel,
    url: Url,
    /// Marked as sensitive.
    authorization: Option<HeaderValue>,
    compress: bool,
    /// Whether the server decodes uploads, once that is known.
    decodes: OnceCell<bool>,
    compressions: Semaphore,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// What a request is about.
#[derive(Clone, Copy)]
enum Place<'a> {
    Entry(&'a Digest),
    Blob(&'a Digest),
}

impl Http {
    /// The cache that the options name. Nothing is sent yet.
    ///
    /// # Errors
    /// When an option is wrong.
    pub(super) fn open(options: &RemoteOptions) -> Result<Http, RemoteOptionsError> {
        let bad = |what| RemoteOptionsError { url: without_secrets(&options.url), what };
        Http::build(options).map_err(bad)
    }

    fn build(options: &RemoteOptions) -> Result<Http, String> {
        let url = address(&options.url)?;
        let (authorization, secrets) = authorization(&options.credentials)?;
        let https = url.scheme() == "https";
        if authorization.is_some() && !https && !is_loopback(&url) {
            // Anybody on the way could read them and then poison the cache in our name.
            return Err("credentials are sent by TLS only; use https://".to_owned());
        }
        let protocols: &[&[u8]] = &[b"h2", b"http/1.1"];
        Ok(Http {
            channel: Channel::open(options, https, protocols, secrets)?,
            url,
            authorization,
            compress: options.compress,
            decodes: OnceCell::new(),
            compressions: Semaphore::new(upload::COMPRESSIONS),
        })
    }

    /// A request that has one of the connections for its own, and what sends it.
    async fn begin(
        &self,
        method: Method,
        place: Place<'_>,
    ) -> Result<(Exchange<'_>, RequestBuilder), RemoteError> {
        let (bucket, digest) = match place {
            Place::Entry(key) => ("ac", key),
            Place::Blob(digest) => ("cas", digest),
        };
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{bucket}/{}", url.path().trim_end_matches('/'), hex(digest)));
        let exchange = self.channel.begin(format!("{method} {}", url.path())).await?;
        let mut request = self.channel.request(method, url);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        Ok((exchange, request))
    }

    /// The size of a blob as the server has it; the outer none when it lacks it, the inner one when
    /// it doesn't say.
    async fn size(&self, digest: &Digest) -> Result<Option<Option<u64>>, RemoteError> {
        let (exchange, request) = self.begin(Method::HEAD, Place::Blob(digest)).await?;
        let head = async {
            let response = exchange.send(request).await?;
            match response.status() {
                status if status.is_success() => Ok(Some(length(&response))),
                // It can't be asked, and has to be told.
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(None),
                StatusCode::NOT_FOUND => Ok(None),
                _ => Err(exchange.refused(response).await),
            }
        };
        exchange.watch(head).await
    }

    async fn has(&self, digest: &Digest) -> Result<bool, RemoteError> {
        if digest.size() == 0 {
            return Ok(true);
        }
        // A blob of another size is damaged: as good as missing, and to be replaced.
        let size = self.size(digest).await?;
        Ok(size.is_some_and(|size| size.is_none_or(|size| size == digest.size())))
    }
}

#[async_trait::async_trait]
impl Remote for Http {
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        let (exchange, request) = self.begin(Method::GET, Place::Entry(key)).await?;
        let get = async {
            let Some(response) = exchange.get(request).await? else { return Ok(None) };
            exchange.body(response, MAX_ENTRY).await.map(Some)
        };
        exchange.watch(get).await
    }

    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        self.put(Place::Entry(key), &Blob::of(value), None).await
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        let digest = into.digest();
        let size = digest.size();
        if size == 0 {
            return Ok(true);
        }
        let (exchange, mut request) = self.begin(Method::GET, Place::Blob(&digest)).await?;
        if self.compress {
            request = request.header(ACCEPT_ENCODING, "zstd");
        }
        let other_size = |came| exchange.wrong(&format!("{came} bytes came instead of {size}"));
        let get = async {
            let Some(mut response) = exchange.get(request).await? else { return Ok(false) };
            match response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
                None | Some(b"identity") => exchange.blob(response, into).await?,
                Some(b"zstd") if self.compress => {
                    let decoder = zstd::Decoder::new(into);
                    let mut decoder = decoder.map_err(|error| exchange.not_taken(&error))?;
                    while let Some(piece) = exchange.piece(&mut response).await? {
                        decoder.write(&piece).map_err(|error| exchange.not_taken(&error))?;
                    }
                    decoder.finish().map_err(|error| exchange.not_taken(&error))?;
                }
                Some(_) => return Err(exchange.wrong("an encoding that wasn't asked for")),
            }
            if into.received() == size { Ok(true) } else { Err(other_size(into.received())) }
        };
        exchange.watch(get).await
    }

    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        let there = try_join_all(digests.iter().map(|digest| self.has(digest))).await?;
        let all = digests.iter().zip(there);
        Ok(all.filter(|(_, there)| !there).map(|(digest, _)| *digest).collect())
    }

    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        let digest = blob.digest();
        if digest.size() == 0 {
            return Ok(());
        }
        match self.encoded(blob).await? {
            Some(encoded) => self.put(Place::Blob(&digest), &encoded, Some(digest.size())).await,
            None => self.put(Place::Blob(&digest), blob, None).await,
        }
    }
}

/// The URL, when nothing is in it that doesn't belong there.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        let what = "no user and no password may be in the URL, which is shown in messages; give \
                    them as credentials";
        return Err(what.to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL ends with its path: no `?` and no `#`".to_owned());
    }
    Ok(url)
}

/// Whether what is sent there stays on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The value of the header `Authorization`, and all texts that give the credentials away.
fn authorization(credentials: &Credentials) -> Result<(Option<HeaderValue>, Vec<String>), String> {
    let (value, secret) = match credentials {
        Credentials::None => return Ok((None, Vec::new())),
        Credentials::Basic { user, password } => {
            if user.contains(':') {
                return Err("the user name holds a colon (RFC 7617)".to_owned());
            }
            let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            (format!("Basic {pair}"), vec![pair, password.reveal().to_owned()])
        }
        Credentials::Bearer(token) => {
            (format!("Bearer {}", token.reveal()), vec![token.reveal().to_owned()])
        }
        Credentials::S3 { .. } => return Err("access keys of S3 are of no use here".to_owned()),
    };
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| "the token holds a line break or another control character".to_owned())?;
    value.set_sensitive(true);
    let secrets = secret.into_iter().filter(|secret| !secret.is_empty()).collect();
    Ok((Some(value), secrets))
}
