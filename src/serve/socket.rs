//! The socket: its place, its lock, and who may connect.

use crate::caching;
use crate::config::Config;
use crate::error::Error;
use crate::scratch::make_private;
use airtight_recording::Digest;
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket that listens, and is removed when this is dropped.
pub(super) struct Socket {
    path: PathBuf,
    /// Locked as long as the socket is ours. The kernel unlocks it when we are killed.
    _lock: File,
}

/// Where the daemon of a workspace listens when nothing else is said: in `$XDG_RUNTIME_DIR`, else
/// beside the local store.
///
/// # Errors
/// When there is no place for it.
pub(super) fn default_path(config: &Config) -> Result<PathBuf, Error> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let directory = match runtime.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(runtime) => runtime.join("airtight"),
        None => {
            let store = caching::directory(config)?;
            fs::create_dir_all(&store).map_err(Error::file(&store, "can't make it"))?;
            store.join("serve")
        }
    };
    let workspace = Digest::of(config.workspace.as_os_str().as_bytes()).to_string();
    Ok(directory.join(format!("{}.sock", &workspace[..16])))
}

impl Socket {
    /// Listens at `path`, in a directory that is ours alone. What a dead daemon has left is
    /// removed.
    ///
    /// # Errors
    /// When another daemon listens there, or the directory is open to others.
    pub(super) fn listen(path: &Path) -> Result<(Socket, UnixListener), Error> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        make_private(directory)
            .map_err(Error::file(directory, "can't use it as a place for a socket"))?;
        // Of what happens in a directory of ours, nobody else can be the cause.
        let lock_path = path.with_added_extension("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&lock_path)
            .map_err(Error::file(&lock_path, "can't use it as a lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path, &mut lock)),
            Err(TryLockError::Error(error)) => {
                return Err(Error::file(&lock_path, "can't lock it")(error));
            }
        }
        let bind = || -> io::Result<UnixListener> {
            lock.set_len(0)?;
            writeln!(lock, "{}", std::process::id())?;
            match fs::symlink_metadata(path) {
                Ok(there) if there.file_type().is_socket() => fs::remove_file(path)?,
                Ok(_) => return Err(io::Error::other("it is there, and no socket")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        let mut bind = bind;
        let listener = bind().map_err(Error::file(path, "can't listen there"))?;
        Ok((Socket { path: path.to_owned(), _lock: lock }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The lock file stays: whoever waits for it would else lock a file that nobody sees.
        let _ = fs::remove_file(&self.path);
    }
}

/// The error that names who listens.
fn taken(path: &Path, lock: &mut File) -> Error {
    let mut pid = String::new();
    let _ = lock.take(32).read_to_string(&mut pid);
    let who = match pid.trim().parse::<u32>() {
        Ok(pid) => format!(" (process {pid})"),
        Err(_) => String::new(),
    };
    Error::Plain {
        message: format!("{}: a daemon listens there already{who}", path.display()),
        hints: vec!["connect to it, or give another one with --socket".to_owned()],
    }
}
