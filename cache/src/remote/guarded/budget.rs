//! How much time one action loses to a remote.

use super::Counters;
use crate::meter::Meter;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that flow at this rate cost nothing, in bytes a second.
const GOOD_RATE: f64 = (1 << 20) as f64;

/// How far ahead bytes pay: a burst buys at most this much silence.
const AHEAD: Duration = Duration::from_secs(1);

/// How often the flow of bytes is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The time that one action may lose to one remote. The clock runs while any request is under way,
/// once for all of them; bytes in either direction pay for [`GOOD_RATE`]th parts of a second.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Duration,
    counters: Arc<Mutex<Counters>>,
    /// What comes from the remote.
    pub(super) received: Meter,
    /// What goes to it.
    pub(super) sent: Meter,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    settled: Instant,
    /// Time that bytes have paid for and that has not passed yet.
    paid: Duration,
    lost: Duration,
}

impl Budget {
    pub(super) fn new(limit: Duration, counters: Arc<Mutex<Counters>>) -> Budget {
        let state = State {
            under_way: 0,
            settled: Instant::now(),
            paid: Duration::ZERO,
            lost: Duration::ZERO,
        };
        let (received, sent) = (Meter::default(), Meter::default());
        Budget { limit, counters, received, sent, state: Mutex::new(state) }
    }

    /// What may still be lost.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.lock().lost)
    }

    /// Does `work` unless the budget is spent first.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _under_way = UnderWay::begin(self);
        let mut work = pin!(work);
        loop {
            let left = self.left();
            if left.is_zero() {
                return None;
            }
            match tokio::time::timeout(left.min(LOOK), work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) => self.settle(&mut self.lock()),
            }
        }
    }

    /// Accounts for the time since the last time.
    fn settle(&self, state: &mut State) {
        let now = Instant::now();
        let (received, sent) = (self.received.take(), self.sent.take());
        state.paid += Duration::from_secs_f64((received + sent) as f64 / GOOD_RATE);
        let mut busy = Duration::ZERO;
        let mut waited = Duration::ZERO;
        if state.under_way > 0 {
            busy = now.saturating_duration_since(state.settled);
            waited = busy.saturating_sub(state.paid);
            state.paid = state.paid.saturating_sub(busy);
        }
        state.settled = now;
        state.paid = state.paid.min(AHEAD);
        state.lost += waited;
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.received += received;
        counters.sent += sent;
        counters.busy += busy;
        counters.waited += waited;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is under way until this is dropped.
struct UnderWay<'a>(&'a Budget);

impl UnderWay<'_> {
    fn begin(budget: &Budget) -> UnderWay<'_> {
        let mut state = budget.lock();
        budget.settle(&mut state);
        state.under_way += 1;
        UnderWay(budget)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.settle(&mut state);
        state.under_way -= 1;
    }
}
