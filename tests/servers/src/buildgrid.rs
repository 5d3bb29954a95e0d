//! BuildGrid.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::grpc;
use crate::install;
use crate::process::Process;

/// A running BuildGrid: CAS, action cache, byte stream and capabilities of the remote execution
/// API over gRPC, under the empty instance name and [`BuildGrid::INSTANCE`].
#[derive(Debug)]
pub struct BuildGrid {
    process: Process,
    storage: PathBuf,
}

impl BuildGrid {
    /// The instance that has a name. It shares its storage with the one without.
    pub const INSTANCE: &str = "named/instance";

    /// A server with an empty storage.
    pub fn start() -> BuildGrid {
        let program = install::installed("venv-buildgrid/bin/bgd");
        let command = |port: u16, directory: &Path| {
            let file = directory.join("buildgrid.yml");
            let storage = directory.join("storage");
            fs::write(&file, configuration(port, &storage)).expect("BuildGrid's configuration");
            let mut command = Command::new(&program);
            command.args(["server", "start"]).arg(file);
            command
        };
        let process = Process::start("BuildGrid", command, grpc::answers);
        let storage = process.directory().join("storage");
        BuildGrid { process, storage }
    }

    /// `grpc://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("grpc://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its storage: blobs, action results among them, in `cas/objects/HH/REST`. Which result
    /// belongs to which action is in its memory only.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn configuration(port: u16, storage: &Path) -> String {
    let storage = storage.display();
    let instance = BuildGrid::INSTANCE;
    format!(
        "\
server:
  - !channel
    address: 127.0.0.1:{port}
    insecure-mode: true
authorization:
  method: none
storages:
  - !disk-storage &cas
    path: {storage}
caches:
  - !lru-action-cache &actions
    storage: *cas
    max-cached-refs: 1000000
    allow-updates: true
    cache-failed-actions: true
instances:
  - name: ['', '{instance}']
    services:
      - !action-cache
        cache: *actions
      - !cas
        storage: *cas
      - !bytestream
        storage: *cas
"
    )
}
