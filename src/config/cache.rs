//! The settings of the cache: `[cache]` and `[[cache.remote]]`.

use super::layer::{Layer, Origin};
use super::types::Time;
use crate::error::Error;
use airtight_cache::remote::{Credentials, RemoteOptions, Secret, Tls};
use airtight_cache::{PublicKey, SigningKey, TrustedKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where results are kept and looked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Cache {
    /// Look results up, and keep verified ones.
    pub(crate) enabled: Option<bool>,
    /// The directory of the local store, relative to this file.
    pub(crate) dir: Option<String>,
    /// How large the local store may grow: `10GiB`, `500MiB`.
    pub(crate) max_size: Option<Size>,
    /// Write results to the disk at once, so that a power loss costs none.
    pub(crate) durable: Option<bool>,
    /// Take results from the local store and from remotes.
    pub(crate) fetch: Option<bool>,
    /// Keep verified results in the local store, and in remotes that allow it.
    pub(crate) push: Option<bool>,
    /// Keep a result only if a witness has agreed with its recording.
    pub(crate) require_witness: Option<bool>,
    /// Send results that the local store has to remotes that lack them.
    pub(crate) reshare: Option<bool>,
    /// Restore read-only outputs as hard links into the local store.
    pub(crate) hard_links: Option<bool>,
    /// Run this percentage of hits again, and compare.
    pub(crate) verify_hits: Option<f64>,
    /// Take only results that one of these public keys has signed.
    pub(crate) trusted_keys: Vec<String>,
    /// The file of the private key that signs results, relative to this file.
    pub(crate) signing_key: Option<String>,
    /// At most this many requests at once to a remote that does not say otherwise [default: 100].
    pub(crate) connections: Option<usize>,
    /// Stores that others share, in the order in which they are asked.
    pub(crate) remote: Vec<Remote>,
}

/// A store that others share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Remote {
    /// `http(s)://host/prefix`, `grpc(s)://host/instance`, `s3://bucket/prefix`, `file:///dir`.
    url: String,
    /// Take results from it [default: true].
    fetch: Option<bool>,
    /// Store verified results in it [default: true].
    push: Option<bool>,
    /// The user of basic authentication.
    user: Option<String>,
    /// The file that holds the password.
    password_file: Option<String>,
    /// The variable that holds the password.
    password_env: Option<String>,
    /// The file that holds the bearer token.
    token_file: Option<String>,
    /// The variable that holds the bearer token.
    token_env: Option<String>,
    /// S3: the variable that holds the access key.
    access_key_env: Option<String>,
    /// S3: the variable that holds the secret key.
    secret_key_env: Option<String>,
    /// S3: the file that holds the secret key.
    secret_key_file: Option<String>,
    /// S3: the variable that holds the session token of temporary keys.
    session_token_env: Option<String>,
    /// The file of certificates (PEM) to trust, instead of the system's own.
    ca: Option<String>,
    /// The file of our certificate (PEM), for mTLS.
    cert: Option<String>,
    /// The file of the private key (PEM) of our certificate.
    key: Option<String>,
    /// S3: where the service is, like `https://s3.example.com:9000`.
    endpoint: Option<String>,
    /// S3: the region [default: us-east-1].
    region: Option<String>,
    /// At most this many requests at once [default: `connections` of `cache`].
    connections: Option<usize>,
    /// How long to wait for a connection [default: 2s].
    connect_timeout: Option<Time>,
    /// How long a request may go without a byte [default: 10s].
    idle_timeout: Option<Time>,
    /// How much time one action may lose to it altogether [default: 30s].
    budget: Option<Time>,
    /// Tries beyond the first [default: 2].
    retries: Option<u32>,
    /// Use zstd where the server offers it [default: true].
    compress: Option<bool>,
}

/// A number of bytes with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size(&text).map(Size).map_err(D::Error::custom)
    }
}

/// Reads `10GiB`, `500MB`, `1.5 TiB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit: f64 = match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    match number.trim().parse::<f64>().map(|number| number * unit) {
        Ok(bytes) if (0.0..1e18).contains(&bytes) => Ok(bytes as u64),
        _ => Err(format!("`{text}` is no size like 500MiB or 10GiB")),
    }
}

