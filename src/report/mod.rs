//! Verdicts for people and for programs, on one action or on a whole build. A new format is a
//! module here and a name in [`Format`].

mod github;
mod gitlab;
mod group;
mod html;
mod human;
mod json;
mod junit;
mod sarif;
mod short;
mod spot;
mod target;
mod words;

pub(crate) use github::SUMMARY;
#[cfg(test)]
pub(crate) use json::schema;
pub(crate) use target::Target;
pub(crate) use words::{chain, commas, deed, severity as severity_word, times};

use crate::config::{Config, Format};
use crate::error::Error;
use crate::output::Output;
use crate::printer::Printer;
use airtight_policy::build::{Build, BuildVerdict};
use airtight_policy::{Counts, Finding, Place, Severity, Suppressed, Verdict};
use airtight_recording::{Completeness, Exit, Recording};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What a person or a terminal wants of a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Show all findings, notes too.
    pub(crate) all: bool,
    /// Whether letters outside ASCII can be shown.
    pub(crate) unicode: bool,
}

impl Look {
    /// What the settings want and `printer` can show.
    pub(crate) fn of(config: &Config, printer: &Printer) -> Look {
        Look { all: config.all, unicode: printer.unicode() }
    }
}

/// What was judged.
enum Subject<'a> {
    /// One action.
    Action { verdict: &'a Verdict, declared_at: Option<&'a Place> },
    /// A whole build.
    Build { verdict: &'a BuildVerdict, build: &'a Build },
}

/// What there is to tell.
pub(crate) struct Report<'a> {
    subject: Subject<'a>,
    /// The root of the workspace.
    workspace: &'a [u8],
    /// What was judged, for the formats that show processes.
    recording: Option<&'a Recording>,
    look: Look,
}

/// How many groups of findings are shown unless all are asked for.
const SHOWN: usize = 20;

impl<'a> Report<'a> {
    /// The report on one action of this workspace.
    pub(crate) fn action(
        verdict: &'a Verdict,
        declared_at: Option<&'a Place>,
        workspace: &'a Path,
        look: Look,
    ) -> Report<'a> {
        let workspace = workspace.as_os_str().as_bytes();
        let subject = Subject::Action { verdict, declared_at };
        Report { subject, workspace, recording: None, look }
    }

    /// The report on a whole build.
    pub(crate) fn build(verdict: &'a BuildVerdict, build: &'a Build, look: Look) -> Report<'a> {
        let subject = Subject::Build { verdict, build };
        Report { subject, workspace: &build.workspace, recording: None, look }
    }

    /// Gives the recording that was judged, so that processes can be shown.
    #[must_use]
    pub(crate) fn of(mut self, recording: &'a Recording) -> Report<'a> {
        self.recording = Some(recording);
        self
    }

    /// The report as text; empty when a format for people has nothing to say about an action.
    /// Formats for people hold ANSI styles, others are to be written as they are
    /// ([`Format::is_styled`]).
    ///
    /// # Errors
    /// When it can't be encoded.
    pub(crate) fn text(&self, format: Format) -> Result<String, Error> {
        match format {
            Format::Human => Ok(human::text(self)),
            Format::Short => Ok(short::text(self)),
            Format::Json => json::text(self),
            Format::Sarif => sarif::text(self),
            Format::Junit => junit::text(self),
            Format::Github => Ok(github::text(self)),
            Format::Gitlab => gitlab::text(self),
            Format::Html => html::text(self),
        }
    }

    /// The report as it stands in a file: without styles.
    ///
    /// # Errors
    /// As [`Report::text`].
    pub(crate) fn plain(&self, format: Format) -> Result<String, Error> {
        let text = self.text(format)?;
        Ok(if format.is_styled() { anstream::adapter::strip_str(&text).to_string() } else { text })
    }

    /// Writes the report into each of these files, in `format` where the file has none of its own.
    ///
    /// # Errors
    /// When it can't be encoded or a file can't be written.
    pub(crate) fn save(&self, targets: &[Target], format: Format) -> Result<(), Error> {
        for target in targets {
            let text = self.plain(target.format.unwrap_or(format))?;
            let mut output = Output::create(&target.file)?;
            let written = output.file().write_all(text.as_bytes());
            written.map_err(Error::file(&target.file, "can't write"))?;
            output.commit()?;
        }
        Ok(())
    }

    /// The summary of a step of a GitHub job: at most `most` bytes of Markdown.
    pub(crate) fn step_summary(&self, most: usize) -> String {
        github::summary(self, most)
    }

    /// The report for programs.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub(crate) fn value(&self) -> Result<serde_json::Value, Error> {
        json::value(self)
    }

    /// All findings but suppressed ones, the worst first.
    fn findings(&self) -> &'a [Finding] {
        match &self.subject {
            Subject::Action { verdict, .. } => verdict.findings(),
            Subject::Build { verdict, .. } => &verdict.findings,
        }
    }

    /// What was found and is known to the policy.
    fn suppressed(&self) -> &'a [Suppressed] {
        match &self.subject {
            Subject::Action { verdict, .. } => verdict.suppressed(),
            Subject::Build { verdict, .. } => &verdict.suppressed,
        }
    }

    /// How the command ended; none when its end was not seen.
    fn exit(&self) -> Option<Exit> {
        match &self.subject {
            Subject::Action { verdict, .. } => verdict.exit(),
            Subject::Build { verdict, .. } => verdict.exit,
        }
    }

    /// Whether the recording holds everything; none when it has no end.
    fn completeness(&self) -> Option<&'a Completeness> {
        match &self.subject {
            Subject::Action { verdict, .. } => Some(verdict.completeness()),
            Subject::Build { verdict, .. } => verdict.completeness.as_ref(),
        }
    }

    /// The findings that people see: without notes, unless all are asked for. Every program
    /// calls getrandom, so notes would make every clean run speak.
    fn shown(&self) -> impl Iterator<Item = &'a Finding> {
        let least = self.least();
        self.findings().iter().filter(move |f| f.shown() && f.severity >= least)
    }

    /// The suppressed findings that people would see.
    fn shown_suppressed(&self) -> impl Iterator<Item = &'a Suppressed> {
        let least = self.least();
        self.suppressed().iter().filter(move |known| known.finding.severity >= least)
    }

    fn least(&self) -> Severity {
        if self.look.all { Severity::Note } else { Severity::Warn }
    }

    /// How many findings there are.
    fn counts(&self) -> Counts {
        match &self.subject {
            Subject::Action { verdict, .. } => verdict.counts(),
            Subject::Build { verdict, .. } => verdict.counts,
        }
    }

    /// The name of what was judged: the action's, or the command of the build.
    fn name(&self) -> &'a str {
        match &self.subject {
            Subject::Action { verdict, .. } => verdict.action(),
            Subject::Build { build, .. } => {
                let first = build.graph.actions.first();
                let named = |text: &'a String| Some(text.as_str()).filter(|text| !text.is_empty());
                first.and_then(|a| named(&a.command).or(named(&a.name))).unwrap_or("the build")
            }
        }
    }
}
