//! `airtight run --guard`: the kernel denies what is not declared, whatever it is opened by, and
//! nobody is ever left waiting. Root only; an ordinary user is told what is lacking.
#![forbid(unsafe_code)]

/// For the harness.
const NESTED: bool = false;

#[path = "../tracing/harness/mod.rs"]
#[allow(dead_code, reason = "the tests of tracing use all of it")]
mod harness;

mod denied;
mod killed;
mod mounts;
mod same;

use harness::run::Ran;
use harness::{Ended, Launch, World, is_root, program};

/// A directory with `setup` (see [`World::new`]) and what runs in it.
fn world(setup: &str) -> World {
    let world = World::new(setup, false);
    world.build();
    world
}

/// `airtight run --guard` with these flags and this command; the first word of the command may be a
/// program of tests/programs, which is declared.
fn launch(world: &World, flags: &[&str], command: &[&str]) -> Launch {
    action(world, &[&["--guard"], flags].concat(), command)
}

/// The same without the guard.
fn action(world: &World, flags: &[&str], command: &[&str]) -> Launch {
    let own = |word: &str| !word.contains('/') && word != "sh";
    let words = command.iter().map(|word| world.fill(word));
    let mut command: Vec<String> = words.collect();
    let mut argv = vec![env!("CARGO_BIN_EXE_airtight").to_owned()];
    argv.extend(["run", "--no-cache", "--workspace"].map(str::to_owned));
    argv.push(world.fill("$T"));
    if command.first().is_some_and(|first| own(first)) {
        command[0] = program(&command[0]).to_str().expect("a UTF-8 path").to_owned();
        argv.extend(["--in".to_owned(), command[0].clone()]);
    }
    argv.extend(flags.iter().map(|flag| world.fill(flag)));
    argv.push("--".to_owned());
    argv.extend(command);
    Launch::new(world, &argv, false)
}

/// Runs it; none for an ordinary user, who must be told.
fn run(world: &World, flags: &[&str], command: &[&str]) -> Option<Ran> {
    let ran = launch(world, flags, command).end();
    let said = ran.stderr_text();
    if !is_root() {
        assert_eq!(ran.status, Ended::Code(125), "{said}");
        assert!(said.contains("it needs CAP_SYS_ADMIN"), "{said}");
        assert!(said.contains("as root") && said.contains("leave the guard out"), "{said}");
        assert_eq!(ran.stdout_text(), "", "nothing has run");
        return None;
    }
    Some(ran)
}
