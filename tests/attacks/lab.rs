//! A build with its result in a shared directory and in the local store, and entries that are
//! exchanged there.

use crate::build::{Backup, Build};
use crate::forge;
use airtight_cache::Digest;
use airtight_cache::digest::{from_hex, hex};
use airtight_cache::local::LocalStore;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where an attacker can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Local,
    Remote,
}

pub(crate) const PLACES: [At; 2] = [At::Local, At::Remote];

/// A build, its stores, and what they hold.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) build: Build,
    shared: PathBuf,
    /// The key of the list of path sets.
    pub(crate) weak: Digest,
    /// The key of the entry.
    pub(crate) strong: Digest,
    pub(crate) list: api::ActionResult,
    pub(crate) entry: api::ActionResult,
    remote: Backup,
    local: Backup,
    around: BTreeMap<PathBuf, Vec<u8>>,
}

impl Lab {
    pub(crate) fn new(line: &str) -> Lab {
        Lab::with(line, "", |_| ())
    }

    /// With these settings in the table `cache`, and a preparation of the workspace.
    pub(crate) fn with(line: &str, settings: &str, prepare: impl FnOnce(&Build)) -> Lab {
        let build = Build::new(line);
        prepare(&build);
        let root = build.site.root();
        let shared = root.join("shared");
        fs::create_dir(&shared).expect("a directory");
        fs::create_dir(root.join("outside")).expect("a directory");
        fs::write(root.join("outside/secret"), "secret\n").expect("a file");
        build.configure(&format!("[cache]\nmax-size = \"100MiB\"\n{settings}\n"));
        build.remote(&format!("file://{}", shared.display()), "");
        build.runs("first");
        let mut lab = Lab {
            remote: Backup::of(&shared, |_| true),
            local: Backup::of(&build.site.store(), |path| {
                ["ac-v1", "cas-v1"].iter().any(|bucket| path.iter().any(|part| part == *bucket))
            }),
            around: BTreeMap::new(),
            weak: Digest::of(b""),
            strong: Digest::of(b""),
            list: api::ActionResult::default(),
            entry: api::ActionResult::default(),
            build,
            shared,
        };
        let entries = lab.remote.files().iter().filter(|(path, _)| {
            path.strip_prefix(&lab.shared).is_ok_and(|path| path.starts_with("ac"))
        });
        let entries: Vec<_> = entries.map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
        assert_eq!(entries.len(), 2, "{entries:?}");
        for (path, bytes) in entries {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a hash");
            let key = from_hex(name, 0).expect("a hash");
            let entry = api::ActionResult::decode(bytes.as_slice()).expect("an entry");
            if entry.output_files[0].path.starts_with("airtight-paths/") {
                (lab.weak, lab.list) = (key, entry);
            } else {
                (lab.strong, lab.entry) = (key, entry);
            }
        }
        lab.around = lab.surroundings();
        lab
    }

    /// Everything that a build has to leave alone.
    fn surroundings(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (root, outputs) = (self.build.site.root(), ["out.txt", "tool", "link", "tree"]);
        let ours = |path: &Path| {
            let path = path.strip_prefix(&root).expect("below the root");
            let makes = outputs.iter().any(|name| path.starts_with(Path::new("work").join(name)));
            makes || ["shared", "home", "tmp"].iter().any(|name| path.starts_with(name))
        };
        let found = crate::support::files(&root).into_iter().filter(|path| !ours(path));
        found.map(|path| (path.clone(), fs::read(&path).expect("a file"))).collect()
    }

    /// Puts an entry under a key.
    pub(crate) fn put(&self, at: At, key: &Digest, bytes: &[u8]) {
        match at {
            At::Local => {
                let store = LocalStore::open(&self.build.site.store()).expect("the store");
                store.copy_entry(key, bytes).expect("the store takes it");
            }
            At::Remote => self.write("ac", key, bytes),
        }
    }

    /// Stores a blob.
    pub(crate) fn blob(&self, at: At, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        match at {
            At::Local => {
                let store = LocalStore::open(&self.build.site.store()).expect("the store");
                store.put_bytes(bytes).expect("the store takes it");
            }
            At::Remote => self.write("cas", &digest, bytes),
        }
        digest
    }

    /// The content of every blob in the shared directory after the first run.
    pub(crate) fn blobs(&self) -> Vec<Vec<u8>> {
        let blobs = self.remote.files().iter().filter(|(path, _)| {
            path.strip_prefix(&self.shared).is_ok_and(|path| path.starts_with("cas"))
        });
        blobs.map(|(_, bytes)| bytes.clone()).collect()
    }

    /// Writes a file of the shared directory, whatever its name says.
    pub(crate) fn write(&self, bucket: &str, key: &Digest, bytes: &[u8]) {
        let name = hex(key);
        let path = self.shared.join(bucket).join(&name[..2]);
        fs::create_dir_all(&path).expect("a directory");
        fs::write(path.join(name), bytes).expect("a file");
    }

    /// Everything is as after the first run; only one place can serve.
    pub(crate) fn prepare(&self, at: At) {
        self.build.forget();
        self.remote.restore();
        match at {
            // The remote is not asked when it lacks the list.
            At::Local => {
                self.local.restore();
                fs::remove_dir_all(self.shared.join("ac")).expect("a directory");
            }
            At::Remote => (),
        }
    }

    /// One attack: the build is right, the cache is not used, the warning says why, and nothing
    /// else has changed.
    #[track_caller]
    pub(crate) fn refused(&self, what: &str, because: &str) {
        let warning = self.build.runs(what);
        assert!(warning.contains(because), "{what}: no {because:?} in {warning:?}");
        self.is_unharmed(what);
        self.build.is_local(&format!("after {what}"));
    }

    /// Nothing but outputs has changed.
    #[track_caller]
    pub(crate) fn is_unharmed(&self, what: &str) {
        let now = self.surroundings();
        assert!(now == self.around, "{what}: {:?}", now.keys());
    }

    /// The entry under the strong key is changed, in both places in turn, with everything in it
    /// that a reader without trusted keys could check.
    #[track_caller]
    pub(crate) fn forged(
        &self,
        what: &str,
        because: &str,
        forge: impl Fn(&mut api::ActionResult, &dyn Fn(&[u8]) -> api::Digest),
    ) {
        for at in PLACES {
            self.forged_at(at, what, because, &forge);
        }
    }

    /// The same in one place.
    #[track_caller]
    pub(crate) fn forged_at(
        &self,
        at: At,
        what: &str,
        because: &str,
        forge: impl Fn(&mut api::ActionResult, &dyn Fn(&[u8]) -> api::Digest),
    ) {
        self.prepare(at);
        let mut entry = self.entry.clone();
        forge(&mut entry, &|bytes| forge::wire(&self.blob(at, bytes)));
        forge::seal(&mut entry);
        self.put(at, &self.strong, &entry.encode_to_vec());
        self.refused(&format!("{what}, {at:?}"), because);
    }
}
