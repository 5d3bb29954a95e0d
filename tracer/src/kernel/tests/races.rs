//! Many events at once, and names that change under the look.

use super::harness::{Run, facts};
use std::collections::BTreeSet;

#[test]
fn no_event_of_a_burst_is_lost() {
    const FILES: usize = 20_000;
    let run = Run::within(std::path::Path::new("/dev/shm"));
    let script = format!(
        "import os\nfor i in range({FILES}): os.close(os.open('f%d' % i, os.O_CREAT | os.O_WRONLY))\n\
         for i in range({FILES}): os.unlink('f%d' % i)"
    );
    let mut command = std::process::Command::new("/usr/bin/python3");
    command.args(["-S", "-c", &script]).current_dir(run.path());
    let Some((view, _)) = super::harness::watch(&mut command) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let expected: BTreeSet<String> = (0..FILES)
        .flat_map(|i| ["Create", "Open", "CloseWrite", "Delete"].map(|act| format!("{act} f{i}")))
        .collect();
    let found: BTreeSet<String> = facts(&view, run.path()).into_iter().collect();
    assert!(found == expected, "{} facts instead of {}", found.len(), expected.len());
}

#[test]
fn a_deep_tree_that_is_removed_at_once_keeps_its_names() {
    const DEPTH: usize = 200;
    let run = Run::new();
    // Made before: nothing but the removal tells the names.
    let mut path = run.path().to_path_buf();
    let mut expected = BTreeSet::new();
    for _ in 0..DEPTH {
        path.push("d");
        std::fs::create_dir(&path).expect("mkdir");
        std::fs::write(path.join("f"), "").expect("write");
        let name = path.strip_prefix(run.path()).expect("below").display();
        expected.extend([
            format!("Delete {name}/"),
            format!("Delete {name}/f"),
            format!("Open {name}/"),
            format!("List {name}/"),
        ]);
    }
    let Some(view) = run.shell("rm -r d") else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    assert_eq!(facts(&view, run.path()).into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn directories_that_are_renamed_under_their_files() {
    let run = Run::new();
    // Slow enough that names are told apart, and then as fast as can be.
    let script = "mkdir a; echo x > a/f; mv a b; sleep 0.1; echo x > b/g; sleep 0.1; mv b c; \
                  sleep 0.1; cat c/f; sleep 0.1; mv c d; mv d e; mv e d; rm d/f d/g; rmdir d";
    let Some(view) = run.shell(script) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let facts = facts(&view, run.path());
    for fact in ["Create b/g", "Modify b/g", "Open c/f"] {
        assert!(facts.contains(&fact.to_owned()), "{fact}: {facts:?}");
    }
    let known = ["a", "b", "c", "d", "e"];
    for fact in &facts {
        let names = fact.split_once(' ').expect("an act").1.split(" or ");
        for name in names {
            let dir = name.split('/').next().expect("a name");
            assert!(known.contains(&dir), "{fact}");
        }
    }
    let moved = |fact: &str| facts.contains(&fact.to_owned());
    for name in known {
        assert!(moved(&format!("MovedTo {name}/")) || name == "a", "{facts:?}");
    }
}

#[test]
fn a_directory_that_is_renamed_to_and_fro() {
    let run = Run::new();
    let calls = [
        "mkdir :a 0700",
        "rename :a :b",
        "rename :b :a",
        "rename :a :b",
        "mkdir :b/x 0700",
        "rename :b :a",
        "mkdir :a/y 0700",
        "rename :a :b",
    ];
    let Some(view) = run.ops(&calls) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let facts = facts(&view, run.path());
    for name in ["b/x", "a/y"] {
        // Which of the two it was can't be told when both renames came as one event.
        let is_it = |fact: &&String| {
            let names = fact.strip_prefix("Create ").map(|names| names.split(" or "));
            names.is_some_and(|mut names| names.any(|found| found == format!("{name}/")))
        };
        assert_eq!(facts.iter().filter(is_it).count(), 1, "{name}: {facts:?}");
    }
    // What it is called after the last of them is known again.
    let script = "mkdir c; mv c d; mv d c; mv c d; sleep 0.2; mkdir d/z";
    let Some(view) = run.shell(script) else { return };
    assert!(super::harness::facts(&view, run.path()).contains(&"Create d/z/".to_owned()));
}

#[test]
fn names_that_two_processes_fight_for() {
    let run = Run::new();
    let script = "mkdir a b; (for i in $(seq 60); do echo x > a/f; mv a/f b/f; done) & \
                  (for i in $(seq 60); do rm -f b/f; echo y > b/g; mv b/g a/g; done) & wait; \
                  rm -rf a b";
    let Some(view) = run.shell(script) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let names: BTreeSet<String> = facts(&view, run.path())
        .iter()
        .map(|fact| fact.split_once(' ').expect("an act").1.to_owned())
        .collect();
    let expected = ["a/", "a/f", "a/g", "b/", "b/f", "b/g"];
    assert_eq!(names, expected.map(str::to_owned).into());
}

#[test]
fn trees_that_are_made_moved_and_removed_faster_than_they_are_read() {
    let run = Run::new();
    let script = "i=0; while [ $i -lt 40 ]; do mkdir -p d$i/e/f; echo x > d$i/e/f/g; mv d$i/e d$i/h; \
                  rm -r d$i; i=$((i+1)); done";
    let Some(view) = run.shell(script) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    let facts: BTreeSet<String> = facts(&view, run.path()).into_iter().collect();
    for i in 0..40 {
        for fact in [
            format!("Create d{i}/"),
            format!("MovedFrom d{i}/e/"),
            format!("MovedTo d{i}/h/"),
            format!("Delete d{i}/"),
            format!("Delete d{i}/h/"),
            format!("Delete d{i}/h/f/"),
            format!("Delete d{i}/h/f/g"),
        ] {
            assert!(facts.contains(&fact), "{fact}");
        }
        let made = |fact: &&String| fact.starts_with(&format!("Create d{i}/e/f/g"));
        assert_eq!(facts.iter().filter(made).count(), 1);
    }
}
