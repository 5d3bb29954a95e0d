//! An HTTP server that says whatever a test wants.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A server of a few lines, which does with each request what it is told to.
pub(crate) struct Raw {
    address: SocketAddr,
    /// Every request's first line and headers.
    requests: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Raw {
    /// Calls `answer` with each request's head, on a thread for each connection. The connection is
    /// closed after that.
    pub(crate) fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Raw {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (requests, ended) =
            (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (seen, end, answer) = (requests.clone(), ended.clone(), Arc::new(answer));
        let thread = thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if end.load(Ordering::Acquire) {
                    break;
                }
                let mut stream = stream.expect("a connection");
                let (seen, answer) = (seen.clone(), answer.clone());
                connections.push(thread::spawn(move || {
                    let head = head(&stream);
                    seen.lock().expect("no panic").push(head.clone());
                    answer(&head, &mut stream);
                }));
            }
            for connection in connections {
                connection.join().expect("no panic");
            }
        });
        Raw { address, requests, ended, thread: Some(thread) }
    }

    /// Answers every request with these bytes.
    pub(crate) fn says(bytes: impl Into<Vec<u8>>) -> Raw {
        let bytes = bytes.into();
        // The client may be gone before it has all.
        Raw::start(move |_, stream| drop(stream.write_all(&bytes)))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

/// Reads a request's first line and headers, and with a PUT its body.
fn head(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            break;
        }
    }
    if let Some((_, length)) = head.split_once("content-length: ") {
        let length = length.split("\r\n").next().expect("a line").parse().expect("a number");
        // Not all comes when the client has to give up.
        drop(io::copy(&mut reader.take(length), &mut io::sink()));
    }
    head
}

/// An answer after which the connection is closed.
pub(crate) fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

pub(crate) fn with_length(status: &str, body: &[u8]) -> Vec<u8> {
    answer(&format!("{status}\r\nContent-Length: {}", body.len()), body)
}
