//! Large blobs, by the byte stream.

use super::Grpc;
use super::capabilities::Capabilities;
use super::cas::{Wanted, local};
use crate::blob::Blob;
use crate::local::Incoming;
use crate::remote::RemoteError;
use crate::remote::zstd::{Decoder, Encoder};
use bazel_remote_apis::google::bytestream::{
    ReadRequest, WriteRequest, byte_stream_client::ByteStreamClient,
};
use bytes::Bytes;
use futures_util::stream;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Code, Status};

/// How much one message of an upload holds.
const CHUNK: usize = 256 << 10;

/// The largest message of a download: the 4 MiB that gRPC takes by default, and its tags.
const MESSAGE: usize = (4 << 20) + (64 << 10);

/// So many messages of a download may hold nothing. (They tell that the server is still busy.)
const EMPTY: u32 = 1000;

impl Grpc {
    pub(super) async fn read_stream(&self, capabilities: &Capabilities, wanted: &mut Wanted<'_>) {
        wanted.answer = Some(self.read_one(capabilities, wanted.into).await);
    }

    async fn read_one(
        &self,
        capabilities: &Capabilities,
        into: &mut Incoming,
    ) -> Result<bool, RemoteError> {
        const CALL: &str = "ByteStream.Read";
        let digest = into.digest();
        let resource_name = self.address.resource(&format!("{}/{digest}", kind(capabilities.zstd)));
        let request = ReadRequest { resource_name, ..Default::default() };
        let mut client =
            ByteStreamClient::new(self.wire.clone()).max_decoding_message_size(MESSAGE);
        let failed = |status: Status| match status.code() {
            Code::NotFound => Ok(false),
            _ => Err(self.errors.status(CALL, &status)),
        };
        let mut messages = match client.read(self.request(request, None)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return failed(status),
        };
        let mut sink = match capabilities.zstd {
            true => Sink::Zstd(Decoder::new(into).map_err(|error| local(&error))?),
            false => Sink::Plain(into),
        };
        let mut empty = 0;
        loop {
            match messages.message().await {
                Ok(Some(message)) if message.data.is_empty() => {
                    empty += 1;
                    if empty > EMPTY {
                        return Err(RemoteError::Wrong(format!("{CALL}: endless empty messages")));
                    }
                }
                Ok(Some(message)) => sink.write(&message.data).map_err(|error| local(&error))?,
                Ok(None) => break,
                Err(status) => return failed(status),
            }
        }
        sink.finish().map_err(|error| local(&error))?;
        let came = into.received();
        if came != digest.size() {
            return Err(RemoteError::Wrong(format!("{CALL}: {came} bytes came for {digest}")));
        }
        Ok(true)
    }

    pub(super) async fn write_stream(
        &self,
        capabilities: &Capabilities,
        blob: &Blob,
    ) -> Result<(), RemoteError> {
        const CALL: &str = "ByteStream.Write";
        let digest = blob.digest();
        let zstd = capabilities.zstd;
        let name = format!("uploads/{}/{}/{digest}", uuid(), kind(zstd));
        let told = Arc::new(Mutex::new(Told::default()));
        let upload = Upload {
            resource: self.address.resource(&name),
            blob: blob.clone(),
            encoder: if zstd { Some(Encoder::new().map_err(|error| local(&error))?) } else { None },
            read: 0,
            sent: 0,
            finished: false,
            told: Arc::clone(&told),
        };
        let mut client = ByteStreamClient::new(self.wire.clone());
        let answer = client.write(self.request(stream::iter(upload), None)).await;
        let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(error) = told.failed {
            return Err(error);
        }
        match answer {
            Ok(answer) => {
                // Servers differ in which size of a compressed upload they mean.
                let committed = answer.into_inner().committed_size;
                let whole = u64::try_from(committed) == Ok(digest.size());
                let compressed = zstd && (committed == -1 || told.whole == Some(committed));
                if whole || compressed {
                    return Ok(());
                }
                let what = format!("{CALL}: {committed} bytes are stored of {digest}");
                Err(RemoteError::Wrong(what))
            }
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            Err(status) => Err(self.errors.status(CALL, &status)),
        }
    }
}

fn kind(zstd: bool) -> &'static str {
    if zstd { "compressed-blobs/zstd" } else { "blobs" }
}

