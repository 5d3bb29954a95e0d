//! What the daemon does for a request.

use super::answer::{Answer, Done, Hit, Miss, Remote, Run as Prepared, Stats, Welcome};
use super::ending::Finished;
use super::message::{Abort, Begin, Code, Failure, Hello, Lookup, PROTOCOL, Request, Stream};
use super::runs::{Run, Runs};
use super::subject::Subject;
use crate::action::{delete_outputs, environment};
use crate::caching::{Known, Session, public, sampled};
use crate::config::Config;
use crate::error::Error;
use crate::scratch::Scratch;
use airtight_cache::stats::{MissReason, NotCachedReason};
use airtight_cache::{self as cache, Cache};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::watch;

/// The daemon, as all connections share it.
pub(super) struct Daemon {
    pub(super) config: Config,
    /// None where nothing is cached.
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) umask: u32,
    /// Why processes can't be traced here.
    pub(super) untraceable: Option<String>,
    /// Where recordings belong.
    pub(super) recordings: PathBuf,
    pub(super) started: Instant,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) in_flight: Arc<AtomicUsize>,
    /// Runs that have begun and not ended, and results that are held.
    pub(super) runs: Arc<AtomicUsize>,
    /// How many runs have begun, and results been held.
    pub(super) begun: AtomicU64,
    pub(super) requests: Mutex<BTreeMap<&'static str, u64>>,
    /// Set when the daemon is to end.
    pub(super) stop: watch::Sender<bool>,
}

/// One of something that is counted as long as it is there.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be done when the answer is on its way.
pub(super) enum After {
    Nothing,
    /// See to it that the store does not grow too large.
    Shrink,
    /// Publish a result for a client that does not wait.
    Publish(Box<Finished>),
    /// End the daemon.
    Stop,
}

/// How to look for a result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// And write the outputs.
    Restore,
    /// And leave the workspace as it is.
    Find,
    /// Not at all: only the key is wanted.
    Refresh,
    /// Not again: it was looked for just now.
    Prepare,
}

/// What came of a search: a hit, or why there is none; with the key that a run has, or why it has
/// none.
enum Found {
    Hit(Box<cache::Hit>, Box<Session>),
    Miss(Miss, Box<Result<Session, String>>),
}

/// No result, because the action has no key.
fn keyless(reason: &'static str, why: String) -> Found {
    let (key, notes) = (None, Vec::new());
    let miss = Miss { reason, key, uncacheable: Some(why.clone()), notes };
    Found::Miss(miss, Box::new(Err(why)))
}

impl Daemon {
    /// Carries out a request. May take as long as remotes allow.
    pub(super) fn answer(&self, request: Request, runs: &Runs) -> Result<(Answer, After), Failure> {
        let name = match &request {
            Request::Hello(_) => "hello",
            Request::Lookup(_) => "lookup",
            Request::Restore(_) => "restore",
            Request::Begin(_) => "begin",
            Request::End(_) => "end",
            Request::Abort(_) => "abort",
            Request::Stats => "stats",
            Request::Flush => "flush",
            Request::Shutdown => "shutdown",
        };
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        let answer = match request {
            Request::Hello(hello) => self.hello(&hello)?,
            Request::Lookup(lookup) => self.lookup(*lookup, runs)?,
            Request::Restore(restore) => self.restore(&restore, runs)?,
            Request::Begin(begin) => self.begin(*begin, runs)?,
            Request::End(end) => {
                let run = runs.take(&end.token)?;
                return self.end(end, run);
            }
            Request::Abort(Abort { token }) => {
                if runs.release(&token).is_err() {
                    runs.take(&token)?;
                }
                Answer::Done(Done::default())
            }
            Request::Stats => Answer::Stats(Box::new(self.stats())),
            Request::Flush => {
                self.flush();
                Answer::Done(Done { notes: self.warnings() })
            }
            Request::Shutdown => return Ok((Answer::Done(Done::default()), After::Stop)),
        };
        Ok((answer, After::Nothing))
    }

    /// Does what is to be done after an answer.
    pub(super) fn follow(&self, after: After) {
        match after {
            After::Nothing => {}
            After::Shrink => self.shrink(),
            After::Publish(finished) => {
                finished.publish_later();
                self.shrink();
            }
            After::Stop => {
                self.stop.send_replace(true);
            }
        }
    }

