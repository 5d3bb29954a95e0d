//! What Airtight knows of build systems: how each one's graph is learned, and how a traced process
//! is led back to an action of that graph.
//!
//! A build may run several tools within one another (a script that calls cmake, which calls ninja,
//! one of whose actions calls make), so every process that is a build tool gets a [`Run`] and its
//! adapter; `attribute.rs` puts it all together.

mod attribute;
pub(crate) mod cmake;
mod files;
mod make;
pub(crate) mod meson;
mod ninja;

pub(crate) use attribute::{COMMAND, attribute, command_alone};

use crate::error::Error;
use airtight_policy::build::{Graph, Owner, RunId};
use airtight_recording::{Image, PathId, ProcessId, Recording};
use std::ffi::OsString;

/// One build system.
pub(crate) trait Adapter {
    /// Its name, as `--adapter` takes it and [`Run::tool`](airtight_policy::build::Run) has it.
    fn name(&self) -> &'static str;

    /// The variables that the traced command gets beside (or in place of) its own, so that its
    /// processes can be attributed. `own` tells what the caller has.
    fn environment(&self, own: &dyn Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
        let _ = own;
        Vec::new()
    }

    /// The names of variables whose values the tracer is to note at every exec
    /// ([`Image::env`]).
    fn marks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a process that became `image` is this tool and runs actions: not `make --version`,
    /// not `ninja -t query`.
    fn is_run(&self, recording: &Recording, image: &Image) -> bool;

    /// Adds the actions of these runs to `graph`, from the build description as it is on disk now.
    /// Several runs may share a description.
    ///
    /// # Errors
    /// When the description can't be read: names the file, the line, and the way out.
    fn load(
        &self,
        recording: &Recording,
        runs: &[RunId],
        graph: &mut Graph,
        context: &Context<'_>,
    ) -> Result<Box<dyn Assign>, Error>;

    /// Asks the tool whether it would leave `target` (absolute) as it is, were it run again as it
    /// was in `run`. Nothing is built, and no file changes.
    ///
    /// # Errors
    /// When the tool can't be asked or does not know the target.
    fn up_to_date(
        &self,
        recording: &Recording,
        graph: &Graph,
        run: RunId,
        target: &[u8],
    ) -> Result<UpToDate, Error> {
        let _ = (recording, graph, run, target);
        Err(Error::plain(format!("{} can't be asked", self.name())))
    }
}

/// What a build tool says of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpToDate {
    /// Whether it would leave it as it is.
    pub(crate) yes: bool,
    /// What it was asked with, for people: `ninja -n a.o`.
    pub(crate) command: String,
}

/// What an adapter may know of the place.
pub(crate) struct Context<'a> {
    /// The root of the workspace: absolute, canonical.
    pub(crate) workspace: &'a [u8],
    /// Tells people what they should know and that is no error.
    pub(crate) warn: &'a dyn Fn(String),
}

/// A loaded graph that can lead processes back to its actions.
pub(crate) trait Assign {
    /// Whose work `child` does, a process that the tool itself started. None when it can't be
    /// told.
    fn assign(&self, graph: &Graph, child: &Child<'_>) -> Option<Owner>;
}

/// A process that a build tool started.
pub(crate) struct Child<'a> {
    /// The recording it is from.
    pub(crate) recording: &'a Recording,
    /// Which run of the tool started it.
    pub(crate) run: RunId,
    /// Itself.
    pub(crate) process: ProcessId,
    /// What it executed first; none if it never executed anything.
    pub(crate) image: Option<&'a Image>,
    /// The paths that it and all processes below it wrote (numbers in the recording), in order of
    /// first write. Costs a search, so ask only where the command does not tell.
    pub(crate) written: &'a dyn Fn() -> Vec<PathId>,
}

/// All build systems that are known.
pub(crate) fn all() -> Vec<Box<dyn Adapter>> {
    vec![Box::new(make::Make), Box::new(ninja::Ninja)]
}