/// Where what is read goes.
enum Sink<'a> {
    Plain(&'a mut Incoming),
    Zstd(Decoder<'a>),
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(into) => into.write(bytes),
            Sink::Zstd(decoder) => decoder.write(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Sink::Plain(_) => Ok(()),
            Sink::Zstd(decoder) => decoder.finish(),
        }
    }
}

/// What an upload has to tell beside its messages.
#[derive(Debug, Default)]
struct Told {
    /// Why it has ended too early.
    failed: Option<RemoteError>,
    /// How many bytes were sent, when all were.
    whole: Option<i64>,
}

/// The messages that upload a blob. When it can't be read they end without `finish_write`.
struct Upload {
    /// Sent with the first message, which an empty blob has too.
    resource: String,
    blob: Blob,
    encoder: Option<Encoder>,
    /// Bytes of the blob that have been read.
    read: u64,
    /// Bytes that have been sent.
    sent: i64,
    finished: bool,
    told: Arc<Mutex<Told>>,
}

impl Upload {
    /// The bytes of the next message.
    fn data(&mut self) -> io::Result<Bytes> {
        loop {
            let size = self.blob.digest().size();
            let data = self.blob.read(self.read, CHUNK)?;
            if data.is_empty() && self.read < size {
                return Err(io::Error::other("a file to be uploaded has become shorter"));
            }
            self.read += data.len() as u64;
            self.finished = self.read == size;
            let Some(encoder) = &mut self.encoder else { return Ok(data) };
            let mut encoded = Vec::from(encoder.write(&data)?);
            if self.finished
                && let Some(encoder) = self.encoder.take()
            {
                encoded.extend_from_slice(&encoder.finish()?);
            }
            if self.finished || !encoded.is_empty() {
                return Ok(encoded.into());
            }
        }
    }
}

impl Iterator for Upload {
    type Item = WriteRequest;

    fn next(&mut self) -> Option<WriteRequest> {
        if self.finished {
            return None;
        }
        let data = self.data();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                told.failed = Some(local(&error));
                return None;
            }
        };
        let write_offset = self.sent;
        self.sent += i64::try_from(data.len()).ok()?;
        if self.finished {
            told.whole = Some(self.sent);
        }
        Some(WriteRequest {
            resource_name: std::mem::take(&mut self.resource),
            write_offset,
            finish_write: self.finished,
            data: data.into(),
        })
    }
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_4() {
        for _ in 0..100 {
            let uuid = uuid();
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4");
            assert!(["8", "9", "a", "b"].contains(&&uuid[19..20]), "{uuid}");
        }
    }

    fn upload(blob: Blob, encoder: Option<Encoder>) -> (Vec<WriteRequest>, Told) {
        let told = Arc::default();
        let upload = Upload {
            resource: "name".to_owned(),
            blob,
            encoder,
            read: 0,
            sent: 0,
            finished: false,
            told: Arc::clone(&told),
        };
        let sent = upload.collect();
        let told = std::mem::take(&mut *told.lock().expect("nobody else has it"));
        (sent, told)
    }

    #[test]
    fn an_upload_is_in_order_and_ends_with_a_mark() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
            for zstd in [false, true] {
                let encoder = zstd.then(|| Encoder::new().expect("memory"));
                let (sent, told) = upload(Blob::of(bytes.clone()), encoder);
                let mut whole = Vec::new();
                for (i, message) in sent.iter().enumerate() {
                    assert_eq!(message.resource_name, if i == 0 { "name" } else { "" });
                    assert_eq!(message.write_offset, whole.len() as i64);
                    assert_eq!(message.finish_write, i == sent.len() - 1);
                    whole.extend_from_slice(&message.data);
                }
                assert_eq!(told.whole, Some(whole.len() as i64));
                assert_eq!(told.failed, None);
                if zstd {
                    whole = zstd::bulk::decompress(&whole, size).expect("zstd");
                }
                assert_eq!(whole, bytes);
            }
        }
    }

    #[test]
    fn a_file_that_shrank_is_told() {
        let file = tempfile::tempfile().expect("a file");
        let blob = Blob::file(file, crate::Digest::of(&[7; 10]));
        let (sent, told) = upload(blob, None);
        assert_eq!(sent, []);
        assert!(matches!(told.failed, Some(RemoteError::Local(_))), "{told:?}");
    }
}
