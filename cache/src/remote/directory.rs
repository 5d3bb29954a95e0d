//! A directory that several machines share, such as a network file system.
//!
//! ```text
//! DIR/cas/ab/<hash>   blobs, named by the SHA-256 of their content
//! DIR/ac/ab/<hash>    encoded ActionResults, named by the hash of the Action
//! DIR/tmp/            files on their way in
//! ```
//!
//! The directory itself must be there: made here, it would hide that a share isn't mounted, and fill
//! the local disk. A file gets its name only when it is whole. No symbolic link below the directory
//! is followed.
//!
//! A network file system may hang. So each step is a thread's, and given up when it takes longer
//! than the idle timeout. As many threads may hang as there are connections; then requests fail at
//! once. Whoever owns the runtime has to end it without waiting for them.

mod files;

use super::{Credentials, MAX_ENTRY, Remote, RemoteError, RemoteOptions, RemoteOptionsError};
use super::{Tls, without_secrets};
use crate::blob::Blob;
use crate::digest::hex;
use crate::local::Incoming;
use airtight_recording::Digest;
use bytes::Bytes;
use files::{Bucket, Files};
use futures_util::future::try_join_all;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much is read or written in one step.
const PIECE: usize = 256 << 10;

/// A directory that several machines share.
#[derive(Debug)]
pub(super) struct Directory {
    files: Arc<Files>,
    slots: Semaphore,
    /// Those of the slots' requests, and as many that hang.
    threads: Arc<Semaphore>,
    idle_timeout: Duration,
}

impl Directory {
    /// The directory that the options name. It isn't looked at yet.
    ///
    /// # Errors
    /// When an option is wrong.
    pub(super) fn open(options: &RemoteOptions) -> Result<Directory, RemoteOptionsError> {
        let bad = |what: &str| RemoteOptionsError {
            url: without_secrets(&options.url),
            what: what.to_owned(),
        };
        let url = reqwest::Url::parse(&options.url).map_err(|error| bad(&error.to_string()))?;
        let rest = url.query().or(url.fragment());
        let path = url.to_file_path().ok().filter(|path| rest.is_none() && path != Path::new("/"));
        let path = path.ok_or_else(|| bad("not a directory; like file:///mnt/cache"))?;
        if options.credentials != Credentials::None || options.tls != Tls::default() {
            return Err(bad("a directory takes no credentials"));
        }
        Ok(Directory {
            files: Arc::new(Files::new(path)),
            slots: Semaphore::new(options.connections.max(1)),
            threads: Arc::new(Semaphore::new(options.connections.max(1).saturating_mul(2))),
            idle_timeout: options.idle_timeout,
        })
    }

    /// Waits until fewer than all connections are in use.
    async fn slot(&self) -> Result<SemaphorePermit<'_>, RemoteError> {
        self.slots.acquire().await.map_err(|error| RemoteError::Local(error.to_string()))
    }

    /// Does one step on a thread of its own.
    async fn step<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, RemoteError> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let hangs = || RemoteError::Transient {
            what: format!("{}: no answer in time", self.files.root().display()),
            retry_after: None,
        };
        let place = self.threads.clone().try_acquire_owned().map_err(|_| hangs())?;
        let files = self.files.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&files)
        });
        let result = tokio::time::timeout(self.idle_timeout, thread).await;
        result.map_err(|_| hangs())?.map_err(|error| RemoteError::Local(error.to_string()))?
    }

    async fn put(&self, bucket: Bucket, key: &Digest, blob: Blob) -> Result<(), RemoteError> {
        let _slot = self.slot().await?;
        let name = hex(key);
        let mut writing = self.step(move |files| files.write(bucket, &name)).await?;
        let mut offset = 0;
        while offset < blob.digest().size() {
            let blob = blob.clone();
            writing = self
                .step(move |_| {
                    let piece = blob.read(offset, PIECE).map_err(|error| {
                        RemoteError::Local(format!("can't read a blob: {error}"))
                    })?;
                    writing.write(&piece)?;
                    Ok(writing)
                })
                .await?;
            if writing.written() == offset {
                break;
            }
            offset = writing.written();
        }
        self.step(move |files| writing.finish(files, &blob.digest())).await
    }
}

