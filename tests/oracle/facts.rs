//! What must hold of every case.

use crate::case::{Case, without};
use crate::execution::{Oracle, Outcome};
use crate::findings::findings;
use crate::support::{self, End, Site};
use crate::tree::Tree;
use airtight_cache::stats::Counters;
use airtight_recording::Digest;
use serde_json::json;
use std::fs;
use std::process::Command;

/// Another place for the workspace than its own. Actions are executed there, since a result is
/// shared between checkouts where nothing tells that it depends on the place.
const ELSEWHERE: &str = "w";

/// The words of a command line; one with spaces is in single quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    support::words(line).into_iter().skip(1).map(str::to_owned).collect()
}

/// The files of a case, and the ways to run it there.
pub(crate) struct Bench<'a> {
    case: &'a Case<'a>,
    pub(crate) site: Site,
}

/// What `airtight` came to.
pub(crate) struct Ran {
    pub(crate) end: End,
    /// Rule and path of what it found, where it was judged.
    pub(crate) found: Vec<(String, String)>,
    pub(crate) counters: Counters,
    pub(crate) outcome: Outcome,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(case: &'a Case<'a>) -> Bench<'a> {
        let bench = Bench { case, site: Site::new() };
        for (name, text) in case.files {
            bench.site.write(name, text);
        }
        fs::create_dir_all(bench.site.path(case.cwd)).expect("the directory of the action");
        bench.shell(case.before);
        bench
    }

    /// Runs a shell script in the workspace, untraced.
    pub(crate) fn shell(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.site.path(""));
        command.env_clear().envs(self.case.variables()).env("HOME", self.site.home());
        let output = command.output().expect("sh starts");
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// `airtight` with these declared inputs. Whoever wants a report wants the action to run.
    pub(crate) fn judged(&self, inputs: &[&str]) -> Ran {
        if self.case.compile {
            let mut ran = self.compile(inputs, &["--format", "json"]);
            // The compiler itself says nothing.
            ran.found = findings(&ran.end.stderr);
            ran.outcome.stderr = Digest::of(b"").to_string();
            return ran;
        }
        let report = self.site.root().join("report");
        let _ = fs::remove_file(&report);
        let mut ran = self.run(inputs, &[format!("--report=json={}", report.display())]);
        ran.found = findings(&fs::read_to_string(&report).expect("a report"));
        ran
    }

    /// `airtight` with these declared inputs, which may find the result in its cache.
    pub(crate) fn cached(&self, inputs: &[&str]) -> Ran {
        if self.case.compile { self.compile(inputs, &[]) } else { self.run(inputs, &[]) }
    }

    /// `airtight cc`.
    fn compile(&self, inputs: &[&str], more: &[&str]) -> Ran {
        let mut command = self.site.airtight(&["cc"]);
        command.args(more);
        for name in inputs {
            command.arg("--in").arg(self.site.path(name));
        }
        command.args(words(self.case.run)).current_dir(self.site.path(self.case.cwd));
        command.envs(self.case.variables());
        self.end(command)
    }

    /// `airtight run`.
    fn run(&self, inputs: &[&str], more: &[String]) -> Ran {
        let path = |name: &&str| self.site.path(name.trim_end_matches('/'));
        let (directories, files): (Vec<&str>, Vec<&str>) =
            inputs.iter().partition(|name| name.ends_with('/'));
        let variables: serde_json::Map<_, _> =
            self.case.variables().into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect();
        let depfile = Some(self.case.depfile).filter(|depfile| !depfile.is_empty());
        let spec = json!({
            "argv": words(self.case.run),
            "cwd": self.case.cwd,
            "inputs": files.iter().map(path).collect::<Vec<_>>(),
            "input_dirs": directories.iter().map(path).collect::<Vec<_>>(),
            "outputs": self.case.outputs.iter().map(path).collect::<Vec<_>>(),
            "depfile": depfile.map(|depfile| self.site.path(depfile)),
            "environment": { "fixed": variables },
        });
        // Beside the workspace, so that it is no file of it.
        let file = self.site.root().join("spec.json");
        fs::write(&file, spec.to_string()).expect("the declaration");
        let mut command = self.site.airtight(&["run", "--spec"]);
        command.arg(&file).arg("--workspace").arg(self.site.path("")).args(more);
        self.end(command)
    }

    fn end(&self, command: Command) -> Ran {
        let (end, counters) = self.site.end(command);
        let outcome = Outcome {
            exit: end.code.unwrap_or(-1),
            stdout: Digest::of(end.stdout.as_bytes()).to_string(),
            stderr: Digest::of(end.stderr.as_bytes()).to_string(),
            outputs: Tree::of(&self.site.path(""), &self.case.products()).nodes,
        };
        Ran { end, found: Vec::new(), counters, outcome }
    }

    /// Does something while a name is free, and puts back what was there.
    fn while_aside(&self, name: &str, work: impl FnOnce()) {
        let path = self.site.path(name.trim_end_matches('/'));
        let aside = self.site.root().join("aside");
        fs::rename(&path, &aside).expect(name);
        work();
        fs::rename(&aside, &path).expect(name);
    }

    /// The action in the oracle, with these files of the workspace.
    pub(crate) fn execute(&self, oracle: &Oracle, inputs: &[&str]) -> Outcome {
        let here = self.site.path("");
        let here = here.to_str().expect("UTF-8").trim_matches('/');
        let place = if self.case.here.is_empty() { ELSEWHERE } else { here };
        oracle.execute(self.case, Tree::of(&self.site.path(""), inputs), place)
    }
}

