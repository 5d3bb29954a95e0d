//! CPUs: where threads may run, and a timer to look at it again.

use super::check;
use std::io;
use std::mem::zeroed;
use std::ptr;
use std::time::Duration;

/// A set of CPUs.
#[derive(Clone, Copy)]
pub(crate) struct Cpus(libc::cpu_set_t);

impl Cpus {
    /// Those that a thread may run on; 0 for the caller.
    pub(crate) fn of(tid: i32) -> io::Result<Cpus> {
        // SAFETY: cpu_set_t is plain bits, for which all zeroes is a value; it is live and its true
        // size is given.
        unsafe {
            let mut set: libc::cpu_set_t = zeroed();
            let size = size_of_val(&set);
            check(i64::from(libc::sched_getaffinity(tid, size, &raw mut set)))?;
            Ok(Cpus(set))
        }
    }

    /// The one that the caller runs on.
    pub(crate) fn here() -> io::Result<Cpus> {
        // SAFETY: as above; the number is within the set, for the kernel has fewer CPUs.
        unsafe {
            let mut set: libc::cpu_set_t = zeroed();
            let cpu = check(i64::from(libc::sched_getcpu()))?;
            libc::CPU_SET(cpu as usize, &mut set);
            Ok(Cpus(set))
        }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: counts bits of a live set.
        unsafe { libc::CPU_COUNT(&self.0) as usize }
    }

    /// Lets a thread run on these alone; 0 for the caller.
    pub(crate) fn apply(&self, tid: i32) -> io::Result<()> {
        // SAFETY: the set is live and its true size is given.
        let done = unsafe { libc::sched_setaffinity(tid, size_of_val(&self.0), &raw const self.0) };
        check(i64::from(done)).map(drop)
    }
}

/// A timer that sends SIGALRM to this process.
pub(crate) struct Ticker(libc::timer_t);

impl Ticker {
    pub(crate) fn new() -> io::Result<Ticker> {
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: sigevent is plain data, for which all zeroes is a value; all pointers are live.
        unsafe {
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = libc::SIGALRM;
            let made = libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer);
            check(i64::from(made))?;
        }
        Ok(Ticker(timer))
    }

    /// Fires again and again after this time; zero stops it.
    pub(crate) fn every(&self, time: Duration) {
        let time = libc::timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        let spec = libc::itimerspec { it_interval: time, it_value: time };
        // SAFETY: the timer exists, the specification is live.
        unsafe { libc::timer_settime(self.0, 0, &raw const spec, ptr::null_mut()) };
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // SAFETY: the timer exists and is used no more.
        unsafe { libc::timer_delete(self.0) };
    }
}
