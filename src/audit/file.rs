//! The file of an audit: a preamble, the build as compressed JSON, and the recording as it is.
//!
//! | bytes | what |
//! |---|---|
//! | 9 | [`MAGIC`] and [`VERSION`] |
//! | 8 | how long the next part is, little-endian |
//! | … | one zstd frame with a checksum: [`Head`] as JSON |
//! | the rest | the recording in its binary format |
//!
//! Knows nothing of the rest of the command, so that it can be fuzzed alone.

use airtight_policy::build::Build;
use airtight_recording::binary::{Limits, Writer};
use airtight_recording::{ReadError, Recording};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};

/// The first bytes of every audit file, made like those of a recording.
pub(crate) const MAGIC: [u8; 8] = *b"\x89airau\r\n";

/// The format that is written, and the newest that is read.
pub(crate) const VERSION: u8 = 1;

/// log2 of the largest zstd window that is read: bounds the memory of the decompressor to 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;

/// Everything in the file but the recording.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The version of the program that wrote it.
    pub(crate) airtight: String,
    /// What the audit was asked for, as the command line has it; no business of this module.
    #[serde(default)]
    pub(crate) asked: serde_json::Value,
    /// Whether the build description could be read. If not, the build has neither graph nor
    /// owners of processes.
    pub(crate) loaded: bool,
    /// The graph and whose work each process did.
    pub(crate) build: Build,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Saved {
    /// All but the recording.
    pub(crate) head: Head,
    /// What was seen.
    pub(crate) recording: Recording,
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It does not begin like one.
    #[error("not the file of an audit")]
    NotAnAudit,
    /// It was written by a newer version.
    #[error("written by a newer airtight (audit format {found}, this one knows {VERSION})")]
    Newer {
        /// Its version.
        found: u8,
    },
    /// It ends too early.
    #[error("cut off in the part on the build")]
    CutOff,
    /// It says what can't be.
    #[error("damaged in the part on the build: {0}")]
    Damaged(String),
    /// The build is larger than is accepted.
    #[error("the part on the build has more than {0} bytes")]
    TooLarge(u64),
    /// The recording in it can't be read.
    #[error("the recording in it: {0}")]
    Recording(#[from] ReadError),
    /// The system could not read it.
    #[error(transparent)]
    Io(io::Error),
}

/// Whether a file that begins so is that of an audit.
pub(crate) fn is_audit(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// Writes a whole file.
///
/// # Errors
/// When `out` can't be written, or the recording has no end.
pub(crate) fn write(head: &Head, recording: &Recording, mut out: impl Write) -> io::Result<()> {
    let mut frame = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    frame.include_checksum(true)?;
    serde_json::to_writer(&mut frame, head)?;
    let frame = frame.finish()?;
    out.write_all(&MAGIC)?;
    out.write_all(&[VERSION])?;
    out.write_all(&(frame.len() as u64).to_le_bytes())?;
    out.write_all(&frame)?;
    let mut writer = Writer::new(out)?;
    recording.replay(&mut writer)?;
    let (mut out, _) = writer.finish()?;
    out.flush()
}

/// Reads a file of which nothing is trusted. The limit is that of the build and that of the
/// recording, each for itself.
///
/// # Errors
/// When it is no such file, or is damaged, or too large.
pub(crate) fn read(mut input: impl BufRead, limits: Limits) -> Result<Saved, FileError> {
    let mut preamble = Vec::new();
    let wanted = MAGIC.len() as u64 + 1 + 8;
    input.by_ref().take(wanted).read_to_end(&mut preamble).map_err(FileError::Io)?;
    let Some(rest) = preamble.strip_prefix(&MAGIC) else {
        return Err(FileError::NotAnAudit);
    };
    match rest.first() {
        None => return Err(FileError::CutOff),
        Some(&VERSION) => {}
        Some(&found) if found > VERSION => return Err(FileError::Newer { found }),
        Some(_) => return Err(FileError::Damaged("format 0 never existed".to_owned())),
    }
    let length = rest[1..].try_into().map_err(|_| FileError::CutOff)?;
    let mut part = input.by_ref().take(u64::from_le_bytes(length));
    let head = read_head(&mut part, limits.bytes)?;
    if part.limit() > 0 {
        return Err(FileError::Damaged("bytes follow the build".to_owned()));
    }
    let (recording, _) = Recording::read_with(input, limits)?;
    check(&head, &recording).map_err(FileError::Damaged)?;
    Ok(Saved { head, recording })
}

fn read_head(part: &mut io::Take<impl BufRead>, most: u64) -> Result<Head, FileError> {
    let mut frame = zstd::Decoder::with_buffer(part).map_err(FileError::Io)?.single_frame();
    frame.window_log_max(MAX_WINDOW_LOG).map_err(FileError::Io)?;
    // One more byte than is accepted tells the two apart.
    let mut json = BufReader::new(frame.take(most.saturating_add(1)));
    let head = serde_json::from_reader(&mut json);
    if json.get_ref().limit() == 0 {
        return Err(FileError::TooLarge(most));
    }
    head.map_err(|error| match error.io_error_kind() {
        Some(io::ErrorKind::UnexpectedEof) => FileError::CutOff,
        _ => FileError::Damaged(error.to_string()),
    })
}

/// Holds the build against itself and the recording: whoever uses it takes that for granted.
fn check(head: &Head, recording: &Recording) -> Result<(), String> {
    let Build { graph, attribution, workspace, .. } = &head.build;
    let sound = |sound: bool, what: &str| if sound { Ok(()) } else { Err(what.to_owned()) };
    sound(workspace.starts_with(b"/"), "the workspace has no absolute name")?;
    sound(!graph.actions.is_empty(), "it has no action")?;
    head.build.check(recording).map_err(|error| error.to_string())?;
    let sorted = attribution.spans().is_sorted_by_key(|span| (span.process, span.since));
    sound(sorted, "owners are out of order")?;
    sound(!head.loaded || attribution.covers(recording), "a process has no owner")
}

#[cfg(test)]
mod tests;
