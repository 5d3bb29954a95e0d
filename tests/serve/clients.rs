//! Clients that go wrong, die, or do not read.

use crate::support::{Client, Site, compilation, end, failure, script};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn what_is_not_understood_is_told_and_the_connection_goes_on() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    for (line, id, column, what) in [
        ("nonsense", json!(null), 0, "expected an object"),
        ("{nonsense", json!(null), 2, "key must be a string"),
        ("{\"id\":1,\"stats\":{}", json!(null), 18, "EOF while parsing an object"),
        ("{\"id\":1,\"stats\":{}}x", json!(null), 20, "trailing characters"),
        ("{\"id\":1,\"what\":{}}", json!(1), 14, "unknown field `what`"),
        ("{\"id\":1,\"abort\":{\"token\":1}}", json!(1), 26, "invalid type: integer `1`"),
        ("{\"id\":1,\"abort\":{}}", json!(1), 18, "missing field `token`"),
        ("[1]", json!(null), 0, "expected an object"),
        ("{\"id\":1,\"stats\":{\"\u{0}\":1}}", json!(null), 0, "control character"),
    ] {
        client.raw(format!("{line}\n").as_bytes());
        let answer = client.receive();
        assert_eq!(answer["id"], id, "{line}: {answer}");
        let (code, told) = failure(&answer);
        assert!(code == "bad-message" && told.contains(what), "{line}: {answer}");
        if column > 0 {
            assert_eq!(answer["error"]["column"], column, "{line}: {answer}");
        }
    }
    client.raw(b"\xff\xfe\n");
    assert_eq!(failure(&client.receive()).0, "bad-message");
    let deep = format!("{{\"id\":1,\"lookup\":{}\n", "{\"action\":".repeat(1 << 20));
    client.raw(deep.as_bytes());
    assert_eq!(failure(&client.receive()).0, "bad-message");
    // Empty lines are nothing.
    client.raw(b"\n  \r\n");
    assert!(client.ask(json!({"stats": {}}))["stats"].is_object());
    // A line that never ends is no request.
    let mut cut = site.client();
    cut.raw(b"{\"id\":1,\"shutdown\":{}}");
    drop(cut);
    assert!(client.ask(json!({"stats": {}}))["stats"].is_object());
}

#[test]
fn a_message_that_is_too_long_is_refused_whole() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let most = 16 << 20;
    // Spaces make it as long as it may be.
    let mut line = b"{\"id\":1,\"stats\":{}}".to_vec();
    line.resize(most, b' ');
    line.push(b'\n');
    client.raw(&line);
    assert!(client.receive()["stats"].is_object());
    line.insert(most, b' ');
    client.raw(&line);
    let answer = client.receive();
    let expected = ("too-long".to_owned(), "a message is at most 16777216 bytes long".to_owned());
    assert_eq!(failure(&answer), expected);
    assert_eq!(answer["id"], Value::Null);
    assert!(client.ask(json!({"stats": {}}))["stats"].is_object());
}

#[test]
fn actions_that_can_not_be_are_refused() {
    let site = Site::new();
    site.write("one/file", "");
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let caller = site.caller("one");
    let with = |name: &str, value: Value| {
        let mut caller = caller.clone();
        caller[name] = value;
        caller
    };
    for (action, caller, what) in [
        (json!({}), &caller, "`argv` is missing or empty"),
        (json!({"argv": [""]}), &caller, "`argv` is missing or empty"),
        (json!({"argv": ["a\0b"]}), &caller, "`argv` holds a NUL"),
        (json!({"argv": ["true"], "cwd": "absent"}), &caller, "No such file or directory"),
        (json!({"argv": ["true"], "cwd": "file"}), &caller, "not a directory"),
        (json!({"argv": ["true"]}), &with("workspace", json!("one")), "is not absolute"),
        (json!({"argv": ["true"]}), &with("workspace", json!("/absent")), "No such file"),
        (json!({"argv": ["true"]}), &with("umask", json!(512)), "512 is no umask"),
    ] {
        for request in ["lookup", "begin"] {
            let (code, told) = client.fails(json!({request: {"action": action, "caller": caller}}));
            assert!(code == "bad-action" && told.contains(what), "{action}: {code}: {told}");
        }
    }
    // The outputs of an action are deleted; not what holds everything.
    let action = json!({"argv": ["true"], "outputs": ["."]});
    let (code, told) = client.fails(json!({"begin": {"action": action, "caller": caller}}));
    assert_eq!(code, "file", "{told}");
    assert!(site.path("one/file").exists());
    assert_eq!(client.ask(json!({"stats": {}}))["stats"]["tokens"], 0);
}

#[test]
fn a_token_is_good_once_and_on_its_own_connection() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo 1 > out", &["out"]);
    let caller = site.caller("one");
    let begin = json!({"begin": {"action": action, "caller": caller}});
    let begun = client.ask(begin.clone());
    let request = end(&begun["run"], &site.trace(&begun["run"]));
    let mut other = site.client();
    assert_eq!(other.fails(request.clone()).0, "unknown-token");
    assert_eq!(client.ask(request.clone())["judged"]["published"], true);
    assert_eq!(client.fails(request).0, "unknown-token");

    let mut begin = begin;
    begin["begin"]["refresh"] = json!(true);
    let run = client.ask(begin)["run"].clone();
    let tmpdir = run["tmpdir"].as_str().expect("text");
    fs::write(format!("{tmpdir}/left"), "").expect("it is there");
    let abort = json!({"abort": {"token": run["token"]}});
    assert_eq!(client.ask(abort.clone())["done"], json!({}));
    assert!(!fs::exists(tmpdir).expect("/tmp"));
    assert_eq!(client.fails(abort).0, "unknown-token");
}

