//! Command lines of gcc and clang: which of them are one compilation, and what that reads and
//! makes.
//!
//! A command line is only ever read, never put together again: what is not understood for certain
//! runs as it is, untraced. So a gap here costs a cache hit and never breaks a build.

mod options;
mod response;

use options::{Meaning, meaning};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Variables that gcc and clang look at, beyond those that every action gets. Their values are
/// part of what the compilation depends on.
pub(crate) const VARIABLES: &[&str] = &[
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "LIBRARY_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "SOURCE_DATE_EPOCH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
];

/// Those that make the compiler append to a file which several compilations share.
pub(crate) const SHARED_DEPFILES: &[&str] = &["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"];

/// What a command line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// One compilation.
    Compile(Compile),
    /// Anything else, and why. It is for the compiler alone.
    PassThrough(String),
}

/// The compilation of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compile {
    /// The source, and the response files on the command line.
    pub(crate) inputs: Vec<OsString>,
    /// The object, and what was asked for beside it, but for the depfile.
    pub(crate) outputs: Vec<OsString>,
    /// Where the compiler tells what it has read.
    pub(crate) depfile: Depfile,
}

/// Where the compiler tells what it has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Depfile {
    /// Nowhere, unless it is asked to ([`with_depfile`]).
    #[default]
    None,
    /// In this file, as the command line has it.
    Named(OsString),
    /// Nowhere: it reads nothing but its source. Assembler and preprocessed sources.
    Needless,
}

/// The command line of a compilation that also makes the compiler write a depfile. The options for
/// that stand at its end: [`parse`] has seen that no option before them still waits for a value.
pub(crate) fn with_depfile(argv: &[OsString], depfile: &Path) -> Vec<OsString> {
    [argv, &["-MD".into(), "-MF".into(), depfile.into()]].concat()
}

/// Understands a command line, from the compiler's name on. `read` gives the content of response
/// files.
pub(crate) fn parse(
    argv: &[OsString],
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Parsed {
    match compilation(argv, read) {
        Ok(compile) => Parsed::Compile(compile),
        Err(reason) => Parsed::PassThrough(reason),
    }
}

fn compilation(
    argv: &[OsString],
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<Compile, String> {
    let (program, words) = argv.split_first().ok_or("no command")?;
    if !is_compiler(program) {
        return Err(format!("{} is not known as a compiler", program.display()));
    }
    let mut inputs = Vec::new();
    let words = response::expand(words, read, &mut inputs)?;
    let mut command = Command::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        command.word(word, &mut words)?;
    }
    command.finish(inputs)
}

/// Whether a program is gcc or clang by its name, which may tell a target and a version:
/// `aarch64-linux-gnu-g++-12`.
fn is_compiler(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default().as_bytes();
    let name = match name.iter().rposition(|byte| *byte == b'-') {
        Some(at) if name[at + 1..].iter().all(|b| b.is_ascii_digit() || *b == b'.') => &name[..at],
        _ => name,
    };
    let name = name.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    matches!(name, b"gcc" | b"g++" | b"cc" | b"c++" | b"clang" | b"clang++" | b"c99" | b"c89")
}

/// What a source is written in, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// Goes through the preprocessor.
    Preprocessed,
    /// Does not.
    Plain,
}

impl Language {
    /// What `-x` says: none when that is to go by the name again.
    fn named(name: &[u8]) -> Result<Option<Language>, String> {
        Ok(Some(match name {
            b"none" => return Ok(None),
            b"c" | b"c++" | b"objective-c" | b"objective-c++" | b"assembler-with-cpp" => {
                Language::Preprocessed
            }
            b"cpp-output" | b"c++-cpp-output" | b"assembler" => Language::Plain,
            other => return Err(format!("the language {}", shown(other))),
        }))
    }

    /// What the name of a file says.
    fn of(file: &OsStr) -> Result<Language, String> {
        match Path::new(file).extension().unwrap_or_default().as_bytes() {
            b"c" | b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" | b"C" | b"m" | b"mm"
            | b"M" | b"S" | b"sx" => Ok(Language::Preprocessed),
            b"i" | b"ii" | b"s" => Ok(Language::Plain),
            b"h" | b"hh" | b"hpp" | b"hxx" | b"H" | b"hp" | b"HPP" | b"h++" | b"tcc" => {
                Err("a precompiled header is made".to_owned())
            }
            _ => Err(format!("{} is not known as a source", file.display())),
        }
    }
}

/// A command line, as far as it was read.
#[derive(Debug, Default)]
struct Command {
    source: Option<(OsString, Language)>,
    /// What is wrong with a name that is no option. It may be an object, when it links.
    stranger: Option<String>,
    language: Option<Language>,
    output: Option<OsString>,
    object: bool,
    assembler: bool,
    depfile: bool,
    depfile_name: Option<OsString>,
    /// Said with `-Wp,-MD,FILE`.
    preprocessor_depfile: Option<OsString>,
    fragment: Option<OsString>,
    split: bool,
    debug: bool,
    less_debug: bool,
    coverage: bool,
    stack_usage: bool,
}

