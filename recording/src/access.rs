//! One fact about one path.

use crate::{PathId, ProcessId};
use serde::{Deserialize, Serialize};

/// What an access means to a judge. The stable, small vocabulary of the JSON's `kind`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// The content of a file was open for reading.
    Read,
    /// The content, the existence or the metadata of a file was changed.
    Write,
    /// A name was removed: unlink, rmdir, or the old name of a rename.
    Delete,
    /// Only existence or metadata was asked for; `errno` tells whether the name was there.
    Probe,
    /// The file was executed, or loaded by the kernel in order to execute another.
    Exec,
    /// The names in a directory were read.
    List,
    /// The text of a symbolic link was read, by readlink or on the way to another file.
    Link,
}

/// How exactly the access was made: finer than [`Kind`], for explanations and for the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Op {
    /// Opened; what for is the kind.
    Open,
    /// Opened or made with a name that did not exist before.
    Create,
    /// Emptied or cut (`O_TRUNC` on an existing file, truncate, ftruncate, fallocate).
    Truncate,
    /// Opened for reading and writing, and found changed afterwards.
    Change,
    /// Mapped shared and writable.
    Map,
    /// stat and its family, statfs, getxattr, chdir, open with `O_PATH`, a failed open.
    Stat,
    /// access, faccessat.
    Check,
    /// readlink called by the program (also on what is no link: then the kind is probe).
    Readlink,
    /// A symbolic link met on the way to another file.
    Hop,
    /// A directory opened for reading, or getdents on an inherited one.
    Enumerate,
    /// execve, execveat.
    Exec,
    /// A `#!` or binfmt_misc interpreter, loaded by the kernel.
    Shebang,
    /// An ELF program interpreter (the dynamic loader), loaded by the kernel.
    Loader,
    /// mkdir.
    Mkdir,
    /// rmdir.
    Rmdir,
    /// unlink.
    Unlink,
    /// rename: kind delete for the old name, kind write for the new one.
    Rename,
    /// link: kind read for the old name, kind write for the new one.
    Hardlink,
    /// symlink: the link itself is written, nothing is followed.
    Symlink,
    /// mknod, or a unix socket bound to a name.
    Mknod,
    /// chmod, chown, utimes, setxattr, removexattr, ioctl that sets file attributes.
    Metadata,
    /// Held open when the trace began.
    Inherited,
    /// Came from another process as a descriptor (SCM_RIGHTS, pidfd_getfd).
    Received,
    /// Opened by file handle (open_by_handle_at).
    Handle,
    /// Loaded as a library by uselib, or a core file written by the kernel, and the like.
    Kernel,
}

/// What identifies one state of one file. Times are nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stamp {
    /// Device number, as `st_dev`.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of last change of content.
    pub mtime: i64,
    /// Time of last change of the inode.
    pub ctime: i64,
}

/// One fact about one path, counted: the same process did the same with the same outcome
/// `count` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who did it.
    pub process: ProcessId,
    /// The canonical name: absolute, without links, as the host's root sees it. For an absent
    /// probe: the first name on the way that was missing.
    pub path: PathId,
    /// The absolute name as the process asked for it, in its own view (its root, its cwd), when
    /// that differs from `path`.
    pub requested: PathId,
    /// A second name: the text of a link, the other end of a rename or hard link.
    pub other: PathId,
    /// What it means.
    pub kind: Kind,
    /// How it was done.
    pub op: Op,
    /// 0 when it succeeded, else the errno.
    pub errno: u16,
    /// Index into [`crate::Recording::syscalls`]; 0 means the kernel did it on its own.
    pub syscall: u16,
    /// The flags of the call (`O_*` of open, `AT_*` of the others).
    pub flags: u32,
    /// File type bits of the object, as in `st_mode & S_IFMT`; 0 when absent or not known.
    pub object: u32,
    /// How many times.
    pub count: u32,
    /// Sequence number, within the recording, of the first time. Link hops carry that of the
    /// access they led to.
    pub first: u64,
    /// Sequence number of the last time.
    pub last: u64,
}

impl Access {
    /// Whether the name was there. `ENOENT`, `ENOTDIR` and `ENAMETOOLONG` say no; `ELOOP` does
    /// not, since open gives it for a link that is there and was not to be followed.
    pub fn exists(&self) -> bool {
        // ENOENT 2, ENOTDIR 20, ENAMETOOLONG 36. ENOTDIR is also said of a file that is there
        // and is no directory: then its type is known.
        self.object != 0 || !matches!(self.errno, 2 | 20 | 36)
    }
}
