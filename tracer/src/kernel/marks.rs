//! Which file systems are watched.

use crate::mounts::{Mount, parse};
use crate::sys::fanotify::{self, FsId, Group, Handle};
use crate::sys::files;
use rustc_hash::FxHashMap;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::ops::Index;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// File systems of the kernel's own, where nothing is a file of an action: what they tell is the
/// state of the machine, which a recording notes by other means.
const OF_THE_KERNEL: &[&[u8]] = &[
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"efivarfs",
    b"fusectl",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"rpc_pipefs",
    b"securityfs",
    b"selinuxfs",
    b"sysfs",
    b"tracefs",
];

/// What is asked for. Reads of files are not: opening one tells as much. Reads of directories are,
/// for one that was opened before may be listed.
const EVENTS: u64 = libc::FAN_OPEN
    | libc::FAN_OPEN_EXEC
    | libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_RENAME
    | libc::FAN_ATTRIB
    | libc::FAN_ACCESS
    | libc::FAN_ONDIR;

/// Handles and names instead of descriptors; no limit, so that no event is lost; no waiting.
pub(super) const GROUP: u32 = libc::FAN_CLASS_NOTIF
    | libc::FAN_NONBLOCK
    | libc::FAN_UNLIMITED_QUEUE
    | libc::FAN_UNLIMITED_MARKS
    | libc::FAN_REPORT_DFID_NAME_TARGET;

/// A place where a file system shows.
pub(super) struct Shown {
    /// Of the mount point, by which handles are opened.
    pub(super) file: OwnedFd,
    /// Where the kernel says it is, in our view.
    pub(super) point: Vec<u8>,
    /// Which of its directories that is.
    pub(super) root: Vec<u8>,
    /// The handle of that.
    pub(super) handle: Option<Handle>,
}

/// A file system that is watched.
pub(super) struct FileSystem {
    /// Major and minor number, as `8:1`.
    pub(super) device: Vec<u8>,
    /// Its type.
    pub(super) kind: Vec<u8>,
    /// Those whose root is nearest to the file system's own come first.
    pub(super) mounts: Vec<Shown>,
}

/// The file systems that are watched, by number.
#[derive(Default)]
pub(super) struct FileSystems {
    list: Vec<FileSystem>,
    by_id: FxHashMap<FsId, u32>,
    /// Devices that were looked at, with or without success.
    seen: Vec<Vec<u8>>,
}

/// A file system that can't be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blind {
    /// Where it is mounted.
    pub(crate) point: Vec<u8>,
    /// Major and minor number, as `8:1`.
    pub(crate) device: Vec<u8>,
    /// Its type.
    pub(crate) kind: Vec<u8>,
    /// What the kernel said.
    pub(crate) why: String,
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (point, kind) = (&self.point.escape_ascii(), &self.kind.escape_ascii());
        write!(f, "{point} ({kind}): {}", self.why)
    }
}

impl Index<u32> for FileSystems {
    type Output = FileSystem;

    fn index(&self, number: u32) -> &FileSystem {
        &self.list[number as usize]
    }
}

impl FileSystems {
    /// Whether files can be opened by their handles.
    pub(super) fn probe(&self) -> io::Result<()> {
        let mut shown = self.list.iter().flat_map(|fs| &fs.mounts);
        match shown.find_map(|shown| Some((shown, shown.handle.as_ref()?))) {
            Some((shown, handle)) => fanotify::open(shown.file.as_fd(), handle).map(drop),
            None => Ok(()),
        }
    }

    /// The number of the file system of an event.
    pub(super) fn find(&self, id: FsId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Watches every file system of a mount table that is not watched yet, and can hold files. The
    /// table is that of a process whose root directory is `root`, empty for our own. Gives the
    /// numbers of the new ones, and what can't be watched.
    pub(super) fn mark(
        &mut self,
        group: &Group,
        table: &[u8],
        root: &[u8],
    ) -> (Vec<u32>, Vec<Blind>) {
        let mut mounts = parse(table);
        mounts.retain(|mount| {
            !OF_THE_KERNEL.contains(&&mount.kind[..]) && !self.seen.contains(&mount.device)
        });
        // The shortest root first, and of those the first mount.
        mounts.sort_by_key(|mount| mount.root.len());
        let (mut new, mut blind) = (Vec::new(), Vec::new());
        while let Some(first) = mounts.first() {
            let device = first.device.clone();
            let (of_it, rest) = mounts.into_iter().partition(|mount| mount.device == device);
            mounts = rest;
            self.seen.push(device);
            match self.mark_one(group, &of_it, root) {
                Ok(number) => new.extend(number),
                Err(why) => {
                    let Mount { device, point, kind, .. } = of_it[0].clone();
                    blind.push(Blind { point, device, kind, why });
                }
            }
        }
        (new, blind)
    }

    fn mark_one(
        &mut self,
        group: &Group,
        mounts: &[Mount],
        root: &[u8],
    ) -> Result<Option<u32>, String> {
        let (mut shown, mut worst) = (Vec::<Shown>::new(), None);
        for mount in mounts {
            // One that lies under another mount is reached by no name either.
            match show(mount, root) {
                Ok(found) => shown.extend(found.filter(|new| {
                    !shown
                        .iter()
                        .any(|old: &Shown| crate::mounts::below(&new.root, &old.root).is_some())
                })),
                Err(error) => worst = Some(error),
            }
        }
        let Some(first) = shown.first() else {
            return worst.map_or(Ok(None), |error| Err(error.to_string()));
        };
        let id = fanotify::fs_id(first.file.as_fd()).map_err(|error| error.to_string())?;
        if self.by_id.contains_key(&id) {
            return Err("it has the same identity as another file system".to_owned());
        }
        mark(group, &first.file).map_err(|error| error.to_string())?;
        let number = self.list.len() as u32;
        let Mount { device, kind, .. } = mounts[0].clone();
        self.list.push(FileSystem { device, kind, mounts: shown });
        self.by_id.insert(id, number);
        Ok(Some(number))
    }
}

fn mark(group: &Group, file: &OwnedFd) -> io::Result<()> {
    let add = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
    // Without FAN_ONDIR: what is no directory.
    group.mark(add | libc::FAN_MARK_IGNORE_SURV, libc::FAN_ACCESS, file.as_fd())?;
    group.mark(add, EVENTS, file.as_fd())
}

/// Opens what a mount shows. None when another mount lies over it.
fn show(mount: &Mount, root: &[u8]) -> io::Result<Option<Shown>> {
    let name = CString::new([root, &mount.point].concat())?;
    let path = match files::open_path(files::CWD, &name, false) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        path => path?,
    };
    if files::mount_id(&path)? != mount.id {
        return Ok(None);
    }
    let kind = files::stat(path.as_raw_fd(), c"", false)?.st_mode & libc::S_IFMT;
    if kind != libc::S_IFDIR && kind != libc::S_IFREG {
        return Ok(None);
    }
    let again = CString::new(format!("/proc/self/fd/{}", path.as_raw_fd()))?;
    let file = files::open(files::CWD, &again, libc::O_RDONLY | libc::O_NONBLOCK)?;
    let handle = fanotify::handle_of(file.as_fd(), c"").ok();
    let point = super::handles::path_of(&file)?;
    Ok(Some(Shown { file, point, root: mount.root.clone(), handle }))
}
