//! Stores beyond this machine, behind one trait.

mod channel;
mod directory;
mod flow;
mod grpc;
mod guarded;
mod http;
mod s3;
mod tls;
mod zstd;

pub use guarded::{Counters, Guarded};

use crate::blob::Blob;
use crate::local::Incoming;
use airtight_recording::Digest;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// The largest value of an action cache that is taken: 2 MiB, room for ten thousand outputs. What
/// is decoded from hostile bytes can take 75 times as much memory.
pub const MAX_ENTRY: u64 = 2 << 20;

/// Why a request to a remote failed. The texts hold neither credentials nor the query of a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It can't be reached, is too slow or too busy: worth another try.
    #[error("{what}")]
    Transient {
        /// What happened.
        what: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The credentials are missing or wrong.
    #[error("{0}")]
    Denied(String),
    /// It has no room, or the blob is larger than it takes.
    #[error("{0}")]
    Full(String),
    /// It said something that can't be right: a wrong digest, an endless answer, garbage.
    #[error("{0}")]
    Wrong(String),
    /// It refused the request for another reason that lasts.
    #[error("{0}")]
    Refused(String),
    /// The local end failed: the disk is full, a file can't be read.
    #[error("{0}")]
    Local(String),
    /// It was not asked: it has failed before, or the action has lost enough time to it.
    #[error("{0}")]
    Skipped(String),
}

/// A store of action cache entries and blobs that others share. Implementations make one attempt
/// for each request; retries, time limits and the circuit breaker are around them (`Guarded`).
///
/// Nothing that comes back is trusted: [`Incoming`] hashes blobs, and entries are checked by those
/// who read them.
#[async_trait::async_trait]
pub trait Remote: fmt::Debug + Send + Sync {
    /// The value of the action cache under `key`, an encoded `ActionResult` of at most
    /// [`MAX_ENTRY`] bytes; none when there is none.
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError>;

    /// Stores an encoded `ActionResult` under `key`.
    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError>;

    /// Writes a blob into `into`, whose digest it must have; false when the remote lacks it. Does
    /// not commit it. Never writes more than the digest's size.
    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError>;

    /// Those of `digests` that the remote lacks, as far as it can tell.
    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError>;

    /// Whether it finds a result only when the messages of all directories below the outputs are
    /// stored as well. The protocol doesn't ask for them, but buildbox-casd does.
    fn wants_directories(&self) -> bool {
        false
    }

    /// Stores a blob.
    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError>;

    /// Several blobs at once, in as few requests as the protocol allows. One answer for each, in
    /// order, as [`Remote::get_blob`] gives it.
    async fn get_blobs(&self, into: &mut [Incoming]) -> Vec<Result<bool, RemoteError>> {
        let gets = into.iter_mut().map(|blob| self.get_blob(blob));
        futures_util::future::join_all(gets).await
    }

    /// Stores those of `blobs` that the remote lacks.
    async fn put_blobs(&self, blobs: &[Blob]) -> Result<(), RemoteError> {
        let digests: Vec<Digest> = blobs.iter().map(Blob::digest).collect();
        let missing = self.missing(&digests).await?;
        let puts = blobs.iter().filter(|blob| missing.contains(&blob.digest()));
        futures_util::future::try_join_all(puts.map(|blob| self.put_blob(blob))).await?;
        Ok(())
    }
}

/// A password, token or private key. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How to say who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// HTTP basic authentication (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token (RFC 6750).
    Bearer(Secret),
    /// Access keys of an S3-compatible service.
    S3 {
        /// The access key id.
        key: String,
        /// The secret access key.
        secret: Secret,
        /// The session token of temporary credentials.
        token: Option<Secret>,
    },
}

/// What TLS needs beyond the system's own roots. All in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities to trust instead of the system's own.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate and private key, for mTLS.
    pub identity: Option<(Vec<u8>, Secret)>,
}

