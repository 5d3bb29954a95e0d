//! Byte strings that occur many times (paths above all), stored once.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// The number of an interned byte string. Numbers are dense, from 0, in order of first use.
/// Number 0 is always the empty string, which stands for "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

impl PathId {
    /// The empty string: no path.
    pub const NONE: PathId = PathId(0);

    /// Whether this stands for "no path".
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// An interner of byte strings: each distinct string is stored once in one buffer.
#[derive(Clone, Debug)]
pub struct Paths {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    index: HashTable<u32>,
}

impl Default for Paths {
    fn default() -> Self {
        let mut paths = Paths { bytes: Vec::new(), ends: Vec::new(), index: HashTable::new() };
        paths.intern(b"");
        paths
    }
}

impl Paths {
    /// The number of `path`, and whether it was new.
    ///
    /// # Panics
    /// When more than 4 GiB of distinct path bytes are interned.
    pub fn intern_new(&mut self, path: &[u8]) -> (PathId, bool) {
        let hash = FxBuildHasher.hash_one(path);
        let Paths { bytes, ends, index } = self;
        if let Some(&id) = index.find(hash, |&id| slice(bytes, ends, id) == path) {
            return (PathId(id), false);
        }
        let id = u32::try_from(ends.len()).expect("fewer than 2^32 distinct paths");
        bytes.extend_from_slice(path);
        ends.push(u32::try_from(bytes.len()).expect("less than 4 GiB of distinct paths"));
        index.insert_unique(hash, id, |&id| FxBuildHasher.hash_one(slice(bytes, ends, id)));
        (PathId(id), true)
    }

    /// The number of `path`, which is stored if it is new.
    pub fn intern(&mut self, path: &[u8]) -> PathId {
        self.intern_new(path).0
    }

    /// The number of `path`, if it has one.
    pub fn find(&self, path: &[u8]) -> Option<PathId> {
        let hash = FxBuildHasher.hash_one(path);
        self.index
            .find(hash, |&id| slice(&self.bytes, &self.ends, id) == path)
            .map(|&id| PathId(id))
    }

    /// The bytes of a path.
    ///
    /// # Panics
    /// When `id` does not come from this interner.
    pub fn get(&self, id: PathId) -> &[u8] {
        slice(&self.bytes, &self.ends, id.0)
    }

    /// Every string with its number, in order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = (PathId, &[u8])> {
        (0u32..).map(PathId).zip((0..self.ends.len()).map(|id| self.get(PathId(id as u32))))
    }

    /// Whether a new string of `length` bytes can still be stored.
    pub fn has_room(&self, length: usize) -> bool {
        let most = u32::MAX as usize;
        self.ends.len() < most && length <= most - self.bytes.len()
    }

    /// How many strings are stored, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never true: the empty string is always stored.
    pub fn is_empty(&self) -> bool {
        false
    }
}

fn slice<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] as usize };
    &bytes[start..ends[id] as usize]
}
