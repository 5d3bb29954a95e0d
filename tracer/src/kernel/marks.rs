//! Which file systems are watched.

use super::handles::path_of;
use super::view::Place;
use crate::mounts::{Mount, below, joined, parse};
use crate::sys::fanotify::{self, FsId, Group, Handle};
use crate::sys::files;
use rustc_hash::FxHashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::ops::Index;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// File systems of the kernel's own, where nothing is a file of an action: what they tell is the
/// state of the machine, which a recording notes by other means.
pub(super) const OF_THE_KERNEL: &[&[u8]] = &[
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

/// What a group without handles is asked for: such a group is told of no change of names.
const OPENS: u64 = libc::FAN_OPEN
    | libc::FAN_OPEN_EXEC
    | libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_ACCESS
    | libc::FAN_ONDIR;

/// No limit, so that no event is lost; no waiting.
const GROUP: u32 = libc::FAN_CLASS_NOTIF
    | libc::FAN_NONBLOCK
    | libc::FAN_UNLIMITED_QUEUE
    | libc::FAN_UNLIMITED_MARKS;

/// How the descriptors of events are opened, by whoever reads them.
const EVENT_FLAGS: i32 = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_LARGEFILE | libc::O_NOATIME;

/// Where events come from.
pub(super) struct Groups {
    /// Events with handles and names.
    pub(super) named: Group,
    /// Events with descriptors, of file systems whose handles can't be opened: overlayfs without
    /// `nfs_export`, FUSE.
    pub(super) opened: Group,
    /// Whether reads of files are told too.
    reads: bool,
}

impl Groups {
    pub(super) fn new(reads: bool) -> io::Result<Groups> {
        Ok(Groups {
            reads,
            named: Group::new(GROUP | libc::FAN_REPORT_DFID_NAME_TARGET, libc::O_RDONLY)?,
            opened: Group::new(GROUP, EVENT_FLAGS)?,
        })
    }

    fn mark(&self, group: &Group, events: u64, found: &Found) -> io::Result<()> {
        let (add, name) = (libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM, by_number(&found.path)?);
        if !self.reads {
            // Without FAN_ONDIR: of what is no directory.
            group.mark(add | libc::FAN_MARK_IGNORE_SURV, libc::FAN_ACCESS, &name)?;
        }
        group.mark(add, events, &name)
    }
}

/// A place where a file system shows.
pub(super) struct Shown {
    file: Kept,
    /// What the kernel calls it when asked for the name of a descriptor.
    pub(super) point: Vec<u8>,
    /// Which of its directories that is; or file, a mount may show just one.
    pub(super) root: Vec<u8>,
    /// The handle of that.
    pub(super) handle: Option<Handle>,
}

enum Kept {
    /// A copy of the mount, which does not keep it from being unmounted.
    Copy(OwnedFd),
    /// Its name, of a mount in another namespace: that can't be copied.
    Name(CString, u64),
}

impl Shown {
    /// A file of it, by which handles are opened.
    pub(super) fn file(&self) -> io::Result<OwnedFd> {
        match &self.file {
            Kept::Copy(file) => file.try_clone(),
            Kept::Name(name, id) => {
                let file = open(name)?;
                let same = files::mount_id(&file)? == *id;
                same.then_some(file).ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))
            }
        }
    }
}

/// A file system that is watched.
pub(super) struct FileSystem {
    /// Major and minor number, as `8:1`.
    pub(super) device: Vec<u8>,
    /// Those whose root is nearest to the file system's own come first.
    pub(super) mounts: Vec<Shown>,
    /// Whether one of them shows a single file.
    pub(super) has_file: bool,
}

