//! exec: what the kernel loads by itself has no call of its own and is worked out here.

use super::*;
use crate::loader::{MOST_FILES, Misc, Parsed, Role};
use crate::log::{Words, name_of, stamp_of};
use crate::look::Found;
use crate::table::At;
use airtight_recording::Stamp;
use std::os::fd::AsRawFd;

/// One file that an exec loads, with the look that found it.
pub(crate) struct Load {
    look: Look,
    op: Op,
}

/// What an exec will load, worked out at its entry: afterwards the memory with the name is gone.
#[derive(Default)]
pub(crate) struct Plan {
    loads: Vec<Load>,
}

/// What executed files are to the kernel, by their stamps, and the host's binfmt_misc.
pub(super) struct Loads {
    heads: FxHashMap<Stamp, Option<Rc<Parsed>>>,
    misc: Vec<Misc>,
}

impl Loads {
    pub(super) fn new() -> Loads {
        Loads { heads: FxHashMap::default(), misc: Misc::of_host() }
    }
}

fn may_execute(look: &Look) -> bool {
    let name = std::ffi::CString::new(look.path.as_slice());
    look.object() == libc::S_IFREG && name.is_ok_and(|name| files::accessible(&name, libc::X_OK))
}

impl Tracer<'_, '_> {
    pub(super) fn exec_entry(
        &mut self,
        tid: i32,
        at: At,
        flags: Option<u8>,
        p: &mut Pending,
    ) -> io::Result<Option<Next>> {
        let flags = flags.map_or(0, |i| p.args[usize::from(i)] as i32);
        let mut text = std::mem::take(&mut p.looks[0].text);
        let known = self.read_name(tid, p.args[usize::from(at.path)], &mut text);
        p.looks[0].text = text;
        let fd = at.dir.map(|dir| p.args[usize::from(dir)] as i32);
        if !known {
            return Ok(Some(Next::ToExit));
        }
        if p.looks[0].text.is_empty() {
            if let Some(fd) = fd
                && flags & libc::AT_EMPTY_PATH != 0
            {
                self.describe(tid, fd, &mut p.looks[0]);
            }
        } else {
            p.base = Self::base(at, p);
            let base = p.base;
            self.look(tid, base, flags & libc::AT_SYMLINK_NOFOLLOW == 0, &mut p.looks[0]);
        }
        if p.looks[0].path.is_empty() {
            return Ok(Some(Next::ToExit));
        }
        let next = self.guarded(tid, p, &[(0, Kind::Exec)], Ok(Some(Next::ToExit)))?;
        if next.is_some() {
            let mut plan = Plan::default();
            let first = std::mem::take(&mut p.looks[0]);
            p.looks[0].text.extend_from_slice(&first.text);
            self.plan_loads(tid, first, &mut plan);
            self.floor_expect(tid, plan.loads.iter().map(|load| (&load.look, Kind::Exec)));
            p.exec = Some(Box::new(plan));
        }
        Ok(next)
    }

