//! Reading the memory of a stopped thread.

use std::io;

/// Copies bytes from `tid`'s memory at `addr` into `buf`; returns how many could be read, fewer
/// than asked for where a page is missing. process_vm_readv(2) costs a third of one
/// PTRACE_PEEKDATA a word.
pub(crate) fn read(tid: i32, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let remote = libc::iovec { iov_base: addr as usize as *mut libc::c_void, iov_len: buf.len() };
    // SAFETY: `local` names a live buffer of its true length; `remote` is an address in another
    // process and is checked by the kernel.
    let n = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    super::check(n as i64).map(|n| n as usize)
}
