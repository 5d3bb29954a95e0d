//! Opens whose end is foreseen, so that the second stop, the largest cost, is left out.
//!
//! A single-threaded process opens a regular file for reading, which it may, under a name that is
//! no link, on a way that is watched. Then the kernel will open what our look has seen, unless
//! somebody changes the name in the microseconds between. That does not go unnoticed:
//!
//! - a directory on the way that is moved or removed tells the watch, and the look is repeated;
//! - a link that this tree puts in the place of the file stops at its entry, see `distrust`;
//! - the file itself can't be replaced or moved, not even for a moment, without leaving another
//!   inode or another ctime: the stamp of our look is compared at the end of the trace (I001).
//!   Files that this tree has written carry no stamp, so they are not trusted.

use super::*;
use crate::table::Decoder;
use std::os::fd::AsRawFd;

/// Flags that don't change what an open for reading finds.
const HARMLESS: i32 =
    libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_NOFOLLOW | O_LARGEFILE;
/// The kernel's own value, which programs of 32 bits pass; the C library's is 0 on 64 bits.
const O_LARGEFILE: i32 = 0o100_000;
/// Where files are not what they are called, or answer as they like.
const STRANGE: &[&[u8]] = &[b"/proc/", b"/sys/", b"/dev/"];

impl Tracer<'_, '_> {
    /// Whether the end of an open is certain.
    pub(super) fn may_trust(&mut self, tid: i32, decoder: Decoder, p: &Pending) -> bool {
        let look = &p.looks[0];
        matches!(decoder, Decoder::Open { .. })
            && p.flags as i32 & !HARMLESS == 0
            && look.direct
            && look.object() == libc::S_IFREG
            && !STRANGE.iter().any(|place| look.path.starts_with(place))
            && !self.log.own(&look.path)
            && !self.doubtful(tid, p.abi)
            && std::ffi::CString::new(look.path.as_slice())
                .is_ok_and(|path| files::accessible(&path, libc::R_OK))
            && self.has_free_descriptor(tid)
            && !self.moved()
    }

    /// Records the open of `p` as done.
    pub(super) fn trust(&mut self, tid: i32, p: &Pending) {
        let look = &p.looks[0];
        let Some(stat) = look.stat() else { return };
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let tgid = task.tgid;
        let trusted = task.trusted.get_or_insert_default();
        trusted.0.clone_from(&look.path);
        (trusted.1, trusted.2) = (stat.st_dev, stat.st_ino);
        self.trusting.insert(tid);
        self.emit_hops(tgid, p.call(), &look.hops);
        let fact = Fact {
            kind: Kind::Read,
            op: Op::Open,
            path: &look.path,
            requested: &look.requested,
            other: &[],
            errno: 0,
            flags: p.flags as u32,
            object: libc::S_IFREG,
        };
        self.read_opened(tid, p.call(), &fact, false, -1, stat);
    }

    /// A thread has stopped again or ended: the open that was foreseen has happened. If anything
    /// on a watched way was moved meanwhile, all such opens are looked at once more.
    pub(super) fn settle_trust(&mut self, tid: i32) {
        if !self.trusting.contains(&tid) {
            return;
        }
        self.moved();
        self.trusting.remove(&tid);
    }

    /// Somebody has moved something: what was foreseen must still be so.
    pub(super) fn review_trust(&mut self) {
        for tid in std::mem::take(&mut self.trusting) {
            let Some(trusted) = self.tasks.get(&tid).and_then(|task| task.trusted.as_ref()) else {
                continue;
            };
            let (path, dev, ino) = trusted;
            let same = std::ffi::CString::new(path.as_slice())
                .map_err(io::Error::from)
                .and_then(|path| files::open_path(files::CWD, &path, true))
                .and_then(|file| files::stat(file.as_raw_fd(), c"", false))
                .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (*dev, *ino));
            if !same {
                self.contested(tid);
            }
        }
    }

    /// A call begins that may put a link where a file is being opened.
    pub(super) fn distrust(&mut self, p: &Pending) {
        if self.trusting.is_empty() {
            return;
        }
        let hit: Vec<i32> = self
            .trusting
            .iter()
            .copied()
            .filter(|tid| {
                let trusted = self.tasks.get(tid).and_then(|task| task.trusted.as_ref());
                trusted.is_some_and(|t| p.looks.iter().any(|look| look.path == t.0))
            })
            .collect();
        let link = p.row.name.starts_with("symlink")
            || p.looks.iter().any(|look| look.object() == libc::S_IFLNK);
        if link {
            for tid in hit {
                self.contested(tid);
            }
        }
    }

    fn contested(&mut self, tid: i32) {
        let id = self.process_of(tid);
        self.log.incomplete(id, ReasonCode::PathChanged, || {
            "a file was replaced or moved while it was opened".into()
        });
    }
}
