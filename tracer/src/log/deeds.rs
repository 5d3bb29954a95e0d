//! What was recorded of each path, in the few words that the kernel's own view is held against.
//! Kept only where a witness runs.

use super::Fact;
use airtight_recording::{Access, Kind, Op};
use std::ops::{BitOr, BitOrAssign};

/// What the tree has done to one path, as far as the tracer has recorded it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deeds(u16);

impl Deeds {
    /// Nothing.
    pub(crate) const NONE: Deeds = Deeds(0);
    /// Opened for reading, or come by as a descriptor for it.
    pub(crate) const READ: Deeds = Deeds(1);
    /// Opened for writing, made by an open, or changed through a descriptor or a mapping.
    pub(crate) const WRITE: Deeds = Deeds(1 << 1);
    /// Opened for reading and writing both, which is a write only where the file has changed.
    pub(crate) const BOTH: Deeds = Deeds(1 << 2);
    /// Executed or loaded by an exec, or opened by one that failed.
    pub(crate) const EXEC: Deeds = Deeds(1 << 3);
    /// A directory opened for reading.
    pub(crate) const LIST: Deeds = Deeds(1 << 4);
    /// Made under this name without an open: mkdir, mknod, symlink, link.
    pub(crate) const MAKE: Deeds = Deeds(1 << 5);
    /// The new name of a rename.
    pub(crate) const ARRIVE: Deeds = Deeds(1 << 6);
    /// The old name of a rename.
    pub(crate) const LEAVE: Deeds = Deeds(1 << 7);
    /// Removed: unlink, rmdir.
    pub(crate) const DELETE: Deeds = Deeds(1 << 8);
    /// Metadata changed.
    pub(crate) const METADATA: Deeds = Deeds(1 << 9);
    /// A directory in which a file without a name was made (`O_TMPFILE`).
    pub(crate) const NAMELESS: Deeds = Deeds(1 << 10);

    /// Any of them.
    pub(crate) const ANY: Deeds = Deeds(u16::MAX);

    /// Every deed, with what the documents call it.
    #[cfg(test)]
    pub(crate) const WORDS: [(Deeds, &'static str); 11] = [
        (Deeds::READ, "read"),
        (Deeds::WRITE, "write"),
        (Deeds::BOTH, "open for reading and writing"),
        (Deeds::EXEC, "exec"),
        (Deeds::LIST, "list"),
        (Deeds::MAKE, "make"),
        (Deeds::ARRIVE, "rename to it"),
        (Deeds::LEAVE, "rename from it"),
        (Deeds::DELETE, "delete"),
        (Deeds::METADATA, "metadata write"),
        (Deeds::NAMELESS, "open with `O_TMPFILE` in it"),
    ];

    /// Both.
    pub(crate) const fn and(self, other: Deeds) -> Deeds {
        Deeds(self.0 | other.0)
    }

    /// Whether they have one in common.
    pub(crate) const fn meets(self, other: Deeds) -> bool {
        self.0 & other.0 != 0
    }

    fn of(kind: Kind, op: Op, errno: u16, flags: u32) -> Deeds {
        let access = flags as i32 & libc::O_ACCMODE;
        match (kind, op) {
            // What a failed exec has loaded is recorded with its errno.
            (Kind::Exec, _) | (Kind::Probe, Op::Exec) => Deeds::EXEC,
            _ if errno != 0 => Deeds::NONE,
            (Kind::Read, Op::Hardlink) => Deeds::NONE,
            (Kind::Read, _) if access == libc::O_RDWR => Deeds::READ | Deeds::BOTH,
            (Kind::Read, _) => Deeds::READ,
            (Kind::List, _) => Deeds::LIST,
            (Kind::Delete, Op::Rename) => Deeds::LEAVE,
            (Kind::Delete, _) => Deeds::DELETE,
            (Kind::Write, Op::Metadata) => Deeds::METADATA,
            (Kind::Write, Op::Mkdir | Op::Mknod | Op::Symlink | Op::Hardlink) => Deeds::MAKE,
            // Each name of an exchange is an old and a new one.
            (Kind::Write, Op::Rename) if flags & libc::RENAME_EXCHANGE != 0 => {
                Deeds::ARRIVE | Deeds::LEAVE
            }
            (Kind::Write, Op::Rename) => Deeds::ARRIVE,
            (Kind::Write, _) => Deeds::WRITE,
            (Kind::Probe, Op::Open) if flags as i32 & libc::O_TMPFILE == libc::O_TMPFILE => {
                Deeds::NAMELESS
            }
            _ => Deeds::NONE,
        }
    }
}

impl From<&Fact<'_>> for Deeds {
    fn from(fact: &Fact<'_>) -> Deeds {
        Deeds::of(fact.kind, fact.op, fact.errno, fact.flags)
    }
}

impl From<&Access> for Deeds {
    fn from(access: &Access) -> Deeds {
        Deeds::of(access.kind, access.op, access.errno, access.flags)
    }
}

impl BitOr for Deeds {
    type Output = Deeds;

    fn bitor(self, other: Deeds) -> Deeds {
        self.and(other)
    }
}

impl BitOrAssign for Deeds {
    fn bitor_assign(&mut self, other: Deeds) {
        *self = self.and(other);
    }
}
