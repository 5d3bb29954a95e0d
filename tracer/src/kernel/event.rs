//! The bytes of fanotify events (fanotify(7)), taken apart. Pure: no system call is made here.

/// What identifies a file: its file system, and a handle within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id<'a> {
    /// `fsid`, as statfs(2) tells it.
    pub fs: [i32; 2],
    /// `handle_type`.
    pub kind: i32,
    /// `f_handle`.
    pub handle: &'a [u8],
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'a> {
    /// The directory.
    pub dir: Id<'a>,
    /// The name, without its NUL; `.` for the directory itself.
    pub name: &'a [u8],
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened: `FAN_OPEN`, and so on. Several, when the kernel has merged events.
    pub mask: u64,
    /// Whose doing: the process, or 0 if it is not in our pid namespace.
    pub pid: i32,
    /// A descriptor for the file, or -1 in a group that reports handles.
    pub fd: i32,
    /// The name by which it was done, or, of a rename, the old one.
    pub at: Option<Entry<'a>>,
    /// Of a rename: the new name.
    pub to: Option<Entry<'a>>,
    /// The file itself.
    pub file: Option<Id<'a>>,
}

/// The bytes are not what the kernel says it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the kernel could not be read at byte {at}: {what}")]
pub struct Malformed {
    /// Where, from the start of the buffer.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// The events of one read(2). Ends after the first that is malformed, for what follows can't be
/// found.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// `struct fanotify_event_metadata`.
const METADATA: usize = 24;
/// `struct fanotify_event_info_header`.
const HEADER: usize = 4;

/// Takes apart what was read.
pub fn events(bytes: &[u8]) -> Events<'_> {
    Events { bytes, at: 0 }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The identity in an info record, after its header, and what follows it.
fn id(record: &[u8]) -> Option<(Id<'_>, &[u8])> {
    let fs = [i32_at(record, 0)?, i32_at(record, 4)?];
    let length = usize::try_from(i32_at(record, 8)?).ok()?;
    let kind = i32_at(record, 12)?;
    let (handle, rest) = record.get(16..)?.split_at_checked(length)?;
    Some((Id { fs, kind, handle }, rest))
}

/// The identity and name in an info record.
fn entry(record: &[u8]) -> Option<Entry<'_>> {
    let (dir, rest) = id(record)?;
    let name = &rest[..rest.iter().position(|byte| *byte == 0)?];
    (!name.is_empty() && !name.contains(&b'/')).then_some(Entry { dir, name })
}

impl<'a> Events<'a> {
    fn take(&mut self) -> Result<Event<'a>, &'static str> {
        let rest = &self.bytes[self.at..];
        let length = rest.get(..4).ok_or("cut short")?;
        let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let event = rest.get(..length).ok_or("longer than what was read")?;
        let metadata = event.get(..METADATA).ok_or("shorter than its metadata")?;
        if metadata[4] != libc::FANOTIFY_METADATA_VERSION {
            return Err("an unknown version");
        }
        let read = || {
            let start = usize::from(u16_at(metadata, 6)?);
            let (mask, fd, pid) =
                (u64_at(metadata, 8)?, i32_at(metadata, 16)?, i32_at(metadata, 20)?);
            Some((start, Event { mask, pid, fd, at: None, to: None, file: None }))
        };
        let (start, mut found) = read().ok_or("shorter than its metadata")?;
        let mut records = event.get(start..).filter(|_| start >= METADATA).ok_or("bad metadata")?;
        while !records.is_empty() {
            let length = u16_at(records, 2).map(usize::from).ok_or("a record cut short")?;
            let record = records.get(HEADER..length).ok_or("a record longer than its event")?;
            match records[0] {
                libc::FAN_EVENT_INFO_TYPE_FID => {
                    found.file = Some(id(record).ok_or("a bad file handle")?.0);
                }
                // A directory alone is the file of an event on itself.
                libc::FAN_EVENT_INFO_TYPE_DFID => {
                    let dir = id(record).ok_or("a bad directory handle")?.0;
                    found.at = Some(Entry { dir, name: b"." });
                }
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME | libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => {
                    found.at = Some(entry(record).ok_or("a bad name")?);
                }
                libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => {
                    found.to = Some(entry(record).ok_or("a bad new name")?);
                }
                // What a later kernel adds says more about the same event.
                _ => {}
            }
            records = &records[length..];
        }
        self.at += length;
        Ok(found)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let at = self.at;
        Some(self.take().map_err(|what| {
            self.at = self.bytes.len();
            Malformed { at, what }
        }))
    }
}

#[cfg(test)]
mod tests;
