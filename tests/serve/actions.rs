//! Actions that are looked for, run, judged and published.

use crate::support::{Client, Site, compilation, end, script};
use serde_json::{Value, json};
use std::fs;

#[test]
fn who_serves_is_told() {
    let site = Site::new();
    let shared = format!("file://{}", site.path("shared").display());
    let daemon = site.daemon(&["--remote", &shared]);
    let hello = site.client().ask(json!({"hello": {"protocol": 1}}))["hello"].clone();
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        "pid": daemon.pid(),
        "cache": true,
        "remotes": [{"name": shared, "fetch": true, "push": true}],
        "tracing": true,
    });
    assert_eq!(hello, expected);
    let (code, what) = site.client().fails(json!({"hello": {"protocol": 2}}));
    assert_eq!(
        (code.as_str(), what.as_str()),
        ("protocol", "protocol 2 is not spoken here, but 1")
    );
}

#[test]
fn a_compilation_is_run_once_and_restored_elsewhere() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = compilation(&site, "one");
    compilation(&site, "two");

    let miss = site.lookup(&mut client, &action, "one")["miss"].clone();
    assert_eq!((&miss["reason"], &miss["notes"]), (&json!("no-entry"), &json!([])), "{miss}");

    site.write("one/a.o", "stale");
    let begun = client.ask(json!({"begin": {"action": action, "caller": site.caller("one")}}));
    let run = &begun["run"];
    assert_eq!(run["key"], miss["key"]);
    assert_eq!(run["deleted"], json!([site.path("one/a.o")]));
    assert_eq!(run["cwd"], json!(site.path("one")));
    assert_eq!(run["environment"]["TMPDIR"], run["tmpdir"]);
    let names: Vec<&String> = run["environment"].as_object().expect("variables").keys().collect();
    assert_eq!(names, ["PATH", "TMPDIR"], "nothing of the daemon's own");
    let tmpdir = run["tmpdir"].as_str().expect("text").to_owned();
    assert_eq!(fs::read_dir(&tmpdir).expect("a directory").count(), 0);

    let judged = site.carry_out(&mut client, &begun);
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(0), &json!(true)), "{judged}");
    assert_eq!(judged["text"], "");
    assert_eq!(judged["report"]["cacheable"], true);
    assert!(!fs::exists(&tmpdir).expect("/tmp"), "it is removed when the run has ended");

    let hit = site.lookup(&mut client, &action, "two")["hit"].clone();
    assert_eq!((&hit["from"], &hit["restored"]), (&json!("local"), &json!(true)), "{hit}");
    assert_eq!((&hit["key"], &hit["outputs"]), (&judged["key"], &json!(["a.o"])));
    assert_eq!(site.read("two/a.o"), site.read("one/a.o"));
    assert_eq!(site.mode("two/a.o"), site.mode("one/a.o"));

    // And begin restores as well.
    fs::remove_file(site.path("one/a.o")).expect("it was made");
    let begun = client.ask(json!({"begin": {"action": action, "caller": site.caller("one")}}));
    assert_eq!(begun["hit"]["key"], judged["key"], "{begun}");
    assert_eq!(site.read("two/a.o"), site.read("one/a.o"));

    // A changed header is a miss.
    site.write("one/a.h", "#define N 8\n");
    assert_eq!(site.lookup(&mut client, &action, "one")["miss"]["reason"], "no-entry");
}

#[test]
fn modes_and_streams_come_back_and_nothing_is_written_unasked() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo made > out; chmod 751 out; printf '\\377'; echo told >&2", &["out"]);
    let caller = site.caller("one");
    let begun = client.ask(json!({"begin": {"action": action, "caller": caller}}));
    let output = site.trace(&begun["run"]);
    // As files: that is how a client passes on what it has not in memory.
    site.write("stdout", &output.stdout).write("stderr", &output.stderr);
    let request = json!({"end": {
        "token": begun["run"]["token"],
        "exit": 0,
        "duration_ms": 1234,
        "stdout": {"file": site.path("stdout")},
        "stderr": {"file": site.path("stderr")},
    }});
    assert_eq!(client.ask(request)["judged"]["published"], true);
    let caller = site.caller("two");
    let request = json!({"lookup": {"action": action, "caller": caller, "restore": false}});
    let hit = client.ask(request)["hit"].clone();
    assert_eq!(hit["restored"], false);
    assert!(!site.path("two/out").exists());
    let hit = site.lookup(&mut client, &action, "two")["hit"].clone();
    assert_eq!(hit["stdout"], json!({"base64": "/w=="}));
    assert_eq!(hit["stderr"], json!({"text": "told\n"}));
    assert_eq!(hit["duration_ms"], 1234);
    assert_eq!((site.read("two/out"), site.mode("two/out")), (b"made\n".to_vec(), 0o751));
}

