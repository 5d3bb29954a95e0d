//! `airtight scons`

use crate::error::Error;
use crate::exit::Status;
use crate::printer::Printer;
use crate::scratch;
use airtight_recording::Digest;
use airtight_tracer as tracer;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// Run SCons with each action held against what it declares
///
/// The user's own scons is run, with a package that enters it by way of `--site-dir`; the SConstruct
/// stays as it is, and nothing is rebuilt because of it. An action fails when one of its commands
/// reads a file that is not among its dependencies, or writes one that is not among its targets and
/// side effects. docs/scons.md has more.
///
/// Exit code and streams are those of scons. Its options of ours are `--airtight=enforce|warn|record|off`
/// and `--airtight-report=FILE`; `airtight scons -- --help` lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight scons
  airtight scons -- -j8 --airtight=warn build/app
  airtight scons --program ./scons-local/scons.py -- -C src")]
pub(crate) struct Args {
    /// The scons to run
    #[arg(long, value_name = "FILE", default_value = "scons")]
    program: PathBuf,
    /// The arguments of scons
    #[arg(last = true, value_name = "ARGUMENT")]
    argv: Vec<OsString>,
}

/// The variable that names the site directory that the user has asked for: empty for none.
const SITE_DIR: &str = "AIRTIGHT_SCONS_SITE_DIR";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../integrations/scons/airtight_scons/", $name)))),*]
    };
}

/// The package. A test holds that all of its files are here.
const PACKAGE: &[(&str, &str)] = &files![
    "__init__.py",
    "__main__.py",
    "cache.py",
    "commands.py",
    "daemon.py",
    "functions.py",
    "hooks.py",
    "identity.py",
    "jobs.py",
    "messages.py",
    "options.py",
    "places.py",
    "service.py",
    "session.py",
    "settings.py",
    "site_scons/site_init.py",
    "spec.py",
];

pub(crate) fn run(args: Args, _printer: &Printer) -> Result<Status, Error> {
    let own = std::env::current_exe()
        .map_err(|error| Error::plain(format!("can't find this program: {error}")))?;
    let package = unpack()?;
    let flags = std::env::var_os("SCONSFLAGS").unwrap_or_default();
    let (argv, theirs) = without_site_dir(args.argv);
    let theirs = theirs.or_else(|| {
        let words = flags.as_bytes().split(u8::is_ascii_whitespace);
        without_site_dir(words.map(|word| OsStr::from_bytes(word).to_owned())).1
    });
    let mut site_dir = OsString::from("--site-dir=");
    site_dir.push(package.join("site_scons"));
    let mut command = std::process::Command::new(&args.program);
    command.arg(site_dir).args(argv).env("AIRTIGHT", own).env_remove(SITE_DIR);
    if let Some(theirs) = theirs {
        command.env(SITE_DIR, theirs);
    }
    let source = command.exec();
    let program = args.program.display().to_string();
    Err(Error::from(match source.kind() {
        io::ErrorKind::NotFound => tracer::Error::NotFound { program },
        _ => tracer::Error::NotExecutable { program, source },
    }))
}

/// Takes the options for site directories out of the arguments: the last one would count, and it is
/// to be ours. Gives what they say.
fn without_site_dir(argv: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Option<OsString>) {
    let (mut rest, mut found) = (Vec::new(), None);
    let mut argv = argv.into_iter();
    while let Some(word) = argv.next() {
        if let Some(name) = word.as_bytes().strip_prefix(b"--site-dir=") {
            found = Some(OsStr::from_bytes(name).to_owned());
        } else if word == "--site-dir" {
            found = argv.next();
        } else if word == "--no-site-dir" {
            found = Some(OsString::new());
        } else if word == "--" {
            rest.push(word);
            rest.extend(argv.by_ref());
        } else {
            rest.push(word);
        }
    }
    (rest, found)
}

/// Sees to it that the package lies in a directory of our own, and gives that. Its name stands for
/// the content, so that several versions get on.
fn unpack() -> Result<PathBuf, Error> {
    let mut all = Vec::new();
    for (name, text) in PACKAGE {
        all.extend([name.as_bytes(), text.as_bytes()].join(&0));
        all.push(0);
    }
    let digest = Digest::of(&all).to_string();
    let package = scratch::base()?.join(format!("scons-{}", &digest[..16])).join("airtight_scons");
    for (name, text) in PACKAGE {
        let file = package.join(name);
        write(&file, text).map_err(Error::file(&file, "can't write it"))?;
    }
    Ok(package)
}

/// Writes a file if it is not as it should be. Others may be reading it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    match fs::read(file) {
        Ok(old) if old == text.as_bytes() => return Ok(()),
        _ => {}
    }
    let directory = file.parent().unwrap_or(file);
    fs::create_dir_all(directory)?;
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    new.write_all(text.as_bytes())?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_package_is_whole() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("integrations/scons/airtight_scons");
        let mut there = BTreeSet::new();
        for directory in ["", "site_scons"] {
            for entry in root.join(directory).read_dir().expect("it is there").flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "py") {
                    let name = path.strip_prefix(&root).expect("below it").to_owned();
                    there.insert(name.display().to_string());
                }
            }
        }
        let embedded = PACKAGE.iter().map(|(name, _)| (*name).to_owned());
        assert_eq!(embedded.collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn options_for_site_directories_are_taken_out() {
        let split = |text: &str| {
            let (rest, found) = without_site_dir(text.split(' ').map(OsString::from));
            let rest: Vec<_> = rest.iter().map(|word| word.display().to_string()).collect();
            (rest.join(" "), found.map(|word| word.display().to_string()))
        };
        for (text, rest, found) in [
            ("-j8 app", "-j8 app", None),
            ("-k --site-dir=a b", "-k b", Some("a")),
            ("--site-dir a --site-dir=b c", "c", Some("b")),
            ("--no-site-dir x", "x", Some("")),
            ("x -- --site-dir=a", "x -- --site-dir=a", None),
        ] {
            assert_eq!(split(text), (rest.to_owned(), found.map(str::to_owned)), "{text}");
        }
    }
}
