//! Where threads run. A stop wakes the tracer, and the tracer wakes the stopped thread: each time
//! the scheduler prefers an idle CPU, and waking that one costs more than all the tracer does. So
//! the tracer stays on its CPU, and a thread in a burst of stops is kept there with it. A timer
//! lets it go as soon as it computes instead; so do the calls by which a program could see it.

use crate::sys::place::{Cpus, Ticker};
use crate::sys::process;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// Stops that follow each other so closely make a burst.
const CLOSE: Duration = Duration::from_micros(300);
/// After so many of them.
const BURST: u32 = 3;
/// A thread that has not stopped for so long computes.
const QUIET: Duration = Duration::from_millis(3);

/// What is known of one thread.
struct Pace {
    last: Instant,
    close: u32,
    kept: bool,
    /// It is reading what may tell where it runs: it is left alone.
    barred: bool,
}

/// The placement of all threads of one trace. Does nothing where it can't, or where there is but
/// one CPU: it is a matter of speed alone.
pub(super) struct Places(Option<Known>);

struct Known {
    /// Where the traced threads may run by themselves.
    all: Cpus,
    here: Cpus,
    /// Where the tracer could run before.
    own: Cpus,
    ticker: Ticker,
    paces: FxHashMap<i32, Pace>,
    kept: usize,
}

impl Places {
    /// Begins for the tree of `root`, with the calling thread as its tracer.
    pub(super) fn new(root: i32) -> Places {
        let known = || {
            let (all, own, here) = (Cpus::of(root).ok()?, Cpus::of(0).ok()?, Cpus::here().ok()?);
            if all.count() < 2 {
                return None;
            }
            let ticker = Ticker::new().ok()?;
            here.apply(0).ok()?;
            Some(Known { all, here, own, ticker, paces: FxHashMap::default(), kept: 0 })
        };
        Places(known())
    }

    /// A thread has stopped at a call.
    pub(super) fn stopped(&mut self, tid: i32) {
        let Some(known) = &mut self.0 else { return };
        let now = Instant::now();
        let pace = known.paces.entry(tid).or_insert(Pace {
            last: now,
            close: 0,
            kept: false,
            barred: false,
        });
        pace.close = if now - pace.last < CLOSE { pace.close + 1 } else { 0 };
        pace.last = now;
        if pace.close >= BURST && !pace.kept && !pace.barred && known.here.apply(tid).is_ok() {
            pace.kept = true;
            known.keep();
        }
        self.tick();
    }

    /// A timer may have fired.
    pub(super) fn tick(&mut self) {
        if let Some(known) = &mut self.0
            && process::alarmed()
        {
            let now = Instant::now();
            known.release(|pace| now - pace.last >= QUIET);
        }
    }

    /// A thread has made another, which runs where its maker may. A process begins with a burst:
    /// it executes a program and loads its libraries.
    pub(super) fn born(&mut self, maker: i32, tid: i32, process: bool) {
        let Some(known) = &mut self.0 else { return };
        let inherited = known.paces.get(&maker).is_some_and(|pace| pace.kept);
        let kept = inherited || (process && known.here.apply(tid).is_ok());
        if kept {
            known
                .paces
                .insert(tid, Pace { last: Instant::now(), close: 0, kept: true, barred: false });
            known.keep();
        }
    }

    /// A thread has ended.
    pub(super) fn ended(&mut self, tid: i32) {
        let Some(known) = &mut self.0 else { return };
        if known.paces.remove(&tid).is_some_and(|pace| pace.kept) {
            known.kept -= 1;
        }
    }

    /// All run where they may, because somebody looks.
    pub(super) fn let_go(&mut self) {
        if let Some(known) = &mut self.0 {
            known.release(|_| true);
        }
    }

    /// A thread opens a file that may tell where threads run.
    pub(super) fn bar(&mut self, tid: i32) {
        self.let_go();
        if let Some(pace) = self.0.as_mut().and_then(|known| known.paces.get_mut(&tid)) {
            pace.barred = true;
        }
    }

    /// The program chooses CPUs itself: nothing is moved any more.
    pub(super) fn give_up(&mut self) {
        self.let_go();
        *self = Places(None);
    }
}

impl Known {
    /// One more is kept.
    fn keep(&mut self) {
        self.kept += 1;
        if self.kept == 1 {
            self.ticker.every(QUIET);
        }
    }

    fn release(&mut self, which: impl Fn(&Pace) -> bool) {
        for (&tid, pace) in &mut self.paces {
            if pace.kept && which(pace) {
                // One that has ended meanwhile needs nothing.
                let _ = self.all.apply(tid);
                pace.kept = false;
                pace.close = 0;
                self.kept -= 1;
            }
        }
        if self.kept == 0 {
            self.ticker.every(Duration::ZERO);
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let _ = self.own.apply(0);
    }
}
