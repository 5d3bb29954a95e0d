//! The present state of the paths of a set, and the digest of it.

use super::action::NotCacheable;
use super::paths::{KeyPath, PathSet, Wanted};
use super::{Action, HashFile};
use crate::digest::{Hasher, from_hex};
use airtight_policy::{Dependency, Judge, Need, Seen};
use airtight_recording::{Digest, Stamp};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// The present state of one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is not there.
    Absent,
    /// It is there, and no more is asked for.
    Present,
    /// Its type, by the letter of find(1), and `x` when it may be executed.
    Type(&'static str),
    /// The content of a file, and whether it may be executed.
    Content(Digest, bool),
    /// The digest of the sorted names in a directory, each with a NUL and the letter of its type
    /// behind it.
    Members(Digest),
    /// The text of a symbolic link.
    Link(Vec<u8>),
    /// The absolute path of the workspace.
    Workspace(Vec<u8>),
    /// It can't be read; the errno.
    Error(i32),
}

impl State {
    /// The tag and the bytes that are hashed.
    pub(super) fn wire(&self) -> (u8, Vec<u8>) {
        match self {
            State::Absent => (b'0', Vec::new()),
            State::Present => (b'1', Vec::new()),
            State::Type(kind) => (b't', kind.as_bytes().to_vec()),
            State::Content(digest, executable) => {
                (if *executable { b'x' } else { b'c' }, digest.to_string().into_bytes())
            }
            State::Members(digest) => (b'm', digest.to_string().into_bytes()),
            State::Link(text) => (b'l', text.clone()),
            State::Workspace(path) => (b'w', path.clone()),
            State::Error(errno) => (b'e', errno.to_string().into_bytes()),
        }
    }
}

impl State {
    /// What [`State::wire`] gave; none for anything else.
    pub(super) fn from_wire(tag: u8, bytes: Vec<u8>) -> Option<State> {
        fn text(bytes: &[u8]) -> Option<&str> {
            std::str::from_utf8(bytes).ok()
        }
        fn digest(bytes: &[u8]) -> Option<Digest> {
            let (hash, size) = text(bytes)?.split_once('/')?;
            from_hex(hash, size.parse().ok()?)
        }
        Some(match tag {
            b'0' => State::Absent,
            b'1' => State::Present,
            b't' => State::Type(KINDS.into_iter().find(|kind| kind.as_bytes() == bytes)?),
            b'c' | b'x' => State::Content(digest(&bytes)?, tag == b'x'),
            b'm' => State::Members(digest(&bytes)?),
            b'l' => State::Link(bytes),
            b'w' => State::Workspace(bytes),
            b'e' => State::Error(text(&bytes)?.parse().ok()?),
            _ => return None,
        })
    }
}

/// For people, as `explain-key` shows it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Absent => f.write_str("absent"),
            State::Present => f.write_str("there"),
            State::Type(kind) => write!(f, "type {kind}"),
            State::Content(digest, false) => write!(f, "file {digest}"),
            State::Content(digest, true) => write!(f, "executable {digest}"),
            State::Members(digest) => write!(f, "names {digest}"),
            State::Link(text) | State::Workspace(text) => {
                write!(f, "{:?}", String::from_utf8_lossy(text))
            }
            State::Error(errno) => write!(f, "errno {errno}"),
        }
    }
}

/// Looks at paths for one action, each at most once.
pub struct Look<'a> {
    workspace: &'a Path,
    judge: &'a Judge<'a>,
    hash: &'a HashFile<'a>,
    known: RefCell<HashMap<KeyPath, State>>,
}

impl fmt::Debug for Look<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

/// The state of all paths of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States {
    /// One for each path of the set, in its order.
    pub states: Vec<State>,
    /// The digest that enters the strong key.
    pub digest: Digest,
}

impl<'a> Look<'a> {
    /// A look for the action that `judge` judges.
    pub fn new(workspace: &'a Path, judge: &'a Judge<'a>, hash: &'a HashFile<'a>) -> Look<'a> {
        Look { workspace, judge, hash, known: RefCell::default() }
    }

    /// The present state of all paths of `set`.
    pub fn states(&self, set: &PathSet) -> States {
        let states: Vec<State> = set.paths().iter().map(|path| self.state(path)).collect();
        let mut hasher = Hasher::new();
        for (path, state) in set.paths().iter().zip(&states) {
            let (tag, bytes) = state.wire();
            let numbers = [path.path.len() as u64, bytes.len() as u64].map(u64::to_be_bytes);
            hasher.update(&numbers[0]);
            hasher.update(&path.path);
            hasher.update(&[path.wanted as u8, tag]);
            hasher.update(&numbers[1]);
            hasher.update(&bytes);
        }
        States { states, digest: hasher.finish() }
    }

    /// The present state of one path.
    pub fn state(&self, path: &KeyPath) -> State {
        if let Some(state) = self.known.borrow().get(path) {
            return state.clone();
        }
        let state = self.look(path);
        self.known.borrow_mut().insert(path.clone(), state.clone());
        state
    }

    fn look(&self, key: &KeyPath) -> State {
        let path = key.locate(self.workspace);
        // A set may come from anybody, and there are files without an end.
        if key.wanted != Wanted::Workspace && !self.judge.may_depend_on(path.as_os_str().as_bytes())
        {
            return State::Error(0);
        }
        let look = || -> io::Result<State> {
            Ok(match key.wanted {
                Wanted::Absent => {
                    fs::symlink_metadata(&path)?;
                    State::Present
                }
                Wanted::Type | Wanted::Unknown => State::Type(kind(&fs::symlink_metadata(&path)?)),
                Wanted::Content => {
                    let metadata = fs::metadata(&path)?;
                    match metadata.is_file() {
                        true => {
                            State::Content((self.hash)(&path, &metadata)?.0, executable(&metadata))
                        }
                        false => State::Type(kind(&metadata)),
                    }
                }
                Wanted::Members => State::Members(self.members(&path)?),
                Wanted::Link => {
                    State::Link(fs::read_link(&path)?.into_os_string().into_encoded_bytes())
                }
                Wanted::Workspace => State::Workspace(path.as_os_str().as_bytes().to_vec()),
            })
        };
        look().unwrap_or_else(|error| match error.raw_os_error() {
            // ENOENT, ENOTDIR
            Some(2 | 20) => State::Absent,
            Some(errno) => State::Error(errno),
            None => State::Error(0),
        })
    }

    fn members(&self, directory: &Path) -> io::Result<Digest> {
        members(self.judge, directory)
    }
}

/// The names in a directory, and of which type each is, as the kernel tells whoever lists it;
/// without what the action makes there itself.
pub(super) fn members(judge: &Judge<'_>, directory: &Path) -> io::Result<Digest> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_own(judge, &entry) {
            names.push((entry.file_name(), letter(entry.file_type()?)));
        }
    }
    names.sort();
    let mut hasher = Hasher::new();
    for (name, letter) in names {
        hasher.update(name.as_bytes());
        hasher.update(b"\0");
        hasher.update(letter.as_bytes());
    }
    Ok(hasher.finish())
}

