//! Files of which a part is compressed, so that no search tells what they hold.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// How compressed files begin, and the bitcode of LLVM, whose texts are not aligned to bytes.
const BEGINNINGS: &[&[u8]] = &[
    b"\x1f\x8b",         // gzip
    b"BZh",              // bzip2
    b"\xfd7zXZ\0",       // xz
    b"\x28\xb5\x2f\xfd", // zstd
    b"\x04\x22\x4d\x18", // lz4
    b"PK\x03\x04",       // zip
    b"BC\xc0\xde",       // bitcode
    b"\xde\xc0\x17\x0b", // bitcode in a wrapper
];

/// What is in the names of sections that hold compressed code for a linker that compiles again
/// (gcc), or compressed debug information of an older form. To be looked for in the whole file:
/// an archive of objects has them too.
pub(super) const SECTIONS: &[&[u8]] = &[b".gnu.lto_", b".zdebug_"];

/// Whether the beginning of a file, or its table of sections, tells that a part is compressed.
pub(super) fn is_opaque(file: &File) -> bool {
    let mut head = [0; 64];
    // What a short file lacks stays zero. Errors are left to whoever reads the file next.
    let read = file.read_at(&mut head, 0).unwrap_or(0);
    BEGINNINGS.iter().any(|beginning| head[..read].starts_with(beginning))
        || (head.starts_with(b"\x7fELF") && has_compressed_section(file, &head))
}

/// Whether a section of an ELF file has the flag `SHF_COMPRESSED` (System V ABI). A table that is
/// none, or can't be read, has no such section for anybody else either.
fn has_compressed_section(file: &File, head: &[u8; 64]) -> bool {
    const SHF_COMPRESSED: u64 = 1 << 11;
    let (wide, big) = (head[4] == 2, head[5] == 2);
    let number = |bytes: &[u8]| {
        let next = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        if big { bytes.iter().fold(0, next) } else { bytes.iter().rev().fold(0, next) }
    };
    let (table, size, count, header, flags) = match wide {
        true => (&head[40..48], &head[58..60], &head[60..62], 64, 8..16),
        false => (&head[32..36], &head[46..48], &head[48..50], 40, 8..12),
    };
    // The number of sections has 16 bits, so this is 4 MiB at most.
    let mut sections = vec![0; usize::try_from(number(count)).unwrap_or(0) * header];
    number(size) == header as u64
        && file.read_exact_at(&mut sections, number(table)).is_ok()
        && sections
            .chunks_exact(header)
            .any(|section| number(&section[flags.clone()]) & SHF_COMPRESSED != 0)
}
