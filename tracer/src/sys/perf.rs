//! The side-band records of perf_event_open(2): every birth, exec and end of a task on this
//! machine, written by the kernel into one ring per CPU. No counter runs and nobody is slowed.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// `struct perf_event_attr` up to `PERF_ATTR_SIZE_VER5`.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

const TYPE_SOFTWARE: u32 = 1;
const COUNT_SW_DUMMY: u64 = 9;
const SAMPLE_TIME: u64 = 1 << 2;
const FLAG_COMM: u64 = 1 << 9;
const FLAG_TASK: u64 = 1 << 13;
const FLAG_WATERMARK: u64 = 1 << 14;
const FLAG_SAMPLE_ID_ALL: u64 = 1 << 18;
const FLAG_MMAP2: u64 = 1 << 23;
const FLAG_COMM_EXEC: u64 = 1 << 24;
const FLAG_USE_CLOCKID: u64 = 1 << 25;
const OPEN_CLOEXEC: libc::c_ulong = 1 << 3;

/// Bytes of a ring's data, a power of two of pages: some 5,000 records, which a machine does not
/// write between two drains.
const DATA: usize = 256 * 1024;
/// More than any record has that we ask for: a name of PATH_MAX, and some numbers.
const LARGEST: u64 = 5 * 1024;
/// Where `struct perf_event_mmap_page` has the kernel's and our position.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Every fork, exec and exit.
    Tasks,
    /// The same, and every file that is mapped to be executed.
    TasksAndMaps,
    /// Every exec, and [`Rings::wait`] returns at each.
    Execs,
}

impl What {
    fn flags(self) -> u64 {
        let all = FLAG_COMM | FLAG_SAMPLE_ID_ALL | FLAG_COMM_EXEC | FLAG_USE_CLOCKID;
        match self {
            What::Tasks => all | FLAG_TASK,
            What::TasksAndMaps => all | FLAG_TASK | FLAG_MMAP2,
            // Beyond a watermark of one byte somebody is woken.
            What::Execs => all | FLAG_WATERMARK,
        }
    }
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reading which CPUs there are.
    Cpus,
    /// perf_event_open(2).
    Open,
    /// mmap(2) of a ring.
    Map,
}

/// One CPU's ring.
struct Ring {
    event: OwnedFd,
    page: NonNull<u8>,
    /// Bytes of the page of positions.
    head_page: usize,
    /// Our position before the last drain.
    before: u64,
}

// SAFETY: the mapping belongs to this value alone, and is reached through `&mut self` only.
unsafe impl Send for Ring {}

/// The rings of all CPUs.
pub(crate) struct Rings {
    rings: Vec<Ring>,
    /// The CPUs that were online when they were opened.
    online: String,
}

impl Rings {
    /// Begins to record what all processes of this machine do, in CLOCK_MONOTONIC time.
    ///
    /// # Errors
    /// The step that failed, and what the kernel said.
    pub(crate) fn open(what: What) -> Result<Rings, (Step, io::Error)> {
        let online = online().map_err(|error| (Step::Cpus, error))?;
        let cpus = list(&online)
            .ok_or_else(|| (Step::Cpus, io::Error::other(format!("{ONLINE} holds {online:?}"))))?;
        let rings = cpus.into_iter().map(|cpu| Ring::open(cpu, what)).collect::<Result<_, _>>()?;
        Ok(Rings { rings, online })
    }

    /// Appends all records written so far to `bytes`; each is whole.
    pub(crate) fn drain(&mut self, bytes: &mut Vec<u8>) {
        for ring in &mut self.rings {
            ring.drain(bytes);
        }
    }

    /// Waits until something has been recorded, or `stop` can be read; true for the latter. Also ends
    /// after this many milliseconds, if that is not negative.
    pub(crate) fn wait(&self, stop: &impl AsRawFd, millis: i32) -> bool {
        let fds =
            [stop.as_raw_fd()].into_iter().chain(self.rings.iter().map(|r| r.event.as_raw_fd()));
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut list: Vec<_> = fds.map(entry).collect();
        // SAFETY: the list is live, and as long as it says. What a signal cuts short is asked again.
        unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, millis) };
        list[0].revents != 0
    }

    /// Why a record may have been lost without a record that says so, if one may. To be asked
    /// after the last drain: a loss is told of in front of the next record only.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        if self.rings.iter().any(Ring::was_full) {
            return Some("a ring of the kernel's process events was full");
        }
        // A CPU without a ring tells nothing of what is born on it.
        (online().ok().as_ref() != Some(&self.online))
            .then_some("a CPU was switched on or off meanwhile")
    }
}

