//! The guard in the kernel: every open of the tree waits for our answer, whatever call it is made
//! by (fanotify(7), permission events).
//!
//! It is the floor beneath the guard of the tracer, which is asked at calls and so does not see
//! what io_uring opens, what is opened by handle, and what exec loads by itself. The marks are on
//! the mounts of a mount namespace that is private to the tree ([`Marks`]): no process outside can
//! ever wait here. When this process dies the kernel closes the group and lets everything go on.
//!
//! Two threads serve. One answers. It opens nothing by name on a guarded mount, or it would wait
//! for itself. The other sleeps, and denies in its place when the judge takes too long.

mod ask;
mod marks;

pub(crate) use ask::{Hint, Hints};
pub(crate) use marks::Marks;

use crate::guard::{Guard, MakeGuard, Reaction};
use crate::sys::fanotify::Group;
use crate::sys::permit::{self, Event};
use crate::sys::place::Cpus;
use crate::sys::process;
use airtight_recording::Kind;
use ask::Names;
use nix::sys::signal::{SigSet, SigmaskHow};
use rustc_hash::FxHashSet;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// An open that was denied in the kernel.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) pid: i32,
    /// The canonical name, as the host has it.
    pub(crate) path: Vec<u8>,
    /// The name as asked for; empty when that is not known.
    pub(crate) requested: Vec<u8>,
    pub(crate) kind: Kind,
    /// File type bits.
    pub(crate) object: u32,
    /// The policy demands that the tree dies for it.
    pub(crate) kill: bool,
}

/// How often the kernel has asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Opens of the tree.
    pub opens: u64,
    /// Those of them that were denied.
    pub denied: u64,
    /// Opens of other processes on the tree's own mounts, by way of /proc; never denied.
    pub outside: u64,
}

/// What the two threads and the tracer share.
struct Shared {
    group: Group,
    hints: Mutex<Hints>,
    /// The processes of the tree.
    members: Mutex<FxHashSet<i32>>,
    /// The file that the judge is being asked about, and since when.
    asking: Mutex<Asking>,
    refused: Mutex<Vec<Refused>>,
    /// Why the recording can't be trusted.
    trouble: Mutex<Vec<String>>,
    /// Something is in one of the two.
    news: AtomicBool,
    remounted: AtomicBool,
    opens: AtomicU64,
    denied: AtomicU64,
    outside: AtomicU64,
    /// The answering thread.
    tid: AtomicI32,
    limit: Duration,
}

/// The question that is before the judge.
#[derive(Default)]
struct Asking {
    file: Option<(OwnedFd, Instant)>,
    /// It took too long, and has been denied; the judge is still at it.
    late: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The guard of one tree. Dropped, it lets everything pass.
pub(crate) struct Floor {
    shared: Arc<Shared>,
    marks: Marks,
    /// Closed to end the threads.
    _stop: PipeWriter,
}

impl Floor {
    /// Guards the mounts of process `pid`, which has just moved into a mount namespace of its own,
    /// and all that comes of it. To be called when no fork can be under way. A judge that takes
    /// longer than `limit` is answered for: denied.
    ///
    /// # Errors
    /// EPERM without CAP_SYS_ADMIN; when the process has no namespace of its own, or a mount can't
    /// be marked.
    pub(crate) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        pid: i32,
        judge: &'scope dyn MakeGuard,
        limit: Duration,
    ) -> io::Result<Floor> {
        let group = permit::group()?;
        let mut marks = Marks::default();
        let mounts = marks.adopt(&group, pid)?;
        let shared = Arc::new(Shared {
            group,
            hints: Mutex::default(),
            members: Mutex::new(FxHashSet::from_iter([pid])),
            asking: Mutex::default(),
            refused: Mutex::default(),
            trouble: Mutex::default(),
            news: AtomicBool::new(false),
            remounted: AtomicBool::new(false),
            opens: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            outside: AtomicU64::new(0),
            tid: AtomicI32::new(0),
            limit,
        });
        let (ended, stop) = io::pipe()?;
        let ended = Arc::new(ended);
        let names = Names::new(&mounts)?;
        start(scope, &shared, &ended, "guard", move |shared, ended| {
            shared.serve(names, judge, ended);
        })?;
        start(scope, &shared, &ended, "guard-limit", Shared::supervise)?;
        Ok(Floor { shared, marks, _stop: stop })
    }

    /// The answering thread runs where the calling one may run: a question costs less than waking
    /// another CPU.
    pub(crate) fn place(&self) {
        let tid = self.shared.tid.load(Ordering::Acquire);
        if tid != 0
            && let Ok(here) = Cpus::of(0)
        {
            // A matter of speed alone.
            let _ = here.apply(tid);
        }
    }

