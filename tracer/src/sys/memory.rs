//! Reading the memory of a stopped thread.

use super::{check, files};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The memory of one process image, kept open: a read through it asks for permission only once.
/// It belongs to the image, so exec ends it.
pub(crate) struct Memory(Option<OwnedFd>);

impl Memory {
    /// Opens `/proc/TID/mem`; where that fails, each read asks anew.
    pub(crate) fn open(tid: i32) -> Memory {
        let path = CString::new(format!("/proc/{tid}/mem")).ok();
        Memory(path.and_then(|path| files::open(files::CWD, &path, libc::O_RDONLY).ok()))
    }

    /// Copies bytes of `tid`'s memory at `addr` into `buf`; returns how many could be read, fewer
    /// than asked for where a page is missing.
    pub(crate) fn read(&self, tid: i32, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.0 else { return read_vm(tid, addr, buf) };
        // SAFETY: `buf` is live and its true length is given; the offset is an integer that the
        // kernel checks.
        let n = unsafe {
            libc::pread(file.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), addr as i64)
        };
        match n {
            // Nothing there, or an address that is no offset: this call knows the difference.
            ..=0 => read_vm(tid, addr, buf),
            n => Ok(n as usize),
        }
    }
}

/// The same by process_vm_readv(2).
fn read_vm(tid: i32, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let remote = libc::iovec { iov_base: addr as usize as *mut libc::c_void, iov_len: buf.len() };
    // SAFETY: `local` names a live buffer of its true length; `remote` is an address in another
    // process and is checked by the kernel.
    let n = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    check(n as i64).map(|n| n as usize)
}