    fn shrink(&self) {
        if let Some(cache) = &self.cache {
            cache.shrink();
        }
    }

    /// Writes the statistics.
    pub(super) fn flush(&self) {
        if let Some(cache) = &self.cache {
            cache.flush();
        }
    }

    /// What remotes deserve to be warned of, each once for all clients.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.cache.as_ref().map(|cache| cache.warnings()).unwrap_or_default()
    }

    fn hello(&self, hello: &Hello) -> Result<Answer, Failure> {
        if hello.protocol != PROTOCOL {
            let what = format!("protocol {} is not spoken here, but {PROTOCOL}", hello.protocol);
            return Err(Failure::new(Code::Protocol, what));
        }
        let remotes = self.cache.iter().flat_map(|cache| cache.remotes());
        let remotes = remotes.map(|(name, fetch, push)| Remote { name, fetch, push }).collect();
        Ok(Answer::Hello(Box::new(Welcome {
            version: env!("CARGO_PKG_VERSION"),
            protocol: PROTOCOL,
            pid: std::process::id(),
            cache: self.cache.is_some(),
            remotes,
            tracing: self.untraceable.is_none(),
            untraceable: self.untraceable.clone(),
        })))
    }

    fn stats(&self) -> Stats {
        self.flush();
        let store = self.cache.as_ref().and_then(|cache| cache.totals().ok());
        let store = store.and_then(|totals| serde_json::to_value(totals).ok()).unwrap_or_default();
        Stats {
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            connections: self.connections.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            tokens: self.runs.load(Ordering::Relaxed),
            requests: self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            store,
        }
    }

    fn lookup(&self, lookup: Lookup, runs: &Runs) -> Result<Answer, Failure> {
        let Lookup { action, caller, restore, hold } = lookup;
        if restore && hold {
            let what = "`hold` is for what is not restored yet";
            return Err(Failure::new(Code::BadMessage, what));
        }
        let subject = Subject::resolve(action, caller, self.umask, &self.config)?;
        let how = if restore { How::Restore } else { How::Find };
        Ok(match self.find(&subject, how) {
            Found::Hit(hit, session) if hold => self.hold(subject, *hit, session, runs)?,
            Found::Hit(hit, session) => Answer::Hit(Box::new(self.hit(&hit, &session, restore))),
            Found::Miss(miss, _) => Answer::Miss(miss),
        })
    }

    /// Looks for a result.
    fn find(&self, subject: &Subject, how: How) -> Found {
        let session = match self.session(subject) {
            Ok(session) => session,
            Err((reason, why)) => return keyless(reason, why),
        };
        let (reason, mut notes) = match how {
            How::Refresh => {
                session.cache.count(|counters| counters.miss(MissReason::Refreshed));
                (MissReason::Refreshed, Vec::new())
            }
            How::Prepare => (MissReason::NoEntry, Vec::new()),
            _ => match session.find(&subject.declaration, &self.config, how == How::Restore) {
                Ok(hit) => return Found::Hit(Box::new(hit), Box::new(session)),
                Err(miss) => (miss.reason, miss.notes),
            },
        };
        notes.extend(self.warnings());
        let key = Some(session.action.weak().to_string());
        let miss = Miss { reason: reason.name(), key, uncacheable: None, notes };
        Found::Miss(miss, Box::new(Ok(session)))
    }

    /// What the client is told of a hit.
    pub(super) fn hit(&self, hit: &cache::Hit, session: &Session, restored: bool) -> Hit {
        let mut notes = hit.notes.clone();
        notes.extend(self.warnings());
        Hit {
            from: hit.remote.clone().unwrap_or_else(|| "local".to_owned()),
            token: None,
            key: hit.action.to_string(),
            restored,
            outputs: session.action.outputs().to_vec(),
            stdout: Stream::of(&hit.stdout),
            stderr: Stream::of(&hit.stderr),
            duration_ms: hit.entry.provenance.duration,
            notes,
        }
    }

    /// A number of its own for a run or a result that is held, and the token made of it.
    pub(super) fn token(&self) -> (u64, String) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        (number, format!("{number}-{:016x}", fastrand::u64(..)))
    }

    /// The key of an action, or why it has none, as the name of a reason and in words.
    fn session(&self, subject: &Subject) -> Result<Session, (&'static str, String)> {
        let Some(cache) = &self.cache else {
            return Err((NotCachedReason::Disabled.name(), "there is no cache".to_owned()));
        };
        let not_cacheable = NotCachedReason::NotCacheable.name();
        let declaration = &subject.declaration;
        if declaration.outputs.is_empty() {
            return Err((not_cacheable, "no outputs are declared".to_owned()));
        }
        let variables = subject.variables.iter().cloned();
        Session::new(cache, &subject.argv, declaration, variables, subject.umask, &self.config)
            .map_err(|why| (not_cacheable, why.to_string()))
    }

    fn begin(&self, begin: Begin, runs: &Runs) -> Result<Answer, Failure> {
        runs.admit()?;
        let Begin { action, caller, refresh, searched, cache, keep } = begin;
        let mut subject = Subject::resolve(action, caller, self.umask, &self.config)?;
        let how = match refresh {
            true => How::Refresh,
            false if searched => How::Prepare,
            false if sampled(&self.config) => How::Find,
            false => How::Restore,
        };
        let found = match cache {
            true => self.find(&subject, how),
            false => {
                keyless(NotCachedReason::Disabled.name(), "the client wants no cache".to_owned())
            }
        };
        let (miss, session, known) = match found {
            Found::Hit(hit, session) if how == How::Restore => {
                return Ok(Answer::Hit(Box::new(self.hit(&hit, &session, true))));
            }
            Found::Hit(mut hit, session) => {
                session.cache.count(|counters| counters.miss(MissReason::Sampled));
                let mut notes = std::mem::take(&mut hit.notes);
                notes.extend(self.warnings());
                let key = Some(session.action.weak().to_string());
                let reason = MissReason::Sampled.name();
                let miss = Miss { reason, key, uncacheable: None, notes };
                (miss, Ok(*session), Some(Known::from(*hit)))
            }
            Found::Miss(miss, session) => (miss, *session, None),
        };
        let file = |error: Error| Failure::of(Code::File, &error);
        let scratch = Scratch::create(&subject.declaration, &subject.argv).map_err(file)?;
        let declaration = &mut subject.declaration;
        declaration.temporary_directory = Some(scratch.path().as_os_str().as_bytes().to_vec());
        let (env, undeclared) = environment(
            &declaration.environment,
            public(&declaration.environment, subject.variables.iter().cloned(), &self.config),
            self.config.keep_environment,
            scratch.path(),
        );
        declaration.environment.undeclared = undeclared;
        let deleted = match keep {
            true => Vec::new(),
            false => delete_outputs(declaration).map_err(file)?,
        };
        let (number, token) = self.token();
        let recording = self.recordings.join(format!("{number}.trace"));
        let environment = env
            .into_iter()
            .map(|(name, value)| Ok((text(name)?, text(value)?)))
            .collect::<Result<_, Failure>>()?;
        let prepared = Prepared {
            token: token.clone(),
            miss,
            argv: subject.argv.iter().cloned().map(text).collect::<Result<_, Failure>>()?,
            cwd: text(OsString::from_vec(declaration.cwd.clone()))?,
            environment,
            tmpdir: text(scratch.path().into())?,
            umask: subject.umask,
            recording: text(recording.clone().into())?,
            deleted: deleted
                .into_iter()
                .map(|path| text(path.into()))
                .collect::<Result<_, Failure>>()?,
        };
        if let Ok(session) = &session {
            session.watch(&subject.declaration, &self.config);
        }
        let started = SystemTime::now();
        let counted = Counted::new(&self.runs);
        let run = Run {
            subject,
            session: session.map(Arc::new),
            known,
            recording,
            started,
            _scratch: scratch,
            _counted: counted,
        };
        runs.put(token, run);
        Ok(Answer::Run(Box::new(prepared)))
    }
}

/// JSON has no other text than UTF-8.
fn text(name: OsString) -> Result<String, Failure> {
    name.into_string().map_err(|name| {
        let name = PathBuf::from(name);
        Failure::new(Code::BadAction, format!("{} is not UTF-8", name.display()))
    })
}
