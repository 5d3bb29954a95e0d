//! A saved audit, made ready to be judged again.

use super::{Asked, Choice, Saved, attribute, confirm, judge, origin};
use crate::action::Declared;
use crate::config::{Config, Origin};
use crate::error::Error;
use crate::printer::Printer;
use airtight_policy::baseline::Baseline;
use airtight_policy::build::{Build, BuildVerdict};
use airtight_recording::Recording;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where the graph of a saved audit comes from.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct GraphFrom {
    /// Judge an audit with the graph as it was, whatever the build files say now
    #[arg(long)]
    pub(crate) saved_graph: bool,
    /// Read the build files again also for an audit that was not written by you here: make and
    /// ninja are then run as its file says
    #[arg(long, conflicts_with = "saved_graph")]
    pub(crate) trust: bool,
}

/// A saved audit with the graph that it is to be judged by.
pub(crate) struct Again {
    /// What was seen.
    pub(crate) recording: Recording,
    /// The graph, as it was or as the build files have it now.
    pub(crate) build: Build,
    /// How to judge, with the workspace of the audit unless flags name another.
    pub(crate) config: Config,
    asked: Asked,
    /// Whether the build's tools may be run as the file says.
    trusted: bool,
}

impl Again {
    /// Makes ready what was read from `path`. `declared` is what the flags now say of the command
    /// alone. Of a file from elsewhere that is not trusted, the saved graph is taken.
    ///
    /// # Errors
    /// When the flags don't fit the audit, or no graph can be had.
    pub(crate) fn new(
        saved: Saved,
        path: &Path,
        declared: &Declared,
        from: GraphFrom,
        mut config: Config,
        printer: &Printer,
    ) -> Result<Again, Error> {
        let Saved { head, recording } = saved;
        // All paths in the recording are those of the workspace it was made in.
        if !config.layers.iter().any(|layer| layer.origin == Origin::Flag("--workspace")) {
            config.workspace = PathBuf::from(OsString::from_vec(head.build.workspace.clone()));
        }
        let mut asked = Asked::of(&head, path)?;
        if *declared != Declared::default() {
            if asked.adapter != Choice::None {
                let message = "a declaration is for one action, and this is a whole build";
                return Err(Error::plain(message));
            }
            asked.declared = Some(declared.clone());
        }
        // Without an adapter no tool is run.
        let trusted = from.trust || asked.adapter == Choice::None || origin::is_ours(path);
        if !trusted && !from.saved_graph && head.loaded {
            printer.warning(&format!(
                "{}: not written by you here, so neither make nor ninja is run for it: judged \
                 with the graph that it holds (--trust reads the build files)",
                path.display()
            ));
        }
        let build = match (from.saved_graph || !trusted, head.loaded) {
            (true, true) => head.build,
            (true, false) if !trusted && !from.saved_graph => {
                return Err(Error::Plain {
                    message: format!(
                        "{}: not written by you here, and no graph is saved in it",
                        path.display()
                    ),
                    hints: vec![
                        "--trust reads the build files, for which it runs make and ninja"
                            .to_owned(),
                    ],
                });
            }
            (true, false) => {
                return Err(Error::Plain {
                    message: format!("{}: no graph is saved in it", path.display()),
                    hints: vec![
                        "it could not be read after the build; mend that and leave out \
                         --saved-graph"
                            .to_owned(),
                    ],
                });
            }
            (false, loaded) => {
                let home = head.build.home;
                let build = attribute(&recording, &asked, &config, printer);
                let mut build = build.map_err(|error| {
                    let mut hints = error.hints();
                    if loaded {
                        hints.push("`--saved-graph` judges with the graph as it was".to_owned());
                    }
                    Error::Plain { message: error.to_string(), hints }
                })?;
                build.home = home;
                build
            }
        };
        Ok(Again { recording, build, config, asked, trusted })
    }

    /// Judges it, without what `baseline` knows.
    ///
    /// # Errors
    /// As [`judge`].
    pub(crate) fn judge(
        &self,
        unused_inputs: bool,
        baseline: Option<&Baseline>,
    ) -> Result<BuildVerdict, Error> {
        let Again { recording, build, asked, config, .. } = self;
        judge(recording, build, asked, config, unused_inputs, baseline)
    }

    /// Tries to prove the stale dependencies in a verdict on it; see [`confirm`].
    ///
    /// # Errors
    /// When the file is not trusted, or signals can't be watched.
    pub(crate) fn confirm(
        &self,
        verdict: &mut BuildVerdict,
        printer: &Printer,
    ) -> Result<Option<i32>, Error> {
        if !self.trusted {
            return Err(Error::Plain {
                message: "--confirm runs make and ninja as the file of the audit says, and it was \
                          not written by you here"
                    .to_owned(),
                hints: vec!["--trust if you know where it is from".to_owned()],
            });
        }
        let adapters = self.asked.adapter.adapters();
        confirm(verdict, &self.recording, &self.build, &adapters, printer)
    }
}
