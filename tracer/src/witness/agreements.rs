//! Which recorded facts account for which events of the kernel: the asymmetries between the two
//! views, as data. `docs/witness.md` is made from it.

use crate::kernel::view::Act;
use crate::log::Deeds;

/// What must have been recorded of a name of which the kernel saw something.
#[cfg_attr(not(test), expect(dead_code, reason = "docs/witness.md is made from all of it"))]
pub(crate) struct Agreement {
    /// What the kernel saw.
    pub(crate) act: Act,
    /// Whether this is about directories, or files, or both alike.
    pub(crate) dir: Option<bool>,
    /// The same in the words of fanotify(7).
    pub(crate) event: &'static str,
    /// The same in a message, after the name.
    pub(crate) verb: &'static str,
    /// One of these accounts for it.
    pub(crate) by: Deeds,
    /// Why each of them does.
    pub(crate) why: &'static str,
}

/// One for each act; where files and directories differ, one for either.
pub(crate) const AGREEMENTS: [Agreement; 11] = [
    Agreement {
        act: Act::Open,
        dir: Some(false),
        event: "`FAN_OPEN`",
        verb: "opened",
        by: Deeds::READ.and(Deeds::WRITE).and(Deeds::EXEC),
        why: "an open is for reading, writing or executing; one with `O_PATH` gives no event",
    },
    Agreement {
        act: Act::Open,
        dir: Some(true),
        event: "`FAN_OPEN` of a directory",
        verb: "listed",
        by: Deeds::LIST,
        why: "a directory is opened for its names",
    },
    Agreement {
        act: Act::List,
        dir: Some(true),
        event: "`FAN_ACCESS` of a directory",
        verb: "listed",
        by: Deeds::LIST,
        why: "its names were read, through whatever descriptor",
    },
    Agreement {
        act: Act::Exec,
        dir: None,
        event: "`FAN_OPEN_EXEC`",
        verb: "executed",
        by: Deeds::EXEC,
        why: "programs, `#!` and binfmt_misc interpreters and ELF loaders; of an exec that failed \
              too, for the kernel has opened the file",
    },
    Agreement {
        act: Act::Modify,
        dir: None,
        event: "`FAN_MODIFY`",
        verb: "written",
        by: Deeds::WRITE.and(Deeds::METADATA).and(Deeds::ARRIVE),
        why: "setting the time of last change alone gives this event; and what is written through \
              a descriptor after a rename has the new name",
    },
    Agreement {
        act: Act::CloseWrite,
        dir: None,
        event: "`FAN_CLOSE_WRITE`",
        verb: "open for writing",
        by: Deeds::WRITE.and(Deeds::BOTH).and(Deeds::ARRIVE),
        why: "it tells that the descriptor was for writing, not that anything was written; opened \
              for reading and writing, an unchanged file counts as read",
    },
    Agreement {
        act: Act::Attrib,
        dir: None,
        event: "`FAN_ATTRIB`",
        verb: "changed in its metadata",
        by: Deeds::METADATA
            .and(Deeds::WRITE)
            .and(Deeds::MAKE)
            .and(Deeds::DELETE)
            .and(Deeds::ARRIVE)
            .and(Deeds::LEAVE),
        why: "a write takes set-id bits away, and the number of links counts as metadata",
    },
    Agreement {
        act: Act::Create,
        dir: None,
        event: "`FAN_CREATE`",
        verb: "made",
        by: Deeds::MAKE.and(Deeds::WRITE),
        why: "by an open with `O_CREAT`, mkdir, mknod, symlink, link, or bind of a unix socket",
    },
    Agreement {
        act: Act::Delete,
        dir: None,
        event: "`FAN_DELETE`",
        verb: "deleted",
        by: Deeds::DELETE,
        why: "by unlink or rmdir",
    },
    Agreement {
        act: Act::MovedFrom,
        dir: None,
        event: "`FAN_RENAME`, old name",
        verb: "renamed to another name",
        by: Deeds::LEAVE,
        why: "the old name of a rename, or either name of an exchange",
    },
    Agreement {
        act: Act::MovedTo,
        dir: None,
        event: "`FAN_RENAME`, new name",
        verb: "made by renaming another file",
        by: Deeds::ARRIVE,
        why: "the new name of a rename, or either name of an exchange",
    },
];

/// What accounts for an act on a file or directory.
pub(crate) fn agreement(act: Act, dir: bool) -> Option<&'static Agreement> {
    AGREEMENTS.iter().find(|a| a.act == act && a.dir.is_none_or(|only| only == dir))
}

/// Events that no single fact accounts for, and why they are no disagreement.
#[cfg(test)]
pub(crate) const EXCEPTIONS: [(&str, &str); 7] = [
    (
        "`FAN_ATTRIB` without a name",
        "the number of links of a file has changed; each of its names has an event of its own",
    ),
    (
        "a name `#N` in a directory",
        "the kernel's own name for a file that was made there with `O_TMPFILE`: accounted for by \
         that open, which is recorded of the directory",
    ),
    (
        "anything in a layer of an overlay",
        "overlayfs opens, makes and renames files there by itself: accounted for by whatever was \
         recorded of the name in the overlay. What it notes on directories there, and the \
         directory `workdir`, are its own",
    ),
    (
        "an event that was told late",
        "where a file may have been renamed between the event and its being read, anything that \
         was recorded of one of its names accounts for it",
    ),
    (
        "file systems that the kernel makes up",
        "proc, sysfs, devpts, cgroup and the like are not watched: they hold no files of a build",
    ),
    (
        "file systems that only the tree sees",
        "what it has mounted in memory, in a mount namespace of its own, holds what it has put \
         there itself and goes with it; of any other kind, the tracer says that it can't name the \
         files",
    ),
    ("what Airtight does itself", "it is no part of the process tree"),
];

#[cfg(test)]
mod page;
