//! What `run` and its kin have to do with the cache: keys from declarations, results restored, and
//! verified ones published.

use crate::capture::Kept;
use crate::config::Config;
use crate::determinism::differences;
use crate::error::Error;
use crate::printer::Printer;
use crate::scratch;
use airtight_cache::key::{Action, ActionSpec, Look, NotCacheable};
use airtight_cache::remote::RemoteOptions;
use airtight_cache::stats::NotCachedReason;
use airtight_cache::{
    ActionDigest, ActionResult, Cache, CacheError, CacheOptions, Hit, Miss, Provenance, Restore,
    Sealed, SigningKey, Streams,
};
use airtight_policy::{Declaration, Environment, Judge, Rule, Verdict};
use airtight_recording::{Digest, Exit, Recording};
use nix::sys::stat::{Mode, umask};
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Variables whose values are no secrets: those that every action gets by default. What a settings
/// file or a flag sets to a value is no secret either.
const PUBLIC: [&str; 6] = ["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SOURCE_DATE_EPOCH"];

/// The directory of the local store: as configured, else the user's own.
///
/// # Errors
/// When nothing says where that is.
pub(crate) fn directory(config: &Config) -> Result<PathBuf, Error> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || {
        let caches = absolute("XDG_CACHE_HOME");
        let caches = caches.or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(caches.join("airtight"))
    };
    config.cache.dir.clone().or_else(own).ok_or(Error::NoStore)
}

/// Opens the cache as configured.
///
/// # Errors
/// When the settings are wrong, or the local store can't be used.
pub(crate) fn open(config: &Config) -> Result<Cache, Error> {
    let (signing, remotes) = (config.cache.signing()?, config.cache.remotes()?);
    open_with(config, signing, remotes)
}

/// Opens the local store alone, to look into it: no secret is read, no remote is known.
///
/// # Errors
/// When the local store can't be used.
pub(crate) fn open_local(config: &Config) -> Result<Cache, Error> {
    open_with(config, None, Vec::new())
}

fn open_with(
    config: &Config,
    signing: Option<SigningKey>,
    remotes: Vec<RemoteOptions>,
) -> Result<Cache, Error> {
    let settings = &config.cache;
    let options = CacheOptions {
        directory: directory(config)?,
        max_size: settings.max_size,
        durable: settings.durable,
        fetch: settings.fetch,
        push: settings.push,
        reshare: settings.reshare,
        hard_links: settings.hard_links,
        trusted: settings.trusted(),
        signing,
        remotes,
    };
    Ok(Cache::open(options)?)
}

