//! Learns what make knows, and joins it with what the recording saw.

use super::assign::Assignment;
use super::database;
use super::description::{Description, Facts};
use super::flags::meaning;
use super::history::{self, Past, Purpose, Runs, variable};
use super::query::{Answer, Environment, Query, QueryError};
use super::{FLAGS, LEVEL, MARK, PROBE};
use crate::adapter::{Assign, Context};
use crate::error::Error;
use airtight_policy::build::{Action, Graph, RunId, Via};
use airtight_recording::{Kind, PathId, ProcessId, Recording};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::num::NonZero;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// The way out of every error here.
const WAY_OUT: &str = "`--adapter none` audits the processes alone";

/// How many bytes of a makefile are searched.
const LARGEST_MAKEFILE: u64 = 4 << 20;

/// What tells one description from another.
type Key = (PathBuf, Vec<Vec<u8>>);

/// One question: a description, some goals, and who asked first.
struct Asked<'a> {
    key: Key,
    run: &'a Past<'a>,
    /// How many runs of make it was within.
    depth: usize,
}

pub(super) fn load(
    recording: &Recording,
    ids: &[RunId],
    graph: &mut Graph,
    context: &Context<'_>,
) -> Result<Box<dyn Assign>, Error> {
    let runs = history::runs(recording, graph, ids);
    let parents = parents(recording, &runs);
    let makefiles = makefiles(recording, &runs);
    let mut descriptions: BTreeMap<Key, Description> = BTreeMap::new();
    let mut questions: BTreeMap<(Key, &[Vec<u8>]), Asked<'_>> = BTreeMap::new();
    for run in runs.values() {
        let key = key(run);
        let description = descriptions
            .entry(key.clone())
            .or_insert_with(|| Description::new(&run.directory, &run.call.makefiles));
        description.runs.push(run.id);
        if run.call.makefiles.iter().any(|name| name == b"-" || name.starts_with(b"/dev/")) {
            let directory = run.directory.display();
            (context.warn)(format!(
                "{directory}: a makefile that make read from a pipe can't be read again; what its \
                 targets depend on is not known"
            ));
            description.gone = true;
            continue;
        }
        if description.gone {
            continue;
        }
        if let Some(makefile) = makefiles.get(&run.process).and_then(|read| keeps_its_shell(read)) {
            return Err(failed(
                run,
                &format!(
                    "{} says `override SHELL`, so its recipes would be run",
                    makefile.display()
                ),
            ));
        }
        let depth = depth(run.id, &parents);
        questions.entry((key.clone(), &run.call.goals)).or_insert(Asked { key, run, depth });
    }

    let questions: Vec<Asked<'_>> = questions.into_values().collect();
    let deepest = questions.iter().map(|asked| asked.depth).max().unwrap_or(0);
    // What a make hands to those within it is known once it was asked.
    let mut environments: HashMap<RunId, Known> = HashMap::new();
    for depth in 0..=deepest {
        let level: Vec<_> = questions.iter().filter(|asked| asked.depth == depth).collect();
        let queries: Vec<Query> = level
            .iter()
            .map(|asked| {
                let base = environment_for(asked.run, &parents, &runs, &environments);
                query(recording, asked.run, base)
            })
            .collect();
        for ((asked, query), answer) in level.iter().zip(&queries).zip(ask_all(&queries)) {
            let Some(description) = descriptions.get_mut(&asked.key) else { continue };
            let answer = answer.map_err(|error| failed(asked.run, &error))?;
            let database = database::parse(&answer.text);
            check(recording, asked.run, &answer, &database, context)?;
            description.rules.join(database);
            let base = query.environment.clone();
            environments.insert(asked.run.id, Known { base, recipes: answer.environments });
        }
    }
    let facts = Facts::new(recording, &runs);
    let mut assignment = Assignment::default();
    let mut origins = Vec::new();
    let before = graph.actions.len();
    for (number, description) in descriptions.into_values().enumerate() {
        description.add(graph, &facts, context, &mut assignment);
        origins.resize(graph.actions.len() - before, number);
    }
    separate(&mut graph.actions[before..], &origins);
    assignment.settle(&facts);
    Ok(Box::new(assignment))
}

/// A make without a rule for a file knows when it changes, but does not make it first, even if
/// another make of the same build does: such an input orders nothing, like one from a depfile.
/// `origins` has the number of the description of each action.
fn separate(actions: &mut [Action], origins: &[usize]) {
    let mut makers: HashMap<PathId, Vec<usize>> = HashMap::new();
    for (action, &origin) in actions.iter().zip(origins) {
        for &output in &action.outputs {
            makers.entry(output).or_default().push(origin);
        }
    }
    for (action, origin) in actions.iter_mut().zip(origins) {
        for input in action.inputs.iter_mut().filter(|input| input.via == Via::Declared) {
            let elsewhere = makers.get(&input.path).is_some_and(|by| !by.contains(origin));
            if elsewhere {
                input.via = Via::Depfile;
            }
        }
    }
}

