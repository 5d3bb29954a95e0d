//! Takes what an action made into the store.

use super::opaque::{self, is_opaque};
use super::path::{check_name, check_path, check_target, overlapping};
use super::place::{Place, PlaceError, Places};
use super::tree::{self, Directory, MAX_TREE, Size};
use crate::digest::Hasher;
use crate::local::{LocalStore, StoreError};
use crate::result::{ActionResult, OutputDirectory, OutputFile, OutputLink};
use airtight_recording::Digest;
use memchr::memmem::Finder;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What was taken into the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The outputs, sorted by path; without what the action printed.
    pub result: ActionResult,
    /// All blobs of the result, trees included: sorted, each once. All are in the store.
    pub blobs: Vec<Digest>,
    /// Which needles are in which outputs, sorted.
    pub contains: Vec<Found>,
    /// Files that may hold any needle, sorted: a part of them is compressed.
    pub opaque: Vec<String>,
}

/// A needle that is in a file or in the text of a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The path of the file or link, relative to the workspace.
    pub path: String,
    /// Which of the needles.
    pub needle: usize,
}

/// Why the outputs were not taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// An output is of a kind that is not stored.
    #[error("{path}: {refusal}")]
    Refused {
        /// The output, or what is in it, relative to the workspace.
        path: String,
        /// Why.
        refusal: Refusal,
    },
    /// An output can't be read.
    #[error("{path}: can't read: {source}")]
    Unreadable {
        /// The output, or what is in it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an output is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It was not made.
    #[error("was not made")]
    Missing,
    /// It is neither file nor link nor directory.
    #[error("is a {0}")]
    Kind(&'static str),
    /// Its name, or its link text, is not UTF-8, which the Remote Execution API demands.
    #[error("is not UTF-8")]
    NotText,
    /// Its path or name is none that an output may have.
    #[error("{0}")]
    Name(&'static str),
    /// It is a link that leads out of the workspace, or may do so.
    #[error("{0}")]
    Link(&'static str),
    /// A directory above it is a link that leads out of the workspace.
    #[error("leads out of the workspace")]
    Escapes,
    /// It is part of another output.
    #[error("is part of the output `{0}`")]
    PartOf(String),
    /// It has a set-user-id or set-group-id bit, or file capabilities.
    #[error("has {0}")]
    Privileged(&'static str),
    /// It changed while it was taken in.
    #[error("changed while it was taken into the store")]
    Changed,
    /// The directory is too large.
    #[error("{0}")]
    TooLarge(String),
}

/// Takes the outputs of a verified run into the store, and looks into them for `needles`, such as
/// the absolute path of the workspace, which tell that a result depends on where it was made.
/// `outputs` are paths relative to `workspace`.
///
/// # Errors
/// See [`CollectError`]. Some blobs may be in the store by then, which does no harm.
pub fn collect(
    workspace: &Path,
    outputs: &[String],
    needles: &[&[u8]],
    store: &LocalStore,
) -> Result<Collected, CollectError> {
    for path in outputs {
        check_path(path).map_err(|what| refused(path, Refusal::Name(what)))?;
    }
    if let Some((above, below)) = overlapping(outputs.iter().map(String::as_str)) {
        return Err(refused(below, Refusal::PartOf(above.to_owned())));
    }
    let mut places = Places::new(workspace, false)
        .map_err(|errno| unreadable(&workspace.display().to_string())(errno.into()))?;
    let mut found = Vec::new();
    for path in outputs {
        let place = places.find(path).map_err(|error| match error {
            PlaceError::Escapes => refused(path, Refusal::Escapes),
            PlaceError::System(Errno::NOENT) => refused(path, Refusal::Missing),
            PlaceError::System(errno) => unreadable(path)(errno.into()),
        })?;
        found.push((path.as_str(), place));
    }
    found.sort_by_key(|(path, _)| *path);
    // Links between directories can bring together what is apart by name.
    let paths: Vec<String> = found.iter().map(|(_, place)| place.path()).collect();
    if let Some((above, below)) = overlapping(paths.iter().map(String::as_str)) {
        return Err(refused(below, Refusal::PartOf(above.to_owned())));
    }
    let needles = needles.iter().enumerate().filter(|(_, needle)| !needle.is_empty());
    let mut collector = Collector {
        store,
        needles: needles.map(|(at, needle)| (at, Finder::new(needle))).collect(),
        sections: opaque::SECTIONS.iter().map(Finder::new).collect(),
        blobs: BTreeSet::new(),
        contains: BTreeSet::new(),
        opaque: BTreeSet::new(),
        buffer: Vec::new(),
    };
    let mut result = ActionResult::default();
    for (path, place) in found {
        collector.output(path, &place, &mut result)?;
    }
    Ok(Collected {
        result,
        blobs: collector.blobs.into_iter().collect(),
        contains: collector.contains.into_iter().collect(),
        opaque: collector.opaque.into_iter().collect(),
    })
}

fn refused(path: &str, refusal: Refusal) -> CollectError {
    CollectError::Refused { path: path.to_owned(), refusal }
}

fn unreadable(path: &str) -> impl Fn(io::Error) -> CollectError {
    move |source| CollectError::Unreadable { path: path.to_owned(), source }
}

struct Collector<'a> {
    store: &'a LocalStore,
    needles: Vec<(usize, Finder<'a>)>,
    sections: Vec<Finder<'static>>,
    blobs: BTreeSet<Digest>,
    contains: BTreeSet<Found>,
    opaque: BTreeSet<String>,
    buffer: Vec<u8>,
}

impl Collector<'_> {
    fn output(
        &mut self,
        path: &str,
        place: &Place,
        result: &mut ActionResult,
    ) -> Result<(), CollectError> {
        let (dir, name) = (place.dir.as_fd(), place.name.as_str());
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Err(refused(path, Refusal::Missing)),
            stat => stat.map_err(|errno| unreadable(path)(errno.into()))?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let (digest, mode) = self.file(dir, name, path, &stat)?;
                result.files.push(OutputFile { path: path.to_owned(), digest, mode });
            }
            FileType::Symlink => {
                let target = self.link(dir, name, path, place.depth())?;
                result.links.push(OutputLink { path: path.to_owned(), target });
            }
            FileType::Directory => {
                let mut size = Size::default();
                let at = Level { depth: 0, above: place.depth() + 1 };
                let directory = self.directory(dir, name, path, at, &mut size)?;
                let tree = tree::encode(&directory);
                if tree.len() as u64 > MAX_TREE {
                    let what = format!("a tree of {} bytes; the limit is {MAX_TREE}", tree.len());
                    return Err(refused(path, Refusal::TooLarge(what)));
                }
                let tree = self.store.put_bytes(&tree)?;
                self.blobs.insert(tree);
                result.directories.push(OutputDirectory { path: path.to_owned(), tree });
            }
            kind => return Err(refused(path, Refusal::Kind(word(kind)))),
        }
        Ok(())
    }

    fn link(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<String, CollectError> {
        let target = match rustix::fs::readlinkat(dir, name, Vec::new()) {
            Err(Errno::INVAL | Errno::NOENT) => return Err(refused(path, Refusal::Changed)),
            target => target.map_err(|errno| unreadable(path)(errno.into()))?,
        };
        let target = target.into_string().map_err(|_| refused(path, Refusal::NotText))?;
        check_target(target.as_bytes(), depth)
            .map_err(|what| refused(path, Refusal::Link(what)))?;
        for (needle, finder) in &self.needles {
            if finder.find(target.as_bytes()).is_some() {
                self.contains.insert(Found { path: path.to_owned(), needle: *needle });
            }
        }
        Ok(target)
    }

    fn directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &str,
        path: &str,
        at: Level,
        size: &mut Size,
    ) -> Result<Directory, CollectError> {
        let system = |errno: Errno| unreadable(path)(errno.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => {
                return Err(refused(path, Refusal::Changed));
            }
            dir => dir.map_err(system)?,
        };
        let stat = rustix::fs::fstat(&dir).map_err(system)?;
        if stat.st_mode & 0o4000 != 0 {
            return Err(refused(path, Refusal::Privileged("a set-user-id bit")));
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir).map_err(system)? {
            let entry = entry.map_err(system)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = name.to_str() else {
                let below = format!("{path}/{}", name.to_string_lossy());
                return Err(refused(&below, Refusal::NotText));
            };
            names.push(name.to_owned());
            size.add(name.len(), at.depth)
                .map_err(|what| refused(path, Refusal::TooLarge(what)))?;
        }
        names.sort_unstable();
        let mode = stat.st_mode & 0o777;
        let mut directory =
            Directory { mode, files: Vec::new(), links: Vec::new(), directories: Vec::new() };
        for name in names {
            let path = format!("{path}/{name}");
            check_name(&name).map_err(|what| refused(&path, Refusal::Name(what)))?;
            let stat = match rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Err(refused(&path, Refusal::Changed)),
                stat => stat.map_err(|errno| unreadable(&path)(errno.into()))?,
            };
            let dir = dir.as_fd();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let (digest, mode) = self.file(dir, &name, &path, &stat)?;
                    directory.files.push((name, tree::File { digest, mode }));
                }
                FileType::Symlink => {
                    let target = self.link(dir, &name, &path, at.above)?;
                    size.add_text(target.len())
                        .map_err(|what| refused(&path, Refusal::TooLarge(what)))?;
                    directory.links.push((name, target));
                }
                FileType::Directory => {
                    let at = Level { depth: at.depth + 1, above: at.above + 1 };
                    let child = self.directory(dir, &name, &path, at, size)?;
                    directory.directories.push((name, child));
                }
                kind => return Err(refused(&path, Refusal::Kind(word(kind)))),
            }
        }
        if !unchanged(&stat, &rustix::fs::fstat(&dir).map_err(system)?) {
            return Err(refused(path, Refusal::Changed));
        }
        Ok(directory)
    }

    /// Takes a file in. `seen` is what its name led to.
    fn file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        seen: &Stat,
    ) -> Result<(Digest, u32), CollectError> {
        let mut file = open(dir, name, path)?;
        let stat =
            |file: &File| rustix::fs::fstat(file).map_err(|errno| unreadable(path)(errno.into()));
        let before = stat(&file)?;
        if !unchanged(seen, &before) {
            return Err(refused(path, Refusal::Changed));
        }
        if before.st_mode & 0o6000 != 0 {
            return Err(refused(path, Refusal::Privileged("a set-user-id or set-group-id bit")));
        }
        let mut capability = [0_u8; 64];
        match rustix::fs::fgetxattr(&file, "security.capability", &mut capability[..]) {
            Ok(_) | Err(Errno::RANGE) => {
                return Err(refused(path, Refusal::Privileged("file capabilities")));
            }
            // It has none, or the file system knows none.
            Err(_) => {}
        }
        let size = u64::try_from(before.st_size).unwrap_or(0);
        let digest = self.scan(&mut file, size, path).map_err(unreadable(path))?;
        self.store.insert_file(&file, &digest).map_err(|error| match error.is_damage() {
            // What came is not what was hashed a moment ago.
            true => refused(path, Refusal::Changed),
            false => error.into(),
        })?;
        if !unchanged(&before, &stat(&file)?) {
            return Err(refused(path, Refusal::Changed));
        }
        self.blobs.insert(digest);
        Ok((digest, before.st_mode & 0o777))
    }

    /// The digest of a file, which is searched for the needles on the way.
    fn scan(&mut self, file: &mut File, size: u64, path: &str) -> io::Result<Digest> {
        let finders = self.needles.iter().map(|(_, finder)| finder).chain(&self.sections);
        // So much of the last part is looked at again: a needle may lie across.
        let overlap = finders.map(|finder| finder.needle().len()).max().unwrap_or(1) - 1;
        let mut wanted: Vec<&(usize, Finder<'_>)> = self.needles.iter().collect();
        let mut opaque = is_opaque(file);
        // One byte more than the file has, to see its end.
        let part = usize::try_from(size + 1).map_or(PART, |size| size.min(PART));
        self.buffer.resize((overlap + part).max(self.buffer.len()), 0);
        let mut hasher = Hasher::new();
        let mut kept = 0;
        loop {
            let read = match file.read(&mut self.buffer[kept..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&self.buffer[kept..kept + read]);
            let end = kept + read;
            wanted.retain(|(needle, finder)| {
                let found = finder.find(&self.buffer[..end]).is_some();
                if found {
                    self.contains.insert(Found { path: path.to_owned(), needle: *needle });
                }
                !found
            });
            let sections = &self.sections;
            opaque = opaque || sections.iter().any(|name| name.find(&self.buffer[..end]).is_some());
            kept = overlap.min(end);
            self.buffer.copy_within(end - kept..end, 0);
        }
        if opaque && !self.needles.is_empty() {
            self.opaque.insert(path.to_owned());
        }
        Ok(hasher.finish())
    }
}

/// How many bytes are read at once.
const PART: usize = 256 << 10;

/// Where in a directory output.
#[derive(Clone, Copy)]
struct Level {
    /// How many levels below the output.
    depth: usize,
    /// How many directories are above what is in this one, up to the workspace.
    above: usize,
}

/// Opens a regular file. Should it be something else by now, that is not waited for.
fn open(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<File, CollectError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat(dir, name, flags | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::LOOP | Errno::NOENT | Errno::NXIO) => Err(refused(path, Refusal::Changed)),
        Err(errno) => Err(unreadable(path)(errno.into())),
    }
}

/// Whether a file is the same and has been left alone. Access times don't count.
fn unchanged(before: &Stat, after: &Stat) -> bool {
    let key = |stat: &Stat| {
        let changed = (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, changed)
    };
    key(before) == key(after)
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "file of an unknown kind",
    }
}
