//! Where an output stands: a directory within the workspace, held open, and a name in it.
//!
//! Links on the way are followed by hand, component by component from the workspace's own
//! directory, so that no other process can swap one for a way out in between.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// As many links on one way as the kernel follows.
const MAX_LINKS: usize = 40;

/// A directory in the workspace that the kernel really reached.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory in which the output stands.
    pub(super) dir: Rc<OwnedFd>,
    /// The names that lead to that directory from the workspace, with no link among them.
    parents: Vec<String>,
    /// The output's name in it.
    pub(super) name: String,
}

impl Place {
    /// How many directories below the workspace it is.
    pub(super) fn depth(&self) -> usize {
        self.parents.len()
    }

    /// Its path relative to the workspace, without links.
    pub(super) fn path(&self) -> String {
        let mut path = self.parents.join("/");
        if !path.is_empty() {
            path.push('/');
        }
        path + &self.name
    }
}

/// Why there is no such place.
#[derive(Debug)]
pub(super) enum PlaceError {
    /// A link on the way leads out of the workspace.
    Escapes,
    /// What the system said.
    System(Errno),
}

impl From<Errno> for PlaceError {
    fn from(errno: Errno) -> PlaceError {
        PlaceError::System(errno)
    }
}

/// Finds places in one workspace.
#[derive(Debug)]
pub(super) struct Places {
    root: Rc<OwnedFd>,
    create: bool,
    /// Directories that hold outputs: one handle for all that stand in it.
    known: HashMap<Vec<String>, Rc<OwnedFd>>,
    /// The directories that were made on the way.
    made: Vec<(Rc<OwnedFd>, String)>,
}

const HANDLE: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Places {
    /// Places in `workspace`. With `create`, directories that are missing are made; until
    /// [`Places::keep`] is called, they are removed again at the end.
    pub(super) fn new(workspace: &Path, create: bool) -> rustix::io::Result<Places> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(workspace, flags, Mode::empty())?;
        Ok(Places { root: Rc::new(root), create, known: HashMap::new(), made: Vec::new() })
    }

    /// The directories that were made stay.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }

    /// Where the output `path` stands, which is a checked path relative to the workspace. Its last
    /// name may be missing, and if it is a link, that is not followed.
    pub(super) fn find(&mut self, path: &str) -> Result<Place, PlaceError> {
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let name = todo.remove(0);
        let mut way: Vec<(String, Rc<OwnedFd>)> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            let here = way.last().map_or(&self.root, |(_, dir)| dir);
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    way.pop().ok_or(PlaceError::Escapes)?;
                    continue;
                }
                _ => {}
            }
            match rustix::fs::openat(here, &part, HANDLE, Mode::empty()) {
                Ok(dir) => way.push((part, Rc::new(dir))),
                Err(Errno::NOENT) if self.create => {
                    match rustix::fs::mkdirat(here, &part, Mode::from_raw_mode(0o777)) {
                        Ok(()) => self.made.push((Rc::clone(here), part.clone())),
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let dir = rustix::fs::openat(here, &part, HANDLE, Mode::empty())?;
                    way.push((part, Rc::new(dir)));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let target = match rustix::fs::readlinkat(here, &part, Vec::new()) {
                        Err(Errno::INVAL) => return Err(Errno::NOTDIR.into()),
                        target => target?,
                    };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
                    if target.starts_with('/') {
                        return Err(PlaceError::Escapes);
                    }
                    todo.extend(target.rsplit('/').map(str::to_owned));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let dir = Rc::clone(way.last().map_or(&self.root, |(_, dir)| dir));
        let parents: Vec<String> = way.into_iter().map(|(name, _)| name).collect();
        let dir = Rc::clone(self.known.entry(parents.clone()).or_insert(dir));
        Ok(Place { dir, parents, name })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for (dir, name) in self.made.drain(..).rev() {
            // One that somebody else has put something into stays.
            let _ = rustix::fs::unlinkat(&dir, &name, AtFlags::REMOVEDIR);
        }
    }
}
