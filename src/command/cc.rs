//! `airtight cc`

use super::beside::Beside;
use super::judging::Judging;
use super::stores::Stores;
use crate::action::Declared;
use crate::compiler::{self, Compile, Depfile, Parsed};
use crate::config::{Config, Layer};
use crate::error::Error;
use crate::exit::Status;
use crate::job::Job;
use crate::printer::Printer;
use airtight_policy::{self as policy, Declaration};
use airtight_tracer as tracer;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process;

/// Run a compiler as an action, declared by its own command line
///
/// For gcc and clang, in place of ccache: the action's inputs are the source on the command line
/// and what the depfile names, its outputs the object and what else was asked for. When no depfile
/// is asked for, the compiler writes one for Airtight alone. So what the compiler reads of the
/// workspace and does not tell its depfile is a finding: a file of `.incbin`, a profile, a header
/// that gcc has precompiled, a plugin and its settings. `--in` declares it.
///
/// A command line that is not the compilation of one source into files (linking, preprocessing, a
/// question to the compiler, anything that is not understood) is executed as it is, untraced, with
/// its own exit code. Otherwise everything is as in `airtight run`. Beside the variables that every
/// action gets, the compiler gets those that it looks at itself, such as CPATH, and their values
/// count.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cmake -DCMAKE_C_COMPILER_LAUNCHER='airtight;cc' -DCMAKE_CXX_COMPILER_LAUNCHER='airtight;cc' ..
  ./configure CC='airtight cc gcc' CXX='airtight cc g++'
  airtight cc --in logo.png gcc -c logo.S

To begin with, let findings be warnings: in airtight.toml, `[policy]` with `reaction = \"warn\"`.")]
pub(crate) struct Args {
    /// A further file that the compiler reads, or a glob of such
    #[arg(long = "in", value_name = "FILE")]
    inputs: Vec<OsString>,
    /// A directory of which it may read everything
    #[arg(long = "in-dir", value_name = "DIR")]
    directories: Vec<OsString>,
    /// A further variable that it gets: NAME passes the caller's value on, NAME=VALUE sets it
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Say why a command line is passed through
    #[arg(long)]
    why: bool,
    /// Compile even if the result is known, and replace that
    #[arg(long, help_heading = "Cache", conflicts_with = "no_cache")]
    refresh: bool,
    /// The compiler and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMPILER"
    )]
    argv: Vec<OsString>,
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    judging: Judging,
    #[command(flatten)]
    stores: Stores,
}

impl Args {
    /// The settings in the flags, as layers.
    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let mut layers = self.judging.layers()?;
        layers.extend(self.beside.layers());
        layers.extend(self.stores.layers());
        Ok(layers)
    }
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    if let Some(option) = args.argv.first().filter(|word| word.as_bytes().starts_with(b"-")) {
        return Err(Error::Plain {
            message: format!("{}: no flag of `airtight cc`, and no compiler", option.display()),
            hints: vec!["flags stand before the compiler's name".to_owned()],
        });
    }
    match parse(&args.argv) {
        Parsed::PassThrough(reason) => {
            if args.why {
                printer.tell(format!("passed through: {reason}\n"));
            }
            Err(execute(&args.argv))
        }
        Parsed::Compile(compile) => run_compiler(args, compile, printer),
    }
}

/// What a command line of a compiler is.
fn parse(argv: &[OsString]) -> Parsed {
    let shared = compiler::SHARED_DEPFILES.iter().find(|name| std::env::var_os(name).is_some());
    match shared {
        Some(name) => Parsed::PassThrough(format!("{name} is set")),
        None => compiler::parse(argv, &mut read),
    }
}

/// The declaration of a compilation that is not to be run, for those who ask about its key.
///
/// # Errors
/// When the command line is passed through, or the declaration is wrong.
pub(super) fn declare(
    declared: Declared,
    argv: Vec<OsString>,
    config: &Config,
) -> Result<(Vec<OsString>, Declaration), Error> {
    match parse(&argv) {
        Parsed::PassThrough(reason) => {
            Err(Error::plain(format!("`airtight cc` passes this through: {reason}")))
        }
        Parsed::Compile(compile) => declaration(&compile, declared, argv, config),
    }
}

/// The largest response file that is read.
const MAX_RESPONSE: u64 = 16 << 20;

/// Reads a response file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: a pipe can be read only once.
    let about = std::fs::metadata(path)?;
    if !about.is_file() || about.len() > MAX_RESPONSE {
        return Err(io::Error::other("not a file of at most 16 MiB"));
    }
    std::fs::read(path)
}

/// Becomes the command. Returns only when that fails.
fn execute(argv: &[OsString]) -> Error {
    let (program, words) = argv.split_first().map_or((OsStr::new(""), argv), |(p, w)| (p, w));
    let source = process::Command::new(program).args(words).exec();
    let program = program.to_string_lossy().into_owned();
    Error::from(match source.kind() {
        io::ErrorKind::NotFound => tracer::Error::NotFound { program },
        _ => tracer::Error::NotExecutable { program, source },
    })
}

fn run_compiler(args: Args, compile: Compile, printer: &Printer) -> Result<Status, Error> {
    let config = Config::load(args.layers()?, None)?;
    printer.configure(config.color);
    let declared = Declared::of(args.inputs, args.directories, args.env);
    let (argv, declaration) = declaration(&compile, declared, args.argv, &config)?;
    let job = Job {
        argv,
        declaration,
        refresh: args.refresh,
        private_depfile: compile.depfile == Depfile::None,
        ..Job::default()
    };
    job.run(&config, printer)
}

fn declaration(
    compile: &Compile,
    declared: Declared,
    argv: Vec<OsString>,
    config: &Config,
) -> Result<(Vec<OsString>, Declaration), Error> {
    let (argv, mut declaration) = declared.resolve(argv, None, config)?;
    let bytes = |name: &OsString| name.as_bytes().to_vec();
    if let Some(main) = compile.outputs.first() {
        declaration.name = main.to_string_lossy().into_owned();
    }
    declaration.files.extend(compile.inputs.iter().map(bytes));
    declaration.outputs.extend(compile.outputs.iter().map(bytes));
    if let Depfile::Named(name) = &compile.depfile {
        declaration.depfile = Some(policy::Depfile { path: bytes(name), content: None });
    }
    let environment = &mut declaration.environment;
    for name in compiler::VARIABLES {
        let known = environment.fixed.contains_key(*name)
            || environment.tracked.iter().chain(&environment.passthrough).any(|n| n == name);
        if !known {
            environment.tracked.push((*name).to_owned());
        }
    }
    Ok((argv, declaration))
}
