//! S3: s3s-fs, which keeps objects as files and checks signatures, and moto, which does neither.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::process::{Process, speaks_http, subdirectory};

const BUCKET: &str = "airtight";
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "test/only/secret/key/of/forty/characters";
const REGION: &str = "us-east-1";

macro_rules! common {
    ($server:ident) => {
        impl $server {
            /// `http://127.0.0.1:PORT`, to be used with the bucket in the path.
            pub fn endpoint(&self) -> String {
                format!("http://{}", self.address())
            }

            /// Where it listens.
            pub fn address(&self) -> SocketAddr {
                self.process.address()
            }

            /// The one bucket, which exists and is empty.
            pub fn bucket(&self) -> &'static str {
                BUCKET
            }

            /// The id of the key to sign with.
            pub fn access_key(&self) -> &'static str {
                ACCESS_KEY
            }

            /// The key to sign with.
            pub fn secret_key(&self) -> &'static str {
                SECRET_KEY
            }

            /// The region to sign for.
            pub fn region(&self) -> &'static str {
                REGION
            }

            /// What it has logged.
            pub fn log(&self) -> String {
                self.process.log()
            }
        }
    };
}

/// A running s3s-fs: refuses wrong signatures, answers `If-None-Match: *` on what exists with
/// 412, and a wrong `Content-MD5` with 400, though it keeps that object.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    storage: PathBuf,
}

common!(S3);

impl S3 {
    /// A server with one empty bucket.
    pub fn start() -> S3 {
        let program = install::installed("bin/s3s-fs");
        let command = |port: u16, directory: &Path| {
            let storage = subdirectory(directory, "storage");
            subdirectory(&storage, BUCKET);
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]).arg(storage);
            command
        };
        let process = Process::start("s3s-fs", command, speaks_http);
        let storage = process.directory().join("storage").join(BUCKET);
        S3 { process, storage }
    }

    /// The bucket's directory: an object is a file of its key's name.
    pub fn storage(&self) -> &Path {
        &self.storage
    }
}

/// A running moto server, which keeps objects in memory and checks neither signature nor
/// checksum.
#[derive(Debug)]
pub struct Moto {
    process: Process,
}

common!(Moto);

impl Moto {
    /// A server with one empty bucket.
    pub fn start() -> Moto {
        let program = install::installed("venv-moto/bin/moto_server");
        let command = |port: u16, _: &Path| {
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command
        };
        let moto = Moto { process: Process::start("moto", command, speaks_http) };
        moto.create_bucket().expect("moto creates a bucket");
        moto
    }

    fn create_bucket(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address())?;
        // The region in the credential's scope, which it does look at, tells it the service too.
        write!(
            stream,
            "PUT /{BUCKET} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20200101/{REGION}/s3/\
             aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.address()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split_whitespace().nth(1);
        assert_eq!(status, Some("200"), "{answer}");
        Ok(())
    }
}
