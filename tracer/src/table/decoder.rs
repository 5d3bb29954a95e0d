//! How a traced call is read: which argument holds what.

use airtight_recording::Op;

/// A name in the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The argument with the directory descriptor; none means the current directory.
    pub dir: Option<u8>,
    /// The argument that points to the path.
    pub path: u8,
}

/// Whether a link at the end of the name is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Yes.
    Always,
    /// No: the call is about the link itself.
    Never,
    /// Not if the argument has one of these bits (`AT_SYMLINK_NOFOLLOW` and its like).
    Unless(u8, u32),
    /// Only if the argument has one of these bits (`AT_SYMLINK_FOLLOW`).
    If(u8, u32),
}

impl Follow {
    /// Whether a call with these arguments follows the last link.
    pub const fn follows(self, args: &[u64; 6]) -> bool {
        match self {
            Follow::Always => true,
            Follow::Never => false,
            Follow::Unless(arg, mask) => args[arg as usize] as u32 & mask == 0,
            Follow::If(arg, mask) => args[arg as usize] as u32 & mask != 0,
        }
    }
}

/// What a call does, with the numbers of the arguments that say more.
///
/// Where `empty` is given it names the argument with the `AT_*` flags: with `AT_EMPTY_PATH` in
/// it and an empty path the call is about the descriptor. A null path has the same meaning
/// wherever a call takes one (utimensat, futimesat, fanotify_mark; statx and newfstatat since
/// Linux 6.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is an argument number and says by its name of what")]
pub enum Decoder {
    /// open, openat.
    Open { at: At, flags: u8 },
    /// creat: open with `O_CREAT | O_WRONLY | O_TRUNC`.
    Creat { at: At },
    /// openat2: flags and resolve bits are in memory (`struct open_how`).
    OpenHow { at: At, how: u8 },
    /// open_by_handle_at.
    OpenHandle { flags: u8 },
    /// Existence or metadata is asked for.
    Probe { at: At, follow: Follow, op: Op, empty: Option<u8> },
    /// readlink; an empty path is the descriptor, a link opened with `O_PATH`.
    Readlink { at: At },
    /// execve, execveat.
    Exec { at: At, flags: Option<u8> },
    /// mkdir.
    Mkdir { at: At },
    /// rmdir.
    Rmdir { at: At },
    /// unlink; a directory if the flags have `AT_REMOVEDIR` (0x200).
    Unlink { at: At, flags: Option<u8> },
    /// rename; flags are `RENAME_*`.
    Rename { from: At, to: At, flags: Option<u8> },
    /// link; flags are `AT_SYMLINK_FOLLOW` and `AT_EMPTY_PATH`.
    Link { from: At, to: At, flags: Option<u8> },
    /// symlink.
    Symlink { text: u8, at: At },
    /// mknod.
    Mknod { at: At, mode: u8 },
    /// truncate.
    Truncate { at: At },
    /// chmod, chown, utimes, setxattr, removexattr and the like.
    Metadata { at: At, follow: Follow, empty: Option<u8> },
    /// ftruncate, fallocate.
    FdTruncate { fd: u8 },
    /// fchmod, fchown, fsetxattr, fremovexattr.
    FdMetadata { fd: u8 },
    /// ioctl with one of [`IOCTLS`]; see [`ioctl_effect`].
    Ioctl { fd: u8, request: u8 },
    /// chdir.
    Chdir { at: At },
    /// fchdir.
    Fchdir { fd: u8 },
    /// chroot.
    Chroot { at: At },
    /// What names mean may change: mounts, namespaces, pivot_root; unshare also ends the sharing
    /// of the current directory and of descriptors.
    Namespace,
    /// clone with a flag that matters before the child runs: `CLONE_UNTRACED` or a new namespace.
    Clone { flags: u8 },
    /// mmap, shared; anonymous ones (`MAP_ANONYMOUS`, 0x20) are memory that others
    /// may write, not a file.
    MapShared { prot: u8, flags: u8, fd: u8 },
    /// The old mmap of i386: the argument points to six words in the order of mmap's arguments.
    MapStruct { words: u8 },
    /// Others may write the memory of this process, or this one theirs: shmat,
    /// process_vm_writev.
    SharedMemory,
    /// ptrace.
    Ptrace,
    /// seccomp: argument `mode` is `strict` for the strict mode and `strict + 1` for a filter.
    /// With `SECCOMP_FILTER_FLAG_NEW_LISTENER` (8) in `flags` a supervisor may let calls go on
    /// without a stop.
    SeccompMode { mode: u8, strict: u32, flags: Option<u8> },
    /// prctl with `PR_SET_SECCOMP` (22; then argument 1 is 1 for strict, 2 for a filter) or
    /// `PR_SET_DUMPABLE` (4; argument 1 is 0 to close /proc and memory to an unprivileged
    /// tracer).
    Prctl { option: u8 },
    /// Ids, groups, capabilities, or a sandbox: what this process may open differs afterwards.
    Credentials,
    /// connect.
    Connect { fd: u8, addr: u8, len: u8 },
    /// bind: on a unix socket it makes a name.
    Bind { fd: u8, addr: u8, len: u8 },
    /// sendto with an address.
    SendTo { fd: u8, addr: u8, len: u8 },
    /// sendmsg: address and descriptors are in `struct msghdr`.
    SendMsg { fd: u8, msg: u8 },
    /// sendmmsg: an array of `struct mmsghdr`.
    SendMmsg { fd: u8, msgs: u8, count: u8 },
    /// recvmsg: descriptors may arrive (SCM_RIGHTS).
    ReceiveMsg { fd: u8, msg: u8 },
    /// recvmmsg.
    ReceiveMmsg { fd: u8, msgs: u8, count: u8 },
    /// pidfd_getfd: the result is a descriptor of another process.
    PidfdGetfd,
    /// The socket calls of i386 in one: argument 0 is the call, argument 1 points to its
    /// arguments, words of 32 bits.
    SocketCall,
    /// sched_setaffinity, sched_getaffinity.
    Affinity { set: bool },
    /// getrandom.
    Random,
    /// Answered with this errno by the tracer, and noted.
    Refuse(u16),
    /// What it does can't be decoded; unless it fails, the recording is incomplete.
    Opaque,
}

