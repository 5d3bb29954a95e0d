//! How a daemon begins and ends.

use crate::support::{Daemon, Site, end, script};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// The exit code and the first line on standard error.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn one_daemon_for_a_socket() {
    let site = Site::new();
    let daemon = site.daemon(&[]);
    let (code, what) = told(&site.refused(&[]));
    let socket = site.socket();
    let expected = format!(
        "error: {}: a daemon listens there already (process {})",
        socket.display(),
        daemon.pid()
    );
    assert_eq!((code, what), (Some(2), expected));
    // The first has not noticed.
    assert!(site.client().ask(json!({"stats": {}}))["stats"].is_object());
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    assert_eq!(site.mode("run"), 0o700);
}

#[test]
fn the_socket_of_a_dead_daemon_is_taken_over() {
    let site = Site::new();
    let daemon = site.daemon(&[]);
    let begin = json!({"begin": {
        "action": script("echo 1 > out", &["out"]),
        "caller": site.caller("one"),
    }});
    let mut client = site.client();
    let run = client.ask(begin.clone())["run"].clone();
    assert!(site.trace(&run).status.success());
    let recording = run["recording"].as_str().expect("text");
    assert!(fs::exists(recording).expect("a directory of the daemon"));
    daemon.signal(Signal::SIGKILL);
    assert_eq!(daemon.end(), None);
    assert!(site.socket().exists());
    let daemon = site.daemon(&[]);
    assert!(!fs::exists(recording).expect("/tmp"), "nothing of the dead one is left");
    let mut client = site.client();
    assert!(client.ask(begin)["run"].is_object());
    client.ask(json!({"shutdown": {}}));
    assert_eq!(daemon.end(), Some(0));
    assert_eq!(walk(&site.path("tmp")), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_place_that_is_not_ours_alone_is_refused() {
    let site = Site::new();
    fs::create_dir(site.path("run")).expect("a directory");
    fs::set_permissions(site.path("run"), fs::Permissions::from_mode(0o755)).expect("ours");
    let (code, what) = told(&site.refused(&[]));
    assert_eq!(code, Some(2));
    assert!(what.contains("open to others"), "{what}");
    fs::set_permissions(site.path("run"), fs::Permissions::from_mode(0o700)).expect("ours");
    // What is no socket is not removed.
    fs::write(site.socket(), "precious").expect("a file");
    let (code, what) = told(&site.refused(&[]));
    assert_eq!(code, Some(2));
    assert!(what.contains("it is there, and no socket"), "{what}");
    assert_eq!(site.read("run/s.sock"), b"precious");
}

#[test]
fn a_default_place_for_each_workspace() {
    let site = Site::new();
    fs::create_dir(site.path("runtime")).expect("a directory");
    let serve = |workspace: &str| {
        let mut command = site.command(crate::support::airtight());
        command.args(["serve", "--workspace"]).arg(site.path(workspace));
        command.env("XDG_RUNTIME_DIR", site.path("runtime"));
        Daemon::start(command)
    };
    let _both = [serve("one"), serve("two")];
    let names = fs::read_dir(site.path("runtime/airtight")).expect("made by them");
    let names: Vec<_> = names.map(|entry| entry.expect("a name").path()).collect();
    let sockets = names.iter().filter(|name| name.extension().is_some_and(|e| e == "sock"));
    assert_eq!(sockets.count(), 2, "{names:?}");
}

#[test]
fn it_ends_when_it_is_told_to_and_leaves_nothing() {
    let site = Site::new();
    for how in ["shutdown", "SIGTERM", "SIGINT", "stdin"] {
        let mut daemon = site.daemon(&["--exit-with-stdin"]);
        let mut client = site.client();
        let begin = json!({"begin": {
            "action": script("echo 1 > out", &["out"]),
            "caller": site.caller("one"),
        }});
        let run = client.ask(begin)["run"].clone();
        match how {
            "shutdown" => assert_eq!(client.ask(json!({"shutdown": {}}))["done"], json!({})),
            "SIGTERM" => daemon.signal(Signal::SIGTERM),
            "SIGINT" => daemon.signal(Signal::SIGINT),
            _ => daemon.close_stdin(),
        }
        assert_eq!(client.rest(), "", "{how}");
        assert_eq!(daemon.end(), Some(0), "{how}");
        assert!(!site.socket().exists(), "{how}");
        assert!(!fs::exists(run["tmpdir"].as_str().expect("text")).expect("/tmp"), "{how}");
        let left: Vec<_> = walk(&site.path("tmp"));
        assert!(left.is_empty(), "{how}: {left:?}");
    }
}

/// The files and empty directories of actions below a directory.
fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let below = entries.flat_map(|entry| {
        let path = entry.expect("a name").path();
        // The directory that all actions of a user share stays.
        let shared =
            path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"airtight-"));
        if shared { walk(&path) } else { vec![path] }
    });
    below.collect()
}

