//! `airtight explain`

use super::audit::DEFAULT_FILE;
use super::keyed::Keyed;
use crate::action::Declared;
use crate::audit::{self, Again, GraphFrom, Saved};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Status;
use crate::printer::{DIM, Printer, STRONG};
use crate::recorder::Format;
use crate::report::{deed, times};
use airtight_policy::{Rule, absolute};
use airtight_recording::{Access, Index, Kind, PathId, ProcessId, Recording};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Explain a rule or a finding, or tell who touched a file
///
/// A rule (`R001`, `undeclared-source-read`) or the id of a finding (`R001-1a2b3c4d`) gives the
/// text of the rule. Anything else is a path: the recording tells which processes touched it,
/// through which chain of programs, and, where the path was written, from which files. An audit
/// also knows targets: what each is said to depend on and what it was found to depend on, who makes
/// a file, who reads it, and which declaration is missing where.
///
/// With --why-miss, an action that is declared as for `airtight run` is compared with the nearest
/// one that was published from the local store, and what has changed is told: arguments, variables,
/// inputs, and what else the action depended on. Nothing is run, and no remote is asked. Ends with
/// 0 when it is a hit, and with 1 when it is a miss.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight explain R001
  airtight explain include/config.h
  airtight explain --recording build.trace build/a.o
  airtight audit -- make; airtight explain build/a.o
  airtight explain --why-miss --in a.c --out a.o -- cc -c a.c
  airtight explain --why-miss --cc -- gcc -c a.c -o a.o")]
pub(crate) struct Args {
    /// A rule, a finding, or a path
    #[arg(
        required_unless_present = "why_miss",
        conflicts_with_all = ["why_miss", "argv", "Keyed", "Declared", "Judging"]
    )]
    what: Option<OsString>,
    /// The recording or the audit to look into [default: the newer of airtight-audit.bin and
    /// airtight-trace.bin]
    #[arg(short, long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Tell why the result of an action is not in the local store
    #[arg(long, conflicts_with = "recording")]
    why_miss: bool,
    #[command(flatten)]
    keyed: Keyed,
}

pub(crate) fn run(args: &Args, printer: &Printer) -> Result<Status, Error> {
    let Some(what) = &args.what else { return super::why::run(&args.keyed, printer) };
    let text = match what.to_str().and_then(rule) {
        Some(rule) => rule.doc().markdown(),
        None => {
            let file = args.recording.clone().unwrap_or_else(newest);
            // A mistyped rule is more likely than a file of that name.
            let near = what.to_str().filter(|what| !what.contains(['/', '.']));
            if let Some(near) = near.and_then(Rule::nearest)
                && !file.exists()
            {
                return Err(Error::Plain {
                    message: format!("no rule is called `{}`", what.display()),
                    hints: vec![format!("did you mean `{near}`?")],
                });
            }
            match audit::open(&file)? {
                Some(saved) => explain_audit(what, saved, &file, printer)?,
                None => {
                    let recording = super::read_recording(&file)?;
                    let story = Story::new(&recording, printer.unicode());
                    story.tell(find(&recording, what.as_bytes())?)
                }
            }
        }
    };
    printer.data(text).map_err(Error::Stdout)?;
    Ok(Status::Success)
}

/// The newer of the files that are written where none is named.
fn newest() -> PathBuf {
    let names = [Format::Binary.default_name(), DEFAULT_FILE].map(PathBuf::from);
    let time = |path: &PathBuf| path.metadata().and_then(|found| found.modified()).ok();
    let [trace, audit] = names;
    if time(&audit) > time(&trace) { audit } else { trace }
}

/// Tells about a target or a file of a whole build, by the graph as it was.
fn explain_audit(
    what: &OsStr,
    saved: Saved,
    file: &Path,
    printer: &Printer,
) -> Result<String, Error> {
    let config = Config::load(Vec::new(), None)?;
    printer.configure(config.color);
    let from = GraphFrom { saved_graph: saved.head.loaded, trust: false };
    let none = Declared::default();
    let again = Again::new(saved, file, &none, from, config, printer)?;
    let verdict = again.judge(false, None)?;
    let here = std::env::current_dir().unwrap_or_default().into_os_string().into_vec();
    let story = audit::Story::new(&again.recording, &again.build, &verdict, printer.unicode());
    story.tell(what.as_bytes(), &here)
}