/// Whether a name comes and goes with the action.
fn is_own(judge: &Judge<'_>, entry: &DirEntry) -> bool {
    let path = entry.path();
    let bytes = path.as_os_str().as_bytes();
    judge.makes(bytes)
        || judge.leads_to_output(bytes)
        || entry.file_name().to_str().is_some_and(crate::outputs::is_temporary)
}

fn executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

/// What [`kind`] gives.
const KINDS: [&str; 8] = ["d", "l", "fx", "f", "p", "s", "b", "c"];

/// The letter of find(1) `-type`, and `x` for a file that may be executed.
fn kind(metadata: &Metadata) -> &'static str {
    match letter(metadata.file_type()) {
        "f" if executable(metadata) => "fx",
        letter => letter,
    }
}

/// The letter of find(1) `-type`.
fn letter(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "d",
        () if kind.is_symlink() => "l",
        () if kind.is_file() => "f",
        () if kind.is_fifo() => "p",
        () if kind.is_socket() => "s",
        () if kind.is_block_device() => "b",
        () => "c",
    }
}

/// Holds the present state of what a run depended on against what it saw, so that no key is made of
/// a state that the run did not see. `started` is the time of its start, in nanoseconds since the
/// epoch.
///
/// # Errors
/// When something changed since.
pub(crate) fn unchanged(
    action: &Action,
    dependencies: &[Dependency],
    look: &Look<'_>,
    started: i64,
) -> Result<(), NotCacheable> {
    for (path, stamp) in action.inputs() {
        let now = stamp_of(path);
        if now.as_ref() != Some(stamp) {
            return Err(NotCacheable::changed(path, "it is a declared input"));
        }
    }
    for Dependency { path, need, seen } in dependencies {
        let path = Path::new(OsStr::from_bytes(path));
        let changed = |what: &str| Err(NotCacheable::changed(path, what));
        match (need, seen) {
            (Need::Absent, _) if fs::symlink_metadata(path).is_ok() => {
                return changed("it was absent, and is there now");
            }
            (Need::NotDirectory, _) if path.is_dir() => {
                return changed("it was no directory, and is one now");
            }
            (Need::Content, Seen::File(stamp)) if stamp_of(path).as_ref() != Some(stamp) => {
                return changed("it was read before it was changed");
            }
            // A link that leads nowhere is there.
            (Need::Content | Need::Type | Need::Members, _)
                if fs::symlink_metadata(path).is_err() =>
            {
                return changed("it was there, and is gone");
            }
            (Need::Link, Seen::Text(text)) => {
                let now =
                    fs::read_link(path).map(|text| text.into_os_string().into_encoded_bytes());
                if now.ok().as_ref() != Some(text) {
                    return changed("the link leads elsewhere now");
                }
            }
            (Need::Members, Seen::Untouched) if changed_at(path) >= started => {
                return changed("names came or went while it was listed");
            }
            (Need::Members, _) => {
                let before = action.watched().iter().find(|(directory, _)| directory == path);
                if before.is_some_and(|(_, members)| look.members(path).ok() != Some(*members)) {
                    return changed("names came or went while it was listed");
                }
                if let Some(name) = look.newcomer(path, started) {
                    return changed(&format!("{name} came while it was listed"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl Look<'_> {
    /// A name in a directory that was made since `started` by somebody else.
    fn newcomer(&self, directory: &Path, started: i64) -> Option<String> {
        if changed_at(directory) < started {
            return None;
        }
        fs::read_dir(directory).ok()?.flatten().find_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let new = nanoseconds(metadata.ctime(), metadata.ctime_nsec()) >= started;
            (new && !is_own(self.judge, &entry))
                .then(|| entry.file_name().to_string_lossy().into_owned())
        })
    }
}

/// When a name in a directory was changed last; 0 when that can't be told.
fn changed_at(directory: &Path) -> i64 {
    fs::metadata(directory).map_or(0, |now| nanoseconds(now.mtime(), now.mtime_nsec()))
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The stamp of a file as it is now, not following a link at its name.
fn stamp_of(path: &Path) -> Option<Stamp> {
    let now = fs::symlink_metadata(path).ok()?;
    Some(Stamp {
        dev: now.dev(),
        ino: now.ino(),
        size: now.size(),
        mtime: nanoseconds(now.mtime(), now.mtime_nsec()),
        ctime: nanoseconds(now.ctime(), now.ctime_nsec()),
    })
}
