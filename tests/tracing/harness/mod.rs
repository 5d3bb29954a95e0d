//! Runs one program twice, untraced and under `airtight trace`, and compares.

mod build;
mod facts;
pub(crate) mod run;
mod world;

pub(crate) use build::program;
pub(crate) use facts::Trace;
pub(crate) use run::{Ended, Launch, is_root, left_behind};
pub(crate) use world::World;

use std::collections::BTreeSet;

/// A program to run and what is to be seen of it.
pub(crate) struct Case {
    setup: String,
    argv: Vec<String>,
    wrapper: Vec<String>,
    noted: Vec<String>,
    stdin: Vec<u8>,
    printed: Option<Vec<String>>,
    ends: Ended,
    ordinary: bool,
    incomplete: Option<&'static str>,
    left_open: bool,
    noisy: bool,
    exits_otherwise: bool,
    stays: bool,
    compare_files: bool,
}

impl Case {
    /// `argv[0]` is the name of a program of tests/programs (see [`program`]), or a path if it has
    /// a slash. `setup` is what [`World::new`] takes. `$T` stands for the world's directory.
    pub(crate) fn run<S: AsRef<str>>(setup: &str, argv: &[S]) -> Case {
        Case {
            setup: setup.to_owned(),
            argv: argv.iter().map(|a| a.as_ref().to_owned()).collect(),
            wrapper: Vec::new(),
            noted: Vec::new(),
            stdin: Vec::new(),
            printed: None,
            ends: Ended::Code(0),
            ordinary: false,
            incomplete: None,
            left_open: false,
            noisy: false,
            exits_otherwise: false,
            stays: false,
            compare_files: true,
        }
    }

    /// Makes system calls (see ops.c), each written `CALL ARGUMENTS = RESULT`; without a result
    /// the call must succeed.
    pub(crate) fn ops<S: AsRef<str>>(setup: &str, lines: &[S]) -> Case {
        Case::ops_by("ops", setup, lines)
    }

    /// The same with ops.c built for another ABI.
    pub(crate) fn ops_by<S: AsRef<str>>(program: &str, setup: &str, lines: &[S]) -> Case {
        let mut argv = vec![program.to_owned()];
        let mut printed = Vec::new();
        for line in lines.iter().map(AsRef::as_ref) {
            let (call, result) = line.split_once(" = ").unwrap_or((line, "ok"));
            argv.push(call.to_owned());
            let mut words = call.split(' ');
            let first = words.next().unwrap_or_default();
            let name = if first.ends_with(':') { words.next().unwrap_or_default() } else { first };
            if !matches!(name, "fork" | "exit" | "exec") || line.contains(" = ") {
                printed.push(format!("{name} = {result}"));
            }
        }
        Case { printed: Some(printed), ..Case::run(setup, &argv) }
    }

    /// The lines it must print, traced or not.
    pub(crate) fn prints(mut self, lines: &[&str]) -> Case {
        self.printed = Some(lines.iter().map(|&l| l.to_owned()).collect());
        self
    }

    /// How it ends, traced or not, if not by `exit(0)`.
    pub(crate) fn ends(mut self, how: Ended) -> Case {
        self.ends = how;
        self
    }

