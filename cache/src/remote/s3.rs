//! A cache in a bucket of an S3-compatible service.
//!
//! ```text
//! PREFIX/ac/<hash>    encoded ActionResults, named by the hash of the Action
//! PREFIX/cas/<hash>   blobs, named by the SHA-256 of their content
//! ```
//!
//! Requests are signed in their query (AWS Signature Version 4), with the credentials that were
//! given and no others: nothing is looked up in files, the environment or at a metadata service.
//! Without any, requests are anonymous. The query is part of no message.
//!
//! Blobs are stored with `If-None-Match: *`, so that what is there stays, and all objects with
//! their SHA-256, which services check where they can. One request stores one object, up to 5 GiB,
//! as it is: nothing is compressed.

mod answer;

use super::channel::{Channel, Exchange, length};
use super::{Credentials, MAX_ENTRY, Remote, RemoteError, RemoteOptions, RemoteOptionsError};
use crate::blob::Blob;
use crate::digest::hex;
use crate::local::Incoming;
use airtight_recording::Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::try_join_all;
use reqwest::{Method, StatusCode, Url};
use rusty_s3::actions::{GetObject, HeadObject, PutObject};
use rusty_s3::{Bucket, S3Action, UrlStyle};
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest object of one request: 5 GiB (the documentation of `PutObject`).
const LARGEST: u64 = 5 << 30;

/// So long a signature can be used. It only has to outlast the way to the server and a clock that
/// is a little off.
const SIGNATURE: Duration = Duration::from_secs(15 * 60);

