//! Mounts: one file under several names, file systems in memory, overlays.

use super::harness::{self, Run, exactly, facts};
use nix::sched::{CloneFlags, unshare};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;

/// Runs `test` in a thread with mounts of its own, made by a script that gets the directory.
fn mounted(script: &str, test: impl FnOnce(&Run) + Send) {
    let run = Run::new();
    if !super::is_privileged() {
        // The refusal is tested once.
        return;
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
            let private = "mount --make-rprivate /";
            let script = format!("{private}\n{script}");
            let made = Command::new("sh").args(["-ec", &script]).current_dir(run.path()).status();
            assert!(made.expect("sh").success());
            test(&run);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn a_bind_mount_gives_a_file_two_names() {
    mounted("mkdir a b; echo x > a/f; mount --bind a b", |run| {
        let calls = ["openat AT_FDCWD :b/f O_RDONLY", "mkdir :b/d 0700", "mkdir :a/e 0700"];
        let Some(view) = run.ops(&calls) else { return };
        assert_eq!(view.gaps, Vec::<String>::new());
        let dir = run.path().canonicalize().expect("it is there");
        let mut names = Vec::new();
        for sight in &view.sights {
            let mut both = view.names(&sight.place);
            both.retain(|name| name.starts_with(dir.as_os_str().as_encoded_bytes()));
            both.sort();
            let text = |name: &Vec<u8>| {
                String::from_utf8_lossy(&name[dir.as_os_str().len()..]).into_owned()
            };
            names.extend(
                (!both.is_empty()).then(|| (sight.act, both.iter().map(text).collect::<Vec<_>>())),
            );
        }
        use super::super::view::Act::{Create, Open};
        let two = |one: &str, two: &str| vec![one.to_owned(), two.to_owned()];
        let expected = [
            (Open, two("/a/f", "/b/f")),
            (Create, two("/a/d", "/b/d")),
            (Create, two("/a/e", "/b/e")),
        ];
        assert_eq!(names, expected);
    });
}

#[test]
fn a_file_is_mounted_alone() {
    // The directory of the file shows nowhere.
    let script = "mkdir t; mount -t tmpfs none t; mkdir t/d; echo x > t/d/f; touch g; \
                  mount --bind t/d/f g; umount -l t";
    mounted(script, |run| {
        exactly(run.ops(&["openat AT_FDCWD :g O_RDONLY"]), run.path(), &["Open g"]);
    });
}

#[test]
fn a_part_of_a_file_system_is_mounted() {
    let script =
        "mkdir t p; mount -t tmpfs none t; mkdir -p t/d/e; mount --bind t/d p; umount -l t";
    mounted(script, |run| {
        let calls = ["mkdir :p/e/x 0700", "rename :p/e :p/f", "chmod :p/f/x 0755"];
        let expected =
            ["Create p/e/x/ or p/f/x/", "MovedFrom p/e/", "MovedTo p/f/", "Attrib p/f/x/"];
        exactly(run.ops(&calls), run.path(), &expected);
    });
}

#[test]
fn a_mounted_file_system_can_be_unmounted() {
    mounted("mkdir t; mount -t tmpfs none t; mkdir t/d", |run| {
        let view = run.ops(&["mkdir :t/d/e 0700", "umount2 :t 0", "mkdir :t/after 0700"]);
        exactly(view, run.path(), &["Create t/d/e/", "Create t/after/"]);
    });
}

#[test]
fn what_is_mounted_on_a_shared_mount_can_be_unmounted() {
    let script = "mkdir s; mount -t tmpfs none s; mount --make-shared s; mkdir s/t";
    mounted(script, |run| {
        let calls = ["mount :none :s/t :tmpfs 0 0", "umount2 :s/t 0", "rmdir :s/t"];
        exactly(run.ops(&calls), run.path(), &["Delete s/t/"]);
    });
}

/// What happens on file systems that show nowhere in our view, of a script that says by a line
/// of output that it has mounted something, and then waits for a line.
fn elsewhere(run: &Run, script: &str) -> Vec<String> {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", &format!("mount --make-rprivate /\n{script}")]);
    command.current_dir(run.path());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let (watch, mut tree) = harness::start().expect("as privileged");
    let since = super::super::perf::now();
    let mut child = command.spawn().expect("unshare");
    tree.root(child.id() as i32, since);
    let watcher = watch.follow(tree).expect("a thread");
    let mut go = child.stdin.take().expect("a pipe");
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        assert_eq!(line.expect("text"), "mounted");
        watcher.remounted(child.id() as i32);
        go.write_all(b"go\n").expect("it reads");
    }
    assert!(child.wait().expect("it ends").success());
    let (view, _) = watcher.finish();
    assert_eq!(view.gaps, Vec::<String>::new());
    // Their names are those that the other backend has for them.
    let mut found: Vec<_> = view
        .sights
        .iter()
        .flat_map(|sight| view.names(&sight.place).into_iter().map(|name| (sight.act, name)))
        .filter(|(_, name)| name.starts_with(b"[tmpfs "))
        .map(|(act, name)| {
            let name = String::from_utf8_lossy(&name).into_owned();
            format!("{act:?} {}", name.split_once(']').expect("a bracket").1)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_file_system_that_is_mounted_meanwhile_is_watched_when_it_is_told_of() {
    if !super::is_privileged() {
        return;
    }
    let run = Run::new();
    std::fs::create_dir(run.path().join("t")).expect("mkdir");
    let script =
        "mount -t tmpfs none t; echo mounted; read go; mkdir t/d; echo x > t/d/f; umount t";
    let expected = ["CloseWrite /d/f", "Create /d", "Create /d/f", "Modify /d/f", "Open /d/f"];
    assert_eq!(elsewhere(&run, script), expected);
}

#[test]
fn a_device_that_is_used_again_is_watched_again() {
    if !super::is_privileged() {
        return;
    }
    let run = Run::new();
    std::fs::create_dir(run.path().join("t")).expect("mkdir");
    let script = "for i in 1 2 3; do mount -t tmpfs none t; echo mounted; read go; mkdir t/$i; \
                  umount t; done";
    assert_eq!(elsewhere(&run, script), ["Create /1", "Create /2", "Create /3"]);
}

const LAYERS: &str = "mkdir l; mount -t tmpfs none l; cd l; mkdir lower upper work ../m; \
                      echo x > lower/f; mkdir lower/d; echo x > lower/d/g;";

#[test]
fn an_overlay_with_handles_is_seen_like_any() {
    let options = "lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work";
    let script = format!("{LAYERS} mount -t overlay o -o {options},index=on,nfs_export=on ../m");
    mounted(&script, |run| {
        let calls = ["openat AT_FDCWD :m/f O_RDONLY", "unlink :m/d/g", "mkdir :m/d/n 0700"];
        let Some(view) = run.ops(&calls) else { return };
        assert_eq!(view.gaps, Vec::<String>::new());
        let m = run.path().join("m");
        let own: Vec<_> = view.sights.iter().filter(|sight| !sight.loose).cloned().collect();
        let view = super::View { sights: own, ..view };
        assert_eq!(facts(&view, &m), ["Create d/n/", "Delete d/g", "Open f"]);
    });
}

#[test]
fn an_overlay_without_handles_is_seen_by_its_opens_and_its_layers() {
    let options = "lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work";
    mounted(&format!("{LAYERS} mount -t overlay o -o {options} ../m"), |run| {
        let calls = [
            "openat AT_FDCWD :m/f O_RDONLY",
            "a: openat AT_FDCWD :m/new O_WRONLY|O_CREAT 0600",
            "write @a :x 1",
            "close @a",
            "mkdir :m/n 0700",
            "unlink :m/new",
        ];
        let Some(view) = run.ops(&calls) else { return };
        assert_eq!(view.gaps, Vec::<String>::new());
        let point = run.path().canonicalize().expect("it is there").join("m");
        let blind = view.blind.iter().find(|b| b.point == point.as_os_str().as_encoded_bytes());
        assert!(blind.is_some_and(|blind| blind.opens), "{:?}", view.blind);
        let merged = merged(&view, &point);
        for fact in
            ["Open /f", "Create /new", "Open /new", "Modify /new", "Create /n", "Delete /new"]
        {
            assert!(merged.contains(fact), "{fact}: {merged:?}");
        }
        // Nothing but what was done, and where it was done.
        assert!(
            merged.iter().all(|fact| {
                ["/f", "/new", "/n", "/"].iter().any(|name| fact.ends_with(&format!(" {name}")))
            }),
            "{merged:?}"
        );
    });
}

/// All that was done in an overlay, by its own names.
fn merged(view: &super::View, point: &Path) -> std::collections::BTreeSet<String> {
    let mut found = std::collections::BTreeSet::new();
    for sight in &view.sights {
        for place in std::iter::once(&sight.place).chain(&sight.also) {
            for name in view.names(place) {
                if let Some(rest) = name.strip_prefix(point.as_os_str().as_encoded_bytes()) {
                    let rest = if rest.is_empty() { b"/" } else { rest };
                    found.insert(format!("{:?} {}", sight.act, String::from_utf8_lossy(rest)));
                }
            }
        }
    }
    found
}
