//! What processes on one machine tell each other about a remote that is down.

use crate::local::open_regular;
use airtight_recording::Digest;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file is not believed beyond this.
const MOST: Duration = Duration::from_secs(60);

/// A file that says until when a remote is left alone: milliseconds since 1970 in decimal. Whoever
/// finds the remote down writes it; whoever comes next asks the remote only after that time, and
/// writes a new time first, so that one process asks and not all of them. Best effort: when the
/// file can't be read or written, each process finds out for itself.
#[derive(Debug)]
pub(super) struct DownFile(Option<PathBuf>);

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing that counts.
    Nothing,
    /// It was down until a moment ago.
    WasDown,
    /// It is to be left alone for so long.
    Down(Duration),
}

impl DownFile {
    /// The file of the remote that `identity` names, in `directory`; none for one that nobody
    /// writes.
    pub(super) fn new(directory: Option<&Path>, identity: &str) -> DownFile {
        let name = crate::digest::hex(&Digest::of(identity.as_bytes()));
        DownFile(directory.map(|directory| directory.join(name)))
    }

    /// Reads it.
    pub(super) fn read(&self) -> Told {
        let told = || -> Option<Told> {
            let mut text = String::new();
            // Whatever has this name, it is neither waited for nor followed.
            let (file, _) = open_regular(self.0.as_ref()?).ok()??;
            file.take(32).read_to_string(&mut text).ok()?;
            let until = Duration::from_millis(text.trim_end().parse().ok()?);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            match (until.checked_sub(now), now.saturating_sub(until)) {
                (Some(left), _) if left > MOST => None,
                (Some(left), _) => Some(Told::Down(left)),
                (None, ago) if ago > MOST => None,
                (None, _) => Some(Told::WasDown),
            }
        };
        told().unwrap_or(Told::Nothing)
    }

    /// Tells the others to leave the remote alone for so long.
    pub(super) fn write(&self, time: Duration) {
        let write = || -> Option<()> {
            let path = self.0.as_ref()?;
            let until = SystemTime::now().duration_since(UNIX_EPOCH).ok()? + time.min(MOST);
            let directory = path.parent()?;
            fs::create_dir_all(directory).ok()?;
            let mut file = tempfile::NamedTempFile::new_in(directory).ok()?;
            writeln!(file, "{}", until.as_millis()).ok()?;
            file.persist(path).ok()?;
            Some(())
        };
        let _ = write();
    }

    /// Tells the others that it is up again.
    pub(super) fn remove(&self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_is_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = DownFile::new(Some(&directory.path().join("new")), "http://one");
        assert_eq!(file.read(), Told::Nothing);
        file.write(Duration::from_secs(3600));
        let Told::Down(left) = file.read() else { panic!("{:?}", file.read()) };
        assert!(left <= MOST && left > MOST / 2, "{left:?}");
        let other = DownFile::new(Some(&directory.path().join("new")), "http://two");
        assert_eq!(other.read(), Told::Nothing);

        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
        let path = file.0.clone().expect("a path");
        for (text, told) in [
            (String::new(), Told::Nothing),
            ("soon".to_owned(), Told::Nothing),
            ("-5".to_owned(), Told::Nothing),
            ("9".repeat(1 << 20), Told::Nothing),
            ((now + 120_000).to_string(), Told::Nothing),
            ((now - 120_000).to_string(), Told::Nothing),
            (format!("{}\n", now - 1000), Told::WasDown),
        ] {
            fs::write(&path, &text).expect("written");
            assert_eq!(file.read(), told, "{text:.40}");
        }
        fs::write(&path, b"\xff\xfe").expect("written");
        assert_eq!(file.read(), Told::Nothing);
        file.remove();
        assert!(!path.exists());
    }
}