#[async_trait::async_trait]
impl Remote for Directory {
    async fn get_entry(&self, key: &Digest) -> Result<Option<Bytes>, RemoteError> {
        let _slot = self.slot().await?;
        let name = hex(key);
        self.step(move |files| {
            let Some(mut reading) = files.read(Bucket::Entries, &name)? else { return Ok(None) };
            if reading.size() > MAX_ENTRY {
                return Err(reading.wrong("too large for an entry"));
            }
            // The size is bounded above, and the file can't yield more than it.
            let mut value = Vec::new();
            loop {
                let piece = reading.next(PIECE)?;
                if piece.is_empty() {
                    return Ok(Some(value.into()));
                }
                value.extend_from_slice(&piece);
            }
        })
        .await
    }

    async fn put_entry(&self, key: &Digest, value: Bytes) -> Result<(), RemoteError> {
        self.put(Bucket::Entries, key, Blob::of(value)).await
    }

    async fn get_blob(&self, into: &mut Incoming) -> Result<bool, RemoteError> {
        let digest = into.digest();
        if digest.size() == 0 {
            return Ok(true);
        }
        let _slot = self.slot().await?;
        let name = hex(&digest);
        let first = self.step(move |files| {
            let Some(mut reading) = files.read(Bucket::Blobs, &name)? else { return Ok(None) };
            if reading.size() != digest.size() {
                let what = format!("{} bytes instead of {}", reading.size(), digest.size());
                return Err(reading.wrong(&what));
            }
            let piece = reading.next(PIECE)?;
            Ok(Some((reading, piece)))
        });
        let Some((mut reading, mut piece)) = first.await? else { return Ok(false) };
        while !piece.is_empty() {
            into.write(&piece).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => reading.wrong(&error.to_string()),
                _ => RemoteError::Local(format!("can't write a blob: {error}")),
            })?;
            (reading, piece) = self
                .step(move |_| {
                    let piece = reading.next(PIECE)?;
                    Ok((reading, piece))
                })
                .await?;
        }
        Ok(true)
    }

    async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, RemoteError> {
        let there = try_join_all(digests.iter().map(async |digest| {
            let (name, size) = (hex(digest), digest.size());
            // One of another size is damaged: as good as missing, and to be replaced.
            let has = move |files: &Files| Ok(files.size(Bucket::Blobs, &name)? == Some(size));
            let _slot = self.slot().await?;
            Ok(size == 0 || self.step(has).await?)
        }));
        let there = there.await?;
        let all = digests.iter().zip(there);
        Ok(all.filter(|(_, there)| !there).map(|(digest, _)| *digest).collect())
    }

    async fn put_blob(&self, blob: &Blob) -> Result<(), RemoteError> {
        if blob.digest().size() == 0 {
            return Ok(());
        }
        self.put(Bucket::Blobs, &blob.digest(), blob.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_share_that_hangs_takes_few_threads() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let url = format!("file://{}", directory.path().display());
        let options = RemoteOptions {
            connections: 2,
            idle_timeout: Duration::from_millis(100),
            ..RemoteOptions::new(url)
        };
        let remote = Directory::open(&options).map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
        let mut hanging = Vec::new();
        for _ in 0..4 {
            let (end, wait) = mpsc::channel::<()>();
            hanging.push(end);
            // Ends with an error when the other side is dropped.
            let step = remote.step(move |_| {
                let _ = wait.recv();
                Ok(())
            });
            let result = runtime.block_on(step);
            assert!(matches!(result, Err(RemoteError::Transient { .. })), "{result:?}");
        }
        // No more threads: the answer comes at once, and nothing is done.
        let (done, none) = mpsc::channel();
        let step = remote.step(move |_| {
            let _ = done.send(());
            Ok(())
        });
        let result = runtime.block_on(step);
        assert!(matches!(result, Err(RemoteError::Transient { .. })), "{result:?}");
        assert!(none.recv().is_err());
        let key = Digest::of(b"an action");
        assert!(runtime.block_on(remote.get_entry(&key)).is_err());

        drop(hanging);
        let idle = runtime.block_on(remote.threads.acquire_many(4));
        drop(idle.map_err(io::Error::other)?);
        assert_eq!(runtime.block_on(remote.get_entry(&key)), Ok(None));
        Ok(())
    }
}
