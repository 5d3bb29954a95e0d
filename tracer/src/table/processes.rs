//! Calls that make processes, load programs, share memory or change what a process may do.

use super::Decoder::*;
use super::When::{Entry, Exit};
use super::{At, Only, Row, Rule, Test, deny, pass, rows, trace};

const CREDENTIALS: &str = "afterwards names may open, or refuse to, that did not before";
const BORN: &str = "the new process announces itself";

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_UNTRACED: u64 = 0x0080_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;
const MAP_SHARED: u64 = 1;
const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_SECCOMP: u32 = 22;
const GRND_NONBLOCK: u32 = 1;
const SHMAT: u32 = 21;
const ENOSYS: u16 = 38;

const fn credentials() -> Rule {
    trace(Credentials, Exit, CREDENTIALS)
}

const fn map_shared() -> Rule {
    const SHARED: &[Test] = &[Test::any_bit(3, MAP_SHARED)];
    trace(
        MapShared { prot: 2, flags: 3, fd: 4 },
        Exit,
        "a shared mapping of a descriptor that may write writes the file, now or after mprotect, \
         or lets others write this memory",
    )
    .only(Only::All(SHARED))
}

pub(super) const ROWS: &[Row] = rows! {
    execve 59 11 221 x32 520 => trace(
        Exec { at: At { dir: None, path: 0 }, flags: None }, Exit,
        "its end tells whether a program was loaded; what is loaded must be looked at before");
    execveat 322 358 281 x32 545 => trace(
        Exec { at: At { dir: Some(0), path: 1 }, flags: Some(4) }, Exit,
        "its end tells whether a program was loaded; what is loaded must be looked at before");
    uselib 134 86 _ => trace(Opaque, Exit, "maps a library; gone from current kernels");
    clone 56 120 220 => trace(Clone { flags: 0 }, Entry,
        "the flag that hides the child must be cleared before the call, new namespaces noted")
        .only(Only::All(&[
            Test::any_bit(0, CLONE_UNTRACED | CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID)
        ]));
    clone3 435 435 435 => deny(ENOSYS,
        "its flags are in memory that others may change; libraries fall back to clone");
    fork 57 2 _ => pass(BORN);
    vfork 58 190 _ => pass(BORN);
    sched_setaffinity 203 241 122 => trace(Affinity { set: true }, Entry,
        "the tracer moves busy threads to its CPU; a program must see its own choice");
    sched_getaffinity 204 242 123 => trace(Affinity { set: false }, Entry,
        "the tracer moves busy threads to its CPU; a program must see its own choice");
    ptrace 101 26 117 x32 521 => trace(Ptrace, Entry, "a process can have only one tracer");
    seccomp 317 354 277 => trace(
        SeccompMode { mode: 0, strict: 0, flags: Some(1) }, Exit,
        "strict mode must be emulated; a filter with a supervisor may hide calls")
        .only(Only::OneOf { arg: 0, mask: u32::MAX, values: &[0, 1] });
    prctl 157 172 167 => trace(Prctl { option: 0 }, Exit,
        "strict mode must be emulated; an undumpable process closes its memory to the tracer")
        .only(Only::OneOf { arg: 0, mask: u32::MAX, values: &[PR_SET_DUMPABLE, PR_SET_SECCOMP] });

    mmap 9 _ 222 => map_shared();
    mmap _ 90 _ => trace(MapStruct { words: 0 }, Exit,
        "its arguments are in memory; a shared mapping may write the file");
    mmap2 _ 192 _ => map_shared();
    shmat 30 397 196 => trace(SharedMemory, Exit, "others may write this memory");
    ipc _ 117 _ => trace(SharedMemory, Exit, "others may write this memory")
        .only(Only::OneOf { arg: 0, mask: 0xffff, values: &[SHMAT] });
    process_vm_writev 311 348 271 x32 540 =>
        trace(SharedMemory, Entry, "writes the memory of another process");
    userfaultfd 323 374 282 => trace(Refuse(ENOSYS), Entry,
        "the tracer would wait for ever on a page that its own tracee must fill");
    io_uring_setup 425 425 425 => trace(Refuse(ENOSYS), Entry,
        "its operations run in the kernel, where no call shows them");
    io_uring_enter 426 426 426 => trace(Refuse(ENOSYS), Entry,
        "a ring may come from outside; its operations show in no call");
    io_uring_register 427 427 427 => trace(Refuse(ENOSYS), Entry,
        "a ring may come from outside; its operations show in no call");

    setuid 105 23 146 => credentials();
    setuid32 _ 213 _ => credentials();
    setgid 106 46 144 => credentials();
    setgid32 _ 214 _ => credentials();
    setreuid 113 70 145 => credentials();
    setreuid32 _ 203 _ => credentials();
    setregid 114 71 143 => credentials();
    setregid32 _ 204 _ => credentials();
    setresuid 117 164 147 => credentials();
    setresuid32 _ 208 _ => credentials();
    setresgid 119 170 149 => credentials();
    setresgid32 _ 210 _ => credentials();
    setgroups 116 81 159 => credentials();
    setgroups32 _ 206 _ => credentials();
    setfsuid 122 138 151 => credentials();
    setfsuid32 _ 215 _ => credentials();
    setfsgid 123 139 152 => credentials();
    setfsgid32 _ 216 _ => credentials();
    capset 126 185 91 => credentials();
    landlock_restrict_self 446 446 446 => credentials();
    lsm_set_self_attr 460 460 460 => credentials();

    getrandom 318 355 278 => trace(Random, Entry, "the answer differs from run to run")
        // The C library seeds its allocator so in every process.
        .only(Only::Any(&[Test::word_not(1, 8), Test::int_not(2, GRND_NONBLOCK)]));
};
