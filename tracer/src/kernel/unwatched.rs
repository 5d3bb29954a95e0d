//! File systems that are mounted during a run that nobody traces: the mount is not seen in time, so
//! nothing is known of the files there.

use super::OWN_MOUNTS;
use super::marks::OF_THE_KERNEL;
use crate::mounts::{IN_MEMORY, Mount, parse};
use rustc_hash::FxHashSet;
use std::fs;
use std::io;
use std::path::PathBuf;

/// What was mounted when the run began.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounted {
    devices: FxHashSet<Vec<u8>>,
    namespace: PathBuf,
}

impl Mounted {
    /// What is mounted in the view of this process.
    ///
    /// # Errors
    /// When /proc can't be read.
    pub(super) fn now() -> io::Result<Mounted> {
        let table = parse(&fs::read(OWN_MOUNTS)?);
        let devices = table.into_iter().map(|mount| mount.device).collect();
        Ok(Mounted { devices, namespace: fs::read_link("/proc/thread-self/ns/mnt")? })
    }

    /// What is new in the view of this process.
    pub(super) fn since(&self) -> Option<String> {
        self.new_in(&fs::read(OWN_MOUNTS).ok()?, &[])
    }

    /// What is new for a process in a mount namespace of its own. What it has put in memory there is
    /// its own, and goes with it.
    pub(super) fn of(&self, pid: i32) -> Option<String> {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
        if namespace == self.namespace {
            return None;
        }
        self.new_in(&fs::read(format!("/proc/{pid}/mountinfo")).ok()?, IN_MEMORY)
    }

    fn new_in(&self, table: &[u8], but: &[&[u8]]) -> Option<String> {
        let is_new = |mount: &&Mount| {
            let kind = &mount.kind[..];
            let known = OF_THE_KERNEL.contains(&kind) || but.contains(&kind);
            !known && !self.devices.contains(&mount.device)
        };
        parse(table)
            .iter()
            .find(is_new)
            .map(|mount| format!("{} ({})", mount.point.escape_ascii(), mount.kind.escape_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_is_what_can_hold_files_and_was_not_there() {
        let start = b"1 0 8:1 / / rw - ext4 /dev/sda rw\n";
        let devices = parse(start).into_iter().map(|mount| mount.device).collect();
        let mounted = Mounted { devices, namespace: PathBuf::new() };
        let with = |line: &str| [start, line.as_bytes()].concat();
        assert_eq!(mounted.new_in(start, &[]), None);
        assert_eq!(mounted.new_in(&with("2 1 8:1 /a /b rw - ext4 /dev/sda rw\n"), &[]), None);
        assert_eq!(mounted.new_in(&with("2 1 0:9 / /proc rw - proc proc rw\n"), &[]), None);
        let tmpfs = with("2 1 0:9 / /t\\040x rw - tmpfs none rw\n");
        assert_eq!(mounted.new_in(&tmpfs, &[]).as_deref(), Some("/t x (tmpfs)"));
        assert_eq!(mounted.new_in(&tmpfs, IN_MEMORY), None);
        let overlay = with("2 1 0:9 / / rw - overlay none rw\n");
        assert_eq!(mounted.new_in(&overlay, IN_MEMORY).as_deref(), Some("/ (overlay)"));
    }
}
