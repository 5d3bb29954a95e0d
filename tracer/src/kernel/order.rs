//! Sequence numbers: brings what the kernel told of files and what it told of processes in one order.
//!
//! The first has an order of its own and only rough times, the second exact times. A process does
//! nothing before it is made and nothing after it has ended, and the kernel opens a program before
//! it executes it; the times decide the rest.

use super::family::{Family, MemberId};
use super::view::{Act, View};
use rustc_hash::FxHashMap;

/// Where a program belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct After {
    pub(super) member: MemberId,
    pub(super) time: u64,
    /// The order in the view of the opening of its file, if that was seen.
    pub(super) seen: Option<u64>,
}

/// What happened, to be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Moment {
    Birth(MemberId),
    /// By its number.
    Program(usize),
    /// A kind of act within one event.
    Seen(u8),
    End(MemberId),
}

/// The order in the view, and what goes first where that is equal.
type Key = (u64, u8, Moment);
/// Before the first thing that the process or one of its descendants does.
const BIRTH: u8 = 0;
/// Before what the program did.
const EXECUTES: u8 = 1;
const SEEN: u8 = 2;
/// After the kernel has opened the program.
const EXECUTED: u8 = 3;
/// Of a process that does nothing: after what its maker has executed.
const IDLE_BIRTH: u8 = 4;
const END: u8 = 5;

/// Sequence numbers, from 1.
#[derive(Debug)]
pub(super) struct Order {
    births: Vec<u64>,
    programs: Vec<u64>,
    seen: FxHashMap<(u64, u8), u64>,
    ends: Vec<u64>,
}

/// When the kernel tells several acts at once, they happened in this order. Both halves of a rename
/// are one.
fn rank(act: Act) -> u8 {
    match act {
        Act::Create => 0,
        Act::Open => 1,
        Act::Exec => 2,
        Act::List => 3,
        Act::Modify => 4,
        Act::Attrib => 5,
        Act::CloseWrite => 6,
        Act::Delete => 7,
        Act::MovedFrom | Act::MovedTo => 8,
    }
}

impl Order {
    /// The order of everything that is known; `programs` are grouped by process, each in its order.
    pub(super) fn new(family: &Family, view: &View, programs: &[After]) -> Order {
        let members = family.members();
        // By member: the orders of what it did, and when that was at the latest.
        let mut done: Vec<Vec<(u64, u64)>> = vec![Vec::new(); members.len()];
        let mut last = vec![0; members.len()];
        for sight in &view.sights {
            if let Some(done) = done.get_mut(sight.member as usize) {
                done.push((sight.order, sight.window.1));
                last[sight.member as usize] = sight.last.max(last[sight.member as usize]);
            }
        }
        let end = view.sights.iter().map(|sight| sight.last).max().unwrap_or(0) + 1;
        let at = |time: u64| {
            let after = view.sights.partition_point(|sight| sight.window.1 < time);
            view.sights.get(after).map_or(end, |sight| sight.order)
        };
        let until = |time: u64| {
            let after = view.sights.partition_point(|sight| sight.window.0 <= time);
            after.checked_sub(1).map_or(0, |at| view.sights[at].order)
        };
        // By member: the first thing that it or one of its descendants did, and its children. Those
        // have higher numbers, but for some that were added on their own.
        let mut first: Vec<Option<u64>> =
            done.iter().map(|done| done.iter().map(|(order, _)| *order).min()).collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
        for id in (0..members.len()).rev() {
            if let Some(parent) = members[id].parent.map(|parent| parent as usize) {
                first[parent] = first[parent].into_iter().chain(first[id]).min();
                children[parent].push(id);
            }
        }
        let mut keys: Vec<Key> = Vec::new();
        // By member: when it executed what, and where that is.
        let mut executed: Vec<Vec<(u64, u64)>> = vec![Vec::new(); members.len()];
        let mut rest = programs.iter().enumerate().peekable();
        for (id, member) in (0..).zip(members) {
            let at_id = id as usize;
            let birth = match first[at_id] {
                Some(first) => (first, BIRTH),
                None => {
                    let made = member.parent.map(|parent| &executed[parent as usize]);
                    let before =
                        made.into_iter().flatten().filter(|(time, _)| *time <= member.born);
                    let last = before.map(|(_, place)| *place).max().unwrap_or(0);
                    (at(member.born).max(last), IDLE_BIRTH)
                }
            };
            keys.push((birth.0, birth.1, Moment::Birth(id)));
            let mut since = birth.0;
            while let Some((number, program)) = rest.next_if(|(_, program)| program.member == id) {
                let own = done[at_id].iter().filter(|(_, to)| *to >= program.time);
                let later = children[at_id].iter().filter(|at| members[**at].born >= program.time);
                let next = own.map(|(order, _)| *order).chain(later.filter_map(|at| first[*at]));
                let next = next.filter(|order| *order >= since).min();
                let (place, class) = match (program.seen.filter(|seen| *seen >= since), next) {
                    (Some(seen), _) => (seen, EXECUTED),
                    (None, Some(next)) => (next, EXECUTES),
                    (None, None) => (at(program.time).max(since), EXECUTED),
                };
                since = place;
                last[at_id] = last[at_id].max(place);
                executed[at_id].push((program.time, place));
                keys.push((place, class, Moment::Program(number)));
            }
            let ended = member.ended.map_or(end, until).max(last[at_id]).max(birth.0);
            keys.push((ended, END, Moment::End(id)));
        }
        for sight in &view.sights {
            for order in [sight.order, sight.last] {
                keys.push((order, SEEN, Moment::Seen(rank(sight.act))));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let mut order = Order {
            births: vec![0; members.len()],
            programs: vec![0; programs.len()],
            seen: FxHashMap::default(),
            ends: vec![0; members.len()],
        };
        // The first is that of what was so at the start.
        for (number, (place, _, moment)) in (2..).zip(keys) {
            match moment {
                Moment::Birth(id) => order.births[id as usize] = number,
                Moment::Program(at) => order.programs[at] = number,
                Moment::Seen(rank) => drop(order.seen.insert((place, rank), number)),
                Moment::End(id) => order.ends[id as usize] = number,
            }
        }
        order
    }

    /// That of what was so before anything happened.
    pub(super) fn start(&self) -> u64 {
        1
    }

    pub(super) fn birth(&self, member: MemberId) -> u64 {
        self.births[member as usize]
    }

    /// That of the exec of a program, by its number.
    pub(super) fn program(&self, number: usize) -> u64 {
        self.programs[number]
    }

    /// That of an act that was told at this place in the view.
    pub(super) fn seen(&self, place: u64, act: Act) -> u64 {
        self.seen.get(&(place, rank(act))).copied().unwrap_or(0)
    }

    pub(super) fn end(&self, member: MemberId) -> u64 {
        self.ends[member as usize]
    }
}

#[cfg(test)]
mod tests;
