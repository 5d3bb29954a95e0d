//! `airtight serve`: the cache for callers with many requests under way, over a Unix socket.
//!
//! One thread takes connections and passes lines; requests are carried out by a bounded pool of
//! threads over one [`Cache`](airtight_cache::Cache). Nothing is traced here: the tracer waits for
//! all children of its process, so a client runs its action under `airtight trace` and hands the
//! recording back.

mod answer;
mod connection;
mod daemon;
mod ending;
mod held;
mod message;
mod runs;
mod socket;
mod subject;

use crate::caching;
use crate::config::Config;
use crate::error::Error;
use crate::printer::Printer;
use crate::scratch;
use airtight_recording::Digest;
use airtight_tracer as tracer;
use daemon::Daemon;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Uid;
use serde::Serialize;
use socket::Socket;
use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How many requests are carried out at once. Most of their time is waiting for remotes.
const THREADS: usize = 256;

/// How long requests that are under way may still take when the daemon is to end.
const GRACE: Duration = Duration::from_secs(10);

/// How to serve.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Where to listen; none for the place that the workspace stands for.
    pub(crate) socket: Option<PathBuf>,
    /// End after this time without a client.
    pub(crate) idle: Option<Duration>,
    /// End when standard input does.
    pub(crate) exit_with_stdin: bool,
}

/// What is told on standard output when the daemon listens.
#[derive(Serialize)]
struct Ready<'a> {
    socket: &'a Path,
    pid: u32,
    protocol: u32,
}

/// Serves until it is told to end.
///
/// # Errors
/// When it can't begin.
pub(crate) fn run(options: &Options, config: Config, printer: &Printer) -> Result<(), Error> {
    // While there is one thread.
    let umask = caching::current_umask();
    let untraceable = untraceable();
    let path = match &options.socket {
        Some(path) => path.clone(),
        None => socket::default_path(&config)?,
    };
    let (socket, listener) = Socket::listen(&path)?;
    let cache = caching::open_if_possible(&config, printer)?.map(Arc::new);
    raise_limit();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(|error| Error::plain(format!("can't start threads: {error}")))?;
    let (stop, _) = watch::channel(false);
    let recordings = recordings(&path)?;
    let daemon = Arc::new(Daemon {
        config,
        cache,
        umask,
        untraceable,
        recordings: recordings.path().to_owned(),
        started: Instant::now(),
        connections: Arc::default(),
        in_flight: Arc::default(),
        runs: Arc::default(),
        begun: Default::default(),
        requests: Default::default(),
        stop,
    });
    if options.exit_with_stdin {
        let stop = daemon.stop.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !matches!(io::stdin().read(&mut buffer), Ok(0) | Err(_)) {}
            stop.send_replace(true);
        });
    }
    let served = runtime.block_on(async {
        let ready = Ready { socket: &path, pid: std::process::id(), protocol: message::PROTOCOL };
        let ready = serde_json::to_string(&ready)
            .map_err(|error| Error::plain(format!("{}: {error}", path.display())))?;
        let listen = || -> io::Result<_> {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            Ok((listener, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
        };
        let (listener, interrupt, terminate) =
            listen().map_err(Error::file(&path, "can't listen there"))?;
        printer.data(format!("{ready}\n")).map_err(Error::Stdout)?;
        accept(listener, interrupt, terminate, options.idle, &daemon, socket).await;
        Ok(())
    });
    // What hangs beyond the grace time hangs in a remote; the store bears to be left.
    runtime.shutdown_background();
    daemon.flush();
    served
}

/// Takes connections until the daemon is to end, and then lets them end.
async fn accept(
    listener: tokio::net::UnixListener,
    mut interrupt: tokio::signal::unix::Signal,
    mut terminate: tokio::signal::unix::Signal,
    idle: Option<Duration>,
    daemon: &Arc<Daemon>,
    socket: Socket,
) {
    let mut stop = daemon.stop.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let idle = idle.filter(|_| connections.is_empty());
        let lonely = async {
            match idle {
                Some(idle) => sleep(idle).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    connections.spawn(connection::serve(stream, Arc::clone(daemon)));
                }
                Ok(_) => {}
                // Out of descriptors, say: others must end first.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.wait_for(|stop| *stop) => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = lonely => break,
        }
    }
    // From now on a client finds nobody, rather than somebody who does not answer.
    drop((listener, socket));
    daemon.stop.send_replace(true);
    let end = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(GRACE, end) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Whether who has connected may use the daemon: the user that it runs as, and root.
fn is_ours(stream: &UnixStream) -> bool {
    let uid = stream.peer_cred().map(|who| who.uid());
    uid.is_ok_and(|uid| uid == 0 || uid == Uid::effective().as_raw())
}

/// Why no process can be traced here. To be asked while there is one thread and no child.
fn untraceable() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let command = tracer::Command {
        argv: vec![program.into_os_string()],
        env: None,
        cwd: None,
        stdio: Default::default(),
    };
    tracer::check(&command, tracer::Backend::default()).err().map(|error| error.to_string())
}

/// An empty directory for recordings that nobody else can read, removed when this is dropped. Its
/// name stands for the socket, whose lock we hold: so what a killed daemon has left there goes.
fn recordings(socket: &Path) -> Result<tempfile::TempDir, Error> {
    let base = scratch::base()?;
    let make = || -> io::Result<tempfile::TempDir> {
        let socket = std::fs::canonicalize(socket)?;
        let name = Digest::of(socket.as_os_str().as_bytes()).to_string();
        let name = format!("serve-{}", &name[..16]);
        match std::fs::remove_dir_all(base.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        tempfile::Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&base)
    };
    make().map_err(Error::file(&base, "can't make a directory in it"))
}

/// As many open files as this process may have. More is no error: work that needs them fails.
fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard);
    }
}
