//! GNU make, and CMake's and automake's makefiles.
//!
//! make itself tells which target each of its children works for: it exports a variable that it
//! expands for every recipe ([`MARK`]). What it knows of the targets it prints afterwards, asked
//! with a shell that executes no recipe ([`query`]).

mod assign;
mod cmake;
mod confirm;
mod database;
mod depfiles;
mod description;
mod flags;
mod history;
mod load;
mod names;
mod places;
mod query;
mod recipes;
mod rules;
#[cfg(test)]
mod tests;

use super::{Adapter, Assign, Context, UpToDate};
use crate::error::Error;
use airtight_policy::build::{Graph, RunId};
use airtight_recording::{Image, Recording};
use std::ffi::{OsStr, OsString};

/// The variable that names the target a process works for: `LEVEL:MEMBER:TARGET`, with make's
/// `MAKELEVEL`, and a member if the target is an archive.
const MARK: &str = "AIRTIGHT_TARGET";
/// How deep make is within makes.
const LEVEL: &str = "MAKELEVEL";

/// What makes make export [`MARK`]. `GNUMAKEFLAGS` is read by the first make alone; it hands
/// the words down in `MAKEFLAGS`, where makefiles look for letters: the words beside `--eval=…`
/// must have no small ones.
const FLAGS: &str = "--eval=export\\ AIRTIGHT_TARGET=$$(MAKELEVEL):$$%:$$@";

/// A target that never exists. Asked for its data base, make is given a rule for it, so that it
/// tells which environment its recipes have.
const PROBE: &str = ".airtight-environment";

/// GNU make.
pub(crate) struct Make;

impl Adapter for Make {
    fn name(&self) -> &'static str {
        "make"
    }

    fn environment(&self, own: &dyn Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        let own = own("GNUMAKEFLAGS").unwrap_or_default();
        let bytes = own.as_encoded_bytes();
        // The first word may be letters without a dash, and then has to stay the first. Behind
        // `--` there are only variables.
        let first = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
        let letters = !first.is_empty() && !first.starts_with(b"-") && !first.contains(&b'=');
        let ours = OsString::from(FLAGS);
        let words = if letters { [own, ours] } else { [ours, own] };
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        vec![("GNUMAKEFLAGS".into(), words.join(OsStr::new(" ")))]
    }

    fn marks(&self) -> &'static [&'static str] {
        &[MARK, LEVEL, "MAKEFLAGS", "GNUMAKEFLAGS"]
    }

    fn is_run(&self, recording: &Recording, image: &Image) -> bool {
        if !is_make(recording.path(image.exe)) {
            return false;
        }
        let call = flags::Call::parse(image.argv.get(1..).unwrap_or_default());
        !call.informs && !call.makefiles.iter().any(|name| is_of_compiler(name))
    }

    fn load(
        &self,
        recording: &Recording,
        runs: &[RunId],
        graph: &mut Graph,
        context: &Context<'_>,
    ) -> Result<Box<dyn Assign>, Error> {
        load::load(recording, runs, graph, context)
    }

    fn up_to_date(
        &self,
        recording: &Recording,
        graph: &Graph,
        run: RunId,
        target: &[u8],
    ) -> Result<UpToDate, Error> {
        confirm::up_to_date(recording, graph, run, target)
    }
}

/// Whether a makefile is one that gcc writes to optimise at link time on several processors: a
/// temporary `ccXXXXXX.mk`, gone at once. That make is a part of the link.
fn is_of_compiler(makefile: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let name = makefile.rsplit(|&byte| byte == b'/').next().unwrap_or(makefile);
    let middle = name.strip_prefix(b"cc").and_then(|rest| rest.strip_suffix(b".mk"));
    makefile.starts_with(b"/")
        && middle.is_some_and(|middle| middle.len() == 6)
        && !std::path::Path::new(OsStr::from_bytes(makefile)).exists()
}

/// Whether a program is make by its name: `make`, `gmake`, `gnumake`, `remake`, with a version.
fn is_make(exe: &[u8]) -> bool {
    let name = exe.rsplit(|&byte| byte == b'/').next().unwrap_or(exe);
    // As wrappers of Nix call the real program.
    let name = name.strip_suffix(b"-wrapped").unwrap_or(name);
    let name = name.strip_prefix(b".").unwrap_or(name);
    let prefixes: [&[u8]; 4] = [b"make", b"gmake", b"gnumake", b"remake"];
    prefixes.iter().any(|prefix| {
        let version = |rest: &[u8]| rest.iter().all(|byte| b"-.0123456789".contains(byte));
        name.strip_prefix(*prefix).is_some_and(version)
    })
}