impl Command {
    /// Takes one word, and from `rest` its value where that stands apart.
    fn word(
        &mut self,
        word: OsString,
        rest: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") {
            return self.source(word);
        }
        let (meaning, joined) = meaning(bytes);
        let joined = joined.map(|value| OsStr::from_bytes(value).to_owned());
        let mut value = || {
            joined
                .clone()
                .or_else(|| rest.next())
                .ok_or(format!("{} without value", word.display()))
        };
        let set = |to: &mut Option<OsString>, value| match to.replace(value) {
            None => Ok(()),
            Some(_) => Err(format!("{} twice", shown(bytes))),
        };
        match meaning {
            Meaning::Plain => {}
            Meaning::Value => drop(value()?),
            Meaning::Object => self.object = true,
            Meaning::Assembler => self.assembler = true,
            Meaning::Output => set(&mut self.output, value()?)?,
            Meaning::Language => self.language = Language::named(value()?.as_bytes())?,
            Meaning::Depfile => self.depfile = true,
            Meaning::DepfileName => set(&mut self.depfile_name, value()?)?,
            Meaning::Fragment => set(&mut self.fragment, value()?)?,
            Meaning::DebugInfo => self.debug = true,
            Meaning::LessDebugInfo => self.less_debug = true,
            Meaning::Split => self.split = true,
            Meaning::Coverage => self.coverage = true,
            Meaning::StackUsage => self.stack_usage = true,
            Meaning::ToPreprocessor => self.preprocessor(value()?.as_bytes())?,
            Meaning::ToAssembler => options::assembler(value()?.as_bytes())?,
            Meaning::ToClang => options::clang(value()?.as_bytes())?,
            Meaning::Other(reason) => return Err(reason.to_owned()),
            Meaning::Unknown => return Err(format!("{} is not known", shown(bytes))),
        }
        Ok(())
    }

    fn source(&mut self, word: OsString) -> Result<(), String> {
        let language = match self.language {
            Some(language) => language,
            None => match Language::of(&word) {
                Ok(language) => language,
                Err(what) => {
                    self.stranger.get_or_insert(what);
                    return Ok(());
                }
            },
        };
        match self.source.replace((word, language)) {
            None => Ok(()),
            Some(_) => Err("several sources".to_owned()),
        }
    }

    /// Takes options that are for the preprocessor, joined by commas.
    fn preprocessor(&mut self, list: &[u8]) -> Result<(), String> {
        let mut options = list.split(|byte| *byte == b',');
        while let Some(option) = options.next() {
            match option {
                b"-MD" | b"-MMD" => {
                    let name = options.next().ok_or("-Wp,-MD without file")?;
                    if self.preprocessor_depfile.is_some() {
                        return Err("-Wp,-MD twice".to_owned());
                    }
                    self.preprocessor_depfile = Some(OsStr::from_bytes(name).to_owned());
                }
                b"-MT" | b"-MQ" | b"-D" | b"-U" | b"-I" => drop(options.next()),
                b"-MP" => {}
                _ if [&b"-D"[..], b"-U", b"-I", b"-W", b"-f"]
                    .iter()
                    .any(|p| option.starts_with(p)) => {}
                _ => return Err(format!("-Wp,{} is not known", shown(option))),
            }
        }
        Ok(())
    }

    fn finish(self, mut inputs: Vec<OsString>) -> Result<Compile, String> {
        let files = self.source.is_some() || self.stranger.is_some();
        if files && self.object == self.assembler {
            return Err(match self.object {
                true => "both -c and -S".to_owned(),
                false => "it links".to_owned(),
            });
        }
        if let Some(what) = self.stranger {
            return Err(what);
        }
        let (source, language) = self.source.ok_or("no source")?;
        let suffix = if self.object { "o" } else { "s" };
        let main = match self.output {
            Some(output) => output,
            // Into the current directory, wherever the source is.
            None => beside(Path::new(&source).file_name().unwrap_or_default(), suffix)?,
        };
        let names = [Some(&main), self.depfile_name.as_ref(), self.preprocessor_depfile.as_ref()];
        for name in names.into_iter().flatten() {
            let directory = name.is_empty() || name.as_bytes().ends_with(b"/");
            if directory || name == "-" || Path::new(name).starts_with("/dev") {
                return Err("an output that is no file".to_owned());
            }
        }
        let mut outputs = vec![main.clone()];
        if self.split {
            // With some versions of gcc and clang it implies -g, with others not.
            if !self.debug || self.less_debug || !self.object {
                return Err("-gsplit-dwarf without a clear -g, or without -c".to_owned());
            }
            outputs.push(beside(&main, "dwo")?);
        }
        if self.coverage {
            outputs.push(beside(&main, "gcno")?);
        }
        if self.stack_usage {
            outputs.push(beside(&main, "su")?);
        }
        outputs.extend(self.fragment);
        let named = match (self.depfile, self.depfile_name, self.preprocessor_depfile) {
            (true, Some(name), None) => Some(name),
            (true, None, None) => Some(beside(&main, "d")?),
            (false, None, other) => other,
            _ => return Err("its depfile is not clear".to_owned()),
        };
        let depfile = match (named, language) {
            (Some(name), Language::Preprocessed) => Depfile::Named(name),
            (None, Language::Preprocessed) => Depfile::None,
            (None, Language::Plain) => Depfile::Needless,
            // gcc writes none then, and clang does.
            (Some(_), Language::Plain) => return Err("a depfile without preprocessor".to_owned()),
        };
        inputs.insert(0, source);
        Ok(Compile { inputs, outputs, depfile })
    }
}

/// The name of a file with another suffix: how the compilers name what they make beside an object.
fn beside(name: &OsStr, suffix: &str) -> Result<OsString, String> {
    let mut path = PathBuf::from(name);
    let hidden = path.file_name().is_none_or(|name| name.as_bytes().starts_with(b"."));
    if hidden && path.extension().is_none() {
        return Err(format!("{} has no name before its suffix", name.display()));
    }
    path.set_extension(suffix);
    Ok(path.into_os_string())
}

fn shown(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).display().to_string()
}

#[cfg(test)]
mod tests;
