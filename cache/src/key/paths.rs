//! Path sets: what a verified run depended on beside the declared inputs.

use crate::proto::{Shape, count};
use airtight_policy::{Dependency, Need};
use prost::Message;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The most entries of a path set that is believed.
const MAX_ENTRIES: usize = 1 << 20;

/// How long its paths may be altogether, in bytes. What they share is encoded once, so that few
/// bytes can stand for many.
const MAX_TEXT: usize = 64 << 20;

/// The longest path that the kernel takes, PATH_MAX.
const MAX_PATH: usize = 4096;

/// What of a path enters the key. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Wanted {
    /// Never written.
    Unknown = 0,
    /// Whether it is there.
    Absent = 1,
    /// Its type.
    Type = 2,
    /// Its type and content.
    Content = 3,
    /// The names in it.
    Members = 4,
    /// Its text, of a symbolic link.
    Link = 5,
    /// The absolute path of the workspace itself, because an output holds it.
    Workspace = 6,
}

impl From<Need> for Wanted {
    fn from(need: Need) -> Wanted {
        match need {
            Need::Absent => Wanted::Absent,
            Need::Type | Need::NotDirectory => Wanted::Type,
            Need::Content => Wanted::Content,
            Need::Members => Wanted::Members,
            Need::Link => Wanted::Link,
        }
    }
}

/// One path of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath {
    /// Relative to the workspace (empty for the workspace itself), or absolute outside of it.
    pub path: Vec<u8>,
    /// What of it enters the key.
    pub wanted: Wanted,
}

impl KeyPath {
    /// Where it is on this machine.
    pub fn locate(&self, workspace: &Path) -> PathBuf {
        // `join` takes an absolute path as it is; an empty one would add a slash.
        match self.path.is_empty() {
            true => workspace.to_owned(),
            false => workspace.join(OsStr::from_bytes(&self.path)),
        }
    }
}

/// The paths that a verified run depended on, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathSet {
    paths: Vec<KeyPath>,
}

/// Bytes that are no path set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a path set: {0}")]
pub struct PathSetError(String);

impl PathSet {
    /// The set of `dependencies`, and of whether an output holds the workspace's own name.
    pub fn new(dependencies: &[Dependency], workspace: &Path, names_workspace: bool) -> PathSet {
        let mut paths: Vec<KeyPath> = dependencies
            .iter()
            .map(|dependency| {
                let path = Path::new(OsStr::from_bytes(&dependency.path));
                let path = path.strip_prefix(workspace).unwrap_or(path);
                KeyPath {
                    path: path.as_os_str().as_bytes().to_vec(),
                    wanted: dependency.need.into(),
                }
            })
            .collect();
        if names_workspace {
            paths.push(KeyPath { path: Vec::new(), wanted: Wanted::Workspace });
        }
        paths.sort();
        paths.dedup();
        PathSet { paths }
    }

    /// The paths.
    pub fn paths(&self) -> &[KeyPath] {
        &self.paths
    }

    /// The set as bytes; docs/keys.md describes them.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = Vec::with_capacity(self.paths.len());
        let mut last: &[u8] = b"";
        for KeyPath { path, wanted } in &self.paths {
            let keep = path.iter().zip(last).take_while(|(a, b)| a == b).count();
            entries.push(wire::Entry {
                keep: u32::try_from(keep).unwrap_or(0),
                rest: path[keep..].to_vec(),
                wanted: *wanted as i32,
            });
            last = path;
        }
        wire::PathSet { entries }.encode_to_vec()
    }

    /// Reads a set.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`PathSet::encode`] gives for some set.
    pub fn decode(bytes: &[u8]) -> Result<PathSet, PathSetError> {
        let bad = |what: &str| PathSetError(what.to_owned());
        let mut budget = MAX_ENTRIES;
        count(bytes, &Shape(&[(1, Shape(&[]))]), &mut budget).map_err(|what| bad(&what))?;
        let set = wire::PathSet::decode(bytes).map_err(|error| bad(&error.to_string()))?;
        let mut paths: Vec<KeyPath> = Vec::with_capacity(set.entries.len());
        let mut text = 0;
        for entry in set.entries {
            let wanted = entry.wanted();
            let last = paths.last().map(|last| last.path.as_slice()).unwrap_or_default();
            let keep = usize::try_from(entry.keep).unwrap_or(usize::MAX);
            let kept = last.get(..keep).ok_or_else(|| bad("keeps more than there is"))?;
            if kept.len() + entry.rest.len() > MAX_PATH {
                return Err(bad("a path is too long"));
            }
            text += kept.len() + entry.rest.len();
            if text > MAX_TEXT {
                return Err(bad("its paths are too long altogether"));
            }
            let path = KeyPath { path: [kept, &entry.rest].concat(), wanted };
            if wanted == Wanted::Unknown {
                return Err(bad("an entry of unknown kind"));
            }
            if (wanted == Wanted::Workspace && !path.path.is_empty()) || !is_normal(&path.path) {
                return Err(bad("a path that no run can have had"));
            }
            if paths.last().is_some_and(|last| *last >= path) {
                return Err(bad("not sorted"));
            }
            paths.push(path);
        }
        let set = PathSet { paths };
        match set.encode() == bytes {
            true => Ok(set),
            false => Err(bad("not in the one canonical form")),
        }
    }
}

