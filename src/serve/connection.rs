//! One client: its lines are read, requests are carried out side by side, answers are written in
//! the order in which they come.

use super::answer::{Answer, Reply};
use super::daemon::{After, Counted, Daemon};
use super::message::{Code, Failure, Id, MAX_MESSAGE, parse};
use super::runs::Runs;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// How much a client may ask for before it takes answers, in KiB of requests. A short request
/// counts as [`LEAST`]: so no more than 512 are under way, twice as many as there are threads.
const ROOM: usize = 64 << 10;
const LEAST: usize = 128;

/// An answer on its way. The permit is the room that its request took.
type Outgoing = (Vec<u8>, OwnedSemaphorePermit);

/// Serves a client to its end, or until the daemon stops: what is under way then is answered.
pub(super) async fn serve(stream: UnixStream, daemon: Arc<Daemon>) {
    let _counted = Counted::new(&daemon.connections);
    let mut stop = daemon.stop.subscribe();
    let (read, write) = stream.into_split();
    let (answers, queue) = unbounded_channel();
    let writer = tokio::spawn(pass_on(write, queue));
    let runs = Arc::new(Runs::default());
    tokio::select! {
        _ = take(read, &daemon, &runs, &answers) => {}
        // The client takes no answers any more.
        _ = answers.closed() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // Open as long as a request is under way.
    drop(answers);
    let _ = writer.await;
    // Removes directories.
    let _ = spawn_blocking(move || {
        drop(runs);
        daemon.flush();
    })
    .await;
}

/// Takes requests until there are no more.
async fn take(
    read: OwnedReadHalf,
    daemon: &Arc<Daemon>,
    runs: &Arc<Runs>,
    answers: &UnboundedSender<Outgoing>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(ROOM));
    let mut read = BufReader::with_capacity(64 << 10, read);
    while let Some(line) = next(&mut read).await? {
        if line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
            continue;
        }
        let length = line.as_ref().map_or(0, Vec::len);
        let wanted = u32::try_from(length.div_ceil(1024).max(LEAST)).unwrap_or(u32::MAX);
        let permit =
            Arc::clone(&room).acquire_many_owned(wanted).await.map_err(io::Error::other)?;
        let (daemon, runs, answers) = (Arc::clone(daemon), Arc::clone(runs), answers.clone());
        let counted = Counted::new(&daemon.in_flight);
        spawn_blocking(move || {
            let (reply, after) = reply(line, &daemon, &runs);
            // Before the answer, so that nothing holds runs when all is answered.
            drop(runs);
            // An error is that of a client who has gone.
            let _ = answers.send((reply.line(), permit));
            daemon.follow(after);
            // The connection is open until all is done.
            drop((answers, counted));
        });
    }
    Ok(())
}

fn reply(line: Result<Vec<u8>, TooLong>, daemon: &Daemon, runs: &Runs) -> (Reply, After) {
    let error =
        |id: Option<Id>, failure| (Reply { id, answer: Answer::Error(failure) }, After::Nothing);
    let Ok(line) = line else {
        let what = format!("a message is at most {MAX_MESSAGE} bytes long");
        return error(None, Failure::new(Code::TooLong, what));
    };
    let (id, request) = match parse(&line) {
        Ok(message) => message,
        Err((id, failure)) => return error(id, failure),
    };
    drop(line);
    match daemon.answer(request, runs) {
        Ok((answer, after)) => (Reply { id: Some(id), answer }, after),
        Err(failure) => error(Some(id), failure),
    }
}

/// A line that is too long. What came of it is gone.
struct TooLong;

/// The next line without its end; none at the end of all.
async fn next(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Result<Vec<u8>, TooLong>>> {
    let mut line = Vec::new();
    let mut fits = true;
    loop {
        let bytes = read.fill_buf().await?;
        if bytes.is_empty() {
            // A last line without an end was cut off.
            return Ok(None);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        fits &= line.len() + part.len() <= MAX_MESSAGE;
        if fits {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let used = end.map_or(bytes.len(), |end| end + 1);
        read.consume(used);
        if end.is_some() {
            return Ok(Some(if fits { Ok(line) } else { Err(TooLong) }));
        }
    }
}

/// Writes answers until the last request is answered, or the client has gone.
async fn pass_on(mut write: OwnedWriteHalf, mut queue: UnboundedReceiver<Outgoing>) {
    while let Some((line, permit)) = queue.recv().await {
        if write.write_all(&line).await.is_err() {
            return;
        }
        drop(permit);
    }
}