#[test]
fn what_is_under_way_is_answered_before_it_ends() {
    let site = Site::new();
    let daemon = site.daemon(&[]);
    let mut client = site.client();
    let action = script("echo 1 > out", &["out"]);
    assert_eq!(site.run(&mut client, &action, "one")["published"], true);
    let caller = site.caller("two");
    for _ in 0..50 {
        client.send(json!({"lookup": {"action": action, "caller": caller}}));
    }
    client.send(json!({"shutdown": {}}));
    let rest = client.rest();
    assert_eq!(rest.lines().filter(|line| line.contains("\"hit\"")).count(), 50, "{rest}");
    assert_eq!(rest.lines().count(), 51);
    assert_eq!(daemon.end(), Some(0));
}

#[test]
fn it_ends_without_clients() {
    let site = Site::new();
    let daemon = site.daemon(&["--idle", "100ms"]);
    assert_eq!(daemon.end(), Some(0));
    // Not while there is one.
    let daemon = site.daemon(&["--idle", "3s"]);
    let mut client = site.client();
    let mut uptime = 0;
    while uptime < 4000 {
        let stats = client.ask(json!({"stats": {}}));
        uptime = stats["stats"]["uptime_ms"].as_u64().expect("a number");
    }
    drop(client);
    assert_eq!(daemon.end(), Some(0));
    let (code, what) = told(&site.refused(&["--idle", "soon"]));
    assert_eq!(code, Some(2));
    assert!(what.starts_with("error: --idle: "), "{what}");
}

/// A remote that has nothing and takes everything. It tells of the first request that stores
/// something, and answers no such request until it is told to.
fn remote(stored: Sender<()>, release: Receiver<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let release = Arc::new(Mutex::new(release));
    // Ends with the test process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let (stored, release) = (stored.clone(), Arc::clone(&release));
            thread::spawn(move || take(&stream, &stored, &release));
        }
    });
    url
}

/// Answers the requests of one connection.
fn take(stream: &TcpStream, stored: &Sender<()>, release: &Mutex<Receiver<()>>) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        reader.read_exact(&mut body).expect("the whole body");
        let answer = match head.starts_with("put ") {
            true => {
                // Nobody may listen any more.
                let _ = stored.send(());
                // Released for good when the other end is dropped.
                let _ = release.lock().expect("nobody panics").recv();
                "200 OK"
            }
            false => "404 Not Found",
        };
        let _ = write!(writer, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
    }
}

#[test]
fn a_publication_under_way_is_finished() {
    finishes(true);
}

#[test]
fn a_publication_that_nobody_waits_for_is_finished() {
    finishes(false);
}

fn finishes(wait: bool) {
    let site = Site::new();
    let (stored, begun_to_store) = channel();
    let (release, released) = channel();
    let daemon = site.daemon(&["--remote", &remote(stored, released)]);
    let mut client = site.client();
    let action = script("echo 1 > out", &["out"]);
    let begin = json!({"begin": {"action": action, "caller": site.caller("one")}});
    let begun = client.ask(begin);
    let mut request = end(&begun["run"], &site.trace(&begun["run"]));
    request["end"]["wait"] = json!(wait);
    client.send(request);
    if !wait {
        // The answer does not wait for the remote.
        let judged = client.receive()["judged"].clone();
        assert_eq!((&judged["published"], &judged["pending"]), (&json!(false), &json!(true)));
        assert_eq!(judged["exit"], 0);
    }
    begun_to_store.recv().expect("it publishes");
    daemon.signal(Signal::SIGTERM);
    // Nobody can connect any more, but it is still there.
    while site.socket().exists() {
        thread::yield_now();
    }
    drop(release);
    if wait {
        let judged = client.receive()["judged"].clone();
        assert_eq!(
            (&judged["published"], &judged["notes"]),
            (&json!(true), &json!([])),
            "{judged}"
        );
    }
    assert_eq!(daemon.end(), Some(0));
    let _daemon = site.daemon(&[]);
    assert_eq!(site.lookup(&mut site.client(), &action, "two")["hit"]["from"], "local");
    assert_eq!(site.published(&mut site.client()), 1);
}
