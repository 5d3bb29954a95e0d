//! The ptrace backend: one thread that waits for stops and answers them.

mod calls;
mod changes;
mod entry;
mod exec;
mod floor;
mod open;
mod parts;
mod place;
mod sockets;
mod tasks;
mod trust;

use crate::command::{Command, Error, Options, Outcome};
use crate::guard::{Attempt, Reaction};
use crate::kernel::guard::Floor;
use crate::log::{Call, Fact, Log, Part, why};
use crate::look::{Base, Found, Hop, Look, Looker, Viewer};
use crate::sys::memory::Memory;
use crate::sys::process::{self, Signals};
use crate::sys::ptrace::{self, SyscallStop, Wait};
use crate::sys::spawn::{self, Started};
use crate::sys::{files, regs};
use crate::table::{self, Abi, Row};
use crate::witness::{Summoned, Testimony, Witness};
use crate::{filter, start};
use airtight_recording::{Exit, Header, HostKind, Kind, Op, ProcessId, ReasonCode, Sink};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Instant;
use tasks::{Early, FsView, Pending, Proc, Task};

/// SECCOMP_RET_DATA of our filter: a filter of the traced program that answers RET_TRACE with
/// other data is not ours.
const MARK: u16 = 0xA17E;

/// How a stopped thread goes on.
enum Next {
    /// To the next stop that the filter wants.
    Run,
    /// To the exit of the call it is in.
    ToExit,
}

/// The row of the call that a thread's registers name.
fn row_of(nr: u64, i386: bool) -> Option<&'static Row> {
    let abi = match u32::try_from(nr).ok()? {
        _ if i386 => Abi::I386,
        nr => Abi::of(Abi::NATIVE.audit_arch(), nr)?,
    };
    table::lookup(abi, nr as u32)
}

/// The whole state of one trace.
struct Tracer<'a, 'b> {
    options: Options<'a>,
    /// What was known at the start.
    header: Header,
    log: Log<'b>,
    witness: Option<Witness>,
    /// Why there is none, where one was wanted if possible.
    unwitnessed: Option<String>,
    looker: Looker,
    tasks: FxHashMap<i32, Task>,
    procs: FxHashMap<i32, Proc>,
    early: Early,
    root: i32,
    root_exit: Option<Exit>,
    /// Whether the root has executed the command.
    started: bool,
    /// Counts what moves directories: a cached current directory is good for one generation.
    generation: u64,
    /// A mount was made or taken away: names no longer mean what they meant at the start.
    remounted: bool,
    /// Programs lose set-uid privilege under this trace.
    unprivileged: bool,
    /// What processes have begun to have recorded on its own, by their pid.
    parts: FxHashMap<i32, Part>,
    /// The variables that they have asked for.
    wanted: FxHashMap<i32, Vec<String>>,
    /// The guard in the kernel.
    floor: Option<Floor>,
    /// What it denied last.
    denied: Vec<u8>,
    /// Who gets the facts alone that are no news to the whole tree.
    receiver: Option<(Part, ProcessId)>,
    /// What is loaded for a file that is executed.
    loads: exec::Loads,
    places: place::Places,
    /// Threads with a foreseen open that may not have happened yet.
    trusting: std::collections::HashSet<i32>,
    /// Processes that may live on and are being stopped for it, and their threads that have.
    leaving: std::collections::HashSet<i32>,
    parked: std::collections::HashSet<i32>,
    deadline: Option<Instant>,
    timed_out: bool,
    killed: bool,
    scratch: Vec<u8>,
    name: Vec<u8>,
    #[expect(clippy::vec_box, reason = "moved in and out of tasks by the box, without copying")]
    spare: Vec<Box<Pending>>,
}

/// The filter for this machine.
fn filter_program(allow_io_uring: bool) -> Vec<libc::sock_filter> {
    filter::program(Abi::NATIVE, filter::Options { mark: MARK, allow_io_uring })
        .iter()
        .map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k })
        .collect()
}

/// Looks at files as they are when a recording ends.
fn stat_now() -> impl FnMut(&[u8]) -> Option<libc::stat> {
    let mut name = Vec::new();
    move |path| {
        name.clear();
        name.extend_from_slice(path);
        name.push(0);
        let path = std::ffi::CStr::from_bytes_with_nul(&name).ok()?;
        files::stat(files::CWD, path, true).ok()
    }
}

