//! `airtight explain --why-miss`: each kind of change is named.

use crate::support::{End, Site, files, words};
use std::fs;
use std::process::Command;

const COMPILE: &str = "--in a.c --depfile a.d --out a.o -- gcc -MD -Ifirst -Iinclude -c a.c -o a.o";

fn compile() -> Site {
    let site = Site::new();
    site.write("a.c", "#include \"a.h\"\nint a = A;\n").write("include/a.h", "#define A 1\n");
    site.write("first/other.h", "");
    site
}

fn ask(site: &Site, args: &str) -> End {
    let mut all = vec!["explain", "--why-miss"];
    all.extend(&words(args)[1..]);
    let output = site.airtight(&all).output().expect("airtight starts");
    End::new(&output, &site.root())
}

/// The changes that an action is a miss for.
#[track_caller]
fn why(site: &Site, args: &str) -> Vec<String> {
    let end = ask(site, args);
    let (first, changes) = end.code(1).stdout.split_once('\n').expect("lines");
    assert!(first.starts_with("a miss, compared with what was published "), "{}", end.show());
    changes.lines().map(|line| line.trim_start().to_owned()).collect()
}

#[track_caller]
fn says(site: &Site, args: &str, code: i32, text: &str) {
    let end = ask(site, args);
    assert_eq!(end.code(code).stdout, format!("{text}\n"));
    assert_eq!(end.stderr, "");
}

/// The first digits of the SHA-256 of a file of the workspace.
fn hash(site: &Site, name: &str) -> String {
    airtight_cache::Digest::of(&site.read(name)).to_string()[..12].to_owned()
}

#[test]
fn hits_and_unknown_actions() {
    let site = compile();
    let never = "a miss: no entry: an action with these outputs in this directory was never \
                 published from this store";
    says(&site, COMPILE, 1, never);
    site.runs(COMPILE);
    says(&site, COMPILE, 0, "it is a hit in the local store");
    says(&site, "--in a.c --out b.o -- gcc -Iinclude -c a.c -o b.o", 1, never);
    let off = "no result is looked up: the cache is turned off in the settings";
    says(&site.with("AIRTIGHT_CACHE_FETCH", "false"), COMPILE, 1, off);
    // Asking counts nothing and restores nothing.
    site.remove("a.o");
    let (_, counters) = site.end(site.airtight(&["cache", "dir"]));
    assert_eq!((counters.hits(), counters.all_misses()), (0, 0));
    assert!(!site.path("a.o").exists());
}

#[test]
fn a_source_and_a_header() {
    let site = compile();
    site.runs(COMPILE);
    let [source, header] = ["a.c", "include/a.h"].map(|name| hash(&site, name));
    site.write("a.c", "#include \"a.h\"\nint b = A;\n");
    let changed = |what: &str, was: &str, name| {
        format!("{what}: changed (was {was}, is {})", hash(&site, name))
    };
    assert_eq!(why(&site, COMPILE), [changed("input a.c", &source, "a.c")]);
    site.write("include/a.h", "#define A 2\n");
    let both =
        [changed("input a.c", &source, "a.c"), changed("include/a.h", &header, "include/a.h")];
    assert_eq!(why(&site, COMPILE), both);
    site.remove("include/a.h");
    assert_eq!(why(&site, COMPILE)[1], "include/a.h: was there, is gone");
}

#[test]
fn a_new_header_earlier_on_the_include_path() {
    let site = compile();
    site.runs(COMPILE);
    site.write("first/a.h", "#define A 2\n");
    assert_eq!(why(&site, COMPILE), ["first/a.h: was absent, is there now"]);
    site.remove("first/a.h");
    says(&site, COMPILE, 0, "it is a hit in the local store");
}

#[test]
fn the_compiler_behind_the_driver() {
    let args = "--in a.c --out a.o -- gcc -Bsdk/ -c a.c -o a.o";
    let site = Site::new();
    site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"sdk\"]\n")
        .write("a.c", "int a;\n");
    let cc1 = Command::new("gcc").arg("-print-prog-name=cc1").output().expect("gcc").stdout;
    let cc1 = String::from_utf8(cc1).expect("UTF-8");
    let wrapper = |more| format!("#!/bin/sh\nexec {} {more} \"$@\"\n", cc1.trim());
    site.program("sdk/cc1", &wrapper("-DV=char"));
    site.runs(args);
    let was = hash(&site, "sdk/cc1");
    site.program("sdk/cc1", &wrapper("-DV=long"));
    let is = hash(&site, "sdk/cc1");
    assert_eq!(why(&site, args), [format!("sdk/cc1: changed (was {was}, is {is})")]);
    site.chmod("sdk/cc1", 0o644);
    let changed = format!("sdk/cc1: changed (was {was}, is {is}), and no longer executable");
    assert!(why(&site, args).contains(&changed));
}

