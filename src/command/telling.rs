//! Where reports go: to files, to standard output or error, and to the summary of a job.

use crate::config::{Config, Format};
use crate::error::Error;
use crate::output::Output;
use crate::printer::Printer;
use crate::report::{Report, SUMMARY, Target};
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// `--report`
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Reports {
    /// Write the report to this file, also when there are no findings: in this format, or in that
    /// of --format and then nowhere else. Can be given several times
    #[arg(long = "report", value_name = "[FORMAT=]FILE",
          value_parser = OsStringValueParser::new().try_map(Target::parse))]
    targets: Vec<Target>,
}

/// Where a report goes that goes to no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Of commands whose data it is.
    Output,
    /// Of commands whose standard output belongs to the traced command.
    Error,
}

impl Reports {
    /// Whether any is asked for.
    pub(crate) fn any(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Finds out now whether all files can be written, for those who have long work before them.
    ///
    /// # Errors
    /// When one can't be written.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.targets.iter().try_for_each(|target| Output::create(&target.file).map(drop))
    }

    /// Tells what was found: into all files that were asked for, and on `stream`, unless a file
    /// took its place.
    ///
    /// # Errors
    /// When the report can't be encoded, or a file or standard output can't be written.
    pub(crate) fn tell(
        &self,
        report: &Report<'_>,
        config: &Config,
        printer: &Printer,
        stream: Stream,
    ) -> Result<(), Error> {
        report.save(&self.targets, config.format)?;
        let mut formats = self.targets.iter().filter_map(|target| target.format);
        if config.format == Format::Github || formats.any(|format| format == Format::Github) {
            summarise(report, printer);
        }
        if self.targets.iter().any(|target| target.format.is_none()) {
            return Ok(());
        }
        show(report, config.format, printer, stream)
    }
}

fn show(
    report: &Report<'_>,
    format: Format,
    printer: &Printer,
    stream: Stream,
) -> Result<(), Error> {
    let text = report.text(format)?;
    match (stream, format.is_styled()) {
        (Stream::Output, true) => printer.data(text).map_err(Error::Stdout)?,
        (Stream::Output, false) => printer.raw(text.as_bytes()).map_err(Error::Stdout)?,
        (Stream::Error, true) => printer.tell(text),
        (Stream::Error, false) => printer.tell_raw(text.as_bytes()),
    }
    Ok(())
}

/// Appends to the summary of the step of a GitHub job, if this is one. That it can't be written
/// changes nothing about the findings.
fn summarise(report: &Report<'_>, printer: &Printer) {
    let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else {
        return;
    };
    let append = |file: &Path| -> io::Result<()> {
        let mut out = OpenOptions::new().append(true).create(true).open(file)?;
        // What stands there counts too, or GitHub would drop all of it.
        let there = usize::try_from(out.metadata()?.len()).unwrap_or(usize::MAX);
        out.write_all(report.step_summary(SUMMARY.saturating_sub(there)).as_bytes())
    };
    if let Err(error) = append(Path::new(&file)) {
        printer.warning(&format!("{}: can't write the summary: {error}", file.display()));
    }
}
