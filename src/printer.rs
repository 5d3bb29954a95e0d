//! The one place that writes to the terminal.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

/// Style of `error`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of `warning`.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Style of `note`.
pub(crate) const NOTE: Style = AnsiColor::Cyan.on_default().bold();
/// Style of what went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Style of labels and remarks.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Style of the name of the thing spoken of.
pub(crate) const STRONG: Style = Style::new().bold();

/// When to colour.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR or TERM=dumb; CLICOLOR_FORCE colours everywhere.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Owns standard output and standard error.
pub(crate) struct Printer {
    color: Cell<ColorChoice>,
    /// Whether the colour was said on the command line.
    fixed: bool,
    unicode: bool,
}

impl Printer {
    /// A printer for this process. `flag` is what the command line says of colour.
    pub(crate) fn new(flag: Option<Color>) -> Printer {
        let color = Cell::new(choice(flag.unwrap_or_default()));
        let unicode = utf8_locale(|name| std::env::var(name).ok());
        Printer { color, fixed: flag.is_some(), unicode }
    }

    /// Takes over what the settings say of colour, once they are known. The flag beats them.
    pub(crate) fn configure(&self, color: Color) {
        if !self.fixed {
            self.color.set(choice(color));
        }
    }

    /// Whether letters outside ASCII can be shown.
    pub(crate) fn unicode(&self) -> bool {
        self.unicode
    }

    /// Writes data to standard output. `text` may hold ANSI styles; they are dropped where they
    /// are not wanted.
    ///
    /// # Errors
    /// When the reader has gone (`BrokenPipe`) or the file can't be written.
    pub(crate) fn data(&self, text: impl AsRef<[u8]>) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout(), self.color.get()).lock();
        out.write_all(text.as_ref())?;
        out.flush()
    }

    /// Writes bytes to standard output as they are.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Tells people something on standard error. That nobody listens there is no error: the
    /// exit code still tells how it went.
    pub(crate) fn tell(&self, text: impl AsRef<[u8]>) {
        let mut err = AutoStream::new(io::stderr(), self.color.get()).lock();
        let _ = err.write_all(text.as_ref());
        let _ = err.flush();
    }

    /// Writes bytes to standard error as they are; as [`Printer::tell`] otherwise.
    pub(crate) fn tell_raw(&self, bytes: &[u8]) {
        let mut err = io::stderr().lock();
        let _ = err.write_all(bytes);
        let _ = err.flush();
    }

    /// Tells an error with its hints, each on a line of its own.
    pub(crate) fn error(&self, message: &str, hints: &[String]) {
        let mut text = format!("{ERROR}error{ERROR:#}: {message}\n");
        for hint in hints {
            text += &format!("  {GOOD}hint{GOOD:#}: {hint}\n");
        }
        self.tell(text);
    }

    /// Whether standard error is a terminal, so that somebody may be watching.
    pub(crate) fn watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether standard output is a terminal too.
    pub(crate) fn shared(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a line on a terminal that the next one replaces; an empty one takes it away.
    pub(crate) fn status(&self, line: &str) {
        self.tell(format!("\r\x1b[2K{DIM}{line}{DIM:#}"));
    }

    /// Tells a warning.
    pub(crate) fn warning(&self, message: &str) {
        self.tell(format!("{WARNING}warning{WARNING:#}: {message}\n"));
    }
}

fn choice(color: Color) -> ColorChoice {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
}

/// Whether the locale's character set is UTF-8, by the rule of setlocale(3): the first of
/// LC_ALL, LC_CTYPE and LANG that is set and not empty decides.
fn utf8_locale(var: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| var(name).filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::utf8_locale;

    #[test]
    fn first_variable_that_is_set_decides() {
        let env = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            }
        };
        assert!(utf8_locale(env(&[("LANG", "de_DE.UTF-8")])));
        assert!(utf8_locale(env(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")])));
        assert!(!utf8_locale(env(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")])));
        assert!(!utf8_locale(env(&[])));
    }
}
