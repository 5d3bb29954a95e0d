//! Names seen in another mount namespace or root, as the host sees them.

use std::collections::HashMap;
use std::io;

/// One line of mountinfo (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    pub(crate) device: Vec<u8>,
    /// The directory of the file system that is mounted.
    pub(crate) root: Vec<u8>,
    /// Where.
    pub(crate) point: Vec<u8>,
}

/// The host's mounts as they were at the start, and those of namespaces as they are met.
pub(crate) struct Mounts {
    host: Vec<Mount>,
    tasks: HashMap<i32, Vec<Mount>>,
}

/// Undoes the octal escapes of mountinfo: `\040` for a blank, and so on.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).filter(|d| byte == b'\\' && d.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) => {
                let value = digits.iter().fold(0u32, |n, d| n * 8 + u32::from(d - b'0'));
                out.push(value as u8);
                rest = &tail[3..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// Parses mountinfo; lines that don't fit are left out.
pub(crate) fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|b| *b == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let _parent = fields.next()?;
            let device = fields.next()?.to_vec();
            let root = unescape(fields.next()?);
            let point = unescape(fields.next()?);
            Some(Mount { id, device, root, point })
        })
        .collect()
}

/// What of `path` lies below `dir`: with its leading slash, or empty.
fn below<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    let dir = if dir == b"/" { &[][..] } else { dir };
    let rest = path.strip_prefix(dir)?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

impl Mounts {
    pub(crate) fn of_self() -> io::Result<Mounts> {
        let host = parse(&std::fs::read("/proc/self/mountinfo")?);
        Ok(Mounts { host, tasks: HashMap::new() })
    }

    /// Mounts have changed somewhere.
    pub(crate) fn forget(&mut self) {
        self.tasks.clear();
    }

    /// The name on the host of `path` on mount `id` in the namespace of `tid`; none when it is
    /// the same, or when the file system is mounted nowhere on the host.
    pub(crate) fn translate(
        &mut self,
        tid: i32,
        id: u64,
        path: &[u8],
    ) -> io::Result<Option<Vec<u8>>> {
        if self.host.iter().any(|mount| mount.id == id) {
            return Ok(None);
        }
        // Paths come as seen from the tracer's root, so points must be too: `/proc/TID/mountinfo`
        // gives them as seen from the task's root; its mounts by their number all the same.
        let mounts = match self.tasks.entry(tid) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(parse(&std::fs::read(format!("/proc/{tid}/mountinfo"))?))
            }
        };
        let Some(mount) = mounts.iter().find(|mount| mount.id == id) else { return Ok(None) };
        let Some(inner) = below(path, &mount.point) else { return Ok(None) };
        let root = if mount.root == b"/" { &[][..] } else { &mount.root[..] };
        let within = [root, inner].concat();
        // The latest mount of the same file system that shows the place.
        let found = self.host.iter().rev().find_map(|host| {
            let rest = (host.device == mount.device).then(|| below(&within, &host.root))??;
            let point = if host.point == b"/" { &[][..] } else { &host.point[..] };
            Some([point, rest].concat())
        });
        Ok(found.map(|path| if path.is_empty() { b"/".to_vec() } else { path }))
    }
}
