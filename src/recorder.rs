//! Writes a recording to a file while the command runs.

use crate::error::Error;
use crate::output::{Output, nameless};
use airtight_recording::{BinarySource, Digest, Event, Sink, binary, json};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

/// The two encodings of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Compact and compressed
    Binary,
    /// Documented, for other programs
    Json,
}

impl Format {
    /// The file that is written where none is named.
    pub(crate) fn default_name(self) -> &'static str {
        match self {
            Format::Binary => "airtight-trace.bin",
            Format::Json => "airtight-trace.json",
        }
    }

    /// What the name of a file suggests.
    pub(crate) fn of(path: &Path) -> Format {
        match path.extension() {
            Some(extension) if extension == "json" => Format::Json,
            _ => Format::Binary,
        }
    }
}

/// Takes events and writes them, compressed, as they come: memory does not grow with them. The
/// other encoding is made from that at the end.
pub(crate) struct Recorder {
    writer: binary::Writer<File>,
    target: PathBuf,
    /// None for standard output.
    output: Option<Output>,
    format: Format,
}

impl Recorder {
    /// Opens what is needed before the command starts. `-` is standard output.
    ///
    /// # Errors
    /// When the file can't be made.
    pub(crate) fn create(target: &Path, format: Format) -> Result<Recorder, Error> {
        let stdout = target == Path::new("-");
        let target = if stdout { PathBuf::from("standard output") } else { target.to_owned() };
        let mut output = (!stdout).then(|| Output::create(&target)).transpose()?;
        let mut open = || -> io::Result<binary::Writer<File>> {
            binary::Writer::new(match (&mut output, format) {
                (Some(output), Format::Binary) => output.file().try_clone()?,
                (Some(output), Format::Json) => nameless(&output.room())?,
                (None, _) => nameless(&std::env::temp_dir())?,
            })
        };
        let writer = open().map_err(Error::file(&target, "can't write"))?;
        Ok(Recorder { writer, target, output, format })
    }

    /// Ends the recording and gives the file its name.
    ///
    /// # Errors
    /// When the recording could not be written in full; then there is no file.
    pub(crate) fn finish(self) -> Result<Digest, Error> {
        let Recorder { writer, target, output, format } = self;
        let bad = |source| Error::file(&target, "can't write")(source);
        let (mut file, digest) = writer.finish().map_err(bad)?;
        match output {
            Some(mut output) => {
                if format == Format::Json {
                    convert(&mut file, output.file()).map_err(bad)?;
                }
                output.commit()?;
            }
            None => {
                let mut out = io::stdout().lock();
                match format {
                    Format::Json => convert(&mut file, &mut out),
                    Format::Binary => file.rewind().and_then(|()| {
                        io::copy(&mut file, &mut out)?;
                        Ok(())
                    }),
                }
                .map_err(Error::Stdout)?;
            }
        }
        Ok(digest)
    }
}

impl Sink for Recorder {
    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.writer.put(event)
    }
}

fn convert(binary: &mut File, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    json::write(BinarySource::new(binary), &mut out).map_err(|error| match error {
        json::WriteError::Output(error) => error,
        other => io::Error::other(other),
    })?;
    out.flush()
}
