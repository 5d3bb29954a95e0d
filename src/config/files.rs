//! Finds and reads the files that hold settings.

use super::layer::{Layer, Part};
use crate::error::Error;
use std::path::{Path, PathBuf};

/// The name of the project file.
pub(crate) const PROJECT_FILE: &str = "airtight.toml";

/// What the user file must not hold.
const PROJECT_TABLES: [&str; 2] = ["run", "policy"];

/// Reads `path`; none if it is not there.
fn read(path: &Path) -> Result<Option<Layer>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            // People see a name relative to where they are.
            let shown = std::env::current_dir().ok();
            let shown = shown.as_deref().and_then(|cwd| path.strip_prefix(cwd).ok());
            let name = shown.unwrap_or(path).display().to_string();
            Ok(Some(Layer::file(Part::All, path.to_owned(), name, text)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path, "can't read")(error)),
    }
}

/// Where a user's own files are: `airtight` in `$XDG_CONFIG_HOME` or `~/.config`; none when neither
/// is known.
pub(crate) fn user_directory() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let settings = absolute("XDG_CONFIG_HOME");
    let settings = settings.or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(settings.join("airtight"))
}

/// The user file, `airtight/config.toml` in `$XDG_CONFIG_HOME` or `~/.config`.
///
/// # Errors
/// When it can't be read, or holds anything but display settings: what a build may do must not
/// depend on whose account it runs in.
pub(crate) fn user() -> Result<Option<Layer>, Error> {
    let Some(path) = user_directory().map(|directory| directory.join("config.toml")) else {
        return Ok(None);
    };
    let Some(layer) = read(&path)? else { return Ok(None) };
    // A text that is no TOML gets its message when the layer is parsed.
    if let Ok(table) = toml::de::DeTable::parse(&layer.text) {
        for key in table.get_ref().keys() {
            let name = key.get_ref().as_ref();
            if PROJECT_TABLES.contains(&name) {
                return Err(Error::Plain {
                    message: format!(
                        "{}: `{name}` can't be set in the user file, which holds display \
                         settings only",
                        layer.source().place(key.span().start)
                    ),
                    hints: vec![format!("move it to the project's {PROJECT_FILE}")],
                });
            }
        }
    }
    Ok(Some(layer))
}

/// The nearest project file, from `cwd` up to the root of the repository, and its directory.
///
/// # Errors
/// When it can't be read.
pub(crate) fn project(cwd: &Path) -> Result<Option<(PathBuf, Layer)>, Error> {
    for directory in cwd.ancestors() {
        if let Some(layer) = read(&directory.join(PROJECT_FILE))? {
            return Ok(Some((directory.to_owned(), layer)));
        }
        if is_repository(directory) {
            break;
        }
    }
    Ok(None)
}

/// The root of the repository that holds `cwd`.
pub(crate) fn repository(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().find(|directory| is_repository(directory)).map(Path::to_owned)
}

/// A worktree or submodule has a file there.
fn is_repository(directory: &Path) -> bool {
    directory.join(".git").symlink_metadata().is_ok()
}
