//! Signals, timers and facts about this process.

use super::check;
use std::io;
use std::mem::{size_of, zeroed};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The root process, to which the handlers forward; 0 for none.
static ROOT: AtomicI32 = AtomicI32::new(0);

/// Passes a signal on to the root process, which decides what it means. Uses only kill(2) and an
/// atomic: both are async-signal-safe.
extern "C" fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let root = ROOT.load(Ordering::Relaxed);
    // SAFETY: the kernel passes a valid siginfo to a SA_SIGINFO handler.
    let from_terminal = unsafe { (*info).si_code } == libc::SI_KERNEL;
    // The terminal signals its whole foreground group: the child has had its own copy.
    if root > 0 && !from_terminal {
        // SAFETY: integers only.
        unsafe { libc::kill(root, signal) };
    }
}

/// Set by SIGALRM, which also interrupts the wait.
static ALARM: AtomicBool = AtomicBool::new(false);

extern "C" fn wake(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    ALARM.store(true, Ordering::Relaxed);
}

/// Whether a timer has fired since it was asked last.
pub(crate) fn alarmed() -> bool {
    ALARM.swap(false, Ordering::Relaxed)
}

/// The disposition of SIGPIPE that this process was started with: Rust's runtime sets it to ignored
/// before `main`, and a traced command must have its own.
static SIGPIPE_WAS: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);

extern "C" fn save_sigpipe() {
    // SAFETY: sigaction is plain data, for which all zeroes is a value, and lives here.
    unsafe {
        let mut old: libc::sigaction = zeroed();
        if libc::sigaction(libc::SIGPIPE, ptr::null(), &raw mut old) == 0 {
            SIGPIPE_WAS.store(old.sa_sigaction, Ordering::Relaxed);
        }
    }
}

// SAFETY: .init_array holds pointers to functions that the loader calls once before `main`; this
// one calls only sigaction and touches only an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static SAVE_SIGPIPE: extern "C" fn() = save_sigpipe;

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// What is done with each signal while a command runs. A stop from the terminal must not stop the
/// tracer before the child has had its say.
const HANDLERS: &[(libc::c_int, Handler)] = &[
    (libc::SIGTERM, forward),
    (libc::SIGHUP, forward),
    (libc::SIGUSR1, forward),
    (libc::SIGUSR2, forward),
    (libc::SIGWINCH, forward),
    (libc::SIGINT, forward),
    (libc::SIGQUIT, forward),
    (libc::SIGTSTP, forward),
    (libc::SIGCONT, forward),
    (libc::SIGTTIN, wake),
    (libc::SIGTTOU, wake),
    (libc::SIGALRM, wake),
    (libc::SIGIO, super::watch::on_event),
];

/// Signal dispositions as they were: restored when dropped, and in the child before it runs.
pub(crate) struct Signals {
    saved: Vec<(libc::c_int, libc::sigaction)>,
    mask: libc::sigset_t,
}

impl Signals {
    /// Installs the handlers. A signal that was ignored (nohup) stays ignored.
    pub(crate) fn install() -> io::Result<Signals> {
        let mut saved = Vec::with_capacity(HANDLERS.len());
        // SAFETY: sigset_t and sigaction are plain data, for which all zeroes is a value; all
        // pointers are to live values of the right types.
        unsafe {
            let mut unblock: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut unblock);
            for &(signal, handler) in HANDLERS {
                let mut old: libc::sigaction = zeroed();
                check(i64::from(libc::sigaction(signal, ptr::null(), &raw mut old)))?;
                if old.sa_sigaction != libc::SIG_IGN
                    || matches!(signal, libc::SIGALRM | libc::SIGIO)
                {
                    let mut action: libc::sigaction = zeroed();
                    action.sa_sigaction = handler as *const () as usize;
                    action.sa_flags = libc::SA_SIGINFO;
                    check(i64::from(libc::sigaction(signal, &raw const action, ptr::null_mut())))?;
                }
                saved.push((signal, old));
                libc::sigaddset(&raw mut unblock, signal);
            }
            let mut mask: libc::sigset_t = zeroed();
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const unblock, &raw mut mask);
            Ok(Signals { saved, mask })
        }
    }

    /// Gives a forked child the dispositions and limits that this process was started with.
    /// Async-signal-safe.
    pub(crate) fn restore_in_child(&self) {
        self.restore();
        MoreDescriptors::take_back();
        // SAFETY: sigaction is plain data; the handler is SIG_DFL or SIG_IGN, as it was.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = SIGPIPE_WAS.load(Ordering::Relaxed);
            libc::sigaction(libc::SIGPIPE, &raw const action, ptr::null_mut());
        }
    }

    fn restore(&self) {
        for (signal, action) in &self.saved {
            // SAFETY: the action is one that sigaction itself has returned.
            unsafe { libc::sigaction(*signal, action, ptr::null_mut()) };
        }
        // SAFETY: the mask is one that sigprocmask itself has returned.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, ptr::null_mut()) };
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        forward_to(0);
        alarm(Duration::ZERO);
        self.restore();
    }
}

/// The soft limit of descriptors, as it was before it was raised; 0 while it is not.
static SOFT_LIMIT: AtomicU64 = AtomicU64::new(0);

fn set_soft_limit(soft: u64) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a live structure.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return None;
        }
        let before = limit.rlim_cur;
        limit.rlim_cur = soft.min(limit.rlim_max);
        (libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0).then_some(before)
    }
}

/// Lets this process have as many descriptors as it may: it keeps a few for each traced thread.
/// Taken back when dropped, and in a child.
pub(crate) struct MoreDescriptors;

