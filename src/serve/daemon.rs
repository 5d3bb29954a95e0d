//! What the daemon does for a request.

use super::message::{
    Abort, Answer, Begin, Code, Done, End, Failure, Hello, Hit, Judged, Lookup, Miss, PROTOCOL,
    Remote, Request, Run as Prepared, Stats, Stream, Welcome,
};
use super::runs::{Run, Runs, kept, open_regular};
use super::subject::Subject;
use crate::action::{delete_outputs, environment, load_depfile};
use crate::caching::{NotCached, Session};
use crate::command::{self, Outcome};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::report::Report;
use crate::scratch::Scratch;
use airtight_cache::Cache;
use airtight_cache::stats::NotCachedReason;
use airtight_policy::Verdict;
use airtight_recording::Recording;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
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
    /// Runs that have begun and not ended.
    pub(super) runs: Arc<AtomicUsize>,
    /// How many runs have begun.
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

/// What came of a search: a hit, or why there is none with the key that a run would have.
enum Found {
    Hit(Hit),
    Miss(Miss, Box<Result<Session, String>>),
}

impl Daemon {
    /// Carries out a request. May take as long as remotes allow.
    pub(super) fn answer(&self, request: Request, runs: &Runs) -> Result<Answer, Failure> {
        let name = match &request {
            Request::Hello(_) => "hello",
            Request::Lookup(_) => "lookup",
            Request::Begin(_) => "begin",
            Request::End(_) => "end",
            Request::Abort(_) => "abort",
            Request::Stats => "stats",
            Request::Flush => "flush",
            Request::Shutdown => "shutdown",
        };
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        match request {
            Request::Hello(hello) => self.hello(&hello),
            Request::Lookup(lookup) => self.lookup(*lookup),
            Request::Begin(begin) => self.begin(*begin, runs),
            Request::End(end) => self.end(end, runs),
            Request::Abort(Abort { token }) => {
                runs.take(&token)?;
                Ok(Answer::Done(Done::default()))
            }
            Request::Stats => Ok(Answer::Stats(Box::new(self.stats()))),
            Request::Flush => {
                self.flush();
                Ok(Answer::Done(Done { notes: self.warnings() }))
            }
            Request::Shutdown => Ok(Answer::Done(Done::default())),
        }
    }

    /// Writes the statistics.
    pub(super) fn flush(&self) {
        if let Some(cache) = &self.cache {
            cache.flush();
        }
    }

