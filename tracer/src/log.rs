//! What the loop has seen so far: paths interned, accesses counted per process, everything handed
//! to the sink as soon as it can't change any more.

use crate::table::Abi;
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId, Paths,
    ProcessId, Reason, ReasonCode, Recording, Sink, Stamp,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

mod deeds;
mod part;

pub(crate) use deeds::Deeds;
pub(crate) use part::Part;
use part::Parts;

/// The call behind a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) abi: Abi,
}

impl Call {
    /// No call: the kernel did it, or it was so at the start.
    pub(crate) const KERNEL: Call = Call { name: "", abi: Abi::NATIVE };
}

/// One access as the decoder sees it, before it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact<'a> {
    pub(crate) kind: Kind,
    pub(crate) op: Op,
    pub(crate) path: &'a [u8],
    /// Empty when it is the path.
    pub(crate) requested: &'a [u8],
    /// Empty for none.
    pub(crate) other: &'a [u8],
    pub(crate) errno: u16,
    pub(crate) flags: u32,
    pub(crate) object: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    path: PathId,
    requested: PathId,
    other: PathId,
    kind: Kind,
    op: Op,
    errno: u16,
    syscall: u16,
    flags: u32,
    object: u32,
}

/// What a program was started with.
#[derive(Clone)]
pub(crate) struct Words {
    /// Its arguments.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The variables that are noted, as `NAME=value`.
    pub(crate) env: Vec<Vec<u8>>,
}

/// The accesses of one living process, counted.
#[derive(Default)]
pub(crate) struct Tally(FxHashMap<Key, (u32, u64, u64)>);

/// A file that was opened for reading and writing: whether it was written shows at the end.
struct Watched {
    file: OwnedFd,
    before: Stamp,
    /// It was changed so shortly before that another change may bear the same time.
    fresh: bool,
    accesses: Vec<Access>,
}

/// The kernel's tick is 10 ms at most; file times are taken from it before Linux 6.13.
const TICK: i64 = 20_000_000;

/// Whether a change right now could leave the time of last change as it is.
fn is_fresh(stamp: &Stamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
    now.saturating_sub(stamp.mtime) < TICK && !fine_times()
}

/// Whether file times are taken anew when the last one has been looked at (multigrain timestamps).
fn fine_times() -> bool {
    static FINE: OnceLock<bool> = OnceLock::new();
    *FINE.get_or_init(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(6), Some(13))
    })
}

/// How many files are watched by an open descriptor; beyond it they count as written.
const MOST_WATCHED: usize = 512;

const WRITTEN: u8 = 1;
const STAMPED: u8 = 2;

/// What is kept for the witness.
#[derive(Default)]
struct Witnessed {
    /// By path number; what is missing at the end has none.
    deeds: Vec<Deeds>,
    /// The number of the last process that had a pid.
    processes: FxHashMap<i32, ProcessId>,
}

impl Witnessed {
    fn add(&mut self, path: PathId, deeds: Deeds) {
        let index = path.0 as usize;
        if self.deeds.len() <= index {
            self.deeds.resize(index + 1, Deeds::NONE);
        }
        self.deeds[index] |= deeds;
    }
}

/// Who, what, which, and the errno.
type NoteKey = (ProcessId, HostKind, Vec<u8>, u16);

/// Where events go.
enum Out<'a> {
    Given(&'a mut dyn Sink),
    /// Of a part of the tree, see [`part`].
    Kept(Box<Recording>),
}

impl Sink for Out<'_> {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        match self {
            Out::Given(sink) => sink.put(event),
            Out::Kept(recording) => recording.put(event),
        }
    }
}

pub(crate) struct Log<'a> {
    sink: Out<'a>,
    paths: Paths,
    /// WRITTEN and STAMPED, by path number.
    marks: Vec<u8>,
    /// For the witness, if there is one.
    witnessed: Option<Witnessed>,
    /// Indices by the address of the name, which is cheaper to hash, and ABI.
    syscalls: FxHashMap<(usize, Abi), u16>,
    seq: u64,
    processes: u32,
    stamps: Vec<(PathId, Stamp)>,
    watched: FxHashMap<(u64, u64), Watched>,
    notes: FxHashMap<NoteKey, (u32, u64)>,
    /// Unix socket names that were bound by these processes.
    bound: FxHashSet<Vec<u8>>,
    reasons: Vec<Reason>,
    /// The variables that are noted of each program.
    noted: Vec<String>,
    free: Vec<Tally>,
    /// Parts of the tree that are recorded on their own as well.
    parts: Parts,
}

pub(crate) fn stamp_of(stat: &libc::stat) -> Stamp {
    let nanos = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
    Stamp {
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: stat.st_size as u64,
        mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
        ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
    }
}

