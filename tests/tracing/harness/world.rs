//! The directory a test program runs in.

use super::run::{FORK, is_root};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A temporary directory `w` that can be built again and again at the same place, and a place
/// beside it for the recording.
pub(crate) struct World {
    base: tempfile::TempDir,
    directory: PathBuf,
    setup: String,
    ordinary: bool,
}

/// The user id of `nobody`.
pub(crate) const NOBODY: u32 = 65534;

impl World {
    /// `setup` has one item a line:
    /// `file PATH [TEXT]`, `script PATH LINE[\nLINE…]` (executable), `dir PATH`, `link PATH TEXT`,
    /// `hard PATH OLD`, `mode PATH OCTAL`, `copy PATH PROGRAM` (of tests/programs).
    /// `%XX` in a path is a byte, `$T` the world's directory. Directories on the way are made.
    pub(crate) fn new(setup: &str, ordinary: bool) -> World {
        let base = tempfile::Builder::new().prefix("airtight-").tempdir().expect("a directory");
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).expect("chmod");
        let real = base.path().canonicalize().expect("a directory");
        fs::create_dir(real.join("r")).expect("mkdir");
        let world = World {
            directory: real.join("w"),
            base,
            setup: setup.to_owned(),
            ordinary: ordinary && is_root(),
        };
        world.hand_over(&real.join("r"));
        world
    }

    /// Where the program runs: canonical.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Where the recording goes.
    pub(crate) fn recording(&self) -> PathBuf {
        self.base.path().join("r/recording.json")
    }

    /// Replaces `$T`.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("$T", self.directory.to_str().expect("a UTF-8 path"))
    }

    /// Makes the directory anew.
    pub(crate) fn build(&self) {
        // No fork meanwhile: a child would hold our descriptors for a moment, and executing a file
        // that is open for writing fails.
        let _no_fork = FORK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.directory.exists() {
            open_up(&self.directory);
            fs::remove_dir_all(&self.directory).expect("remove the old world");
        }
        fs::create_dir(&self.directory).expect("mkdir");
        for line in self.setup.lines().map(str::trim).filter(|l| !l.is_empty()) {
            self.item(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        self.hand_over(&self.directory);
    }

    fn item(&self, line: &str) -> std::io::Result<()> {
        let mut words = line.splitn(3, ' ');
        let (verb, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let text = self.fill(&words.next().unwrap_or("").replace("\\n", "\n"));
        let path = self.directory.join(OsString::from_vec(decode(name)));
        if verb != "mode" {
            fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        }
        match verb {
            "file" => {
                fs::write(&path, text)?;
                // Not fresh: of a file as young as the clock's grain nobody can say afterwards
                // whether it was changed.
                fs::File::options().append(true).open(&path)?.set_modified(SystemTime::UNIX_EPOCH)
            }
            "script" => {
                fs::write(&path, text)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            }
            "dir" => fs::create_dir_all(&path),
            "link" => symlink(OsString::from_vec(decode(&text)), &path),
            "hard" => fs::hard_link(self.directory.join(text), &path),
            "copy" => fs::copy(super::program(&text), &path).map(drop),
            "mode" => {
                let mode = u32::from_str_radix(&text, 8).expect("an octal mode");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            }
            other => panic!("no setup verb {other}"),
        }
    }

    /// Gives a tree to the ordinary user whom the program will run as.
    fn hand_over(&self, tree: &Path) {
        if !self.ordinary {
            return;
        }
        each(tree, &mut |path| {
            let mode = fs::symlink_metadata(path).map(|m| m.mode());
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
            // chown drops set-uid bits.
            if let Ok(mode) = mode
                && mode & 0o170_000 != 0o120_000
                && mode & 0o6000 != 0
            {
                chown(path, Some(0), Some(0)).expect("chown");
                fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
                    .expect("chmod");
            }
        });
    }

    /// What is there: type, permission, and text of every name.
    pub(crate) fn listing(&self) -> BTreeMap<String, String> {
        let mut listing = BTreeMap::new();
        each(&self.directory, &mut |path| {
            let Ok(meta) = fs::symlink_metadata(path) else { return };
            let text = match meta.mode() & 0o170_000 {
                0o120_000 => fs::read_link(path).map(|t| t.as_os_str().as_bytes().to_vec()),
                0o100_000 => fs::read(path),
                _ => Ok(Vec::new()),
            };
            let text = encode(&text.unwrap_or_default());
            let name = encode(path.as_os_str().as_bytes());
            listing.insert(name, format!("{:o} {}", meta.mode(), &text[..text.len().min(200)]));
        });
        listing
    }
}

/// Makes all directories passable, so that they can be removed.
fn open_up(tree: &Path) {
    each(tree, &mut |path| {
        if path.is_dir() && !path.is_symlink() {
            drop(fs::set_permissions(path, fs::Permissions::from_mode(0o755)));
        }
    });
}

/// Calls `f` for a directory and everything below, each directory before its entries.
fn each(path: &Path, f: &mut dyn FnMut(&Path)) {
    f(path);
    if path.is_symlink() || path.as_os_str().len() > 4000 {
        return;
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        each(&entry.path(), f);
    }
}

/// `%XX` to bytes.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        if bytes[i] == b'%' {
            out.push(u8::from_str_radix(&text[i + 1..i + 3], 16).expect("two hex digits"));
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    out
}

/// Bytes to text, `%XX` for all that isn't printable ASCII.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&b| match b {
            b'!'..=b'$' | b'&'..=b'~' => char::from(b).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
