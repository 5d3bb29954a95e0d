//! Files that reports go to: `--report FILE` and `--report FORMAT=FILE`.

use crate::config::Format;
use clap::ValueEnum;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// A file that a report goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// In which format; none for that of `--format`.
    pub(crate) format: Option<Format>,
    /// The file.
    pub(crate) file: PathBuf,
}

impl Target {
    /// Reads `FILE` or `FORMAT=FILE`. What stands before a `=` and looks like the name of a
    /// format must be one; a file with such a name can be called `./NAME=…`.
    ///
    /// # Errors
    /// When there is no such format, or no file.
    pub(crate) fn parse(text: OsString) -> Result<Target, String> {
        let bytes = text.as_bytes();
        let equals = bytes.iter().position(|&b| b == b'=');
        let named = equals.filter(|&at| at > 0 && bytes[..at].iter().all(u8::is_ascii_lowercase));
        let target = match named {
            None => Target { format: None, file: text.into() },
            Some(at) => {
                let name = String::from_utf8_lossy(&bytes[..at]);
                let format = Format::from_str(&name, false).map_err(|_| unknown(&name))?;
                let file = OsStr::from_bytes(&bytes[at + 1..]).into();
                Target { format: Some(format), file }
            }
        };
        match target.file.as_os_str().is_empty() {
            true => Err("no file is named".to_owned()),
            false => Ok(target),
        }
    }
}

fn unknown(name: &str) -> String {
    let all: Vec<String> = Format::value_variants()
        .iter()
        .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()))
        .collect();
    format!("no format is called `{name}`; there are {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_may_stand_before_the_file() {
        let parse = |text: &str| Target::parse(text.into());
        let target = |format, file: &str| Ok(Target { format, file: file.into() });
        assert_eq!(parse("out.json"), target(None, "out.json"));
        assert_eq!(parse("json=out"), target(Some(Format::Json), "out"));
        assert_eq!(parse("short=a=b"), target(Some(Format::Short), "a=b"));
        assert_eq!(parse("./json=out"), target(None, "./json=out"));
        assert_eq!(parse("=out"), target(None, "=out"));
        assert_eq!(parse("A=b"), target(None, "A=b"));
        assert!(parse("jsn=out").is_err_and(|error| error.contains("`jsn`; there are human,")));
        assert!(parse("json=").is_err());
        assert!(parse("").is_err());
        let bytes = OsStr::from_bytes(b"json=\xff").to_owned();
        let file = OsStr::from_bytes(b"\xff").into();
        assert_eq!(Target::parse(bytes), Ok(Target { format: Some(Format::Json), file }));
    }
}
