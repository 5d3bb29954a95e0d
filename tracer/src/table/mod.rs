//! Every system call of every ABI, with a verdict: the one place that says what is traced.
//!
//! The seccomp filter, the dispatch of the tracer, the page `docs/syscalls.md` and the coverage
//! test are made from this table. Rows are sorted by what they are about; numbers are found
//! through an index that the compiler builds and checks.

mod decoder;
mod files;
mod host;
mod only;
mod passes;
mod processes;
mod sockets;

pub use decoder::{At, Decoder, Follow, IOCTLS, IoctlEffect, ioctl_effect};
pub use only::{Only, Test};

/// Set in the number of every x32 call (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// One past the newest number known in the tables of x86-64, i386 and aarch64 (Linux 6.19).
pub const NUMBERS: u32 = 471;

/// One past the newest number of x32, without [`X32_BIT`].
pub const X32_NUMBERS: u32 = 548;

/// A calling convention with its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Abi {
    /// 64-bit calls on x86.
    X86_64,
    /// 32-bit calls on x86: `int 0x80`, also from 64-bit code, and sysenter.
    I386,
    /// 64-bit calls with 32-bit pointers on x86.
    X32,
    /// 64-bit calls on ARM.
    Aarch64,
}

impl Abi {
    /// All of them, in the order of the index.
    pub const ALL: [Abi; 4] = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64];

    /// The ABI this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Abi = Abi::X86_64;
    /// The ABI this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Abi = Abi::Aarch64;

    /// The name used in recordings and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Abi::X86_64 => "x86_64",
            Abi::I386 => "i386",
            Abi::X32 => "x32",
            Abi::Aarch64 => "aarch64",
        }
    }

    /// The architecture as seccomp and `PTRACE_GET_SYSCALL_INFO` give it (`AUDIT_ARCH_*` of
    /// `linux/audit.h`). x32 calls carry that of x86-64.
    pub const fn audit_arch(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::I386 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
        }
    }

    /// The ABI of a call, from what seccomp or ptrace say of it.
    pub const fn of(audit_arch: u32, number: u32) -> Option<Abi> {
        match audit_arch {
            0xc000_003e if number & X32_BIT != 0 => Some(Abi::X32),
            0xc000_003e => Some(Abi::X86_64),
            0x4000_0003 => Some(Abi::I386),
            0xc000_00b7 => Some(Abi::Aarch64),
            _ => None,
        }
    }

    /// Size of a pointer in this ABI, in bytes.
    pub const fn pointer(self) -> usize {
        match self {
            Abi::X86_64 | Abi::Aarch64 => 8,
            Abi::I386 | Abi::X32 => 4,
        }
    }

    /// One past the newest number, without [`X32_BIT`].
    pub const fn numbers(self) -> u32 {
        match self {
            Abi::X32 => X32_NUMBERS,
            _ => NUMBERS,
        }
    }

    /// What a number carries besides its place in the table: [`X32_BIT`] or nothing.
    pub const fn bit(self) -> u32 {
        match self {
            Abi::X32 => X32_BIT,
            _ => 0,
        }
    }
}

/// What is done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stops, and the tracer decodes it.
    Trace(Decoder, When),
    /// It runs without a stop.
    Pass,
    /// The filter answers it with this errno, without a stop.
    Deny(u16),
}

/// Which stops a traced call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The stop before the call is enough: what its end would tell, one look at the file system
    /// tells too.
    Entry,
    /// The stops before and after the call. The tracer may leave the second out when the first
    /// shows that there is nothing to learn (a message without address and without descriptors).
    Exit,
}

/// One system call. Two rows may bear one name where ABIs differ in their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kernel's name.
    pub name: &'static str,
    /// Its number on x86-64.
    pub x86_64: Option<u32>,
    /// Its number on i386.
    pub i386: Option<u32>,
    /// Its number on aarch64.
    pub aarch64: Option<u32>,
    /// Its own number on x32 without [`X32_BIT`] (512 to 547). Without one, x32 has x86-64's.
    pub x32: Option<u32>,
    /// What is done with it.
    pub verdict: Verdict,
    /// Which of its calls stop at all.
    pub only: Only,
    /// Why, in a short phrase.
    pub why: &'static str,
}

impl Row {
    /// The number in one ABI, with [`X32_BIT`] where it belongs.
    ///
    /// x32 keeps the 64-bit number beside its own: kernels before 5.4 answered to both, and
    /// `lookup` finds the row by both.
    pub const fn number(&self, abi: Abi) -> Option<u32> {
        match abi {
            Abi::X86_64 => self.x86_64,
            Abi::I386 => self.i386,
            Abi::Aarch64 => self.aarch64,
            Abi::X32 => match (self.x32, self.x86_64) {
                (Some(number), _) | (None, Some(number)) => Some(number | X32_BIT),
                (None, None) => None,
            },
        }
    }

    /// The name in a recording made on a machine whose own ABI is `native`.
    pub fn recorded_name(&self, abi: Abi, native: Abi) -> String {
        if abi == native { self.name.into() } else { format!("{}/{}", abi.name(), self.name) }
    }
}

/// A row before it has its name and numbers.
#[derive(Clone, Copy)]
struct Rule {
    verdict: Verdict,
    only: Only,
    why: &'static str,
}