/// Whether a command could be run under ptrace: all is done but the exec.
pub(crate) fn check(command: &Command) -> Result<(), Error> {
    let filter = filter_program(false);
    let no_new_privs = !process::has_capability(process::CAP_SYS_ADMIN);
    let mut plan = start::plan(command, Some(&filter), no_new_privs)?;
    start::find_program(command, &plan.candidates)?;
    plan.candidates.clear();
    let system = |source| Error::System { what: "trying whether tracing works".into(), source };
    let signals = Signals::install().map_err(system)?;
    let mut started =
        spawn::start(&plan, &signals).map_err(|failure| start::error(failure, command))?;
    loop {
        match ptrace::wait_any().map_err(system)? {
            Wait::Status(tid, status) if libc::WIFSTOPPED(status) => {
                // One that was killed meanwhile can't go on; its end follows.
                let _ = ptrace::resume(tid, 0);
            }
            Wait::Status(tid, _) if tid == started.pid => break,
            Wait::Status(..) | Wait::Interrupted => {}
            Wait::NoChildren => break,
        }
    }
    match started.failure() {
        // There was nothing to execute: everything before has worked.
        Some(spawn::Failure::Exec(_)) => Ok(()),
        Some(failure) => Err(start::error(failure, command)),
        None => Err(system(io::Error::other("the trial process did not report"))),
    }
}

/// Runs a command under ptrace.
pub(crate) fn run(
    command: &Command,
    mut options: Options<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, Error> {
    let judge = options.kernel_guard.take();
    // Joins the threads of the guard, which end with it.
    std::thread::scope(|scope| {
        let limit = options.guard_limit;
        let guard = judge.map(|judge| |pid| Floor::begin(scope, pid, judge, limit));
        run_guarded(command, options, sink, guard)
    })
}

fn run_guarded(
    command: &Command,
    options: Options<'_>,
    sink: &mut dyn Sink,
    guard: Option<impl FnOnce(i32) -> io::Result<Floor>>,
) -> Result<Outcome, Error> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |source| Error::System { what, source }
    };
    let filter = filter_program(options.allow_io_uring);
    let no_new_privs = !process::has_capability(process::CAP_SYS_ADMIN);
    let plan = start::plan(command, Some(&filter), no_new_privs)?;
    let summoned = Summoned::by(options.witness, command.cwd.as_deref())?;
    let mut header = start::header(command, "ptrace");
    header.set_witnessed(summoned.is_ok());
    let looker = Looker::new().map_err(system("reading the mount table"))?;
    let loads = exec::Loads::new();
    let signals = Signals::install().map_err(system("installing signal handlers"))?;
    let _limit = process::MoreDescriptors::allow();
    let mut floor = None;
    let mut begin = guard.map(|guard| {
        let (mut guard, floor) = (Some(guard), &mut floor);
        move |pid| {
            *floor = guard.take().map(|guard| guard(pid)).transpose()?;
            Ok(())
        }
    });
    let apart = begin.as_mut().map(|begin| begin as spawn::Apart<'_>);
    let mut started = match spawn::start_apart(&plan, &signals, apart) {
        Ok(started) => started,
        Err(failure) => return Err(start::error(failure, command)),
    };
    drop(begin);
    let (witness, unwitnessed) = match summoned {
        Ok(summoned) => (Some(summoned.follow(started.pid)?), None),
        Err(why) => (None, why),
    };
    let deadline = options.timeout.map(|limit| Instant::now() + limit);
    if let Some(limit) = options.timeout {
        process::alarm(limit.max(std::time::Duration::from_millis(1)));
    }
    let mut tracer = Tracer {
        log: Log::new(sink, &header, options.marks.clone()),
        witness,
        unwitnessed,
        options,
        header,
        looker,
        tasks: FxHashMap::default(),
        procs: FxHashMap::default(),
        early: Early::default(),
        root: started.pid,
        root_exit: None,
        started: false,
        generation: 0,
        remounted: false,
        unprivileged: no_new_privs || !process::has_capability(process::CAP_SYS_PTRACE),
        parts: FxHashMap::default(),
        wanted: FxHashMap::default(),
        floor,
        denied: Vec::new(),
        receiver: None,
        loads,
        places: place::Places::new(started.pid),
        trusting: std::collections::HashSet::new(),
        leaving: std::collections::HashSet::new(),
        parked: std::collections::HashSet::new(),
        deadline,
        timed_out: false,
        killed: false,
        scratch: Vec::new(),
        name: Vec::new(),
        spare: Vec::new(),
    };
    if tracer.witness.is_some() {
        tracer.log.keep_for_witness();
    }
    tracer.adopt_root(command);
    tracer.place_floor();
    process::forward_to(started.pid);
    tracer.follow().map_err(system("waiting for traced processes"))?;
    tracer.finish(&mut started, command)
}

