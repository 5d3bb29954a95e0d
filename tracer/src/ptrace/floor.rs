//! What the tracer tells the guard in the kernel, and what it hears from it.

use super::*;
use crate::kernel::guard::{Hint, Refused};

impl Tracer<'_, '_> {
    /// The guard answers where the tracer runs: both are woken by the same processes.
    pub(super) fn place_floor(&self) {
        if let Some(floor) = &self.floor {
            floor.place();
        }
    }

    /// A call is about to open these files, for these purposes.
    pub(super) fn floor_expect<'l>(&self, tid: i32, looks: impl Iterator<Item = (&'l Look, Kind)>) {
        let Some(floor) = &self.floor else { return };
        let hints = looks.filter(|(look, _)| !look.path.is_empty()).map(|(look, kind)| {
            if matches!(look.object(), libc::S_IFIFO | libc::S_IFCHR | libc::S_IFBLK) {
                // Where it can't be, the other end of a FIFO may notice the question.
                let _ = floor.ignore(&look.path);
            }
            Hint {
                path: look.path.clone(),
                requested: look.requested.clone(),
                kind,
                exists: look.stat().is_some(),
                own: self.log.own(&look.path),
            }
        });
        floor.expect(self.tgid(tid), tid, hints);
    }

    /// A thread or process is born; it has not run yet.
    pub(super) fn floor_birth(&mut self, child: i32, thread: bool, flags: i32) {
        let Some(floor) = &mut self.floor else { return };
        if !thread {
            floor.born(child);
        }
        if flags & libc::CLONE_NEWNS != 0
            && let Err(error) = floor.adopt(child)
        {
            self.unguarded(child, &error);
        }
    }

    /// A call about namespaces or mounts has succeeded; its process is stopped.
    pub(super) fn floor_change(&mut self, tid: i32, p: &Pending, rval: i64) {
        let Some(floor) = &mut self.floor else { return };
        let flags = p.args[0] as i32;
        let done = match p.row.name.rsplit('/').next() {
            Some("unshare") if flags & libc::CLONE_NEWNS != 0 => floor.adopt(tid),
            Some("unshare" | "fspick" | "fsopen" | "mount_setattr") => Ok(()),
            Some("setns") if floor.covers(tid) => Ok(()),
            Some("setns") => Err(io::Error::other("it is in a mount namespace of others")),
            Some("open_tree" | "fsmount") => floor.descriptor(tid, rval as i32),
            _ => floor.renew(tid),
        };
        if let Err(error) = done {
            self.unguarded(tid, &error);
        }
    }

    fn unguarded(&mut self, tid: i32, error: &io::Error) {
        let id = self.process_of(tid);
        self.log.incomplete(id, ReasonCode::Other, || {
            format!("a mount is not guarded in the kernel: {}", why(error))
        });
    }

    /// Records what was denied in the kernel since the last time. To be called before a process
    /// that may have been denied something is forgotten.
    pub(super) fn floor_news(&mut self) {
        let Some((refused, trouble)) = self.floor.as_ref().and_then(Floor::news) else { return };
        for what in trouble {
            self.log.incomplete(None, ReasonCode::Other, || what);
        }
        for Refused { pid, path, requested, kind, object, kill } in refused {
            let errno = libc::EPERM as u16;
            let fact = Fact {
                kind,
                op: if kind == Kind::Exec { Op::Exec } else { Op::Open },
                path: &path,
                requested: &requested,
                other: &[],
                errno,
                flags: 0,
                object,
            };
            self.log.begin();
            self.emit(pid, Call::KERNEL, &fact);
            if let Some(id) = self.procs.get(&pid).map(|proc| proc.id) {
                self.log.note(id, HostKind::Enforced, &path, errno);
            }
            if kill && !self.killed {
                self.kill_all();
            }
            self.denied = path;
        }
    }

    /// Why the command itself could not be executed, if it was not allowed to be.
    pub(super) fn floor_failure(&self, failure: spawn::Failure) -> spawn::Failure {
        match failure {
            spawn::Failure::Exec(error)
                if error.raw_os_error() == Some(libc::EPERM) && !self.denied.is_empty() =>
            {
                let path = String::from_utf8_lossy(&self.denied);
                let what = format!("the guard denied {path}, which is not declared");
                spawn::Failure::Exec(io::Error::other(what))
            }
            failure => failure,
        }
    }
}
