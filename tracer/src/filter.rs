//! Makes the seccomp filter from the table of system calls.
//!
//! The program looks at the architecture, finds the number by a balanced search over ranges of
//! equal verdict, and only then looks at arguments: the kernel answers a number from a bitmap,
//! without running the program, when every path for that number loads nothing but architecture
//! and number and allows it. What the table does not know goes to the tracer, which judges it.

use crate::table::{Abi, Decoder, Only, Row, Test, Verdict, X32_BIT, lookup};

/// One instruction, laid out like `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What it does (`linux/bpf_common.h`).
    pub code: u16,
    /// How many instructions to skip when a comparison holds.
    pub jt: u8,
    /// How many to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// The longest program the kernel takes (`BPF_MAXINSNS`).
pub const MAX_LENGTH: usize = 4096;

/// What the filter depends on besides the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The data value of our stops, which tells them from those of a filter that the traced
    /// program installs itself.
    pub mark: u16,
    /// Let io_uring_enter and io_uring_register run; io_uring_setup stops all the same.
    pub allow_io_uring: bool,
}

// linux/seccomp.h
const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

// linux/bpf_common.h
pub(crate) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(crate) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(crate) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(crate) const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(crate) const JUMP_GREATER_EQUAL: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(crate) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// struct seccomp_data; both machines are little endian.
pub(crate) const NUMBER: u32 = 0;
pub(crate) const ARCH: u32 = 4;
pub(crate) const ARGS: u32 = 16;

/// The filter for a machine whose own ABI is `native` (x86-64 or aarch64).
pub fn program(native: Abi, options: Options) -> Vec<Instruction> {
    let mut code = Assembler { reversed: Vec::new(), returns: Vec::new() };
    let trace = RET_TRACE | u32::from(options.mark);
    let mut start = Target::Return(trace);
    let abis: &[&[Abi]] = match native {
        Abi::Aarch64 => &[&[Abi::Aarch64]],
        _ => &[&[Abi::I386], &[Abi::X86_64, Abi::X32]],
    };
    // From the last instruction to the first: jumps go forward only, so that every target is
    // known when a jump to it is made.
    for abis in abis {
        let mut search = None;
        for abi in abis.iter().rev() {
            let ranges = ranges(*abi, options);
            let tree = code.search(*abi, &ranges, trace);
            search = Some(match search {
                None => tree,
                Some(x32) => code.branch(JUMP_GREATER_EQUAL, X32_BIT, x32, tree),
            });
        }
        if let Some(search) = search {
            code.go_to(search);
            let load = code.push(LOAD, NUMBER);
            start = code.branch(JUMP_EQUAL, abis[0].audit_arch(), load, start);
        }
    }
    code.go_to(start);
    code.push(LOAD, ARCH);
    code.reversed.reverse();
    code.reversed
}

/// What the filter does with one number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Return(u32),
    /// Trace if this holds, else allow.
    Ask(Only),
}

fn action(row: Option<&Row>, options: Options) -> Action {
    let trace = RET_TRACE | u32::from(options.mark);
    let Some(row) = row else { return Action::Return(trace) };
    #[cfg(feature = "forgetful")]
    if crate::forgetful::is_forgotten(row.name) {
        return Action::Return(RET_ALLOW);
    }
    match row.verdict {
        Verdict::Pass => Action::Return(RET_ALLOW),
        Verdict::Deny(errno) => Action::Return(RET_ERRNO | u32::from(errno)),
        Verdict::Trace(Decoder::Refuse(_), _)
            if options.allow_io_uring
                && matches!(row.name, "io_uring_enter" | "io_uring_register") =>
        {
            Action::Return(RET_ALLOW)
        }
        Verdict::Trace(..) if row.only == Only::Always => Action::Return(trace),
        Verdict::Trace(..) => Action::Ask(row.only),
    }
}

/// First number and action of each run of numbers with one action; the last run has no end.
fn ranges(abi: Abi, options: Options) -> Vec<(u32, Action)> {
    let mut ranges: Vec<(u32, Action)> = Vec::new();
    for number in 0..=abi.numbers() {
        let action = action(lookup(abi, number), options);
        if ranges.last().is_none_or(|(_, last)| *last != action) {
            ranges.push((number | abi.bit(), action));
        }
    }
    ranges
}

/// Where a jump goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// An instruction, by its distance from the end of the program.
    At(usize),
    /// Anywhere where this is returned.
    Return(u32),
}

