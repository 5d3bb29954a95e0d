//! What calls that change files have changed, once they have succeeded.

use super::*;
use crate::table::{Decoder, Verdict};

impl Tracer<'_, '_> {
    /// A call that changes files has succeeded.
    pub(super) fn changed(&mut self, tid: i32, decoder: Decoder, p: &mut Pending) {
        let tgid = self.tgid(tid);
        let name = p.call();
        let [first, second] = &p.looks;
        if first.path.is_empty() && second.path.is_empty() {
            return;
        }
        let put = |tracer: &mut Self, kind, op, look: &Look, other: &[u8], object: u32| {
            if look.path.is_empty() {
                return;
            }
            tracer.emit_hops(tgid, name, &look.hops);
            let fact = Fact {
                kind,
                op,
                path: &look.path,
                requested: &look.requested,
                other,
                errno: 0,
                flags: 0,
                object,
            };
            tracer.emit(tgid, name, &fact);
        };
        match decoder {
            Decoder::Mkdir { .. } => {
                put(self, Kind::Write, Op::Mkdir, first, &[], libc::S_IFDIR);
            }
            Decoder::Mknod { mode, .. } => {
                let object = match p.args[usize::from(mode)] as u32 & libc::S_IFMT {
                    0 => libc::S_IFREG,
                    object => object,
                };
                put(self, Kind::Write, Op::Mknod, first, &[], object);
            }
            Decoder::Symlink { .. } => {
                put(self, Kind::Write, Op::Symlink, first, &second.text, libc::S_IFLNK);
                self.generation += 1;
            }
            Decoder::Rmdir { .. } => {
                put(self, Kind::Delete, Op::Rmdir, first, &[], libc::S_IFDIR);
            }
            Decoder::Unlink { .. } => {
                let object = first.object();
                let op = if object == libc::S_IFDIR { Op::Rmdir } else { Op::Unlink };
                put(self, Kind::Delete, op, first, &[], object);
            }
            Decoder::Rename { flags, .. } => {
                let flags = flags.map_or(0, |i| p.args[usize::from(i)] as u32);
                self.renamed(tgid, p, flags);
            }
            // A file made with O_TMPFILE has had no name until now.
            Decoder::Link { .. } if first.stat().is_none_or(|stat| stat.st_nlink == 0) => {
                put(self, Kind::Write, Op::Hardlink, second, &[], libc::S_IFREG);
            }
            Decoder::Link { .. } => {
                let object = first.object();
                put(self, Kind::Read, Op::Hardlink, first, &second.path, object);
                put(self, Kind::Write, Op::Hardlink, second, &first.path, object);
            }
            Decoder::Truncate { .. } | Decoder::FdTruncate { .. } => {
                put(self, Kind::Write, Op::Truncate, first, &[], first.object());
            }
            Decoder::Metadata { .. } | Decoder::FdMetadata { .. } | Decoder::Ioctl { .. } => {
                put(self, Kind::Write, Op::Metadata, first, &[], first.object());
            }
            // Of a device the pages are its own affair.
            Decoder::MapShared { .. } | Decoder::MapStruct { .. }
                if first.object() == libc::S_IFREG =>
            {
                put(self, Kind::Write, Op::Map, first, &[], libc::S_IFREG);
            }
            _ => {}
        }
    }

    fn renamed(&mut self, tgid: i32, p: &Pending, flags: u32) {
        let name = p.call();
        let [from, to] = &p.looks;
        let inode = |look: &Look| look.stat().map(|s| (s.st_dev, s.st_ino));
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        if !exchange && inode(from).is_some() && inode(from) == inode(to) {
            // Two names of one file: rename(2) does nothing and succeeds.
            self.emit_probe(tgid, name, from, Op::Stat, 0, 0);
            self.emit_probe(tgid, name, to, Op::Stat, 0, 0);
            return;
        }
        let mut put = |kind, look: &Look, other: &Look, object: u32| {
            self.emit_hops(tgid, name, &look.hops);
            let fact = Fact {
                kind,
                op: Op::Rename,
                path: &look.path,
                requested: &look.requested,
                other: &other.path,
                errno: 0,
                flags,
                object,
            };
            self.emit(tgid, name, &fact);
        };
        let object = from.object();
        put(if exchange { Kind::Write } else { Kind::Delete }, from, to, object);
        put(Kind::Write, to, from, object);
        if flags & libc::RENAME_WHITEOUT != 0 {
            put(Kind::Write, from, to, libc::S_IFCHR);
        }
        if object == libc::S_IFDIR || (exchange && to.object() == libc::S_IFDIR) {
            self.generation += 1;
            if object == libc::S_IFDIR {
                self.renamed_below(tgid, name, &from.path, &to.path);
            }
            if exchange && to.object() == libc::S_IFDIR {
                self.renamed_below(tgid, name, &to.path, &from.path);
            }
        }
    }

