//! File look-ups into callers' buffers, without allocation: the loop does several per event.

use super::check;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `AT_FDCWD`.
pub(crate) const CWD: i32 = libc::AT_FDCWD;

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// An O_PATH descriptor for `path`, its last component not followed; with `no_links` any other
/// symbolic link on the way is refused with ELOOP (openat2(2), RESOLVE_NO_SYMLINKS).
pub(crate) fn open_path(dir: i32, path: &CStr, no_links: bool) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain integers, for which all zeroes is a value.
    let mut how: libc::open_how = unsafe { zeroed() };
    how.flags = (libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC) as u64;
    if no_links {
        how.resolve = libc::RESOLVE_NO_SYMLINKS;
    }
    // SAFETY: path is NUL-terminated, `how` is live and its true size is given.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size_of_val(&how))
    })
}

/// openat(2) with O_CLOEXEC, following links.
pub(crate) fn open(dir: i32, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: path is NUL-terminated; no O_CREAT, so no mode is read.
    owned(i64::from(unsafe { libc::openat(dir, path.as_ptr(), flags | libc::O_CLOEXEC) }))
}

/// fstatat(2). With an empty path: of the descriptor itself.
pub(crate) fn stat(dir: i32, path: &CStr, follow: bool) -> io::Result<libc::stat> {
    let mut flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH;
    }
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: path is NUL-terminated, stat is a live buffer of the right type.
    check(i64::from(unsafe { libc::fstatat(dir, path.as_ptr(), stat.as_mut_ptr(), flags) }))?;
    // SAFETY: fstatat has filled it.
    Ok(unsafe { stat.assume_init() })
}

/// Whether this process may use a file in this way (`R_OK`, `X_OK`), by its effective ids
/// (faccessat2(2)).
pub(crate) fn accessible(path: &CStr, how: i32) -> bool {
    // SAFETY: path is NUL-terminated.
    unsafe { libc::faccessat(CWD, path.as_ptr(), how, libc::AT_EACCESS) == 0 }
}

/// readlinkat(2) into `buf`; the text's length. A text that fills the buffer was cut.
pub(crate) fn read_link(dir: i32, path: &CStr, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: path is NUL-terminated, buf is live and its true length is given.
    let n = unsafe { libc::readlinkat(dir, path.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) };
    check(n as i64).map(|n| n as usize)
}

/// The mount a descriptor is on, as numbered in mountinfo (statx(2), STATX_MNT_ID).
pub(crate) fn mount_id(fd: &OwnedFd) -> io::Result<u64> {
    // SAFETY: statx is plain integers, for which all zeroes is a value.
    let mut statx: libc::statx = unsafe { zeroed() };
    let (fd, mask) = (fd.as_raw_fd(), libc::STATX_MNT_ID);
    // SAFETY: the path is a NUL-terminated constant, statx a live buffer.
    check(i64::from(unsafe {
        libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut statx)
    }))?;
    Ok(statx.stx_mnt_id)
}

/// The whole of a small file (of /proc) into `buf`, without asking for its size, which is not told.
pub(crate) fn read_file(path: &CStr, buf: &mut Vec<u8>) -> io::Result<()> {
    let mut file = File::from(open(CWD, path, libc::O_RDONLY)?);
    let mut have = 0;
    loop {
        buf.resize(have + 4096, 0);
        let got = file.read(&mut buf[have..])?;
        have += got;
        buf.truncate(have);
        if got == 0 {
            return Ok(());
        }
    }
}
