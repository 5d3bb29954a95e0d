//! Processes outside of the tree, as flags.

use crate::error::Error;
use airtight_tracer::{self as tracer, Backend};
use std::path::PathBuf;

/// Processes outside of the tree that work for it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Also {
    /// Record this process and those below it too, as part of the action; with `--backend fanotify`
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    also_pid: Vec<i32>,
    /// Record the processes in this directory of cgroup v2 too; with `--backend fanotify`
    #[arg(long, value_name = "DIR")]
    also_cgroup: Vec<PathBuf>,
}

impl Also {
    /// The processes, for a backend that can record them.
    ///
    /// # Errors
    /// When the backend can't.
    pub(crate) fn resolve(self, backend: Backend) -> Result<tracer::Also, Error> {
        let Also { also_pid: pids, also_cgroup: cgroups } = self;
        let also = tracer::Also { pids, cgroups };
        if backend == Backend::Fanotify || also == tracer::Also::default() {
            return Ok(also);
        }
        Err(Error::Plain {
            message: "processes outside of the command's own tree can't be traced".to_owned(),
            hints: vec!["record them by the kernel's own view: --backend fanotify".to_owned()],
        })
    }
}
