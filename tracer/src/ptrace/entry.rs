//! Calls at their entry: which names they carry, and what those mean now.

use super::*;
use crate::table::{At, Decoder, IoctlEffect, ioctl_effect};

const AT_FDCWD: i32 = libc::AT_FDCWD;

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
    pub(super) fn base(at: At, pending: &Pending) -> Base {
        match at.dir.map(|dir| pending.args[usize::from(dir)] as i32) {
            None | Some(AT_FDCWD) => Base::Cwd,
            Some(fd) => Base::Descriptor(fd),
        }
    }

    /// Reads the name at `at` into look `which`; false when there is none.
    pub(super) fn fetch(&mut self, tid: i32, pending: &mut Pending, at: At, which: usize) -> bool {
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
    pub(super) fn fetch_and_look(
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
    pub(super) fn decode(
        &mut self,
        tid: i32,
        decoder: Decoder,
        p: &mut Pending,
    ) -> io::Result<Option<Next>> {
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
            Decoder::Affinity { set } => {
                if set {
                    self.places.give_up();
                } else {
                    self.places.let_go();
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
    pub(super) fn doubt(&mut self, tid: i32) {
        let tgid = self.tgid(tid);
        if let Some(proc) = self.procs.get_mut(&tgid) {
            proc.doubtful = true;
        }
    }

    pub(super) fn refuse(&mut self, tid: i32, p: &Pending, errno: i32) -> io::Result<Option<Next>> {
        let Some(id) = self.process_of(tid) else { return Ok(None) };
        let io_uring = p.row.name == "io_uring_setup";
        if io_uring && self.options.allow_io_uring {
            let what = match self.witness {
                // What it does to files is in the witness's view.
                Some(_) => "look-ups and sockets",
                None => "operations",
            };
            self.log.incomplete(Some(id), ReasonCode::IoUring, || {
                format!("io_uring was allowed, and its {what} can't be seen")
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
}
