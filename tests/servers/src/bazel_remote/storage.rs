//! The double's files, and what it knows of action results.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bazel_remote_apis::build::bazel::remote::execution::v2::{
    ActionResult, Digest, Directory, Tree,
};
use hyper::StatusCode;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Why something isn't stored.
pub(super) type Refusal = (StatusCode, &'static str);

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Which of the two caches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Ac,
    Cas,
}

/// What a path asks for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// The file's path in the storage.
    file: PathBuf,
    hash: String,
}

impl Key {
    /// Reads `[/INSTANCE]/ac/HASH` and `[/INSTANCE]/cas/HASH`. Blobs are shared by all instances.
    pub(super) fn of_path(path: &str) -> Option<Key> {
        let (start, hash) = path.rsplit_once('/')?;
        if !is_hash(hash) {
            return None;
        }
        let (instance, kind) = start.rsplit_once('/').unwrap_or(("", start));
        if kind == "cas" {
            return Some(Key::of_blob(hash));
        }
        if kind != "ac" {
            return None;
        }
        let mut file = PathBuf::from("ac");
        for part in instance.split('/').filter(|part| !part.is_empty()) {
            if part.starts_with('.') {
                return None;
            }
            file.push(part);
        }
        file.push(hash);
        Some(Key { kind: Kind::Ac, file, hash: hash.to_owned() })
    }

    fn of_blob(hash: &str) -> Key {
        let file = Path::new("cas").join(hash);
        Key { kind: Kind::Cas, file, hash: hash.to_owned() }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The directory and what fits into it.
#[derive(Debug)]
pub(super) struct Storage {
    directory: PathBuf,
    largest: u64,
    capacity: u64,
    /// The size of everything stored, by file.
    sizes: Mutex<BTreeMap<PathBuf, u64>>,
}

impl Storage {
    pub(super) fn create(directory: &Path, largest: u64, capacity: u64) -> Storage {
        for name in ["ac", "cas", "tmp"] {
            fs::create_dir(directory.join(name)).expect("a directory in our own temporary one");
        }
        Storage { directory: directory.to_owned(), largest, capacity, sizes: Mutex::default() }
    }

    /// The bytes stored there, whatever they are by now.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        match (key.kind, &*key.hash) {
            (Kind::Cas, EMPTY) => Some(Vec::new()),
            _ => fs::read(self.directory.join(&key.file)).ok(),
        }
    }

    /// The bytes of an action result whose outputs are all there.
    pub(super) fn action_result(&self, key: &Key) -> Option<Vec<u8>> {
        let bytes = self.get(key)?;
        let result = ActionResult::decode(&bytes[..]).ok()?;
        for file in &result.output_files {
            // Content that came with the result needs no blob.
            if file.contents.is_empty() {
                self.has(file.digest.as_ref())?;
            }
        }
        for directory in &result.output_directories {
            let tree = self.get(&Key::of_blob(&directory.tree_digest.as_ref()?.hash))?;
            let tree = Tree::decode(&tree[..]).ok()?;
            for directory in tree.root.iter().chain(&tree.children) {
                self.has_files(directory)?;
            }
        }
        for stream in [&result.stdout_digest, &result.stderr_digest].into_iter().flatten() {
            self.has(Some(stream))?;
        }
        Some(bytes)
    }

    fn has_files(&self, directory: &Directory) -> Option<()> {
        directory.files.iter().try_for_each(|file| self.has(file.digest.as_ref()))
    }

    fn has(&self, digest: Option<&Digest>) -> Option<()> {
        let digest = digest?;
        let there = digest.hash == EMPTY
            || is_hash(&digest.hash)
                && self.directory.join(Key::of_blob(&digest.hash).file).is_file();
        there.then_some(())
    }

    /// Begins to take `size` bytes, uncompressed.
    pub(super) fn upload(&self, key: &Key, size: u64, zstd: bool) -> Result<Upload<'_>, Refusal> {
        if size > self.largest {
            return Err((StatusCode::BAD_REQUEST, "too large"));
        }
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let used: u64 = sizes.values().sum();
        if used.checked_add(size).is_none_or(|total| total > self.capacity) {
            return Err((StatusCode::INSUFFICIENT_STORAGE, "full"));
        }
        drop(sizes);
        let file = NamedTempFile::new_in(self.directory.join("tmp")).map_err(broken)?;
        let sink = Sink { file, hash: Sha256::new(), size: 0 };
        let sink = match zstd {
            false => Encoding::Plain(sink),
            true => Encoding::Zstd(zstd::stream::write::Decoder::new(sink).map_err(broken)?),
        };
        Ok(Upload { storage: self, key: key.clone(), size, sink })
    }
}

/// A value on its way in. Nothing is left of it when it is dropped before the end.
pub(super) struct Upload<'a> {
    storage: &'a Storage,
    key: Key,
    size: u64,
    sink: Encoding,
}

/// What comes in.
enum Encoding {
    Plain(Sink),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

impl Upload<'_> {
    /// Takes more bytes as they were sent.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let (written, size) = match &mut self.sink {
            Encoding::Plain(sink) => (sink.write_all(bytes), sink.size),
            Encoding::Zstd(decoder) => (decoder.write_all(bytes), decoder.get_ref().size),
        };
        written.map_err(broken)?;
        // A small body can unpack to any size.
        if size > self.size { Err(DIFFERS) } else { Ok(()) }
    }

    /// Checks and stores it.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        let sink = match self.sink {
            Encoding::Plain(sink) => sink,
            Encoding::Zstd(mut decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.into_inner()
            }
        };
        if sink.size != self.size {
            return Err(DIFFERS);
        }
        let hash: String = sink.hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        if matches!(self.key.kind, Kind::Cas) && hash != self.key.hash {
            return Err(DIFFERS);
        }
        let file = self.storage.directory.join(&self.key.file);
        fs::create_dir_all(file.parent().expect("in the storage")).map_err(broken)?;
        sink.file.persist(&file).map_err(broken)?;
        let mut sizes = self.storage.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(self.key.file, self.size);
        Ok(())
    }
}

const DIFFERS: Refusal = (StatusCode::INTERNAL_SERVER_ERROR, "size or hash differs");

fn broken<E>(_: E) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, "can't be decoded or written")
}

/// A temporary file that counts and hashes.
struct Sink {
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// An encoded action result with a worker's name: as it came when it has one, else encoded again.
/// None when it isn't an action result, or an empty one.
pub(super) fn with_worker(bytes: &[u8], worker: &str) -> Option<Vec<u8>> {
    let mut result = ActionResult::decode(bytes).ok()?;
    let metadata = result.execution_metadata.get_or_insert_default();
    if !metadata.worker.is_empty() {
        return Some(bytes.to_vec());
    }
    worker.clone_into(&mut metadata.worker);
    Some(result.encode_to_vec())
}
