//! One look at the file system: what a name in a call means, link by link.
//!
//! The common case, a name seen from the tracer's own root, costs one fstatat(2): what its
//! directory is called, and which links lead there, is remembered as long as nobody touches a
//! directory or link on the way ([`Watch`]). Everything else walks by component
//! with O_PATH descriptors, starting from `/proc/TID/{root,cwd,fd}`, so that chroot and mount
//! namespaces resolve as they do for the process.

use crate::mounts::{Mounts, Place};
use crate::sys::files;
use crate::sys::watch::Watch;
use rustc_hash::FxHashMap;
use std::ffi::CStr;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};

/// Who looks: one thread, and whether it sees the files as the tracer does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) tid: i32,
    pub(crate) tgid: i32,
    /// Same root, same mounts as the tracer.
    pub(crate) host: bool,
}

/// Where a relative name starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Cwd,
    Descriptor(i32),
    /// A descriptor that is also the root of the look-up (RESOLVE_IN_ROOT).
    RootDescriptor(i32),
}

/// A link crossed: its canonical name and its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hop {
    pub(crate) path: Vec<u8>,
    pub(crate) text: Vec<u8>,
}

/// How a look ended.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// The name is there.
    There(libc::stat),
    /// It is not: `path` is the first name that was missing. With the errno.
    Missing(u16),
    /// It can't be known: the errno of the look-up (EACCES, ELOOP, ENAMETOOLONG).
    Refused(u16),
}

/// The result of a look; its buffers are used again and again.
pub(crate) struct Look {
    /// The name as the call has it.
    pub(crate) text: Vec<u8>,
    /// The absolute name as asked for.
    pub(crate) requested: Vec<u8>,
    /// The canonical name.
    pub(crate) path: Vec<u8>,
    pub(crate) hops: Vec<Hop>,
    /// The name itself was no link, and the way to it is watched.
    pub(crate) direct: bool,
    /// The text of a link that was not followed.
    pub(crate) link: Vec<u8>,
    pub(crate) found: Found,
}

impl Default for Look {
    fn default() -> Self {
        Look {
            text: Vec::new(),
            requested: Vec::new(),
            path: Vec::new(),
            hops: Vec::new(),
            direct: false,
            link: Vec::new(),
            found: Found::Refused(0),
        }
    }
}

impl Look {
    pub(crate) fn stat(&self) -> Option<&libc::stat> {
        match &self.found {
            Found::There(stat) => Some(stat),
            _ => None,
        }
    }

    /// Makes it agree with a call that failed with `errno` a moment later: the kernel is right.
    pub(crate) fn agree(&mut self, errno: u16) {
        let file = self.stat().is_some() && self.object() != libc::S_IFDIR;
        match i32::from(errno) {
            // A file where a directory was wanted: it is there.
            libc::ENOTDIR if file => {}
            libc::ENOENT | libc::ENOTDIR if self.stat().is_some() => {
                self.path.clone_from(&self.requested);
                self.found = Found::Missing(errno);
            }
            _ => {}
        }
    }

    /// File type bits; 0 when not there.
    pub(crate) fn object(&self) -> u32 {
        self.stat().map_or(0, |stat| stat.st_mode & libc::S_IFMT)
    }

    /// The errno that a look-up of this name gives; 0 when it is there.
    pub(crate) fn errno(&self) -> u16 {
        match self.found {
            Found::There(_) => 0,
            Found::Missing(errno) | Found::Refused(errno) => errno,
        }
    }
}

/// What /proc appends to the name of what has been removed.
const REMOVED: &[u8] = b" (deleted)";
const PATH_MAX: usize = libc::PATH_MAX as usize;
/// `MAXSYMLINKS` of the kernel, path_resolution(7).
const MOST_LINKS: usize = 40;

/// What is remembered of a directory by the name it was asked for.
struct Dir {
    /// Its canonical name, with a slash at the end; or the first name that was missing.
    path: Vec<u8>,
    missing: bool,
    /// The links that lead there.
    hops: Vec<Hop>,
}

