//! `--confirm`: stale dependencies are proven by the build tool itself.

use crate::again::{FAULTY, FOUND};
use crate::support::{Audit, Project};
use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[track_caller]
fn proof(audit: &Audit, (rule, action, path): (&str, &str, &str)) -> (String, String) {
    let confirmed = &audit.finding(rule, action, path)["confirmed"];
    let text = |key: &str| confirmed[key].as_str().unwrap_or_default().to_owned();
    (text("result"), text("how"))
}

/// Size, permissions, content and times of everything below a directory but the saved audit.
type State = BTreeMap<String, Facts>;
type Facts = (u64, u32, [i64; 2], [i64; 2], Vec<u8>);

fn state(directory: &Path) -> State {
    let mut state = State::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("listed") {
            let path = entry.expect("listed").path();
            let found = path.symlink_metadata().expect("it is there");
            // The saved audit comes after; reading a file here changes when it was last read.
            if found.is_dir() {
                open.push(path);
            } else if !path.ends_with("airtight-audit.bin") {
                let modified = [found.mtime(), found.mtime_nsec()];
                let accessed = [found.atime(), found.atime_nsec()];
                let content = fs::read(&path).expect("it can be read");
                let name = path.display().to_string();
                state.insert(name, (found.size(), found.mode(), modified, accessed, content));
            }
        }
    }
    state
}

#[test]
fn make_proves_them_and_the_tree_stays_as_it_was() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    let odd = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    let other = project.path("other.h");
    let times = FileTimes::new().set_accessed(odd).set_modified(odd);
    File::open(&other).expect("it is there").set_times(times).expect("it is ours");
    // Twice, since the first look at a file may change when it was last read.
    state(&project.path(""));
    let before = state(&project.path(""));
    let audit = project.check(&["--confirm"]);
    audit.expect(1, &FOUND);
    let (found, expected) = (state(&project.path("")), before);
    let without = |state: &State| -> BTreeMap<String, _> {
        // Make and this test read the others in between; what was touched has all its times back.
        let sources = |name: &str| name.ends_with("other.h") || name.ends_with("gen.h");
        let strip = |(name, value): (&String, &Facts)| {
            let (size, mode, modified, accessed, content) = value.clone();
            let accessed = sources(name).then_some(accessed);
            (name.clone(), (size, mode, modified, accessed, content))
        };
        state.iter().map(strip).collect()
    };
    assert_eq!(without(&found), without(&expected));
    for (finding, target) in FOUND.into_iter().zip(["a.o", "b.o"]) {
        let how = format!("`make -q {target}` leaves it as it is with a newer file");
        assert_eq!(proof(&audit, finding), ("proven".to_owned(), how));
    }
    let text = project.airtight(&["check", "airtight-audit.bin", "--confirm"]).stdout;
    assert!(text.contains("  proof    proven: `make -q a.o` leaves it as it is"), "{text}");
}

#[test]
fn what_make_knows_after_all_is_not_reproduced() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    let makefile = project.read("Makefile");
    project.write("Makefile", makefile.replace("a.o: a.c gen.h", "a.o: a.c gen.h other.h"));
    let audit = project.check(&["--saved-graph", "--confirm"]);
    audit.expect(1, &FOUND);
    let how = "`make -q a.o` would rebuild it with a newer file".to_owned();
    assert_eq!(proof(&audit, FOUND[0]), ("not-reproduced".to_owned(), how));
    assert_eq!(proof(&audit, FOUND[1]).0, "proven");
}

#[test]
fn what_is_not_up_to_date_is_not_tried() {
    let project = Project::new(FAULTY);
    project.audit(&["make"]).expect(120, &FOUND);
    project.write("a.c", "int a = 4;\n");
    let audit = project.check(&["--confirm"]);
    let how = "`make -q a.o` has work to do as it is".to_owned();
    assert_eq!(proof(&audit, FOUND[0]), ("not-tried".to_owned(), how));
    assert_eq!(proof(&audit, FOUND[1]).0, "proven");
    fs::remove_file(project.path("other.h")).expect("it is there");
    fs::remove_file(project.path("b.o")).expect("it is there");
    let audit = project.check(&["--confirm"]);
    assert_eq!(proof(&audit, FOUND[1]).1, "what it makes is not there");
}

#[test]
fn no_recipe_runs_for_a_proof() {
    let project = Project::new(FAULTY);
    let makefile = project.read("Makefile");
    project.write("Makefile", makefile.replace("\tcc -c a.c", "\t+echo ran >> log; cc -c a.c"));
    project.audit(&["make"]).expect(120, &FOUND);
    assert_eq!(project.read("log"), "ran\n");
    assert_eq!(proof(&project.check(&["--confirm"]), FOUND[1]).0, "proven");
    assert_eq!(project.read("log"), "ran\n");
}

#[test]
fn ninja_proves_them() {
    let project = Project::new(
        "\
-- build.ninja --
rule cc
  command = cc -c $in -o $out
rule copy
  command = cp $in $out
build gen.h: copy gen.in
build a.o: cc a.c
build b.o: cc b.c || gen.h
-- gen.in --
#define N 3
-- a.c --
#include \"other.h\"
-- b.c --
#include \"gen.h\"
int b = N;
-- other.h --
",
    );
    let audit = project.audit_with(&["--confirm"], &["ninja"]);
    audit.expect(120, &FOUND);
    for (finding, target) in FOUND.into_iter().zip(["a.o", "b.o"]) {
        let how = format!("`ninja -n {target}` leaves it as it is with a newer file");
        assert_eq!(proof(&audit, finding), ("proven".to_owned(), how));
    }
    // As a depfile would tell it.
    let manifest = project.read("build.ninja");
    project.write("build.ninja", manifest.replace("cc a.c", "cc a.c | other.h"));
    let audit = project.check(&["--saved-graph", "--confirm"]);
    assert_eq!(proof(&audit, FOUND[0]).0, "not-reproduced");
}

#[test]
fn nobody_is_asked_without_the_flag() {
    let project = Project::new(FAULTY);
    let audit = project.audit(&["make"]);
    audit.expect(120, &FOUND);
    assert!(audit.finding("R001", "a.o", "other.h").get("confirmed").is_none());
}
