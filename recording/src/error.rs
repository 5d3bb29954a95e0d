//! Why a recording can't be read.

use std::io;

/// Why a recording can't be read. The caller adds the name of the file.
///
/// Offsets count bytes of the uncompressed recording, the preamble included.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file itself can't be read.
    #[error("can't be read: {0}")]
    Io(#[source] io::Error),
    /// It is something else.
    #[error(
        "not an airtight recording: at byte 0, expected the bytes 89 61 69 72 74 72 (binary) or \
         an opening brace (JSON); name a file written by airtight trace or run"
    )]
    NotARecording,
    /// Written in a format that this version does not know yet.
    #[error(
        "written by a newer airtight (format {found}, this one reads up to {supported}); \
         read it with that airtight, or update this one"
    )]
    Newer {
        /// The format of the file.
        found: u64,
        /// The newest format that can be read.
        supported: u64,
    },
    /// The end is missing: the tracer was killed, the disk was full, or a copy was cut short.
    #[error(
        "cut off in record {record} (byte {offset}): expected {expected}; \
         the trace did not finish or the copy is partial, so record or copy it again"
    )]
    CutOff {
        /// The number of the record, from 0.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// What should have come.
        expected: &'static str,
    },
    /// The bytes were changed, or are no recording after all.
    #[error("damaged at record {record} (byte {offset}): {what}; record or copy it again")]
    Damaged {
        /// The number of the record, from 0.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// What was found, and what was expected.
        what: String,
    },
    /// It would need more memory than the caller allows.
    #[error(
        "longer than {limit} bytes when uncompressed (seen at record {record}); \
         if the file can be trusted, raise the limit"
    )]
    TooLarge {
        /// The number of the record, from 0.
        record: u64,
        /// What was allowed.
        limit: u64,
    },
    /// The JSON form is not as it should be.
    #[error("damaged at {place}: {what}")]
    Json {
        /// Line and column, or the field.
        place: String,
        /// What was found, and what was expected.
        what: String,
    },
    /// The receiver of the events refused one.
    #[error("{0}")]
    Sink(#[source] io::Error),
}