#[test]
fn an_undeclared_read_is_found_and_not_published() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let mut action = compilation(&site, "one");
    action["inputs"] = json!(["a.c"]);
    action["declared_at"] = json!("SConstruct:12");
    let judged = site.run(&mut client, &action, "one");
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(120), &json!(false)), "{judged}");
    assert_eq!(judged["reason"], "findings");
    assert_eq!(failing(&judged), [("R001".to_owned(), "a.h".to_owned())], "{judged}");
    let text = judged["text"].as_str().expect("text");
    assert!(text.starts_with("error[R001]: "), "{text}");
    assert!(text.contains("declared at SConstruct:12"), "{text}");
    assert_eq!(site.lookup(&mut client, &action, "one")["miss"]["reason"], "no-entry");
    assert_eq!(site.published(&mut client), 0);
}

/// Rule and subject of each finding that fails.
fn failing(judged: &Value) -> Vec<(String, String)> {
    let findings = judged["report"]["verdict"]["findings"].as_array().expect("findings");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = findings.iter().filter(|finding| finding["severity"] == "error");
    errors.map(|finding| (text(&finding["rule"]), text(&finding["subject"]))).collect()
}

#[test]
fn what_is_not_verified_is_not_published() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();

    let judged = site.run(&mut client, &script("echo 1 > out; exit 3", &["out"]), "one");
    assert_eq!((&judged["exit"], &judged["reason"]), (&json!(3), &json!("failed")), "{judged}");

    let judged = site.run(&mut client, &script(":", &["out"]), "one");
    let expected = (&json!(122), &json!("output-missing"));
    assert_eq!((&judged["exit"], &judged["reason"]), expected, "{judged}");

    // A declared input that changes after the key was made.
    site.write("one/in", "before");
    let action = json!({
        "argv": ["sh", "-c", "cat in > out"],
        "inputs": ["in"],
        "outputs": ["out"],
    });
    let caller = site.caller("one");
    let begun = client.ask(json!({"begin": {"action": action, "caller": caller}}));
    site.write("one/in", "after!");
    let judged = site.carry_out(&mut client, &begun);
    assert_eq!(judged["reason"], "input-changed", "{judged}");

    // What was written to the streams is not known.
    let action = script("echo 1 > out", &["out"]);
    let begun = client.ask(json!({"begin": {"action": action, "caller": caller}}));
    let output = site.trace(&begun["run"]);
    let mut request = end(&begun["run"], &output);
    request["end"]["stdout"] = Value::Null;
    let judged = client.ask(request)["judged"].clone();
    assert_eq!((&judged["exit"], &judged["reason"]), (&json!(0), &json!("output-unfit")));

    // The client has stopped it.
    let begun = client.ask(json!({"begin": {"action": action, "caller": caller}}));
    let mut request = end(&begun["run"], &site.trace(&begun["run"]));
    request["end"]["timed_out"] = json!(true);
    let judged = client.ask(request)["judged"].clone();
    assert_eq!((&judged["exit"], &judged["reason"]), (&json!(124), &json!("timed-out")));

    // Nothing to restore: only judged.
    let judged = site.run(&mut client, &script(":", &[]), "one");
    assert_eq!((&judged["exit"], &judged["reason"]), (&json!(0), &json!("not-cacheable")));
    assert_eq!(judged["why"], "no outputs are declared");
    assert_eq!(site.published(&mut client), 0);
}

