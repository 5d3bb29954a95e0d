//! Links in the workspace that lead out of it when a result is restored.

use crate::build::Build;
use crate::support::Site;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const ARGS: &str = "--in in.txt --out gen/sub/out.txt --out gen/tree -- sh -c 'mkdir -p gen/sub \
                    gen/tree; read -r l < in.txt; echo made: $l > gen/sub/out.txt; \
                    echo $l > gen/tree/x; echo $$'";

/// A workspace with a result in its cache, and a directory outside of it.
fn site() -> (Site, PathBuf) {
    let site = Site::new();
    site.write("in.txt", "text\n");
    site.runs(ARGS);
    site.restores(ARGS);
    let outside = site.root().join("outside");
    fs::create_dir_all(outside.join("sub")).expect("a directory");
    fs::create_dir_all(outside.join("tree")).expect("a directory");
    fs::write(outside.join("keep"), "kept\n").expect("a file");
    (site, outside)
}

/// What is found under the outside directory.
fn found(outside: &std::path::Path) -> Vec<PathBuf> {
    let mut found = crate::support::files(outside);
    found.sort();
    found
}

#[test]
fn above_an_output() {
    for (link, target) in [
        ("gen", "../outside"),
        ("gen", "ABSOLUTE"),
        ("gen/sub", "../../outside/sub"),
        ("gen/sub", "hop"),
        ("gen/sub", "hop/../../outside/sub"),
    ] {
        let (site, outside) = site();
        let at = site.path(link);
        fs::remove_dir_all(&at).expect("a directory");
        if target.starts_with("hop") {
            symlink("../../outside/sub", site.path("gen/hop")).expect("a link");
        }
        let absolute = outside.to_str().expect("UTF-8");
        symlink(target.replace("ABSOLUTE", absolute), &at).expect("a link");
        // Nothing is restored there. The action itself may go there, as it would without a cache.
        let (end, counters) = site.run(ARGS);
        assert_eq!(counters.hits(), 0, "{link}: {}", end.show());
        assert_eq!(counters.misses.keys().collect::<Vec<_>>(), ["restore-failed"], "{link}");
        end.says("leads out of the workspace");
        assert_eq!(end.stderr.matches("warning: ").count(), 1, "{link}: {}", end.show());
        assert_eq!(site.text("gen/sub/out.txt"), "made: text\n", "{link}");
        assert_eq!(fs::read_to_string(outside.join("keep")).expect("a file"), "kept\n");
        let (again, _) = site.run(&format!("--no-cache {ARGS}"));
        assert_eq!(end.code, again.code, "{link}: {}", end.show());
    }
}

/// A link in the place of an output is replaced, and what it leads to is left alone.
#[test]
fn in_the_place_of_an_output() {
    let build = Build::new("places");
    let outside = build.site.root().join("outside");
    fs::create_dir_all(outside.join("sub")).expect("a directory");
    for name in ["secret", "other.txt", "sub/inner.txt"] {
        fs::write(outside.join(name), "secret\n").expect("a file");
    }
    build.runs("first");
    let before = found(&outside);
    for (name, target) in [
        ("out.txt", "../outside/secret"),
        ("tool", "../outside/new"),
        ("link", "../outside/secret"),
        ("tree", "../outside"),
    ] {
        build.clean();
        symlink(target, build.site.path(name)).expect("a link");
        let output = build.site.airtight(&build.args()).output().expect("airtight starts");
        let end = crate::support::End::new(&output, &build.site.root());
        assert_eq!(build.check(name, &end), "");
        assert_eq!(found(&outside), before, "{name}");
        for name in &before {
            assert_eq!(fs::read_to_string(name).expect("a file"), "secret\n");
        }
    }
}
