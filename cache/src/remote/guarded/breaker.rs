//! The circuit breaker: a remote that does not answer, or refuses, is left alone for a while.

use super::down::{DownFile, Told};
use crate::remote::RemoteError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many failures, one after the other and none beside the other, shut a door.
const FAILURES: u32 = 3;

/// For so long; then one request tries whether it opens.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// Why a remote is left alone that this process has not found down itself.
const OTHERS: &str = "another process has found it down";

/// Which way results go. A remote may well give and not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Fetch,
    Push,
}

/// Why a request is not made.
#[derive(Clone, Debug)]
pub(super) struct Shut {
    pub(super) why: String,
}

impl Shut {
    /// It was another process that found it down, and has warned.
    pub(super) fn by_others(&self) -> bool {
        self.why == OTHERS
    }
}

/// Three doors: one for whether the remote is reached at all, shared with other processes, and one
/// for each way, for what it answers.
#[derive(Debug)]
pub(super) struct Breaker {
    doors: Mutex<Doors>,
    down: DownFile,
}

#[derive(Debug, Default)]
struct Doors {
    link: Door,
    fetch: Door,
    push: Door,
}

#[derive(Debug, Default)]
struct Door {
    failures: u32,
    failed_at: Option<Instant>,
    shut_until: Option<Instant>,
    why: String,
}

impl Door {
    fn failed(&mut self, began: Instant, why: &str, at_once: bool) {
        // Requests at the same time meet the same hiccup: their failures count as one.
        if self.failed_at.is_none_or(|at| began >= at) {
            self.failures += 1;
            self.failed_at = Some(Instant::now());
        }
        if at_once || self.failures >= FAILURES {
            self.shut(COOL_DOWN, why);
        }
    }

    /// After `time` one failure is enough to shut it again.
    fn shut(&mut self, time: Duration, why: &str) {
        self.failures = FAILURES;
        self.shut_until = Some(Instant::now() + time);
        why.clone_into(&mut self.why);
    }

    fn is_shut(&self) -> bool {
        self.shut_until.is_some_and(|until| Instant::now() < until)
    }

    /// When the time is over one request may try, and the others wait for what it finds.
    fn begin_probe(&mut self) -> bool {
        let probe = self.shut_until.is_some();
        if probe {
            self.shut_until = Some(Instant::now() + COOL_DOWN);
        }
        probe
    }
}

impl Breaker {
    pub(super) fn new(down: DownFile) -> Breaker {
        let mut doors = Doors::default();
        match down.read() {
            Told::Nothing => {}
            Told::WasDown => doors.link.shut(Duration::ZERO, OTHERS),
            Told::Down(left) => doors.link.shut(left, OTHERS),
        }
        Breaker { doors: Mutex::new(doors), down }
    }

    /// Lets one request through, or says why not.
    pub(super) fn admit(&self, way: Way) -> Result<(), Shut> {
        let mut doors = self.lock();
        if let Some(shut) = doors.shut(way) {
            return Err(shut);
        }
        doors.way(way).begin_probe();
        if doors.link.begin_probe() {
            self.down.write(COOL_DOWN);
        }
        Ok(())
    }

    /// Why another try would be in vain.
    pub(super) fn shut(&self, way: Way) -> Option<Shut> {
        self.lock().shut(way)
    }

    /// Takes note of how a try ended that began at `began`; `error` is none when it was answered.
    pub(super) fn note(&self, way: Way, began: Instant, error: Option<&RemoteError>) {
        let mut doors = self.lock();
        match error {
            Some(RemoteError::Local(_) | RemoteError::Skipped(_)) => return,
            Some(error @ RemoteError::Transient { .. }) => {
                doors.link.failed(began, &error.to_string(), false);
                if doors.link.is_shut() {
                    self.down.write(COOL_DOWN);
                } else if let Told::Down(left) = self.down.read() {
                    doors.link.shut(left, OTHERS);
                }
                return;
            }
            Some(error) => {
                let denied = matches!(error, RemoteError::Denied(_));
                doors.way(way).failed(began, &error.to_string(), denied);
            }
            None => *doors.way(way) = Door::default(),
        }
        // Whatever it answered, it is there.
        if std::mem::take(&mut doors.link).failures > 0 {
            self.down.remove();
        }
    }

    /// It has used up what an action could lose to it.
    pub(super) fn too_slow(&self, why: &str) {
        self.lock().link.shut(COOL_DOWN, why);
        self.down.write(COOL_DOWN);
    }

    fn lock(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doors {
    fn way(&mut self, way: Way) -> &mut Door {
        match way {
            Way::Fetch => &mut self.fetch,
            Way::Push => &mut self.push,
        }
    }

    fn shut(&mut self, way: Way) -> Option<Shut> {
        let link = self.link.is_shut().then(|| self.link.why.clone());
        let why = link.or_else(|| {
            let door = self.way(way);
            door.is_shut().then(|| door.why.clone())
        })?;
        Some(Shut { why })
    }
}