#[test]
fn tracked_variables_are_those_of_the_client() {
    let site = Site::new();
    let mut command = site.serve(&[]);
    command.env("SETTING", "of the daemon");
    let _daemon = crate::support::Daemon::start(command);
    let mut client = site.client();
    let mut action = script("echo \"$SETTING\" > out", &["out"]);
    action["environment"] = json!({"tracked": ["SETTING"]});
    let with = |value: Option<&str>| {
        let mut caller = site.caller("one");
        if let Some(value) = value {
            caller["variables"]["SETTING"] = json!(value);
        }
        caller
    };
    let mut keys = Vec::new();
    for value in [None, Some("1"), Some("2")] {
        let request = json!({"begin": {"action": action, "caller": with(value)}});
        let begun = client.ask(request);
        assert_eq!(begun["run"]["environment"]["SETTING"], json!(value), "{begun}");
        keys.push(begun["run"]["key"].clone());
        let judged = site.carry_out(&mut client, &begun);
        assert_eq!(judged["published"], true, "{judged}");
        assert_eq!(site.read("one/out"), format!("{}\n", value.unwrap_or_default()).into_bytes());
    }
    keys.dedup();
    assert_eq!(keys.len(), 3);
    let request = json!({"lookup": {"action": action, "caller": with(Some("1"))}});
    assert!(client.ask(request)["hit"].is_object());
    assert_eq!(site.read("one/out"), b"1\n");
}

#[test]
fn a_remote_gives_what_the_local_store_lacks() {
    let site = Site::new();
    let shared = format!("file://{}", site.path("shared").display());
    fs::create_dir(site.path("shared")).expect("a directory");
    let action = compilation(&site, "one");
    compilation(&site, "two");
    let daemon = site.daemon(&["--remote", &shared]);
    let mut client = site.client();
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);
    client.ask(json!({"shutdown": {}}));
    assert_eq!(daemon.end(), Some(0));

    let mut command = site.serve(&["--remote", &shared]);
    command.env("XDG_CACHE_HOME", site.path("other-cache"));
    let _daemon = crate::support::Daemon::start(command);
    let mut client = Client::connect(&site.socket());
    let hit = site.lookup(&mut client, &action, "two")["hit"].clone();
    assert_eq!(hit["from"], json!(shared), "{hit}");
    assert_eq!(site.read("two/a.o"), site.read("one/a.o"));
    let hit = site.lookup(&mut client, &action, "two")["hit"].clone();
    assert_eq!(hit["from"], "local");
}

#[test]
fn a_result_is_run_again_when_that_is_asked_for() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo 1 > out", &["out"]);
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);
    let caller = site.caller("one");
    let request = json!({"begin": {"action": action, "caller": caller, "refresh": true}});
    let begun = client.ask(request);
    assert_eq!(begun["run"]["reason"], "refreshed", "{begun}");
    assert_eq!(site.carry_out(&mut client, &begun)["published"], true);
    assert_eq!(site.published(&mut client), 2);
}

#[test]
fn a_hit_that_is_run_again_must_give_the_same() {
    let site = Site::new();
    site.write("one/airtight.toml", "[cache]\nverify-hits = 100.0\n");
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    // What it makes depends on something that no key holds.
    let action = json!({
        "argv": ["sh", "-c", "echo \"$HIDDEN\" > out"],
        "outputs": ["out"],
        "environment": {"passthrough": ["HIDDEN"]},
    });
    let begin = |client: &mut Client, hidden: &str| {
        let mut caller = site.caller("one");
        caller["variables"]["HIDDEN"] = json!(hidden);
        client.ask(json!({"begin": {"action": action, "caller": caller}}))
    };
    let begun = begin(&mut client, "1");
    assert_eq!(begun["run"]["reason"], "no-entry");
    assert_eq!(site.carry_out(&mut client, &begun)["published"], true);
    let begun = begin(&mut client, "1");
    assert_eq!(begun["run"]["reason"], "sampled", "{begun}");
    assert_eq!(site.carry_out(&mut client, &begun)["published"], true);
    let begun = begin(&mut client, "2");
    assert_eq!(begun["run"]["reason"], "sampled");
    let judged = site.carry_out(&mut client, &begun);
    assert_eq!(
        (&judged["published"], &judged["reason"]),
        (&json!(false), &json!("not-deterministic"))
    );
    let text = judged["text"].as_str().expect("text");
    assert!(text.contains("out differs between two runs of out"), "{text}");
    // Neither result is given to anybody.
    assert!(site.lookup(&mut client, &action, "one")["miss"].is_object());
}

