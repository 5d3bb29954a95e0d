use super::super::records::tests::written;
use super::*;
use proptest::prelude::*;

pub(crate) const US: i32 = 1;
const ROOT: i32 = 2;

pub(crate) fn fork(time: u64, parent: i32, pid: i32) -> Record {
    Record::Fork { time, pid, tid: pid, parent }
}

fn thread(time: u64, pid: i32, tid: i32) -> Record {
    Record::Fork { time, pid, tid, parent: pid }
}

pub(crate) fn exit(time: u64, pid: i32, tid: i32) -> Record {
    Record::Exit { time, pid, tid }
}

pub(crate) fn exec(time: u64, pid: i32) -> Record {
    Record::Exec { time, pid, comm: b"true".to_vec() }
}

pub(crate) fn family(records: &[Record]) -> Family {
    let mut family = Family::default();
    family.expect(ROOT, US, 0);
    family.feed(&records.iter().flat_map(written).collect::<Vec<_>>());
    family.settle(u64::MAX);
    family
}

fn pid_of(family: &Family, pid: i32, from: u64, to: u64) -> Option<u64> {
    family.owner(pid, from, to).map(|id| family.members()[id as usize].born)
}

#[test]
fn descendants_belong_to_the_tree_and_others_do_not() {
    let family = family(&[fork(1, US, ROOT), fork(2, ROOT, 3), fork(3, US, 4), fork(4, 3, 5)]);
    let parents: Vec<_> = family.members().iter().map(|m| (m.pid, m.parent)).collect();
    assert_eq!(parents, [(ROOT, None), (3, Some(0)), (5, Some(1))]);
    assert_eq!(family.owner(4, 0, 9), None);
    assert_eq!(family.doubt(), None);
}

#[test]
fn a_pid_is_owned_until_another_gets_it() {
    let family = family(&[
        fork(1, US, ROOT),
        fork(10, ROOT, 3),
        exit(20, 3, 3),
        fork(30, US, 3),
        fork(40, ROOT, 3),
    ]);
    assert_eq!(family.members()[1].ended, Some(20));
    // What it had open is closed after the record of its end.
    assert_eq!(pid_of(&family, 3, 25, 26), Some(10));
    assert_eq!(pid_of(&family, 3, 31, 39), None);
    assert_eq!(pid_of(&family, 3, 29, 31), Some(10));
    assert_eq!(pid_of(&family, 3, 39, 41), Some(40));
    assert_eq!(pid_of(&family, 3, 2, 9), None);
}

#[test]
fn a_thread_may_get_the_number_of_a_process() {
    let records = [fork(1, US, ROOT), fork(2, ROOT, 3), exit(3, 3, 3), thread(4, 9, 3)];
    assert_eq!(pid_of(&family(&records), 3, 5, 6), None);
}

#[test]
fn a_process_ends_with_its_last_thread() {
    let mut records =
        vec![fork(1, US, ROOT), fork(2, ROOT, 3), thread(3, 3, 4), exit(4, 3, 3), fork(5, 3, 6)];
    assert_eq!(family(&records).members()[1].ended, None);
    records.push(exit(6, 3, 4));
    let family = family(&records);
    assert_eq!(family.members()[1].ended, Some(6));
    assert_eq!(family.members()[2].parent, Some(1));
}

#[test]
fn a_thread_that_executes_takes_the_place_of_the_leader() {
    let records = [
        fork(1, US, ROOT),
        fork(2, ROOT, 3),
        thread(3, 3, 4),
        thread(4, 3, 5),
        exit(5, 3, 5),
        exit(6, 3, 3),
        exec(7, 3),
        exit(8, 3, 3),
    ];
    let member = family(&records).members()[1].clone();
    let program = Program { time: 7, comm: b"true".to_vec(), file: None };
    assert_eq!((member.ended, member.images), (Some(8), vec![program]));
}

#[test]
fn the_first_file_mapped_after_an_exec_is_the_program() {
    let map = |time, file: &str| Record::Map { time, pid: ROOT, file: file.into() };
    let files = ["[stack]", "//anon", "/bin/sh", "/lib/ld.so"];
    let maps = (3..).zip(files).map(|(time, file)| map(time, file));
    let start = [fork(1, US, ROOT), exec(2, ROOT)];
    let family = family(&start.into_iter().chain(maps).collect::<Vec<_>>());
    assert_eq!(family.members()[0].images[0].file.as_deref(), Some(&b"/bin/sh"[..]));
}

#[test]
fn only_our_own_fork_is_the_root() {
    // An earlier process had its pid.
    let family = family(&[fork(1, 7, ROOT), fork(2, ROOT, 3), exit(3, 2, 2), fork(4, US, ROOT)]);
    assert_eq!(family.members().iter().map(|m| m.born).collect::<Vec<_>>(), [4]);
}

