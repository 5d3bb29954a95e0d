//! Names seen in another mount namespace or root, as the host sees them.

use std::collections::HashMap;
use std::io;

/// One line of mountinfo (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    /// The mount that this one lies on. It may be outside of the view.
    pub(crate) parent: u64,
    /// Major and minor number of the file system, as `8:1`.
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
            let mut number = || str::from_utf8(fields.next()?).ok()?.parse().ok();
            let (id, parent) = (number()?, number()?);
            let device = fields.next()?.to_vec();
            let root = unescape(fields.next()?);
            let point = unescape(fields.next()?);
            Some(Mount { id, parent, device, root, point })
        })
        .collect()
}

/// A directory as a prefix: without its slash if it is the root.
fn prefix(dir: &[u8]) -> &[u8] {
    if dir == b"/" { &[] } else { dir }
}

/// What of `path` lies below `dir`: with its leading slash, or empty.
fn below<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    let rest = prefix(path).strip_prefix(prefix(dir))?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

/// `dir` with what [`below`] gave.
fn joined(dir: &[u8], rest: &[u8]) -> Vec<u8> {
    let path = [prefix(dir), rest].concat();
    if path.is_empty() { b"/".to_vec() } else { path }
}

/// The mount that a canonical path leads to: down from the root, into whatever covers the way.
fn reached<'a>(mounts: &'a [Mount], path: &[u8]) -> Option<&'a Mount> {
    let is_child = |mount: &Mount, of: Option<&Mount>| match of {
        Some(parent) => mount.parent == parent.id && mount.id != parent.id,
        None => !mounts.iter().any(|m| m.id == mount.parent && m.id != mount.id),
    };
    let mut at: Option<&Mount> = None;
    // As many steps as there are mounts, so that nonsense ends too.
    for _ in mounts {
        let next = mounts
            .iter()
            .filter(|mount| is_child(mount, at) && below(path, &mount.point).is_some())
            .min_by_key(|mount| mount.point.len());
        match next {
            Some(next) => at = Some(next),
            None => break,
        }
    }
    at
}

/// The name in the reference mounts of `path`, which lies on mount `id` of `task`. None when that
/// mount is not known, or its file system shows nowhere in the reference.
fn translate(path: &[u8], id: u64, task: &[Mount], reference: &[Mount]) -> Option<Vec<u8>> {
    let mount = task.iter().find(|mount| mount.id == id)?;
    let within = joined(&mount.root, below(path, &mount.point)?);
    reference.iter().rev().filter(|mount_there| mount_there.device == mount.device).find_map(
        |there| {
            let name = joined(&there.point, below(&within, &there.root)?);
            (reached(reference, &name)?.id == there.id).then_some(name)
        },
    )
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
        Ok(translate(path, id, mounts, &self.host))
    }
}

#[cfg(test)]
mod tests;