    /// What it reads from its standard input, which then ends.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Case {
        self.stdin = bytes.to_vec();
        self
    }

    /// Runs the whole, with airtight where it is traced, from within another program that ends in
    /// executing its arguments.
    pub(crate) fn within(mut self, wrapper: &[&str]) -> Case {
        self.wrapper = wrapper.iter().map(|&w| w.to_owned()).collect();
        self
    }

    /// The variables to note of each program.
    pub(crate) fn notes_env(mut self, names: &[&str]) -> Case {
        self.noted = names.iter().map(|&name| format!("--note-env={name}")).collect();
        self
    }

    /// Runs it as an ordinary user, also when the tests run as root.
    pub(crate) fn ordinary(mut self) -> Case {
        self.ordinary = true;
        self
    }

    /// The recording must be incomplete for this reason alone.
    pub(crate) fn incomplete(mut self, code: &'static str) -> Case {
        self.incomplete = Some(code);
        self
    }

    /// The traced program may print other things than the untraced one; a check of its own follows.
    pub(crate) fn prints_otherwise(mut self) -> Case {
        self.noisy = true;
        self
    }

    /// The traced program may end otherwise than the untraced one.
    pub(crate) fn exits_otherwise(mut self) -> Case {
        self.exits_otherwise = true;
        self
    }

    /// The recording may be complete or not; a check of its own follows.
    pub(crate) fn end_left_open(mut self) -> Case {
        self.left_open = true;
        self
    }

    /// Untraced, it leaves processes behind; traced, it must not.
    pub(crate) fn leaves_processes(mut self) -> Case {
        self.stays = true;
        self
    }

    /// What it leaves in the world may differ from run to run.
    pub(crate) fn files_vary(mut self) -> Case {
        self.compare_files = false;
        self
    }

    /// Runs it both ways; fails unless the facts under the world are exactly these. A fact is
    /// `read|write|delete|probe+|probe-|exec|list|link PATH`, the path relative to the world (`.`
    /// is the world itself), or absolute to demand a fact of elsewhere. `?` before a fact says that
    /// the rules leave it open.
    pub(crate) fn facts<S: AsRef<str>>(self, expected: &[S]) -> Trace {
        let trace = self.trace();
        trace.facts.assert_exactly(expected);
        trace
    }

    /// Runs it both ways, compares all but the facts, and gives the traced run.
    pub(crate) fn trace(self) -> Trace {
        let world = World::new(&self.setup, self.ordinary);
        let argv = command(&world, &self.argv);
        let wrapper = command(&world, &self.wrapper);

        world.build();
        let plain = Launch::new(&world, &[&wrapper[..], &argv].concat(), self.ordinary)
            .stdin(&self.stdin)
            .end();
        let plain_files = world.listing();
        let said = plain.stderr_text();
        assert_eq!(plain.status, self.ends, "untraced: exit status ({said})");
        if let Some(lines) = &self.printed {
            let lines: String = lines.iter().map(|l| world.fill(l) + "\n").collect();
            assert_eq!(plain.stdout_text(), lines, "untraced: what it prints ({said})");
        }
        if self.stays {
            plain.end_survivors();
        }
        assert_eq!(left_behind(&plain.marker), BTreeSet::new(), "untraced: processes left behind");

        world.build();
        let recording = world.recording();
        let mut traced_argv = wrapper;
        let airtight = env!("CARGO_BIN_EXE_airtight");
        if crate::NESTED {
            let outer = recording.with_file_name("outer");
            let outer = outer.to_str().expect("a UTF-8 path");
            traced_argv.extend([airtight, "trace", "-o", outer].map(str::to_owned));
            traced_argv.extend(self.noted.iter().cloned());
            traced_argv.push("--".to_owned());
        }
        traced_argv.extend([airtight, "trace"].map(str::to_owned));
        traced_argv.extend(self.noted.iter().cloned());
        traced_argv.extend(["--format", "json", "-o"].map(str::to_owned));
        traced_argv.extend([recording.to_str().expect("a UTF-8 path").to_owned(), "--".to_owned()]);
        traced_argv.extend(argv.iter().cloned());
        let traced = Launch::new(&world, &traced_argv, self.ordinary).stdin(&self.stdin).end();
        let traced_files = world.listing();
        assert_eq!(left_behind(&traced.marker), BTreeSet::new(), "traced: processes left behind");

        let seen = Trace::read(&world, &recording, traced);
        let why = || format!("\nstderr: {}\nrecording: {:?}", seen.run.stderr_text(), seen.reasons);
        match self.incomplete {
            None => {
                if !self.left_open {
                    assert_eq!(seen.reasons, Vec::<String>::new(), "must be complete{}", why());
                }
                if !self.noisy && seen.reasons.is_empty() {
                    assert_eq!(seen.run.stderr_text(), plain.stderr_text(), "stderr");
                }
            }
            Some(code) => {
                let codes: BTreeSet<&str> = seen.reasons.iter().map(String::as_str).collect();
                assert_eq!(codes, BTreeSet::from([code]), "incomplete for this reason{}", why());
            }
        }
        if !self.noisy {
            assert_eq!(seen.run.stdout_text(), plain.stdout_text(), "stdout{}", why());
        }
        let expected = match (seen.reasons.is_empty(), plain.status) {
            (false, Ended::Code(0)) => Ended::Code(121),
            (_, status) => status,
        };
        if !self.exits_otherwise {
            assert_eq!(seen.run.status, expected, "exit status{}", why());
        }
        if self.compare_files {
            assert_eq!(traced_files, plain_files, "files left");
        }
        seen
    }
}

/// The words of a command, its program found.
fn command(world: &World, argv: &[String]) -> Vec<String> {
    let mut words: Vec<String> = argv.iter().map(|a| world.fill(a)).collect();
    if let Some(first) = words.first_mut().filter(|w| !w.contains('/')) {
        *first = program(first).to_str().expect("a UTF-8 path").to_owned();
    }
    words
}
