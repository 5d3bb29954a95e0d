//! Entries of binfmt_misc, as their files under `/proc/sys/fs/binfmt_misc` show them.

use super::HEAD;

/// An enabled entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misc {
    /// The program that the kernel runs instead.
    pub(super) interpreter: Vec<u8>,
    /// Flag `F`: the kernel opened the interpreter when the entry was made.
    pub(super) held: bool,
    pattern: Pattern,
}

/// What a file must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// These bytes under this mask at this offset.
    Magic { offset: usize, magic: Vec<u8>, mask: Vec<u8> },
    /// This text after the last dot of the name.
    Extension(Vec<u8>),
}

impl Misc {
    /// The enabled entries of this host; none where its file system is not mounted.
    pub(crate) fn of_host() -> Vec<Misc> {
        let files = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
        files.filter_map(|file| Misc::parse(&std::fs::read(file.path()).ok()?)).collect()
    }

    /// Reads the text of one entry. None if it is disabled, or is no entry (`status`,
    /// `register`).
    pub(crate) fn parse(text: &[u8]) -> Option<Misc> {
        let mut lines = text.split(|b| *b == b'\n');
        if lines.next()? != b"enabled" {
            return None;
        }
        let (mut interpreter, mut held, mut offset) = (None, false, 0);
        let (mut magic, mut mask, mut extension) = (None, None, None);
        for line in lines {
            let Some(space) = line.iter().position(|b| *b == b' ') else { continue };
            let value = &line[space + 1..];
            match &line[..space] {
                b"interpreter" => interpreter = Some(value.to_vec()),
                b"flags:" => held = value.contains(&b'F'),
                b"offset" => offset = str::from_utf8(value).ok()?.parse().ok()?,
                b"magic" => magic = Some(bytes(value)?),
                b"mask" => mask = Some(bytes(value)?),
                b"extension" => extension = Some(value.strip_prefix(b".")?.to_vec()),
                _ => {}
            }
        }
        let pattern = match (magic, extension) {
            (Some(magic), _) => {
                let mask = mask.unwrap_or_else(|| vec![0xff; magic.len()]);
                if mask.len() != magic.len() {
                    return None;
                }
                Pattern::Magic { offset, magic, mask }
            }
            (None, Some(extension)) => Pattern::Extension(extension),
            (None, None) => return None,
        };
        Some(Misc { interpreter: interpreter?, held, pattern })
    }

    /// Whether the entry takes a file of this name that begins with `head`.
    pub(super) fn matches(&self, head: &[u8; HEAD], name: &[u8]) -> bool {
        match &self.pattern {
            Pattern::Magic { offset, magic, mask } => {
                let Some(bytes) = head.get(*offset..).and_then(|h| h.get(..magic.len())) else {
                    return false;
                };
                bytes.iter().zip(magic).zip(mask).all(|((b, magic), mask)| (b ^ magic) & mask == 0)
            }
            Pattern::Extension(extension) => {
                let dot = name.iter().rposition(|b| *b == b'.');
                dot.is_some_and(|dot| name[dot + 1..] == extension[..])
            }
        }
    }
}

/// Bytes from pairs of hexadecimal digits.
fn bytes(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let read = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    if rest.is_empty() { pairs.iter().map(read).collect() } else { None }
}