impl Tracer<'_, '_> {
    fn adopt_root(&mut self, command: &Command) {
        let (id, tally) = self.log.birth(None, self.root, None);
        let proc = Proc { id, tally, threads: 1, doubtful: false, name: Vec::new() };
        self.procs.insert(self.root, proc);
        let fs = Rc::new(RefCell::new(FsView::default()));
        self.tasks.insert(self.root, Task::new(self.root, self.root, fs));
        self.inherited(command);
    }

    /// Waits for stops until every process of the tree has ended.
    fn follow(&mut self) -> io::Result<()> {
        loop {
            match ptrace::wait_any()? {
                Wait::Status(tid, status) => self.on_status(tid, status),
                Wait::NoChildren => return Ok(()),
                Wait::Interrupted => self.places.tick(),
            }
            if self.root_exit.is_some() && self.procs.is_empty() {
                // Nothing is left but perhaps a keeper.
                return Ok(());
            }
            if let Some(deadline) = self.deadline
                && Instant::now() >= deadline
            {
                self.deadline = None;
                self.on_deadline();
            }
        }
    }

    /// The time limit, or the grace time after the end of the root, has passed.
    fn on_deadline(&mut self) {
        if self.root_exit.is_none() {
            self.timed_out = true;
            self.log.incomplete(None, ReasonCode::TimedOut, || "the time limit was reached".into());
            return self.kill_all();
        }
        // What is born from now on shares the fate of its maker.
        self.killed = true;
        for (&tgid, proc) in &self.procs {
            let name = String::from_utf8_lossy(&proc.name).into_owned();
            let allowed = self.options.survivors.contains(&name);
            self.log.note(proc.id, HostKind::SurvivingProcess, name.as_bytes(), 0);
            self.log.incomplete(Some(proc.id), ReasonCode::SurvivingProcess, || {
                let fate = if allowed { "lives on" } else { "was killed" };
                format!("{name} outlived the command and {fate}")
            });
            // SIGSTOP, so that an allowed one can be handed to a keeper.
            process::kill(tgid, if allowed { libc::SIGSTOP } else { libc::SIGKILL });
            if allowed {
                self.leaving.insert(tgid);
            }
        }
    }

    /// Whether all threads of the processes that may live on have stopped; they are handed to a
    /// keeper then, and this trace forgets them.
    fn hand_over(&mut self, stopped: i32) -> io::Result<()> {
        self.parked.insert(stopped);
        let leaving = |task: &&Task| self.leaving.contains(&task.tgid);
        let threads: Vec<i32> = self.tasks.values().filter(leaving).map(|t| t.tid).collect();
        if !threads.iter().all(|tid| self.parked.contains(tid)) {
            return Ok(());
        }
        let processes: Vec<i32> = self.leaving.drain().collect();
        self.places.let_go();
        let keeper = crate::sys::keeper::fork(&processes, &threads)?;
        for &tid in &threads {
            ptrace::detach(tid)?;
            self.tasks.remove(&tid);
        }
        for tgid in &processes {
            if let Some(proc) = self.procs.remove(tgid) {
                self.log.flush(proc.id, proc.tally);
            }
        }
        keeper.begin();
        Ok(())
    }

    fn kill_all(&mut self) {
        self.killed = true;
        for &tgid in self.procs.keys() {
            process::kill(tgid, libc::SIGKILL);
        }
    }

