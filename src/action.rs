//! An action as the command line or an action.json gives it.

use crate::config::{Config, add};
use crate::error::Error;
use crate::output::directory;
use airtight_policy::{Declaration, Depfile, Environment, Pattern, Source, Spec};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What an action says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Declaration")]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    /// A file that the command reads; a name with `*`, `?`, `[` or `{` that does not exist is a
    /// glob (`**` crosses directories)
    #[arg(long = "in", value_name = "FILE")]
    inputs: Vec<OsString>,
    /// A directory of which it may read everything
    #[arg(long = "in-dir", value_name = "DIR")]
    directories: Vec<OsString>,
    /// A file or whole directory that it makes; it is deleted before the command starts
    #[arg(long = "out", value_name = "FILE")]
    outputs: Vec<OsString>,
    /// A file or glob that it may leave behind, and that is no output
    #[arg(long, value_name = "FILE")]
    side_effect: Vec<String>,
    /// A file of make rules that it writes and that names further inputs
    #[arg(long, value_name = "FILE")]
    depfile: Option<OsString>,
    /// A variable that it gets: NAME passes the caller's value on, NAME=VALUE sets it
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Take the whole action from this file; its names are relative to the workspace, which is
    /// the directory of this file unless --workspace or an airtight.toml says otherwise
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// What the action is called in messages [default: its first output]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Declared {
    /// A declaration of these alone: as `--in`, `--in-dir` and `--env` have them.
    pub(crate) fn of(
        inputs: Vec<OsString>,
        directories: Vec<OsString>,
        env: Vec<String>,
    ) -> Declared {
        Declared { inputs, directories, env, ..Declared::default() }
    }

    /// The directory of the action.json: the workspace, where nothing else says what that is.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        self.spec.as_deref().map(|spec| directory(spec).to_owned())
    }

    /// The command and its declaration. `argv` is that of the command line, `cwd` the directory
    /// of the action if that is not the current one.
    ///
    /// # Errors
    /// When the spec can't be read, a glob is none, or an input file is a directory.
    pub(crate) fn resolve(
        &self,
        argv: Vec<OsString>,
        cwd: Option<&[u8]>,
        config: &Config,
    ) -> Result<(Vec<OsString>, Declaration), Error> {
        let workspace = config.workspace.as_os_str().as_bytes();
        let (argv, mut declaration) = match &self.spec {
            Some(file) => {
                let text =
                    std::fs::read_to_string(file).map_err(Error::file(file, "can't read"))?;
                let name = file.display().to_string();
                let spec = Spec::parse(Source { name: &name, text: &text })?;
                let declaration = spec.declaration(workspace, &name);
                let own = spec.argv.into_iter().map(OsString::from).collect();
                (if argv.is_empty() { own } else { argv }, declaration)
            }
            None => {
                let cwd = match cwd {
                    Some(cwd) => cwd.to_vec(),
                    None => std::env::current_dir()
                        .map_err(Error::file(Path::new("."), "can't be found"))?
                        .into_os_string()
                        .into_vec(),
                };
                let declaration =
                    Declaration { workspace: workspace.to_vec(), cwd, ..Declaration::default() };
                (argv, declaration)
            }
        };
        self.add_to(&mut declaration, config)?;
        if let Some(name) = &self.name {
            declaration.name.clone_from(name);
        } else if declaration.name.is_empty() {
            let first = self.outputs.first().or(argv.first());
            declaration.name = first.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        }
        declaration.home = std::env::var_os("HOME").map(OsString::into_vec);
        Ok((argv, declaration))
    }

    fn add_to(&self, declaration: &mut Declaration, config: &Config) -> Result<(), Error> {
        let cwd = Path::new(OsStr::from_bytes(&declaration.cwd)).to_owned();
        for input in &self.inputs {
            let glob = input.as_bytes().iter().any(|byte| b"*?[{".contains(byte));
            if glob && cwd.join(input).symlink_metadata().is_err() {
                let text = input
                    .to_str()
                    .ok_or_else(|| Error::plain(format!("--in {}: not UTF-8", input.display())))?;
                declaration.globs.push(pattern("--in", text)?);
            } else if cwd.join(input).is_dir() {
                let input = input.display();
                return Err(Error::Plain {
                    message: format!("--in {input}: this is a directory"),
                    hints: vec![format!("`--in-dir {input}` declares everything in it")],
                });
            } else {
                declaration.files.push(input.as_bytes().to_vec());
            }
        }
        let bytes =
            |names: &[OsString]| names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
        declaration.directories.extend(bytes(&self.directories));
        declaration.outputs.extend(bytes(&self.outputs));
        for name in &self.side_effect {
            declaration.side_effects.push(pattern("--side-effect", name)?);
        }
        if let Some(path) = &self.depfile {
            declaration.depfile = Some(Depfile { path: path.as_bytes().to_vec(), content: None });
        }
        let mut environment = config.environment.clone();
        add(&mut environment, std::mem::take(&mut declaration.environment));
        let mut flags = Environment::default();
        for variable in &self.env {
            match variable.split_once('=') {
                Some((name, value)) => {
                    flags.fixed.insert(name.to_owned(), value.to_owned());
                }
                None => flags.tracked.push(variable.clone()),
            }
        }
        add(&mut environment, flags);
        declaration.environment = environment;
        Ok(())
    }
}

fn pattern(flag: &str, text: &str) -> Result<Pattern, Error> {
    Pattern::new(text).map_err(|error| Error::plain(format!("{flag}: {error}")))
}

