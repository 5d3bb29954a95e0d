//! `airtight cache` and its subcommands.

use crate::support::Site;
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The SHA-256 of "x\n".
const X: &str = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";

const COPY: &[&str] = &["run", "--in", "in", "--out", "out", "--", "cp", "in", "out"];

/// A site in which an action was published and then found again.
fn used() -> Site {
    let site = Site::new();
    site.write("in", "x\n");
    site.run(COPY).silent(0);
    site.run(COPY).silent(0);
    site
}

fn store(site: &Site) -> PathBuf {
    site.root().join("home/.cache/airtight")
}

/// The file of the blob "x\n".
fn blob(site: &Site) -> PathBuf {
    store(site).join("cas-v1").join(&X[..2]).join(X)
}

/// Writes into a file of the store.
fn damage(file: &PathBuf, content: &str) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::write(file, content).expect("damage");
}

#[test]
fn the_directory_is_told_and_not_made() {
    let site = Site::new();
    let end = site.run(&["cache", "dir"]);
    assert_eq!(end.show(), "exit 0\n--- stdout\n[ROOT]/home/.cache/airtight\n--- stderr\n");
    let mut command = site.airtight(&["cache", "dir"]);
    command.env("XDG_CACHE_HOME", site.path("caches"));
    assert_eq!(site.end(command).stdout, "[ROOT]/work/caches/airtight\n");
    for arguments in [["cache", "stats"], ["cache", "verify"], ["cache", "gc"], ["cache", "clear"]]
    {
        site.run(&arguments).code(0);
    }
    site.run(&["cache", "get", X]).code(1);
    assert!(!store(&site).exists());
    let mut command = site.airtight(&["cache", "dir"]);
    command.env_remove("HOME");
    let end = site.end(command);
    assert!(end.code(2).stderr.contains("hint: set `dir` under [cache]"), "{}", end.show());
}

#[test]
fn stats_tell_what_happened() {
    let site = Site::new();
    assert_snapshot!("stats_of_nothing", site.run(&["cache", "stats"]).show());
    let site = used();
    site.write("secret", "");
    let leaky = ["run", "--out", "other", "--", "sh", "-c", "cat secret > other"];
    site.run(&leaky).code(120);
    let end = site.run(&["cache", "stats"]);
    insta::with_settings!({filters => vec![(r"\d+\.\d KiB", "[SIZE]"), (r"\d+ blobs", "[N] blobs")]}, {
        assert_snapshot!("stats_of_some_runs", end.show());
    });
    let stats = || -> serde_json::Value {
        let end = site.run(&["cache", "stats", "--json"]);
        serde_json::from_str(&end.code(0).stdout).expect("JSON")
    };
    let told = stats();
    assert_eq!(
        (&told["version"], &told["hits"], &told["misses"]),
        (&1.into(), &1.into(), &2.into())
    );
    assert_eq!(told["store"]["path"], "[ROOT]/home/.cache/airtight");
    assert_eq!(told["store"]["limit"], 10_u64 << 30);
    assert_eq!(told["counters"]["misses"], serde_json::json!({"no-entry": 2}));
    assert_eq!(told["counters"]["not-cached"], serde_json::json!({"findings": 1}));
    let end = site.run(&["cache", "stats", "--reset"]);
    assert!(end.code(0).stdout.contains("hits                1 of 3 (33.3 %)\n"), "{}", end.show());
    let told = stats();
    assert_eq!((&told["hits"], &told["misses"]), (&0.into(), &0.into()));
    assert!(told["store"]["entries"].as_u64() > Some(0));
}

#[test]
fn blobs_go_in_and_out() {
    let site = Site::new();
    site.write("file", "x\n");
    assert_eq!(site.run(&["cache", "put", "file"]).code(0).stdout, format!("{X}/2\n"));
    assert_eq!(site.run(&["cache", "get", X]).code(0).stdout, "x\n");
    site.run(&["cache", "get", &format!("{X}/2"), "-o", "copy"]).silent(0);
    assert_eq!(site.read("copy"), "x\n");
    let other = X.replace('7', "8");
    let end = site.run(&["cache", "get", &other]);
    assert_eq!(end.code(1).stderr, "error: the local store has no such blob\n");
    for wrong in ["x", &X[1..], &X.to_uppercase()] {
        site.run(&["cache", "get", wrong]).code(2);
    }
    site.run(&["cache", "put", "absent"]).code(2);
    site.run(&["cache", "put", "."]).code(2);
}

#[test]
fn a_damaged_blob_is_never_shown() {
    for damaged in ["y\n", "longer\n", ""] {
        let site = Site::new();
        site.write("file", "x\n");
        for name in [X.to_owned(), format!("{X}/2")] {
            site.run(&["cache", "put", "file"]).code(0);
            damage(&blob(&site), damaged);
            let end = site.run(&["cache", "get", &name, "-o", "copy"]);
            assert_eq!((end.code(123).stdout.as_str(), site.path("copy").exists()), ("", false));
            assert!(end.stderr.contains("it is removed"), "{}", end.show());
            site.run(&["cache", "get", &name]).code(1);
        }
    }
}

