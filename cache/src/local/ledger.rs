//! Sums that many processes add to: a file of JSON objects, one a line, that is folded into one
//! line when it has grown.
//!
//! Numbers of the same name are added up, objects within objects too, so that a name from a newer
//! version survives. A line that can't be read (cut short by a full disk or a crash) is passed
//! over. Adding is one write at the end of the file under a shared lock (flock); folding puts a new
//! file in its place under an exclusive one. Nobody waits for a lock for longer than a moment: a
//! stopped process must not hold up a build.

use super::{TEMPORARY, careful, temporary};
use serde_json::{Map, Value};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

/// It is folded when it is larger.
const FOLD_AT: u64 = 16 << 10;
/// What is beyond is not read: it has grown while nobody could fold it, or it is not ours.
const MOST: u64 = 16 << 20;
/// How often, and how long, to wait for a lock.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

/// A file of sums.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger in this file, which need not exist.
    pub(crate) fn new(path: PathBuf) -> Ledger {
        Ledger { path }
    }

    /// Adds the numbers of an object to the sums.
    ///
    /// # Errors
    /// When nothing can be written, or another process holds the lock for too long.
    pub(crate) fn add(&self, line: &Value) -> io::Result<()> {
        let mut file = self.locked(|file| file.try_lock_shared())?;
        // The line ends before it, too: a line cut short must not spoil this one.
        file.write_all(format!("\n{line}\n").as_bytes())?;
        if file.metadata()?.len() > FOLD_AT {
            drop(file);
            // If it can't be folded now, the next one will.
            let _ = self.fold();
        }
        Ok(())
    }

    /// The sums.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub(crate) fn read(&self) -> io::Result<Map<String, Value>> {
        match careful().read(true).open(&self.path) {
            Ok(file) => sum(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts other sums in place of what is there.
    ///
    /// # Errors
    /// When nothing can be written, or other processes hold the lock for too long.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Map<String, Value>)) -> io::Result<()> {
        let file = self.locked(|file| file.try_lock())?;
        let mut sums = sum(&file)?;
        change(&mut sums);
        self.replace(sums)
    }

    fn fold(&self) -> io::Result<()> {
        let file = self.locked(|file| file.try_lock())?;
        if file.metadata()?.len() <= FOLD_AT {
            return Ok(());
        }
        self.replace(sum(&file)?)
    }

    fn replace(&self, sums: Map<String, Value>) -> io::Result<()> {
        let mut file = temporary(&self.path.with_file_name(TEMPORARY), 0o600)?;
        file.write_all(format!("{}\n", Value::Object(sums)).as_bytes())?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// The file that has the name now, locked: one that another has been put in place of while
    /// this process waited would be lost.
    fn locked(&self, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<File> {
        let mut how = careful();
        how.read(true).append(true).create(true).mode(0o600);
        for _ in 0..TRIES {
            let file = how.open(&self.path)?;
            match lock(&file) {
                // Where there are no locks, sums may be lost: they are only sums.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    let (held, named) = (file.metadata()?, std::fs::metadata(&self.path));
                    if named.is_ok_and(|n| (n.dev(), n.ino()) == (held.dev(), held.ino())) {
                        return Ok(file);
                    }
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn sum(file: impl Read) -> io::Result<Map<String, Value>> {
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let mut sums = Map::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(Value::Object(line)) = serde_json::from_slice(line) {
            add(&mut sums, line);
        }
    }
    Ok(sums)
}

/// Only numbers and objects of numbers count; a number does not become an object, nor the reverse.
fn add(sums: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, more) in more {
        match more {
            Value::Object(more) => {
                let sums = sums.entry(name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(sums) = sums {
                    add(sums, more);
                }
            }
            Value::Number(more) => {
                let sum = sums.entry(name).or_insert_with(|| 0.into());
                if let (Some(one), Some(other)) = (sum.as_u64(), more.as_u64()) {
                    *sum = one.saturating_add(other).into();
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs::OpenOptions;

    fn ledger() -> io::Result<(tempfile::TempDir, Ledger)> {
        let directory = tempfile::tempdir()?;
        let ledger = Ledger::new(directory.path().join("sums"));
        Ok((directory, ledger))
    }

    #[test]
    fn sums_add_up_and_stay_small() -> io::Result<()> {
        let (directory, ledger) = ledger()?;
        for n in 0..5_000_u64 {
            ledger.add(&json!({ "a": n, "in": { "b": 1 } }))?;
        }
        assert_eq!(Value::Object(ledger.read()?), json!({ "a": 12_497_500, "in": { "b": 5_000 } }));
        let length = directory.path().join("sums").metadata()?.len();
        assert!(length <= FOLD_AT + 100, "{length}");
        ledger.update(|sums| {
            assert_eq!(sums["a"], 12_497_500);
            sums.remove("in");
        })?;
        assert_eq!(Value::Object(ledger.read()?), json!({ "a": 12_497_500 }));
        Ok(())
    }

    #[test]
    fn garbage_is_passed_over() -> io::Result<()> {
        let (directory, ledger) = ledger()?;
        let garbage: [&[u8]; 5] =
            [b"{\"a\":", b"\xff\xfe\0", b"[1]", b"{\"a\":\"x\"}", b"{\"a\":-1}"];
        for garbage in garbage {
            ledger.add(&json!({ "a": 1, "b": u64::MAX }))?;
            let mut file = OpenOptions::new().append(true).open(directory.path().join("sums"))?;
            file.write_all(garbage)?;
        }
        ledger.add(&json!({ "a": 1 }))?;
        assert_eq!(Value::Object(ledger.read()?), json!({ "a": 6, "b": u64::MAX }));
        Ok(())
    }

    #[test]
    fn nothing_is_lost_among_threads() -> io::Result<()> {
        let (_directory, ledger) = ledger()?;
        let sum = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let add = || ledger.add(&json!({ "name-that-fills-it": 1 })).is_ok();
                    scope.spawn(move || (0..500).filter(|_| add()).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>()
        });
        assert_eq!(Value::Object(ledger.read()?), json!({ "name-that-fills-it": sum }));
        Ok(())
    }
}