/// The variables that the action gets, sorted by name, and the names of those that it gets
/// without having declared them.
///
/// `all` is the caller's whole environment; `keep` passes all of it on. `TMPDIR` is the action's
/// own directory in any case.
pub(crate) fn environment(
    declared: &Environment,
    all: impl Iterator<Item = (OsString, OsString)>,
    keep: bool,
    temporary: &Path,
) -> (Vec<(OsString, OsString)>, Vec<String>) {
    let mut undeclared = Vec::new();
    let mut passed: Vec<(OsString, OsString)> = all
        .filter(|(name, _)| {
            let known = |list: &[String]| list.iter().any(|other| OsStr::new(other) == name);
            let declared_name = known(&declared.tracked) || known(&declared.passthrough);
            let replaced =
                name == "TMPDIR" || declared.fixed.keys().any(|other| OsStr::new(other) == name);
            if keep && !declared_name && !replaced {
                undeclared.push(name.to_string_lossy().into_owned());
            }
            (declared_name || keep) && !replaced
        })
        .collect();
    passed.extend(declared.fixed.iter().map(|(name, value)| (name.into(), value.into())));
    if !declared.fixed.contains_key("TMPDIR") {
        passed.push(("TMPDIR".into(), temporary.into()));
    }
    passed.sort();
    undeclared.sort();
    (passed, undeclared)
}

/// Reads the depfile as it is now.
///
/// # Errors
/// When it is there and can't be read.
pub(crate) fn load_depfile(declaration: &mut Declaration) -> Result<(), Error> {
    let Some(name) = declaration.depfile.as_ref().map(|depfile| depfile.path.clone()) else {
        return Ok(());
    };
    let path = full(declaration, &name);
    let content = match std::fs::read(&path) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::file(&path, "can't read the depfile")(error)),
    };
    declaration.depfile = Some(Depfile { path: name, content });
    Ok(())
}

/// A path of a declaration, made absolute.
pub(crate) fn full(declaration: &Declaration, name: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(airtight_policy::absolute(&declaration.cwd, name)))
}

/// Deletes the declared outputs, so that what stands there afterwards was made by this run, and
/// so that reading an old one fails or is seen (R008). What is also an input stays. Gives what
/// was deleted.
///
/// # Errors
/// When an output can't be deleted, or is a directory that holds the workspace, the current
/// directory or a declared input.
pub(crate) fn delete_outputs(declaration: &Declaration) -> Result<Vec<PathBuf>, Error> {
    let mut deleted = Vec::new();
    let inputs: Vec<PathBuf> = [&declaration.files, &declaration.directories]
        .into_iter()
        .flatten()
        .map(|name| full(declaration, name))
        .collect();
    let depfile = declaration.depfile.as_ref().map(|depfile| &depfile.path);
    for output in declaration.outputs.iter().chain(depfile) {
        let path = full(declaration, output);
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if inputs.contains(&path) {
            continue;
        }
        let kind = metadata.file_type();
        if kind.is_dir() {
            let kept = [&declaration.workspace, &declaration.cwd].map(|dir| full(declaration, dir));
            if let Some(kept) = kept.iter().chain(&inputs).find(|kept| kept.starts_with(&path)) {
                return Err(Error::Plain {
                    message: format!(
                        "{}: an output is deleted before the run, but this directory holds {}",
                        path.display(),
                        kept.display()
                    ),
                    hints: vec!["declare the files that are made in it, one by one".to_owned()],
                });
            }
            std::fs::remove_dir_all(&path)
                .map_err(Error::file(&path, "can't delete the old output"))?;
        } else if kind.is_file() || kind.is_symlink() {
            std::fs::remove_file(&path)
                .map_err(Error::file(&path, "can't delete the old output"))?;
        } else {
            continue;
        }
        deleted.push(path);
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn only_declared_variables_are_passed_on() {
        let declared = Environment {
            fixed: [("LANG".to_owned(), "C".to_owned())].into(),
            tracked: vec!["PATH".into(), "UNSET".into()],
            passthrough: vec!["HOME".into()],
            ..Environment::default()
        };
        let caller = pairs(&[
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("LANG", "de_DE"),
            ("SECRET", "x"),
            ("TMPDIR", "/tmp"),
        ]);
        let private = Path::new("/tmp/own");
        let (env, undeclared) = environment(&declared, caller.clone().into_iter(), false, private);
        let expected = [("HOME", "/root"), ("LANG", "C"), ("PATH", "/bin"), ("TMPDIR", "/tmp/own")];
        assert_eq!(env, pairs(&expected));
        assert!(undeclared.is_empty());
        let (env, undeclared) = environment(&declared, caller.into_iter(), true, private);
        assert!(env.contains(&("SECRET".into(), "x".into())));
        assert_eq!(env.len(), 5);
        assert_eq!(undeclared, ["SECRET"]);
    }

    #[test]
    fn outputs_are_deleted_and_what_they_hold_is_minded() -> Result<(), Box<dyn std::error::Error>>
    {
        let dir = tempfile::tempdir()?;
        let write = |name: &str| std::fs::write(dir.path().join(name), "");
        std::fs::create_dir(dir.path().join("gen"))?;
        for name in ["a.o", "in.c", "gen/x.h"] {
            write(name)?;
        }
        let mut declaration = Declaration {
            workspace: dir.path().as_os_str().as_bytes().to_vec(),
            cwd: dir.path().as_os_str().as_bytes().to_vec(),
            files: vec![b"in.c".to_vec()],
            outputs: ["a.o", "in.c", "gen", "absent"].map(|n| n.as_bytes().to_vec()).into(),
            ..Declaration::default()
        };
        delete_outputs(&declaration)?;
        assert!(!dir.path().join("a.o").exists());
        assert!(!dir.path().join("gen").exists());
        assert!(dir.path().join("in.c").exists());
        declaration.outputs = vec![b".".to_vec()];
        assert!(delete_outputs(&declaration).is_err());
        assert!(dir.path().join("in.c").exists());
        Ok(())
    }
}
