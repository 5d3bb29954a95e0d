//! Puts what the kernel has told in order, as a recording.

use super::facts::{Deed, Fact, Shared, facts};
use super::family::{Family, Member, MemberId, Program};
use super::images::Found;
use super::order::{After, Order};
use super::recorder::{Inherited, Told};
use super::view::{Act, Place, Sight, View};
use crate::beneath::{Beneath, Survivor};
use crate::log::stamp_of;
use crate::sys::files;
use airtight_recording::{
    Access, Completeness, Event, Exit, Header, HostKind, HostNote, Image, Kind, Op, PathId, Paths,
    ProcessId, Reason, ReasonCode, Sink, Stamp,
};
use rustc_hash::FxHashMap;
use std::ffi::CString;
use std::io;

/// What this backend can't know by its nature.
const LIMITS: &str = "the fanotify backend does not see what is only looked for (stat, access, \
                      readlink, names that are not there), symbolic links on the way, calls that \
                      fail, sockets, and reads by mapping a file that is open for writing";

/// Writes a recording of everything that was told; says how complete it is.
pub(super) fn tell(header: &Header, told: Told, sink: &mut dyn Sink) -> Completeness {
    let mut paper = Paper { sink, paths: Paths::default(), failed: None };
    paper.put(&Event::Header(header));
    let Told { view, family, found, inherited, ends, ran, began, unwatched } = told;
    let mut names = Names { view: &view, cwd: &header.cwd, known: FxHashMap::default() };
    let groups = groups(&view, &mut names, &mut paper);
    let programs = programs(&family, &found, &groups, &paper.paths);
    let order = Order::new(&family, &view, &programs.iter().map(|p| p.after).collect::<Vec<_>>());
    let start = paper.intern(&header.cwd);
    let mut story = Story {
        paper,
        family: &family,
        start,
        cwds: vec![None; family.members().len()],
        order,
        ids: Vec::new(),
        looks: FxHashMap::default(),
        used: FxHashMap::default(),
    };
    story.processes(ran.pid);
    story.programs(&programs);
    story.ends(&ends, &ran);
    story.inherited(&inherited);
    story.accesses(&groups);
    story.stamps(began);
    let mut reasons = story.survivors(&ran);
    let limits = |detail: String| reason(ReasonCode::BackendLimits, detail);
    reasons.push(limits(LIMITS.to_owned()));
    let unread = programs.iter().filter(|program| program.found.is_none()).count();
    if unread > 0 {
        let all = programs.len();
        reasons.push(limits(format!(
            "{unread} of {all} programs ended before their arguments could be read"
        )));
    }
    reasons.extend(view.blind.iter().map(|blind| limits(blind.to_string())));
    reasons.extend(view.gaps.into_iter().map(|gap| reason(ReasonCode::LostEvent, gap)));
    let own = unwatched.map(|what| format!("{what} was mounted meanwhile, and is not watched"));
    let others = programs.iter().filter_map(|program| {
        let what = program.found?.unwatched.as_ref()?;
        let comm = program.comm.escape_ascii();
        Some(format!("{comm} has a mount namespace of its own with {what}, which is not watched"))
    });
    for detail in own.into_iter().chain(others) {
        let reason = reason(ReasonCode::LostEvent, detail);
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if ran.timed_out {
        reasons.push(reason(ReasonCode::TimedOut, "the time limit was reached".to_owned()));
    }
    let end = Completeness::Incomplete { reasons };
    story.paper.put(&Event::End(&end));
    match story.paper.failed {
        None => end,
        Some(error) => {
            let detail = format!("the recording could not be written: {error}");
            Completeness::Incomplete { reasons: vec![reason(ReasonCode::WriteFailed, detail)] }
        }
    }
}

fn reason(code: ReasonCode, detail: String) -> Reason {
    Reason { code, detail, process: None }
}

/// What is written on: paths are defined when they are first used.
struct Paper<'a> {
    sink: &'a mut dyn Sink,
    paths: Paths,
    failed: Option<io::Error>,
}

impl Paper<'_> {
    fn put(&mut self, event: &Event<'_>) {
        if self.failed.is_none() {
            self.failed = self.sink.put(event).err();
        }
    }

    fn intern(&mut self, path: &[u8]) -> PathId {
        let (id, new) = self.paths.intern_new(path);
        if new {
            self.put(&Event::Path(id, path));
        }
        id
    }
}