impl FileSystem {
    /// Opens what was found, for its handles.
    fn show(&mut self, found: Vec<Found>) {
        if self.mounts.iter().any(|shown| matches!(shown.file, Kept::Copy(_))) {
            return;
        }
        for Found { path, name, mount, root, .. } in found {
            let same =
                |s: &Shown| matches!(&s.file, Kept::Name(n, id) if (n, *id) == (&name, mount));
            if self.mounts.iter().any(same) {
                continue;
            }
            let handle = fanotify::handle_of(path.as_fd(), c"").ok();
            let copy = fanotify::copy_mount(path.as_fd()).and_then(|copy| open(&by_number(&copy)?));
            let (file, named) = match copy {
                Ok(copy) => {
                    let point = path_of(&copy);
                    (Kept::Copy(copy), point)
                }
                Err(_) => (Kept::Name(name, mount), path_of(&path)),
            };
            self.mounts.extend(named.ok().map(|point| Shown { file, point, root, handle }));
        }
    }
}

/// The layers of an overlayfs, which have the same files under names of their own.
pub(super) struct Layers {
    /// The number of the overlay.
    pub(super) overlay: u32,
    pub(super) layers: Vec<Place>,
    /// Where it prepares changes.
    pub(super) work: Option<Place>,
}

/// The file systems that are watched, by number.
#[derive(Default)]
pub(super) struct FileSystems {
    list: Vec<FileSystem>,
    by_id: FxHashMap<FsId, u32>,
    by_device: FxHashMap<Vec<u8>, u32>,
    /// All mounts that were met.
    pub(super) mounts: FxHashMap<u64, Mount>,
    /// The types of file systems by device, also of those that are gone.
    pub(super) kinds: FxHashMap<Vec<u8>, Vec<u8>>,
    pub(super) overlays: Vec<Layers>,
}

/// A file system that can't be watched, or not in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blind {
    /// Where it is mounted.
    pub(crate) point: Vec<u8>,
    /// Major and minor number, as `8:1`.
    pub(crate) device: Vec<u8>,
    /// Its type.
    pub(crate) kind: Vec<u8>,
    /// Whether opens and writes are seen, and only changes of names and attributes are not.
    pub(crate) opens: bool,
    /// What the kernel said.
    pub(crate) why: String,
}