/// What an ioctl does that its descriptor's opening does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoctlEffect {
    /// Changes attributes of the file behind the descriptor, perhaps one opened for reading.
    Metadata,
    /// Makes, removes or opens names that can't be decoded.
    Opaque,
    /// Makes a userfaultfd; refused with ENOSYS like the call of that name.
    Refuse,
}

/// The ioctl requests that stop: number, name, effect. From `linux/fs.h`, `linux/fscrypt.h`,
/// `linux/fsverity.h`, `linux/btrfs.h`, `linux/msdos_fs.h`, `linux/userfaultfd.h` and the kernel's
/// `ext4.h` and `xfs_fs.h`. Requests on devices are left out: the opening of a device is a
/// finding already. Content moved between descriptors (FICLONE, FIDEDUPERANGE) is covered by
/// their openings.
pub const IOCTLS: &[(u32, &str, IoctlEffect)] = &[
    (0x4004_6602, "FS_IOC32_SETFLAGS", IoctlEffect::Metadata),
    (0x4008_6602, "FS_IOC_SETFLAGS", IoctlEffect::Metadata),
    (0x4004_7602, "FS_IOC32_SETVERSION", IoctlEffect::Metadata),
    (0x4008_7602, "FS_IOC_SETVERSION", IoctlEffect::Metadata),
    (0x401c_5820, "FS_IOC_FSSETXATTR", IoctlEffect::Metadata),
    (0x4080_6685, "FS_IOC_ENABLE_VERITY", IoctlEffect::Metadata),
    (0x800c_6613, "FS_IOC_SET_ENCRYPTION_POLICY", IoctlEffect::Metadata),
    (0x4004_7211, "FAT_IOCTL_SET_ATTRIBUTES", IoctlEffect::Metadata),
    (0xc028_660f, "EXT4_IOC_MOVE_EXT", IoctlEffect::Metadata),
    (0x0000_6611, "EXT4_IOC_SWAP_BOOT", IoctlEffect::Opaque),
    (0xc0c0_586d, "XFS_IOC_SWAPEXT", IoctlEffect::Metadata),
    (0xc038_5869, "XFS_IOC_PATH_TO_HANDLE", IoctlEffect::Opaque),
    (0xc01c_5869, "XFS_IOC_PATH_TO_HANDLE_32", IoctlEffect::Opaque),
    (0xc01c_586b, "XFS_IOC_OPEN_BY_HANDLE_32", IoctlEffect::Opaque),
    (0xc01c_586c, "XFS_IOC_READLINK_BY_HANDLE_32", IoctlEffect::Opaque),
    (0x4024_587b, "XFS_IOC_ATTRMULTI_BY_HANDLE_32", IoctlEffect::Opaque),
    (0xc038_586b, "XFS_IOC_OPEN_BY_HANDLE", IoctlEffect::Opaque),
    (0xc038_586c, "XFS_IOC_READLINK_BY_HANDLE", IoctlEffect::Opaque),
    (0x4048_587b, "XFS_IOC_ATTRMULTI_BY_HANDLE", IoctlEffect::Opaque),
    (0x5000_9401, "BTRFS_IOC_SNAP_CREATE", IoctlEffect::Opaque),
    (0x5000_940e, "BTRFS_IOC_SUBVOL_CREATE", IoctlEffect::Opaque),
    (0x5000_940f, "BTRFS_IOC_SNAP_DESTROY", IoctlEffect::Opaque),
    (0x5000_9417, "BTRFS_IOC_SNAP_CREATE_V2", IoctlEffect::Opaque),
    (0x5000_9418, "BTRFS_IOC_SUBVOL_CREATE_V2", IoctlEffect::Opaque),
    (0x5000_943f, "BTRFS_IOC_SNAP_DESTROY_V2", IoctlEffect::Opaque),
    (0x4044_9426, "BTRFS_IOC_SEND_32", IoctlEffect::Opaque),
    (0x4048_9426, "BTRFS_IOC_SEND", IoctlEffect::Opaque),
    (0x4100_9432, "FS_IOC_SETFSLABEL", IoctlEffect::Opaque),
    (0x4008_9413, "BTRFS_IOC_DEFAULT_SUBVOL", IoctlEffect::Opaque),
    (0x4008_941a, "BTRFS_IOC_SUBVOL_SETFLAGS", IoctlEffect::Opaque),
    (0xd000_9411, "BTRFS_IOC_TREE_SEARCH", IoctlEffect::Opaque),
    (0xc070_9411, "BTRFS_IOC_TREE_SEARCH_V2", IoctlEffect::Opaque),
    (0x0000_aa00, "USERFAULTFD_IOC_NEW", IoctlEffect::Refuse),
];

/// The numbers of [`IOCTLS`] alone, for the filter.
pub(super) const REQUESTS: [u32; IOCTLS.len()] = {
    let mut numbers = [0; IOCTLS.len()];
    let mut i = 0;
    while i < numbers.len() {
        numbers[i] = IOCTLS[i].0;
        i += 1;
    }
    numbers
};

/// What one ioctl request does; none for those that pass.
pub fn ioctl_effect(request: u32) -> Option<IoctlEffect> {
    IOCTLS.iter().find(|(number, ..)| *number == request).map(|(.., effect)| *effect)
}