/// Opens the cache for an action. A local store that can't be used is told, and the action runs
/// without a cache.
///
/// # Errors
/// When the settings are wrong.
pub(crate) fn open_if_possible(config: &Config, printer: &Printer) -> Result<Option<Cache>, Error> {
    if !config.cache.enabled {
        return Ok(None);
    }
    match open(config) {
        Ok(cache) => Ok(Some(cache)),
        Err(error @ (Error::Cache(CacheError::Store(_)) | Error::NoStore)) => {
            printer.warning(&format!("nothing is cached: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The key of an action, from its declaration as things are now. `variables` is the caller's
/// environment.
///
/// # Errors
/// When it can't have one.
pub(crate) fn action(
    cache: &Cache,
    argv: &[OsString],
    declaration: &Declaration,
    variables: impl Iterator<Item = (OsString, OsString)>,
    config: &Config,
) -> Result<Action, NotCacheable> {
    let judge = Judge::new(declaration, &config.policy);
    let mut passthrough = declaration.environment.passthrough.clone();
    passthrough.sort();
    let variables = public(&declaration.environment, variables, config);
    let environment = keyed(&declaration.environment, variables, config.keep_environment);
    let mut shown: Vec<String> = PUBLIC.map(str::to_owned).into();
    shown.extend(declaration.environment.fixed.keys().cloned());
    let mut unsafe_options = Vec::new();
    if config.policy.unsafe_allow_io_uring {
        unsafe_options.push("allow-io-uring");
    }
    if config.policy.unsafe_accept_fanotify {
        unsafe_options.push("accept-fanotify");
    }
    if config.policy.unsafe_publish_with_daemons {
        unsafe_options.push("publish-with-daemons");
    }
    let spec = ActionSpec {
        argv,
        environment: &environment,
        shown: &shown,
        passthrough: &passthrough,
        workspace: &path(&declaration.workspace),
        cwd: &path(&declaration.cwd),
        policy: config.policy.digest(),
        unsafe_options: &unsafe_options,
        properties: &processor(argv),
    };
    Action::new(&spec, &judge, &|path, about| cache.hash(path, about))
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// The caller's variables without those that hold secrets of remotes. An action gets these only
/// when it declares them, and never because it gets everything.
pub(crate) fn public(
    declared: &Environment,
    all: impl Iterator<Item = (OsString, OsString)>,
    config: &Config,
) -> impl Iterator<Item = (OsString, OsString)> {
    all.filter(|(name, _)| {
        let is = |other: &str| OsStr::new(other) == name;
        let mut lists = declared.tracked.iter().chain(&declared.passthrough);
        !config.cache.secret_variables().any(is) || lists.any(|other| is(other))
    })
}

/// The variables whose values are in the key, sorted by name. `all` is the caller's environment;
/// with `keep` all of it is passed on, and so is in the key. `TMPDIR` is a directory of the
/// action's own and says nothing.
fn keyed(
    declared: &Environment,
    all: impl Iterator<Item = (OsString, OsString)>,
    keep: bool,
) -> Vec<(OsString, OsString)> {
    let is = |list: &[String], name: &OsStr| list.iter().any(|other| OsStr::new(other) == name);
    let mut keyed: Vec<(OsString, OsString)> = all
        .filter(|(name, _)| {
            let fixed = declared.fixed.keys().any(|other| OsStr::new(other) == name);
            let counts = is(&declared.tracked, name)
                || (keep && !is(&declared.passthrough, name) && name != "TMPDIR");
            counts && !fixed
        })
        .collect();
    keyed.extend(declared.fixed.iter().map(|(name, value)| (name.into(), value.into())));
    keyed.sort();
    keyed
}

/// The processor, where the command asks for code that is made for it (`-march=native`).
fn processor(argv: &[OsString]) -> Vec<(String, String)> {
    let native = |word: &OsString| {
        let word = word.as_bytes();
        word.ends_with(b"=native") && word.starts_with(b"-")
    };
    if !argv.iter().any(native) {
        return Vec::new();
    }
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let wanted = ["vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part"];
    let facts: Vec<&str> = first
        .lines()
        .filter(|line| wanted.iter().any(|name| line.split('\t').next() == Some(name)))
        .collect();
    vec![("processor".to_owned(), Digest::of(facts.join("\n").as_bytes()).to_string())]
}

/// This process's umask. To be asked while there is one thread.
pub(crate) fn current_umask() -> u32 {
    let now = umask(Mode::empty());
    umask(now);
    now.bits()
}

/// An action with its key and the cache that may know it.
pub(crate) struct Session {
    pub(crate) cache: Arc<Cache>,
    pub(crate) action: Action,
    umask: u32,
}

impl Session {
    /// Begins when the action may be cached; else counts why not.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub(crate) fn begin(
        argv: &[OsString],
        declaration: &mut Declaration,
        config: &Config,
        printer: &Printer,
    ) -> Result<Option<Session>, Error> {
        if declaration.outputs.is_empty() {
            // Nothing to restore.
            return Ok(None);
        }
        let Some(cache) = open_if_possible(config, printer)? else { return Ok(None) };
        let cache = Arc::new(cache);
        let scratch = scratch::path(declaration, argv)?;
        declaration.temporary_directory = Some(scratch.into_os_string().into_vec());
        let variables = std::env::vars_os();
        match Session::new(&cache, argv, declaration, variables, current_umask(), config) {
            Ok(session) => Ok(Some(session)),
            Err(_) => {
                cache.flush();
                Ok(None)
            }
        }
    }

    /// The session of an action whose private temporary directory the declaration names, for a
    /// caller with this environment and umask. Counts it if there is none.
    ///
    /// # Errors
    /// When the action can't have a key.
    pub(crate) fn new(
        cache: &Arc<Cache>,
        argv: &[OsString],
        declaration: &Declaration,
        variables: impl Iterator<Item = (OsString, OsString)>,
        umask: u32,
        config: &Config,
    ) -> Result<Session, NotCacheable> {
        match action(cache, argv, declaration, variables, config) {
            Ok(action) => Ok(Session { cache: Arc::clone(cache), action, umask }),
            Err(error) => {
                cache.count(|counters| counters.not_cached(NotCachedReason::NotCacheable));
                Err(error)
            }
        }
    }

    /// Looks for the result, and restores it unless it is only to be found.
    ///
    /// # Errors
    /// When there is none, with the reason.
    pub(crate) fn find(
        &self,
        declaration: &Declaration,
        config: &Config,
        restore: bool,
    ) -> Result<Hit, Miss> {
        let judge = Judge::new(declaration, &config.policy);
        let hash = |path: &Path, about: &Metadata| self.cache.hash(path, about);
        let look = Look::new(self.action.workspace(), &judge, &hash);
        let restore =
            if restore { Restore::Outputs { umask: self.umask } } else { Restore::Nothing };
        self.cache.restore(&self.action, &look, restore)
    }

    /// Writes the outputs of a hit that was found and not restored. Gives the notes.
    ///
    /// # Errors
    /// When that fails, with the reason.
    pub(crate) fn write(
        &self,
        declaration: &Declaration,
        config: &Config,
        hit: &Hit,
    ) -> Result<Vec<String>, Miss> {
        let judge = Judge::new(declaration, &config.policy);
        let hash = |path: &Path, about: &Metadata| self.cache.hash(path, about);
        let look = Look::new(self.action.workspace(), &judge, &hash);
        self.cache.write(&self.action, &look, hit, self.umask)
    }

    /// To be called before the action runs, so that what others change while it does is noticed.
    pub(crate) fn watch(&self, declaration: &Declaration, config: &Config) {
        self.action.watch(&Judge::new(declaration, &config.policy));
    }

    /// Tells what there is to tell of remotes, and writes the statistics.
    pub(crate) fn end(&self, printer: &Printer) {
        for warning in self.cache.warnings() {
            printer.warning(&warning);
        }
        self.cache.flush();
    }

    /// Takes the outputs of a clean run in, under no key yet. `started` is when the run began, in
    /// nanoseconds since the epoch.
    ///
    /// # Errors
    /// When the result must not be published.
    pub(crate) fn seal(
        &self,
        declaration: &Declaration,
        config: &Config,
        verdict: &Verdict,
        recording: &Recording,
        [stdout, stderr]: &[Kept; 2],
        started: i64,
    ) -> Result<Sealed, NotCached> {
        if !verdict.is_cacheable() {
            let what = verdict.uncacheable().join("; ");
            return Err(NotCached { reason: reason(verdict), what });
        }
        if config.publishes_witnessed_only() && !recording.header.is_witnessed() {
            let what = "no witness has agreed with the recording".to_owned();
            return Err(NotCached { reason: NotCachedReason::Incomplete, what });
        }
        if !stdout.whole || !stderr.whole {
            let what = "what it wrote to its standard streams is not known in full".to_owned();
            return Err(NotCached { reason: NotCachedReason::OutputUnfit, what });
        }
        let judge = Judge::new(declaration, &config.policy);
        let streams = Streams { stdout: &stdout.bytes, stderr: &stderr.bytes };
        let scratch = declaration.temporary_directory.as_deref().unwrap_or_default();
        let scratch = Path::new(OsStr::from_bytes(scratch));
        let sealed = self.cache.seal(&self.action, &judge, recording, streams, scratch, started);
        sealed.map_err(|why| NotCached { reason: unsealed(&why), what: why.to_string() })
    }

    /// What differs between a result that was known and a new one, one text for each output; none
    /// if they are the same. Nobody is to be given one of two results, so an entry that is
    /// contradicted is removed from the local store.
    pub(crate) fn differs(&self, known: &Known, sealed: &Sealed) -> Option<Vec<(String, String)>> {
        if known.result == *sealed.result() {
            return None;
        }
        let local = self.cache.local();
        if let Some(entry) = known.entry {
            local.discard_entry(&entry.0);
        }
        Some(differences(&known.result, sealed.result(), local))
    }

    /// Publishes a sealed result, if the verdict is a proof for it. `duration` is that of the run
    /// in milliseconds.
    ///
    /// # Errors
    /// When it is not published.
    pub(crate) fn publish(
        &self,
        verdict: Verdict,
        recording: &Recording,
        sealed: &Sealed,
        duration: u64,
    ) -> Result<(), NotCached> {
        let provenance = self.provenance(&verdict, recording, duration);
        let published = verdict
            .verify(sealed.action())
            .map_err(|refused| refused.to_string())
            .and_then(|verified| {
                let publish = self.cache.publish(verified, &self.action, sealed, &provenance);
                publish.map_err(|error| error.to_string())
            });
        published.map_err(|what| NotCached { reason: NotCachedReason::StoreFailed, what })
    }

    /// Where a result comes from that is published now.
    fn provenance(&self, verdict: &Verdict, recording: &Recording, duration: u64) -> Provenance {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let judged = serde_json::to_vec(verdict).unwrap_or_default();
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            verdict: Digest::of(&judged).to_string(),
            accesses: recording.accesses.len() as u64,
            processes: recording.processes.len() as u64,
            backend: recording.header.backend.clone(),
            host: recording.header.host.clone(),
            time: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0)),
            duration,
            umask: self.umask,
            // The rest is in the proof.
            ..Provenance::default()
        }
    }
}

/// A result that an action gave before.
pub(crate) struct Known {
    result: ActionResult,
    /// Where it stands in the cache.
    entry: Option<ActionDigest>,
}

impl From<Hit> for Known {
    fn from(hit: Hit) -> Known {
        Known { result: hit.entry.result, entry: Some(hit.action) }
    }
}

impl From<&Sealed> for Known {
    fn from(sealed: &Sealed) -> Known {
        Known { result: sealed.result().clone(), entry: None }
    }
}

/// Whether a hit is to be run again and compared, by chance.
pub(crate) fn sampled(config: &Config) -> bool {
    f64::from(fastrand::u32(0..10_000)) < config.cache.verify_hits * 100.0
}

/// Why a result is not in the cache.
#[derive(Debug)]
pub(crate) struct NotCached {
    /// For the statistics.
    pub(crate) reason: NotCachedReason,
    /// For people.
    pub(crate) what: String,
}

/// Why a verdict keeps its result from the cache, for the statistics.
fn reason(verdict: &Verdict) -> NotCachedReason {
    let found = |rule| verdict.findings().iter().any(|finding| finding.rule == rule);
    match verdict.exit() {
        Some(Exit::Code(0)) => {}
        _ => return NotCachedReason::Failed,
    }
    if !verdict.completeness().is_complete() {
        NotCachedReason::Incomplete
    } else if found(Rule::I001) {
        NotCachedReason::InputChanged
    } else if verdict.output_missing() {
        NotCachedReason::OutputMissing
    } else if verdict.fails() || verdict.suppressed().is_empty() {
        NotCachedReason::Findings
    } else {
        NotCachedReason::Suppressed
    }
}

/// Why a result has no key, for the statistics.
fn unsealed(why: &NotCacheable) -> NotCachedReason {
    match why {
        NotCacheable::Changed { .. } => NotCachedReason::InputChanged,
        NotCacheable::Unfit { .. } => NotCachedReason::OutputUnfit,
        NotCacheable::Store { .. } => NotCachedReason::StoreFailed,
        _ => NotCachedReason::NotCacheable,
    }
}