#[test]
fn a_result_that_is_held_is_written_when_its_turn_has_come() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo one > a; echo two > b", &["a", "b"]);
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);

    let mut held = || {
        let caller = site.caller("two");
        let lookup = json!({"action": action, "caller": caller, "restore": false, "hold": true});
        client.ask(json!({"lookup": lookup}))["hit"].clone()
    };
    let (hit, other) = (held(), held());
    assert_eq!((&hit["restored"], &hit["outputs"]), (&json!(false), &json!(["a", "b"])), "{hit}");
    assert!(!fs::exists(site.path("two/a")).expect("two"), "it has waited");
    let tokens = client.ask(json!({"stats": {}}))["stats"]["tokens"].clone();
    assert_eq!(tokens, 2);

    assert_eq!(client.ask(json!({"restore": {"token": hit["token"]}}))["done"], json!({}));
    assert_eq!((site.read("two/a"), site.read("two/b")), (b"one\n".into(), b"two\n".into()));
    let (code, _) = client.fails(json!({"restore": {"token": hit["token"]}}));
    assert_eq!(code, "unknown-token", "once");
    assert_eq!(client.ask(json!({"abort": {"token": other["token"]}}))["done"], json!({}));
    let stats = client.ask(json!({"stats": {}}))["stats"].clone();
    assert_eq!((&stats["tokens"], &stats["store"]["local-hits"]), (&json!(0), &json!(1)));

    // The store goes away in between.
    fs::remove_file(site.path("two/a")).expect("it was made");
    fs::remove_file(site.path("two/b")).expect("it was made");
    let caller = site.caller("two");
    let lookup = json!({"action": action, "caller": caller, "restore": false, "hold": true});
    let hit = client.ask(json!({"lookup": lookup}))["hit"].clone();
    let store = site.path("cache/airtight");
    fs::rename(&store, site.path("cache/elsewhere")).expect("the store is there");
    let miss = client.ask(json!({"restore": {"token": hit["token"]}}))["miss"].clone();
    assert_eq!(miss["reason"], "blob-missing", "{miss}");
    assert!(!fs::exists(site.path("two/a")).expect("two"));
}

#[test]
fn what_was_looked_for_is_not_looked_for_again() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo made > out", &["out"]);
    let miss = site.lookup(&mut client, &action, "one")["miss"].clone();
    let caller = site.caller("one");
    let begin = json!({"begin": {"action": action, "caller": caller, "searched": true}});
    let begun = client.ask(begin.clone());
    assert_eq!((&begun["run"]["key"], &begun["run"]["reason"]), (&miss["key"], &json!("no-entry")));
    assert_eq!(site.carry_out(&mut client, &begun)["published"], true);
    // Though there is one by now.
    let begun = client.ask(begin);
    assert!(begun["run"].is_object(), "{begun}");
    let stats = client.ask(json!({"stats": {}}))["stats"].clone();
    assert_eq!(stats["store"]["misses"], json!({"no-entry": 1}), "{stats}");
}

#[test]
fn a_run_that_wants_no_cache_is_judged_only() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo made > out", &["out"]);
    let caller = site.caller("one");
    let begin = json!({"begin": {"action": action, "caller": caller, "cache": false}});
    let begun = client.ask(begin.clone());
    let why = "the client wants no cache";
    let run = &begun["run"];
    assert_eq!((&run["reason"], &run["uncacheable"]), (&json!("disabled"), &json!(why)));
    let judged = site.carry_out(&mut client, &begun);
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(0), &json!(false)), "{judged}");
    assert_eq!((&judged["reason"], &judged["why"]), (&json!("not-cacheable"), &json!(why)));
    // Nor is one taken.
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);
    assert!(client.ask(begin)["run"].is_object());
}