    /// Renaming a directory renames everything under it.
    fn renamed_below(&mut self, tgid: i32, call: Call, from: &[u8], to: &[u8]) {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        const MOST: usize = 1_000_000;
        let mut seen = 0;
        let mut stack: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(below) = stack.pop() {
            let dir = [to, &below].concat();
            let entries = match std::fs::read_dir(std::ffi::OsStr::from_bytes(&dir)) {
                Ok(entries) => entries,
                Err(error) => {
                    self.log.incomplete(None, ReasonCode::PathUnreadable, || {
                        let dir = String::from_utf8_lossy(&dir);
                        format!("what was renamed under {dir} can't be listed: {}", why(&error))
                    });
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = [&below, &b"/"[..], &entry.file_name().into_vec()].concat();
                let object = match entry.file_type() {
                    Ok(t) if t.is_dir() => libc::S_IFDIR,
                    Ok(t) if t.is_symlink() => libc::S_IFLNK,
                    _ => libc::S_IFREG,
                };
                let (old, new) = ([from, &path].concat(), [to, &path].concat());
                self.log.begin();
                for (kind, path, other) in [(Kind::Delete, &old, &new), (Kind::Write, &new, &old)] {
                    let fact = Fact {
                        kind,
                        op: Op::Rename,
                        path,
                        requested: &[],
                        other,
                        errno: 0,
                        flags: 0,
                        object,
                    };
                    self.emit(tgid, call, &fact);
                }
                seen += 1;
                if object == libc::S_IFDIR {
                    stack.push(path);
                }
                if seen > MOST {
                    self.log.incomplete(None, ReasonCode::Other, || {
                        "a directory of more than a million files was renamed".into()
                    });
                    return;
                }
            }
        }
    }

    /// unshare, setns, mount and the like succeeded.
    pub(super) fn namespace_changed(&mut self, tid: i32, p: &Pending, rval: i64) {
        let flags = p.args[0] as i32;
        self.floor_change(tid, p, rval);
        match p.row.name.rsplit('/').next() {
            Some("unshare") => {
                if flags & (libc::CLONE_FS | libc::CLONE_NEWNS) != 0 {
                    let copy = self.tasks[&tid].fs.borrow().clone();
                    if let Some(task) = self.tasks.get_mut(&tid) {
                        task.fs = Rc::new(RefCell::new(copy));
                    }
                }
                if flags & libc::CLONE_NEWUSER != 0 {
                    self.doubt(tid);
                }
            }
            Some("setns") => {
                self.doubt(tid);
                let mut fs = self.tasks[&tid].fs.borrow_mut();
                fs.foreign = true;
                fs.cwd = None;
                drop(fs);
                self.meet_mounts(tid);
                if !self.is_at_home(tid) {
                    let id = self.process_of(tid);
                    self.log.incomplete(id, ReasonCode::PathUnreadable, || {
                        "it entered a mount namespace of others, where file systems in memory have \
                         files that it did not make"
                            .into()
                    });
                }
            }
            _ => {
                self.remounted = true;
                self.generation += 1;
                self.looker.mounts.meet(tid);
                self.meet_mounts(tid);
            }
        }
    }

    /// Whether a thread is in a mount namespace of our own, or of another process of the tree.
    fn is_at_home(&self, tid: i32) -> bool {
        let namespace = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/mnt")).ok();
        let here = namespace(&tid.to_string());
        let others = self.tasks.keys().filter(|other| **other != tid);
        here.is_some()
            && (here == namespace("self")
                || others.into_iter().any(|other| namespace(&other.to_string()) == here))
    }

    /// Has the witness watch what a stopped thread sees of mounts.
    fn meet_mounts(&self, tid: i32) {
        if let Some(witness) = &self.witness {
            witness.remounted(tid);
        }
    }

    /// A process was killed inside a call: what the call may have done is counted as done.
    pub(super) fn on_interrupted(&mut self, task: &Task, mut p: Box<Pending>) {
        if std::mem::take(&mut p.unsettles) {
            self.looker.settle();
        }
        let Verdict::Trace(decoder, _) = p.row.verdict else { return };
        // A successful exec also ends here when another thread made it.
        if matches!(
            decoder,
            Decoder::Exec { .. } | Decoder::Probe { .. } | Decoder::Readlink { .. }
        ) {
            return;
        }
        self.tasks.insert(task.tid, Task::new(task.tid, task.tgid, Rc::clone(&task.fs)));
        match decoder {
            Decoder::Open { .. } | Decoder::Creat { .. } | Decoder::OpenHow { .. } => {
                self.open_interrupted(task.tgid, &mut p);
            }
            _ => self.changed(task.tid, decoder, &mut p),
        }
        self.tasks.remove(&task.tid);
    }
}
