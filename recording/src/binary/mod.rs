//! The compact file: a short preamble, then one zstd stream of records, one for each event.
//! `docs/recording-format.md` describes it.

mod decode;
mod encode;
mod reader;
mod varint;
mod writer;

pub use reader::{Limits, Reader};
pub use writer::{Digester, Writer};

/// The first bytes of every binary recording. The first is no text in any encoding, the last
/// shows a transfer that changed line ends.
pub const MAGIC: [u8; 8] = *b"\x89airtr\r\n";

/// The format that is written, and the newest that is read.
///
/// 1: images without variables. 2: images with them.
pub const VERSION: u8 = 2;

/// Magic and version.
const PREAMBLE: [u8; 9] = preamble(VERSION);

const fn preamble(version: u8) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = MAGIC;
    [a, b, c, d, e, f, g, h, version]
}

/// The most bytes one record can have. The kernel bounds the arguments of a program to 6 MiB.
const MAX_RECORD: usize = 16 << 20;

/// How many bytes of records are gathered before they are hashed, and compressed.
const CHUNK: usize = 64 << 10;

/// log2 of the zstd window that is written.
const WINDOW_LOG: u32 = 20;

/// log2 of the largest zstd window that is read: bounds the memory of a reader to 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;

/// What both ends keep in mind about the records so far.
#[derive(Clone, Debug, Default)]
struct State {
    /// How many records of each tag, by tag number less one.
    counts: [u64; crate::wire::Tag::COUNT],
    /// Highest path number defined.
    paths: u32,
    /// Highest syscall index defined.
    syscalls: u16,
    /// Processes defined.
    processes: u32,
    /// The sequence number last coded: the next one is coded as the difference.
    clock: u64,
}

impl State {
    fn records(&self) -> u64 {
        self.counts.iter().sum()
    }
}
