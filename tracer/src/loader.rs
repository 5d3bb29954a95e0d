//! What the kernel loads for a file that is executed (fs/binfmt_script.c, fs/binfmt_elf.c).

use std::fs::File;
use std::os::unix::fs::FileExt;

pub(crate) enum Next {
    Shebang,
    Loader,
}

pub(crate) fn next(file: &File) -> Option<(Next, Vec<u8>)> {
    let mut head = [0u8; 256];
    let n = file.read_at(&mut head, 0).ok()?;
    let head = &head[..n];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next()?;
        let text = line.trim_ascii_start();
        let end = text.iter().position(|b| matches!(b, b' ' | b'\t' | 0)).unwrap_or(text.len());
        return (end > 0).then(|| (Next::Shebang, text[..end].to_vec()));
    }
    if !head.starts_with(b"\x7fELF") || n < 64 {
        return None;
    }
    let wide = head[4] == 2;
    let u16at = |b: &[u8], i: usize| u64::from(u16::from_le_bytes([b[i], b[i + 1]]));
    let word = |b: &[u8], i: usize| {
        if wide {
            u64::from_le_bytes(b[i..i + 8].try_into().unwrap_or([0; 8]))
        } else {
            u64::from(u32::from_le_bytes(b[i..i + 4].try_into().unwrap_or([0; 4])))
        }
    };
    let (phoff, size, count) = if wide {
        (word(head, 32), u16at(head, 54), u16at(head, 56))
    } else {
        (word(head, 28), u16at(head, 42), u16at(head, 44))
    };
    if size != if wide { 56 } else { 32 } || count > 4096 {
        return None;
    }
    for i in 0..count {
        let mut ph = [0u8; 56];
        let ph = &mut ph[..size as usize];
        file.read_exact_at(ph, phoff + i * size).ok()?;
        if ph[..4] == [3, 0, 0, 0] {
            let (offset, length) =
                if wide { (word(ph, 8), word(ph, 32)) } else { (word(ph, 4), word(ph, 16)) };
            if !(2..=4096).contains(&length) {
                return None;
            }
            let mut name = vec![0; length as usize];
            file.read_exact_at(&mut name, offset).ok()?;
            name.truncate(name.iter().position(|b| *b == 0)?);
            return Some((Next::Loader, name));
        }
    }
    None
}
