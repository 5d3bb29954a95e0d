//! open and its family: the descriptor tells what was really opened.

use super::*;
use crate::table::Decoder;
use std::os::fd::AsRawFd;

impl Tracer<'_, '_> {
    /// The name and flags of an open; what it would make is looked up before it is made.
    pub(super) fn open_entry(
        &mut self,
        tid: i32,
        decoder: Decoder,
        p: &mut Pending,
    ) -> io::Result<Option<Next>> {
        let at = match decoder {
            Decoder::Open { at, flags } => {
                p.flags = p.args[usize::from(flags)] & 0xffff_ffff;
                at
            }
            Decoder::Creat { at } => {
                p.flags = (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64;
                at
            }
            Decoder::OpenHow { at, how } => {
                // struct open_how: flags, mode, resolve (openat2(2))
                let mut raw = [0; 24];
                if !self.read_exact(tid, p.args[usize::from(how)], &mut raw) {
                    return Ok(None);
                }
                let word =
                    |i: usize| u64::from_ne_bytes(raw[i..i + 8].try_into().unwrap_or([0; 8]));
                p.flags = word(0);
                p.args[5] = word(16);
                at
            }
            _ => {
                p.flags = p.args[2] & 0xffff_ffff;
                return Ok(Some(Next::ToExit));
            }
        };
        p.base = Self::base(at, p);
        if matches!(decoder, Decoder::OpenHow { .. })
            && p.args[5] & libc::RESOLVE_IN_ROOT != 0
            && let Base::Descriptor(fd) = p.base
        {
            p.base = Base::RootDescriptor(fd);
        }
        let mut text = std::mem::take(&mut p.looks[0].text);
        let known = self.read_name(tid, p.args[usize::from(at.path)], &mut text);
        p.looks[0].text = text;
        if !known {
            p.looks[0].text.clear();
        }
        if p.looks[0].text.is_empty() {
            return Ok(Some(Next::ToExit));
        }
        let flags = p.flags as i32;
        self.look(tid, p.base, follows(flags), &mut p.looks[0]);
        p.existed = p.looks[0].stat().is_some();
        if p.looks[0].path.starts_with(b"/proc/") {
            // It may tell which CPUs a thread may run on.
            self.places.bar(tid);
        }
        let creates = flags & libc::O_CREAT != 0;
        if let Found::Missing(errno) = p.looks[0].found
            && i32::from(errno) == libc::ENOENT
            && !creates
            // openat2 and O_TMPFILE check more before they look anything up.
            && !matches!(decoder, Decoder::OpenHow { .. })
            && flags & libc::O_TMPFILE != libc::O_TMPFILE
            && !self.doubtful(tid, p.abi)
            && self.has_free_descriptor(tid)
            // Last: nobody has moved anything while we looked.
            && !self.moved()
        {
            // The kernel would say the same: it need not be asked, and the second stop is saved.
            let next = self.guarded(tid, p, &[(0, Kind::Probe)], Ok(Some(Next::ToExit)))?;
            if next.is_some() {
                self.open_failed(self.tasks[&tid].tgid, p, errno);
                regs::skip_call(tid, -i64::from(errno))?;
            }
            return Ok(None);
        }
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY
            || flags & libc::O_TRUNC != 0
            || (creates && !p.existed);
        let kind = match () {
            () if flags & libc::O_PATH != 0 || !(p.existed || writes) => Kind::Probe,
            () if writes => Kind::Write,
            () if p.looks[0].object() == libc::S_IFDIR => Kind::List,
            () => Kind::Read,
        };
        let next = self.guarded(tid, p, &[(0, kind)], Ok(Some(Next::ToExit)))?;
        if next.is_some() {
            self.floor_expect(tid, [(&p.looks[0], kind)].into_iter());
        }
        if next.is_some() && kind == Kind::Read && self.may_trust(tid, decoder, p) {
            self.trust(tid, p);
            return Ok(None);
        }
        Ok(next)
    }

    /// An open has ended.
    pub(super) fn open_exit(
        &mut self,
        tid: i32,
        decoder: Decoder,
        p: &mut Pending,
        rval: i64,
    ) -> io::Result<()> {
        let tgid = self.tasks[&tid].tgid;
        let flags = p.flags as i32;
        if rval < 0 {
            let errno = -rval as i32;
            if !calls::says_nothing(errno) && !p.looks[0].text.is_empty() {
                self.look(tid, p.base, follows(flags), &mut p.looks[0]);
                let gone = errno == libc::ENOENT
                    && flags & libc::O_CREAT == 0
                    && p.looks[0].stat().is_some();
                if gone && self.doubtful(tid, p.abi) {
                    // Another thread has changed the name, or the file: no telling which.
                    let id = self.process_of(tid);
                    self.log.incomplete(id, ReasonCode::PathChanged, || {
                        format!("a name changed while {} ran", p.row.name)
                    });
                    return Ok(());
                }
                let how = matches!(decoder, Decoder::OpenHow { .. });
                if how && errno == libc::ELOOP && p.args[5] & libc::RESOLVE_NO_SYMLINKS != 0 {
                    // It ended at the first link.
                    let look = &mut p.looks[0];
                    if let Some(first) = look.hops.drain(..).next() {
                        look.path = first.path;
                        look.found = Found::Refused(libc::ELOOP as u16);
                    }
                }
                self.open_failed(tgid, p, errno as u16);
            }
            return Ok(());
        }
        let fd = rval as i32;
        let viewer = self.viewer(&self.tasks[&tid]);
        let mut name = std::mem::take(&mut self.scratch);
        let named = match self.fds(tid) {
            Some(fds) if viewer.host => self.looker.name_in(fds, fd, &mut name),
            _ => self.looker.name_of(viewer, format_args!("fd/{fd}"), &mut name),
        };
        let stat = match p.looks[0].stat() {
            // The look at entry was at the same file: its name ends otherwise when it was removed.
            Some(stat) if named.is_ok() && p.looks[0].path == name => Ok(*stat),
            _ => self.looker.stat_of(tid, format_args!("fd/{fd}")),
        };
        match named.and(stat) {
            Ok(stat) => self.opened(tid, decoder, p, fd, &name, &stat),
            // The thread has been killed, or another has closed the descriptor: what the name
            // meant at entry, or means now, must do.
            Err(error)
                if (error.raw_os_error() == Some(libc::ENOENT) || self.is_dying(tid))
                    && self.still_named(tid, p) =>
            {
                let look = &p.looks[0];
                if let Some(stat) = look.stat().copied() {
                    let path = look.path.clone();
                    self.opened(tid, decoder, p, fd, &path, &stat);
                }
            }
            Err(error) => {
                let id = self.process_of(tid);
                self.log.incomplete(id, ReasonCode::PathUnreadable, || {
                    format!("what a descriptor was opened on can't be read: {}", why(&error))
                });
            }
        }
        self.scratch = name;
        Ok(())
    }

    /// An own descriptor of `/proc/TID/fd`, kept for the thread's life.
    fn fds(&mut self, tid: i32) -> Option<i32> {
        let task = self.tasks.get_mut(&tid)?;
        if task.fds.is_none() {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            task.fds = self.looker.open_of(tid, format_args!("fd"), flags).ok();
        }
        task.fds.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Whether an open would get a descriptor: EMFILE comes before the look-up. Since Linux 6.2
    /// the size of /proc/PID/fd is the number of open descriptors; before, it is not known.
    pub(super) fn has_free_descriptor(&mut self, tid: i32) -> bool {
        let size = self.fds(tid).and_then(|fds| files::stat(fds, c"", false).ok());
        let open = size.map_or(0, |stat| stat.st_size);
        open > 0 && process::descriptor_limit(tid).is_some_and(|limit| (open as u64) < limit)
    }

    /// Whether a thread is on its way out. An ordinary user may not look at its descriptors any
    /// more: EACCES.
    pub(super) fn is_dying(&mut self, tid: i32) -> bool {
        /// `PF_EXITING` of <linux/sched.h>.
        const EXITING: u64 = 4;
        let mut stat = std::mem::take(&mut self.name);
        let known = self.looker.read_proc(tid, format_args!("stat"), &mut stat);
        // proc_pid_stat(5): pid (name) state ppid pgrp session tty tpgid flags; the name may hold
        // anything.
        let end = stat.iter().rposition(|b| *b == b')').map_or(stat.len(), |i| i + 1);
        let flags = std::str::from_utf8(&stat[end..])
            .ok()
            .and_then(|rest| rest.split_ascii_whitespace().nth(6)?.parse::<u64>().ok());
        self.name = stat;
        known.is_err() || flags.is_none_or(|flags| flags & EXITING != 0)
    }

    /// Whether the name of an open means a file; looks once more if it did not at entry.
    fn still_named(&mut self, tid: i32, p: &mut Pending) -> bool {
        if !p.looks[0].text.is_empty() && p.looks[0].stat().is_none() {
            self.look(tid, p.base, follows(p.flags as i32), &mut p.looks[0]);
        }
        p.looks[0].stat().is_some()
    }

    fn opened(
        &mut self,
        tid: i32,
        decoder: Decoder,
        p: &mut Pending,
        fd: i32,
        name: &[u8],
        stat: &libc::stat,
    ) {
        let tgid = self.tasks[&tid].tgid;
        let flags = p.flags as i32;
        let object = stat.st_mode & libc::S_IFMT;
        let handle = matches!(decoder, Decoder::OpenHandle { .. });
        if name.first() != Some(&b'/') {
            return;
        }
        let look = &mut p.looks[0];
        if handle {
            look.hops.clear();
        } else if look.path != name && !name.starts_with(b"/proc/") {
            // What was not there at entry is there now (O_CREAT), or the name leads elsewhere.
            self.look(tid, p.base, follows(flags), look);
            if look.path != name && look.stat().is_some() {
                // The descriptor is right, but a link on the way may have been missed.
                let addr = calls::names(decoder).map(|(at, _)| p.args[usize::from(at.path)]);
                let mut again = Vec::new();
                let known = addr.is_some_and(|addr| self.read_name(tid, addr, &mut again));
                if known && again != look.text {
                    let id = self.process_of(tid);
                    self.log.incomplete(id, ReasonCode::PathChanged, || {
                        format!("a name changed while {} ran", p.row.name)
                    });
                }
            }
        }
        let deleted = stat.st_nlink == 0;
        if deleted && flags & libc::O_TMPFILE == libc::O_TMPFILE {
            // A file without a name: only the directory was looked up.
            self.look(tid, p.base, true, &mut p.looks[0]);
            self.emit_probe(tgid, p.call(), &p.looks[0], Op::Open, 0, p.flags as u32);
            return;
        }
        let look = &mut p.looks[0];
        look.path.clear();
        look.path.extend_from_slice(if deleted { &look.requested } else { name });
        let proc_self = format!("/proc/{tgid}/");
        if look.path.starts_with(proc_self.as_bytes()) {
            look.path = [b"/proc/self/", &look.path[proc_self.len()..]].concat();
        }
        look.found = Found::There(*stat);
        if look.path.is_empty() {
            return;
        }
        let created = flags & libc::O_CREAT != 0 && (flags & libc::O_EXCL != 0 || !p.existed);
        let access = flags & libc::O_ACCMODE;
        let regular = object == libc::S_IFREG;
        let op = if handle { Op::Handle } else { Op::Open };
        let name = p.call();
        self.emit_hops(tgid, name, &p.looks[0].hops);
        let fact = |kind, op| Fact {
            kind,
            op,
            path: &p.looks[0].path,
            requested: &p.looks[0].requested,
            other: &[],
            errno: 0,
            flags: p.flags as u32,
            object,
        };
        let reads = || fact(Kind::Read, op);
        if flags & libc::O_PATH != 0 {
            self.emit(tgid, name, &fact(Kind::Probe, op));
        } else if object == libc::S_IFDIR {
            let op = if handle { Op::Handle } else { Op::Enumerate };
            self.emit(tgid, name, &fact(Kind::List, op));
        } else if created {
            self.emit(tgid, name, &fact(Kind::Write, Op::Create));
        } else if flags & libc::O_TRUNC != 0 && regular {
            self.emit(tgid, name, &fact(Kind::Write, Op::Truncate));
        } else if access == libc::O_WRONLY {
            self.emit(tgid, name, &fact(Kind::Write, op));
        } else if access == libc::O_RDONLY || regular {
            self.read_opened(tid, name, &reads(), access == libc::O_RDWR, fd, stat);
        } else {
            self.emit(tgid, name, &reads());
            self.emit(tgid, name, &fact(Kind::Write, op));
        }
    }

    /// A file that was opened for reading (and perhaps writing) and was there before.
    pub(super) fn read_opened(
        &mut self,
        tid: i32,
        call: Call,
        fact: &Fact<'_>,
        and_writing: bool,
        fd: i32,
        stat: &libc::stat,
    ) {
        let tgid = self.tasks[&tid].tgid;
        let Some(proc) = self.procs.get_mut(&tgid) else { return };
        if let Some((part, id)) = &self.receiver {
            return part.emit_read(self.log.now(), *id, call, fact, stat);
        }
        self.log.emit_read(proc.id, &mut proc.tally, call, fact, stat);
        if and_writing && fact.object == libc::S_IFREG {
            let file = self.looker.open_of(tid, format_args!("fd/{fd}"), libc::O_PATH).ok();
            self.log.watch(proc.id, &mut proc.tally, call, fact, file, stat);
        }
    }

    fn open_failed(&mut self, tgid: i32, p: &mut Pending, errno: u16) {
        p.looks[0].agree(errno);
        self.emit_probe(tgid, p.call(), &p.looks[0], Op::Stat, errno, p.flags as u32);
    }

    /// The process was killed inside an open: what it could have made counts as made.
    pub(super) fn open_interrupted(&mut self, tgid: i32, p: &mut Pending) {
        let flags = p.flags as i32;
        let writes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
        if !writes || p.looks[0].text.is_empty() {
            return;
        }
        if p.looks[0].path.is_empty() {
            let id = self.procs.get(&tgid).map(|proc| proc.id);
            self.log.incomplete(id, ReasonCode::LostEvent, || {
                format!("a process was killed inside {}", p.row.name)
            });
            return;
        }
        self.emit_hops(tgid, p.call(), &p.looks[0].hops);
        let op = if p.existed { Op::Truncate } else { Op::Create };
        let fact = Fact {
            kind: Kind::Write,
            op,
            path: &p.looks[0].path,
            requested: &p.looks[0].requested,
            other: &[],
            errno: 0,
            flags: p.flags as u32,
            object: libc::S_IFREG,
        };
        self.emit(tgid, p.call(), &fact);
    }

    /// The flags a descriptor is open with.
    pub(super) fn flags_of(&mut self, tid: i32, fd: i32) -> Option<i32> {
        let mut info = std::mem::take(&mut self.name);
        let known = self.looker.read_proc(tid, format_args!("fdinfo/{fd}"), &mut info);
        // `flags:\t0100000` in octal (proc(5)).
        let flags = info
            .split(|b| *b == b'\n')
            .find_map(|line| line.strip_prefix(b"flags:"))
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| i32::from_str_radix(text.trim(), 8).ok());
        self.name = info;
        known.ok().and(flags)
    }

    /// A descriptor that came from elsewhere: inherited before the trace, or received.
    pub(super) fn taken(&mut self, tid: i32, fd: i32, op: Op, call: Call) {
        let viewer = self.viewer(&self.tasks[&tid]);
        let tgid = self.tasks[&tid].tgid;
        let mut name = Vec::new();
        let named = self.looker.name_of(viewer, format_args!("fd/{fd}"), &mut name);
        let stat = self.looker.stat_of(tid, format_args!("fd/{fd}"));
        let (Ok(()), Ok(stat), Some(flags)) = (named, stat, self.flags_of(tid, fd)) else { return };
        if name.first() != Some(&b'/')
            || stat.st_nlink == 0
            || (op == Op::Inherited && flags & libc::O_CLOEXEC != 0)
        {
            return;
        }
        let object = stat.st_mode & libc::S_IFMT;
        self.log.begin();
        let fact = |kind| Fact {
            kind,
            op,
            path: &name,
            requested: &[],
            other: &[],
            errno: 0,
            flags: flags as u32,
            object,
        };
        let access = flags & libc::O_ACCMODE;
        if flags & libc::O_PATH != 0 {
            self.emit(tgid, call, &fact(Kind::Probe));
        } else if object == libc::S_IFDIR {
            self.emit(tgid, call, &fact(Kind::List));
        } else if access == libc::O_WRONLY {
            self.emit(tgid, call, &fact(Kind::Write));
        } else {
            self.read_opened(tid, call, &fact(Kind::Read), false, fd, &stat);
            if access == libc::O_RDWR {
                // What was written before it came here is not known.
                self.emit(tgid, call, &fact(Kind::Write));
            }
        }
    }

    /// Descriptors that were open before the trace, without those that `command` replaces.
    pub(super) fn inherited(&mut self, command: &Command) {
        let root = self.root;
        let kept = |fd: &i32| {
            let stream = usize::try_from(*fd).ok().and_then(|fd| command.stdio.get(fd));
            stream.is_none_or(Option::is_none)
        };
        for fd in descriptors(root).into_iter().filter(kept) {
            self.taken(root, fd, Op::Inherited, Call::KERNEL);
        }
    }
}

/// The open descriptors of a process, in order.
pub(super) fn descriptors(pid: i32) -> Vec<i32> {
    let Ok(list) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let mut numbers: Vec<i32> =
        list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// Whether an open follows a link in the last place.
fn follows(flags: i32) -> bool {
    flags & libc::O_NOFOLLOW == 0
        && flags & (libc::O_CREAT | libc::O_EXCL) != libc::O_CREAT | libc::O_EXCL
}
