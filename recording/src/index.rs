//! Finding accesses by path.

use crate::{Access, Kind, PathId, Recording};

/// The most links that are followed on the way to one file, as in the kernel, path_resolution(7).
const MAX_HOPS: usize = 40;

/// The accesses of a recording by path, each path's in order of `first`. Costs four bytes for
/// each access and each path; the recording must not change meanwhile.
#[derive(Debug)]
pub struct Index<'a> {
    recording: &'a Recording,
    /// Indices of accesses, those of one path together.
    order: Vec<u32>,
    /// Where in `order` each path begins; one more at the end.
    starts: Vec<u32>,
}

impl<'a> Index<'a> {
    /// Sorts the accesses of `recording` by path.
    ///
    /// # Panics
    /// When there are more than 4 thousand million accesses, or one of them has a path that
    /// the recording lacks.
    pub fn new(recording: &'a Recording) -> Self {
        let accesses = &recording.accesses;
        assert!(u32::try_from(accesses.len()).is_ok(), "fewer than 2^32 accesses");
        let mut starts = vec![0; recording.paths.len() + 1];
        for access in accesses {
            starts[access.path.0 as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut free = starts.clone();
        let mut order = vec![0; accesses.len()];
        for (i, access) in (0u32..).zip(accesses) {
            let place = &mut free[access.path.0 as usize];
            order[*place as usize] = i;
            *place += 1;
        }
        for pair in starts.windows(2) {
            let group = &mut order[pair[0] as usize..pair[1] as usize];
            group.sort_by_key(|&i| accesses[i as usize].first);
        }
        Index { recording, order, starts }
    }

    /// The accesses to `path`, in order of `first`.
    pub fn of(
        &self,
        path: PathId,
    ) -> impl DoubleEndedIterator<Item = &'a Access> + ExactSizeIterator + use<'a, '_> {
        let place = |i: usize| self.starts.get(i).copied().unwrap_or_default() as usize;
        let id = path.0 as usize;
        let range = place(id)..place(id + 1).max(place(id));
        self.order[range].iter().map(|&i| &self.recording.accesses[i as usize])
    }

    /// Every path that was accessed, with its accesses in order of `first`.
    pub fn by_path(
        &self,
    ) -> impl Iterator<
        Item = (
            PathId,
            impl DoubleEndedIterator<Item = &'a Access> + ExactSizeIterator + use<'a, '_>,
        ),
    > {
        let paths = (0u32..).take(self.recording.paths.len()).map(PathId);
        paths.map(|path| (path, self.of(path))).filter(|(_, group)| group.len() > 0)
    }

    /// When the content of `path` was first read (kind read or exec, successful).
    pub fn first_read(&self, path: PathId) -> Option<u64> {
        self.of(path).find(|access| reads(access)).map(|access| access.first)
    }

    /// When `path` was first written (kind write, successful).
    pub fn first_write(&self, path: PathId) -> Option<u64> {
        self.of(path).find(|access| writes(access)).map(|access| access.first)
    }

    /// The links on the way from the name a process asked for to the canonical one, in order,
    /// as far as they were recorded. In each, `path` is the link and `other` its text.
    pub fn hops(&self, access: &Access) -> Vec<&'a Access> {
        let recording = self.recording;
        let end = recording.path(access.path);
        // Components still to walk, the next one last.
        let mut rest: Vec<_> = components(recording.path(access.requested)).collect();
        let mut at = Vec::new();
        let mut hops = Vec::new();
        while let Some(component) = rest.pop() {
            let parent = at.len();
            match component {
                b"" | b"." => continue,
                b".." => {
                    at.truncate(at.iter().rposition(|&b| b == b'/').unwrap_or(0));
                    continue;
                }
                name => {
                    at.push(b'/');
                    at.extend_from_slice(name);
                }
            }
            // Arrived: a link here was looked at itself, not followed.
            if at == end && (rest.is_empty() || !access.exists()) {
                break;
            }
            let Some(link) = self.link(&at, access.first) else { continue };
            if hops.len() == MAX_HOPS {
                break;
            }
            hops.push(link);
            let text = recording.path(link.other);
            at.truncate(if text.starts_with(b"/") { 0 } else { parent });
            rest.extend(components(text));
        }
        hops
    }

    /// The link at `path` as it was at `seq`, if one was recorded there.
    fn link(&self, path: &[u8], seq: u64) -> Option<&'a Access> {
        let path = self.recording.paths.find(path)?;
        let links = |access: &&Access| {
            access.kind == Kind::Link && access.errno == 0 && !access.other.is_none()
        };
        let latest = self.of(path).filter(links).rfind(|link| link.first <= seq);
        latest.or_else(|| self.of(path).find(links))
    }
}

/// The components of a path, last one first.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&b| b == b'/')
}

fn reads(access: &Access) -> bool {
    matches!(access.kind, Kind::Read | Kind::Exec) && access.errno == 0
}

fn writes(access: &Access) -> bool {
    access.kind == Kind::Write && access.errno == 0
}

/// For one question; make an [`Index`] for many.
impl Recording {
    /// The accesses by path.
    ///
    /// # Panics
    /// As [`Index::new`].
    pub fn index(&self) -> Index<'_> {
        Index::new(self)
    }

    /// As [`Index::first_read`], looking at every access.
    pub fn first_read(&self, path: PathId) -> Option<u64> {
        self.first(path, reads)
    }

    /// As [`Index::first_write`], looking at every access.
    pub fn first_write(&self, path: PathId) -> Option<u64> {
        self.first(path, writes)
    }

    fn first(&self, path: PathId, wanted: fn(&Access) -> bool) -> Option<u64> {
        let found = self.accesses.iter().filter(|access| access.path == path && wanted(access));
        found.map(|access| access.first).min()
    }

    /// As [`Index::hops`], looking at every access.
    ///
    /// # Panics
    /// As [`Index::new`].
    pub fn hops(&self, access: &Access) -> Vec<&Access> {
        self.index().hops(access)
    }
}