/// A cache in a bucket.
pub(super) struct S3 {
    channel: Channel,
    bucket: Bucket,
    /// Ends with `/` unless it is empty.
    prefix: String,
    credentials: Option<rusty_s3::Credentials>,
    /// The service has said that it doesn't know the headers for conditions and checksums.
    plain: AtomicBool,
    /// Blobs that the service has, but wrong: they are to be replaced.
    damaged: Mutex<HashSet<Digest>>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.bucket.base_url().as_str())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl S3 {
    /// The cache that the options name. Nothing is sent yet.
    ///
    /// # Errors
    /// When an option is wrong.
    pub(super) fn open(options: &RemoteOptions) -> Result<S3, RemoteOptionsError> {
        let bad = |what| RemoteOptionsError { url: super::without_secrets(&options.url), what };
        S3::build(options).map_err(bad)
    }

    fn build(options: &RemoteOptions) -> Result<S3, String> {
        let (name, prefix) = place(&options.url)?;
        let (credentials, secrets) = credentials(&options.credentials)?;
        let region = options.region.as_str();
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("`{region}` is no region; like us-east-1"));
        }
        let (endpoint, style) = match &options.endpoint {
            Some(endpoint) => (endpoint_url(endpoint)?, UrlStyle::Path),
            None => {
                let domain = if region.starts_with("cn-") { "com.cn" } else { "com" };
                let endpoint = format!("https://s3.{region}.amazonaws.{domain}");
                let endpoint = Url::parse(&endpoint).map_err(|error| error.to_string())?;
                // The service's certificate covers no further dots, and old names have capitals.
                let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let in_host = name.bytes().all(label);
                (endpoint, if in_host { UrlStyle::VirtualHost } else { UrlStyle::Path })
            }
        };
        let https = endpoint.scheme() == "https";
        let bucket = Bucket::new(endpoint, style, name.to_owned(), region.to_owned())
            .map_err(|_| format!("`{name}` can't be the name of a bucket there"))?;
        Ok(S3 {
            channel: Channel::open(options, https, &[b"http/1.1"], secrets)?,
            bucket,
            prefix,
            credentials,
            plain: AtomicBool::new(false),
            damaged: Mutex::default(),
        })
    }

    fn key(&self, directory: &str, digest: &Digest) -> String {
        format!("{}{directory}/{}", self.prefix, hex(digest))
    }

    async fn get<'a>(
        &'a self,
        exchange: &Exchange<'a>,
        key: &str,
    ) -> Result<Option<reqwest::Response>, RemoteError> {
        let url = GetObject::new(&self.bucket, self.credentials.as_ref(), key).sign(SIGNATURE);
        let response = exchange.send(self.channel.request(Method::GET, url)).await?;
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            status if status.is_success() => Err(exchange.wrong(&format!("status {status}"))),
            _ => answer::failed(exchange, response).await.map(|()| None),
        }
    }

    /// The size of a blob as the service has it; none when it lacks it.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>, RemoteError> {
        let key = self.key("cas", digest);
        let exchange = self.channel.begin(format!("HEAD {key}")).await?;
        let head = async {
            let url = HeadObject::new(&self.bucket, self.credentials.as_ref(), &key);
            let request = self.channel.request(Method::HEAD, url.sign(SIGNATURE));
            let response = exchange.send(request).await?;
            match response.status() {
                // What doesn't tell its length is taken for right.
                StatusCode::OK => Ok(Some(length(&response).unwrap_or(digest.size()))),
                StatusCode::NOT_FOUND => Ok(None),
                _ => answer::failed(&exchange, response).await.map(|()| None),
            }
        };
        exchange.watch(head).await
    }

    async fn has(&self, digest: &Digest) -> Result<bool, RemoteError> {
        if digest.size() == 0 {
            return Ok(true);
        }
        if self.damaged().contains(digest) {
            return Ok(false);
        }
        let Some(size) = self.size(digest).await? else { return Ok(false) };
        if size != digest.size() {
            self.damaged().insert(*digest);
        }
        Ok(size == digest.size())
    }

    /// Stores an object; `once` when what is there is to stay.
    async fn put(&self, key: &str, body: &Blob, once: bool) -> Result<Put, RemoteError> {
        if !self.plain.load(Ordering::Relaxed) {
            match self.try_put(key, body, once, true).await? {
                Put::NotImplemented => self.plain.store(true, Ordering::Relaxed),
                put => return Ok(put),
            }
        }
        self.try_put(key, body, once, false).await
    }

    async fn try_put(
        &self,
        key: &str,
        body: &Blob,
        once: bool,
        headers: bool,
    ) -> Result<Put, RemoteError> {
        let digest = body.digest();
        let exchange = self.channel.begin(format!("PUT {key}")).await?;
        let checksum = BASE64_STANDARD.encode(digest.hash());
        let mut action = PutObject::new(&self.bucket, self.credentials.as_ref(), key);
        if headers {
            action.headers_mut().insert("x-amz-checksum-sha256", checksum.as_str());
            if once {
                action.headers_mut().insert("if-none-match", "*");
            }
        }
        let mut request = self.channel.request(Method::PUT, action.sign(SIGNATURE));
        for (name, value) in action.headers_mut().iter() {
            request = request.header(name, value);
        }
        let put = async {
            let response = match exchange.upload(request, body).await {
                Err(error @ RemoteError::Transient { .. }) if once => {
                    return Ok(Put::CutShort(error));
                }
                response => response?,
            };
            match response.status() {
                status if status.is_success() => {
                    exchange.explanation(response).await;
                    Ok(Put::Done)
                }
                StatusCode::PRECONDITION_FAILED if once && headers => {
                    exchange.explanation(response).await;
                    Ok(Put::Done)
                }
                StatusCode::NOT_IMPLEMENTED => {
                    exchange.explanation(response).await;
                    Ok(Put::NotImplemented)
                }
                _ => answer::failed(&exchange, response).await.and_then(|()| {
                    Err(RemoteError::Refused(format!("PUT {key}: it knows no such key")))
                }),
            }
        };
        exchange.watch(put).await
    }

    fn damaged(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an upload has ended that has not failed, or not for sure.
enum Put {
    Done,
    /// The connection broke. A service that has the object already may say so, and close, before it
    /// has read what is sent: the answer is lost then.
    CutShort(RemoteError),
    /// It doesn't know one of the headers.
    NotImplemented,
}

#[async_trait::async_trait]
impl Remote for S3 {
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        let key = self.key("ac", key);
        let exchange = self.channel.begin(format!("GET {key}")).await?;
        let get = async {
            let Some(response) = self.get(&exchange, &key).await? else { return Ok(None) };
            exchange.body(response, MAX_ENTRY).await.map(Some)
        };
        exchange.watch(get).await
    }

    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        let key = self.key("ac", key);
        match self.put(&key, &Blob::of(value), false).await? {
            Put::Done => Ok(()),
            Put::CutShort(error) => Err(error),
            Put::NotImplemented => Err(not_implemented(&key)),
        }
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        let digest = into.digest();
        if digest.size() == 0 {
            return Ok(true);
        }
        let key = self.key("cas", &digest);
        let exchange = self.channel.begin(format!("GET {key}")).await?;
        let get = async {
            let Some(response) = self.get(&exchange, &key).await? else { return Ok(false) };
            exchange.blob(response, into).await?;
            Ok(true)
        };
        let answer = exchange.watch(get).await;
        if matches!(answer, Err(RemoteError::Wrong(_))) || answer == Ok(true) && !into.is_right() {
            self.damaged().insert(digest);
        }
        answer
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
        let key = self.key("cas", &digest);
        if digest.size() > LARGEST {
            let what = format!("PUT {key}: {} bytes are more than one upload's", digest.size());
            return Err(RemoteError::Full(what));
        }
        let replace = self.damaged().contains(&digest);
        let answer = match self.put(&key, blob, !replace).await {
            Ok(Put::Done) => Ok(()),
            Ok(Put::CutShort(error)) => match self.has(&digest).await {
                Ok(true) => Ok(()),
                _ => Err(error),
            },
            Ok(Put::NotImplemented) => Err(not_implemented(&key)),
            Err(error) => Err(error),
        };
        match &answer {
            Ok(()) => self.damaged().remove(&digest),
            // Some services keep what they have just refused.
            Err(RemoteError::Wrong(_)) => self.damaged().insert(digest),
            Err(_) => false,
        };
        answer
    }
}