/// The environments that a make and its recipes have.
struct Known {
    base: Environment,
    recipes: HashMap<Vec<u8>, Environment>,
}

/// Two runs with one key read the same makefiles in the same way.
fn key(run: &Past<'_>) -> Key {
    let call = &run.call;
    let mut rest = vec![b"-f".to_vec()];
    rest.extend(call.makefiles.iter().cloned());
    rest.push(b"--".to_vec());
    rest.extend(call.options.iter().cloned());
    rest.extend(call.assignments.iter().cloned());
    for name in ["MAKEFLAGS", "GNUMAKEFLAGS"] {
        rest.push(meaning(variable(run.image, name).unwrap_or_default()));
    }
    (run.directory.clone(), rest)
}

/// The run that each run was started by, with the mark of the recipe that did.
type Parents = HashMap<RunId, (RunId, Option<Vec<u8>>)>;

fn parents(recording: &Recording, runs: &Runs<'_>) -> Parents {
    let mut started: HashMap<ProcessId, RunId> = HashMap::new();
    for run in runs.values() {
        started.extend(run.children.iter().map(|&child| (child, run.id)));
    }
    let mut parents = Parents::new();
    for run in runs.values() {
        let mut at = Some(run.process);
        while let Some(process) = at.and_then(|id| recording.processes.get(id.0 as usize)) {
            if let Some(&parent) = started.get(&process.id) {
                let image = process.images.first();
                let mark = image.and_then(|image| variable(image, MARK)).map(<[u8]>::to_vec);
                parents.insert(run.id, (parent, mark));
                break;
            }
            at = process.parent.filter(|parent| parent.0 < process.id.0);
        }
    }
    parents
}

fn depth(run: RunId, parents: &Parents) -> usize {
    std::iter::successors(parents.get(&run), |(parent, _)| parents.get(parent)).count()
}

/// The environment to ask in the place of a run: that of the recipe it was started by.
fn environment_for(
    run: &Past<'_>,
    parents: &Parents,
    runs: &Runs<'_>,
    known: &HashMap<RunId, Known>,
) -> Environment {
    let mut id = run.id;
    while let Some((parent, mark)) = parents.get(&id) {
        // Only the first of several equal runs was asked.
        let asked = known.get(parent).or_else(|| {
            let parent = runs.get(parent)?;
            let same = |other: &&Past<'_>| {
                known.contains_key(&other.id)
                    && other.call.goals == parent.call.goals
                    && key(other) == key(parent)
            };
            known.get(&runs.values().find(same)?.id)
        });
        if let Some(asked) = asked {
            let target = mark.as_ref().and_then(|mark| {
                let level = mark.iter().position(|&byte| byte == b':')?;
                asked.recipes.get(&mark[level + 1..])
            });
            let any = || asked.recipes.get(format!(":{PROBE}").as_bytes());
            return target.or_else(any).unwrap_or(&asked.base).clone();
        }
        id = *parent;
    }
    std::env::vars_os().collect()
}

pub(super) fn query(recording: &Recording, run: &Past<'_>, mut environment: Environment) -> Query {
    const OWN: [&str; 7] =
        ["MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", LEVEL, MARK, "MAKE_RESTARTS", "MAKE_TERMOUT"];
    environment.retain(|(name, _)| !OWN.iter().any(|own| name == own));
    let mut set = |name: &str, value: Vec<u8>| {
        environment.push((name.into(), OsString::from_vec(value)));
    };
    if let Some(level) = variable(run.image, LEVEL) {
        set(LEVEL, level.to_vec());
    }
    let flags = |name| meaning(variable(run.image, name).unwrap_or_default());
    set("MAKEFLAGS", flags("MAKEFLAGS"));
    set("GNUMAKEFLAGS", [FLAGS.as_bytes(), &flags("GNUMAKEFLAGS")].join(&b' '));
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let name = run.image.argv.first().map_or(b"make".as_slice(), Vec::as_slice);
    Query {
        program: path(recording.path(run.image.exe)),
        name: OsStr::from_bytes(name).to_owned(),
        directory: path(recording.path(run.image.cwd)),
        arguments: run.call.arguments(),
        environment,
        shell: history::shell(recording, run),
    }
}

