use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// An event as the kernel would write it: what it says, and the bytes.
#[derive(Clone, Debug)]
struct Written {
    mask: u64,
    pid: i32,
    at: Option<(Own, Vec<u8>)>,
    to: Option<(Own, Vec<u8>)>,
    file: Option<Own>,
    /// A record of a type that is not known, somewhere.
    more: Option<Vec<u8>>,
}

type Own = ([i32; 2], i32, Vec<u8>);

fn record(kind: u8, (fs, handle_kind, handle): &Own, name: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(fs.iter().flat_map(|n| n.to_ne_bytes()));
    body.extend((handle.len() as u32).to_ne_bytes());
    body.extend(handle_kind.to_ne_bytes());
    body.extend(handle);
    if let Some(name) = name {
        body.extend(name);
        body.push(0);
    }
    padded(kind, &body)
}

fn padded(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()).next_multiple_of(4);
    let mut bytes = vec![kind, 0];
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(body);
    bytes.resize(length, 0);
    bytes
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some((dir, name)) = &self.at {
            let kind = if self.to.is_some() {
                libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
            } else {
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME
            };
            records.extend(record(kind, dir, Some(name)));
        }
        if let Some((dir, name)) = &self.to {
            records.extend(record(libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, dir, Some(name)));
        }
        if let Some(body) = &self.more {
            records.extend(padded(200, body));
        }
        if let Some(file) = &self.file {
            records.extend(record(libc::FAN_EVENT_INFO_TYPE_FID, file, None));
        }
        let mut bytes = ((METADATA + records.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend([libc::FANOTIFY_METADATA_VERSION, 0]);
        bytes.extend((METADATA as u16).to_ne_bytes());
        bytes.extend(self.mask.to_ne_bytes());
        bytes.extend((-1i32).to_ne_bytes());
        bytes.extend(self.pid.to_ne_bytes());
        bytes.extend(records);
        bytes
    }

    fn parsed(&self) -> Event<'_> {
        fn entry(own: &(Own, Vec<u8>)) -> Entry<'_> {
            let ((fs, kind, handle), name) = own;
            Entry { dir: Id { fs: *fs, kind: *kind, handle }, name }
        }
        Event {
            mask: self.mask,
            pid: self.pid,
            fd: -1,
            at: self.at.as_ref().map(entry),
            to: self.to.as_ref().map(entry),
            file: self.file.as_ref().map(|(fs, kind, handle)| Id { fs: *fs, kind: *kind, handle }),
        }
    }
}

prop_compose! {
    fn own()(fs in any::<[i32; 2]>(), kind in any::<i32>(), handle in vec(any::<u8>(), 0..40)) -> Own {
        (fs, kind, handle)
    }
}

prop_compose! {
    fn written()(
        mask in any::<u64>(),
        pid in any::<i32>(),
        at in option::of((own(), "[^/\0]{1,20}")),
        to in option::of((own(), "[^/\0]{1,20}")),
        file in option::of(own()),
        more in option::of(vec(any::<u8>(), 0..20)),
    ) -> Written {
        let bytes = |(own, name): (Own, String)| (own, name.into_bytes());
        // A new name alone is not told.
        let (at, to) = (at.map(bytes), to.map(bytes));
        let to = to.filter(|_| at.is_some());
        Written { mask, pid, at, to, file, more }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(list in vec(written(), 0..6)) {
        let bytes: Vec<u8> = list.iter().flat_map(Written::bytes).collect();
        let read: Result<Vec<_>, _> = events(&bytes).collect();
        prop_assert_eq!(read, Ok(list.iter().map(Written::parsed).collect()));
    }

    #[test]
    fn what_was_cut_is_an_error_behind_whole_events(list in vec(written(), 1..4), cut in 1..200usize) {
        let bytes: Vec<u8> = list.iter().flat_map(Written::bytes).collect();
        let bytes = &bytes[..bytes.len().saturating_sub(cut)];
        let mut at = 0;
        let whole = list.iter().take_while(|event| {
            at += event.bytes().len();
            at <= bytes.len()
        });
        let whole = whole.count();
        let read: Vec<_> = events(bytes).collect();
        prop_assert_eq!(read.iter().filter(|event| event.is_ok()).count(), whole);
        let clean: usize = list.iter().take(whole).map(|event| event.bytes().len()).sum();
        prop_assert_eq!(read.len() - whole, usize::from(clean < bytes.len()));
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(events(&bytes).count() <= bytes.len() / METADATA + 1);
    }

    #[test]
    fn damage_does_no_harm(list in vec(written(), 1..4), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes: Vec<u8> = list.iter().flat_map(Written::bytes).collect();
        let at = at.index(bytes.len());
        bytes[at] = to;
        for event in events(&bytes).flatten() {
            let names = [event.at, event.to];
            prop_assert!(names.iter().flatten().all(|e| !e.name.is_empty() && !e.name.contains(&b'/')));
        }
    }
}

#[test]
fn an_overflow_has_no_file() {
    let event =
        Written { mask: libc::FAN_Q_OVERFLOW, pid: 0, at: None, to: None, file: None, more: None };
    let bytes = event.bytes();
    let read: Vec<_> = events(&bytes).collect();
    assert_eq!(read, [Ok(event.parsed())]);
}

#[test]
fn the_layout_is_that_of_the_kernel() {
    assert_eq!(METADATA, size_of::<libc::fanotify_event_metadata>());
    assert_eq!(HEADER, size_of::<libc::fanotify_event_info_header>());
}