#[test]
fn doubts_are_told() {
    let lost = family(&[fork(1, US, ROOT), Record::Lost { time: 2, count: 3 }]);
    assert_eq!(lost.doubt().unwrap(), "3 of the kernel's process events were lost");
    assert_eq!(family(&[]).doubt().unwrap(), "the birth of process 2 was not seen");
    let mut late = family(&[fork(1, US, ROOT)]);
    late.settled = 10;
    late.feed(&written(&fork(9, ROOT, 3)));
    assert_eq!(late.doubt().unwrap(), "a process event came later than it should");
    let mut cut = family(&[fork(1, US, ROOT)]);
    cut.feed(&[0; 5]);
    assert_eq!(cut.doubt().unwrap(), "the kernel's process events could not be read");
}

#[test]
fn an_added_process_belongs_from_what_is_not_settled() {
    let mut family = Family::default();
    family.expect(ROOT, US, 0);
    family.settle(10);
    // Seen alive at 15 with two threads; the records of its birth and of a child come later.
    family.add(8, &[8, 9], 15);
    let records = [fork(12, 7, 8), thread(13, 8, 9), fork(14, 8, 20), exit(16, 8, 8)];
    family.feed(&records.iter().flat_map(written).collect::<Vec<_>>());
    family.settle(100);
    let members: Vec<_> = family.members().iter().map(|m| (m.pid, m.parent, m.born)).collect();
    assert_eq!(members, [(8, None, 12), (20, Some(0), 14)]);
    assert_eq!(family.members()[0].ended, None);
    family.add(8, &[8, 9], 101);
    assert_eq!(family.members().len(), 2);
    // Its pid goes to a stranger.
    family.feed(&[exit(102, 8, 9), fork(103, 7, 8)].iter().flat_map(written).collect::<Vec<_>>());
    family.settle(200);
    assert_eq!((family.owner(8, 50, 60), family.owner(8, 110, 120)), (Some(0), None));
}

/// A machine with few pids, and what is true of it.
#[derive(Debug, Default)]
struct Machine {
    time: u64,
    /// Living tasks: number, process, whether of the tree.
    tasks: Vec<(i32, i32, bool)>,
    records: Vec<Record>,
    /// Who had each pid from when on: the birth of a process of the tree, or a stranger.
    owners: Vec<(i32, u64, bool)>,
}

const PIDS: i32 = 12;

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine { tasks: vec![(US, US, false)], ..Machine::default() };
        machine.birth(US, ROOT, true);
        machine
    }

    fn record(&mut self, record: impl FnOnce(u64) -> Record) {
        self.time += 2;
        self.records.push(record(self.time));
    }

    fn birth(&mut self, maker: i32, pid: i32, ours: bool) {
        self.record(|time| fork(time, maker, pid));
        self.tasks.push((pid, pid, ours));
        self.owners.push((pid, self.time, ours));
    }

    fn step(&mut self, act: u8, who: usize, number: i32) {
        let (tid, pid, ours) = self.tasks[who % self.tasks.len()];
        let free = !self.tasks.iter().any(|(t, p, _)| number == *t || number == *p);
        match act {
            0 if free => self.birth(pid, number, ours),
            1 if free => {
                self.record(|time| thread(time, pid, number));
                self.tasks.push((number, pid, ours));
                self.owners.push((number, self.time, false));
            }
            2 if pid != US => {
                self.record(|time| exit(time, pid, tid));
                self.tasks.retain(|(t, _, _)| *t != tid);
            }
            3 if pid != US => {
                // All others end, also the leader, whose number the thread takes.
                let others: Vec<_> =
                    self.tasks.iter().filter(|(t, p, _)| *p == pid && *t != tid).copied().collect();
                for (other, ..) in others {
                    self.record(|time| exit(time, pid, other));
                }
                self.tasks.retain(|(_, p, _)| *p != pid);
                self.tasks.push((pid, pid, ours));
                self.record(|time| exec(time, pid));
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn every_pid_has_its_owner_at_every_time(
        steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>(), 3..PIDS), 0..80),
        order in any::<u64>(),
        drain in 1..20usize,
    ) {
        let mut machine = Machine::new();
        for (act, who, number) in steps {
            machine.step(act, who.index(1000), number);
        }
        let mut family = Family::default();
        family.expect(ROOT, US, 0);
        // Rings come one after the other, and only what is older than a drain is settled.
        for batch in machine.records.chunks(drain) {
            let (a, b): (Vec<_>, Vec<_>) =
                batch.iter().partition(|record| order >> (record.time() % 61) & 1 == 0);
            family.feed(&a.into_iter().chain(b).flat_map(written).collect::<Vec<_>>());
            family.settle(batch[0].time() - 1);
        }
        family.settle(u64::MAX);
        prop_assert_eq!(family.doubt(), None);
        for time in (1..machine.time + 3).step_by(2) {
            for pid in US..PIDS {
                let truth = machine.owners.iter().rfind(|(p, from, _)| *p == pid && *from < time);
                let truth = truth.filter(|(.., ours)| *ours).map(|(_, from, _)| *from);
                prop_assert_eq!(pid_of(&family, pid, time, time), truth, "{} at {}", pid, time);
            }
        }
        let living: Vec<i32> = machine.tasks.iter().filter(|t| t.2).map(|t| t.1).collect();
        for member in family.members().iter().filter(|m| m.until.is_none()) {
            prop_assert_eq!(member.ended.is_none(), living.contains(&member.pid));
        }
    }
}
