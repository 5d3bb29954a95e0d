//! What each call means: at its entry, and at its exit where that tells more.

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

const AT_FDCWD: i32 = libc::AT_FDCWD;

/// An errno that says the call never looked at its names.
fn says_nothing(errno: i32) -> bool {
    matches!(errno, libc::EFAULT | libc::ENOSYS | libc::EINTR | libc::ENOMEM | libc::EMFILE
        | libc::ENFILE | libc::EBADF)
        // ERESTARTSYS and its kin: the call is made again.
        || (512..=516).contains(&errno)
}

/// The names in the calls about mounts (mount(2), pivot_root(2), open_tree(2), move_mount(2)).
fn namespace_names(p: &Pending) -> [Option<At>; 2] {
    let plain = |path| Some(At { dir: None, path });
    let at = |dir, path| Some(At { dir: Some(dir), path });
    match p.row.name {
        "mount" => {
            // The source is a name only of a bind or moved mount.
            let bind = p.args[3] & (libc::MS_BIND | libc::MS_MOVE) != 0;
            [plain(1), if bind { plain(0) } else { None }]
        }
        "umount" | "umount2" => [plain(0), None],
        "pivot_root" => [plain(0), plain(1)],
        "open_tree" | "mount_setattr" | "fspick" => [at(0, 1), None],
        "move_mount" => [at(0, 1), at(2, 3)],
        _ => [None, None],
    }
}