impl<'a> Log<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink, header: &Header, noted: Vec<String>) -> Log<'a> {
        let mut log = Log::empty(Out::Given(sink), noted);
        log.put(&Event::Header(header));
        log
    }

    fn empty(sink: Out<'a>, noted: Vec<String>) -> Log<'a> {
        Log {
            sink,
            paths: Paths::default(),
            marks: vec![0],
            witnessed: None,
            syscalls: FxHashMap::default(),
            seq: 0,
            processes: 0,
            stamps: Vec::new(),
            watched: FxHashMap::default(),
            notes: FxHashMap::default(),
            bound: FxHashSet::default(),
            reasons: Vec::new(),
            noted,
            free: Vec::new(),
            parts: Parts::default(),
        }
    }

    fn put(&mut self, event: &Event<'_>) {
        if let Err(error) = self.sink.put(event) {
            self.incomplete(None, ReasonCode::WriteFailed, || {
                format!("the recording could not be written: {error}")
            });
        }
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn intern(&mut self, path: &[u8]) -> PathId {
        let (id, new) = self.paths.intern_new(path);
        if new {
            self.marks.push(0);
            self.put(&Event::Path(id, path));
        }
        id
    }

    fn syscall(&mut self, call: Call) -> u16 {
        if call.name.is_empty() {
            return 0;
        }
        let key = (call.name.as_ptr() as usize, call.abi);
        if let Some(&index) = self.syscalls.get(&key) {
            return index;
        }
        let index = u16::try_from(self.syscalls.len() + 1).expect("fewer syscalls than 2^16");
        self.syscalls.insert(key, index);
        let foreign = call.abi != Abi::NATIVE;
        let name =
            if foreign { format!("{}/{}", call.abi.name(), call.name) } else { call.name.into() };
        self.put(&Event::Syscall(index, &name));
        index
    }

    /// Something may have escaped. The same reason is kept once a process.
    pub(crate) fn incomplete(
        &mut self,
        process: Option<ProcessId>,
        code: ReasonCode,
        detail: impl FnOnce() -> String,
    ) {
        const MOST: usize = 100;
        if self.parts.is_empty() && self.reasons.len() >= MOST {
            return;
        }
        let reason = Reason { code, detail: detail(), process };
        self.incomplete_part(&reason);
        if self.reasons.len() < MOST && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// A process is born; into `part`, if its parent's children are recorded on their own.
    pub(crate) fn birth(
        &mut self,
        parent: Option<ProcessId>,
        pid: i32,
        part: Option<&Part>,
    ) -> (ProcessId, Tally) {
        let id = ProcessId(self.processes);
        self.processes += 1;
        let seq = self.next();
        if let Some(witnessed) = &mut self.witnessed {
            witnessed.processes.insert(pid, id);
        }
        self.put(&Event::Process { id, parent, pid: pid as u32, seq });
        self.birth_in_part(id, parent, pid, part);
        (id, self.free.pop().unwrap_or_default())
    }

    /// A process executes a program.
    pub(crate) fn image(&mut self, process: ProcessId, exe: &[u8], words: Words, cwd: &[u8]) {
        let (exe, cwd) = (self.intern(exe), self.intern(cwd));
        let seq = self.next();
        if let Some((part, id)) = self.part_of(process) {
            part.at(seq).image(id, self.paths.get(exe), words.clone(), self.paths.get(cwd));
        }
        let Words { argv, mut env } = words;
        env.retain(|entry| self.noted.iter().any(|mark| mark.as_bytes() == name_of(entry)));
        self.put(&Event::Image(process, &Image { seq, exe, argv, cwd, env }));
    }

    /// A process has ended: its accesses are final.
    pub(crate) fn death(&mut self, process: ProcessId, tally: Tally, exit: Exit) {
        let seq = self.next();
        if let Some((part, id)) = self.part_of(process) {
            part.at(seq).death_kept(id, exit);
        }
        self.flush(process, tally);
        self.put(&Event::Exit(process, seq, exit));
    }

    /// Gives up the accesses of a process.
    pub(crate) fn flush(&mut self, process: ProcessId, mut tally: Tally) {
        for (key, (count, first, last)) in tally.0.drain() {
            self.put(&Event::Access(&access(process, &key, count, first, last)));
        }
        // A table that grew large is not worth keeping for a small process.
        if tally.0.capacity() <= 1024 && self.free.len() < 64 {
            self.free.push(tally);
        }
    }

    /// Starts a group of facts that share a sequence number: an access and its hops.
    pub(crate) fn begin(&mut self) {
        self.seq += 1;
    }

    /// Counts a fact, in the group begun last.
    pub(crate) fn emit(
        &mut self,
        process: ProcessId,
        tally: &mut Tally,
        call: Call,
        fact: &Fact<'_>,
    ) {
        if let Some((part, id)) = self.part_of(process) {
            part.emit(self.seq, id, call, fact);
        }
        self.count(tally, call, fact);
    }

    /// Counts a file that was opened for reading, and keeps its stamp if this is the first time.
    pub(crate) fn emit_read(
        &mut self,
        process: ProcessId,
        tally: &mut Tally,
        call: Call,
        fact: &Fact<'_>,
        stat: &libc::stat,
    ) {
        if let Some((part, id)) = self.part_of(process) {
            part.emit_read(self.seq, id, call, fact, stat);
        }
        let path = self.count(tally, call, fact);
        let marks = &mut self.marks[path.0 as usize];
        if *marks == 0 && fact.object == libc::S_IFREG {
            *marks = STAMPED;
            self.stamps.push((path, stamp_of(stat)));
        }
    }

    fn count(&mut self, tally: &mut Tally, call: Call, fact: &Fact<'_>) -> PathId {
        let requested = if fact.requested == fact.path { &[][..] } else { fact.requested };
        let key = Key {
            path: self.intern(fact.path),
            requested: self.intern(requested),
            other: self.intern(fact.other),
            kind: fact.kind,
            op: fact.op,
            errno: fact.errno,
            syscall: self.syscall(call),
            flags: fact.flags,
            object: fact.object,
        };
        let seq = self.seq;
        let counted = tally.0.entry(key).or_insert((0, seq, seq));
        counted.0 = counted.0.saturating_add(1);
        counted.2 = seq;
        if matches!(fact.kind, Kind::Write | Kind::Delete) && fact.errno == 0 {
            self.marks[key.path.0 as usize] |= WRITTEN;
        }
        if let Some(witnessed) = &mut self.witnessed {
            witnessed.add(key.path, Deeds::from(fact));
        }
        key.path
    }

    /// Keeps from now on what a witness needs to know of each path and process.
    pub(crate) fn keep_for_witness(&mut self) {
        self.witnessed.get_or_insert_default();
    }

    /// What was recorded of a path, for the witness. Complete after [`Log::settle`].
    pub(crate) fn deeds(&self, path: &[u8]) -> Deeds {
        let deeds = self.witnessed.as_ref().map(|witnessed| &witnessed.deeds);
        let id = self.paths.find(path);
        let known = deeds.zip(id).and_then(|(deeds, id)| deeds.get(id.0 as usize));
        known.copied().unwrap_or_default()
    }

    /// The number of the last process that had this pid, for the witness.
    pub(crate) fn process_of_pid(&self, pid: i32) -> Option<ProcessId> {
        self.witnessed.as_ref()?.processes.get(&pid).copied()
    }

    /// Whether this tree has written or removed the path.
    pub(crate) fn own(&self, path: &[u8]) -> bool {
        self.paths.find(path).is_some_and(|id| self.marks[id.0 as usize] & WRITTEN != 0)
    }

    /// A file was opened for reading and writing: it is a write if it changes until the end.
    pub(crate) fn watch(
        &mut self,
        process: ProcessId,
        tally: &mut Tally,
        call: Call,
        fact: &Fact<'_>,
        file: Option<OwnedFd>,
        stat: &libc::stat,
    ) {
        if let Some((part, id)) = self.part_of(process) {
            let file = file.as_ref().and_then(|file| file.try_clone().ok());
            part.watch(self.seq, id, call, fact, file, stat);
        }
        let inode = (stat.st_dev, stat.st_ino);
        let write = Fact { kind: Kind::Write, op: Op::Change, ..*fact };
        let full = self.watched.len() >= MOST_WATCHED && !self.watched.contains_key(&inode);
        let (Some(file), false) = (file, full) else {
            self.count(tally, call, &write);
            return;
        };
        let requested = if fact.requested == fact.path { &[][..] } else { fact.requested };
        let key = Key {
            path: self.intern(fact.path),
            requested: self.intern(requested),
            other: PathId::NONE,
            kind: write.kind,
            op: write.op,
            errno: 0,
            syscall: self.syscall(call),
            flags: fact.flags,
            object: fact.object,
        };
        let before = stamp_of(stat);
        let access = access(process, &key, 1, self.seq, self.seq);
        let watched = self.watched.entry(inode).or_insert_with(|| Watched {
            file,
            before,
            fresh: is_fresh(&before),
            accesses: Vec::new(),
        });
        if !watched.accesses.iter().any(|a| a.process == process && a.path == key.path) {
            watched.accesses.push(access);
        }
    }

    /// Counts a contact with the host.
    pub(crate) fn note(&mut self, process: ProcessId, kind: HostKind, detail: &[u8], errno: u16) {
        let seq = self.next();
        if let Some((part, id)) = self.part_of(process) {
            part.at(seq).note(id, kind, detail, errno);
        }
        self.count_note(process, kind, detail, errno, seq);
    }

    fn count_note(
        &mut self,
        process: ProcessId,
        kind: HostKind,
        detail: &[u8],
        errno: u16,
        seq: u64,
    ) {
        let count = self.notes.entry((process, kind, detail.to_vec(), errno)).or_insert((0, seq));
        count.0 = count.0.saturating_add(1);
    }

    /// A process has bound a unix socket to a name.
    pub(crate) fn bound(&mut self, process: ProcessId, name: &[u8]) {
        if let Some((part, id)) = self.part_of(process) {
            part.at(self.seq).bound(id, name);
        }
        self.bound.insert(name.to_vec());
    }

    /// Counts a contact by socket, unless the server is one of these processes.
    pub(crate) fn contact(&mut self, process: ProcessId, kind: HostKind, name: &[u8], errno: u16) {
        let seq = self.next();
        if let Some((part, id)) = self.part_of(process) {
            part.at(seq).contact(id, kind, name, errno);
        }
        if !self.bound.contains(name) {
            self.count_note(process, kind, name, errno, seq);
        }
    }

    /// Decides of each file that was opened for reading and writing whether it was written. To be
    /// called when nothing happens any more.
    pub(crate) fn settle(&mut self) {
        let mut watched: Vec<_> = std::mem::take(&mut self.watched).into_values().collect();
        watched.sort_by_key(|w| w.accesses[0].first);
        for w in watched {
            let now = crate::sys::files::stat(fd(&w.file), c"", false);
            let content = |stamp: Stamp| (stamp.size, stamp.mtime);
            let same = now.is_ok_and(|now| content(stamp_of(&now)) == content(w.before));
            if same && !w.fresh {
                continue;
            }
            // Its directory may have been renamed since.
            let name = std::fs::read_link(format!("/proc/self/fd/{}", fd(&w.file)));
            let name = name.map(|name| name.into_os_string().into_vec()).unwrap_or_default();
            let removed = name.first() != Some(&b'/') || name.ends_with(b" (deleted)");
            let moved = if removed { None } else { Some(self.intern(&name)) };
            for mut access in w.accesses {
                access.path = moved.unwrap_or(access.path);
                self.marks[access.path.0 as usize] |= WRITTEN;
                if let Some(witnessed) = &mut self.witnessed {
                    witnessed.add(access.path, Deeds::from(&access));
                }
                self.put(&Event::Access(&access));
            }
        }
    }

    /// Ends the recording.
    pub(crate) fn end(
        &mut self,
        mut stat: impl FnMut(&[u8]) -> Option<libc::stat>,
    ) -> Completeness {
        self.settle();
        for (path, before) in std::mem::take(&mut self.stamps) {
            // What the tree itself has changed is judged by its writes.
            if self.marks[path.0 as usize] & WRITTEN == 0 {
                let after = stat(self.paths.get(path)).map(|now| stamp_of(&now));
                self.put(&Event::Stamp { path, before, after });
            }
        }
        let mut notes: Vec<_> = std::mem::take(&mut self.notes).into_iter().collect();
        notes.sort_by_key(|(_, (_, first))| *first);
        for ((process, kind, detail, errno), (count, first)) in notes {
            self.put(&Event::Host(&HostNote { process, kind, detail, errno, count, first }));
        }
        let end = if self.reasons.is_empty() {
            Completeness::Complete
        } else {
            Completeness::Incomplete { reasons: std::mem::take(&mut self.reasons) }
        };
        if let Err(error) = self.sink.put(&Event::End(&end)) {
            let detail = format!("the recording could not be written: {error}");
            let reason = Reason { code: ReasonCode::WriteFailed, detail, process: None };
            return Completeness::Incomplete { reasons: vec![reason] };
        }
        end
    }
}

/// The name in `NAME=value`; empty if it is no such thing.
pub(crate) fn name_of(entry: &[u8]) -> &[u8] {
    entry.iter().position(|byte| *byte == b'=').map_or(&[], |end| &entry[..end])
}

fn fd(file: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    file.as_raw_fd()
}

fn access(process: ProcessId, key: &Key, count: u32, first: u64, last: u64) -> Access {
    let Key { path, requested, other, kind, op, errno, syscall, flags, object } = *key;
    Access {
        process,
        path,
        requested,
        other,
        kind,
        op,
        errno,
        syscall,
        flags,
        object,
        count,
        first,
        last,
    }
}

/// The reason for an I/O error in a detail text.
pub(crate) fn why(error: &io::Error) -> String {
    error.to_string()
}