const fn trace(decoder: Decoder, when: When, why: &'static str) -> Rule {
    Rule { verdict: Verdict::Trace(decoder, when), only: Only::Always, why }
}

const fn pass(why: &'static str) -> Rule {
    Rule { verdict: Verdict::Pass, only: Only::Always, why }
}

const fn deny(errno: u16, why: &'static str) -> Rule {
    Rule { verdict: Verdict::Deny(errno), only: Only::Always, why }
}

impl Rule {
    const fn only(self, only: Only) -> Rule {
        Rule { only, ..self }
    }
}

/// Rows as text: name, numbers on x86-64, i386 and aarch64 (`_` where there is none), the own
/// number on x32 if it has one, and the rule.
macro_rules! rows {
    (@number _) => { None };
    (@number $number:literal) => { Some($number) };
    (@x32) => { None };
    (@x32 $number:literal) => { Some($number) };
    ($($name:ident $x86_64:tt $i386:tt $aarch64:tt $(x32 $x32:literal)? => $rule:expr;)*) => {
        &[$({
            let rule: $crate::table::Rule = $rule;
            $crate::table::Row {
                name: stringify!($name),
                x86_64: rows!(@number $x86_64),
                i386: rows!(@number $i386),
                aarch64: rows!(@number $aarch64),
                x32: rows!(@x32 $($x32)?),
                verdict: rule.verdict,
                only: rule.only,
                why: rule.why,
            }
        }),*]
    };
}
use rows;

/// All rows, grouped by subject.
pub const GROUPS: &[(&str, &[Row])] = &[
    ("Files and names", files::ROWS),
    ("Processes, memory, privileges", processes::ROWS),
    ("Sockets", sockets::ROWS),
    ("Mounts and the host", host::ROWS),
    ("Passed: descriptors", passes::DESCRIPTORS),
    ("Passed: memory and time", passes::MEMORY),
    ("Passed: processes, signals and the system", passes::SYSTEM),
    ("Passed: calls without an implementation", passes::MISSING),
];

/// Ranges of numbers that no kernel has given to a call, first and last.
pub const HOLES: &[(Abi, u32, u32)] = &[
    // Left free so that newer calls have one number everywhere.
    (Abi::X86_64, 337, 423),
    (Abi::X32, 337, 423),
    // Not given to newer calls, for x32's own begin at 512.
    (Abi::X32, 471, 511),
    (Abi::I386, 222, 223),
    (Abi::I386, 251, 251),
    (Abi::I386, 285, 285),
    (Abi::I386, 387, 392),
    (Abi::I386, 415, 415),
    // For calls of single architectures.
    (Abi::Aarch64, 244, 259),
    (Abi::Aarch64, 295, 402),
    // Times of 64 bits on machines of 32.
    (Abi::Aarch64, 403, 423),
];

static HOLE: Row = Row {
    name: "hole",
    x86_64: None,
    i386: None,
    aarch64: None,
    x32: None,
    verdict: Verdict::Pass,
    only: Only::Always,
    why: "no such call: ENOSYS",
};

type Index = [[Option<&'static Row>; X32_NUMBERS as usize]; Abi::ALL.len()];

/// Row by ABI and number. The build fails when a number has two rows, or none and is no hole.
static INDEX: Index = {
    let mut index: Index = [[None; X32_NUMBERS as usize]; Abi::ALL.len()];
    let mut group = 0;
    while group < GROUPS.len() {
        let rows = GROUPS[group].1;
        let mut i = 0;
        while i < rows.len() {
            let row = &rows[i];
            enter(&mut index, Abi::X86_64, row.x86_64, row);
            enter(&mut index, Abi::I386, row.i386, row);
            enter(&mut index, Abi::Aarch64, row.aarch64, row);
            // Before Linux 5.4 the 64-bit numbers worked with the x32 bit too.
            enter(&mut index, Abi::X32, row.x86_64, row);
            enter(&mut index, Abi::X32, row.x32, row);
            i += 1;
        }
        group += 1;
    }
    let mut i = 0;
    while i < HOLES.len() {
        let (abi, first, last) = HOLES[i];
        let mut number = first;
        while number <= last {
            enter(&mut index, abi, Some(number), &HOLE);
            number += 1;
        }
        i += 1;
    }
    let mut abi = 0;
    while abi < Abi::ALL.len() {
        let mut number = 0;
        while number < Abi::ALL[abi].numbers() {
            assert!(index[abi][number as usize].is_some(), "a number without a row");
            number += 1;
        }
        abi += 1;
    }
    index
};

const fn enter(index: &mut Index, abi: Abi, number: Option<u32>, row: &'static Row) {
    if let Some(number) = number {
        assert!(number < abi.numbers(), "a number beyond the table");
        let slot = &mut index[abi as usize][number as usize];
        assert!(slot.is_none(), "a number with two rows");
        *slot = Some(row);
    }
}

/// The row of a number, with or without [`X32_BIT`]; none for a number newer than the table.
/// Holes have a row of their own, which passes.
#[inline]
pub fn lookup(abi: Abi, number: u32) -> Option<&'static Row> {
    let place = if matches!(abi, Abi::X32) { number & !X32_BIT } else { number };
    *INDEX[abi as usize].get(place as usize)?
}

/// Whether a row is a hole in the numbering.
pub fn is_hole(row: &Row) -> bool {
    std::ptr::eq(row, &HOLE)
}

#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;
