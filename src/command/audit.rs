//! `airtight audit`

use super::also::Also;
use super::beside::Beside;
use super::judging::Judging;
use super::telling::{Reports, Stream};
use crate::action::Declared;
use crate::audit::{self, Asked, Choice, Head, Progress, file};
use crate::baseline::Known;
use crate::config::{Backend, Config, Format, Layer, OnUntraceable, flag, parse_duration};
use crate::error::Error;
use crate::exit::Status;
use crate::nested;
use crate::output::Output;
use crate::printer::{DIM, Printer};
use crate::report::{Look, Report};
use crate::untraced;
use airtight_policy::Rule;
use airtight_tracer as tracer;
use clap::ValueEnum;
use std::ffi::OsString;
use std::io::BufWriter;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

/// The file that an audit is saved in where none is named.
pub(crate) const DEFAULT_FILE: &str = "airtight-audit.bin";

/// Run a whole build and tell what its actions did beside what its description says
///
/// The build runs as it is: with its own streams, environment and exit code, and no file of it is
/// changed. Every access of its processes is led back to an action of the build's own graph, which
/// is read from the makefiles or build.ninja after the build. Told are dependencies that the
/// description lacks, races, files that two actions write, and what is written where it should not
/// be; processes that can't be led back to an action are counted and listed.
///
/// The report goes to standard error, and in further forms to files. When the build succeeds, 120
/// means findings and 121 an incomplete recording; when it fails, its own exit code or signal is
/// passed on. 124 is the time limit, 125 a failure of Airtight itself, 126 and 127 a command that
/// can't be executed or found.
///
/// The file of the audit lets `airtight check` judge again in seconds, with another policy or
/// after the build description was mended, and `airtight explain` tell about files and targets.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airtight audit -- make -j8
  airtight audit --report sarif=audit.sarif -- cmake --build build
  airtight audit -- sh -c 'meson setup build && ninja -C build'
  airtight audit --adapter none --spec action.json -- ./generate.sh")]
pub(crate) struct Args {
    /// Where to save the audit
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    output: PathBuf,
    #[command(flatten)]
    reports: Reports,
    #[command(flatten)]
    known: Known,
    /// Which build tools to look for
    #[arg(long, value_enum, default_value_t)]
    adapter: Choice,
    /// Tell declared inputs that no action read (U001)
    #[arg(long)]
    unused_inputs: bool,
    /// Prove stale dependencies: make the file newer for a moment, and ask the build tool whether
    /// it would rebuild what reads it
    #[arg(long)]
    confirm: bool,
    /// Who observes
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    #[command(flatten)]
    also: Also,
    /// Kill the build after this time: 90s, 5m, 1h or none
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Let io_uring be used; the recording is then incomplete
    #[arg(long)]
    allow_io_uring: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    argv: Vec<OsString>,
    #[command(flatten)]
    declared: Declared,
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    judging: Judging,
}

impl Args {
    fn layers(&self) -> Result<Vec<Layer>, Error> {
        let mut layers = self.judging.layers()?;
        if let Some(backend) = self.backend.and_then(|backend| backend.to_possible_value()) {
            layers.push(flag("--backend", "run.backend", backend.get_name()));
        }
        if let Some(time) = &self.timeout {
            parse_duration(time).map_err(|what| Error::plain(format!("--timeout: {what}")))?;
            layers.push(flag("--timeout", "run.timeout", time));
        }
        if self.allow_io_uring {
            layers.push(flag("--allow-io-uring", "policy.unsafe-allow-io-uring", "true"));
        }
        layers.extend(self.beside.layers());
        Ok(layers)
    }