/// The rule of that name, or that of a finding of that id.
fn rule(what: &str) -> Option<Rule> {
    Rule::find(what).or_else(|| what.split_once('-').and_then(|(rule, _)| Rule::find(rule)))
}

/// The number of a path given as a person would: relative to where the command ran, or to here.
fn find(recording: &Recording, what: &[u8]) -> Result<PathId, Error> {
    let here = std::env::current_dir().unwrap_or_default().into_os_string().into_vec();
    [&recording.header.cwd, &here]
        .into_iter()
        .find_map(|base| recording.paths.find(&absolute(base, what)))
        .filter(|path| recording.accesses.iter().any(|access| access.path == *path))
        .ok_or_else(|| {
            let name = what.rsplit(|&b| b == b'/').next().unwrap_or(what);
            let same: BTreeSet<&[u8]> = recording
                .accesses
                .iter()
                .filter(|access| access.exists())
                .map(|access| recording.path(access.path))
                .filter(|path| path.rsplit(|&b| b == b'/').next() == Some(name))
                .take(3)
                .collect();
            Error::Plain {
                message: format!("{}: not touched in this recording", super::shown(what)),
                hints: same
                    .into_iter()
                    .map(|path| format!("did you mean `{}`?", super::shown(path)))
                    .collect(),
            }
        })
}

/// Tells about the files of one recording.
struct Story<'a> {
    recording: &'a Recording,
    index: Index<'a>,
    unicode: bool,
}

impl<'a> Story<'a> {
    fn new(recording: &'a Recording, unicode: bool) -> Story<'a> {
        Story { recording, index: Index::new(recording), unicode }
    }

    fn tell(&self, path: PathId) -> String {
        let mut text = format!("{STRONG}{}{STRONG:#}\n", super::shown(self.recording.path(path)));
        for access in self.index.of(path) {
            let call = match self.recording.syscall(access.syscall) {
                "" => "the kernel",
                call => call,
            };
            let outcome = match access.errno {
                0 => String::new(),
                errno => format!(" = {}", super::errno(errno)),
            };
            let _ = writeln!(
                text,
                "  {DIM}{:<11}{DIM:#} {}   {call}{outcome}, {}",
                deed(Some(access.kind)),
                self.chain(access),
                times(access.count.into())
            );
        }
        let sources = self.sources(path);
        if !sources.is_empty() {
            let _ = writeln!(text, "{STRONG}made from{STRONG:#}");
            // The files of the project first: they are what people ask for.
            let home = &self.recording.header.cwd;
            let mut lines: Vec<(bool, &[u8], &Access)> = sources
                .into_iter()
                .map(|(path, access)| (self.recording.path(path), access))
                .map(|(path, access)| (!path.starts_with(home), path, access))
                .collect();
            lines.sort_by_key(|&(elsewhere, path, _)| (elsewhere, path));
            for (_, path, access) in lines {
                let name = super::shown(path);
                let _ = writeln!(text, "  {name}  {DIM}{}{DIM:#}", self.chain(access));
            }
        }
        text
    }

    /// The processes that led to an access, the nearest first.
    fn chain(&self, access: &Access) -> String {
        audit::chain_at(self.recording, access.process, access.first, self.unicode)
    }

    /// The files that were read on the way to `output`: by the processes that wrote it, and,
    /// where those read what others of the tree had written, by these in turn.
    fn sources(&self, output: PathId) -> BTreeMap<PathId, &'a Access> {
        let mut reads: BTreeMap<ProcessId, Vec<&'a Access>> = BTreeMap::new();
        for access in &self.recording.accesses {
            if access.kind == Kind::Read && access.errno == 0 {
                reads.entry(access.process).or_default().push(access);
            }
        }
        let mut sources = BTreeMap::new();
        let mut seen = BTreeSet::from([output]);
        let mut open = vec![(output, u64::MAX)];
        while let Some((path, before)) = open.pop() {
            for write in self.writes(path).filter(|write| write.first < before) {
                // A file is open for writing long before what goes into it is read.
                for &read in reads.get(&write.process).into_iter().flatten() {
                    if !seen.insert(read.path) {
                        continue;
                    }
                    if self.writes(read.path).any(|other| other.first < read.first) {
                        open.push((read.path, read.first));
                    } else {
                        sources.insert(read.path, read);
                    }
                }
            }
        }
        sources
    }

    fn writes(&self, path: PathId) -> impl Iterator<Item = &'a Access> {
        self.index.of(path).filter(|access| access.kind == Kind::Write && access.errno == 0)
    }
}
