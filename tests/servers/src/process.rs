//! Server processes: a port of their own, a start that waits for the first answer, and an end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::install;
use crate::port::Port;

/// A server may take this long until it answers: the machine may be busy with other tests.
const START: Duration = Duration::from_secs(60);

/// A server process with its port and its directory. Dropping it kills the process with its
/// children and removes the directory.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Dropped to let the thread end that started the child.
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
    port: Port,
    directory: TempDir,
}

impl Process {
    /// Starts what `command` says, given the port and an empty directory, and waits until
    /// `answers` says true for the server's address.
    pub(crate) fn start(
        name: &str,
        command: impl Fn(u16, &Path) -> Command,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Process {
        let mut log = String::new();
        // A second and third time because the port may have been taken by somebody who doesn't
        // know of our reservation.
        for _ in 0..3 {
            let directory = tempfile::Builder::new().prefix("airtight-server-").tempdir();
            let directory = directory.expect("a temporary directory");
            let (port, listener) = Port::reserve();
            drop(listener);
            let mut process =
                Process::spawn(command(port.number(), directory.path()), port, directory);
            let deadline = Instant::now() + START;
            while process.runs() {
                // Asked again after the answer, which may have come from somebody else.
                if answers(process.address()) && process.runs() {
                    return process;
                }
                assert!(
                    Instant::now() < deadline,
                    "{name} doesn't answer on {}:\n{}",
                    process.address(),
                    process.log()
                );
                thread::sleep(Duration::from_millis(20));
            }
            log = process.log();
        }
        panic!("{name} ended instead of serving:\n{log}")
    }

    fn spawn(command: Command, port: Port, directory: TempDir) -> Process {
        let output = File::create(directory.path().join("log")).expect("the server's log");
        let errors = output.try_clone().expect("the server's log");
        let mut command = dying_with_us(&command);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // The kernel takes the end of the starting thread for the end of the parent, and the
        // thread of a test may end before the server is dropped.
        let (give, take) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let keeper = thread::spawn(move || {
            give.send(command.spawn()).expect("the starter waits for its child");
            // Ends with an error when the other side is dropped.
            let _: Result<(), _> = stopped.recv();
        });
        let child = take.recv().expect("the keeper sends a child").expect("setpriv starts");
        Process { child, keeper: Some((stop, keeper)), port, directory }
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child of ours").is_none()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the server wrote to its output.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process group has the child's id. Not yet waited for, so the id is still its own.
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            let _ = keeper.join();
        }
    }
}

/// The same command, killed by the kernel when this process ends without dropping its servers,
/// and the leader of a process group, so that its children can be killed with it.
fn dying_with_us(command: &Command) -> Command {
    let mut wrapped = Command::new(install::system("setpriv"));
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        wrapped.env(key, value.unwrap_or(OsStr::new("")));
    }
    wrapped.process_group(0);
    wrapped
}

/// Whether somebody accepts connections there.
pub(crate) fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Whether an HTTP server answers there, whatever it answers.
pub(crate) fn speaks_http(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        if &start == b"HTTP/" { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
    };
    let answer: std::io::Result<()> = ask();
    answer.is_ok()
}

/// A directory of that name in the server's own, made when it is missing.
pub(crate) fn subdirectory(parent: &Path, name: &str) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir_all(&path).expect("a directory in our own temporary one");
    path
}