impl MoreDescriptors {
    pub(crate) fn allow() -> MoreDescriptors {
        SOFT_LIMIT.store(set_soft_limit(u64::MAX).unwrap_or(0), Ordering::Relaxed);
        MoreDescriptors
    }

    /// Async-signal-safe: getrlimit and setrlimit are plain system calls.
    pub(crate) fn take_back() {
        let before = SOFT_LIMIT.swap(0, Ordering::Relaxed);
        if before != 0 {
            set_soft_limit(before);
        }
    }
}

impl Drop for MoreDescriptors {
    fn drop(&mut self) {
        MoreDescriptors::take_back();
    }
}

/// As long as this lives, processes below this one that lose their parent become its children
/// (prctl(2), PR_SET_CHILD_SUBREAPER).
pub(crate) struct Reaper {
    before: libc::c_ulong,
}

impl Reaper {
    pub(crate) fn begin() -> io::Result<Reaper> {
        let mut before: libc::c_int = 0;
        // SAFETY: the kernel writes one int to a live one; integers otherwise.
        unsafe {
            check(i64::from(libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut before)))?;
            check(i64::from(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as libc::c_ulong)))?;
        }
        Ok(Reaper { before: libc::c_ulong::from(before != 0) })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // SAFETY: integers only.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, self.before) };
    }
}

/// Names the process that signals are forwarded to; 0 for none.
pub(crate) fn forward_to(pid: i32) {
    ROOT.store(pid, Ordering::Relaxed);
}

/// Stops this process by the signal that stopped its child, so that the shell sees the same;
/// returns when it is continued.
pub(crate) fn stop_self(signal: i32) {
    // SAFETY: sigaction is plain data; all pointers are to live values.
    unsafe {
        let mut default: libc::sigaction = zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        let mut ours: libc::sigaction = zeroed();
        let handled = libc::sigaction(signal, &raw const default, &raw mut ours) == 0;
        libc::kill(libc::getpid(), signal);
        if handled {
            libc::sigaction(signal, &raw const ours, ptr::null_mut());
        }
    }
}

/// Ends this process by `signal`, as a child died that it stands for. Does not return unless the
/// signal does not kill. Raw calls: the C library keeps signals 32 and 33 for itself and refuses
/// them.
pub fn die_by(signal: i32) {
    /// The kernel's `struct sigaction`: handler, flags, restorer, mask.
    const DEFAULT: [u64; 4] = [0; 4];
    let mask: u64 = 1 << (signal.clamp(1, 64) - 1);
    let (size, none) = (size_of::<u64>(), ptr::null_mut::<u64>());
    // SAFETY: the structures are live and as large as the kernel reads; integers otherwise.
    unsafe {
        // The child left its own core file. One of ours would only hide it.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, size);
        let (pid, tid) = (libc::getpid(), libc::gettid());
        libc::syscall(libc::SYS_tgkill, pid, tid, signal);
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_UNBLOCK, &raw const mask, none, size);
    }
}

/// Sends a signal to a process. One that is gone is no error here.
pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: integers only.
    unsafe { libc::kill(pid, signal) };
}

/// Makes SIGALRM interrupt the wait, repeatedly from `after` on (once is not enough: it may come
/// just before the wait begins). Zero stops it.
pub(crate) fn alarm(after: Duration) {
    let interval = if after.is_zero() { after } else { Duration::from_millis(50) };
    let time = |d: Duration| libc::timeval {
        tv_sec: d.as_secs() as libc::time_t,
        tv_usec: i64::from(d.subsec_micros()),
    };
    let timer = libc::itimerval { it_interval: time(interval), it_value: time(after) };
    let old = ptr::null_mut::<libc::itimerval>();
    // SAFETY: the timer is a live value, the old one is not asked for.
    unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, old) };
}

/// The living processes below `pid`, makers first.
pub(crate) fn below(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&maker) = found.get(next) {
        found.extend(all.iter().filter(|(_, parent)| *parent == maker).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The parent of a process that has not ended.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // proc_pid_stat(5): pid (name) state ppid; the name may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut rest = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    match rest.next()? {
        "Z" | "X" => None,
        _ => rest.next()?.parse().ok(),
    }
}

/// Waits until a change of a file gets a later time than any before, and gives that time, in
/// nanoseconds since the epoch. File times are those of the last tick of the kernel, some
/// milliseconds ago.
pub(crate) fn new_tick() -> i64 {
    const MOMENT: Duration = Duration::from_micros(200);
    const MOST_TRIES: u32 = 100;
    let now = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the time is a live structure. Both clocks always exist.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    let asked = now(libc::CLOCK_REALTIME);
    for _ in 0..MOST_TRIES {
        let tick = now(libc::CLOCK_REALTIME_COARSE);
        if tick > asked {
            return tick;
        }
        std::thread::sleep(MOMENT);
    }
    asked
}

/// Lets the calling thread run as soon as it can, before all that is not in a hurry (sched(7),
/// SCHED_FIFO). Whether it may is up to the system; nothing depends on it.
pub(crate) fn hurry() {
    let least = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameter is live; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const least) };
}

/// How many descriptors a process may have open (RLIMIT_NOFILE, prlimit(2)).
pub(crate) fn descriptor_limit(pid: i32) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a live structure; the new one may be null.
    let got = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, ptr::null(), &raw mut limit) };
    (got == 0).then_some(limit.rlim_cur)
}

/// `CAP_SYS_ADMIN` of capabilities(7): a seccomp filter needs no NO_NEW_PRIVS.
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
/// `CAP_SYS_PTRACE`: a traced set-uid program keeps its privilege.
pub(crate) const CAP_SYS_PTRACE: u32 = 19;

/// Whether this process has a capability in its effective set.
pub(crate) fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set & (1 << number) != 0)
}