/// The settings of the cache, from all layers.
#[derive(Debug)]
pub(crate) struct Caching {
    /// Whether there is a cache at all.
    pub(crate) enabled: bool,
    /// The directory of the local store; none for the user's own.
    pub(crate) dir: Option<PathBuf>,
    /// The size in bytes that the local store is kept below.
    pub(crate) max_size: u64,
    /// Whether what is stored is synced.
    pub(crate) durable: bool,
    /// Whether results are taken.
    pub(crate) fetch: bool,
    /// Whether results are kept.
    pub(crate) push: bool,
    /// Whether results are kept only if a witness has agreed.
    pub(crate) require_witness: bool,
    /// Whether results of the local store are sent to remotes.
    pub(crate) reshare: bool,
    /// Whether read-only outputs may be hard links.
    pub(crate) hard_links: bool,
    /// The percentage of hits that is run again.
    pub(crate) verify_hits: f64,
    /// How many requests at once, for remotes that don't say.
    connections: Option<usize>,
    /// Whose results are taken.
    trusted_keys: Vec<PublicKey>,
    /// The file of the private key.
    signing_key: Option<PathBuf>,
    /// The remotes, with the directory that their files are relative to.
    remotes: Vec<(Remote, PathBuf)>,
}

impl Default for Caching {
    fn default() -> Caching {
        Caching {
            enabled: false,
            dir: None,
            max_size: 0,
            durable: false,
            fetch: true,
            push: true,
            require_witness: false,
            reshare: false,
            hard_links: false,
            verify_hits: 0.0,
            connections: None,
            trusted_keys: Vec::new(),
            signing_key: None,
            remotes: Vec::new(),
        }
    }
}

impl Caching {
    /// Lays the settings of one layer over what is known.
    pub(super) fn lay(&mut self, cache: Cache, layer: &Layer) -> Result<(), Error> {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        // A flag or variable is relative to the current directory, a file to its own.
        let base = match &layer.origin {
            Origin::File(file) => file.parent().unwrap_or(Path::new("/")).to_owned(),
            _ => PathBuf::new(),
        };
        set(&mut self.enabled, cache.enabled);
        if let Some(dir) = cache.dir.filter(|dir| !dir.is_empty()) {
            self.dir = Some(base.join(dir));
        }
        set(&mut self.max_size, cache.max_size.map(|size| size.0));
        set(&mut self.durable, cache.durable);
        set(&mut self.fetch, cache.fetch);
        set(&mut self.push, cache.push);
        set(&mut self.require_witness, cache.require_witness);
        set(&mut self.reshare, cache.reshare);
        set(&mut self.hard_links, cache.hard_links);
        if let Some(percent) = cache.verify_hits {
            if !(0.0..=100.0).contains(&percent) {
                let what = format!("{}: cache.verify-hits is a percentage", layer.name);
                return Err(Error::plain(what));
            }
            self.verify_hits = percent;
        }
        self.connections = cache.connections.or(self.connections);
        for key in &cache.trusted_keys {
            let key = PublicKey::parse(key).map_err(|error| {
                Error::plain(format!("{}: cache.trusted-keys: {error}", layer.name))
            })?;
            self.trusted_keys.push(key);
        }
        if let Some(file) = cache.signing_key.filter(|file| !file.is_empty()) {
            self.signing_key = Some(base.join(file));
        }
        for remote in cache.remote {
            let (scheme, rest) = remote.url.split_once("://").unwrap_or(("", &remote.url));
            let user = rest.split('/').next().is_some_and(|host| host.contains('@'));
            if user || (scheme != "file" && rest.contains('?')) {
                return Err(Error::Plain {
                    message: format!(
                        "{}: cache.remote: no user, no password and no `?` may be in the URL, which \
                         is shown in messages",
                        layer.name
                    ),
                    hints: vec!["set `user`, and `password-file` or `password-env`".to_owned()],
                });
            }
            // Of two with the same URL the later one counts.
            self.remotes.retain(|(known, _)| known.url != remote.url);
            self.remotes.push((remote, base.clone()));
        }
        Ok(())
    }

    /// The variables that hold secrets of remotes.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let names = self.remotes.iter().flat_map(|(remote, _)| {
            [
                &remote.password_env,
                &remote.token_env,
                &remote.access_key_env,
                &remote.secret_key_env,
                &remote.session_token_env,
            ]
        });
        names.filter_map(|name| name.as_deref())
    }

    /// The keys whose results are taken.
    pub(crate) fn trusted(&self) -> TrustedKeys {
        TrustedKeys::new(self.trusted_keys.clone())
    }

    /// The key that signs.
    ///
    /// # Errors
    /// When the file can't be read, or others may read it, or it holds no key.
    pub(crate) fn signing(&self) -> Result<Option<SigningKey>, Error> {
        let Some(path) = &self.signing_key else { return Ok(None) };
        let about = std::fs::metadata(path).map_err(Error::file(path, "can't read"))?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(Error::Plain {
                message: format!("{}: others may read this private key", path.display()),
                hints: vec![format!("chmod 600 {}", path.display())],
            });
        }
        let text = secret_file(path)?;
        let key = SigningKey::parse(text.reveal())
            .map_err(|error| Error::plain(format!("{}: {error}", path.display())))?;
        Ok(Some(key))
    }

    /// How many remotes there are.
    pub(crate) fn remote_count(&self) -> usize {
        self.remotes.len()
    }

    /// The remotes, with their secrets read.
    ///
    /// # Errors
    /// When a file or variable that a remote names can't be read.
    pub(crate) fn remotes(&self) -> Result<Vec<RemoteOptions>, Error> {
        let resolve = |(remote, base): &(Remote, PathBuf)| {
            let mut options = remote.resolve(base)?;
            if let (None, Some(connections)) = (remote.connections, self.connections) {
                options.connections = connections.max(1);
            }
            Ok(options)
        };
        self.remotes.iter().map(resolve).collect()
    }
}