#[test]
fn arguments_variables_and_policy() {
    let args = "--in in --out out --env TOKEN -- cp in out";
    let site = Site::new();
    site.write("in", "x");
    let site = site.with("TOKEN", "s3cret-1").with("TZ", "UTC");
    site.runs(args);
    let other = "--in in --out out --env TOKEN -- cp -p -v in out";
    assert_eq!(why(&site, other), ["arguments from 1 on: -p -v is new"]);
    let other = "--in in --out out --env TOKEN -- install in out";
    assert_eq!(why(&site, other), ["command: cp -> install"]);
    assert_eq!(why(&site.with("TZ", "UTC-5"), args), ["variable TZ: UTC -> UTC-5"]);
    assert_eq!(why(&site.with("LANG", "de_DE"), args), ["variable LANG: was not set, is de_DE"]);
    let strict = format!("--strictness all {args}");
    assert_eq!(why(&site, &strict), ["policy: other rules than then"]);
    let unsafe_option = format!("--allow-io-uring {args}");
    assert_eq!(
        why(&site, &unsafe_option),
        ["policy: other rules than then", "unsafe option allow-io-uring: in use now"]
    );
    let fixed = format!("--env MODE=fast {args}");
    assert_eq!(why(&site, &fixed), ["variable MODE: was not set, is fast"]);
    site.write("airtight.toml", "[run.environment]\npassthrough = [\"DISPLAY\"]\n");
    assert_eq!(why(&site, args), ["variable DISPLAY: passed through now"]);
}

#[test]
fn a_variable_that_may_be_a_secret() {
    let args = "--in in --out out --env TOKEN -- cp in out";
    let site = Site::new();
    site.write("in", "x");
    let (one, other) = (site.with("TOKEN", "s3cret-1"), site.with("TOKEN", "s3cret-2"));
    one.runs(args);
    assert_eq!(why(&other, args), ["variable TOKEN: another value (not shown)"]);
    assert_eq!(why(&site, args), ["variable TOKEN: was a value that is not shown, is not set"]);
    let json = ask(&other, &format!("--json {args}")).code(1).stdout.clone();
    assert!(!json.contains("s3cret"), "{json}");
    // The description holds no value either.
    for file in files(&site.store().join("keys-v1")) {
        let bytes = fs::read(&file).expect("a description");
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cret"), "{}", file.display());
    }
}

#[test]
fn declared_inputs_come_and_go() {
    let args = "--in 'in/*' --out out -- sh -c 'cat in/* > out'";
    let site = Site::new();
    site.write("in/a", "a").write("in/b", "b").link("in/l", "a");
    site.runs(args);
    site.write("in/c", "c").remove("in/b").link("in/l", "c").chmod("in/a", 0o755);
    let changes = why(&site, args);
    let expected = [
        "input in/a: executable now",
        "input in/b: gone",
        "input in/c: new",
        "input in/l: leads to c, led to a",
    ];
    assert_eq!(changes[..4], expected);
    // The directory was listed by the shell.
    assert_eq!(changes[4..], ["in: other names in this directory"]);
}

#[test]
fn the_same_in_another_directory() {
    let args = "--in in --out out -- sh -c 'pwd > out'";
    let site = Site::new();
    site.write("in", "x");
    site.runs(args);
    let other = site.at("elsewhere", "home");
    other.write("in", "x");
    assert_eq!(
        why(&other, args),
        ["(workspace): is [ROOT]/elsewhere, was [ROOT]/work; an output holds its path (relative \
          paths or -ffile-prefix-map avoid that)"]
    );
}

#[test]
fn the_nearest_of_several_is_told() {
    let args = |level: &str| format!("--in in --out out -- cp -f{level} in out");
    let site = Site::new();
    site.write("in", "x");
    for options in ["", "p", "pv", "pvT"] {
        site.runs(&args(options));
    }
    // Whichever are left, the newest is among them, and none differs by more than its options.
    for options in ["pvTu", "vpT"] {
        let changes = why(&site, &args(options));
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with("argument 1: -f"), "{changes:?}");
    }
}

