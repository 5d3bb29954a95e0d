//! Stops at calls: which row of the table they are, and what their end tells.

use super::*;
use crate::table::{At, Decoder, IoctlEffect, Only, Verdict, When, ioctl_effect};

/// Stands for a number that the table does not have.
static UNKNOWN: Row = Row {
    name: "unknown",
    x86_64: None,
    i386: None,
    aarch64: None,
    x32: None,
    verdict: Verdict::Pass,
    only: Only::Always,
    why: "not known",
};

/// The names among the arguments, so that they can be read again.
pub(super) fn names(decoder: Decoder) -> Option<(At, Option<At>)> {
    Some(match decoder {
        Decoder::Open { at, .. }
        | Decoder::Creat { at }
        | Decoder::OpenHow { at, .. }
        | Decoder::Probe { at, .. }
        | Decoder::Readlink { at }
        | Decoder::Mkdir { at }
        | Decoder::Rmdir { at }
        | Decoder::Unlink { at, .. }
        | Decoder::Symlink { at, .. }
        | Decoder::Mknod { at, .. }
        | Decoder::Truncate { at }
        | Decoder::Metadata { at, .. }
        | Decoder::Chdir { at }
        | Decoder::Chroot { at } => (at, None),
        Decoder::Rename { from, to, .. } | Decoder::Link { from, to, .. } => (from, Some(to)),
        _ => return None,
    })
}

/// An errno that says the call never looked at its names.
pub(super) fn says_nothing(errno: i32) -> bool {
    matches!(errno, libc::EFAULT | libc::ENOSYS | libc::EINTR | libc::ENOMEM | libc::EMFILE
        | libc::ENFILE | libc::EBADF)
        // ERESTARTSYS and its kin: the call is made again.
        || (512..=516).contains(&errno)
}

impl Tracer<'_, '_> {
    /// A stop by a filter: ours, or one of the program's own.
    pub(super) fn on_seccomp(&mut self, tid: i32) -> io::Result<()> {
        self.places.stopped(tid);
        let stop = ptrace::syscall_info(tid)?;
        if self.tasks[&tid].strict {
            return self.on_strict(tid, stop.nr);
        }
        if stop.data != u32::from(MARK) {
            // RET_TRACE of a filter that the program installed: with no tracer of its own the
            // kernel answers ENOSYS (seccomp(2)).
            regs::skip_call(tid, -i64::from(libc::ENOSYS))?;
            return self.go(tid, 0);
        }
        match self.on_entry(tid, &stop)? {
            Next::Run => self.go(tid, 0),
            Next::ToExit => ptrace::resume_to_syscall(tid, 0),
        }
    }

    /// SECCOMP_MODE_STRICT, emulated: it can't be entered under a filter.
    fn on_strict(&mut self, tid: i32, nr: u64) -> io::Result<()> {
        // read, write, exit, rt_sigreturn (seccomp(2)); the numbers of x86-64 and i386.
        let (_, _, i386) = regs::call_in_progress(tid)?;
        let allowed = row_of(nr, i386).is_some_and(|row| {
            matches!(row.name, "read" | "write" | "exit" | "rt_sigreturn" | "sigreturn")
        });
        if !allowed {
            let tgid = self.tasks[&tid].tgid;
            process::kill(tgid, libc::SIGKILL);
        }
        ptrace::resume_to_syscall(tid, 0)
    }

    /// An entry or exit stop of PTRACE_SYSCALL.
    pub(super) fn on_syscall_stop(&mut self, tid: i32) -> io::Result<()> {
        let stop = ptrace::syscall_info(tid)?;
        if stop.op == ptrace::STOP_ENTRY && self.tasks[&tid].strict {
            return self.on_strict(tid, stop.nr);
        }
        if stop.op == ptrace::STOP_EXIT {
            let task = self.tasks.get_mut(&tid).and_then(|task| task.pending.take());
            if let Some(mut pending) = task {
                self.on_exit(tid, &mut pending, stop.rval)?;
                self.spare.push(pending);
            }
        }
        self.go(tid, 0)
    }

    /// Whether no look of ours can stand for the kernel's answer to this thread.
    pub(super) fn doubtful(&self, tid: i32, abi: Abi) -> bool {
        // Most kernels have no x32: the calls are there, and fail with ENOSYS.
        if abi == Abi::X32 {
            return true;
        }
        let task = &self.tasks[&tid];
        let shared = self.procs.get(&task.tgid).is_none_or(|p| p.doubtful || p.threads > 1);
        shared || self.remounted || task.fs.borrow().foreign
    }

    pub(super) fn tgid(&self, tid: i32) -> i32 {
        self.tasks[&tid].tgid
    }

