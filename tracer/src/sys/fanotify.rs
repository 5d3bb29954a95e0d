//! fanotify(7) groups, and the file handles that their events carry (open_by_handle_at(2)).

use super::check;
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The largest handle a file system may give (MAX_HANDLE_SZ of the kernel).
pub(crate) const MOST_HANDLE: usize = 128;

/// `struct file_handle` of open_by_handle_at(2), with room for the largest.
#[repr(C)]
struct Raw {
    bytes: u32,
    kind: i32,
    handle: [u8; MOST_HANDLE],
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// What identifies a file within its file system, as long as that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    /// `handle_type`.
    pub(crate) kind: i32,
    /// `f_handle`.
    pub(crate) bytes: Box<[u8]>,
}

/// `f_fsid` of statfs(2): the two numbers by which events name a file system.
pub(crate) type FsId = [i32; 2];

/// A group: where marks belong to, and where events are read.
pub(crate) struct Group(OwnedFd);

impl Group {
    /// fanotify_init(2). The descriptors of events, if it is a group that has such, are opened with
    /// `event_flags`.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN, EINVAL when the kernel does not know a flag, ENOSYS, EMFILE.
    pub(crate) fn new(flags: u32, event_flags: i32) -> io::Result<Group> {
        let event_flags = (event_flags | libc::O_CLOEXEC) as u32;
        // SAFETY: integers only.
        let fd = unsafe { libc::fanotify_init(flags | libc::FAN_CLOEXEC, event_flags) };
        check(i64::from(fd))?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        Ok(Group(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// fanotify_mark(2) on the file system, mount or file that a name leads to; `flags` say which.
    ///
    /// # Errors
    /// EXDEV, EOPNOTSUPP and ENODEV where a file system can't be marked, ENOSPC at a limit.
    pub(crate) fn mark(&self, flags: u32, mask: u64, name: &CStr) -> io::Result<()> {
        // SAFETY: the name is NUL-terminated.
        check(i64::from(unsafe {
            libc::fanotify_mark(self.0.as_raw_fd(), flags, mask, libc::AT_FDCWD, name.as_ptr())
        }))?;
        Ok(())
    }

    /// Reads as many events as fit; 0 when there are none, for a group that does not block.
    ///
    /// # Errors
    /// EINVAL when not even one event fits.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            // SAFETY: buf is live and its true length is given.
            let n = unsafe { libc::read(self.0.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
            match check(n as i64) {
                Ok(n) => return Ok(n as usize),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return Ok(0),
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// The file of an event that was read from this group just now, by the number in it, to be
    /// taken once. None for an event without a file.
    pub(crate) fn take(&self, number: i32) -> Option<OwnedFd> {
        // SAFETY: the kernel has opened it for this event, and nobody else knows the number.
        (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
    }
}

impl AsRawFd for Group {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

/// The number of the file system that a descriptor is of.
pub(crate) fn fs_id(fd: BorrowedFd<'_>) -> io::Result<FsId> {
    let mut stat = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: stat is a live buffer of the right type.
    check(i64::from(unsafe { libc::fstatfs(fd.as_raw_fd(), stat.as_mut_ptr()) }))?;
    // SAFETY: fstatfs has filled it, and all zeroes is a value. fsid_t is two ints whose field is
    // private in libc.
    Ok(unsafe { std::mem::transmute::<libc::fsid_t, FsId>(stat.assume_init().f_fsid) })
}

/// An O_PATH descriptor for the file with this handle; `mount` is any file of its file system.
///
/// # Errors
/// ESTALE when the file exists no more, EPERM without CAP_DAC_READ_SEARCH, EINVAL for a handle that
/// this file system has not made.
pub(crate) fn open(mount: BorrowedFd<'_>, handle: &Handle) -> io::Result<OwnedFd> {
    let mut raw = Raw { bytes: 0, kind: handle.kind, handle: [0; MOST_HANDLE] };
    let Some(room) = raw.handle.get_mut(..handle.bytes.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    room.copy_from_slice(&handle.bytes);
    raw.bytes = handle.bytes.len() as u32;
    // SAFETY: raw is laid out as the kernel's file_handle, live, and has as many bytes as it says.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut raw,
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    check(fd)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The handle of a file: of `fd` itself when the path is empty (name_to_handle_at(2)).
pub(crate) fn handle_of(fd: BorrowedFd<'_>, path: &CStr) -> io::Result<Handle> {
    let mut raw = Raw { bytes: MOST_HANDLE as u32, kind: 0, handle: [0; MOST_HANDLE] };
    let mut mount = 0;
    let flags = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    // SAFETY: raw is laid out as the kernel's file_handle and has as many bytes as it says; the path
    // is NUL-terminated, the mount number is live.
    check(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_raw_fd(),
            path.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            flags,
        )
    })?;
    let bytes = raw.handle.get(..raw.bytes as usize).unwrap_or_default();
    Ok(Handle { kind: raw.kind, bytes: bytes.into() })
}

/// A mount of the same directory as `path`, an O_PATH descriptor, that shows nowhere: it can be
/// kept while what it is a copy of is unmounted (open_tree(2)).
pub(crate) fn copy_mount(path: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    // SAFETY: the path is a NUL-terminated constant.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, path.as_raw_fd(), c"".as_ptr(), flags) };
    check(fd)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    let copy = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // What is mounted on the one from now on is not to be mounted on the other too.
    let private = MountAttr { set: 0, clear: 0, propagation: libc::MS_PRIVATE, userns: 0 };
    // SAFETY: as above; the attributes are live, laid out as the kernel's, and their size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            copy.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const private,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(copy)
}

/// Waits until the descriptor has something to read or its other end is closed, or the time has
/// passed. Says whether it was the former.
pub(crate) fn wait(fd: i32, millis: i32) -> bool {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one live entry.
    unsafe { libc::poll(&raw mut entry, 1, millis) == 1 }
}