/// How many directories are remembered.
const MOST_DIRS: usize = 4096;

/// Does the looking; owns scratch buffers.
pub(crate) struct Looker {
    /// NUL-terminated names for system calls.
    name: Vec<u8>,
    proc_name: Vec<u8>,
    link: Vec<u8>,
    todo: Vec<u8>,
    dirs: FxHashMap<Vec<u8>, Dir>,
    /// On everything that `dirs` and remembered current directories rest on.
    watch: Watch,
    /// Calls in progress that may change what directories are called.
    unsettled: u32,
    /// A name was met that has no counterpart on the host.
    pub(crate) nowhere: bool,
    pub(crate) mounts: Mounts,
}

fn errno_of(error: &io::Error) -> u16 {
    error.raw_os_error().and_then(|e| u16::try_from(e).ok()).unwrap_or(libc::EIO as u16)
}

/// A C string in `buf`; none when the bytes hold a NUL.
fn c_string<'a>(buf: &'a mut Vec<u8>, parts: &[&[u8]]) -> io::Result<&'a CStr> {
    buf.clear();
    for part in parts {
        buf.extend_from_slice(part);
    }
    buf.push(0);
    CStr::from_bytes_with_nul(buf).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// `/proc/TID/what` in `buf`.
fn proc_path<'a>(buf: &'a mut Vec<u8>, tid: i32, what: std::fmt::Arguments<'_>) -> &'a CStr {
    buf.clear();
    // Writing into memory does not fail, and numbers hold no NUL.
    let _ = write!(buf, "/proc/{tid}/{what}\0");
    CStr::from_bytes_with_nul(buf).unwrap_or(c"")
}

/// Appends `text` to the absolute `out` component by component, dropping empty and `.` ones; `..`
/// are resolved too if `parents`. Returns whether it met any `..`.
fn push_components(out: &mut Vec<u8>, text: &[u8], parents: bool) -> bool {
    let mut met = false;
    for component in text.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                met = true;
                if parents {
                    let end = out.iter().rposition(|b| *b == b'/').unwrap_or(0);
                    out.truncate(end);
                } else {
                    out.extend_from_slice(b"/..");
                }
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
            }
        }
    }
    met
}

/// The lexical absolute name in `out`: `base` and `text` joined, `.` and `//` dropped.
fn join(out: &mut Vec<u8>, base: &[u8], text: &[u8], parents: bool) -> bool {
    out.clear();
    let mut met = false;
    if text.first() != Some(&b'/') {
        met |= push_components(out, base, parents);
    }
    met |= push_components(out, text, parents);
    if out.is_empty() {
        out.push(b'/');
    }
    met
}

impl Looker {
    pub(crate) fn new() -> io::Result<Looker> {
        Ok(Looker {
            name: Vec::new(),
            proc_name: Vec::new(),
            link: vec![0; 2 * PATH_MAX],
            todo: Vec::new(),
            dirs: FxHashMap::default(),
            watch: Watch::new(),
            unsettled: 0,
            nowhere: false,
            mounts: Mounts::of_self()?,
        })
    }

    /// The canonical name of `/proc/TID/what` (a descriptor or `cwd`) into `out`. It does not
    /// begin with a slash for pipes and sockets.
    pub(crate) fn name_of(
        &mut self,
        viewer: Viewer,
        what: std::fmt::Arguments<'_>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let path = proc_path(&mut self.proc_name, viewer.tid, what);
        let n = files::read_link(files::CWD, path, &mut self.link)?;
        out.clear();
        out.extend_from_slice(&self.link[..n]);
        if !viewer.host && out.first() == Some(&b'/') {
            let fd = files::open(files::CWD, path, libc::O_PATH)?;
            self.translate(viewer, &fd, out)?;
        }
        Ok(())
    }

