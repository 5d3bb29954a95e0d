//! `airtight cache` and its subcommands.

use crate::support::{End, Site};
use insta::assert_snapshot;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    // What explains misses is looked at, too.
    let description = all_in(&store(&site).join("keys-v1")).remove(0);
    damage(&description, "garbage");
    let end = site.run(&["cache", "verify"]);
    assert!(end.code(1).stdout.ends_with("1 damaged entry removed\n"), "{}", end.show());
    assert!(!description.exists());
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
    let descriptions = all_in(&store(&site).join("keys-v1"));
    assert!(descriptions.iter().all(|path| path.is_dir()), "{descriptions:?}");
    assert_eq!(
        site.run(&["cache", "clear"]).stdout,
        "removed 0 entries and 0 blobs (0 B)\nleft    0 entries and 0 blobs (0 B)\n"
    );
    site.run(COPY).silent(0);
    let end = site.run(&["cache", "stats"]);
    assert!(end.stdout.contains("hits                1 of 3"), "{}", end.show());
}

/// Everything in a directory, and itself, the inner first.
fn all_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(all_in(&path)),
            false => found.push(path),
        }
    }
    found.push(directory.to_owned());
    found
}

/// Takes away the right to write from a store, or gives it back.
fn set_writable(store: &Path, writable: bool) {
    // From the outer to the inner, so that each can be reached.
    let mut open = vec![store.to_owned()];
    while let Some(path) = open.pop() {
        let is_directory = path.is_dir();
        let mode = match (is_directory, writable) {
            (true, true) => 0o700,
            (true, false) => 0o500,
            (false, true) => 0o600,
            (false, false) => 0o400,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        if is_directory {
            open.extend(fs::read_dir(path).expect("it").map(|entry| entry.expect("it").path()));
        }
    }
}

/// `airtight` as somebody whose rights count: root's don't. Then everything belongs to nobody.
fn ordinary(site: &Site, args: &[&str]) -> End {
    // What root has in its PATH may be out of reach.
    let path = ("PATH", "/usr/bin:/bin");
    if !nix::unistd::geteuid().is_root() {
        let mut command = site.airtight(args);
        command.env(path.0, path.1);
        return site.end(command);
    }
    const NOBODY: u32 = 65534;
    for path in all_in(&site.root()) {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    // The program may lie where only root can go.
    let program = site.root().join("airtight");
    if !program.exists() {
        // By a program: a file that this process has open for writing, even for a moment, can't be
        // executed while another test forks.
        let copy = Command::new("cp").arg(env!("CARGO_BIN_EXE_airtight")).arg(&program).status();
        assert!(copy.expect("cp").success());
    }
    let drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let own = site.airtight(&[]);
    let mut command = Command::new("setpriv");
    command.args(drop).arg(program).args(args).current_dir(site.path("")).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env(path.0, path.1);
    site.end(command)
}

#[test]
fn a_store_that_can_only_be_read() {
    let site = Site::new();
    site.write("in", "x\n").write("new", "new");
    let run = |args: &[&str]| ordinary(&site, args);
    run(COPY).silent(0);
    set_writable(&store(&site), false);
    // Reading needs no writing.
    let stats = run(&["cache", "stats"]).stdout;
    run(COPY).silent(0);
    assert_eq!(run(&["cache", "stats"]).stdout, stats);
    assert_eq!(run(&["cache", "get", X]).code(0).stdout, "x\n");
    for reading in ["stats", "verify", "gc", "dir"] {
        run(&["cache", reading]).code(0);
    }
    let end = run(&["cache", "explain-key", "--in", "in", "--out", "out", "--", "cp", "in", "out"]);
    assert!(end.code(0).stdout.contains("  an entry\n"), "{}", end.show());
    let end = run(&["cache", "put", "new"]);
    assert!(end.code(123).stderr.contains("choose another directory"), "{}", end.show());
    let end = run(&["cache", "clear"]);
    assert!(end.code(123).stderr.contains("files can't be removed"), "{}", end.show());
    let end = run(&["doctor"]);
    assert!(end.code(0).stdout.contains("airtight: can't be written: "), "{}", end.show());
    damage(&blob(&site), "y\n");
    run(&["cache", "get", X]).code(123);
    let end = run(&["cache", "verify"]);
    let summary = "1 damaged blob removed, 1 could not be read or removed\n";
    assert!(end.code(1).stdout.ends_with(summary), "{}", end.show());
    set_writable(&store(&site), true);
}

#[test]
fn a_store_that_others_can_write_to_is_refused() {
    let site = used();
    fs::set_permissions(store(&site), fs::Permissions::from_mode(0o777)).expect("chmod");
    for args in [["cache", "stats"], ["cache", "verify"], ["cache", "clear"]] {
        let end = site.run(&args);
        assert!(end.code(123).stderr.contains("others can write to it"), "{}", end.show());
    }
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

#[test]
fn entries_are_shown_with_where_they_come_from() {
    let site = Site::new();
    site.write("sub/in", "x\n");
    let script = "echo said; cp in ../out; mkdir gen; ln -s ../out gen/link";
    let run = ["run", "--in", "in", "--out", "../out", "--out", "gen", "--", "sh", "-c", script];
    let mut command = site.airtight(&run);
    command.current_dir(site.path("sub"));
    let keygen = site.run(&["cache", "keygen", "-o", "key"]);
    let public = keygen.code(0).stdout.trim_end().strip_prefix("airtight-key ").expect("a key");
    site.write("airtight.toml", "[cache]\nsigning-key = \"key\"\n");
    site.end(command).code(0);
    let mut keys: Vec<String> = Vec::new();
    for shard in fs::read_dir(store(&site).join("ac-v1")).expect("entries") {
        for entry in fs::read_dir(shard.expect("it").path()).expect("a shard") {
            keys.push(entry.expect("it").file_name().into_string().expect("UTF-8"));
        }
    }
    let shown: Vec<serde_json::Value> = keys
        .iter()
        .map(|key| {
            let end = site.run(&["cache", "get", "--entry", key]);
            serde_json::from_str(&end.code(0).stdout).expect("JSON")
        })
        .collect();
    let strong = shown.iter().position(|entry| entry["key"].is_string()).expect("a result");
    let (result, weak) = (&shown[strong], &shown[1 - strong]);
    assert_eq!(weak["path_sets"].as_array().expect("a list").len(), 1);
    assert!(result["key"].as_str().expect("text").starts_with(&keys[strong]));
    let file = serde_json::json!({ "path": "out", "digest": format!("{X}/2"), "mode": "644" });
    assert_eq!(result["files"], serde_json::json!([file]));
    assert_eq!(result["directories"][0]["path"], "sub/gen");
    assert!(result["stdout"].as_str().expect("a digest").ends_with("/5"));
    assert_eq!(result["stderr"], serde_json::Value::Null);
    assert_eq!(result["checked"], true);
    assert!(result["signer"].as_str().expect("a key").contains(public), "{result}");
    assert_eq!(result["provenance"]["backend"], "ptrace");
    // Without the messages of the action, as after a hit in a remote.
    let blobs = store(&site).join("cas-v1").join(&keys[strong][..2]).join(&keys[strong]);
    fs::remove_file(blobs).expect("the action");
    let end = site.run(&["cache", "get", "--entry", &keys[strong], "-o", "entry.json"]);
    end.silent(0);
    let result: serde_json::Value = serde_json::from_str(&site.read("entry.json")).expect("JSON");
    assert_eq!((&result["checked"], &result["signer"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(result["files"][0]["path"], "../out");
    // Under another key it is damage, and so is a flipped bit.
    let entries = store(&site).join("ac-v1");
    let of = |key: &str| entries.join(&key[..2]).join(key);
    fs::rename(of(&keys[strong]), of(&keys[1 - strong])).expect("moved");
    site.run(&["cache", "get", "--entry", &keys[1 - strong]]).code(123);
    fs::write(of(&keys[strong]), "garbage").expect("damage");
    let end = site.run(&["cache", "get", "--entry", &keys[strong]]);
    assert!(end.code(123).stderr.contains("damaged"), "{}", end.show());
    let end = site.run(&["cache", "get", "--entry", &keys[strong]]);
    assert_eq!(end.code(1).stderr, "error: the local store has no such entry\n");
}

#[test]
fn a_key_is_explained() {
    let site = Site::new();
    site.write("airtight.toml", "[policy.scopes]\ntoolchain = [\"/\"]\n");
    site.write("in", "x\n").write("sub/tool", "");
    let explain = |more: &[&str], command: &[&str]| {
        let args = [&["cache", "explain-key"], more, &["--"], command].concat();
        let mut command = site.airtight(&args);
        command.env("PATH", "/usr/bin:/bin").env("TOKEN", "s3cret");
        site.end(command)
    };
    let declared = ["--in", "in", "--out", "out", "--env", "TOKEN", "--env", "MODE=a b"];
    let end = explain(&declared, &["cp", "in", "out"]);
    insta::with_settings!({filters => vec![
        (r"policy [0-9a-f]{64}/\d+", "policy [DIGEST]"),
        (r"weak key    [0-9a-f]{64}/\d+", "weak key    [DIGEST]"),
        (r"ISA=\S+", "ISA=[ISA]"),
    ]}, {
        assert_snapshot!("the_key_of_a_copy", end.show());
    });
    assert!(!end.stdout.contains("s3cret"));
    let end = explain(&[&["--values"], declared.as_slice()].concat(), &["cp", "in", "out"]);
    assert!(end.code(0).stdout.contains("variable    TOKEN=s3cret\n"), "{}", end.show());
    // Nothing was run.
    assert!(!site.path("out").exists());
    let absolute = site.path("in").display().to_string();
    let end = explain(&declared, &["cp", &absolute, "out"]);
    assert!(
        end.code(0).stdout.ends_with(
            "warning: argument 1: [ROOT]/work/in names the workspace\n  \
             hint: use relative paths, so that other checkouts share the key\n"
        ),
        "{}",
        end.show()
    );
    let end = explain(&["--out", "../out"], &["cp", "in", "../out"]);
    assert!(end.code(2).stderr.contains("is outside of the workspace"), "{}", end.show());
    explain(&["--in", "in"], &["cat", "in"]).code(2);
    site.run(&["cache", "explain-key", "--out", "out"]).code(2);
}

#[test]
fn path_sets_and_entries_are_explained() {
    let site = Site::new();
    site.write("in", "x\n");
    let declared = ["--in", "in", "--out", "out", "--", "sh", "-c", "cat in > out; pwd >> out"];
    let explain = || {
        let end = site.run(&[&["cache", "explain-key", "--json"], declared.as_slice()].concat());
        serde_json::from_str::<serde_json::Value>(&end.code(0).stdout).expect("JSON")
    };
    let before = explain();
    assert_eq!((&before["version"], &before["path_sets"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(before["outputs"], serde_json::json!(["out"]));
    let input = serde_json::json!([{ "path": "in", "is": format!("file {X}/2") }]);
    assert_eq!(before["inputs"], input);
    site.run(&[&["run"], declared.as_slice()].concat()).silent(0);
    let after = explain();
    assert_eq!(after["weak"], before["weak"]);
    let set = &after["path_sets"][0];
    assert_eq!(set["entry"], "whole");
    let paths = set["paths"].as_array().expect("paths");
    let workspace = serde_json::json!(
        { "path": "", "wanted": "its own path", "state": "\"[ROOT]/work\"" }
    );
    assert!(paths.contains(&workspace), "{set}");
    let warning = after["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("an output holds the absolute path"), "{warning}");
    let strong = set["strong"].as_str().expect("a key");
    site.run(&["cache", "get", "--entry", strong]).code(0);
    let end = site.run(&[&["cache", "explain-key"], declared.as_slice()].concat());
    assert!(end.code(0).stdout.contains(&format!("strong key {strong}  an entry\n")));
    assert!(end.stdout.contains("-ffile-prefix-map"), "{}", end.show());
    // Another state leads to another key.
    std::os::unix::fs::symlink("x", site.path("in2")).expect("a link");
    fs::remove_file(blob(&site)).ok();
    site.run(&["cache", "gc", "--max-size", "1B"]).code(0);
    assert_eq!(explain()["path_sets"], serde_json::json!([]));
}

#[test]
fn doctor_tells_of_the_cache() {
    let site = Site::new();
    let checks = |args: &[&str]| {
        let end = site.run(&[&["doctor", "--format", "json"], args].concat());
        let answer: serde_json::Value = serde_json::from_str(&end.stdout).expect("JSON");
        let checks = answer["checks"].as_array().expect("checks").clone();
        move |name: &str| -> Vec<(String, String)> {
            let of = |check: &&serde_json::Value| check["name"] == name;
            let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
            let facts = |check: &serde_json::Value| (text(&check["state"]), text(&check["found"]));
            checks.iter().filter(of).map(facts).collect()
        }
    };
    let ok = |text: &str| vec![("ok".to_owned(), text.to_owned())];
    let found = checks(&[]);
    let text = "[ROOT]/home/.cache/airtight will be made; it may hold 10.0 GiB";
    assert_eq!(found("cache"), ok(text));
    assert_eq!((found("reflink").len(), found("remote").len()), (1, 0));
    assert!(!store(&site).exists());
    site.run(&["cache", "put", "/dev/null"]).code(2);
    site.write("in", "x");
    site.run(&["cache", "put", "in"]).code(0);
    let text = "[ROOT]/home/.cache/airtight holds 4.0 KiB of 10.0 GiB";
    assert_eq!(checks(&[])("cache"), ok(text));
    // A remote is asked only when that is wanted.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/x", listener.local_addr().expect("an address"));
    let settings =
        format!("[[cache.remote]]\nurl = \"{url}\"\nconnect-timeout = \"1s\"\nretries = 0\n");
    site.write("airtight.toml", settings);
    assert_eq!(checks(&[])("remote"), ok("1 in the settings; --remotes asks it"));
    drop(listener);
    let asked = checks(&["--remotes"])("remote");
    assert_eq!((asked.len(), asked[0].0.as_str()), (1, "degraded"), "{asked:?}");
    let remote = site.root().join("remote");
    fs::create_dir(&remote).expect("a directory");
    let url = format!("file://{}", remote.display());
    site.write("airtight.toml", format!("[[cache.remote]]\nurl = \"{url}\"\n"));
    assert_eq!(checks(&["--remotes"])("remote"), ok("file://[ROOT]/remote answers"));
    site.write("airtight.toml", "[cache]\nenabled = false\n");
    assert_eq!(checks(&[])("cache"), ok("turned off in the settings"));
    site.write("airtight.toml", "cache = 1\n");
    let found = checks(&[])("settings");
    assert_eq!(found[0].0, "missing");
    site.write("airtight.toml", "");
    fs::set_permissions(store(&site), fs::Permissions::from_mode(0o770)).expect("chmod");
    let found = checks(&[])("cache");
    assert_eq!(found[0].0, "degraded");
    assert!(found[0].1.contains("others can write to it"), "{found:?}");
}
