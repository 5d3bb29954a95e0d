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
    /// The type of the file system.
    pub(crate) kind: Vec<u8>,
    /// Its own options, as `rw,lowerdir=/a:/b`.
    pub(crate) options: Vec<u8>,
}

/// What a name in another view is on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The same.
    Same,
    /// This one; or, for a file system in memory that only the task sees, a name that does not
    /// begin with a slash: `[tmpfs 0:57]/rest`.
    Called(Vec<u8>),
    /// It can't be told: the file system may hold files of the host under names not known here.
    Nowhere,
}

/// The host's mounts as they were at the start, and those of namespaces as they are met.
pub(crate) struct Mounts {
    host: Vec<Mount>,
    /// By number. A task in a chroot no longer sees where its mounts are, so what was seen before
    /// is kept.
    met: HashMap<u64, Mount>,
}

/// File systems that live in memory and hold nothing that was not put there by the task itself or
/// by the kernel.
pub(crate) const IN_MEMORY: &[&[u8]] = &[
    b"tmpfs",
    b"ramfs",
    b"proc",
    b"sysfs",
    b"devpts",
    b"devtmpfs",
    b"mqueue",
    b"cgroup",
    b"cgroup2",
];

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
            // Options, then fields of any number up to a lone dash, then the type.
            let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
            let kind = fields.next()?.to_vec();
            let options = unescape(fields.nth(1).unwrap_or_default());
            Some(Mount { id, parent, device, root, point, kind, options })
        })
        .collect()
}

/// A directory as a prefix: without its slash if it is the root.
fn prefix(dir: &[u8]) -> &[u8] {
    if dir == b"/" { &[] } else { dir }
}

/// What of `path` lies below `dir`: with its leading slash, or empty.
pub(crate) fn below<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    let rest = prefix(path).strip_prefix(prefix(dir))?;
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

/// `dir` with what [`below`] gave.
pub(crate) fn joined(dir: &[u8], rest: &[u8]) -> Vec<u8> {
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

/// The name in the reference mounts of `path`, which lies on `mount`. None when its file system
/// shows nowhere in the reference.
fn translate(path: &[u8], mount: &Mount, reference: &[Mount]) -> Option<Vec<u8>> {
    let within = joined(&mount.root, below(path, &mount.point)?);
    reference.iter().rev().filter(|there| there.device == mount.device).find_map(|there| {
        let name = joined(&there.point, below(&within, &there.root)?);
        (reached(reference, &name)?.id == there.id).then_some(name)
    })
}

impl Mounts {
    pub(crate) fn of_self() -> io::Result<Mounts> {
        let host = parse(&std::fs::read("/proc/self/mountinfo")?);
        Ok(Mounts { host, met: HashMap::new() })
    }

    /// Whether the host has the same in the same place as this mount of another namespace.
    pub(crate) fn shows(&self, mount: &Mount) -> bool {
        let what = |mount: &Mount| (mount.device.clone(), mount.root.clone(), mount.point.clone());
        self.host.iter().any(|host| what(host) == what(mount))
    }

    /// Mounts have changed in the view of `tid`.
    pub(crate) fn meet(&mut self, tid: i32) {
        let text = std::fs::read(format!("/proc/{tid}/mountinfo")).unwrap_or_default();
        self.met.extend(parse(&text).into_iter().map(|mount| (mount.id, mount)));
    }

    /// What `path`, as the tracer reads it from a descriptor on mount `id` in the view of `tid`,
    /// is called on the host.
    pub(crate) fn translate(&mut self, tid: i32, id: u64, path: &[u8]) -> Place {
        if self.host.iter().any(|mount| mount.id == id) {
            return Place::Same;
        }
        if !self.met.contains_key(&id) {
            self.meet(tid);
        }
        let Some(mount) = self.met.get(&id) else { return Place::Nowhere };
        if let Some(name) = translate(path, mount, &self.host) {
            return Place::Called(name);
        }
        let (true, Some(rest)) =
            (IN_MEMORY.contains(&mount.kind.as_slice()), below(path, &mount.point))
        else {
            return Place::Nowhere;
        };
        let within = joined(&mount.root, rest);
        Place::Called([b"[", &mount.kind[..], b" ", &mount.device, b"]", &within].concat())
    }
}

#[cfg(test)]
mod tests;