    /// The name of a descriptor by its number in `fds`, an own descriptor of `/proc/TID/fd`.
    pub(crate) fn name_in(&mut self, fds: i32, fd: i32, out: &mut Vec<u8>) -> io::Result<()> {
        self.proc_name.clear();
        let _ = write!(self.proc_name, "{fd}\0");
        let name = CStr::from_bytes_with_nul(&self.proc_name).unwrap_or(c"");
        let n = files::read_link(fds, name, &mut self.link)?;
        out.clear();
        out.extend_from_slice(&self.link[..n]);
        Ok(())
    }

    /// stat through `/proc/TID/what`: of the file that a descriptor is open on.
    pub(crate) fn stat_of(
        &mut self,
        tid: i32,
        what: std::fmt::Arguments<'_>,
    ) -> io::Result<libc::stat> {
        files::stat(files::CWD, proc_path(&mut self.proc_name, tid, what), true)
    }

    /// An O_PATH descriptor of our own on what `/proc/TID/what` is.
    pub(crate) fn open_of(
        &mut self,
        tid: i32,
        what: std::fmt::Arguments<'_>,
        flags: i32,
    ) -> io::Result<OwnedFd> {
        files::open(files::CWD, proc_path(&mut self.proc_name, tid, what), flags)
    }

    /// A small file of /proc.
    pub(crate) fn read_proc(
        &mut self,
        tid: i32,
        what: std::fmt::Arguments<'_>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        files::read_file(proc_path(&mut self.proc_name, tid, what), out)
    }

    /// A name seen in another mount namespace or above a chroot, as the host's root sees it.
    fn translate(&mut self, viewer: Viewer, fd: &OwnedFd, path: &mut Vec<u8>) -> io::Result<()> {
        let mount = files::mount_id(fd)?;
        match self.mounts.translate(viewer.tid, mount, path) {
            Place::Same => Ok(()),
            Place::Called(name) => {
                *path = name;
                Ok(())
            }
            Place::Nowhere => {
                self.nowhere = true;
                Err(io::Error::other("it is on a mount that the host does not show"))
            }
        }
    }

    /// Looks at `look.text` from `base`; `cwd` is the canonical name of what `base` stands for (it
    /// may be empty when the text is absolute).
    pub(crate) fn look(
        &mut self,
        viewer: Viewer,
        base: Base,
        cwd: &[u8],
        follow: bool,
        look: &mut Look,
    ) {
        look.hops.clear();
        look.link.clear();
        look.direct = false;
        let removed = cwd.ends_with(REMOVED);
        let cwd = cwd.strip_suffix(REMOVED).unwrap_or(cwd);
        join(&mut look.requested, cwd, &look.text, false);
        if viewer.host
            && !removed
            && !matches!(base, Base::RootDescriptor(_))
            && !look.requested.starts_with(b"/proc/")
            && look.requested.len() < PATH_MAX
            && self.glance(viewer, follow, look).is_some()
        {
            return;
        }
        look.hops.clear();
        if let Err(error) = self.walk(viewer, base, follow, look) {
            look.path.clone_from(&look.requested);
            look.found = match errno_of(&error) as i32 {
                libc::ENOENT | libc::ENOTDIR => Found::Missing(errno_of(&error)),
                _ => Found::Refused(errno_of(&error)),
            };
        }
    }

    /// A call that may rename, remove or replace directories or links begins: until it ends,
    /// nothing is believed.
    pub(crate) fn unsettle(&mut self) {
        self.unsettled += 1;
    }

    /// Such a call has ended.
    pub(crate) fn settle(&mut self) {
        self.unsettled = self.unsettled.saturating_sub(1);
        self.dirs.clear();
    }

    /// Whether what was remembered can no longer be believed: somebody moved, removed or changed
    /// a directory or link that it rests on. Then all of it is forgotten.
    pub(crate) fn changed(&mut self) -> bool {
        let changed = self.watch.changed();
        if changed {
            self.dirs.clear();
        }
        changed
    }

    /// Watches the way to a canonical name that is to be remembered; false when it can't be
    /// watched, or was not watched when it was found.
    pub(crate) fn may_remember(&mut self, path: &[u8]) -> bool {
        self.watch.add(path, false).unwrap_or(false)
    }

