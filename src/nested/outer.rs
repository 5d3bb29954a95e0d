//! The outer airtight: hands out recordings of parts of what it traces.

use super::message::{self, Answer};
use super::{Names, address};
use airtight_recording::ProcessId;
use airtight_recording::binary::Writer;
use airtight_tracer as tracer;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::Uid;
use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Answers those airtights that run within the traced command. Give it to the tracer as
/// [`tracer::Options::parts`]; it answers until it is dropped.
///
/// Nothing runs before somebody asks, so this costs next to nothing where nobody does.
pub(super) struct Outer {
    names: Names,
    /// Those who have begun a part, in the order of their first time.
    announced: Vec<ProcessId>,
    desk: Arc<Desk>,
    /// The sockets, until the thread has them.
    sockets: Option<[UnixListener; 2]>,
    /// The thread, and what ends it.
    thread: Option<(PipeWriter, JoinHandle<()>)>,
}

/// What the tracer leaves for those who come.
#[derive(Default)]
struct Desk {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// The variables that are noted for them, by pid.
    begun: HashMap<u32, Vec<String>>,
    ended: HashMap<u32, tracer::Part>,
}

impl Outer {
    /// Makes the sockets.
    ///
    /// # Errors
    /// When another process has sockets of these names, or there are none to be had. An airtight
    /// within the command will then fail and say that it is traced already.
    pub(super) fn start() -> io::Result<Outer> {
        let names = Names::of(std::process::id())?;
        let listen = |name: &str| UnixListener::bind_addr(&address(name)?);
        let sockets = [listen(&names.begin)?, listen(&names.end)?];
        Ok(Outer {
            names,
            announced: Vec::new(),
            desk: Arc::default(),
            sockets: Some(sockets),
            thread: None,
        })
    }

    /// The processes of the recording that are airtights within the command, or said that they
    /// are: what they do themselves is no part of the build.
    pub(super) fn announced(&self) -> &[ProcessId] {
        &self.announced
    }

    /// Starts the thread that answers.
    fn open_desk(&mut self) {
        let Some(sockets) = self.sockets.take() else { return };
        let desk = Arc::clone(&self.desk);
        let start = || -> io::Result<_> {
            let (watch, end) = io::pipe()?;
            // Signals are for the tracer: the thread is born with all of them blocked.
            let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
            let thread = std::thread::Builder::new()
                .name("outer".to_owned())
                .spawn(move || desk.serve(&sockets, &watch));
            before.thread_set_mask()?;
            Ok((end, thread?))
        };
        // Without it nobody is answered: with the sockets closed those who ask see that.
        self.thread = start().ok();
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            // The names must be free when this returns.
            let _ = thread.join();
        }
    }
}

impl tracer::Parts for Outer {
    fn signal(&self, name: &[u8]) -> Option<tracer::Signal> {
        self.names.signal(name)
    }

    fn begun(&mut self, process: ProcessId, pid: u32, marks: &[String]) {
        if !self.announced.contains(&process) {
            self.announced.push(process);
        }
        self.desk.open().begun.insert(pid, marks.to_vec());
        self.open_desk();
    }

    fn ended(&mut self, pid: u32, part: tracer::Part) {
        self.desk.open().ended.insert(pid, part);
    }

    fn gone(&mut self, pid: u32) {
        let mut open = self.desk.open();
        open.begun.remove(&pid);
        open.ended.remove(&pid);
    }
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until `watch` ends.
    fn serve(self: Arc<Desk>, [begin, end]: &[UnixListener; 2], watch: &PipeReader) {
        loop {
            let mut wait = [begin.as_fd(), end.as_fd(), watch.as_fd()]
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            if poll(&mut wait, PollTimeout::NONE).is_err() {
                continue;
            }
            let ready = wait.map(|fd| fd.any().unwrap_or(false));
            if ready[2] {
                return;
            }
            if ready[0]
                && let Ok((stream, _)) = begin.accept()
            {
                // Short enough for the socket's buffer: nobody can keep us waiting.
                self.answer(&stream, Desk::welcome);
            }
            if ready[1]
                && let Ok((stream, _)) = end.accept()
            {
                let desk = Arc::clone(&self);
                // It ends with its caller, who reads or dies.
                let thread = std::thread::Builder::new().name("part".to_owned());
                let _ = thread.spawn(move || desk.answer(&stream, Desk::hand_over));
            }
        }
    }

    /// Answers one who has connected. That it does not listen is its own affair.
    fn answer(&self, stream: &UnixStream, answer: fn(&Desk, u32, &UnixStream) -> io::Result<()>) {
        let Ok(peer) = tracer::peer(stream) else { return };
        let ours = peer.uid == 0 || peer.uid == Uid::effective().as_raw();
        let _ = match ours {
            true => answer(self, peer.pid, stream),
            false => refuse(stream, "it runs as another user".to_owned()),
        };
    }

    fn welcome(&self, pid: u32, mut stream: &UnixStream) -> io::Result<()> {
        let Some(marks) = self.open().begun.get(&pid).cloned() else {
            return refuse(stream, format!("process {pid} is not traced here"));
        };
        stream.write_all(&message::line(Answer::Begun { marks }))
    }

    fn hand_over(&self, pid: u32, mut stream: &UnixStream) -> io::Result<()> {
        let Some(tracer::Part { recording, begun }) = self.open().ended.remove(&pid) else {
            return refuse(stream, format!("process {pid} has begun nothing"));
        };
        let mut writer = Writer::new(Vec::new())?;
        recording.replay(&mut writer)?;
        drop(recording);
        let (bytes, _) = writer.finish()?;
        let length = bytes.len() as u64;
        stream.write_all(&message::line(Answer::Recording { length, airtights: begun }))?;
        stream.write_all(&bytes)
    }
}

fn refuse(mut stream: &UnixStream, reason: String) -> io::Result<()> {
    stream.write_all(&message::line(Answer::Refused { reason }))
}