impl Tracer<'_, '_> {
    /// A stop by a filter: ours, or one of the program's own.
    pub(super) fn on_seccomp(&mut self, tid: i32) -> io::Result<()> {
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

    fn tgid(&self, tid: i32) -> i32 {
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
            }
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.pending = Some(pending);
        }
        Ok(Next::ToExit)
    }

    fn base(at: At, pending: &Pending) -> Base {
        match at.dir.map(|dir| pending.args[usize::from(dir)] as i32) {
            None | Some(AT_FDCWD) => Base::Cwd,
            Some(fd) => Base::Descriptor(fd),
        }
    }

    /// Reads the name at `at` into look `which`; false when there is none.
    fn fetch(&mut self, tid: i32, pending: &mut Pending, at: At, which: usize) -> bool {
        let addr = pending.args[usize::from(at.path)];
        let mut text = std::mem::take(&mut pending.looks[which].text);
        let known = self.read_name(tid, addr, &mut text);
        if !known {
            text.clear();
        }
        pending.looks[which].text = text;
        known
    }

    /// Reads and looks at the name at `at`. An empty name names nothing.
    fn fetch_and_look(
        &mut self,
        tid: i32,
        pending: &mut Pending,
        at: At,
        which: usize,
        follow: bool,
    ) -> bool {
        let known = self.fetch(tid, pending, at, which) && !pending.looks[which].text.is_empty();
        if known {
            let base = Self::base(at, pending);
            if which == 0 {
                pending.base = base;
            }
            self.look(tid, base, follow, &mut pending.looks[which]);
        }
        known
    }

    /// Decodes a call at its entry. `ToExit` asks for [`Self::on_exit`]; none means that there is
    /// nothing more to learn.
    fn decode(&mut self, tid: i32, decoder: Decoder, p: &mut Pending) -> io::Result<Option<Next>> {
        let to_exit = Ok(Some(Next::ToExit));
        let args = p.args;
        let arg = |i: u8| args[usize::from(i)];
        match decoder {
            Decoder::Open { .. }
            | Decoder::Creat { .. }
            | Decoder::OpenHow { .. }
            | Decoder::OpenHandle { .. } => return self.open_entry(tid, decoder, p),
            Decoder::Probe { at, follow, .. } => {
                let follow = follow.follows(&p.args);
                if !self.fetch_and_look(tid, p, at, 0, follow) {
                    // By descriptor: what it is open on was recorded then.
                    return Ok(None);
                }
                return self.guarded(tid, p, &[(0, Kind::Probe)], to_exit);
            }
            Decoder::Readlink { at } => {
                if !self.fetch_and_look(tid, p, at, 0, false) {
                    return Ok(None);
                }
                return self.guarded(tid, p, &[(0, Kind::Link)], to_exit);
            }
            Decoder::Exec { at, flags } => return self.exec_entry(tid, at, flags, p),
            Decoder::Mkdir { at } | Decoder::Mknod { at, .. } | Decoder::Symlink { at, .. } => {
                if let Decoder::Symlink { text, .. } = decoder {
                    self.fetch(tid, p, At { dir: None, path: text }, 1);
                }
                if self.fetch_and_look(tid, p, at, 0, false) {
                    return self.guarded(tid, p, &[(0, Kind::Write)], to_exit);
                }
            }
            Decoder::Rmdir { at } | Decoder::Unlink { at, .. } => {
                if self.fetch_and_look(tid, p, at, 0, false) {
                    return self.guarded(tid, p, &[(0, Kind::Delete)], to_exit);
                }
            }
            Decoder::Rename { from, to, .. } => {
                let known = self.fetch_and_look(tid, p, from, 0, false)
                    & self.fetch_and_look(tid, p, to, 1, false);
                if known {
                    let attempts = &[(0, Kind::Delete), (1, Kind::Write)];
                    return self.guarded(tid, p, attempts, to_exit);
                }
            }
            Decoder::Link { from, to, flags } => {
                let flags = flags.map_or(0, |i| arg(i) as i32);
                self.fetch_and_look(tid, p, from, 0, flags & libc::AT_SYMLINK_FOLLOW != 0);
                if p.looks[0].text.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                    self.describe(tid, arg(from.dir.unwrap_or(0)) as i32, &mut p.looks[0]);
                }
                if self.fetch_and_look(tid, p, to, 1, false) {
                    let attempts = &[(0, Kind::Read), (1, Kind::Write)];
                    return self.guarded(tid, p, attempts, to_exit);
                }
            }
            Decoder::Truncate { at } => {
                if self.fetch_and_look(tid, p, at, 0, true) {
                    return self.guarded(tid, p, &[(0, Kind::Write)], to_exit);
                }
            }
            Decoder::Metadata { at, follow, empty } => {
                let follow = follow.follows(&p.args);
                let (path, dir) = (arg(at.path), at.dir.map(|dir| arg(dir) as i32));
                let empty = empty.is_some_and(|flags| arg(flags) as i32 & libc::AT_EMPTY_PATH != 0);
                if !self.fetch_and_look(tid, p, at, 0, follow) {
                    // utimensat and futimesat with no path, fchmodat2 and others with an empty
                    // one: the descriptor itself.
                    let (Some(dir), true) = (dir, path == 0 || empty) else { return Ok(None) };
                    self.describe(tid, dir, &mut p.looks[0]);
                }
                return self.guarded(tid, p, &[(0, Kind::Write)], to_exit);
            }
            Decoder::FdTruncate { fd } | Decoder::FdMetadata { fd } => {
                self.describe(tid, arg(fd) as i32, &mut p.looks[0]);
            }
            Decoder::Ioctl { fd, request } => match ioctl_effect(arg(request) as u32) {
                Some(IoctlEffect::Metadata) => {
                    self.describe(tid, arg(fd) as i32, &mut p.looks[0]);
                }
                Some(IoctlEffect::Opaque) => {}
                Some(IoctlEffect::Refuse) => return self.refuse(tid, p, libc::ENOSYS),
                None => return Ok(None),
            },
            Decoder::MapShared { prot, flags, fd } => {
                return Ok(self.map_entry(tid, p, arg(prot), arg(flags), arg(fd)));
            }
            Decoder::MapStruct { words } => {
                // addr, len, prot, flags, fd, offset: 32 bits each
                let mut raw = [0; 24];
                if !self.read_exact(tid, arg(words), &mut raw) {
                    return Ok(None);
                }
                let word = |i: usize| {
                    u64::from(u32::from_le_bytes([raw[i], raw[i + 1], raw[i + 2], raw[i + 3]]))
                };
                if word(12) & libc::MAP_SHARED as u64 == 0 {
                    return Ok(None);
                }
                return Ok(self.map_entry(tid, p, word(8), word(12), word(16)));
            }
            Decoder::Chdir { at } | Decoder::Chroot { at } => {
                if !self.fetch_and_look(tid, p, at, 0, true) {
                    return Ok(None);
                }
            }
            Decoder::Namespace => {
                for (which, at) in namespace_names(p).into_iter().flatten().enumerate() {
                    self.fetch_and_look(tid, p, at, which, true);
                }
            }
            Decoder::Fchdir { .. }
            | Decoder::Credentials
            | Decoder::Opaque
            | Decoder::PidfdGetfd => {}
            Decoder::SharedMemory => {
                self.doubt(tid);
                return Ok(None);
            }
            Decoder::Clone { flags } => {
                let value = arg(flags);
                let i386 = p.abi == Abi::I386;
                regs::set_first_arg(tid, i386, value & !(libc::CLONE_UNTRACED as u64))?;
                return Ok(None);
            }
            Decoder::Ptrace => return self.ptrace_entry(tid, p),
            Decoder::SeccompMode { mode, strict, flags } => {
                let flags = flags.map_or(0, arg);
                let strict = arg(mode) as u32 == strict;
                return self.seccomp_entry(tid, strict, flags);
            }
            // PR_SET_SECCOMP; PR_SET_DUMPABLE shows when /proc can't be read.
            Decoder::Prctl { option } => {
                const PR_SET_SECCOMP: u32 = 22;
                let strict = arg(1) as u32 == libc::SECCOMP_MODE_STRICT;
                if arg(option) as u32 == PR_SET_SECCOMP {
                    return self.seccomp_entry(tid, strict, 0);
                }
                return Ok(None);
            }
            Decoder::Random => {
                if let Some(id) = self.process_of(tid) {
                    self.log.note(id, HostKind::Random, b"getrandom", 0);
                }
                return Ok(None);
            }
            Decoder::Refuse(errno) => return self.refuse(tid, p, errno.into()),
            Decoder::Connect { .. }
            | Decoder::Bind { .. }
            | Decoder::SendTo { .. }
            | Decoder::SendMsg { .. }
            | Decoder::SendMmsg { .. }
            | Decoder::ReceiveMsg { .. }
            | Decoder::ReceiveMmsg { .. }
            | Decoder::SocketCall => {
                return self.socket_entry(tid, decoder, p);
            }
        }
        to_exit
    }

    /// A shared mapping. Of a file it is a write as soon as it may be written: mprotect makes no
    /// stop, and on tmpfs the file's times don't show it. Memory that others may write can hold
    /// names that change under a call.
    fn map_entry(
        &mut self,
        tid: i32,
        p: &mut Pending,
        prot: u64,
        flags: u64,
        fd: u64,
    ) -> Option<Next> {
        let fd = fd as i32;
        let anonymous = flags & libc::MAP_ANONYMOUS as u64 != 0;
        let read_only = prot & libc::PROT_WRITE as u64 == 0
            && self.flags_of(tid, fd).is_some_and(|f| f & libc::O_ACCMODE == libc::O_RDONLY);
        if !anonymous && read_only {
            return None;
        }
        self.doubt(tid);
        if anonymous {
            return None;
        }
        self.describe(tid, fd, &mut p.looks[0]);
        Some(Next::ToExit)
    }

    /// Fills a look with what a descriptor is open on, if that has a name.
    pub(super) fn describe(&mut self, tid: i32, fd: i32, look: &mut Look) {
        let viewer = self.viewer(&self.tasks[&tid]);
        look.text.clear();
        look.hops.clear();
        let named = if fd == AT_FDCWD {
            self.looker.name_of(viewer, format_args!("cwd"), &mut look.path)
        } else {
            self.looker.name_of(viewer, format_args!("fd/{fd}"), &mut look.path)
        };
        let stat = match fd {
            AT_FDCWD => self.looker.stat_of(tid, format_args!("cwd")),
            _ => self.looker.stat_of(tid, format_args!("fd/{fd}")),
        };
        look.requested.clear();
        match (named, stat) {
            (Ok(()), Ok(stat)) if look.path.first() == Some(&b'/') && stat.st_nlink > 0 => {
                look.found = crate::look::Found::There(stat);
            }
            _ => {
                look.path.clear();
                look.found = crate::look::Found::Refused(libc::EBADF as u16);
            }
        }
    }

    /// From now on no exit stop is left out for this process.
    fn doubt(&mut self, tid: i32) {
        let tgid = self.tgid(tid);
        if let Some(proc) = self.procs.get_mut(&tgid) {
            proc.doubtful = true;
        }
    }

    fn refuse(&mut self, tid: i32, p: &Pending, errno: i32) -> io::Result<Option<Next>> {
        let Some(id) = self.process_of(tid) else { return Ok(None) };
        let io_uring = p.row.name == "io_uring_setup";
        if io_uring && self.options.allow_io_uring {
            self.log.incomplete(Some(id), ReasonCode::IoUring, || {
                "io_uring was allowed, and its operations can't be seen".into()
            });
            return Ok(None);
        }
        let kind = if io_uring { HostKind::IoUringRefused } else { HostKind::CallRefused };
        self.log.note(id, kind, p.row.name.as_bytes(), errno as u16);
        regs::skip_call(tid, -i64::from(errno))?;
        Ok(None)
    }

    fn ptrace_entry(&mut self, tid: i32, p: &Pending) -> io::Result<Option<Next>> {
        const TRACEME: u64 = 0;
        const ATTACH: u64 = 16;
        const SEIZE: u64 = 0x4206;
        if matches!(p.args[0], TRACEME | ATTACH | SEIZE) {
            // As the kernel answers for a process that is traced already (ptrace(2)).
            if let Some(id) = self.process_of(tid) {
                let what = if p.args[0] == TRACEME { "to be traced" } else { "to trace another" };
                self.log.note(id, HostKind::PtraceRefused, what.as_bytes(), libc::EPERM as u16);
            }
            regs::skip_call(tid, -i64::from(libc::EPERM))?;
        }
        Ok(None)
    }

    fn seccomp_entry(&mut self, tid: i32, strict: bool, flags: u64) -> io::Result<Option<Next>> {
        const NEW_LISTENER: u64 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        if strict {
            regs::skip_call(tid, 0)?;
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.strict = true;
            }
        } else if flags & NEW_LISTENER != 0 {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::Untraceable, || {
                "a program answers calls itself by seccomp user notification".into()
            });
        }
        Ok(None)
    }

    /// Asks the guard, if there is one; a call that it forbids is not made.
    pub(super) fn guarded(
        &mut self,
        tid: i32,
        p: &mut Pending,
        attempts: &[(usize, Kind)],
        otherwise: io::Result<Option<Next>>,
    ) -> io::Result<Option<Next>> {
        let Some(guard) = self.options.guard.as_deref_mut() else { return otherwise };
        for &(which, kind) in attempts {
            let look = &p.looks[which];
            if look.path.is_empty() {
                continue;
            }
            let attempt = Attempt {
                path: &look.path,
                requested: &look.requested,
                kind,
                exists: look.stat().is_some(),
                object: look.object(),
                own: self.log.own(&look.path),
            };
            let reaction = guard.decide(&attempt);
            let errno = match reaction {
                Reaction::Allow => continue,
                Reaction::Hide => libc::ENOENT,
                Reaction::Deny | Reaction::Kill => libc::EACCES,
            };
            let tgid = self.tasks[&tid].tgid;
            let (path, requested) = (look.path.clone(), look.requested.clone());
            let fact = Fact {
                kind,
                op: Op::Open,
                path: &path,
                requested: &requested,
                other: &[],
                errno: errno as u16,
                flags: p.flags as u32,
                object: look.object(),
            };
            self.log.begin();
            self.emit(tgid, p.call(), &fact);
            if let Some(id) = self.process_of(tid) {
                self.log.note(id, HostKind::Enforced, &path, errno as u16);
            }
            regs::skip_call(tid, -i64::from(errno))?;
            if reaction == Reaction::Kill {
                self.kill_all();
            }
            return Ok(None);
        }
        otherwise
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
                    self.namespace_changed(tid, p);
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
    fn opaque(&mut self, tid: i32, p: &Pending) {
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
    fn refused(&mut self, tgid: i32, p: &Pending, errno: u16) {
        let absent = i32::from(errno) == libc::ENOENT;
        for look in &p.looks {
            if !look.path.is_empty() {
                let errno = if absent { 0 } else { errno };
                self.emit_probe(tgid, p.call(), look, Op::Stat, errno, 0);
            }
        }
    }

    /// A call that changes files has succeeded.
    fn changed(&mut self, tid: i32, decoder: Decoder, p: &mut Pending) {
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
    fn namespace_changed(&mut self, tid: i32, p: &Pending) {
        let flags = p.args[0] as i32;
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
            }
            _ => {
                self.remounted = true;
                self.generation += 1;
                self.looker.mounts.meet(tid);
            }
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
        self.tasks.insert(
            task.tid,
            Task {
                tid: task.tid,
                tgid: task.tgid,
                fs: Rc::clone(&task.fs),
                pending: None,
                strict: false,
            },
        );
        match decoder {
            Decoder::Open { .. } | Decoder::Creat { .. } | Decoder::OpenHow { .. } => {
                self.open_interrupted(task.tgid, &mut p);
            }
            _ => self.changed(task.tid, decoder, &mut p),
        }
        self.tasks.remove(&task.tid);
    }
}