    /// What is remembered of the directory `dir` (absolute, as asked for), or is found out now;
    /// none when it is no directory or must not be remembered.
    fn directory(&mut self, viewer: Viewer, dir: &[u8]) -> Option<&Dir> {
        if self.unsettled > 0 {
            return None;
        }
        if !self.dirs.contains_key(dir) {
            if self.dirs.len() >= MOST_DIRS {
                self.dirs.clear();
            }
            let mut found = self.find_directory(viewer, dir)?;
            if !self.is_watched(&found) {
                // Now it is, or can't be. What was found is older than the watch.
                found = self.find_directory(viewer, dir)?;
                if !self.is_watched(&found) {
                    return None;
                }
            }
            self.dirs.insert(dir.to_vec(), found);
        }
        self.dirs.get(dir)
    }

    /// Whether everything that leads to a directory was watched already.
    fn is_watched(&mut self, dir: &Dir) -> bool {
        // Of what is missing, the directory that it is missing from.
        let path = match dir.missing {
            true => &dir.path[..dir.path.iter().rposition(|b| *b == b'/').unwrap_or(0)],
            false => dir.path.strip_suffix(b"/").unwrap_or(&dir.path),
        };
        let mut known = self.may_remember(path);
        for hop in &dir.hops {
            known &= self.watch.add(&hop.path, true).unwrap_or(false);
        }
        known
    }

    fn find_directory(&mut self, viewer: Viewer, dir: &[u8]) -> Option<Dir> {
        let mut found = Dir { path: Vec::new(), missing: false, hops: Vec::new() };
        let name = c_string(&mut self.name, &[dir, b"/"]).ok()?;
        if files::open_path(files::CWD, name, true).is_ok() {
            // Without links on the way, `..` means what it says.
            push_components(&mut found.path, dir, true);
        } else {
            let mut look = Look { text: dir.to_vec(), ..Look::default() };
            self.walk(viewer, Base::Cwd, true, &mut look).ok()?;
            found.missing = look.errno() == libc::ENOENT as u16;
            if look.object() != libc::S_IFDIR && !found.missing {
                return None;
            }
            found.path = look.path;
            found.hops = look.hops;
        }
        if !found.missing && found.path.last() != Some(&b'/') {
            found.path.push(b'/');
        }
        Some(found)
    }

