//! Which mounts are guarded: those of mount namespaces that the tree alone lives in.
//!
//! A permission mark makes every process that opens a file on the mount wait for our answer. On a
//! mount that others use it could stop the whole machine, so each mount is held against our own
//! mounts before it is marked, whatever the caller believes.

use crate::kernel::marks::OF_THE_KERNEL;
use crate::mounts::{Mount, parse};
use crate::sys::fanotify::Group;
use crate::sys::{files, permit};
use rustc_hash::FxHashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// What is asked for: opens, also of directories, and what exec opens.
const OPENS: u64 = libc::FAN_OPEN_PERM | libc::FAN_OPEN_EXEC_PERM | libc::FAN_ONDIR;

/// Whether a file system may be marked. To ask about a file the kernel opens it for the listener as
/// well, which has effects on devices and fails on many files of /proc and /sys; and what fails is
/// denied. Nothing there is a file of an action.
fn may_be_marked(kind: &[u8]) -> bool {
    !OF_THE_KERNEL.contains(&kind) && kind != b"devtmpfs" && kind != b"hugetlbfs"
}

/// The device and inode that name a mount namespace.
type Namespace = (u64, u64);

/// The marks of one group.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The namespaces that the tree has made.
    own: FxHashSet<Namespace>,
}

fn namespace(pid: &str) -> io::Result<Namespace> {
    let found = std::fs::metadata(format!("/proc/{pid}/ns/mnt"))?;
    Ok((found.dev(), found.ino()))
}

fn mounts(pid: &str) -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read(format!("/proc/{pid}/mountinfo"))?))
}

fn refused(what: String) -> io::Error {
    io::Error::other(what)
}

impl Marks {
    /// A process has just come into a mount namespace that was made for it: guards that.
    ///
    /// # Errors
    /// When it is in our own namespace, or a mount can't be marked.
    pub(crate) fn adopt(&mut self, group: &Group, pid: i32) -> io::Result<Vec<Mount>> {
        let new = namespace(&pid.to_string())?;
        if new == namespace("self")? {
            return Err(refused(format!("process {pid} has no mount namespace of its own")));
        }
        self.own.insert(new);
        self.renew(group, pid)
    }

    /// Whether a process is in a namespace that is guarded.
    pub(crate) fn cover(&self, pid: i32) -> bool {
        namespace(&pid.to_string()).is_ok_and(|namespace| self.own.contains(&namespace))
    }

    /// Guards every mount in the namespace of a process; gives them.
    ///
    /// # Errors
    /// When the namespace is not known to be the tree's, or a mount can't be marked.
    pub(crate) fn renew(&self, group: &Group, pid: i32) -> io::Result<Vec<Mount>> {
        if !self.cover(pid) {
            return Err(refused(format!("process {pid} is in a mount namespace of others")));
        }
        // Of a process in a chroot the table shows only what is below its root.
        let root = std::fs::read_link(format!("/proc/{pid}/root"))?;
        if root.as_os_str() != "/" {
            return Err(refused(format!("process {pid} sees only what is in {}", root.display())));
        }
        let found = mounts(&pid.to_string())?;
        let ours: FxHashSet<u64> = mounts("self")?.iter().map(|mount| mount.id).collect();
        for mount in &found {
            if !may_be_marked(&mount.kind) {
                continue;
            }
            let point = [format!("/proc/{pid}/root").as_bytes(), &mount.point].concat();
            mark(group, CString::new(point)?, Some(mount.id), &ours).map_err(|error| {
                let point = String::from_utf8_lossy(&mount.point);
                refused(format!("the mount at {point} can't be guarded: {error}"))
            })?;
        }
        // Its directory may lie under what was mounted over it.
        mark(group, CString::new(format!("/proc/{pid}/cwd"))?, None, &ours)?;
        Ok(found)
    }

    /// Guards the mount that a process has just made and holds by a descriptor (fsmount(2),
    /// open_tree(2)).
    ///
    /// # Errors
    /// As [`Marks::renew`].
    pub(crate) fn descriptor(&self, group: &Group, pid: i32, fd: i32) -> io::Result<()> {
        if !self.cover(pid) {
            return Err(refused(format!("process {pid} is in a mount namespace of others")));
        }
        let ours: FxHashSet<u64> = mounts("self")?.iter().map(|mount| mount.id).collect();
        mark(group, CString::new(format!("/proc/{pid}/fd/{fd}"))?, None, &ours)
    }

    /// Lets a file that is no regular one be opened unasked by everybody: a FIFO, a socket or a
    /// device holds no content, and that the kernel opens it for us would be felt at its other
    /// end. The mark holds nobody: all it has is what is to be ignored.
    ///
    /// # Errors
    /// When the file can't be marked.
    pub(crate) fn ignore(group: &Group, path: &[u8]) -> io::Result<()> {
        let flags = libc::FAN_MARK_ADD
            | libc::FAN_MARK_IGNORED_MASK
            | libc::FAN_MARK_IGNORED_SURV_MODIFY
            | libc::FAN_MARK_DONT_FOLLOW;
        permit::mark(group, flags, libc::FAN_OPEN_PERM, &CString::new(path)?)
    }
}

/// Marks the mount that `name` leads to: the one expected, and none of ours. One that can't be
/// reached, because another lies over it, can't be opened either.
fn mark(group: &Group, name: CString, id: Option<u64>, ours: &FxHashSet<u64>) -> io::Result<()> {
    let found = match files::open(files::CWD, &name, libc::O_PATH) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        found => found?,
    };
    let mount = files::mount_id(&found)?;
    if id.is_some_and(|id| id != mount) {
        return Ok(());
    }
    if ours.contains(&mount) {
        return Err(refused("it is a mount of this machine's own".to_owned()));
    }
    // By the descriptor, so that it is this mount and no other by then.
    let name = CString::new(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    permit::mark(group, libc::FAN_MARK_ADD | libc::FAN_MARK_MOUNT, OPENS, &name)
}