/// The names of places.
struct Names<'a> {
    view: &'a View,
    cwd: &'a [u8],
    known: FxHashMap<&'a Place, PathId>,
}

impl<'a> Names<'a> {
    /// What a place is called; none if it has no name. Of several names, by mounts that show the same
    /// directory, it is the one that has most in common with the current directory of the command.
    fn of(&mut self, place: &'a Place, paper: &mut Paper<'_>) -> PathId {
        if let Some(&id) = self.known.get(place) {
            return id;
        }
        let common = |name: &Vec<u8>| name.iter().zip(self.cwd).take_while(|(a, b)| a == b).count();
        let names = self.view.names(place);
        // Of equals the first.
        let name = names.iter().rev().max_by_key(|name| common(name));
        let id = match name.filter(|_| !place.path.starts_with(b"#")) {
            Some(name) => paper.intern(name),
            None => PathId::NONE,
        };
        self.known.insert(place, id);
        id
    }
}

/// All that one process did to one name.
struct Group {
    member: MemberId,
    path: PathId,
    /// Whether it was told to be a directory.
    directory: bool,
    deeds: Vec<Deed>,
}

/// What processes did, by process and name, in the order of the first deeds.
fn groups<'a>(view: &'a View, names: &mut Names<'a>, paper: &mut Paper<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: FxHashMap<(MemberId, PathId), usize> = FxHashMap::default();
    for sight in &view.sights {
        // What an overlay does to its layers on behalf of the process is told by the merged name.
        let place = sight.also.first().filter(|_| sight.loose).unwrap_or(&sight.place);
        let path = names.of(place, paper);
        if path.is_none() {
            continue;
        }
        let other = sight.other.as_ref().map_or(PathId::NONE, |other| names.of(other, paper));
        let place = *places.entry((sight.member, path)).or_insert_with(|| {
            let (member, deeds) = (sight.member, Vec::new());
            groups.push(Group { member, path, directory: false, deeds });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.directory |= sight.dir;
        let Sight { act, order: first, last, count, .. } = *sight;
        group.deeds.push(Deed { act, first, last, count, other });
    }
    groups
}

/// A program that a process executed, with all that is known of it.
struct Known<'a> {
    member: MemberId,
    found: Option<&'a Found>,
    exe: Vec<u8>,
    comm: &'a [u8],
    /// Where it belongs among what was seen.
    after: After,
}

/// All programs, by process and in their order.
fn programs<'a>(
    family: &'a Family,
    found: &'a [Found],
    groups: &[Group],
    paths: &Paths,
) -> Vec<Known<'a>> {
    let mut by_pid: FxHashMap<i32, Vec<&Found>> = FxHashMap::default();
    for one in found {
        by_pid.entry(one.pid).or_default().push(one);
    }
    let mut executed: FxHashMap<MemberId, Vec<(u64, PathId)>> = FxHashMap::default();
    for group in groups {
        for deed in group.deeds.iter().filter(|deed| deed.act == Act::Exec) {
            executed.entry(group.member).or_default().push((deed.first, group.path));
        }
    }
    executed.values_mut().for_each(|list| list.sort_unstable_by_key(|(order, _)| *order));
    let mut programs = Vec::new();
    for (member, Member { pid, images, .. }) in (0..).zip(family.members()) {
        let executed = executed.get(&member).map_or(&[][..], Vec::as_slice);
        let mut since = 0;
        for program in images {
            let near = |one: &&&Found| one.time.abs_diff(program.time) < NEAR;
            let same = by_pid.get(pid).into_iter().flatten().filter(near);
            let found = same.min_by_key(|one| one.time.abs_diff(program.time)).copied();
            let opened = opened(program, found, &executed[since..], paths);
            let exe = match (found, opened) {
                (Some(found), _) if !found.exe.is_empty() => found.exe.clone(),
                (_, Some(at)) => paths.get(executed[since + at].1).to_vec(),
                (_, None) => program.file.clone().unwrap_or_else(|| program.comm.clone()),
            };
            let seen = opened.map(|at| executed[since + at].0);
            since += opened.map_or(0, |at| at + 1);
            let after = After { member, time: program.time, seen };
            programs.push(Known { member, found, exe, comm: &program.comm, after });
        }
    }
    programs
}

/// The records of one exec for two readers are some microseconds apart.
const NEAR: u64 = 5_000_000;