/// Writes a program from its end to its beginning.
struct Assembler {
    reversed: Vec<Instruction>,
    /// The newest, that is nearest, instruction for each value returned.
    returns: Vec<(u32, usize)>,
}

/// How far a jump may go, with room for the instructions that [`Assembler::branch`] puts between.
const NEAR: usize = 250;

impl Assembler {
    /// Puts an instruction before all others.
    fn push(&mut self, code: u16, k: u32) -> Target {
        self.reversed.push(Instruction { code, jt: 0, jf: 0, k });
        Target::At(self.reversed.len() - 1)
    }

    /// How many instructions lie between the next one put and `place`.
    fn distance(&self, place: usize) -> usize {
        self.reversed.len() - place - 1
    }

    /// The place of a target within reach of a jump; makes a stepping stone if it is too far.
    fn near(&mut self, target: Target) -> usize {
        let place = match target {
            Target::At(place) => Some(place),
            Target::Return(value) => {
                self.returns.iter().find(|(v, _)| *v == value).map(|(_, place)| *place)
            }
        };
        if let Some(place) = place
            && self.distance(place) <= NEAR
        {
            return place;
        }
        let here = self.reversed.len();
        match (target, place) {
            (Target::Return(value), _) => {
                self.returns.retain(|(v, _)| *v != value);
                self.returns.push((value, here));
                self.push(RETURN, value);
            }
            (Target::At(_), Some(place)) => {
                let distance = self.distance(place) as u32;
                self.push(JUMP, distance);
            }
            (Target::At(place), None) => return place,
        }
        here
    }

    /// A comparison of the accumulator with `k`.
    fn branch(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        // NEAR leaves room for the stepping stone of `no` behind that of `yes`.
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.reversed.push(Instruction { code, jt, jf, k });
        Target::At(self.reversed.len() - 1)
    }

    /// Makes what is put next fall through to `target`.
    fn go_to(&mut self, target: Target) {
        let place = self.near(target);
        let distance = self.distance(place);
        if distance != 0 {
            self.push(JUMP, distance as u32);
        }
    }

    /// Finds the action for the number in the accumulator.
    fn search(&mut self, abi: Abi, ranges: &[(u32, Action)], trace: u32) -> Target {
        if let [(_, action)] = ranges {
            return match action {
                Action::Return(value) => Target::Return(*value),
                Action::Ask(only) => self.ask(abi, only, trace),
            };
        }
        let (left, right) = ranges.split_at(ranges.len() / 2);
        let upper = self.search(abi, right, trace);
        let lower = self.search(abi, left, trace);
        self.branch(JUMP_GREATER_EQUAL, right[0].0, upper, lower)
    }

    /// Traces the call if the condition holds, else allows it.
    fn ask(&mut self, abi: Abi, only: &Only, trace: u32) -> Target {
        let (stop, run) = (Target::Return(trace), Target::Return(RET_ALLOW));
        match *only {
            Only::Always => stop,
            Only::All(tests) => {
                tests.iter().rev().fold(stop, |next, test| self.test(abi, test, next, run))
            }
            Only::Any(tests) => {
                tests.iter().rev().fold(run, |next, test| self.test(abi, test, stop, next))
            }
            Only::OneOf { arg, mask, values } => {
                let first = values
                    .iter()
                    .rev()
                    .fold(run, |next, value| self.branch(JUMP_EQUAL, *value, stop, next));
                self.load(first, u32::from(arg) * 8, mask)
            }
        }
    }

    fn test(&mut self, abi: Abi, test: &Test, yes: Target, no: Target) -> Target {
        let (same, other) = if test.equal { (yes, no) } else { (no, yes) };
        let offset = u32::from(test.arg) * 8;
        let mut next = same;
        let halves =
            [(offset + 4, test.mask >> 32, test.value >> 32), (offset, test.mask, test.value)];
        for (offset, mask, value) in halves {
            let (mask, value) = (mask as u32, value as u32);
            // Registers of 32 bits have no upper half.
            if mask == 0 || (abi == Abi::I386 && offset % 8 != 0) {
                continue;
            }
            let compare = self.branch(JUMP_EQUAL, value, next, other);
            next = self.load(compare, offset, mask);
        }
        next
    }

    /// Loads a half of an argument under a mask, then goes on at `next`.
    fn load(&mut self, next: Target, offset: u32, mask: u32) -> Target {
        self.go_to(next);
        if mask != u32::MAX {
            self.push(AND, mask);
        }
        self.push(LOAD, ARGS + offset)
    }
}

#[cfg(test)]
mod tests;