    /// What remotes deserve to be warned of, each once for all clients.
    fn warnings(&self) -> Vec<String> {
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

    fn lookup(&self, lookup: Lookup) -> Result<Answer, Failure> {
        let Lookup { action, caller, restore } = lookup;
        let subject = Subject::resolve(action, caller, self.umask, &self.config)?;
        Ok(match self.find(&subject, Some(restore)) {
            Found::Hit(hit) => Answer::Hit(Box::new(hit)),
            Found::Miss(miss, _) => Answer::Miss(miss),
        })
    }

    /// Looks for a result, and restores it if that is asked for; with `None` it is not looked for,
    /// and only the key is found.
    fn find(&self, subject: &Subject, restore: Option<bool>) -> Found {
        let session = match self.session(subject) {
            Ok(session) => session,
            Err((reason, why)) => {
                let (key, notes) = (None, Vec::new());
                let miss = Miss { reason, key, uncacheable: Some(why.clone()), notes };
                return Found::Miss(miss, Box::new(Err(why)));
            }
        };
        let (reason, mut notes) = match restore {
            None => ("refreshed", Vec::new()),
            Some(restore) => match session.find(&subject.declaration, &self.config, restore) {
                Ok(hit) => {
                    let mut notes = hit.notes;
                    notes.extend(self.warnings());
                    return Found::Hit(Hit {
                        from: hit.remote.unwrap_or_else(|| "local".to_owned()),
                        key: hit.action.to_string(),
                        restored: restore,
                        outputs: session.action.outputs().to_vec(),
                        stdout: Stream::of(&hit.stdout),
                        stderr: Stream::of(&hit.stderr),
                        duration_ms: hit.entry.provenance.duration,
                        notes,
                    });
                }
                Err(miss) => (miss.reason.name(), miss.notes),
            },
        };
        notes.extend(self.warnings());
        let key = Some(session.action.weak().to_string());
        Found::Miss(Miss { reason, key, uncacheable: None, notes }, Box::new(Ok(session)))
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
        let Begin { action, caller, refresh } = begin;
        let mut subject = Subject::resolve(action, caller, self.umask, &self.config)?;
        let (miss, session) = match self.find(&subject, (!refresh).then_some(true)) {
            Found::Hit(hit) => return Ok(Answer::Hit(Box::new(hit))),
            Found::Miss(miss, session) => (miss, *session),
        };
        let file = |error: Error| Failure::of(Code::File, &error);
        let scratch = Scratch::create(&subject.declaration, &subject.argv).map_err(file)?;
        let declaration = &mut subject.declaration;
        declaration.temporary_directory = Some(scratch.path().as_os_str().as_bytes().to_vec());
        let (env, undeclared) = environment(
            &declaration.environment,
            subject.variables.iter().cloned(),
            self.config.keep_environment,
            scratch.path(),
        );
        declaration.environment.undeclared = undeclared;
        let deleted = delete_outputs(declaration).map_err(file)?;
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let token = format!("{number}-{:016x}", fastrand::u64(..));
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
        let run =
            Run { subject, session, recording, started, _scratch: scratch, _counted: counted };
        runs.put(token, run);
        Ok(Answer::Run(Box::new(prepared)))
    }

    fn end(&self, mut end: End, runs: &Runs) -> Result<Answer, Failure> {
        let mut run = runs.take(&end.token)?;
        let path = end.recording.take().unwrap_or_else(|| run.recording.clone());
        let recording = read_recording(&path)?;
        run.check(&recording, &end)?;
        let streams = [kept(end.stdout.take())?, kept(end.stderr.take())?];
        let duration = end.duration_ms.unwrap_or_else(|| {
            let elapsed = run.started.elapsed().unwrap_or_default();
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        });
        load_depfile(&mut run.subject.declaration)
            .map_err(|error| Failure::of(Code::File, &error))?;
        let verdict = command::judge(&run.subject.declaration, &self.config, &recording);
        let place = run.subject.declaration.declared_at.as_ref();
        let (all, unicode) = (self.config.all, true);
        let report = Report { verdict: &verdict, declared_at: place, all, unicode };
        let told = report.plain().and_then(|text| Ok((text, report.value()?)));
        let (text, report) = told.map_err(|error| Failure::of(Code::File, &error))?;
        let exit = match (recording.exit(), end.timed_out) {
            (_, true) => Status::TimedOut,
            (Some(exit), false) => Outcome::of(&verdict).status(exit),
            // How it ended was not seen.
            (None, false) => Status::Incomplete,
        };
        let kept = self.keep(&run, verdict, &recording, &streams, end.timed_out, duration);
        let (key, reason, why) = match kept {
            Ok(key) => (Some(key), None, None),
            Err((reason, why)) => (None, Some(reason), Some(why)),
        };
        Ok(Answer::Judged(Box::new(Judged {
            exit: exit.code(),
            published: key.is_some(),
            key,
            reason,
            why,
            text,
            report,
            notes: self.warnings(),
        })))
    }

    /// Publishes what a run gave, if it is verified. Gives the key, or why there is none.
    fn keep(
        &self,
        run: &Run,
        verdict: Verdict,
        recording: &Recording,
        streams: &[crate::capture::Kept; 2],
        timed_out: bool,
        duration: u64,
    ) -> Result<String, (&'static str, String)> {
        let session = run.session.as_ref().map_err(|why| {
            let reason = match self.cache {
                Some(_) => NotCachedReason::NotCacheable,
                None => NotCachedReason::Disabled,
            };
            (reason.name(), why.clone())
        })?;
        let declaration = &run.subject.declaration;
        let keep = || -> Result<String, NotCached> {
            if timed_out {
                let what = "it was stopped after its time was up".to_owned();
                return Err(NotCached { reason: NotCachedReason::TimedOut, what });
            }
            if !self.config.cache.push {
                let what = "storing is turned off".to_owned();
                return Err(NotCached { reason: NotCachedReason::Disabled, what });
            }
            let started = run.nanoseconds();
            let sealed =
                session.seal(declaration, &self.config, &verdict, recording, streams, started)?;
            session.publish(verdict, recording, &sealed, duration)?;
            Ok(sealed.action().to_string())
        };
        keep().map_err(|why| {
            session.cache.count(|counters| counters.not_cached(why.reason));
            (why.reason.name(), why.what)
        })
    }
}

fn read_recording(path: &Path) -> Result<Recording, Failure> {
    let failed = |what: String| {
        Failure::new(Code::NoRecording, format!("{}: can't read: {what}", path.display()))
    };
    let file = open_regular(path).map_err(failed)?;
    let read = Recording::read(BufReader::new(file));
    read.map(|(recording, _)| recording).map_err(|error| failed(error.to_string()))
}

/// JSON has no other text than UTF-8.
fn text(name: OsString) -> Result<String, Failure> {
    name.into_string().map_err(|name| {
        let name = PathBuf::from(name);
        Failure::new(Code::BadAction, format!("{} is not UTF-8", name.display()))
    })
}