/// Asks all, some at a time; the answers are in order.
fn ask_all(queries: &[Query]) -> Vec<Result<Answer, QueryError>> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(queries.len());
    let next = Mutex::new(queries.iter().enumerate());
    let mut answers: Vec<_> = thread::scope(|scope| {
        let work = || {
            let mut answers = Vec::new();
            loop {
                // A poisoned lock is one whose holder panicked; the iterator is still good.
                let task = next.lock().unwrap_or_else(|lock| lock.into_inner()).next();
                let Some((index, query)) = task else { return answers };
                answers.push((index, query.ask()));
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    answers.sort_by_key(|&(index, _)| index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn failed(run: &Past<'_>, error: &dyn std::fmt::Display) -> Error {
    Error::Plain {
        message: format!(
            "{}: make can't be asked what its targets depend on: {error}",
            run.directory.display()
        ),
        hints: vec![WAY_OUT.to_owned()],
    }
}

/// Tells what is wrong with an answer.
fn check(
    recording: &Recording,
    run: &Past<'_>,
    answer: &Answer,
    database: &database::Database,
    context: &Context<'_>,
) -> Result<(), Error> {
    let complaint = || {
        let first = answer.errors.lines().find(|line| line.contains("***"));
        first.or_else(|| answer.errors.lines().last()).unwrap_or("it printed nothing").to_owned()
    };
    let directory = run.directory.display();
    let Some(version) = database.version else {
        let complaint = complaint();
        return Err(failed(run, &format!("it is no GNU make, or it failed: {complaint}")));
    };
    if version < (4, 0) {
        let (major, minor) = version;
        (context.warn)(format!(
            "{directory}: GNU make {major}.{minor} does not tell which target a process works for \
             (4.0 and newer do); they are told apart by what they write"
        ));
    }
    // A make that stopped before it knew its goals had nothing to run in the build either.
    if database.files.is_empty() && !run.children.is_empty() {
        return Err(failed(run, &complaint()));
    }
    if answer.status == Some(2) && answer.errors.contains("Stop.") {
        let worked_for =
            |child: &ProcessId| match run.purpose(&recording.processes[child.0 as usize]) {
                Purpose::Target(name) => Some(name),
                _ => None,
            };
        let mut worked_for = run.children.iter().filter_map(worked_for).peekable();
        let is_known = |name| database.files.iter().any(|file| file.name == name && file.is_target);
        if worked_for.peek().is_some() && !worked_for.any(is_known) {
            return Err(failed(run, &complaint()));
        }
        (context.warn)(format!(
            "{directory}: make stopped when it was asked what its targets depend on, so some of it \
             may be missing: {}",
            complaint()
        ));
    }
    Ok(())
}

/// What each make itself read.
pub(super) fn makefiles(
    recording: &Recording,
    runs: &Runs<'_>,
) -> HashMap<ProcessId, Vec<PathBuf>> {
    let makes: HashSet<ProcessId> = runs.values().map(|run| run.process).collect();
    let mut read: HashMap<ProcessId, Vec<PathBuf>> = HashMap::new();
    for access in recording.accesses.iter().filter(|a| a.kind == Kind::Read && a.errno == 0) {
        if makes.contains(&access.process) {
            let path = Path::new(OsStr::from_bytes(recording.path(access.path)));
            read.entry(access.process).or_default().push(path.to_owned());
        }
    }
    read
}

/// The makefile among these that sets a shell which nobody can replace.
pub(super) fn keeps_its_shell(files: &[PathBuf]) -> Option<&PathBuf> {
    // What else it had open, a terminal say, would never end.
    let plain = |path: &&PathBuf| path.metadata().is_ok_and(|found| found.is_file());
    files.iter().filter(plain).find(|path| {
        let mut text = Vec::new();
        let file = std::fs::File::open(path);
        let read = file.and_then(|file| file.take(LARGEST_MAKEFILE).read_to_end(&mut text));
        read.is_ok() && text.split(|&byte| byte == b'\n').any(overrides_shell)
    })
}

fn overrides_shell(line: &[u8]) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    // `export override` is the same as `override export`.
    let mut known = [b"override".as_slice(), b"export", b"define"].to_vec();
    let mut overrides = false;
    for word in words.by_ref() {
        let Some(at) = known.iter().position(|known| *known == word) else {
            let end = word.iter().position(|byte| b":?!+=".contains(byte));
            let name = &word[..end.unwrap_or(word.len())];
            return overrides && matches!(name, b"SHELL" | b".SHELLFLAGS");
        };
        overrides |= known.remove(at) == b"override";
    }
    false
}
