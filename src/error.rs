//! The command's own errors: each knows its exit code and its hints.

use crate::audit::file::FileError;
use crate::exit::{Role, Status};
use airtight_cache::CacheError;
use airtight_cache::local::StoreError;
use airtight_policy as policy;
use airtight_recording::ReadError;
use airtight_tracer as tracer;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong in the command itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file could not be read, written or made.
    #[error("{}: {what}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried, like "can't read".
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output can't be written.
    #[error("standard output: {0}")]
    Stdout(io::Error),
    /// The command could not be run under the tracer.
    #[error(transparent)]
    Tracer(#[from] tracer::Error),
    /// The cache can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Nothing says where the local store is.
    #[error("no directory for the local store: neither HOME nor XDG_CACHE_HOME is set")]
    NoStore,
    /// A settings, policy or spec file says something that can't be understood.
    #[error(transparent)]
    Parse(#[from] policy::ParseError),
    /// A recording can't be read.
    #[error("{}: {source}", path.display())]
    Recording {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// The file of an audit can't be read.
    #[error("{}: {source}", path.display())]
    Audit {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// Something else, said in full by the message.
    #[error("{message}")]
    Plain {
        /// What is wrong.
        message: String,
        /// What may help.
        hints: Vec<String>,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::Cache(CacheError::Store(error))
    }
}

impl Error {
    /// A function for `map_err` on operations on `path`.
    pub(crate) fn file(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, what, source }
    }

    /// An error without hints.
    pub(crate) fn plain(message: impl Into<String>) -> Error {
        Error::Plain { message: message.into(), hints: Vec::new() }
    }

    /// How the process ends after this error, and nothing when that needs no message.
    pub(crate) fn status(&self, role: Role) -> Status {
        match self {
            // As every program of Unix does: the reader has seen enough.
            Error::Stdout(source) if source.kind() == io::ErrorKind::BrokenPipe => {
                Status::Signal(nix::sys::signal::Signal::SIGPIPE as i32)
            }
            Error::Tracer(tracer::Error::NotFound { .. }) => Status::NotFound,
            Error::Tracer(tracer::Error::NotExecutable { .. }) => Status::NotExecutable,
            Error::Cache(CacheError::Store(_)) if role == Role::Linter => Status::Unavailable,
            _ => role.failure(),
        }
    }

    /// Lines that may help.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            Error::Plain { hints, .. } => hints.clone(),
            Error::NoStore => vec!["set `dir` under [cache], or AIRTIGHT_CACHE_DIR".to_owned()],
            // The tracer's own errors come with their remedy.
            _ => Vec::new(),
        }
    }
}
