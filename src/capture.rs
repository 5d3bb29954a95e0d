//! The standard streams of an action whose result may be stored: passed on as they come, and kept.

use airtight_cache::MAX_STREAM;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The streams of one action that runs.
pub(crate) struct Capture {
    /// What the command is given as standard input, output and error.
    pub(crate) stdio: [Option<Arc<OwnedFd>>; 3],
    /// Closed when the command has ended: what is in the pipes then is all that counts.
    ended: PipeWriter,
    readers: [JoinHandle<Kept>; 2],
}

/// What came through one stream.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    /// Whether it is all that came.
    pub(crate) whole: bool,
}

impl Capture {
    /// Pipes for standard output and error, with nothing on standard input. What comes is passed
    /// on to our own streams at once.
    ///
    /// # Errors
    /// When the system has no more descriptors or threads.
    pub(crate) fn start() -> io::Result<Capture> {
        let (watch, ended) = io::pipe()?;
        let watch = Arc::new(watch);
        let nothing: OwnedFd = File::open("/dev/null")?.into();
        let (out_read, out_write) = io::pipe()?;
        let (err_read, err_write) = io::pipe()?;
        // Signals are for the tracer: the threads are born with all of them blocked.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let out = reader(out_read, Arc::clone(&watch), io::stdout().as_fd().try_clone_to_owned()?);
        let err = reader(err_read, watch, io::stderr().as_fd().try_clone_to_owned()?);
        before.thread_set_mask()?;
        let stdio = [nothing, out_write.into(), err_write.into()].map(|fd| Some(Arc::new(fd)));
        Ok(Capture { stdio, ended, readers: [out?, err?] })
    }

    /// What came, when the command has ended. To be called when nobody else holds the stdio.
    pub(crate) fn finish(self) -> [Kept; 2] {
        let Capture { stdio, ended, readers } = self;
        drop(stdio);
        drop(ended);
        readers.map(|reader| reader.join().unwrap_or_default())
    }
}

fn reader(
    mut pipe: PipeReader,
    ended: Arc<PipeReader>,
    to: OwnedFd,
) -> io::Result<JoinHandle<Kept>> {
    std::thread::Builder::new().name("stream".to_owned()).spawn(move || {
        let mut to = File::from(to);
        let mut kept = Kept { bytes: Vec::new(), whole: true };
        let mut buffer = vec![0; 64 << 10];
        loop {
            // A process that outlives the action may hold the pipe open for ever.
            let mut wait = [
                PollFd::new(pipe.as_fd(), PollFlags::POLLIN),
                PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            ];
            if poll(&mut wait, PollTimeout::NONE).is_err() {
                continue;
            }
            let ready = |at: usize| wait[at].any().unwrap_or(false);
            if !ready(0) {
                if ready(1) {
                    return kept;
                }
                continue;
            }
            let n = match pipe.read(&mut buffer) {
                Ok(0) => return kept,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    kept.whole = false;
                    return kept;
                }
            };
            if to.write_all(&buffer[..n]).is_err() {
                // Nobody reads us any more: the command is to notice it as well.
                kept.whole = false;
                return kept;
            }
            if kept.whole && (kept.bytes.len() + n) as u64 <= MAX_STREAM {
                kept.bytes.extend_from_slice(&buffer[..n]);
            } else {
                kept.whole = false;
            }
        }
    })
}
