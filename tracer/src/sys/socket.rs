//! Who is at the other end of a unix socket.

use super::check;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

/// Who made a connection, or listened for it, at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process; 0 for one that this pid namespace does not know.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
}

/// Asks the kernel who is at the other end of a connected unix socket (SO_PEERCRED, unix(7)).
///
/// # Errors
/// When it is no such socket.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the structure is live and its length given; the kernel writes no more.
    let result = unsafe {
        let value = (&raw mut who).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, value, &raw mut length)
    };
    check(i64::from(result))?;
    Ok(Peer { pid: who.pid.unsigned_abs(), uid: who.uid })
}
