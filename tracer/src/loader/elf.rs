//! The loader that an ELF program asks for, as `load_elf_binary` in `fs/binfmt_elf.c` finds it.

use super::{Format, HEAD};
use std::io;

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_INTERP: u64 = 3;
const PATH_MAX: u64 = 4096;
/// The most bytes of program headers (`ELF_MIN_ALIGN` rules aside, 64 KiB).
const HEADERS_MAX: u64 = 65536;

/// The machines that run here and on which the layout depends: number, 64 bits, 32 bits. The
/// kernel tells the layouts apart by machine and size of a header, not by the class byte.
const MACHINES: &[(u64, bool, bool)] = &[
    (62, true, true),   // x86-64, and x32 in the small layout
    (3, false, true),   // i386
    (6, false, true),   // i486, which the kernel still takes
    (183, true, false), // aarch64
    (40, false, true),  // arm
];

/// Where the fields are, in bytes: of the file header, then of a program header.
struct Layout {
    word: usize,
    table: usize,
    entry_size: usize,
    entries: usize,
    header: u64,
    offset: usize,
    length: usize,
}

const WIDE: Layout =
    Layout { word: 8, table: 32, entry_size: 54, entries: 56, header: 56, offset: 8, length: 32 };
const SMALL: Layout =
    Layout { word: 4, table: 28, entry_size: 42, entries: 44, header: 32, offset: 4, length: 16 };

/// A little-endian number at `at`; 0 outside of the bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let Some(bytes) = bytes.get(at..at + size) else { return 0 };
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// What a file is that begins with `head`. `read` fills a buffer from an offset of the file and
/// tells how far.
pub(super) fn parse(
    head: &[u8; HEAD],
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Format> {
    if !head.starts_with(b"\x7fELF") || !matches!(number(head, 16, 2), ET_EXEC | ET_DYN) {
        return Ok(Format::Unknown);
    }
    let machine = number(head, 18, 2);
    let Some((_, wide, small)) = MACHINES.iter().find(|(m, ..)| *m == machine) else {
        return Ok(Format::Unknown);
    };
    let fits = |layout: &Layout| number(head, layout.entry_size, 2) == layout.header;
    let layout = if *wide && fits(&WIDE) {
        &WIDE
    } else if *small && fits(&SMALL) {
        &SMALL
    } else {
        return Ok(Format::Unknown);
    };
    let size = number(head, layout.entries, 2) * layout.header;
    if size == 0 || size > HEADERS_MAX {
        return Ok(Format::Unknown);
    }
    let mut headers = vec![0; size as usize];
    if read(&mut headers, number(head, layout.table, layout.word))? < headers.len() {
        return Ok(Format::Unknown);
    }
    let Some(header) =
        headers.chunks_exact(layout.header as usize).find(|h| number(h, 0, 4) == PT_INTERP)
    else {
        return Ok(Format::Elf { loader: None });
    };
    let length = number(header, layout.length, layout.word);
    if !(2..=PATH_MAX).contains(&length) {
        return Ok(Format::Unknown);
    }
    let mut name = vec![0; length as usize];
    let filled = read(&mut name, number(header, layout.offset, layout.word))?;
    if filled < name.len() || name.pop() != Some(0) {
        return Ok(Format::Unknown);
    }
    name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
    Ok(Format::Elf { loader: Some(name) })
}