    /// One status of wait4(2), see ptrace(2).
    fn on_status(&mut self, tid: i32, status: i32) {
        if libc::WIFEXITED(status) {
            return self.on_end(tid, Exit::Code(libc::WEXITSTATUS(status) as u8), false);
        }
        if libc::WIFSIGNALED(status) {
            let core = libc::WCOREDUMP(status);
            return self.on_end(tid, Exit::Signal(libc::WTERMSIG(status) as u8), core);
        }
        if !libc::WIFSTOPPED(status) {
            return;
        }
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        if !self.tasks.contains_key(&tid) && event != libc::PTRACE_EVENT_EXEC {
            // A new thread or child that stopped before its maker's event was seen.
            self.early.insert(tid);
            return;
        }
        self.settle_trust(tid);
        let outcome = match event {
            0 if signal == libc::SIGTRAP | 0x80 => self.on_syscall_stop(tid),
            0 => self.on_signal(tid, signal),
            libc::PTRACE_EVENT_SECCOMP => self.on_seccomp(tid),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.on_birth(tid, event)
            }
            libc::PTRACE_EVENT_EXEC => self.on_exec(tid),
            libc::PTRACE_EVENT_STOP => self.on_stop(tid, signal),
            _ => self.go(tid, 0),
        };
        if let Err(error) = outcome {
            self.on_lost(tid, &error);
        }
    }

    /// A request failed. ESRCH means that the thread was killed meanwhile: its end follows.
    fn on_lost(&mut self, tid: i32, error: &io::Error) {
        if error.raw_os_error() != Some(libc::ESRCH) {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::LostEvent, || {
                format!("a stop could not be handled: {}", why(error))
            });
            // It must not stay stopped for ever.
            let _ = ptrace::resume(tid, 0);
        }
    }

    fn process_of(&self, tid: i32) -> Option<ProcessId> {
        let task = self.tasks.get(&tid)?;
        self.procs.get(&task.tgid).map(|proc| proc.id)
    }

    /// Goes on in the way the thread's state asks for.
    fn go(&mut self, tid: i32, signal: i32) -> io::Result<()> {
        let wants_syscalls =
            self.tasks.get(&tid).is_some_and(|task| task.strict || task.pending.is_some());
        if wants_syscalls {
            ptrace::resume_to_syscall(tid, signal)
        } else {
            ptrace::resume(tid, signal)
        }
    }

    fn on_signal(&mut self, tid: i32, signal: i32) -> io::Result<()> {
        // The default action of these may write a core file into the current directory, which
        // can't be asked for any more once it is dead.
        const CORE: &[i32] = &[
            libc::SIGQUIT,
            libc::SIGILL,
            libc::SIGABRT,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGSYS,
            libc::SIGTRAP,
            libc::SIGXCPU,
            libc::SIGXFSZ,
        ];
        if CORE.contains(&signal) {
            self.cwd(tid);
        }
        self.go(tid, signal)
    }

    /// PTRACE_EVENT_STOP: a new thread's first stop, or a group stop.
    fn on_stop(&mut self, tid: i32, signal: i32) -> io::Result<()> {
        const STOPS: &[i32] = &[libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
        if !STOPS.contains(&signal) {
            return self.go(tid, 0);
        }
        if self.tasks.get(&tid).is_some_and(|task| self.leaving.contains(&task.tgid)) {
            return self.hand_over(tid);
        }
        ptrace::listen(tid)?;
        if tid == self.root {
            // The caller waits for us, not for the child: it must see the stop.
            process::stop_self(signal);
        }
        Ok(())
    }

    fn on_birth(&mut self, parent: i32, event: i32) -> io::Result<()> {
        let child = ptrace::event_message(parent)? as i32;
        let (nr, first, i386) = regs::call_in_progress(parent)?;
        let is_clone = row_of(nr, i386).is_some_and(|row| row.name == "clone");
        let flags = if is_clone { first as i32 } else { 0 };
        let (tgid, fs) = {
            let task = &self.tasks[&parent];
            (task.tgid, Rc::clone(&task.fs))
        };
        let fs = if flags & libc::CLONE_FS != 0 {
            fs
        } else {
            let copy = fs.borrow().clone();
            Rc::new(RefCell::new(copy))
        };
        let thread = event == libc::PTRACE_EVENT_CLONE && flags & libc::CLONE_THREAD != 0;
        self.floor_birth(child, thread, flags);
        self.places.born(parent, child, !thread);
        let task = |tgid| Task::new(child, tgid, Rc::clone(&fs));
        if thread {
            self.tasks.insert(child, task(tgid));
            if let Some(proc) = self.procs.get_mut(&tgid) {
                proc.threads += 1;
            }
        } else {
            self.tasks.insert(child, task(child));
            let Some(maker) = self.procs.get_mut(&tgid) else { return self.go(parent, 0) };
            if flags & libc::CLONE_VM != 0 && flags & libc::CLONE_VFORK == 0 {
                maker.doubtful = true;
            }
            let (maker_id, doubtful, name) = (maker.id, maker.doubtful, maker.name.clone());
            let (id, tally) = self.log.birth(Some(maker_id), child, self.parts.get(&tgid));
            let doubtful = doubtful || flags & libc::CLONE_NEWUSER != 0;
            self.procs.insert(child, Proc { id, tally, threads: 1, doubtful, name });
            if self.leaving.contains(&tgid) {
                self.leaving.insert(child);
                process::kill(child, libc::SIGSTOP);
            } else if self.killed {
                process::kill(child, libc::SIGKILL);
            }
        }
        if self.early.remove(&child) {
            self.go(child, 0).or_else(|error| {
                if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) }
            })?;
        }
        self.go(parent, 0)
    }

    /// A thread has ended; the leader's end is that of the process.
    fn on_end(&mut self, tid: i32, exit: Exit, core: bool) {
        self.early.remove(&tid);
        self.places.ended(tid);
        self.settle_trust(tid);
        let Some(mut task) = self.tasks.remove(&tid) else { return };
        if let Some(pending) = task.pending.take() {
            self.on_interrupted(&task, pending);
        }
        if tid != task.tgid {
            if let Some(proc) = self.procs.get_mut(&task.tgid) {
                proc.threads = proc.threads.saturating_sub(1);
            }
            return;
        }
        if core {
            self.core_dump(&task);
        }
        self.floor_news();
        if let Some(floor) = &self.floor {
            floor.ended(tid);
        }
        if let Some(proc) = self.procs.remove(&tid) {
            self.log.death(proc.id, proc.tally, exit);
        }
        self.abandon_part(tid);
        self.wanted.remove(&tid);
        if tid == self.root {
            self.root_exit = Some(exit);
            process::forward_to(0);
            if !self.procs.is_empty() && !self.killed {
                let grace = self.options.grace;
                self.deadline = Some(Instant::now() + grace);
                process::alarm(grace.max(std::time::Duration::from_millis(1)));
            }
        }
    }

    /// The last words: what is still held back goes to the sink.
    fn finish(mut self, started: &mut Started, command: &Command) -> Result<Outcome, Error> {
        self.floor_news();
        for (_, proc) in self.procs.drain() {
            self.log.incomplete(Some(proc.id), ReasonCode::LostEvent, || {
                "the end of a process was not seen".into()
            });
            self.log.flush(proc.id, proc.tally);
        }
        if !self.started
            && let Some(failure) = started.failure()
        {
            return Err(start::error(self.floor_failure(failure), command));
        }
        let exit = self.root_exit.unwrap_or_else(|| {
            self.log.incomplete(None, ReasonCode::LostEvent, || {
                "the end of the command was not seen".into()
            });
            Exit::Code(255)
        });
        let testimony = self.witness.take().map(Witness::testify);
        if let Some(testimony) = &testimony {
            testimony.complete(&mut self.log);
        }
        let unwatched = testimony.as_ref().map(Testimony::blind).unwrap_or_default();
        let (timed_out, unwitnessed) = (self.timed_out, self.unwitnessed);
        let completeness = self.log.end(stat_now());
        let asked = self.floor.as_ref().map(Floor::asked);
        Ok(Outcome { exit, completeness, timed_out, unwitnessed, unwatched, asked })
    }

    // ---- names -------------------------------------------------------------------------------

    fn viewer(&self, task: &Task) -> Viewer {
        let host = !self.remounted && !task.fs.borrow().foreign;
        Viewer { tid: task.tid, tgid: task.tgid, host }
    }

    /// Whether somebody has moved, removed or replaced something on a watched way, so that names
    /// looked up through what is remembered may have been looked up in the wrong place.
    fn moved(&mut self) -> bool {
        let moved = self.looker.changed();
        if moved {
            self.generation += 1;
            self.review_trust();
        }
        moved
    }

    /// The canonical current directory of a thread; empty when it can't be known.
    fn cwd(&mut self, tid: i32) -> Rc<[u8]> {
        self.moved();
        let Some(task) = self.tasks.get(&tid) else { return Rc::from(&[][..]) };
        if let Some((generation, cwd)) = &task.fs.borrow().cwd
            && *generation == self.generation
        {
            return Rc::clone(cwd);
        }
        let viewer = self.viewer(task);
        let fs = Rc::clone(&task.fs);
        let mut name = std::mem::take(&mut self.name);
        let mut known = self.looker.name_of(viewer, format_args!("cwd"), &mut name);
        let mut remember = viewer.host && self.looker.may_remember(&name);
        if known.is_ok() && viewer.host && !remember {
            // Now it is watched, or can't be. What was read is older than the watch.
            known = self.looker.name_of(viewer, format_args!("cwd"), &mut name);
            remember = self.looker.may_remember(&name);
        }
        let cwd: Rc<[u8]> = if known.is_ok() { Rc::from(&name[..]) } else { Rc::from(&[][..]) };
        self.name = name;
        // Also for a core file that is written when it can no longer be asked for.
        let generation = if remember { self.generation } else { u64::MAX };
        match known {
            Ok(()) => fs.borrow_mut().cwd = Some((generation, Rc::clone(&cwd))),
            // It will make no more calls.
            Err(_) if self.is_dying(tid) => {}
            Err(error) => {
                let id = self.process_of(tid);
                self.log.incomplete(id, ReasonCode::PathUnreadable, || {
                    format!("a current directory has no readable name: {}", why(&error))
                });
            }
        }
        cwd
    }

    /// The canonical name of what a relative name starts from; none when that is no descriptor
    /// with a name.
    fn base_name(&mut self, tid: i32, base: Base, text: &[u8]) -> Option<Rc<[u8]>> {
        if text.first() == Some(&b'/') && !matches!(base, Base::RootDescriptor(_)) {
            return Some(Rc::from(&[][..]));
        }
        let fd = match base {
            Base::Cwd => return Some(self.cwd(tid)).filter(|cwd| !cwd.is_empty()),
            Base::Descriptor(fd) | Base::RootDescriptor(fd) => fd,
        };
        let viewer = self.viewer(&self.tasks[&tid]);
        let mut name = std::mem::take(&mut self.name);
        let known = self.looker.name_of(viewer, format_args!("fd/{fd}"), &mut name);
        let result = known.is_ok().then(|| Rc::from(&name[..]));
        self.name = name;
        if let Err(error) = known
            && error.raw_os_error() != Some(libc::ENOENT)
            && !self.is_dying(tid)
        {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::PathUnreadable, || {
                format!("a directory descriptor has no readable name: {}", why(&error))
            });
        }
        result
    }

    /// Reads the NUL-terminated name at `addr` into `out`. False when there is none that the
    /// kernel would accept (EFAULT, ENAMETOOLONG): then the call names nothing.
    fn read_name(&mut self, tid: i32, addr: u64, out: &mut Vec<u8>) -> bool {
        const PAGE: u64 = 4096;
        const PATH_MAX: usize = libc::PATH_MAX as usize;
        out.clear();
        if addr == 0 {
            return false;
        }
        let mut at = addr;
        while out.len() < PATH_MAX {
            // To the end of the page at most: the next one may not be there.
            let want = (PAGE - at % PAGE).min(256) as usize;
            let have = out.len();
            out.resize(have + want, 0);
            match self.read_memory(tid, at, &mut out[have..]) {
                Ok(got) => {
                    out.truncate(have + got);
                    if let Some(end) = out[have..].iter().position(|b| *b == 0) {
                        out.truncate(have + end);
                        return out.len() < PATH_MAX;
                    }
                    if got < want {
                        return false;
                    }
                    at += want as u64;
                }
                Err(error) => {
                    if !matches!(error.raw_os_error(), Some(libc::EFAULT | libc::ESRCH)) {
                        let id = self.process_of(tid);
                        self.log.incomplete(id, ReasonCode::MemoryUnreadable, || {
                            format!("the memory of a process can't be read: {}", why(&error))
                        });
                    }
                    return false;
                }
            }
        }
        false
    }

    fn read_memory(&mut self, tid: i32, addr: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self.tasks.get_mut(&tid) {
            Some(task) => task.memory.get_or_insert_with(|| Memory::open(tid)).read(tid, addr, buf),
            None => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// Reads a structure of at most `buf.len()` bytes; false when it is not all there.
    fn read_exact(&mut self, tid: i32, addr: u64, buf: &mut [u8]) -> bool {
        self.read_memory(tid, addr, buf).is_ok_and(|got| got == buf.len())
    }

    /// Looks at `look.text` as `tid` would.
    fn look(&mut self, tid: i32, base: Base, follow: bool, look: &mut Look) {
        let Some(cwd) = self.base_name(tid, base, &look.text) else {
            look.path.clear();
            look.hops.clear();
            look.found = Found::Refused(libc::EBADF as u16);
            return;
        };
        let viewer = self.viewer(&self.tasks[&tid]);
        self.moved();
        self.looker.look(viewer, base, &cwd, follow, look);
        if std::mem::take(&mut self.looker.nowhere) {
            let id = self.process_of(tid);
            self.log.incomplete(id, ReasonCode::PathUnreadable, || {
                let name = String::from_utf8_lossy(&look.text);
                format!("{name} is on a mount that the host does not show")
            });
        }
    }

    // ---- facts -------------------------------------------------------------------------------

    /// Begins a group of facts with the links that were crossed.
    fn emit_hops(&mut self, tgid: i32, call: Call, hops: &[Hop]) {
        self.log.begin();
        let Some(proc) = self.procs.get_mut(&tgid) else { return };
        for hop in hops {
            let fact = Fact {
                kind: Kind::Link,
                op: Op::Hop,
                path: &hop.path,
                requested: &[],
                other: &hop.text,
                errno: 0,
                flags: 0,
                object: libc::S_IFLNK,
            };
            self.log.emit(proc.id, &mut proc.tally, call, &fact);
        }
    }

    fn emit(&mut self, tgid: i32, call: Call, fact: &Fact<'_>) {
        if let Some((part, id)) = &self.receiver {
            return part.emit(self.log.now(), *id, call, fact);
        }
        if let Some(proc) = self.procs.get_mut(&tgid) {
            self.log.emit(proc.id, &mut proc.tally, call, fact);
        }
    }

    /// A look-up that told only whether a name is there: its hops and a probe. `errno` is that of
    /// the call, for a name that is there and was refused.
    fn emit_probe(&mut self, tgid: i32, call: Call, look: &Look, op: Op, errno: u16, flags: u32) {
        self.emit_hops(tgid, call, &look.hops);
        let errno = match look.errno() {
            0 => errno,
            missing => missing,
        };
        let fact = Fact {
            kind: Kind::Probe,
            op,
            path: &look.path,
            requested: &look.requested,
            other: &[],
            errno,
            flags,
            object: look.object(),
        };
        self.emit(tgid, call, &fact);
    }

    fn spare(&mut self, row: &'static Row, abi: Abi, args: [u64; 6]) -> Box<Pending> {
        match self.spare.pop() {
            Some(mut pending) => {
                pending.row = row;
                pending.abi = abi;
                pending.args = args;
                pending.base = Base::Cwd;
                pending.flags = 0;
                pending.existed = false;
                pending.exec = None;
                pending.socket = None;
                pending.unsettles = false;
                for look in &mut pending.looks {
                    look.text.clear();
                    look.path.clear();
                    look.hops.clear();
                }
                pending
            }
            None => Box::new(Pending {
                row,
                abi,
                args,
                looks: Default::default(),
                base: Base::Cwd,
                flags: 0,
                existed: false,
                exec: None,
                socket: None,
                unsettles: false,
            }),
        }
    }
}
