//! What can go wrong between the two, and by whom.

use crate::support::{End, Site, words};
use crate::{AIRTIGHT, shell, within_trace};
use nix::unistd::geteuid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPILE: &str = "--in a.c --out a.o -- gcc -c a.c";

fn site() -> Site {
    let site = Site::new();
    site.write("a.c", "int f(void) { return 1; }\n");
    site
}

/// The compiled tests/programs/impostor.c.
fn impostor(site: &Site) -> PathBuf {
    let program = site.root().join("impostor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/impostor.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&program).arg(source);
    assert!(gcc.status().expect("gcc is there").success());
    program
}

/// Runs an action traced by an impostor that answers one of the questions with these bytes.
fn betrayed(site: &Site, program: &Path, question: &str, answer: &[u8]) -> End {
    let file = site.root().join("answer");
    fs::write(&file, answer).expect("a file");
    let inner = site.airtight(&words(COMPILE));
    let mut command = Command::new(program);
    command.arg(format!("{question}:{}", file.display()));
    command.arg(inner.get_program()).args(inner.get_args());
    command.current_dir(site.path("")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (end, counters) = site.end(command);
    assert_eq!(counters.published, 0, "{}", end.show());
    end
}

#[test]
fn a_tracer_that_is_no_airtight() {
    let site = site();
    let program = impostor(&site);
    let end = betrayed(&site, &program, "none", b"");
    end.code(125).says("this process is already traced by process").says("remedy:");
    assert!(!site.path("a.o").exists(), "nothing ran");
}

#[test]
fn an_outer_one_that_does_not_do_its_part() {
    let site = site();
    let program = impostor(&site);
    for (answer, what) in [
        (&b""[..], "its answer is cut off"),
        (b"nonsense\n", "its answer is no object"),
        (b"{\"protocol\":7,\"answer\":{\"more\":{}}}\n", "it speaks protocol 7, this airtight 1"),
        (b"{\"protocol\":1,\"answer\":{\"refused\":{\"reason\":\"a reason\"}}}\n", "a reason"),
        (
            b"{\"protocol\":1,\"answer\":{\"recording\":{\"length\":0,\"airtights\":[]}}}\n",
            "it answers another question",
        ),
    ] {
        let end = betrayed(&site, &program, "begin", answer);
        end.code(125).says("this airtight runs within another one").says(what);
        assert!(!site.path("a.o").exists(), "{what}: nothing ran");
    }
    let recording = |length: u64, bytes: &[u8]| {
        let line = format!(
            "{{\"protocol\":1,\"answer\":{{\"recording\":{{\"length\":{length},\"airtights\":[]}}}}}}\n"
        );
        [line.as_bytes(), bytes].concat()
    };
    // A whole one, of another command.
    let other = site.root().join("other.bin");
    let trace = ["trace", "-o", other.to_str().expect("UTF-8"), "--", "true"];
    site.end(site.airtight(&trace)).0.code(0);
    let other = fs::read(other).expect("a recording");
    for (answer, what) in [
        (b"".to_vec(), "its answer is cut off"),
        (recording(9, b"nonsense!"), "its recording: "),
        (recording(0, b""), "its recording: "),
        (recording(u64::MAX, &other[..20]), "its recording: "),
        (recording(other.len() as u64, &other), "its recording is not that of process"),
    ] {
        let end = betrayed(&site, &program, "end", &answer);
        end.code(125).says("this airtight runs within another one").says(what);
    }
}

#[test]
fn somebody_else_who_answers_in_its_place() {
    // A process that is no tracer, under the name of one: the impostor, traced by nobody's airtight,
    // is asked by a child of strace.
    let site = site();
    let script = "exec 3< go; read x <&3; exec \"$@\"";
    let go = site.path("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let inner = site.airtight(&words(COMPILE));
    let mut strace = Command::new("/usr/bin/strace");
    strace.args(["-f", "-o", "/dev/null", "/bin/sh", "-c", script, "sh"]);
    strace.arg(inner.get_program()).args(inner.get_args());
    strace.current_dir(site.path("")).env_clear().stderr(std::process::Stdio::piped());
    strace.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let strace = strace.spawn().expect("strace is there");
    let space = fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let space: String = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    let name = format!("airtight/{space}/{}/begin", strace.id());
    let address = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(name).expect("a name")
    };
    let _forged = std::os::unix::net::UnixListener::bind_addr(&address).expect("a socket");
    fs::write(&go, "\n").expect("the word to go");
    let end = End::new(&strace.wait_with_output().expect("it ends"), &site.root());
    end.code(125).says(&format!("process {} answers in its place", std::process::id()));
    assert!(!site.path("a.o").exists(), "nothing ran");
}

#[test]
fn an_inner_one_of_another_user() {
    let site = site();
    if !geteuid().is_root() {
        // Nobody but root can become another user.
        let setpriv = Command::new("setpriv").args(["--reuid=1", "true"]).output();
        assert!(!setpriv.expect("setpriv is there").status.success());
        return;
    }
    Command::new("chmod").arg("755").arg(site.root()).status().expect("chmod");
    let script = format!(
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups {AIRTIGHT} run --no-cache -- true"
    );
    let outer = ["trace", "-o", "/dev/null"];
    let (end, _) = site.end(shell(&site, &outer, &script));
    end.code(125).says("it runs as another user");
}

#[test]
fn an_inner_one_that_is_killed() {
    let site = site();
    // Its command kills it, and goes on.
    let script = "$A run --no-cache -- sh -c 'kill -KILL $PPID; echo on > made'; echo $?; cat made";
    let script = format!("{script}; $A run {COMPILE}; echo $?");
    let outer = site.root().join("outer.json");
    let trace = ["trace", "--format", "json", "-o", outer.to_str().expect("UTF-8")];
    let (end, counters) = site.end(shell(
        &site,
        &trace,
        &script.replace("cat made", "until cat made 2> /dev/null; do :; done"),
    ));
    assert!(end.stdout.ends_with("137\non\n0\n"), "{}", end.show());
    assert_eq!(counters.published, 1, "the next one is served: {}", end.show());
    let outer: serde_json::Value =
        serde_json::from_slice(&fs::read(outer).expect("the recording")).expect("JSON");
    assert_eq!(outer["state"], "complete");
    assert!(outer["accesses"].to_string().contains("/made\""), "what went on was seen");
}

#[test]
fn an_input_that_another_part_of_the_build_changes_meanwhile() {
    let site = site();
    site.write("in", "1\n");
    let inner = "$A run --no-cache --in in --in p --in q --out out -- \
                 sh -c 'cat in > out; echo > p; read x < q'";
    let script =
        format!("mkfifo p q; {inner} & read x < p; echo 2 >> in; echo > q; wait $!; echo $?");
    let (end, _) = site.end(shell(&site, &["trace", "-o", "/dev/null"], &script));
    assert_eq!(end.stdout, "120\n", "{}", end.show());
    end.says("error[I001]");
}

#[test]
fn a_server_of_another_part_of_the_build_is_outside() {
    let site = site();
    // Both within the outer trace; to the inner one it is work that it does not see.
    site.write(
        "serve.py",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('sock')\n\
        s.listen()\nopen('ready', 'w').write('\\n')\nc, _ = s.accept()\nc.close()\n",
    )
    .write(
        "ask.py",
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('sock')\ns.recv(1)\n",
    );
    let script = "mkfifo ready; python3 serve.py & read x < ready; \
                  $A run --no-cache --in ask.py --side-effect '**' -- python3 ask.py; echo $?; wait";
    let outer = site.root().join("outer.json");
    let trace = ["trace", "--format", "json", "-o", outer.to_str().expect("UTF-8")];
    let (end, _) = site.end(shell(&site, &trace, script));
    end.says("H002").says("/work/sock");
    let outer: serde_json::Value =
        serde_json::from_slice(&fs::read(outer).expect("the recording")).expect("JSON");
    assert!(!outer["contacts"].to_string().contains("unix-socket"), "{}", outer["contacts"]);
}

#[test]
fn the_connection_between_the_two_is_recorded_nowhere() {
    let site = site();
    within_trace(&site, &words(COMPILE)).silent();
    let outer = fs::read(site.root().join("outer.json")).expect("the recording");
    let outer: serde_json::Value = serde_json::from_slice(&outer).expect("JSON");
    assert!(!outer["contacts"].to_string().contains("airtight/"), "{}", outer["contacts"]);
    assert_eq!(outer["state"], "complete");
}

#[test]
fn what_lives_on_by_permission_makes_the_inner_recording_incomplete() {
    let site = site();
    site.write("airtight.toml", "[policy]\nsurvivors = [\"sleep\"]\n[run]\ngrace = \"10ms\"\n");
    // Before the shell ends, what it leaves behind must have become what the policy names.
    let line = "--no-cache -- sh -c 'exec > /dev/null 2>&1; sleep 3 & \
                until read name < /proc/$!/comm && test $name = sleep; do :; done'";
    let alone = site.run(line).0;
    let nested = within_trace(&site, &words(line));
    assert_eq!(alone.code, Some(121), "{}", alone.show());
    // The outer one waits for it, and kills it in the end, as it would any other.
    assert!(nested.stderr.starts_with(&alone.stderr), "{}\n{}", nested.show(), alone.show());
    nested.code(121);
}

#[test]
fn who_only_claims_to_be_an_airtight_is_judged_like_anybody() {
    let site = site();
    site.write("secret", "").write(
        "claim.py",
        "import os, re, socket\n\
         tracer = re.search('TracerPid:\\t(.*)', open('/proc/self/status').read()).group(1)\n\
         space = re.sub('[^0-9]', '', os.readlink('/proc/self/ns/pid'))\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.connect('\\0airtight/%s/%s/begin' % (space, tracer))\n\
         assert b'begun' in s.recv(4096)\n\
         open('secret').read()\n\
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))\n",
    );
    let (end, _) = site.run("--no-cache --in claim.py -- python3 claim.py");
    end.code(120).says("undeclared read of secret").says("network contact with 127.0.0.1:9");
}
