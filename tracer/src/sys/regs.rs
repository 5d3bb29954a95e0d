//! Register access, the only part that differs by machine.

#[cfg(target_arch = "x86_64")]
mod machine {
    use crate::sys::check;
    use std::io;
    use std::mem::{offset_of, zeroed};

    type Regs = libc::user_regs_struct;

    fn poke(tid: i32, offset: usize, value: u64) -> io::Result<()> {
        // SAFETY: PTRACE_POKEUSER takes an offset and a word by value.
        check(unsafe { libc::ptrace(libc::PTRACE_POKEUSER, tid, offset, value) }).map(drop)
    }

    /// At a syscall entry: the call is not made and returns `result`.
    pub(crate) fn skip_call(tid: i32, result: i64) -> io::Result<()> {
        poke(tid, offset_of!(Regs, orig_rax), u64::MAX)?;
        set_result(tid, result)
    }

    fn set_result(tid: i32, result: i64) -> io::Result<()> {
        poke(tid, offset_of!(Regs, rax), result as u64)
    }

    /// Number and first argument of the call in progress, also at fork and exec events, where
    /// PTRACE_GET_SYSCALL_INFO has none; and whether the code is 32-bit.
    pub(crate) fn call_in_progress(tid: i32) -> io::Result<(u64, u64, bool)> {
        // SAFETY: the registers are plain integers, for which all zeroes is a value.
        let mut regs: Regs = unsafe { zeroed() };
        // SAFETY: regs is a live buffer of the size PTRACE_GETREGS writes.
        check(unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut regs) })?;
        // __USER32_CS of <asm/segment.h>
        let narrow = regs.cs == 0x23;
        Ok((regs.orig_rax, if narrow { regs.rbx & 0xffff_ffff } else { regs.rdi }, narrow))
    }

    /// Changes the first argument of a call at its entry.
    pub(crate) fn set_first_arg(tid: i32, i386: bool, value: u64) -> io::Result<()> {
        poke(tid, if i386 { offset_of!(Regs, rbx) } else { offset_of!(Regs, rdi) }, value)
    }
}

/// Never run: there is no such machine here. Written from ptrace(2) and
/// arch/arm64/include/uapi/asm/ptrace.h.
#[cfg(target_arch = "aarch64")]
mod machine {
    use crate::sys::check;
    use std::io;
    use std::mem::{size_of, zeroed};

    const NT_PRSTATUS: usize = 1;
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    fn transfer<T>(request: libc::c_uint, tid: i32, set: usize, value: &mut T) -> io::Result<()> {
        let mut iov = libc::iovec { iov_base: (&raw mut *value).cast(), iov_len: size_of::<T>() };
        // SAFETY: the iovec names a live buffer of its true length.
        check(unsafe { libc::ptrace(request, tid, set, &raw mut iov) }).map(drop)
    }

    fn get(tid: i32) -> io::Result<libc::user_regs_struct> {
        // SAFETY: the registers are plain integers, for which all zeroes is a value.
        let mut regs: libc::user_regs_struct = unsafe { zeroed() };
        transfer(libc::PTRACE_GETREGSET, tid, NT_PRSTATUS, &mut regs)?;
        Ok(regs)
    }

    /// At a syscall entry: the call is not made and returns `result`.
    pub(crate) fn skip_call(tid: i32, result: i64) -> io::Result<()> {
        let mut none: i32 = -1;
        transfer(libc::PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &mut none)?;
        set_result(tid, result)
    }

    fn set_result(tid: i32, result: i64) -> io::Result<()> {
        set_first_arg(tid, false, result as u64)
    }

    /// Number and first argument of the call in progress; never 32-bit.
    pub(crate) fn call_in_progress(tid: i32) -> io::Result<(u64, u64, bool)> {
        let regs = get(tid)?;
        Ok((regs.regs[8], regs.regs[0], false))
    }

    /// Changes the first argument of a call at its entry.
    pub(crate) fn set_first_arg(tid: i32, _i386: bool, value: u64) -> io::Result<()> {
        let mut regs = get(tid)?;
        regs.regs[0] = value;
        transfer(libc::PTRACE_SETREGSET, tid, NT_PRSTATUS, &mut regs)
    }
}

pub(crate) use machine::{call_in_progress, set_first_arg, skip_call};
