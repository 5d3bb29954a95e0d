//! Permission events of fanotify(7): read one at a time, and answered.

use super::check;
use super::fanotify::Group;
use std::ffi::CStr;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A process waits for an answer.
pub(crate) struct Event {
    /// What it opens, opened for us. None when that could not be done: the kernel has denied it
    /// already.
    pub(crate) file: Option<OwnedFd>,
    /// Who opens.
    pub(crate) pid: i32,
    /// FAN_OPEN_PERM or FAN_OPEN_EXEC_PERM.
    pub(crate) mask: u64,
}

/// A group for permission events. It must be made where no fork can copy it into a process that
/// lives on: as long as anybody holds it, whoever opens a guarded file waits for an answer.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, EINVAL when the kernel has no permission events.
pub(crate) fn group() -> io::Result<Group> {
    let flags = libc::FAN_CLASS_CONTENT
        | libc::FAN_NONBLOCK
        | libc::FAN_UNLIMITED_QUEUE
        | libc::FAN_UNLIMITED_MARKS;
    // O_NONBLOCK: not to wait for the other end of a FIFO.
    Group::new(flags, libc::O_RDONLY | libc::O_LARGEFILE | libc::O_NONBLOCK)
}

/// fanotify_mark(2) by name.
///
/// # Errors
/// What the kernel says.
pub(crate) fn mark(group: &Group, flags: u32, mask: u64, path: &CStr) -> io::Result<()> {
    let (group, here) = (group.as_raw_fd(), libc::AT_FDCWD);
    // SAFETY: the path is NUL-terminated; integers otherwise.
    let marked = unsafe { libc::fanotify_mark(group, flags, mask, here, path.as_ptr()) };
    check(i64::from(marked)).map(drop)
}

/// The next event; none when there is none now. One at a time, so that each is known to the caller
/// alone and holds but one descriptor.
///
/// # Errors
/// When the kernel can't make the descriptor; it has denied the open then.
pub(crate) fn next(group: &Group) -> io::Result<Option<Event>> {
    // SAFETY: the structure is plain integers, for which all zeroes is a value.
    let mut raw: libc::fanotify_event_metadata = unsafe { zeroed() };
    let size = size_of::<libc::fanotify_event_metadata>();
    // SAFETY: the structure is live and its true size is given: exactly one event fits.
    let got = unsafe { libc::read(group.as_raw_fd(), (&raw mut raw).cast(), size) };
    match check(got as i64) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
        Err(error) => Err(error),
        Ok(got) if got as usize != size || raw.vers != libc::FANOTIFY_METADATA_VERSION => {
            Err(io::Error::other("the kernel's events have another form"))
        }
        Ok(_) => {
            // SAFETY: the kernel has just given this descriptor to us alone.
            let file = (raw.fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw.fd) });
            Ok(Some(Event { file, pid: raw.pid, mask: raw.mask }))
        }
    }
}

/// Lets the open of an event's file be made, or not: then it fails with EPERM. `file` must still be
/// open, for its number names the event. One that has been answered already, or whose process is
/// gone, is no error.
pub(crate) fn answer(group: &Group, file: BorrowedFd<'_>, allow: bool) {
    let response = if allow { libc::FAN_ALLOW } else { libc::FAN_DENY };
    let answer = libc::fanotify_response { fd: file.as_raw_fd(), response };
    let size = size_of_val(&answer);
    // SAFETY: the structure is live and its true size is given.
    unsafe { libc::write(group.as_raw_fd(), (&raw const answer).cast(), size) };
}

/// Waits until one of the two can be read or has ended, at most for a time in milliseconds (-1 for
/// ever); tells which. A signal ends the wait as well.
pub(crate) fn wait(fds: [i32; 2], millis: i32) -> [bool; 2] {
    let mut list = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: the list is live and has as many entries as told.
    let ready = unsafe { libc::poll(list.as_mut_ptr(), 2, millis) };
    list.map(|entry| ready > 0 && entry.revents != 0)
}

/// What a file is, in one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// The mount, as numbered in mountinfo.
    pub(crate) mount: u64,
    /// File type bits.
    pub(crate) object: u32,
    pub(crate) size: u64,
    pub(crate) links: u32,
    /// When it was made, in nanoseconds since the epoch; where the file system does not know, when
    /// it was last changed.
    pub(crate) born: i64,
}

/// statx(2) of what a descriptor is open on, without asking a server for anything.
pub(crate) fn facts(file: BorrowedFd<'_>) -> io::Result<Facts> {
    // SAFETY: statx is plain integers, for which all zeroes is a value.
    let mut raw: libc::statx = unsafe { zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID;
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the path is a NUL-terminated constant, raw a live buffer.
    check(i64::from(unsafe {
        libc::statx(file.as_raw_fd(), c"".as_ptr(), flags, mask, &raw mut raw)
    }))?;
    let known = raw.stx_mask & libc::STATX_BTIME != 0;
    let time = if known { raw.stx_btime } else { raw.stx_ctime };
    Ok(Facts {
        device: libc::makedev(raw.stx_dev_major, raw.stx_dev_minor),
        inode: raw.stx_ino,
        mount: raw.stx_mnt_id,
        object: u32::from(raw.stx_mode) & libc::S_IFMT,
        size: raw.stx_size,
        links: raw.stx_nlink,
        born: time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec)),
    })
}
