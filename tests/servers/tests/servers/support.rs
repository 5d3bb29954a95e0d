//! What the tests share: clients, digests, and looks from outside.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// The lowercase hex SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails unless nobody listens there.
pub(crate) fn assert_gone(address: SocketAddr) {
    let error = TcpStream::connect(address).expect_err("the server is gone");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
}

/// Every regular file below a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of a server") {
        let entry = entry.expect("its entry");
        if entry.file_type().expect("its type").is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Runs curl and returns the answer's status and body. The status is 0 when there was no answer.
pub(crate) fn curl(arguments: &[&str]) -> (u16, Vec<u8>) {
    let mut command = Command::new("curl");
    // Without the user's own settings and proxies.
    command.args(["--disable", "--noproxy", "*", "--silent", "--max-time", "30"]);
    let output = command.args(["--write-out", "%{http_code}"]).args(arguments).output();
    let mut body = output.expect("curl runs").stdout;
    let status = body.split_off(body.len().checked_sub(3).expect("curl writes the status"));
    let status = String::from_utf8(status).expect("digits").parse().expect("digits");
    (status, body)
}

/// PUTs some text.
pub(crate) fn put(url: &str, text: &str) -> u16 {
    curl(&["--request", "PUT", "--data-binary", text, url]).0
}

/// GETs what is there.
pub(crate) fn get(url: &str) -> (u16, String) {
    let (status, body) = curl(&[url]);
    (status, String::from_utf8_lossy(&body).into_owned())
}