    /// Follows `#!` lines and ELF interpreters from one file to the next.
    fn plan_loads(&mut self, tid: i32, first: Look, plan: &mut Plan) {
        let mut load = Load { look: first, op: Op::Exec };
        loop {
            let parsed = match load.look.stat() {
                Some(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFREG => {
                    let stamp = stamp_of(stat);
                    self.head(tid, &load.look, stamp)
                }
                _ => None,
            };
            let next = parsed.as_ref().and_then(|p| p.next(&load.look.text, &self.loads.misc));
            // An empty name is the current directory, which is no program.
            let next = next.filter(|(_, name)| !name.is_empty());
            let last = load.op == Op::Loader;
            plan.loads.push(load);
            let (Some((role, name)), false) = (next, last || plan.loads.len() >= MOST_FILES) else {
                return;
            };
            let op = match role {
                Role::Interpreter => Op::Shebang,
                Role::Loader => Op::Loader,
            };
            let mut look = Look { text: name.to_vec(), ..Look::default() };
            self.look(tid, Base::Cwd, true, &mut look);
            load = Load { look, op };
        }
    }

    /// What a file is to the kernel, cached by its stamp.
    fn head(&mut self, tid: i32, look: &Look, stamp: Stamp) -> Option<Rc<Parsed>> {
        if let Some(known) = self.loads.heads.get(&stamp) {
            return known.clone();
        }
        let mut name = std::mem::take(&mut self.scratch);
        name.clear();
        if !self.viewer(&self.tasks[&tid]).host {
            name.extend_from_slice(format!("/proc/{tid}/root").as_bytes());
        }
        name.extend_from_slice(&look.path);
        name.push(0);
        let file = std::ffi::CStr::from_bytes_with_nul(&name)
            .map_err(io::Error::other)
            .and_then(|name| files::open(files::CWD, name, libc::O_RDONLY | libc::O_NOCTTY));
        self.scratch = name;
        let parsed = match file {
            Ok(file) => {
                let same = files::stat(file.as_raw_fd(), c"", false)
                    .is_ok_and(|stat| stamp_of(&stat) == stamp);
                if !same {
                    return None;
                }
                Parsed::of(&std::fs::File::from(file)).ok().map(Rc::new)
            }
            // A program that may be executed and not read, by an ordinary user.
            Err(_) => None,
        };
        self.loads.heads.insert(stamp, parsed.clone());
        parsed
    }

    fn emit_load(&mut self, tgid: i32, call: Call, load: &Load, errno: u16) {
        let look = &load.look;
        if look.path.is_empty() {
            return;
        }
        if !matches!(look.found, Found::There(_)) {
            return self.emit_probe(tgid, call, look, Op::Stat, 0, 0);
        }
        self.emit_hops(tgid, call, &look.hops);
        let fact = Fact {
            kind: Kind::Exec,
            op: load.op,
            path: &look.path,
            requested: &look.requested,
            other: &[],
            errno,
            flags: 0,
            object: look.object(),
        };
        self.emit(tgid, call, &fact);
    }

    /// execve has failed: what the kernel read on the way was read all the same.
    pub(super) fn exec_failed(&mut self, tid: i32, p: &mut Pending, errno: i32) {
        let tgid = self.tasks[&tid].tgid;
        let Some(plan) = p.exec.take() else { return };
        let content = matches!(errno, libc::ENOEXEC | libc::ENOENT | libc::ELIBBAD | libc::ELOOP);
        // Where it ended: at what may not be executed, or else at the file itself.
        let refused = match errno {
            _ if content => plan.loads.len(),
            libc::EACCES => {
                plan.loads.iter().position(|load| !may_execute(&load.look)).unwrap_or(0)
            }
            _ => 0,
        };
        // The file is there, whatever was missing later.
        let code = if errno == libc::ENOENT { libc::ENOEXEC } else { errno } as u16;
        for load in &plan.loads[..refused] {
            self.emit_load(tgid, p.call(), load, code);
        }
        if let Some(load) = plan.loads.get(refused) {
            self.emit_probe(tgid, p.call(), &load.look, Op::Exec, errno as u16, 0);
        }
    }

    /// PTRACE_EVENT_EXEC: the process has become another program.
    pub(super) fn on_exec(&mut self, tid: i32) -> io::Result<()> {
        let former = ptrace::event_message(tid)? as i32;
        // Only the thread that called survives, and it takes the leader's number (ptrace(2)).
        let caller = self.tasks.remove(&former);
        self.tasks.retain(|_, task| task.tgid != tid);
        let Some(mut task) = caller else { return self.go(tid, 0) };
        let pending = task.pending.take();
        task.tid = tid;
        task.strict = false;
        task.fds = None;
        task.memory = None;
        self.tasks.insert(tid, task);
        self.started = true;

        let viewer = self.viewer(&self.tasks[&tid]);
        let mut exe = Vec::new();
        let known = self.looker.name_of(viewer, format_args!("exe"), &mut exe);
        let words = self.words(tid);
        let cwd = self.cwd(tid);
        self.inherited_by_part(tid);
        if let Some(proc) = self.procs.get_mut(&tid) {
            proc.threads = 1;
            let start = exe.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
            proc.name.clear();
            proc.name.extend_from_slice(&exe[start..]);
            let id = proc.id;
            self.log.image(id, &exe, words, &cwd);
            if let Err(error) = known {
                self.log.incomplete(Some(id), ReasonCode::PathUnreadable, || {
                    format!("the program of a process has no readable name: {}", why(&error))
                });
            }
        }
        if let Some(mut pending) = pending {
            self.loaded(tid, &mut pending, &exe);
            self.spare.push(pending);
        }
        self.go(tid, 0)
    }

    /// The arguments and the noted variables of a program that was just executed. Asked of the
    /// kernel at this stop: the program has not run yet, and what the call pointed to could have
    /// changed until the kernel copied it.
    fn words(&mut self, tid: i32) -> Words {
        let mut bytes = Vec::new();
        let _ = self.looker.read_proc(tid, format_args!("cmdline"), &mut bytes);
        let argv = match bytes.strip_suffix(b"\0") {
            Some(args) => args.split(|b| *b == 0).map(<[u8]>::to_vec).collect(),
            None => Vec::new(),
        };
        let Some(id) = self.process_of(tid).filter(|id| self.log.has_marks(*id)) else {
            return Words { argv, env: Vec::new() };
        };
        bytes.clear();
        if let Err(error) = self.looker.read_proc(tid, format_args!("environ"), &mut bytes)
            && !self.is_dying(tid)
        {
            self.log.incomplete(Some(id), ReasonCode::MemoryUnreadable, || {
                format!("the environment of a program can't be read: {}", why(&error))
            });
        }
        let noted = |entry: &&[u8]| self.log.notes(id, name_of(entry));
        let env = bytes.split(|b| *b == 0).filter(noted).map(<[u8]>::to_vec).collect();
        Words { argv, env }
    }

    /// Records what a successful exec has loaded.
    fn loaded(&mut self, tid: i32, p: &mut Pending, exe: &[u8]) {
        let Some(plan) = p.exec.take() else { return };
        for load in &plan.loads {
            self.emit_load(tid, p.call(), load, 0);
        }
        let programs = || plan.loads.iter().filter(|load| load.op != Op::Loader);
        let program = programs().next_back();
        if program.is_none_or(|load| load.look.path != exe) && exe.first() == Some(&b'/') {
            // binfmt_misc chose an interpreter, or the file was replaced under us.
            let mut look = Look { text: exe.to_vec(), ..Look::default() };
            self.look(tid, Base::Cwd, true, &mut look);
            let mut extra = Plan::default();
            if look.stat().is_some() {
                self.plan_loads(tid, look, &mut extra);
            }
            for (i, load) in extra.loads.iter_mut().enumerate() {
                if i == 0 {
                    load.op = Op::Shebang;
                }
                self.emit_load(tid, p.call(), load, 0);
            }
        }
        let lost = |stat: &libc::stat| {
            let set_id = stat.st_mode & libc::S_ISUID != 0
                || stat.st_mode & (libc::S_ISGID | 0o010) == libc::S_ISGID | 0o010;
            set_id && (stat.st_mode & libc::S_IFMT) == libc::S_IFREG
        };
        if self.unprivileged
            && let Some(load) = program
            && load.look.stat().is_some_and(lost)
            && let Some(id) = self.process_of(tid)
        {
            self.log.note(id, HostKind::PrivilegeLost, &load.look.path, 0);
        }
    }

    /// A process died with a core dump: the kernel wrote a file, if the pattern names one
    /// (core(5)).
    pub(super) fn core_dump(&mut self, task: &Task) {
        let pattern = std::fs::read("/proc/sys/kernel/core_pattern").unwrap_or_default();
        let pattern = pattern.strip_suffix(b"\n").unwrap_or(&pattern);
        let id = self.procs.get(&task.tgid).map(|proc| proc.id);
        if pattern.first() == Some(&b'|') {
            // A program of the host gets it; nothing is written by this tree.
            return;
        }
        let cwd = task.fs.borrow().cwd.as_ref().map(|(_, cwd)| Rc::clone(cwd));
        let pid = task.tgid.to_string();
        let mut name = Vec::new();
        let mut rest = pattern.iter().copied();
        let mut plain = true;
        while let Some(byte) = rest.next() {
            match (byte, if byte == b'%' { rest.next() } else { None }) {
                (b'%', Some(b'%')) => name.push(b'%'),
                (b'%', Some(b'p' | b'P')) => name.extend_from_slice(pid.as_bytes()),
                (b'%', _) => plain = false,
                (byte, _) => name.push(byte),
            }
        }
        let uses_pid = std::fs::read("/proc/sys/kernel/core_uses_pid").is_ok_and(|b| b == b"1\n");
        if uses_pid && !pattern.windows(2).any(|w| w == b"%p") {
            name.push(b'.');
            name.extend_from_slice(pid.as_bytes());
        }
        let path = match cwd {
            _ if name.first() == Some(&b'/') => name,
            Some(cwd) => [&cwd[..], b"/", &name].concat(),
            None => Vec::new(),
        };
        if !plain || path.is_empty() {
            self.log.incomplete(id, ReasonCode::Other, || {
                "a core file was written under a name that is not known".into()
            });
            return;
        }
        self.log.begin();
        let fact = Fact {
            kind: Kind::Write,
            op: Op::Kernel,
            path: &path,
            requested: &[],
            other: &[],
            errno: 0,
            flags: 0,
            object: libc::S_IFREG,
        };
        self.emit(task.tgid, Call::KERNEL, &fact);
    }
}
