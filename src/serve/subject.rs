//! The action of a request, seen from its client: nothing of it comes from the daemon's own
//! environment or directory.

use super::message::{BuildSystem, Caller, Code, Failure};
use crate::config::{Config, add};
use crate::error::Error;
use crate::scratch;
use airtight_policy::{Declaration, Flavour, Spec};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// An action with its declaration.
pub(super) struct Subject {
    pub(super) argv: Vec<OsString>,
    pub(super) declaration: Declaration,
    /// The environment of the client.
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) umask: u32,
}

impl Subject {
    /// The action of `spec`, for a client in `caller`. `umask` is that of a client who does not
    /// tell its own.
    pub(super) fn resolve(
        spec: Spec,
        caller: Caller,
        umask: u32,
        config: &Config,
    ) -> Result<Subject, Failure> {
        let bad = |what: String| Failure::new(Code::BadAction, what);
        if spec.argv.first().is_none_or(String::is_empty) {
            return Err(bad("`argv` is missing or empty".to_owned()));
        }
        if spec.argv.iter().any(|word| word.contains('\0')) {
            return Err(bad("`argv` holds a NUL".to_owned()));
        }
        if !caller.workspace.is_absolute() {
            let workspace = caller.workspace.display();
            return Err(bad(format!("the workspace `{workspace}` is not absolute")));
        }
        let umask = caller.umask.unwrap_or(umask);
        if umask > 0o777 {
            return Err(bad(format!("{umask} is no umask")));
        }
        let workspace = directory(&caller.workspace)?;
        let mut declaration = spec.declaration(workspace.as_os_str().as_encoded_bytes(), "");
        if caller.build_system == Some(BuildSystem::Scons) {
            declaration.flavour = Flavour::Scons;
        }
        if spec.declared_at.is_none() {
            declaration.declared_at = None;
        }
        let cwd = directory(Path::new(&OsString::from_vec(declaration.cwd)))?;
        declaration.cwd = cwd.into_os_string().into_vec();
        let mut environment = config.environment.clone();
        add(&mut environment, std::mem::take(&mut declaration.environment));
        declaration.environment = environment;
        declaration.home = caller.variables.get("HOME").map(|home| home.clone().into_bytes());
        let argv: Vec<OsString> = spec.argv.into_iter().map(OsString::from).collect();
        let scratch =
            scratch::path(&declaration, &argv).map_err(|error| Failure::of(Code::File, &error))?;
        declaration.temporary_directory = Some(scratch.into_os_string().into_vec());
        let pair = |(name, value): (String, String)| (name.into(), value.into());
        let variables = caller.variables.into_iter().map(pair).collect();
        Ok(Subject { argv, declaration, variables, umask })
    }
}

/// The canonical name of a directory.
fn directory(path: &Path) -> Result<PathBuf, Failure> {
    let canonical = std::fs::canonicalize(path)
        .map_err(Error::file(path, "can't use it as a directory"))
        .map_err(|error| Failure::of(Code::BadAction, &error))?;
    match canonical.is_dir() {
        true => Ok(canonical),
        false => Err(Failure::new(Code::BadAction, format!("{}: not a directory", path.display()))),
    }
}