/// Whether a path is as a run has it: no `.`, `..`, empty part or NUL.
fn is_normal(path: &[u8]) -> bool {
    let rest = path.strip_prefix(b"/").unwrap_or(path);
    let part =
        |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    rest.is_empty() || rest.split(|&byte| byte == b'/').all(part)
}

/// The messages, as protocol buffers.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PathSet {
        #[prost(message, repeated, tag = "1")]
        pub(super) entries: Vec<Entry>,
    }

    /// Entries are sorted, so each is told by what it shares with the one before.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Entry {
        /// How many bytes of the path before it begins with.
        #[prost(uint32, tag = "1")]
        pub(super) keep: u32,
        /// The rest of the path.
        #[prost(bytes = "vec", tag = "2")]
        pub(super) rest: Vec<u8>,
        #[prost(enumeration = "super::Wanted", tag = "3")]
        pub(super) wanted: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airtight_policy::Seen;
    use proptest::prelude::*;

    fn dependency(path: &str, need: Need) -> Dependency {
        Dependency { path: path.as_bytes().to_vec(), need, seen: Seen::Nothing }
    }

    #[test]
    fn paths_are_relative_to_the_workspace_and_sorted() {
        let set = PathSet::new(
            &[
                dependency("/usr/include/stdio.h", Need::Content),
                dependency("/ws/include/b.h", Need::Content),
                dependency("/ws", Need::Members),
                dependency("/ws/include/a.h", Need::Absent),
                dependency("/ws/include/b.h", Need::Content),
                dependency("/wsx", Need::Type),
            ],
            Path::new("/ws"),
            true,
        );
        let told: Vec<(String, Wanted)> = set
            .paths()
            .iter()
            .map(|p| (String::from_utf8_lossy(&p.path).into_owned(), p.wanted))
            .collect();
        let expected = [
            ("", Wanted::Members),
            ("", Wanted::Workspace),
            ("/usr/include/stdio.h", Wanted::Content),
            ("/wsx", Wanted::Type),
            ("include/a.h", Wanted::Absent),
            ("include/b.h", Wanted::Content),
        ];
        assert_eq!(told, expected.map(|(path, wanted)| (path.to_owned(), wanted)));
        assert_eq!(PathSet::decode(&set.encode()), Ok(set.clone()));
        assert_eq!(set.paths()[0].locate(Path::new("/ws")), Path::new("/ws"));
        assert_eq!(set.paths()[2].locate(Path::new("/ws")), Path::new("/usr/include/stdio.h"));
        assert_eq!(set.paths()[4].locate(Path::new("/ws")), Path::new("/ws/include/a.h"));
    }

    #[test]
    fn what_is_no_path_set_is_refused() {
        let encode = |entries: &[(u32, &str, i32)]| {
            let entry = |&(keep, rest, wanted): &(u32, &str, i32)| wire::Entry {
                keep,
                rest: rest.as_bytes().to_vec(),
                wanted,
            };
            wire::PathSet { entries: entries.iter().map(entry).collect() }.encode_to_vec()
        };
        assert!(PathSet::decode(&encode(&[(0, "a", 3), (0, "b", 3)])).is_ok());
        for wrong in [
            encode(&[(0, "b", 3), (0, "a", 3)]),
            encode(&[(0, "a", 3), (1, "", 3)]),
            encode(&[(1, "a", 3)]),
            encode(&[(0, "a", 0)]),
            encode(&[(0, "a", 9)]),
            encode(&[(0, "../a", 3)]),
            encode(&[(0, "a//b", 3)]),
            encode(&[(0, "a\0", 3)]),
            encode(&[(0, "a", 6)]),
            encode(&[(0, "aa", 3), (0, "ab", 3)]),
            encode(&[(0, &"a".repeat(5000), 3)]),
            b"\x0a\xff\xff\xff\xff\xff".to_vec(),
        ] {
            assert!(PathSet::decode(&wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(set) = PathSet::decode(&bytes) {
                prop_assert_eq!(set.encode(), bytes);
            }
        }

        #[test]
        fn sets_go_both_ways(names in proptest::collection::vec("/(ws|usr)(/[a-c]{1,3}){0,3}", 0..20)) {
            let list: Vec<_> = names.iter().map(|name| dependency(name, Need::Content)).collect();
            let set = PathSet::new(&list, Path::new("/ws"), false);
            prop_assert_eq!(PathSet::decode(&set.encode()), Ok(set));
        }
    }
}