    /// The cheap look: none when it takes a walk.
    fn glance(&mut self, viewer: Viewer, follow: bool, look: &mut Look) -> Option<()> {
        // A slash or `.` at the end asks for what a link leads to.
        if look.text.ends_with(b"/")
            || look.text.ends_with(b"/.")
            || look.requested.ends_with(b"/..")
        {
            return None;
        }
        let mut name = std::mem::take(&mut self.todo);
        name.clone_from(&look.requested);
        let mut result = None;
        for link in 0..MOST_LINKS {
            let Some(end) = name.iter().rposition(|b| *b == b'/') else { break };
            let Some(dir) = self.directory(viewer, &name[..end]) else { break };
            look.path.clone_from(&dir.path);
            look.hops.extend_from_slice(&dir.hops);
            let missing = dir.missing;
            if !missing {
                look.path.extend_from_slice(&name[end + 1..]);
            }
            let Ok(path) = c_string(&mut self.name, &[&look.path]) else { break };
            match files::stat(files::CWD, path, false) {
                // It has been made meanwhile.
                Ok(_) if missing => {
                    self.dirs.clear();
                    break;
                }
                Ok(stat) if stat.st_mode & libc::S_IFMT != libc::S_IFLNK => {
                    look.direct = link == 0;
                    look.found = Found::There(stat);
                    result = Some(());
                    break;
                }
                Ok(stat) => {
                    let Ok(n) = files::read_link(files::CWD, path, &mut self.link) else { break };
                    let text = &self.link[..n];
                    if !follow {
                        look.link.extend_from_slice(text);
                        look.found = Found::There(stat);
                        result = Some(());
                        break;
                    }
                    look.hops.push(Hop { path: look.path.clone(), text: text.to_vec() });
                    if text.last() == Some(&b'/') || text.starts_with(b"/proc/") {
                        break;
                    }
                    let parent = look.path.len() - (name.len() - end - 1);
                    join(&mut name, &look.path[..parent], text, false);
                    if name.ends_with(b"/..") || name.starts_with(b"/proc/") {
                        break;
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    look.found = Found::Missing(libc::ENOENT as u16);
                    result = Some(());
                    break;
                }
                Err(_) => break,
            }
        }
        self.todo = name;
        result?;
        Some(())
    }

    /// The whole walk, one component at a time (path_resolution(7)).
    fn walk(
        &mut self,
        viewer: Viewer,
        base: Base,
        follow: bool,
        look: &mut Look,
    ) -> io::Result<()> {
        let fail = |errno| io::Error::from_raw_os_error(errno);
        let start = |looker: &mut Self, base| match base {
            Base::Cwd => looker.open_of(viewer.tid, format_args!("cwd"), libc::O_PATH),
            Base::Descriptor(fd) | Base::RootDescriptor(fd) => {
                looker.open_of(viewer.tid, format_args!("fd/{fd}"), libc::O_PATH)
            }
        };
        let root = match base {
            Base::RootDescriptor(_) => start(self, base)?,
            _ => self.open_of(viewer.tid, format_args!("root"), libc::O_PATH)?,
        };
        let root_stat = files::stat(root.as_raw_fd(), c"", false)?;
        let root_mount = files::mount_id(&root)?;
        let is_root = |fd: &OwnedFd, stat: &libc::stat| {
            (stat.st_dev, stat.st_ino) == (root_stat.st_dev, root_stat.st_ino)
                && files::mount_id(fd).is_ok_and(|mount| mount == root_mount)
        };

        let mut todo = std::mem::take(&mut self.todo);
        todo.clear();
        todo.extend_from_slice(&look.text);
        let mut at =
            if todo.first() == Some(&b'/') { root.try_clone()? } else { start(self, base)? };
        let mut stat = files::stat(at.as_raw_fd(), c"", false)?;
        let mut links = 0;
        let mut pos = 0;
        // The last component must be a directory when a slash follows it, also one of a link.
        let result = loop {
            while todo.get(pos) == Some(&b'/') {
                pos += 1;
            }
            if pos >= todo.len() {
                break self.canonical(viewer, &at).map(|path| {
                    look.path = path;
                    look.found = Found::There(stat);
                });
            }
            let end = todo[pos..].iter().position(|b| *b == b'/').map_or(todo.len(), |n| pos + n);
            let last = todo[end..].iter().all(|b| *b == b'/');
            let must_be_dir = end < todo.len();
            if stat.st_mode & libc::S_IFMT != libc::S_IFDIR {
                break self.missing(viewer, &at, &todo[pos..end], libc::ENOTDIR, look);
            }
            let component = &todo[pos..end];
            if component == b"." || (component == b".." && is_root(&at, &stat)) {
                pos = end;
                continue;
            }
            let name = match c_string(&mut self.name, &[component]) {
                Ok(name) => name,
                Err(error) => break Err(error),
            };
            let next = match files::open_path(at.as_raw_fd(), name, false) {
                Ok(next) => next,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    break self.missing(viewer, &at, component, libc::ENOENT, look);
                }
                Err(error) => {
                    let errno = errno_of(&error);
                    break self.missing(viewer, &at, component, errno.into(), look).map(|()| {
                        look.found = Found::Refused(errno);
                    });
                }
            };
            stat = match files::stat(next.as_raw_fd(), c"", false) {
                Ok(stat) => stat,
                Err(error) => break Err(error),
            };
            let kind = stat.st_mode & libc::S_IFMT;
            if kind != libc::S_IFLNK {
                if last && must_be_dir && kind != libc::S_IFDIR {
                    // `file/`: ENOTDIR, and the file is there.
                    break self.canonical(viewer, &next).map(|path| {
                        look.path = path;
                        look.found = Found::Refused(libc::ENOTDIR as u16);
                    });
                }
                at = next;
                pos = end;
                continue;
            }
            let length = match files::read_link(next.as_raw_fd(), c"", &mut self.link) {
                Ok(length) => length,
                Err(error) => break Err(error),
            };
            let mut text = self.link[..length].to_vec();
            if last && !must_be_dir && !follow {
                break self.child_name(viewer, &at, component).map(|path| {
                    look.path = path;
                    look.link = text;
                    look.found = Found::There(stat);
                });
            }
            links += 1;
            if links > MOST_LINKS {
                break Err(fail(libc::ELOOP));
            }
            let path = match self.child_name(viewer, &at, component) {
                Ok(path) => path,
                Err(error) => break Err(error),
            };
            if path.starts_with(b"/proc/") {
                match path.as_slice() {
                    b"/proc/self" => text = viewer.tgid.to_string().into_bytes(),
                    b"/proc/thread-self" => {
                        text = format!("{}/task/{}", viewer.tgid, viewer.tid).into_bytes();
                    }
                    b"/proc/mounts" | b"/proc/net" => {
                        text = [b"self/", &path[b"/proc/".len()..]].concat();
                    }
                    // A magic link is no text: the kernel jumps.
                    _ => {
                        let name = match c_string(&mut self.name, &[component]) {
                            Ok(name) => name,
                            Err(error) => break Err(error),
                        };
                        match files::open(at.as_raw_fd(), name, libc::O_PATH) {
                            Ok(next) => at = next,
                            Err(error) => break Err(error),
                        }
                        stat = match files::stat(at.as_raw_fd(), c"", false) {
                            Ok(stat) => stat,
                            Err(error) => break Err(error),
                        };
                        pos = end;
                        continue;
                    }
                }
            } else {
                look.hops.push(Hop { path, text: text.clone() });
            }
            if text.first() == Some(&b'/') {
                at = match root.try_clone() {
                    Ok(root) => root,
                    Err(error) => break Err(error),
                };
            }
            stat = match files::stat(at.as_raw_fd(), c"", false) {
                Ok(stat) => stat,
                Err(error) => break Err(error),
            };
            text.extend_from_slice(&todo[end..]);
            todo = text;
            pos = 0;
        };
        self.todo = todo;
        result
    }

