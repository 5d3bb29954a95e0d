//! A place to work in, a daemon in it, and clients.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything takes here. Who waits so long fails.
const FOREVER: Duration = Duration::from_secs(120);

/// Two workspaces, a store, and a place for sockets.
pub(crate) struct Site {
    root: TempDir,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site { root: TempDir::with_prefix("airtight-serve-").expect("a directory") };
        for name in ["one/.git", "two", "home", "tmp", "cache"] {
            fs::create_dir_all(site.path(name)).expect(name);
        }
        site
    }

    /// The canonical name of something in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.root.path()).expect("the directory is there").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Site {
        fs::write(self.path(name), content).expect(name);
        self
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).expect(name).permissions().mode() & 0o7777
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/s.sock")
    }

    /// A command in the first workspace, with an environment that holds nothing of ours.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.path("one"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// `airtight serve` with these arguments, not started.
    pub(crate) fn serve(&self, args: &[&str]) -> Command {
        let mut command = self.command(airtight());
        command.args(["serve", "--socket"]).arg(self.socket()).args(args);
        command
    }

    /// A daemon that listens.
    pub(crate) fn daemon(&self, args: &[&str]) -> Daemon {
        Daemon::start(self.serve(args))
    }

    /// Runs `airtight serve` to its end.
    pub(crate) fn refused(&self, args: &[&str]) -> Output {
        self.serve(args).output().expect("airtight starts")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    /// Where an action of this workspace comes from, with the variables that it needs.
    pub(crate) fn caller(&self, workspace: &str) -> Value {
        let path = std::env::var("PATH").expect("UTF-8");
        json!({"workspace": self.path(workspace), "variables": {"PATH": path}, "umask": 0o022})
    }

    /// Runs a command as the answer to `begin` says, under `airtight trace`.
    pub(crate) fn trace(&self, run: &Value) -> Output {
        let text = |name: &str| run[name].as_str().expect(name).to_owned();
        let words = run["argv"].as_array().expect("argv");
        let environment = run["environment"].as_object().expect("environment");
        let mut command = Command::new(airtight());
        command
            .args(["trace", "-o", &text("recording"), "--"])
            .args(words.iter().map(|word| word.as_str().expect("text")))
            .current_dir(text("cwd"))
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value.as_str().expect("text"))))
            .stdin(Stdio::null());
        command.output().expect("airtight starts")
    }

    /// Runs what `begin` answered, and ends it. Gives what came of it.
    pub(crate) fn carry_out(&self, client: &mut Client, begun: &Value) -> Value {
        let run = &begun["run"];
        let output = self.trace(run);
        client.ask(end(run, &output))["judged"].clone()
    }

    /// Begins an action in a workspace, runs and ends it.
    pub(crate) fn run(&self, client: &mut Client, action: &Value, workspace: &str) -> Value {
        let caller = self.caller(workspace);
        let begun = client.ask(json!({"begin": {"action": action, "caller": caller}}));
        assert!(begun["run"].is_object(), "{begun}");
        self.carry_out(client, &begun)
    }

    /// Looks for an action in a workspace, and restores it.
    pub(crate) fn lookup(&self, client: &mut Client, action: &Value, workspace: &str) -> Value {
        let caller = self.caller(workspace);
        client.ask(json!({"lookup": {"action": action, "caller": caller}}))
    }

    /// How many results the store of the daemon's user has published.
    pub(crate) fn published(&self, client: &mut Client) -> u64 {
        let stats = client.ask(json!({"stats": {}}));
        stats["stats"]["store"]["published"].as_u64().unwrap_or(0)
    }
}

pub(crate) fn airtight() -> &'static str {
    env!("CARGO_BIN_EXE_airtight")
}

/// The request that ends a run that has ended so.
pub(crate) fn end(run: &Value, output: &Output) -> Value {
    let stream = |bytes: &[u8]| json!({"text": String::from_utf8_lossy(bytes)});
    json!({"end": {
        "token": run["token"],
        "exit": output.status.code(),
        "stdout": stream(&output.stdout),
        "stderr": stream(&output.stderr),
    }})
}

/// A C file that includes a header, with its declaration.
pub(crate) fn compilation(site: &Site, workspace: &str) -> Value {
    site.write(&format!("{workspace}/a.c"), "#include \"a.h\"\nint f(void) { return N; }\n")
        .write(&format!("{workspace}/a.h"), "#define N 7\n");
    json!({
        "argv": ["gcc", "-c", "a.c", "-o", "a.o"],
        "inputs": ["a.c", "a.h"],
        "outputs": ["a.o"],
    })
}

/// An action of the shell without inputs.
pub(crate) fn script(text: &str, outputs: &[&str]) -> Value {
    json!({"argv": ["sh", "-c", text], "outputs": outputs})
}

/// A daemon, killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub(crate) fn start(mut command: Command) -> Daemon {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it tells where it listens");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&ready["protocol"], &ready["pid"]), (&json!(1), &json!(child.id())), "{line}");
        let stdin = child.stdin.take();
        Daemon { child, stdin }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Ends its standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end, and gives its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.child.wait().expect("a child of ours").code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Client {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    last: u64,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("somebody listens");
        stream.set_read_timeout(Some(FOREVER)).expect("a socket");
        stream.set_write_timeout(Some(FOREVER)).expect("a socket");
        let lines = BufReader::new(stream.try_clone().expect("a descriptor"));
        Client { stream, lines, last: 0 }
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the daemon reads");
    }

    /// Sends a request, and gives its id.
    pub(crate) fn send(&mut self, mut request: Value) -> u64 {
        self.last += 1;
        request["id"] = json!(self.last);
        self.raw(format!("{request}\n").as_bytes());
        self.last
    }

    /// The next answer.
    pub(crate) fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the daemon answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        let id = self.send(request);
        let answer = self.receive();
        assert_eq!(answer["id"], json!(id), "{answer}");
        answer
    }

    /// The kind of failure and its text that a request is answered with.
    pub(crate) fn fails(&mut self, request: Value) -> (String, String) {
        failure(&self.ask(request))
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(mut self) -> String {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).expect("the daemon closes the connection");
        text
    }
}

/// The kind of failure that an answer tells, and its text.
pub(crate) fn failure(answer: &Value) -> (String, String) {
    let text = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
    assert!(answer["error"].is_object(), "{answer}");
    (text("code"), text("message"))
}