/// Which of the files that were opened to be executed became the program: the one of its name, or,
/// in another root directory, one whose name ends with that.
fn opened(
    program: &Program,
    found: Option<&Found>,
    executed: &[(u64, PathId)],
    paths: &Paths,
) -> Option<usize> {
    let known = found.map(|found| &found.exe).filter(|exe| !exe.is_empty());
    let name = known.or(program.file.as_ref())?;
    let path = |at: &(u64, PathId)| paths.get(at.1);
    let same = executed.iter().position(|at| path(at) == *name);
    same.or_else(|| executed.iter().position(|at| path(at).ends_with(name)))
}

struct Story<'a> {
    paper: Paper<'a>,
    family: &'a Family,
    order: Order,
    /// Where the command began.
    start: PathId,
    /// Where each member was when it last executed something.
    cwds: Vec<Option<PathId>>,
    /// The process that each member is.
    ids: Vec<ProcessId>,
    /// The type of what has a name at the end.
    looks: FxHashMap<PathId, Option<libc::stat>>,
    /// Names of files that were read or executed, and whether they were changed as well.
    used: FxHashMap<PathId, Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    content: bool,
    changed: bool,
}

impl Story<'_> {
    /// The root comes first, then all others in the order of their births.
    fn processes(&mut self, root: u32) {
        let members = self.family.members();
        let is_root = |member: &Member| member.pid as u32 == root && member.parent.is_none();
        let root = members.iter().rposition(is_root);
        let mut list: Vec<usize> = (0..members.len()).collect();
        list.sort_by_key(|&at| (Some(at) != root, members[at].born, at));
        self.ids = vec![ProcessId(0); members.len()];
        for (id, &at) in (0..).zip(&list) {
            self.ids[at] = ProcessId(id);
        }
        for at in list {
            let id = self.ids[at];
            let parent = members[at].parent.map(|parent| self.ids[parent as usize]);
            let parent = parent.filter(|parent| parent.0 < id.0);
            let (pid, seq) = (members[at].pid as u32, self.order.birth(at as MemberId));
            self.paper.put(&Event::Process { id, parent, pid, seq });
        }
    }

    fn programs(&mut self, programs: &[Known<'_>]) {
        for (at, program) in programs.iter().enumerate() {
            let exe = self.paper.intern(&program.exe);
            let found = program.found.cloned().unwrap_or_default();
            let cwd = match &found.cwd[..] {
                b"" => self.cwd_before(program.member),
                cwd => self.paper.intern(cwd),
            };
            self.cwds[program.member as usize] = Some(cwd);
            let argv = match program.found {
                Some(_) => found.argv,
                None => vec![program.comm.to_vec()],
            };
            let image = Image { seq: self.order.program(at), exe, argv, cwd, env: found.env };
            self.paper.put(&Event::Image(self.ids[program.member as usize], &image));
        }
    }

    /// Where a process was when it could last be seen, or else its maker; where it is not known to
    /// have gone elsewhere, it still is.
    fn cwd_before(&mut self, member: MemberId) -> PathId {
        let mut at = Some(member);
        // Makers have lower numbers, but for some that were added on their own.
        for _ in 0..self.cwds.len() {
            let Some(id) = at else { break };
            if let Some(cwd) = self.cwds[id as usize] {
                return cwd;
            }
            at = self.family.members()[id as usize].parent;
        }
        self.start
    }

    /// How those ended that were our children; of others only that they did is known.
    fn ends(&mut self, ends: &[(i32, Exit, u64)], ran: &Beneath) {
        let members = self.family.members();
        let mut known: FxHashMap<usize, Exit> = FxHashMap::default();
        for &(pid, exit, time) in ends {
            let ended = |m: &Member| m.pid == pid && m.ended.is_some_and(|ended| ended <= time);
            if let Some(at) = members.iter().rposition(ended) {
                known.insert(at, exit);
            }
        }
        if let Some(root) = self.ids.iter().position(|id| id.0 == 0) {
            known.insert(root, ran.exit);
        }
        let mut known: Vec<_> = known.into_iter().collect();
        known.sort_unstable_by_key(|(at, _)| *at);
        for (at, exit) in known {
            let seq = self.order.end(at as MemberId);
            self.paper.put(&Event::Exit(self.ids[at], seq, exit));
        }
    }

    /// Files that the command had open when it began.
    fn inherited(&mut self, files: &[Inherited]) {
        for file in files {
            let path = self.paper.intern(&file.path);
            let object = self.object(path);
            let access = file.flags as i32 & libc::O_ACCMODE;
            let kinds: &[Kind] = match (file.flags as i32 & libc::O_PATH, object, access) {
                (1.., ..) => &[Kind::Probe],
                (_, libc::S_IFDIR, _) => &[Kind::List],
                (.., libc::O_WRONLY) => &[Kind::Write],
                (.., libc::O_RDWR) => &[Kind::Read, Kind::Write],
                _ => &[Kind::Read],
            };
            for &kind in kinds {
                let seq = self.order.start();
                let fact = Fact {
                    kind,
                    op: Op::Inherited,
                    first: 0,
                    last: 0,
                    count: 1,
                    other: PathId::NONE,
                };
                self.access(ProcessId(0), path, object, file.flags, &fact, (seq, seq));
            }
        }
    }

    fn accesses(&mut self, groups: &[Group]) {
        let mut shared: FxHashMap<PathId, Shared> = FxHashMap::default();
        for group in groups {
            shared.entry(group.path).or_default().add(&group.deeds);
        }
        for Group { member, path, directory, deeds } in groups {
            let object = match (directory, self.object(*path)) {
                (true, _) => libc::S_IFDIR,
                (false, libc::S_IFDIR) => 0,
                (false, object) => object,
            };
            for (act, fact) in facts(deeds, object, &shared[path]) {
                let seqs = (self.order.seen(fact.first, act), self.order.seen(fact.last, act));
                self.access(self.ids[*member as usize], *path, object, 0, &fact, seqs);
            }
        }
    }

    fn access(
        &mut self,
        process: ProcessId,
        path: PathId,
        object: u32,
        flags: u32,
        fact: &Fact,
        (first, last): (u64, u64),
    ) {
        let &Fact { kind, op, count, other, .. } = fact;
        let used = self.used.entry(path).or_default();
        used.changed |= matches!(kind, Kind::Write | Kind::Delete);
        used.content |= matches!(kind, Kind::Read | Kind::Exec) && object == libc::S_IFREG;
        let (requested, errno, syscall) = (PathId::NONE, 0, 0);
        let access = Access {
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
        };
        self.paper.put(&Event::Access(&access));
    }

    /// What has a name now.
    fn look(&mut self, path: PathId) -> Option<libc::stat> {
        if let Some(known) = self.looks.get(&path) {
            return *known;
        }
        let name = CString::new(self.paper.paths.get(path)).ok();
        let stat = name.and_then(|name| files::stat(files::CWD, &name, false).ok());
        self.looks.insert(path, stat);
        stat
    }

    fn object(&mut self, path: PathId) -> u32 {
        self.look(path).map_or(0, |stat| stat.st_mode & libc::S_IFMT)
    }

    /// Nobody looked at inputs when they were opened. But what has not been changed since the run
    /// began was the same then; of what has been, nothing else is known.
    fn stamps(&mut self, began: i64) {
        let mut used: Vec<_> = std::mem::take(&mut self.used).into_iter().collect();
        used.retain(|(_, used)| used.content && !used.changed);
        used.sort_unstable_by_key(|(path, _)| path.0);
        for (path, _) in used {
            let after = self.look(path).map(|stat| stamp_of(&stat));
            let now = after.unwrap_or_default();
            let old = |time: i64| time.min(began - 1);
            let before = Stamp { mtime: old(now.mtime), ctime: old(now.ctime), ..now };
            self.paper.put(&Event::Stamp { path, before, after });
        }
    }

    /// Tells of processes that outlived the command.
    fn survivors(&mut self, ran: &Beneath) -> Vec<Reason> {
        let killed = ran.killed.iter().map(|survivor| (survivor, "was killed"));
        let left = ran.left.iter().map(|survivor| (survivor, "lives on"));
        let mut reasons = Vec::new();
        for (Survivor { pid, name }, fate) in killed.chain(left) {
            let member = self.family.members().iter().rposition(|member| member.pid as u32 == *pid);
            let process = member.map_or(ProcessId(0), |at| self.ids[at]);
            let first = member.map_or(0, |at| self.order.end(at as MemberId));
            let (kind, detail) = (HostKind::SurvivingProcess, name.as_bytes().to_vec());
            let note = HostNote { process, kind, detail, errno: 0, count: 1, first };
            self.paper.put(&Event::Host(&note));
            let detail = format!("{name} outlived the command and {fate}");
            let code = ReasonCode::SurvivingProcess;
            reasons.push(Reason { code, detail, process: Some(process) });
        }
        reasons
    }
}