    /// A thread makes a call that may open these files.
    pub(crate) fn expect(&self, tgid: i32, tid: i32, hints: impl Iterator<Item = Hint>) {
        lock(&self.shared.hints).set(tgid, tid, hints);
    }

    /// A process is born, and has opened nothing yet.
    pub(crate) fn born(&self, pid: i32) {
        lock(&self.shared.members).insert(pid);
    }

    /// A process has ended.
    pub(crate) fn ended(&self, pid: i32) {
        lock(&self.shared.members).remove(&pid);
        lock(&self.shared.hints).forget(pid);
    }

    /// A stopped process has just been given a mount namespace made for it.
    ///
    /// # Errors
    /// When what is mounted there is not guarded now.
    pub(crate) fn adopt(&mut self, pid: i32) -> io::Result<()> {
        self.shared.remounted.store(true, Ordering::Release);
        self.marks.adopt(&self.shared.group, pid).map(drop)
    }

    /// A stopped process has changed what is mounted where.
    ///
    /// # Errors
    /// As [`Floor::adopt`].
    pub(crate) fn renew(&self, pid: i32) -> io::Result<()> {
        self.shared.remounted.store(true, Ordering::Release);
        self.marks.renew(&self.shared.group, pid).map(drop)
    }

    /// A stopped process has got a mount by a descriptor.
    ///
    /// # Errors
    /// As [`Floor::adopt`].
    pub(crate) fn descriptor(&self, pid: i32, fd: i32) -> io::Result<()> {
        self.shared.remounted.store(true, Ordering::Release);
        self.marks.descriptor(&self.shared.group, pid, fd)
    }

    /// Whether a process sees only mounts that are guarded.
    pub(crate) fn covers(&self, pid: i32) -> bool {
        self.marks.cover(pid)
    }

    /// A stopped process is about to open something that is neither file nor directory; `path` is
    /// its name on the host.
    ///
    /// # Errors
    /// When it will be asked about.
    pub(crate) fn ignore(&self, path: &[u8]) -> io::Result<()> {
        Marks::ignore(&self.shared.group, path)
    }

    /// What was denied, and what went wrong, since this was asked last.
    pub(crate) fn news(&self) -> Option<(Vec<Refused>, Vec<String>)> {
        self.shared.news.swap(false, Ordering::AcqRel).then(|| {
            let refused = std::mem::take(&mut *lock(&self.shared.refused));
            (refused, std::mem::take(&mut *lock(&self.shared.trouble)))
        })
    }

    /// How often the kernel has asked so far.
    pub(crate) fn asked(&self) -> Asked {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let Shared { opens, denied, outside, .. } = &*self.shared;
        Asked { opens: count(opens), denied: count(denied), outside: count(outside) }
    }
}

/// Starts one of the threads. Signals are for the tracer: it is born with all of them blocked.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &Arc<Shared>,
    ended: &Arc<PipeReader>,
    name: &str,
    work: impl FnOnce(&Shared, &PipeReader) + Send + 'scope,
) -> io::Result<()> {
    let (shared, ended) = (Arc::clone(shared), Arc::clone(ended));
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn_scoped(scope, move || work(&shared, &ended));
    before.thread_set_mask()?;
    started.map(drop)
}

impl Shared {
    /// Answers until the floor is dropped.
    fn serve(&self, mut names: Names, judge: &dyn MakeGuard, ended: &PipeReader) {
        let mut judge = judge.make();
        self.tid.store(nix::unistd::gettid().as_raw(), Ordering::Release);
        loop {
            match permit::next(&self.group) {
                Ok(Some(event)) => self.answer(event, &mut names, &mut *judge),
                Ok(None) => {
                    let [_, over] = permit::wait([self.group.as_raw_fd(), ended.as_raw_fd()], -1);
                    if over {
                        return;
                    }
                }
                Err(error) => self.fail(format!("an open was denied unasked: {error}")),
            }
        }
    }

