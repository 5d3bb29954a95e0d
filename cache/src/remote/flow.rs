//! Whether the bytes of a request flow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Bytes a second that a request must move at least, once it lasts. Below it a server that sends
/// now and then a byte could hold a build for ever.
const FLOOR: u64 = 1024;

/// Watches the bytes of one request in either direction. There is no limit on the whole time: what
/// is large takes long.
#[derive(Debug)]
pub(super) struct Flow {
    began: Instant,
    /// When the last bytes moved, in milliseconds after the begin.
    last: AtomicU64,
    moved: AtomicU64,
}

impl Flow {
    /// Begins to watch.
    pub(super) fn new() -> Flow {
        Flow { began: Instant::now(), last: AtomicU64::new(0), moved: AtomicU64::new(0) }
    }

    /// Bytes have moved.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for the time `idle`, or less than [`FLOOR`] in a whole period
    /// of that length, and says what has happened.
    pub(super) async fn stalled(&self, idle: Duration) -> String {
        let mut period = self.began;
        let mut before = 0;
        loop {
            sleep_until((self.last() + idle).min(period + idle)).await;
            let now = Instant::now();
            if now >= self.last() + idle {
                return format!("no answer for {}", seconds(idle));
            }
            if now >= period + idle {
                let moved = self.moved.load(Ordering::Relaxed);
                let bytes = moved - before;
                let time = now - period;
                if (bytes as f64) < FLOOR as f64 * time.as_secs_f64() {
                    return format!("only {bytes} bytes in {}", seconds(time));
                }
                (period, before) = (now, moved);
            }
        }
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const IDLE: Duration = Duration::from_secs(10);

    /// Moves `bytes` every `pause` for ten minutes, and says when and why that was stopped. The
    /// clock of the test is not the real one.
    fn stopped(bytes: usize, pause: Duration, times: u32) -> Option<(u64, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            tokio::time::pause();
            let flow = Flow::new();
            let work = async {
                for _ in 0..times {
                    sleep(pause).await;
                    flow.moved(bytes);
                }
            };
            tokio::select! {
                () = work => None,
                why = flow.stalled(IDLE) => Some((flow.began.elapsed().as_secs(), why)),
            }
        })
    }

    #[test]
    fn what_flows_may_last() {
        assert_eq!(stopped(20 << 10, Duration::from_secs(9), 100), None);
        assert_eq!(stopped(1500, Duration::from_secs(1), 600), None);
    }

    #[test]
    fn what_stands_still_or_drips_is_stopped() {
        let still = stopped(1, Duration::from_secs(60), 1);
        assert_eq!(still, Some((10, "no answer for 10.0 s".to_owned())));
        let drip = stopped(1, Duration::from_millis(900), 600);
        assert_eq!(drip, Some((10, "only 11 bytes in 10.0 s".to_owned())));
    }

    #[test]
    fn a_fast_begin_does_not_excuse_a_drip() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            tokio::time::pause();
            let flow = Flow::new();
            flow.moved(100 << 20);
            let drip = async {
                loop {
                    sleep(Duration::from_millis(900)).await;
                    flow.moved(1);
                }
            };
            tokio::select! {
                () = drip => {}
                why = flow.stalled(IDLE) => assert_eq!(why, "only 11 bytes in 10.0 s"),
            }
            assert_eq!(flow.began.elapsed().as_secs(), 20);
        });
    }
}