    /// A call begins.
    fn on_entry(&mut self, tid: i32, stop: &SyscallStop) -> io::Result<Next> {
        let Some(abi) = Abi::of(stop.arch, stop.nr as u32) else {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::UnknownAbi, || {
                format!("a call of the unknown architecture {:#x}", stop.arch)
            });
            return Ok(Next::Run);
        };
        let Some(row) = table::lookup(abi, stop.nr as u32) else {
            let mut pending = self.spare(&UNKNOWN, abi, stop.args);
            pending.flags = stop.nr;
            return self.hold(tid, pending);
        };
        let Verdict::Trace(decoder, when) = row.verdict else {
            return Ok(Next::Run);
        };
        let mut pending = self.spare(row, abi, stop.args);
        let next = self.decode(tid, decoder, &mut pending)?;
        let next = if when == When::Entry
            && matches!(next, Some(Next::ToExit))
            && !self.doubtful(tid, abi)
        {
            // One look has told what the exit would tell.
            self.on_exit(tid, &mut pending, 0)?;
            None
        } else {
            next
        };
        match next {
            Some(Next::ToExit) => self.hold(tid, pending),
            _ => {
                self.spare.push(pending);
                Ok(Next::Run)
            }
        }
    }

    /// Keeps a call until its exit.
    fn hold(&mut self, tid: i32, mut pending: Box<Pending>) -> io::Result<Next> {
        if let Verdict::Trace(decoder, _) = pending.row.verdict {
            let link = pending.looks[0].object() == libc::S_IFLNK;
            pending.unsettles = match decoder {
                Decoder::Rename { .. }
                | Decoder::Mkdir { .. }
                | Decoder::Rmdir { .. }
                | Decoder::Symlink { .. }
                | Decoder::Link { .. }
                | Decoder::Namespace => true,
                // Who may pass through a directory decides too.
                Decoder::Metadata { .. } => pending.looks[0].object() == libc::S_IFDIR,
                Decoder::Unlink { flags, .. } => {
                    let flags = flags.map_or(0, |i| pending.args[usize::from(i)] as i32);
                    link || flags & libc::AT_REMOVEDIR != 0
                }
                _ => false,
            };
            if pending.unsettles {
                self.looker.unsettle();
                self.distrust(&pending);
            }
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.pending = Some(pending);
        }
        Ok(Next::ToExit)
    }

    /// Whether a name may have been changed under the call by another thread: it reads otherwise
    /// now, or what it means can't have led to this outcome. What it did is then not known.
    fn contradicted(&mut self, tid: i32, decoder: Decoder, p: &mut Pending, errno: i32) -> bool {
        let Some((first, second)) = names(decoder) else { return false };
        let mut contradicted = false;
        for (which, at) in [(0, Some(first)), (1, second)] {
            let Some(at) = at else { continue };
            if p.looks[which].text.is_empty() {
                continue;
            }
            let mut again = std::mem::take(&mut self.scratch);
            let known = self.read_name(tid, p.args[usize::from(at.path)], &mut again);
            contradicted |= known && again != p.looks[which].text;
            self.scratch = again;
        }
        // The first name of all but those that make it must have been there.
        let makes = matches!(
            decoder,
            Decoder::Mkdir { .. } | Decoder::Mknod { .. } | Decoder::Symlink { .. }
        );
        let removes = matches!(
            decoder,
            Decoder::Unlink { .. } | Decoder::Rmdir { .. } | Decoder::Rename { .. }
        );
        // A second name, that is made: its directory may be what was missing.
        let second_missing = second.is_some() && {
            let look = &p.looks[1];
            let last = look.text.rsplit(|b| *b == b'/').find(|part| !part.is_empty());
            look.stat().is_none() && !last.is_some_and(|last| look.path.ends_with(last))
        };
        let fits = |look: &Look| match errno {
            0 => makes || look.stat().is_some(),
            libc::ENOENT => makes || look.stat().is_none() || second_missing,
            libc::EEXIST => !makes || look.stat().is_some(),
            _ => true,
        };
        if !contradicted && !p.looks[0].text.is_empty() && !fits(&p.looks[0]) {
            // Files change too: a second look may explain it, but for a name that is gone.
            let moved = matches!(decoder, Decoder::Chdir { .. } | Decoder::Chroot { .. });
            contradicted = removes && errno == 0;
            if !contradicted && !moved {
                let follow = match decoder {
                    Decoder::Probe { follow, .. } | Decoder::Metadata { follow, .. } => {
                        follow.follows(&p.args)
                    }
                    Decoder::Truncate { .. } => true,
                    _ => false,
                };
                let base = p.base;
                self.look(tid, base, follow, &mut p.looks[0]);
                contradicted = !fits(&p.looks[0]);
            }
        }
        if contradicted {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::PathChanged, || {
                format!("a name changed while {} ran", p.row.name)
            });
        }
        contradicted
    }

    /// A call has ended with `rval` (negative errno). Also asked at entry, with 0, for the calls
    /// whose outcome one look tells: then the look says whether it failed.
    fn on_exit(&mut self, tid: i32, p: &mut Pending, rval: i64) -> io::Result<()> {
        if std::mem::take(&mut p.unsettles) {
            self.looker.settle();
        }
        let tgid = self.tgid(tid);
        let name = p.call();
        let errno = if (-4095..0).contains(&rval) { -rval as i32 } else { 0 };
        let ok = errno == 0;
        let Verdict::Trace(decoder, _) = p.row.verdict else {
            if errno != libc::ENOSYS {
                let id = self.process_of(tid);
                self.log.incomplete(id, ReasonCode::UnknownSyscall, || {
                    format!("call number {} of {} is not known", p.flags, p.abi.name())
                });
            }
            return Ok(());
        };
        if self.doubtful(tid, p.abi)
            && !matches!(
                decoder,
                Decoder::Open { .. } | Decoder::Creat { .. } | Decoder::OpenHow { .. }
            )
            && !says_nothing(errno)
            && self.contradicted(tid, decoder, p, errno)
        {
            return Ok(());
        }
        let code = errno as u16;
        match decoder {
            Decoder::Open { .. }
            | Decoder::Creat { .. }
            | Decoder::OpenHow { .. }
            | Decoder::OpenHandle { .. } => return self.open_exit(tid, decoder, p, rval),
            Decoder::Exec { .. } => self.exec_failed(tid, p, errno),
            Decoder::Probe { op, .. } => {
                if !says_nothing(errno) {
                    self.probe_exit(tgid, p, op, code);
                }
            }
            Decoder::Readlink { .. } => {
                let look = &p.looks[0];
                if look.path.starts_with(b"/proc/") {
                    return Ok(());
                }
                let is_link = look.object() == libc::S_IFLNK;
                if is_link && ok {
                    self.emit_hops(tgid, name, &look.hops);
                    let fact = Fact {
                        kind: Kind::Link,
                        op: Op::Readlink,
                        path: &look.path,
                        requested: &look.requested,
                        other: &look.link,
                        errno: 0,
                        flags: 0,
                        object: libc::S_IFLNK,
                    };
                    self.emit(tgid, name, &fact);
                } else if !says_nothing(errno) {
                    let code = if ok { libc::EINVAL as u16 } else { code };
                    self.probe_exit(tgid, p, Op::Readlink, code);
                }
            }
            Decoder::Chdir { .. } | Decoder::Chroot { .. } => {
                self.probe_exit(tgid, p, Op::Stat, code);
                if ok {
                    let mut fs = self.tasks[&tid].fs.borrow_mut();
                    fs.cwd = None;
                    fs.foreign |= matches!(decoder, Decoder::Chroot { .. });
                }
            }
            Decoder::Fchdir { .. } => self.tasks[&tid].fs.borrow_mut().cwd = None,
            Decoder::Credentials if ok => self.doubt(tid),
            Decoder::Namespace => {
                if !says_nothing(errno) {
                    self.refused(tgid, p, code);
                }
                if ok {
                    self.namespace_changed(tid, p, rval);
                }
            }
            Decoder::Opaque if ok => self.opaque(tid, p),
            Decoder::PidfdGetfd if ok => self.taken(tid, rval as i32, Op::Received, name),
            Decoder::Credentials | Decoder::Opaque | Decoder::PidfdGetfd => {}
            Decoder::Connect { .. }
            | Decoder::Bind { .. }
            | Decoder::SendTo { .. }
            | Decoder::SendMsg { .. }
            | Decoder::SendMmsg { .. }
            | Decoder::ReceiveMsg { .. }
            | Decoder::ReceiveMmsg { .. }
            | Decoder::SocketCall => {
                return self.socket_exit(tid, p, rval);
            }
            Decoder::Ioctl { request, .. } if ok => {
                match ioctl_effect(p.args[usize::from(request)] as u32) {
                    Some(IoctlEffect::Metadata) => self.changed(tid, decoder, p),
                    _ => self.opaque(tid, p),
                }
            }
            _ if ok => self.changed(tid, decoder, p),
            _ if says_nothing(errno) => {}
            _ => self.refused(tgid, p, code),
        }
        Ok(())
    }

    /// A call that can't be decoded has succeeded.
    pub(super) fn opaque(&mut self, tid: i32, p: &Pending) {
        let id = self.process_of(tid);
        self.log
            .incomplete(id, ReasonCode::Other, || format!("what {} did can't be seen", p.row.name));
    }

    /// A look-up without effect has ended.
    fn probe_exit(&mut self, tgid: i32, p: &mut Pending, op: Op, errno: u16) {
        p.looks[0].agree(errno);
        self.emit_probe(tgid, p.call(), &p.looks[0], op, errno, 0);
    }

    /// A call that would have changed something failed: its names were only looked up.
    pub(super) fn refused(&mut self, tgid: i32, p: &Pending, errno: u16) {
        let absent = i32::from(errno) == libc::ENOENT;
        for look in &p.looks {
            if !look.path.is_empty() {
                let errno = if absent { 0 } else { errno };
                self.emit_probe(tgid, p.call(), look, Op::Stat, errno, 0);
            }
        }
    }
}