#[test]
fn a_recording_of_something_else_is_refused() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = compilation(&site, "one");
    compilation(&site, "two");
    let begin = |client: &mut Client, action: &Value, workspace: &str| {
        let caller = site.caller(workspace);
        client.ask(json!({"begin": {"action": action, "caller": caller}}))["run"].clone()
    };
    let own = begin(&mut client, &action, "one");
    assert!(site.trace(&own).status.success());
    let made = own["recording"].as_str().expect("text").to_owned();
    fs::copy(&made, site.path("recording")).expect("it is there");
    client.ask(json!({"abort": {"token": own["token"]}}));
    assert!(!fs::exists(&made).expect("a directory"), "it goes with the run");

    let mut other = action.clone();
    other["argv"] = json!(["gcc", "-O2", "-c", "a.c", "-o", "a.o"]);
    let foreign = |client: &mut Client, run: &Value, exit: i32, recording: &str| {
        let (stdout, token) = (json!({"text": ""}), &run["token"]);
        client.fails(json!({"end": {
            "token": token, "exit": exit, "stdout": stdout, "stderr": stdout,
            "recording": site.path(recording),
        }}))
    };
    for (action, workspace, exit, what) in [
        (&other, "one", 0, "it is of another command line"),
        (&action, "two", 0, "the command ran in another directory"),
        (&action, "one", 1, "the command ended otherwise: Code(0), not 1"),
        (&action, "one", 121, "the command ended otherwise: Code(0), not 121"),
    ] {
        let run = begin(&mut client, action, workspace);
        let told = foreign(&mut client, &run, exit, "recording");
        assert_eq!(told, ("foreign-recording".to_owned(), what.to_owned()));
    }
    // An older one: the time in a recording is in seconds.
    let made = fs::metadata(site.path("recording")).expect("it is there");
    let made = made.modified().expect("a time");
    while made.elapsed().is_ok_and(|age| age.as_secs() < 2) {
        client.ask(json!({"stats": {}}));
    }
    let run = begin(&mut client, &action, "one");
    let told = foreign(&mut client, &run, 0, "recording");
    assert_eq!(told.1, "it was made before the run began");

    // None, and what is none.
    site.write("garbage", "garbage");
    for name in ["absent", "garbage", "home"] {
        let run = begin(&mut client, &action, "one");
        assert_eq!(foreign(&mut client, &run, 0, name).0, "no-recording", "{name}");
    }
    let stats = client.ask(json!({"stats": {}}))["stats"].clone();
    assert_eq!((&stats["tokens"], &stats["store"]["published"]), (&json!(0), &json!(0)), "{stats}");
}

#[test]
fn a_client_that_is_killed_leaves_nothing() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let begin = json!({"id": 1, "begin": {
        "action": script("echo 1 > out", &["out"]),
        "caller": site.caller("one"),
    }});
    // Another process, which holds the connection until it is killed.
    let program = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b'\\n')
print(s.makefile().readline(), flush=True)
sys.stdin.read()";
    let mut command = site.command("python3");
    command.args(["-c", program]).arg(site.socket()).arg(begin.to_string());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("it prints the answer");
    let run = serde_json::from_str::<Value>(&line).expect("JSON")["run"].clone();
    let tmpdir = run["tmpdir"].as_str().expect("text");
    assert!(fs::exists(tmpdir).expect("/tmp"));
    let stats = client.ask(json!({"stats": {}}))["stats"].clone();
    assert_eq!((&stats["tokens"], &stats["connections"]), (&json!(1), &json!(2)), "{stats}");
    child.kill().expect("it runs");
    child.wait().expect("a child of ours");
    loop {
        let stats = client.ask(json!({"stats": {}}))["stats"].clone();
        if stats["tokens"] == 0 && stats["connections"] == 1 {
            break;
        }
    }
    assert!(!fs::exists(tmpdir).expect("/tmp"));
}

#[test]
fn the_client_in_python_runs_once_and_restores_then() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let action = script("echo out; echo err >&2; echo made > out", &["out"]);
    site.write("action.json", action.to_string());
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/serve_client.py");
    let run = |workspace: &str| {
        let mut command = site.command("python3");
        command.arg(client).arg(site.socket()).arg(site.path(workspace));
        command.arg(site.path("action.json")).env("AIRTIGHT", crate::support::airtight());
        let output = command.output().expect("python3 starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run("one"), (Some(0), "out\npublished\n".to_owned(), "err\n".to_owned()));
    assert_eq!(run("two"), (Some(0), "out\nrestored\n".to_owned(), "err\n".to_owned()));
    assert_eq!(site.read("two/out"), b"made\n");
    let action = json!({"argv": ["sh", "-c", "cat a > out"], "outputs": ["out"]});
    site.write("one/a", "").write("action.json", action.to_string());
    let (code, stdout, stderr) = run("one");
    assert_eq!((code, stdout.as_str()), (Some(120), "ran\n"), "{stderr}");
    assert!(stderr.starts_with("error[R001]: "), "{stderr}");
}