fn not_implemented(key: &str) -> RemoteError {
    RemoteError::Refused(format!("PUT {key}: 501"))
}

/// Bucket and prefix of `s3://bucket/prefix`.
fn place(url: &str) -> Result<(&str, String), String> {
    let rest = url.strip_prefix("s3://").ok_or("not a URL; like s3://bucket/prefix")?;
    if rest.contains(['?', '#', '@']) {
        return Err("only a bucket and a prefix belong there; credentials are given apart".into());
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
        return Err(format!("`{bucket}` is not the name of a bucket; like s3://bucket/prefix"));
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok((bucket, String::new()));
    }
    // A key has 1024 bytes at most, and the names of objects come after the prefix.
    if prefix.len() > 900 || prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the prefix is too long, or a part of it is empty, `.` or `..`".to_owned());
    }
    if !prefix.bytes().all(|b| plain(b) || b == b'/') {
        return Err("a prefix holds letters, digits, `-`, `_`, `.` and `/`".to_owned());
    }
    Ok((bucket, format!("{prefix}/")))
}

fn endpoint_url(endpoint: &str) -> Result<Url, String> {
    let url = Url::parse(endpoint).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    // Not repeated, because it may hold a password.
    url.ok_or_else(|| "the endpoint isn't a plain URL; like https://s3.example.com:9000".to_owned())
}

/// The credentials, and all texts that give them away.
fn credentials(
    given: &Credentials,
) -> Result<(Option<rusty_s3::Credentials>, Vec<String>), String> {
    match given {
        Credentials::None => Ok((None, Vec::new())),
        Credentials::S3 { key, secret, token: None } => {
            let secret = secret.reveal();
            Ok((Some(rusty_s3::Credentials::new(key, secret)), vec![secret.to_owned()]))
        }
        Credentials::S3 { key, secret, token: Some(token) } => {
            let (secret, token) = (secret.reveal(), token.reveal());
            let credentials = rusty_s3::Credentials::new_with_token(key, secret, token);
            Ok((Some(credentials), vec![secret.to_owned(), token.to_owned()]))
        }
        Credentials::Basic { .. } | Credentials::Bearer(_) => {
            Err("S3 wants an access key and a secret key".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Secret;

    fn opened(change: impl FnOnce(&mut RemoteOptions)) -> Result<S3, RemoteOptionsError> {
        let mut options = RemoteOptions::new("s3://my-bucket/some/prefix/");
        change(&mut options);
        S3::open(&options)
    }

    #[test]
    fn urls_by_endpoint_and_region() {
        let digest = Digest::of(b"x");
        let url = |change: fn(&mut RemoteOptions)| {
            let s3 = opened(change).expect("good options");
            let url = s3.bucket.object_url(&s3.key("cas", &digest)).to_string();
            url.replace(&hex(&digest), "HASH")
        };
        assert_eq!(
            url(|options| options.region = "eu-west-1".to_owned()),
            "https://my-bucket.s3.eu-west-1.amazonaws.com/some/prefix/cas/HASH"
        );
        assert_eq!(
            url(|options| options.url = "s3://my.dotted.bucket".to_owned()),
            "https://s3.us-east-1.amazonaws.com/my.dotted.bucket/cas/HASH"
        );
        assert_eq!(
            url(|options| options.url = "s3://Old_Bucket".to_owned()),
            "https://s3.us-east-1.amazonaws.com/Old_Bucket/cas/HASH"
        );
        assert_eq!(
            url(|options| options.region = "cn-north-1".to_owned()),
            "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/some/prefix/cas/HASH"
        );
        assert_eq!(
            url(|options| options.endpoint = Some("http://127.0.0.1:9000".to_owned())),
            "http://127.0.0.1:9000/my-bucket/some/prefix/cas/HASH"
        );
        assert_eq!(
            url(|options| options.endpoint = Some("https://example.com/s3/".to_owned())),
            "https://example.com/s3/my-bucket/some/prefix/cas/HASH"
        );
    }

    #[test]
    fn wrong_options_are_refused_and_secrets_not_repeated() {
        for url in [
            "s3://",
            "s3://ab",
            "s3:///prefix",
            "s3://bucket/a//b",
            "s3://bucket/../b",
            "s3://bucket/a b",
            "s3://AKIA:hunter2@bucket/prefix",
            "s3://bucket/prefix?token=hunter2",
            "s3://bücket/prefix",
        ] {
            let error = opened(|options| options.url = url.to_owned()).expect_err(url).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for endpoint in
            ["example.com", "ftp://example.com", "http://a:hunter2@b", "http://b/?x", ""]
        {
            let error = opened(|options| options.endpoint = Some(endpoint.to_owned()));
            let error = error.expect_err(endpoint).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for region in ["", "eu west", "evil.example.com/"] {
            opened(|options| options.region = region.to_owned()).expect_err(region);
        }
        let bearer = Credentials::Bearer(Secret::new("hunter2"));
        let error = opened(|options| options.credentials = bearer).expect_err("bearer");
        assert!(!error.to_string().contains("hunter2"));
    }
}
