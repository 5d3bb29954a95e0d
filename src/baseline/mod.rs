//! The file of the baseline: where it is, how it is read and written.

use crate::config::Config;
use crate::error::Error;
use airtight_policy::Source;
use airtight_policy::baseline::{Baseline, FILE};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A larger file is no baseline.
const MOST: u64 = 64 << 20;

/// Which baseline to hold findings against.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Baseline")]
pub(crate) struct Known {
    /// Leave out the findings that this file knows [default: airtight-baseline.toml in the
    /// workspace, if it is there]
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Tell known findings too
    #[arg(long, conflicts_with = "baseline")]
    no_baseline: bool,
}

impl Known {
    /// Whether a flag says anything.
    pub(crate) fn is_given(&self) -> bool {
        self.baseline.is_some() || self.no_baseline
    }

    /// The baseline that counts; none if there is none.
    ///
    /// # Errors
    /// When it can't be read, or says what can't be understood.
    pub(crate) fn load(&self, config: &Config) -> Result<Option<Baseline>, Error> {
        if self.no_baseline {
            return Ok(None);
        }
        match &self.baseline {
            Some(path) => read(path).and_then(|baseline| match baseline {
                Some(baseline) => Ok(Some(baseline)),
                None => Err(Error::file(path, "can't read")(io::ErrorKind::NotFound.into())),
            }),
            None => read(&default(config)),
        }
    }
}

/// Where the baseline is when nobody says otherwise.
pub(crate) fn default(config: &Config) -> PathBuf {
    config.workspace.join(FILE)
}

/// The name of `path` for people: relative to where they are.
pub(crate) fn shown(path: &Path) -> String {
    let cwd = std::env::current_dir().ok();
    let near = cwd.as_deref().and_then(|cwd| path.strip_prefix(cwd).ok());
    near.unwrap_or(path).display().to_string()
}

/// Reads a baseline; none if it is not there.
///
/// # Errors
/// When it can't be read, or says what can't be understood.
pub(crate) fn read(path: &Path) -> Result<Option<Baseline>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::file(path, "can't read"))?,
    };
    let mut text = String::new();
    let length = file.take(MOST + 1).read_to_string(&mut text);
    if length.map_err(Error::file(path, "can't read"))? as u64 > MOST {
        return Err(Error::plain(format!("{}: too large for a baseline", path.display())));
    }
    let name = shown(path);
    Ok(Some(Baseline::parse(Source { name: &name, text: &text })?))
}

/// Writes a new file, whole or not at all.
///
/// # Errors
/// When there is something of that name already, or it can't be written.
pub(crate) fn create(path: &Path, text: &str) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".airtight-")
            .permissions(PermissionsExt::from_mode(0o666))
            .tempfile_in(crate::output::directory(path))?;
        file.write_all(text.as_bytes())?;
        file.persist_noclobber(path)?;
        Ok(())
    };
    write().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Plain {
            message: format!("{} already exists and is left as it is", path.display()),
            hints: vec![
                "`airtight baseline update --accept RULE` adds what is new of one rule".to_owned(),
            ],
        },
        _ => Error::file(path, "can't write")(source),
    })
}
