//! Verdicts for people and for programs. A new format is a module here and a name in
//! [`Format`].

mod human;
mod json;
mod short;
mod words;

pub(crate) use words::{chain, commas, deed, severity as severity_word, times};

use crate::config::Format;
use crate::error::Error;
use crate::printer::Printer;
use airtight_policy::{Finding, Place, Severity, Verdict};

/// What there is to tell.
pub(crate) struct Report<'a> {
    /// The judgement.
    pub(crate) verdict: &'a Verdict,
    /// Where the action is declared.
    pub(crate) declared_at: Option<&'a Place>,
    /// Show all findings, notes too.
    pub(crate) all: bool,
    /// Whether letters outside ASCII can be shown.
    pub(crate) unicode: bool,
}

/// How many groups of findings are shown unless all are asked for.
const SHOWN: usize = 20;

impl<'a> Report<'a> {
    /// The report for what `printer` can show.
    pub(crate) fn new(
        verdict: &'a Verdict,
        declared_at: Option<&'a Place>,
        all: bool,
        printer: &Printer,
    ) -> Report<'a> {
        Report { verdict, declared_at, all, unicode: printer.unicode() }
    }

    /// The report as text; empty when a format for people has nothing to say.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub(crate) fn text(&self, format: Format) -> Result<String, Error> {
        match format {
            Format::Human => Ok(human::text(self)),
            Format::Short => Ok(short::text(self)),
            Format::Json => json::text(self),
        }
    }

    /// The report for people, without colours.
    ///
    /// # Errors
    /// As [`Report::text`].
    pub(crate) fn plain(&self) -> Result<String, Error> {
        let text = self.text(Format::Human)?;
        Ok(anstream::adapter::strip_str(&text).to_string())
    }

    /// The report for programs.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub(crate) fn value(&self) -> Result<serde_json::Value, Error> {
        json::value(self)
    }

    /// The findings that people see: without notes, unless all are asked for. Every program
    /// calls getrandom, so notes would make every clean run speak.
    fn findings(&self) -> impl Iterator<Item = &'a Finding> {
        let least = if self.all { Severity::Note } else { Severity::Warn };
        self.verdict.findings().iter().filter(move |f| f.shown() && f.severity >= least)
    }
}
