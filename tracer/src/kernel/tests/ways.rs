//! Ways to a file that no system call names: io_uring, handles, what exec loads.

use super::harness::{Run, exactly, facts, program, watch};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn by_ring(arguments: &[&str]) {
    let run = Run::new();
    std::fs::write(run.path().join("in"), "text").expect("write");
    let verbs = [
        "read", "in", "write", "a", "mkdir", "d", "rename", "a", "d/b", "link", "d/b", "c",
        "symlink", "c", "s", "unlink", "c", "unlink", "d/b", "rmdir", "d",
    ];
    let arguments = [arguments, &verbs].concat();
    let expected = [
        "Open in",
        "Create a",
        "Open a",
        "Modify a",
        "CloseWrite a",
        "Create d/",
        "MovedFrom a",
        "MovedTo d/b",
        "Create c",
        "Create s",
        "Delete c",
        "Delete d/b",
        "Delete d/",
    ];
    exactly(run.program("ring", &arguments), run.path(), &expected);
}

#[test]
fn io_uring() {
    by_ring(&[]);
}

#[test]
fn io_uring_polled_by_the_kernel() {
    by_ring(&["sqpoll"]);
}

#[test]
fn a_handle_that_another_process_got() {
    let run = Run::new();
    std::fs::create_dir(run.path().join("d")).expect("mkdir");
    std::fs::write(run.path().join("d/f"), "text").expect("write");
    // The same process does both here, but the first leaves no event.
    let calls = [
        "name_to_handle_at AT_FDCWD :d/f &handle &buf 0",
        "a: open_by_handle_at AT_FDCWD &handle O_RDWR",
        "write @a :x 1",
        "close @a",
    ];
    exactly(run.ops(&calls), run.path(), &["Open d/f", "Modify d/f", "CloseWrite d/f"]);
}

#[test]
fn scripts_their_interpreters_and_loaders() {
    let run = Run::new();
    let dir = run.path().canonicalize().expect("it is there");
    let put = |name: &str, text: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
    };
    put("inner", b"#!/bin/sh\nexit 0\n");
    put("outer", format!("#!{}\n", dir.join("inner").display()).as_bytes());
    let Some((view, _)) = watch(Command::new(dir.join("outer")).current_dir(&dir)) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    assert_eq!(facts(&view, &dir), ["Exec inner", "Exec outer", "Open inner", "Open outer"]);
    let shell = Path::new("/bin/sh").canonicalize().expect("a shell");
    let all = facts(&view, Path::new("/"));
    let exec = format!("Exec {}", shell.strip_prefix("/").expect("absolute").display());
    assert!(all.contains(&exec), "{all:?}");
    let loader = |fact: &&String| fact.starts_with("Exec ") && fact.contains("/ld-linux");
    assert_eq!(all.iter().filter(loader).count(), 1, "{all:?}");
}

#[test]
fn a_script_without_its_interpreter_is_opened_all_the_same() {
    let run = Run::new();
    let script = run.path().join("s");
    std::fs::write(&script, "#!/absent/interpreter\n").expect("write");
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("chmod");
    let view = run.shell("./s || true");
    exactly(view, run.path(), &["Exec s", "Open s"]);
}

#[test]
fn the_end_of_a_process_closes_what_it_wrote() {
    let run = Run::new();
    std::fs::write(run.path().join("f"), "text").expect("write");
    let script = "exec 3>>f; kill -9 $$";
    let view = run.shell(&format!("sh -c '{script}' || true"));
    exactly(view, run.path(), &["Open f", "CloseWrite f"]);
}

#[test]
fn a_program_that_was_made_just_now() {
    if !super::is_privileged() {
        return;
    }
    let run = Run::new();
    std::fs::copy(program("ops"), run.path().join("copy")).expect("copy");
    exactly(
        run.shell("./copy 'mkdir :d 0700' > /dev/null"),
        run.path(),
        &["Exec copy", "Open copy", "Create d/"],
    );
}
