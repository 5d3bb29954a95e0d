//! Actions that are several commands, each with a recording of its own.

use crate::support::{Client, Site, airtight};
use serde_json::{Value, json};
use std::path::Path;

/// An action of several commands; `caller` says that it comes from SCons.
fn begin(site: &Site, client: &mut Client, outputs: &[&str]) -> Value {
    let mut caller = site.caller("one");
    caller["build_system"] = json!("scons");
    let action = json!({
        "argv": ["scons", "all of it"],
        "inputs": ["in"],
        "outputs": outputs,
        "side_effects": ["log"],
        "environment": {"tracked": ["PATH"]},
        "declared_at": "SConstruct:7",
    });
    let request = json!({"action": action, "caller": caller, "keep": true, "refresh": true});
    client.ask(json!({"begin": request}))["run"].clone()
}

/// Runs one command of it. Gives the step for `end`.
fn step(site: &Site, run: &Value, number: usize, script: &str) -> Value {
    let recording = format!("{}.{number}", run["recording"].as_str().expect("text"));
    let status = site
        .command(airtight())
        .args(["trace", "--transparent", "-o", &recording, "--", "sh", "-c", script])
        .status();
    assert!(status.expect("airtight starts").success(), "{script}");
    json!({"recording": recording, "argv": ["sh", "-c", script]})
}

fn found(judged: &Value) -> Vec<(String, String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or("").to_owned();
    let findings = judged["report"]["verdict"]["findings"].as_array().expect("a list");
    let told = findings.iter().filter(|f| f["severity"] == "error" || f["severity"] == "warn");
    told.map(|f| (text(f, "rule"), text(f, "subject"), text(f, "fix"))).collect()
}

#[test]
fn steps_are_judged_as_one_recording_and_published() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    site.write("one/in", "content\n").write("one/out", "old").write("one/log", "before\n");
    let run = begin(&site, &mut client, &["out"]);
    assert_eq!((&run["deleted"], site.read("one/out")), (&json!([]), b"old".to_vec()), "kept");
    let steps = [
        step(&site, &run, 0, "cat in > between"),
        step(&site, &run, 1, "cat between > new; mv new out"),
        step(&site, &run, 2, "rm between; echo more >> log"),
    ];
    let empty = json!({"text": ""});
    let end = json!({"token": run["token"], "exit": 0, "steps": steps, "stdout": empty,
        "stderr": empty});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    assert_eq!(found(&judged), [], "{judged}");
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(0), &json!(true)), "{judged}");
    for step in &steps {
        let recording = step["recording"].as_str().expect("text");
        assert!(!Path::new(recording).exists(), "{recording} is removed");
    }
}

#[test]
fn what_any_step_does_is_found_and_told_in_the_words_of_scons() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    site.write("one/in", "content\n").write("one/it's", "").write("one/looked-at", "");
    let run = begin(&site, &mut client, &["out", "never-made"]);
    let steps = [
        step(&site, &run, 0, "cat in \"it's\" > out"),
        step(&site, &run, 1, "test -f looked-at; echo > left"),
    ];
    let end = json!({"token": run["token"], "exit": 0, "steps": steps});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    let expected = [
        ("R001", "it's", "Depends('out', 'it\\'s')"),
        ("R007", "looked-at", "Requires('out', 'looked-at')"),
        ("W001", "left", "SideEffect('left', 'out')"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(found(&judged), expected, "a target that is not made is usual: {judged}");
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(120), &json!(false)));
}

#[test]
fn limits_and_foreign_steps_keep_a_result_from_being_published() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    site.write("one/in", "content\n");
    let empty = json!({"text": ""});

    let run = begin(&site, &mut client, &["out"]);
    let steps = [step(&site, &run, 0, "cat in > out")];
    let end = json!({"token": run["token"], "exit": 0, "steps": steps, "limits": ["half seen"],
        "stdout": empty, "stderr": empty});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(0), &json!(false)), "{judged}");
    assert_eq!((&judged["reason"], &judged["why"]), (&json!("not-cacheable"), &json!("half seen")));

    // A side effect may be read, but what comes of it depends on who came before.
    site.write("one/log", "before\n");
    let run = begin(&site, &mut client, &["out"]);
    let steps = [step(&site, &run, 0, "cat in log > out; echo more >> log")];
    let end = json!({"token": run["token"], "exit": 0, "steps": steps, "stdout": empty,
        "stderr": empty});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    assert_eq!((&judged["exit"], &judged["published"]), (&json!(0), &json!(false)), "{judged}");
    assert_eq!(judged["report"]["verdict"]["uncacheable"], json!(["it read log, a side effect"]));

    // An action failed although its last command did not, as with SCons' post-actions.
    let run = begin(&site, &mut client, &["out"]);
    let steps = [step(&site, &run, 0, "cat in > out")];
    let end = json!({"token": run["token"], "exit": 3, "steps": steps});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    assert_eq!((&judged["exit"], &judged["reason"]), (&json!(3), &json!("failed")), "{judged}");

    let run = begin(&site, &mut client, &["out"]);
    let mut foreign = step(&site, &run, 0, "cat in > out");
    foreign["argv"] = json!(["sh", "-c", "true"]);
    let end = json!({"token": run["token"], "exit": 0, "steps": [foreign]});
    let (code, what) = client.fails(json!({"end": end}));
    assert_eq!(code, "foreign-recording");
    assert!(what.ends_with(".trace.0: it is of another command line"), "{what}");
}

#[test]
fn a_source_that_is_linked_elsewhere_meanwhile_is_not_changed() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    site.write("one/in", "content\n");
    let empty = json!({"text": ""});
    let run = begin(&site, &mut client, &["out"]);
    let first = step(&site, &run, 0, "cat in > out");
    // As SCons does for a variant directory.
    std::fs::hard_link(site.path("one/in"), site.path("one/copy")).expect("linked");
    let steps = [first, step(&site, &run, 1, "cat in >> out")];
    let end = json!({"token": run["token"], "exit": 0, "steps": steps, "stdout": empty,
        "stderr": empty});
    let judged = client.ask(json!({"end": end}))["judged"].clone();
    assert_eq!((&judged["exit"], found(&judged)), (&json!(0), Vec::new()), "{judged}");
    assert_eq!(judged["published"], json!(false), "the content may have been another");
}
