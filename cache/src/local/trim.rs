//! Keeps the store below its limit without walking through all of it.
//!
//! How much there is stands in a ledger that every writer adds to, in sixteen parts by the first
//! hex digit of the names. When their sum is beyond the limit, one part after the other, in turn,
//! is walked through, and of each so much of what was not used for longest goes as is its share of
//! a tenth, until the sum is within the limit; mostly the first part does it. So the action that
//! finds the store full waits for a sixteenth of the work.
//!
//! The ledger is an estimate: a killed writer leaves its last action out, and what two store at once
//! counts twice. The walk through a part puts the true number in its place, so that errors don't add
//! up; and when the sum is far beyond the limit, or not known, all of the store is walked through.
//! Other caches look at one of 256 directories and hold it to a 256th of the limit; a single large
//! blob then throws itself out.

use super::gc::{GcReport, charge, evict, goal_of};
use super::ledger::Ledger;
use super::{Inner, LocalStore, SIZE};
use airtight_recording::Digest;
use serde_json::{Map, Value, json};
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const PARTS: usize = 16;
const DIGITS: [&str; PARTS] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// Bytes stored, by part, that are not yet in the ledger.
#[derive(Debug, Default)]
pub(super) struct Added([AtomicU64; PARTS]);

impl Added {
    pub(super) fn count(&self, digest: &Digest, size: u64) {
        let part = usize::from(digest.hash()[0] >> 4);
        self.0[part].fetch_add(charge(size), Ordering::Relaxed);
    }
}

/// What the ledger says.
struct Sizes {
    parts: [u64; PARTS],
    /// How often a part was walked through: whose turn it is.
    turn: usize,
    /// Somebody has walked through all of it once.
    known: bool,
}

impl Sizes {
    fn of(sums: &Map<String, Value>) -> Sizes {
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
        let parts = sums.get("parts");
        Sizes {
            parts: DIGITS.map(|digit| number(parts.and_then(|parts| parts.get(digit)))),
            turn: (number(sums.get("turn")) % PARTS as u64) as usize,
            known: sums.contains_key("known"),
        }
    }

    fn total(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
    }
}

impl Inner {
    fn sizes(&self) -> Ledger {
        Ledger::new(self.root.join(SIZE))
    }

    /// Writes to the ledger what was added. A lost note only makes the next eviction come late.
    pub(super) fn flush(&self) {
        let mut parts = Map::new();
        for (added, digit) in self.added.0.iter().zip(DIGITS) {
            let added = added.swap(0, Ordering::Relaxed);
            if added > 0 {
                parts.insert(digit.to_owned(), added.into());
            }
        }
        if !parts.is_empty() {
            let _ = self.sizes().add(&json!({ "parts": parts }));
        }
    }
}

impl LocalStore {
    /// Removes what was not used for longest when the store has grown beyond `limit` bytes, unless
    /// another process is at it. To be called after something was stored: it costs next to nothing
    /// when there is nothing to do. What is told to be left is of the parts that were looked at.
    pub fn trim(&self, limit: u64) -> Option<GcReport> {
        self.0.flush();
        let read = || Some(Sizes::of(&self.0.sizes().read().ok()?));
        let within = |sizes: &Sizes| sizes.known && sizes.total() <= limit;
        if within(&read()?) {
            return None;
        }
        let _lock = match self.lock() {
            Ok(file) => Some(file),
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => None,
        };
        // Another process may just have been at it.
        let sizes = read()?;
        if within(&sizes) {
            return None;
        }
        // Far beyond: the limit is a new one, or the ledger is wrong.
        if !sizes.known || sizes.total() - limit > limit / 8 {
            return self.gc(limit, &mut |_, _| {}).ok();
        }
        let mut report = GcReport::default();
        self.remove_temporary(SystemTime::now(), &mut report);
        let mut total = sizes.total();
        for part in (0..PARTS).map(|step| (sizes.turn + step) % PARTS) {
            if total <= limit {
                break;
            }
            let mut items = self.items(Some(DIGITS[part]), &mut |_, _| {}).ok()?;
            let size: u64 = items.iter().map(|item| item.size).sum();
            total = total.saturating_sub(sizes.parts[part]).saturating_add(size);
            let mut left = size;
            if total > limit {
                let share = u128::from(size) * u128::from(goal_of(limit)) / u128::from(total);
                left = evict(&mut items, share as u64, &mut report, &mut |_, _| {});
            }
            total = total.saturating_sub(size - left);
            let _ = self.0.sizes().update(|sums| {
                let parts = sums.entry("parts").or_insert_with(|| json!({}));
                if let Some(parts) = parts.as_object_mut() {
                    parts.insert(DIGITS[part].to_owned(), left.into());
                }
                sums.insert("turn".to_owned(), (part as u64 + 1).into());
            });
        }
        Some(report)
    }

    /// Puts into the ledger what a walk through everything has found: names' first digits, and
    /// bytes.
    pub(super) fn set_sizes<'a>(&self, found: impl Iterator<Item = (&'a str, u64)>) {
        let mut parts = [0_u64; PARTS];
        for (name, size) in found {
            let part = DIGITS.iter().position(|digit| name.starts_with(digit)).unwrap_or(0);
            parts[part] = parts[part].saturating_add(size);
        }
        let parts: Map<String, Value> =
            DIGITS.iter().zip(parts).map(|(digit, size)| ((*digit).into(), size.into())).collect();
        let _ = self.0.sizes().update(|sums| {
            sums.insert("known".to_owned(), 1.into());
            sums.insert("parts".to_owned(), Value::Object(parts));
        });
    }

    fn lock(&self) -> Result<File, TryLockError> {
        let path = self.root().join("gc.lock");
        let file = super::careful().read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(file)
    }
}