impl Ring {
    fn open(cpu: i32, what: What) -> Result<Ring, (Step, io::Error)> {
        let attr = Attr {
            kind: TYPE_SOFTWARE,
            size: size_of::<Attr>() as u32,
            config: COUNT_SW_DUMMY,
            sample_type: SAMPLE_TIME,
            flags: what.flags(),
            wakeup: u32::from(what == What::Execs),
            clockid: libc::CLOCK_MONOTONIC,
            ..Attr::default()
        };
        let (everybody, no_group) = (-1 as libc::pid_t, -1 as libc::c_int);
        // SAFETY: the attributes are live and as large as they say; integers otherwise.
        let fd = check(unsafe {
            let (call, attr) = (libc::SYS_perf_event_open, &raw const attr);
            libc::syscall(call, attr, everybody, cpu, no_group, OPEN_CLOEXEC)
        });
        let fd = fd.map_err(|error| (Step::Open, error))? as i32;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        let head_page = page_size();
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place of the kernel's choice.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), head_page + DATA, protection, flags, event.as_raw_fd(), 0)
        };
        match NonNull::new(page.cast::<u8>()) {
            Some(page) if page.as_ptr().cast() != libc::MAP_FAILED => {
                Ok(Ring { event, page, head_page, before: 0 })
            }
            _ => Err((Step::Map, io::Error::last_os_error())),
        }
    }

    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both offsets lie in the first page of the mapping and are aligned; the kernel
        // writes the one and reads the other as whole words.
        unsafe { &*self.page.as_ptr().add(offset).cast::<AtomicU64>() }
    }

    fn drain(&mut self, bytes: &mut Vec<u8>) {
        // Acquire: the records before the head are written. Release: they have been read.
        let head = self.position(HEAD).load(Ordering::Acquire);
        let tail = self.position(TAIL).load(Ordering::Relaxed);
        let length = (head.wrapping_sub(tail) as usize).min(DATA);
        let start = tail as usize % DATA;
        let first = length.min(DATA - start);
        // SAFETY: both parts lie within the data, which follows the first page, and the kernel
        // leaves them alone until the tail moves.
        unsafe {
            let data = self.page.as_ptr().add(self.head_page);
            bytes.extend_from_slice(std::slice::from_raw_parts(data.add(start), first));
            bytes.extend_from_slice(std::slice::from_raw_parts(data, length - first));
        }
        self.before = tail;
        self.position(TAIL).store(head, Ordering::Release);
    }

    /// Whether a record may not have fitted since the drain before the last.
    fn was_full(&self) -> bool {
        let head = self.position(HEAD).load(Ordering::Acquire);
        head.wrapping_sub(self.before) + LARGEST > DATA as u64
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), self.head_page + DATA) };
    }
}

/// CLOCK_MONOTONIC in nanoseconds, the time of all records.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is a live structure. The clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

const ONLINE: &str = "/sys/devices/system/cpu/online";

fn online() -> io::Result<String> {
    std::fs::read_to_string(ONLINE)
        .map_err(|error| io::Error::new(error.kind(), format!("{ONLINE}: {error}")))
}

/// The numbers in a list like `0-3,8` (cpuset(7), "List format").
fn list(text: &str) -> Option<Vec<i32>> {
    const MOST: i32 = 1 << 16;
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
        if first < 0 || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn page_size() -> usize {
    // SAFETY: an integer. The size of a page is always known.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(list("0\n"), Some(vec![0]));
        assert_eq!(list("0-2,5,7-8\n"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(list(""), None);
        assert_eq!(list("0-"), None);
        assert_eq!(list("0-99999999"), None);
    }

    #[test]
    fn the_attributes_are_laid_out_as_the_kernel_has_them() {
        assert_eq!(size_of::<Attr>(), 112);
        assert_eq!(std::mem::offset_of!(Attr, clockid), 92);
    }
}