    fn answer(&self, event: Event, names: &mut Names, judge: &mut dyn Guard) {
        let Event { file, pid, mask } = event;
        let Some(file) = file else {
            return self.fail("an open was denied: the file can't be opened by airtight".into());
        };
        // The tracer itself looks at the tree's files, and somebody else may.
        if !lock(&self.members).contains(&pid) {
            if pid != std::process::id().cast_signed() {
                self.outside.fetch_add(1, Ordering::Relaxed);
            }
            return permit::answer(&self.group, file.as_fd(), true);
        }
        self.opens.fetch_add(1, Ordering::Relaxed);
        if self.remounted.swap(false, Ordering::AcqRel)
            && let Err(error) = names.remounted()
        {
            self.fail(format!("the mount table can't be read: {error}"));
        }
        let exec = mask & libc::FAN_OPEN_EXEC_PERM != 0;
        let open = permit::facts(file.as_fd())
            .and_then(|facts| names.open(pid, exec, &file, facts, &self.hints));
        let open = match open {
            Ok(Some(open)) => open,
            Ok(None) => return permit::answer(&self.group, file.as_fd(), true),
            Err(error) => {
                self.fail(format!("an open was denied, because it can't be judged: {error}"));
                return permit::answer(&self.group, file.as_fd(), false);
            }
        };
        lock(&self.asking).file = Some((file, Instant::now()));
        // A judge that fails has not allowed it.
        let reaction = catch_unwind(AssertUnwindSafe(|| open.decide(judge)));
        let mut asking = lock(&self.asking);
        if std::mem::take(&mut asking.late) {
            // Denied and told by then.
            return;
        }
        let Some((file, _)) = asking.file.take() else { return };
        drop(asking);
        match reaction {
            Ok(Reaction::Allow) => return permit::answer(&self.group, file.as_fd(), true),
            Ok(reaction) => {
                let kill = reaction == Reaction::Kill;
                self.refuse(open.refused(pid, kill));
                if kill {
                    process::kill(pid, libc::SIGKILL);
                }
            }
            Err(_) => {
                let path = String::from_utf8_lossy(&open.path).into_owned();
                self.fail(format!("{path} was denied, because judging it failed"));
                self.refuse(open.refused(pid, false));
            }
        }
        // Last: whoever sees the refusal finds it told.
        permit::answer(&self.group, file.as_fd(), false);
    }

    fn refuse(&self, refused: Refused) {
        self.denied.fetch_add(1, Ordering::Relaxed);
        lock(&self.refused).push(refused);
        self.news.store(true, Ordering::Release);
    }

    fn fail(&self, what: String) {
        const MOST: usize = 100;
        let mut trouble = lock(&self.trouble);
        if trouble.len() < MOST {
            trouble.push(what);
        }
        self.news.store(true, Ordering::Release);
    }

    /// Denies what the judge is asked for too long, and whatever is opened until it has answered.
    fn supervise(&self, ended: &PipeReader) {
        let pause = i32::try_from(self.limit.as_millis() / 4).unwrap_or(i32::MAX).max(1);
        loop {
            let late = {
                let mut asking = lock(&self.asking);
                let limit = self.limit;
                if let Some((file, _)) = asking.file.take_if(|(_, since)| since.elapsed() > limit) {
                    asking.late = true;
                    let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
                    let name = name.unwrap_or_default();
                    self.fail(format!(
                        "{} was denied, because the judge took longer than {limit:?}",
                        name.display()
                    ));
                    self.denied.fetch_add(1, Ordering::Relaxed);
                    permit::answer(&self.group, file.as_fd(), false);
                }
                if asking.late {
                    // While it is held, the other thread does not go on: each event is read once.
                    while let Ok(Some(Event { file, pid, .. })) = permit::next(&self.group) {
                        let Some(file) = file else { continue };
                        let ours = lock(&self.members).contains(&pid);
                        let count = if ours { &self.denied } else { &self.outside };
                        count.fetch_add(1, Ordering::Relaxed);
                        permit::answer(&self.group, file.as_fd(), !ours);
                    }
                }
                asking.late
            };
            let group = if late { self.group.as_raw_fd() } else { -1 };
            let [_, over] = permit::wait([group, ended.as_raw_fd()], pause);
            if over {
                return;
            }
        }
    }
}

/// Whether opens can be guarded in the kernel here.
///
/// # Errors
/// Why not.
pub fn guard_ability() -> Result<(), String> {
    if let Err(error) = permit::group() {
        return Err(match error.raw_os_error() {
            Some(libc::EPERM) => "it needs CAP_SYS_ADMIN".to_owned(),
            Some(libc::EINVAL | libc::ENOSYS) => {
                "the kernel has no permission events (CONFIG_FANOTIFY_ACCESS_PERMISSIONS)"
                    .to_owned()
            }
            _ => format!("fanotify can't be had: {error}"),
        });
    }
    crate::sys::spawn::may_live_apart()
        .map_err(|error| format!("a mount namespace of its own can't be had: {error}"))
}

#[cfg(test)]
mod tests;