#[test]
fn entries_that_can_not_be_used() {
    let args = "--in in --out out -- cp in out";
    let site = Site::new();
    site.write("in", "x\n");
    site.runs(args);
    let blob = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";
    fs::remove_file(site.store().join("cas-v1/73").join(blob)).expect("the output");
    let text = format!(
        "a miss: nothing has changed, but the entry can't be used: 1 of its blobs are gone, \
         {blob}/2 among them"
    );
    says(&site, args, 1, &text);
    site.run(args).0.silent();
    says(&site, args, 0, "it is a hit in the local store");
    // Not signed by whom the settings trust.
    let end = site.airtight(&["cache", "keygen", "-o", "key"]).output().expect("airtight starts");
    let public = String::from_utf8(end.stdout).expect("a key");
    let settings = format!("[cache]\ntrusted-keys = [{:?}]\n", public.trim_end());
    site.write("airtight.toml", settings);
    let text = "a miss: nothing has changed, but the entry can't be used: it is not signed";
    says(&site, args, 1, text);
    site.remove("airtight.toml");
    // All entries gone, the descriptions left.
    fs::remove_dir_all(site.store().join("ac-v1")).expect("entries");
    let text =
        "a miss: nothing has changed, but the entry can't be used: it was evicted or removed";
    says(&site, args, 1, text);
    // Damaged descriptions are as none.
    let descriptions = files(&site.store().join("keys-v1"));
    assert_eq!(descriptions.len(), 1);
    fs::remove_file(&descriptions[0]).expect("removed");
    fs::write(&descriptions[0], "garbage").expect("damaged");
    assert!(ask(&site, args).code(1).stdout.contains("was never published from this store"));
    assert!(!descriptions[0].exists());
}

#[test]
fn what_only_a_remote_published() {
    let site = compile();
    let directory = site.root().join("remote");
    fs::create_dir(&directory).expect("a directory");
    let remote = format!("file://{}", directory.display());
    let sharing = format!("--remote {remote} {COMPILE}");
    site.runs(&sharing);
    let other = site.at("work", "other-home");
    other.remove("a.o").fetches(&sharing);
    says(&other, COMPILE, 0, "it is a hit in the local store");
    other.write("include/a.h", "#define A 3\n");
    let end = ask(&other, COMPILE);
    assert!(end.code(1).stdout.contains("its result came from a remote"), "{}", end.show());
    // No remote is asked.
    site.write("include/a.h", "#define A 1\n");
    let third = site.at("work", "third-home");
    let end = ask(&third, COMPILE);
    assert!(end.code(1).stdout.contains("was never published"), "{}", end.show());
}

#[test]
fn a_command_line_of_a_compiler_is_declared_as_by_cc() {
    let site = compile();
    let gcc = ["gcc", "-Ifirst", "-Iinclude", "-c", "a.c", "-o", "a.o"];
    let run = || {
        let command = site.airtight(&[&["cc"], gcc.as_slice()].concat());
        site.end(command)
    };
    let (end, counters) = run();
    end.silent();
    assert_eq!(counters.published, 1);
    let args = format!("--cc -- {}", gcc.join(" "));
    says(&site, &args, 0, "it is a hit in the local store");
    site.write("first/a.h", "#define A 2\n");
    assert_eq!(why(&site, &args), ["first/a.h: was absent, is there now"]);
    let end = ask(&site, "--cc -- gcc a.o -o a");
    assert!(end.code(2).stderr.contains("`airtight cc` passes this through"), "{}", end.show());
}

#[test]
fn the_answer_as_json() {
    let site = compile();
    let json = |args: &str| -> serde_json::Value {
        let end = ask(&site, &format!("--json {args}"));
        serde_json::from_str(&end.stdout).expect("JSON")
    };
    assert_eq!(json(COMPILE)["reason"], "never-published");
    site.runs(COMPILE);
    let hit = serde_json::json!({ "version": 1, "hit": true, "reason": "hit" });
    assert_eq!(json(COMPILE), hit);
    site.write("first/a.h", "");
    let miss = json(COMPILE);
    assert_eq!((&miss["hit"], &miss["reason"]), (&false.into(), &"changed".into()));
    assert!(miss["against"]["time"].as_i64() > Some(0));
    let change = serde_json::json!({
        "kind": "path", "path": "first/a.h", "wanted": "existence", "was": "absent", "is": "there",
    });
    assert_eq!(miss["changes"], serde_json::json!([change]));
}

#[test]
fn wrong_usage() {
    let site = compile();
    for args in ["", "--in a.c", "R001 -- gcc", "--recording t -- gcc", "-- true"] {
        let end = ask(&site, args);
        assert!(!end.code(2).stderr.is_empty(), "{args}");
    }
    let run = |args: &[&str]| site.airtight(args).output().expect("airtight starts").status.code();
    assert_eq!(run(&["explain", "R001", "--in", "a.c"]), Some(2));
    assert_eq!(run(&["explain", "R001", "--format", "json"]), Some(2));
    assert_eq!(run(&["explain"]), Some(2));
}
