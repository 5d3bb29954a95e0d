//! Large blobs, by the byte stream.

use super::Grpc;
use super::capabilities::Capabilities;
use super::cas::{Wanted, local};
use crate::blob::Blob;
use crate::local::Incoming;
use crate::remote::RemoteError;
use bazel_remote_apis::google::bytestream::{
    ReadRequest, WriteRequest, byte_stream_client::ByteStreamClient,
};
use futures_util::stream;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::Code;

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
        _capabilities: &Capabilities,
        into: &mut Incoming,
    ) -> Result<bool, RemoteError> {
        const CALL: &str = "ByteStream.Read";
        let digest = into.digest();
        let resource_name = self.address.resource(&format!("blobs/{digest}"));
        let request = ReadRequest { resource_name, ..Default::default() };
        let mut client =
            ByteStreamClient::new(self.wire.clone()).max_decoding_message_size(MESSAGE);
        let failed = |status: tonic::Status| match status.code() {
            Code::NotFound => Ok(false),
            _ => Err(self.errors.status(CALL, &status)),
        };
        let mut messages = match client.read(self.request(request, None)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return failed(status),
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
                Ok(Some(message)) => into.write(&message.data).map_err(|error| local(&error))?,
                Ok(None) => break,
                Err(status) => return failed(status),
            }
        }
        let came = into.received();
        if came != digest.size() {
            return Err(RemoteError::Wrong(format!("{CALL}: {came} bytes came for {digest}")));
        }
        Ok(true)
    }

    pub(super) async fn write_stream(
        &self,
        _capabilities: &Capabilities,
        blob: &Blob,
    ) -> Result<(), RemoteError> {
        const CALL: &str = "ByteStream.Write";
        let digest = blob.digest();
        let name = format!("uploads/{}/blobs/{digest}", uuid());
        let unread = Arc::new(Mutex::new(None));
        let messages = messages(self.address.resource(&name), blob.clone(), Arc::clone(&unread));
        let mut client = ByteStreamClient::new(self.wire.clone());
        let answer = client.write(self.request(messages, None)).await;
        if let Some(error) = unread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        match answer {
            Ok(answer) => {
                let committed = answer.into_inner().committed_size;
                if u64::try_from(committed) == Ok(digest.size()) {
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

/// The messages that upload `blob`. When it can't be read they end without `finish_write`, and
/// `unread` says why.
fn messages(
    resource: String,
    blob: Blob,
    unread: Arc<Mutex<Option<RemoteError>>>,
) -> impl futures_util::Stream<Item = WriteRequest> + Send + 'static {
    let mut resource = Some(resource);
    let mut offset = 0;
    stream::iter(std::iter::from_fn(move || {
        let size = blob.digest().size();
        // The name is sent with the first message, which an empty blob has too.
        if offset == size && resource.is_none() {
            return None;
        }
        let data = blob.read(offset, CHUNK).and_then(|data| match data.is_empty() && size > 0 {
            true => Err(std::io::ErrorKind::UnexpectedEof.into()),
            false => Ok(data),
        });
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                let error = local(&error);
                *unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return None;
            }
        };
        let write_offset = i64::try_from(offset).ok()?;
        offset += data.len() as u64;
        Some(WriteRequest {
            resource_name: resource.take().unwrap_or_default(),
            write_offset,
            finish_write: offset == size,
            data: data.into(),
        })
    }))
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
    use futures_util::StreamExt as _;

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

    #[tokio::test]
    async fn an_upload_is_in_order_and_ends_with_a_mark() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let bytes: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let unread = Arc::default();
            let sent = messages("name".to_owned(), Blob::of(bytes.clone()), Arc::clone(&unread));
            let sent: Vec<WriteRequest> = sent.collect().await;
            let mut whole = Vec::new();
            for (i, message) in sent.iter().enumerate() {
                assert_eq!(message.resource_name, if i == 0 { "name" } else { "" });
                assert_eq!(message.write_offset, whole.len() as i64);
                assert_eq!(message.finish_write, i == sent.len() - 1);
                whole.extend_from_slice(&message.data);
            }
            assert_eq!(whole, bytes);
            assert_eq!(*unread.lock().unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_told() {
        let file = tempfile::tempfile().unwrap();
        let unread = Arc::default();
        let blob = Blob::file(file, crate::Digest::of(&[7; 10]));
        let sent: Vec<WriteRequest> =
            messages(String::new(), blob, Arc::clone(&unread)).collect().await;
        assert!(sent.iter().all(|message| !message.finish_write));
        assert!(matches!(*unread.lock().unwrap(), Some(RemoteError::Local(_))));
    }
}