    fn asked(&self) -> Result<Asked, Error> {
        let given = self.declared != Declared::default();
        if given && self.adapter != Choice::None {
            return Err(Error::Plain {
                message: "a declaration is for one action, and an audit is of a whole build".into(),
                hints: vec!["`--adapter none` takes the command as one action".to_owned()],
            });
        }
        Ok(Asked { adapter: self.adapter, declared: given.then(|| self.declared.clone()) })
    }
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Status, Error> {
    let asked = args.asked()?;
    let config = Config::load(args.layers()?, args.declared.directory())?;
    printer.configure(config.color);
    refuse_enforcement(&config)?;
    // Before the build, so that hours of work are not lost to a mistyped name.
    let mut output = Output::create(&args.output)?;
    args.reports.check()?;
    let baseline = args.known.load(&config)?;
    let adapters = asked.adapter.adapters();
    let own = |name: &str| std::env::var_os(name);
    let added: Vec<_> = adapters.iter().flat_map(|adapter| adapter.environment(&own)).collect();
    let kept = std::env::vars_os().filter(|(name, _)| added.iter().all(|(new, _)| new != name));
    let env = kept.chain(added.iter().cloned()).collect();
    let command =
        tracer::Command { argv: args.argv, env: Some(env), cwd: None, stdio: Default::default() };
    let mut marks: Vec<String> = adapters
        .iter()
        .flat_map(|adapter| adapter.marks())
        .map(|name| (*name).to_owned())
        .collect();
    marks.sort();
    marks.dedup();
    let witness = config.witness(tracer::Witness::Auto);
    let options = tracer::Options {
        backend: config.backend,
        also: args.also.resolve(config.backend)?,
        witness,
        timeout: config.timeout,
        grace: config.grace,
        survivors: config.policy.survivors.clone(),
        allow_io_uring: config.policy.unsafe_allow_io_uring,
        marks,
        ..tracer::Options::default()
    };
    tracer::check_witness(witness)?;
    let mut progress = Progress::new(printer, &adapters);
    let ran = nested::run(&command, options, &mut progress);
    let ended = Instant::now();
    progress.clear();
    let ran = match ran {
        Err(Error::Tracer(tracer::Error::Forbidden { what, remedy }))
            if config.on_untraceable == OnUntraceable::Uncacheable =>
        {
            printer.warning(&format!(
                "the build runs untraced and unjudged: {what}\n  remedy: {remedy}"
            ));
            return untraced::run(&command);
        }
        ran => ran?,
    };
    let (ran, airtights) = ran;
    let workspace = config.workspace.as_os_str().as_bytes();
    nested::disown(&mut progress.recording, &airtights, workspace, &config);
    progress.phase("reading the build's graph");
    let build = audit::attribute(&progress.recording, &asked, &config, printer);
    progress.clear();
    let mut head = Head {
        airtight: env!("CARGO_PKG_VERSION").to_owned(),
        asked: serde_json::to_value(&asked).unwrap_or_default(),
        loaded: build.is_ok(),
        build: audit::command_alone(&progress.recording, &config),
    };
    let mut interrupted = None;
    let verdict = build.and_then(|build| {
        head.build = build;
        progress.phase("judging");
        let mut verdict = audit::judge(
            &progress.recording,
            &head.build,
            &asked,
            &config,
            args.unused_inputs,
            baseline.as_ref(),
        );
        progress.clear();
        if let (true, Ok(verdict)) = (args.confirm, &mut verdict) {
            let recording = &progress.recording;
            interrupted = audit::confirm(verdict, recording, &head.build, &adapters, printer)?;
        }
        verdict
    });
    let told = verdict.and_then(|verdict| {
        let look = Look::of(&config, printer);
        let report = Report::build(&verdict, &head.build, look).of(&progress.recording);
        args.reports.tell(&report, &config, printer, Stream::Error)?;
        Ok(verdict)
    });
    let told_after = ended.elapsed();
    progress.phase("saving the audit");
    let saved = file::write(&head, &progress.recording, BufWriter::new(output.file()))
        .map_err(Error::file(&args.output, "can't write"))
        .and_then(|()| output.commit());
    progress.clear();
    if saved.is_ok()
        && let Err(error) = audit::origin::remember(&args.output)
    {
        printer.warning(&format!(
            "can't remember that {} was written here ({error}): `airtight check` will need --trust",
            args.output.display()
        ));
    }
    if told.is_ok() && saved.is_ok() && config.format == Format::Human {
        printer.tell(format!(
            "{DIM}told {:.1} s after the build; `airtight check {}` judges it again{DIM:#}\n\
             {DIM}{}{DIM:#}\n",
            told_after.as_secs_f64(),
            args.output.display(),
            witnessing(witness, &ran)
        ));
    }
    let status = match ran.timed_out {
        true => Status::TimedOut,
        false => Status::of(ran.exit),
    };
    if ran.timed_out {
        let limit = config.timeout.unwrap_or_default();
        printer.error(&format!("stopped after {limit:?}, the time limit"), &[]);
    }
    // Also after an error of ours the build's own failure is what its caller should see.
    for error in [told.as_ref().err(), saved.as_ref().err()].into_iter().flatten() {
        if status != Status::Success {
            printer.error(&error.to_string(), &error.hints());
        }
    }
    if status != Status::Success {
        return Ok(status);
    }
    let verdict = told?;
    saved?;
    if let Some(signal) = interrupted {
        return Ok(Status::Signal(signal));
    }
    Ok(audit::outcome(&verdict).status(ran.exit))
}

/// Says whether the kernel was asked beside the tracer.
fn witnessing(wanted: tracer::Witness, ran: &tracer::Outcome) -> String {
    match &ran.unwitnessed {
        _ if wanted == tracer::Witness::Off => "no witness, as asked for".to_owned(),
        Some(why) => format!("no witness: {why}"),
        None if ran.unwatched.is_empty() => "witnessed by fanotify".to_owned(),
        None => format!("witnessed by fanotify, but for {}", ran.unwatched.join(", ")),
    }
}

/// An audit looks on: whose access it is, and what is declared, is known only afterwards.
fn refuse_enforcement(config: &Config) -> Result<(), Error> {
    let policy = &config.policy;
    let enforced = Rule::all().map(|doc| doc.rule).find(|&rule| {
        policy.reaction(rule, policy.severity(rule)) > airtight_policy::Reaction::Fail
    });
    let Some(rule) = enforced else { return Ok(()) };
    let reaction = super::word(policy.reaction(rule, policy.severity(rule)));
    Err(Error::Plain {
        message: format!(
            "an audit can't {reaction} anything ({rule}): whose access it is shows only afterwards"
        ),
        hints: vec![format!("`--reaction {rule}=fail` for this audit; record and warn go too")],
    })
}