impl Blind {
    /// Whether the opening of files in a directory is not seen, whose place in the mount table is
    /// asked for.
    pub(super) fn holds(&self, dir: &[u8], table: &[Mount]) -> bool {
        let covering = table.iter().filter(|mount| below(dir, &mount.point).is_some());
        // Of equals the last, which lies over the others.
        let mount = covering.max_by_key(|mount| mount.point.len());
        !self.opens && mount.is_some_and(|mount| mount.device == self.device)
    }
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (point, kind) = (&self.point.escape_ascii(), &self.kind.escape_ascii());
        let what = if self.opens { "only opens and writes are seen" } else { "nothing is seen" };
        write!(f, "{point} ({kind}): {what} ({})", self.why)
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
            Some((shown, handle)) => fanotify::open(shown.file()?.as_fd(), handle).map(drop),
            None => Ok(()),
        }
    }

    /// The number of the file system of an event.
    pub(super) fn find(&self, id: FsId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// The file system and the path within it of an open file.
    pub(super) fn locate(&self, file: &OwnedFd) -> Option<(u32, Vec<u8>)> {
        let mount = self.mounts.get(&files::mount_id(file).ok()?)?;
        let number = self.by_device.get(&mount.device)?;
        let path = path_of(file).ok()?;
        let path = path.strip_suffix(b" (deleted)").unwrap_or(&path);
        Some((*number, joined(&mount.root, below(path, &mount.point)?)))
    }

    /// Watches every file system of a mount table that can hold files. One that was watched before
    /// is marked again, for nothing tells whether it was unmounted meanwhile: numbers of devices and
    /// mounts are used again at once. The table is that of a process whose root directory is
    /// `root`, empty for our own. Gives the numbers of those that are new or shown in a new place,
    /// and what can't be watched.
    pub(super) fn mark(
        &mut self,
        groups: &Groups,
        table: &[u8],
        root: &[u8],
    ) -> (Vec<u32>, Vec<Blind>) {
        let mut mounts = parse(table);
        mounts.retain(|mount| !OF_THE_KERNEL.contains(&&mount.kind[..]));
        self.kinds.extend(mounts.iter().map(|mount| (mount.device.clone(), mount.kind.clone())));
        self.mounts.extend(mounts.iter().map(|mount| (mount.id, mount.clone())));
        // The shortest root first, and of those the first mount.
        mounts.sort_by_key(|mount| mount.root.len());
        let (mut new, mut blind) = (Vec::new(), Vec::new());
        while let Some(first) = mounts.first() {
            let device = first.device.clone();
            let (of_it, rest) = mounts.into_iter().partition(|mount| mount.device == device);
            mounts = rest;
            let (number, why) = self.mark_one(groups, &of_it, root);
            new.extend(number);
            if let Some(why) = why {
                let Mount { device, point, kind, .. } = of_it[0].clone();
                blind.push(Blind { point, device, kind, opens: number.is_some(), why });
            }
        }
        for &number in &new {
            if !self.overlays.iter().any(|layers| layers.overlay == number) {
                self.layers(number, root);
            }
        }
        (new, blind)
    }

    /// The number of the file system, if anything is seen of it, and why not all is.
    fn mark_one(
        &mut self,
        groups: &Groups,
        mounts: &[Mount],
        root: &[u8],
    ) -> (Option<u32>, Option<String>) {
        let (mut found, mut worst) = (Vec::<Found>::new(), None);
        for mount in mounts {
            if found.iter().any(|old| below(&mount.root, &old.root).is_some()) {
                continue;
            }
            // One that lies under another mount is reached by no name either.
            match find(mount, root) {
                Ok(new) => found.extend(new),
                Err(error) => worst = Some(error.to_string()),
            }
        }
        let Some(first) = found.first() else { return (None, worst) };
        let device = mounts[0].device.clone();
        let known = self.by_device.get(&device).copied();
        let named = match fanotify::fs_id(first.path.as_fd()) {
            // Its daemon might not answer, and it gives no handles anyway.
            _ if is_fuse(&mounts[0]) => Err("its files have no handles".to_owned()),
            Ok(id) if self.find(id).is_some_and(|other| self[other].device != device) => {
                Err("it has the same identity as another file system".to_owned())
            }
            Ok(id) => {
                groups.mark(&groups.named, EVENTS, first).map(|()| id).map_err(|e| e.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let (number, why) = match named {
            // The same device may be another file system by now.
            Ok(id) => (self.find(id).filter(|other| known == Some(*other)), Ok(id)),
            Err(why) => match groups.mark(&groups.opened, OPENS, first) {
                Ok(()) => (known.filter(|known| self[*known].mounts.is_empty()), Err(why)),
                Err(error) => return (None, Some(error.to_string())),
            },
        };
        let number = number.unwrap_or_else(|| {
            self.list.push(FileSystem { device: device.clone(), mounts: vec![], has_file: false });
            self.list.len() as u32 - 1
        });
        self.by_device.insert(device, number);
        let fs = &mut self.list[number as usize];
        fs.has_file |= found.iter().any(|found| found.is_file);
        match why {
            // Handles are of use where events have some.
            Ok(id) => {
                fs.show(found);
                self.by_id.insert(id, number);
                (Some(number), None)
            }
            Err(why) => (Some(number), Some(why)),
        }
    }

    /// Learns where the layers of a file system are, if it is an overlay.
    fn layers(&mut self, number: u32, root: &[u8]) {
        let device = &self[number].device;
        let overlay = |mount: &&Mount| mount.kind == b"overlay" && mount.device == *device;
        let Some(mount) = self.mounts.values().find(overlay) else { return };
        let mut found = Layers { overlay: number, layers: Vec::new(), work: None };
        for (key, dir) in overlay_dirs(&mount.options) {
            let Some(place) = self.place_of(&[root, &dir].concat()) else { continue };
            match key {
                Layer::Work => found.work = Some(place),
                Layer::Files => found.layers.push(place),
            }
        }
        self.overlays.push(found);
    }

    /// The directory with this name, by its path within its file system.
    fn place_of(&self, name: &[u8]) -> Option<Place> {
        let name = CString::new(name).ok()?;
        // Links are followed here, as they were when the overlay was mounted.
        let dir = files::open(files::CWD, &name, libc::O_PATH | libc::O_DIRECTORY).ok()?;
        let mount = self.mounts.get(&files::mount_id(&dir).ok()?)?;
        let path = joined(&mount.root, below(&path_of(&dir).ok()?, &mount.point)?);
        Some(Place { device: mount.device.clone(), path })
    }
}

/// A directory of an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Files,
    Work,
}

/// The directories in the options of an overlay: names with a slash at their beginning, for others
/// are of a current directory that is not known.
fn overlay_dirs(options: &[u8]) -> Vec<(Layer, Vec<u8>)> {
    let mut found = Vec::new();
    for option in split(options, b',') {
        let Some(equals) = option.iter().position(|byte| *byte == b'=') else { continue };
        let (key, value) = (&option[..equals], &option[equals + 1..]);
        let layer = match key {
            b"lowerdir" | b"lowerdir+" | b"datadir+" | b"upperdir" => Layer::Files,
            b"workdir" => Layer::Work,
            _ => continue,
        };
        // Two colons part layers of data from the rest: between them is nothing.
        for dir in split(value, b':').filter(|dir| dir.first() == Some(&b'/')) {
            let mut name = Vec::with_capacity(dir.len());
            let mut bytes = dir.iter();
            while let Some(&byte) = bytes.next() {
                name.push(if byte == b'\\' { *bytes.next().unwrap_or(&byte) } else { byte });
            }
            found.push((layer, name));
        }
    }
    found
}

/// The parts between separators that no backslash stands before.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    text.split(move |byte| {
        let ends = *byte == separator && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

fn is_fuse(mount: &Mount) -> bool {
    mount.kind.starts_with(b"fuse")
}

/// What a mount shows, found by its name.
struct Found {
    /// O_PATH.
    path: OwnedFd,
    name: CString,
    mount: u64,
    root: Vec<u8>,
    is_file: bool,
}

/// None when another mount lies over it, or it is no file that can be opened for its handles.
fn find(mount: &Mount, root: &[u8]) -> io::Result<Option<Found>> {
    let name = CString::new([root, &mount.point].concat())?;
    let path = match files::open_path(files::CWD, &name, false) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        path => path?,
    };
    if files::mount_id(&path)? != mount.id {
        return Ok(None);
    }
    let kind = match is_fuse(mount) {
        true => libc::S_IFDIR,
        false => files::stat(path.as_raw_fd(), c"", false)?.st_mode & libc::S_IFMT,
    };
    if kind != libc::S_IFDIR && kind != libc::S_IFREG {
        return Ok(None);
    }
    let is_file = kind == libc::S_IFREG;
    Ok(Some(Found { path, name, mount: mount.id, root: mount.root.clone(), is_file }))
}

fn by_number(fd: &OwnedFd) -> io::Result<CString> {
    Ok(CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?)
}

fn open(name: &CStr) -> io::Result<OwnedFd> {
    files::open(files::CWD, name, libc::O_RDONLY | libc::O_NONBLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_found_in_the_options_of_an_overlay() {
        let options = b"rw,lowerdir=/a\\:b:/c::/d,upperdir=/u\\,x,workdir=/w,lowerdir+=/e,index=on";
        let text: Vec<_> = overlay_dirs(options)
            .into_iter()
            .map(|(layer, name)| (layer, String::from_utf8(name).expect("text")))
            .collect();
        let files = |name: &str| (Layer::Files, name.to_owned());
        let work = (Layer::Work, "/w".to_owned());
        let expected = [files("/a:b"), files("/c"), files("/d"), files("/u,x"), work, files("/e")];
        assert_eq!(text, expected);
        assert_eq!(overlay_dirs(b"rw,lowerdir=a:b"), []);
    }
}