#[test]
fn verify_finds_and_removes_damage() {
    let site = used();
    let end = site.run(&["cache", "verify"]);
    assert!(end.code(0).stdout.starts_with("2 entries and "), "{}", end.show());
    damage(&blob(&site), "y\n");
    let entries = store(&site).join("ac-v1");
    let shard = fs::read_dir(&entries).expect("entries").next().expect("one").expect("it");
    let entry = fs::read_dir(shard.path()).expect("shard").next().expect("one").expect("it");
    damage(&entry.path(), "garbage");
    fs::write(store(&site).join("cas-v1/note"), "").expect("a foreign file");
    let end = site.run(&["cache", "verify"]);
    let name = entry.path();
    let lines: Vec<&str> = end.code(1).stdout.lines().collect();
    assert!(lines[0].starts_with("[ROOT]/home/.cache/airtight/ac-v1/"), "{}", end.show());
    assert!(lines[1].contains(&format!("/cas-v1/73/{X}: its content is ")), "{}", end.show());
    assert_eq!(lines[2], "[ROOT]/home/.cache/airtight/cas-v1/note: has no business here");
    assert!(lines[3].starts_with("1 entry and "), "{}", end.show());
    let summary = "1 damaged entry removed, 1 damaged blob removed, 1 other file removed";
    assert_eq!(lines[4..], [summary]);
    assert!(!name.exists() && !blob(&site).exists());
    site.run(&["cache", "verify"]).code(0);
    let end = site.run(&["cache", "stats"]);
    assert!(end.stdout.contains("damaged             2\n"), "{}", end.show());
}

#[test]
fn the_store_shrinks_on_demand_and_is_cleared() {
    let site = used();
    let kept = site.run(&["cache", "gc"]);
    assert!(kept.code(0).stdout.starts_with("removed 0 entries and 0 blobs (0 B)\nleft    2 "));
    let end = site.run(&["cache", "gc", "--max-size", "8KiB"]);
    assert!(end.code(0).stdout.contains("\nleft    "), "{}", end.show());
    assert!(!end.stdout.starts_with("removed 0 entries and 0 blobs"), "{}", end.show());
    site.run(&["cache", "gc", "--max-size", "8"]).code(2);
    let end = site.run(&["cache", "clear"]);
    assert!(
        end.code(0).stdout.ends_with("left    0 entries and 0 blobs (0 B)\n"),
        "{}",
        end.show()
    );
    assert_eq!(
        site.run(&["cache", "clear"]).stdout,
        "removed 0 entries and 0 blobs (0 B)\nleft    0 entries and 0 blobs (0 B)\n"
    );
    site.run(COPY).silent(0);
    let end = site.run(&["cache", "stats"]);
    assert!(end.stdout.contains("hits                1 of 3"), "{}", end.show());
}

#[test]
fn a_store_that_can_not_be_written_is_told() {
    let site = used();
    fs::remove_dir_all(store(&site).join("tmp")).expect("it was there");
    fs::write(store(&site).join("tmp"), "").expect("a file in its place");
    let end = site.run(&["cache", "put", "in"]);
    // It is there already.
    end.code(0);
    site.write("new", "new");
    let end = site.run(&["cache", "put", "new"]);
    assert!(end.code(123).stderr.contains("/tmp: can't make a temporary file"), "{}", end.show());
    // Reading needs no writing.
    site.run(COPY).silent(0);
    assert_eq!(site.run(&["cache", "get", X]).code(0).stdout, "x\n");
    // What others can write to can't be trusted.
    fs::set_permissions(store(&site), fs::Permissions::from_mode(0o777)).expect("chmod");
    let end = site.run(&["cache", "get", X]);
    assert!(end.code(123).stderr.contains("others can write to it"), "{}", end.show());
}

#[test]
fn keys_are_made_once_and_sign() {
    let site = Site::new();
    let end = site.run(&["cache", "keygen"]);
    let file = site.root().join("home/.config/airtight/signing.key");
    assert_eq!(end.stderr, "private key: [ROOT]/home/.config/airtight/signing.key\n");
    let mode = |path: &PathBuf| fs::metadata(path).expect("it is there").permissions().mode();
    assert_eq!(mode(&file) & 0o777, 0o600);
    let private = fs::read_to_string(&file).expect("text");
    assert!(private.starts_with("airtight-private-key ") && private.len() == 66, "{private}");
    let public = end.code(0).stdout.trim_end().to_owned();
    assert!(public.starts_with("airtight-key ") && public.len() == 57, "{public}");
    // Never replaced, never the same.
    site.run(&["cache", "keygen"]).code(2);
    assert_eq!(fs::read_to_string(&file).expect("text"), private);
    let other = site.run(&["cache", "keygen", "-o", "other.key"]);
    assert_ne!(other.code(0).stdout.trim_end(), public);
    assert_eq!(mode(&site.path("other.key")) & 0o777, 0o600);
    std::os::unix::fs::symlink("absent", site.path("dangling")).expect("a link");
    site.run(&["cache", "keygen", "-o", "dangling"]).code(2);
    assert!(!site.path("absent").exists());
    // Signed by one, asked of the other.
    site.write("in", "x\n");
    let with = |signing: &str, trusted: &str| {
        let key = site.root().join(signing);
        let settings = format!("[cache]\nsigning-key = {key:?}\ntrusted-keys = [{trusted:?}]\n");
        site.write("airtight.toml", settings);
    };
    with("home/.config/airtight/signing.key", &public);
    site.run(COPY).silent(0);
    site.run(COPY).silent(0);
    let hits = || {
        let end = site.run(&["cache", "stats", "--json"]);
        let stats: serde_json::Value = serde_json::from_str(&end.stdout).expect("JSON");
        (stats["hits"].clone(), stats["counters"]["misses"].clone())
    };
    assert_eq!(hits(), (1.into(), serde_json::json!({"no-entry": 1})));
    with("work/other.key", other.stdout.trim_end());
    let end = site.run(COPY);
    assert!(end.code(0).stderr.contains("signed by a key that is not trusted"), "{}", end.show());
    assert_eq!(hits(), (1.into(), serde_json::json!({"no-entry": 1, "untrusted": 1})));
}