impl Remote {
    fn resolve(&self, base: &Path) -> Result<RemoteOptions, Error> {
        let mut options = RemoteOptions::new(&self.url);
        let time = |time: Option<Time>, default| time.and_then(|time| time.0).unwrap_or(default);
        options.fetch = self.fetch.unwrap_or(options.fetch);
        options.push = self.push.unwrap_or(options.push);
        options.credentials = self.credentials(base)?;
        options.tls = self.tls(base)?;
        options.endpoint.clone_from(&self.endpoint);
        options.region = self.region.clone().unwrap_or(options.region);
        options.connections = self.connections.unwrap_or(options.connections).max(1);
        options.connect_timeout = time(self.connect_timeout, options.connect_timeout);
        options.idle_timeout = time(self.idle_timeout, options.idle_timeout);
        options.budget = time(self.budget, options.budget);
        options.retries = self.retries.unwrap_or(options.retries);
        options.compress = self.compress.unwrap_or(options.compress);
        Ok(options)
    }

    fn credentials(&self, base: &Path) -> Result<Credentials, Error> {
        let bad = |what: &str| Err(Error::plain(format!("cache.remote {}: {what}", self.url)));
        let password = self.secret(base, &self.password_file, &self.password_env)?;
        let token = self.secret(base, &self.token_file, &self.token_env)?;
        let key = self.variable(&self.access_key_env)?;
        let secret = self.secret(base, &self.secret_key_file, &self.secret_key_env)?;
        let session = self.variable(&self.session_token_env)?;
        Ok(match (&self.user, password, token, key, secret) {
            (None, None, None, None, None) => Credentials::None,
            (Some(user), Some(password), None, None, None) => {
                Credentials::Basic { user: user.clone(), password }
            }
            (None, None, Some(token), None, None) => Credentials::Bearer(token),
            (None, None, None, Some(key), Some(secret)) => {
                Credentials::S3 { key: key.reveal().to_owned(), secret, token: session }
            }
            (Some(_), None, ..) => return bad("`user` needs `password-file` or `password-env`"),
            (None, Some(_), ..) => return bad("a password needs `user`"),
            (.., Some(_), None) | (.., None, Some(_)) => {
                return bad("`access-key-env` and a secret key belong together");
            }
            _ => return bad("more than one kind of credentials"),
        })
    }

    /// A secret from a file or a variable.
    fn secret(
        &self,
        base: &Path,
        file: &Option<String>,
        variable: &Option<String>,
    ) -> Result<Option<Secret>, Error> {
        match (file, variable) {
            (Some(file), None) => secret_file(&base.join(file)).map(Some),
            (None, variable) => self.variable(variable),
            (Some(file), Some(variable)) => Err(Error::plain(format!(
                "cache.remote {}: the same secret is in {file} and in ${variable}",
                self.url
            ))),
        }
    }

    fn variable(&self, name: &Option<String>) -> Result<Option<Secret>, Error> {
        let Some(name) = name else { return Ok(None) };
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(Some(Secret::new(value))),
            _ => Err(Error::Plain {
                message: format!("cache.remote {}: the variable {name} is not set", self.url),
                hints: vec![format!("set {name}, or take the remote out of the settings")],
            }),
        }
    }

    fn tls(&self, base: &Path) -> Result<Tls, Error> {
        let read = |file: &String| {
            let path = base.join(file);
            std::fs::read(&path).map_err(Error::file(&path, "can't read"))
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, secret_file(&base.join(key))?)),
            (None, None) => None,
            _ => {
                let what = format!("cache.remote {}: `cert` and `key` belong together", self.url);
                return Err(Error::plain(what));
            }
        };
        Ok(Tls { authorities: self.ca.as_ref().map(read).transpose()?, identity })
    }
}

/// A secret from a file, without the line's end.
fn secret_file(path: &Path) -> Result<Secret, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path, "can't read"))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("1.5 KiB"), Ok(1536));
        assert_eq!(parse_size("500MB"), Ok(500_000_000));
        for wrong in ["", "10", "GiB", "-1GiB", "10 gib", "1e30TiB", "infGB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
