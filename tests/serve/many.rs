//! Many requests at once.

use crate::support::{Site, script};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;

#[test]
fn two_hundred_lookups_on_one_connection() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = |n: u32| script(&format!("echo {n} > out"), &["out"]);
    assert_eq!(site.run(&mut client, &action(0), "one")["published"], true);
    let caller = site.caller("two");
    let mut known = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for n in 0..200 {
        let action = action(n % 2 * (n + 1));
        let id = client.send(json!({"lookup": {"action": action, "caller": caller}}));
        if n % 2 == 0 { &mut known } else { &mut unknown }.insert(id);
    }
    for _ in 0..200 {
        let answer = client.receive();
        let id = answer["id"].as_u64().expect("a number");
        let set = if answer["hit"].is_object() { &mut known } else { &mut unknown };
        assert!(answer["hit"].is_object() || answer["miss"]["reason"] == "no-entry", "{answer}");
        assert!(set.remove(&id), "{answer}");
    }
    assert!(known.is_empty() && unknown.is_empty());
    assert_eq!(site.read("two/out"), b"0\n");
}

/// How many requests the remote wants to see at once.
const AT_ONCE: usize = 100;

/// A remote that has nothing, and says so to nobody until so many have asked.
fn patient_remote() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, barrier) = (stream.expect("a connection"), Arc::clone(&barrier));
            thread::spawn(move || answer(&stream, &barrier));
        }
    });
    url
}

/// Answers every request with 404 when enough are there.
fn answer(stream: &TcpStream, barrier: &Barrier) {
    let mut lines = BufReader::new(stream).lines();
    let mut writer = stream;
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            barrier.wait();
            // The client may have gone.
            let _ = writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    }
}

#[test]
fn a_hundred_fetches_from_a_remote_overlap() {
    let site = Site::new();
    let url = patient_remote();
    let _daemon = site.daemon(&["--remote", &url]);
    let mut client = site.client();
    let caller = site.caller("one");
    for n in 0..AT_ONCE {
        let action = script(&format!("echo {n} > out{n}"), &[&format!("out{n}")]);
        client.send(json!({"lookup": {"action": action, "caller": caller}}));
    }
    for _ in 0..AT_ONCE {
        let miss = client.receive()["miss"].clone();
        // One that waited in vain would be noted.
        assert_eq!((&miss["reason"], &miss["notes"]), (&json!("no-entry"), &json!([])), "{miss}");
    }
}

#[test]
fn who_does_not_read_stops_only_himself() {
    let site = Site::new();
    let _daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("head -c 1000000 /dev/zero | tr '\\0' x; echo 1 > out", &["out"]);
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);
    let caller = site.caller("two");
    let mut lazy = site.client();
    for _ in 0..60 {
        lazy.send(json!({"lookup": {"action": action, "caller": caller}}));
    }
    // More than any socket holds waits for him now.
    for _ in 0..20 {
        assert!(client.ask(json!({"stats": {}}))["stats"].is_object());
        assert!(site.lookup(&mut client, &action, "one")["hit"].is_object());
    }
    for _ in 0..60 {
        let stdout: Value = lazy.receive()["hit"]["stdout"]["text"].take();
        assert_eq!(stdout.as_str().map(str::len), Some(1_000_000));
    }
}
