//! What the kernel loads by itself when a program is executed.
//!
//! An exec names one file. The kernel may open more: the interpreter of a `#!` line, one that
//! `binfmt_misc` names, and the loader that an ELF program asks for. None of them shows in a
//! system call, so they are worked out here from the files themselves, with the kernel's rules
//! (`fs/exec.c`, `fs/binfmt_script.c`, `fs/binfmt_elf.c`, `fs/binfmt_misc.c`).

mod elf;
mod misc;
mod script;

pub(crate) use misc::Misc;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much of a file the kernel looks at to find out what it is (`BINPRM_BUF_SIZE`), in bytes.
pub(crate) const HEAD: usize = 256;

/// How many files an exec opens at most: six that may name another, and the one named last
/// (`exec_binprm`), which is an ELF loader, or else ends it with ELOOP.
pub(crate) const MOST_FILES: usize = 7;

/// What a file is to the kernel, as far as its content tells. Depends on nothing but the content,
/// so it may be kept for as long as the file has the same stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    head: Box<[u8; HEAD]>,
    format: Format,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// It begins with a `#!` line that names an interpreter (perhaps an empty name).
    Script(Script),
    /// An ELF program, with the loader it asks for.
    Elf {
        /// The loader's name; none for a static program.
        loader: Option<Vec<u8>>,
    },
    /// Nothing that the kernel executes without binfmt_misc.
    Unknown,
}

/// A `#!` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// The interpreter, relative to the current directory if it has no leading slash.
    pub(crate) interpreter: Vec<u8>,
    /// The rest of the line, one argument.
    pub(crate) argument: Option<Vec<u8>>,
}

impl Parsed {
    /// Reads what the kernel would read of an executable file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(crate) fn of(file: &File) -> io::Result<Parsed> {
        let mut head = [0; HEAD];
        read_up_to(file, &mut head, 0)?;
        let format = match script::parse(&head) {
            Some(script) => Format::Script(script),
            None => elf::parse(&head, |buffer, offset| read_up_to(file, buffer, offset))?,
        };
        Ok(Parsed { head: Box::new(head), format })
    }

    /// The file that the kernel opens next when it executes this one under this name (for a
    /// descriptor: `/dev/fd/N`), relative to the current directory if it is not absolute. An empty
    /// name fails with EACCES.
    ///
    /// Nothing follows a static program, nor what can't be executed, nor a file for which
    /// binfmt_misc holds an interpreter open since its entry was made.
    pub(crate) fn next<'a>(&'a self, name: &[u8], misc: &'a [Misc]) -> Option<(Role, &'a [u8])> {
        // binfmt_misc puts itself before the other formats.
        if let Some(entry) = misc.iter().find(|entry| entry.matches(&self.head, name)) {
            return (!entry.held).then_some((Role::Interpreter, &entry.interpreter));
        }
        match &self.format {
            Format::Script(script) => Some((Role::Interpreter, &script.interpreter)),
            Format::Elf { loader } => loader.as_deref().map(|loader| (Role::Loader, loader)),
            Format::Unknown => None,
        }
    }
}

/// Fills the buffer as far as the file goes; tells how far.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let Some(at) = offset.checked_add(filled as u64) else { break };
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Why the kernel opens a further file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A `#!` line or binfmt_misc names it as the program to run instead.
    Interpreter,
    /// An ELF program asks for it. What a loader asks for itself is not loaded.
    Loader,
}

#[cfg(test)]
mod tests;
