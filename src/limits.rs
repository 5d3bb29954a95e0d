//! Limits of the system that must not end Airtight in the middle of its work.

use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail, as one to a full disk
/// does, instead of ending the process by SIGXFSZ: the result of a good action is worth more than
/// a file in a cache. A handler, other than an ignored signal, is not inherited by the action.
pub(crate) fn survive_file_size() {
    let signal = Signal::SIGXFSZ as i32;
    if !is_ignored(signal) {
        // If this fails, it is as it was.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
}

/// Whether our parent has us ignore a signal. Then the action is to ignore it too.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}