/// One remote, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// `http(s)://host[:port]/prefix`, `grpc(s)://host[:port]/instance`, `s3://bucket/prefix` or
    /// `file:///directory`. Holds no credentials.
    pub url: String,
    /// Results may be taken from it.
    pub fetch: bool,
    /// Verified results may be stored in it.
    pub push: bool,
    /// Who we are.
    pub credentials: Credentials,
    /// For `https`, `grpcs` and `s3`.
    pub tls: Tls,
    /// S3 only: the endpoint, such as `https://s3.example.com:9000`; none for the one that the
    /// region stands for.
    pub endpoint: Option<String>,
    /// S3 only.
    pub region: String,
    /// At most this many requests at once.
    pub connections: usize,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long a request may go without a byte in either direction.
    pub idle_timeout: Duration,
    /// How much time one action may lose to this remote altogether, beyond bytes that flow.
    pub budget: Duration,
    /// Tries beyond the first.
    pub retries: u32,
    /// Use zstd where the server offers it.
    pub compress: bool,
}

impl RemoteOptions {
    /// The defaults, for this URL.
    pub fn new(url: impl Into<String>) -> RemoteOptions {
        RemoteOptions {
            url: url.into(),
            fetch: true,
            push: true,
            credentials: Credentials::None,
            tls: Tls::default(),
            endpoint: None,
            region: "us-east-1".to_owned(),
            connections: 100,
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(10),
            budget: Duration::from_secs(30),
            retries: 2,
            compress: true,
        }
    }
}

/// A remote can't be used as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {what}")]
pub struct RemoteOptionsError {
    /// The URL.
    pub url: String,
    /// What is wrong with it, and the way out.
    pub what: String,
}

type Open = fn(&RemoteOptions) -> Result<Box<dyn Remote>, RemoteOptionsError>;

/// Who speaks which scheme.
const SCHEMES: [(&str, Open); 6] = [
    ("http", |options| Ok(Box::new(http::Http::open(options)?))),
    ("https", |options| Ok(Box::new(http::Http::open(options)?))),
    ("grpc", |options| Ok(Box::new(grpc::Grpc::open(options)?))),
    ("grpcs", |options| Ok(Box::new(grpc::Grpc::open(options)?))),
    ("s3", |options| Ok(Box::new(s3::S3::open(options)?))),
    ("file", |options| Ok(Box::new(directory::Directory::open(options)?))),
];

/// Makes the remote that the URL names. Nothing is sent yet. To be called within the runtime.
///
/// # Errors
/// When the URL or another option can't be understood.
pub fn open(options: &RemoteOptions) -> Result<Box<dyn Remote>, RemoteOptionsError> {
    opener(options)?(options)
}

/// Whether somebody speaks the scheme of the URL. Costs nothing, other than [`open`].
///
/// # Errors
/// When nobody does.
pub(crate) fn check(options: &RemoteOptions) -> Result<(), RemoteOptionsError> {
    opener(options).map(|_| ())
}

fn opener(options: &RemoteOptions) -> Result<Open, RemoteOptionsError> {
    let bad = |what: String| RemoteOptionsError { url: without_secrets(&options.url), what };
    let Some((scheme, _)) = options.url.split_once("://") else {
        return Err(bad("not a URL; like https://cache.example.com/prefix".to_owned()));
    };
    let known = SCHEMES.iter().find(|(name, _)| *name == scheme);
    known.map(|(_, open)| *open).ok_or_else(|| {
        let names = SCHEMES.map(|(name, _)| name).join(", ");
        bad(format!("no remote speaks `{scheme}`; the schemes are {names}"))
    })
}

/// A URL as it may be shown: without user information, query and fragment. Where a password itself
/// holds the signs that end it, rather too much goes than too little.
pub(crate) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn no_secret_is_in_a_url_that_is_shown() {
        for (url, shown) in [
            ("https://host:80/path", "https://host:80/path"),
            ("https://me:p@host/path?token=p#p", "https://host/path"),
            ("https://me:p/p?p#p@p@host/path", "https://host/path"),
            ("me:p@host/path", "host/path"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