    /// The canonical name of an own descriptor.
    fn canonical(&mut self, viewer: Viewer, fd: &OwnedFd) -> io::Result<Vec<u8>> {
        self.proc_name.clear();
        let _ = write!(self.proc_name, "/proc/self/fd/{}\0", fd.as_raw_fd());
        let name = CStr::from_bytes_with_nul(&self.proc_name).unwrap_or(c"");
        let n = files::read_link(files::CWD, name, &mut self.link)?;
        let mut path = self.link[..n].to_vec();
        if path.ends_with(REMOVED)
            && files::stat(fd.as_raw_fd(), c"", false).is_ok_and(|stat| stat.st_nlink == 0)
        {
            path.truncate(path.len() - REMOVED.len());
        }
        // Pipes, sockets and namespaces have names of their own kind.
        if !viewer.host && path.first() == Some(&b'/') {
            self.translate(viewer, fd, &mut path)?;
        }
        Ok(path)
    }

    /// The canonical name of an entry of a directory.
    fn child_name(&mut self, viewer: Viewer, dir: &OwnedFd, name: &[u8]) -> io::Result<Vec<u8>> {
        let mut path = self.canonical(viewer, dir)?;
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Ok(path)
    }

    fn missing(
        &mut self,
        viewer: Viewer,
        dir: &OwnedFd,
        name: &[u8],
        errno: i32,
        look: &mut Look,
    ) -> io::Result<()> {
        look.path = self.child_name(viewer, dir, name)?;
        look.found = Found::Missing(errno as u16);
        Ok(())
    }
}