impl Ran {
    /// It ran, nothing was found, and its result was kept.
    #[track_caller]
    pub(crate) fn clean(&self) -> &Outcome {
        assert_eq!(self.found, [], "{}", self.end.show());
        self.end.code(0);
        assert_eq!(self.counters.published, 1, "{:?}\n{}", self.counters, self.end.show());
        &self.outcome
    }

    /// Its result was known.
    #[track_caller]
    pub(crate) fn known(&self) -> &Outcome {
        let hits = (self.counters.hits(), self.counters.all_misses());
        assert_eq!(hits, (1, 0), "{:?}\n{}", self.counters, self.end.show());
        &self.outcome
    }
}

/// Holds all facts against a case.
pub(crate) fn hold(case: &Case<'_>) {
    let oracle = Oracle::shared();
    let bench = Bench::new(case);
    let everything = case.everything();

    // A clean verdict: the oracle makes the same of the declared inputs, and so does the cache.
    let ran = bench.judged(case.inputs);
    let made = ran.clean();
    assert!(!made.outputs.is_empty(), "it makes something");
    assert_eq!(&bench.execute(&oracle, &everything), made, "clean, so the oracle must agree");
    if !case.here.is_empty() {
        elsewhere(case, &bench, &oracle, made);
    }
    assert_eq!(bench.cached(case.inputs).known(), made, "what the cache restores");

    for left_out in case.inputs {
        without_input(case, &bench, &oracle, made, left_out);
    }
    for (name, reason) in case.keyed {
        let other = bench.execute(&oracle, &without(&everything, name));
        assert_ne!(&other, made, "{name} counts: {reason}");
        bench.while_aside(name, || {
            let counters = bench.cached(case.inputs).counters;
            assert_eq!(counters.hits(), 0, "without {name} it is another action: {reason}");
        });
    }
    for (name, script) in case.replaced {
        bench.while_aside(name, || {
            bench.shell(script);
            another(case, &bench, &oracle, made, name);
            bench.site.remove(name);
        });
        assert_eq!(bench.cached(case.inputs).known(), made, "{name} is as it was");
    }
    for (name, script) in case.appearing {
        bench.cached(case.inputs).known();
        bench.shell(script);
        let executed = another(case, &bench, &oracle, made, name);
        let declared = bench.judged(&[case.inputs, &[name]].concat());
        assert_eq!(declared.clean(), &executed, "with {name} declared");
        bench.site.remove(name);
        assert_eq!(bench.cached(case.inputs).known(), made, "{name} is gone again");
    }
}

/// The result depends on the place, so at another one there is another result, and no hit.
fn elsewhere(case: &Case<'_>, bench: &Bench<'_>, oracle: &Oracle, made: &Outcome) {
    let inputs = Tree::of(&bench.site.path(""), &case.everything());
    assert_ne!(&oracle.execute(case, inputs, ELSEWHERE), made, "{}", case.here);
    let other = bench.site.at("elsewhere", "home");
    let copied = Command::new("cp").arg("-rT").args([bench.site.path(""), other.path("")]).status();
    assert!(copied.expect("cp starts").success(), "a copy of the workspace");
    let other = Bench { case, site: other };
    let there = other.cached(case.inputs);
    assert_eq!(there.counters.hits(), 0, "{}", case.here);
}

/// One input is not declared: Airtight names it where the oracle can't make the same without it.
fn without_input(case: &Case<'_>, bench: &Bench<'_>, oracle: &Oracle, made: &Outcome, name: &str) {
    let ran = bench.judged(&without(case.inputs, name));
    let other = bench.execute(oracle, &without(&case.everything(), name));
    let harmless = case.harmless.iter().find(|(harmless, _)| *harmless == name);
    match harmless {
        None => assert_ne!(&other, made, "{name} is declared, so it must count"),
        Some((_, reason)) => assert_eq!(&other, made, "{name} is harmless: {reason}"),
    }
    // Found in either case, that and nothing else, and never published. Of a link and where it
    // leads, either may be declared: what is named is the file.
    let path = bench.site.path(name.trim_end_matches('/'));
    let path = path.canonicalize().unwrap_or(path);
    let named = path.strip_prefix(bench.site.path("")).expect("in the workspace");
    let named = named.to_str().expect("UTF-8");
    let expected = |(rule, path): &(String, String)| {
        let below = path.strip_prefix(named);
        ["R001", "R006", "R007"].contains(&rule.as_str())
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = &ran.found;
    assert!(!found.is_empty() && found.iter().all(expected), "without {name}: {found:?}");
    ran.end.code(120);
    assert_eq!(ran.counters.published, 0, "without {name}: {:?}", ran.counters);
}

/// Something is there that was not: the old result is not used, and a clean new one is the
/// oracle's, which is returned.
fn another(
    case: &Case<'_>,
    bench: &Bench<'_>,
    oracle: &Oracle,
    made: &Outcome,
    name: &str,
) -> Outcome {
    let undeclared = bench.cached(case.inputs);
    assert_eq!(undeclared.counters.hits(), 0, "{name} is there now");
    let executed = bench.execute(oracle, &[&case.everything()[..], &[name]].concat());
    assert_ne!(&executed, made, "{name} counts");
    match undeclared.end.code {
        // Its name or type counted and nothing else, so it need not be declared.
        Some(0) => assert_eq!(undeclared.outcome, executed, "{name} is in a listed directory"),
        _ => assert_eq!(undeclared.counters.published, 0, "{name} is not declared"),
    }
    executed
}
