//! A small build whose result is known, and what must hold after each attack on its cache.

use crate::support::{End, Site, words};
use airtight_cache::local::LocalStore;
use airtight_cache::stats::{Counters, Stats};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes a file, one with a mode of its own, a link, and a directory with everything in it. Shell
/// built-ins wherever there are some: it runs hundreds of times.
const SCRIPT: &str = "\
umask 022
read -r line < in.txt
echo out: $line > out.txt
echo tool: $line > tool
chmod 750 tool
ln -s out.txt link
mkdir -p tree/sub tree/empty
echo inner: $line > tree/sub/inner.txt
echo other: $line > tree/other.txt
echo said: $line
echo warned: $line >&2
";

/// The declaration, for [`words`].
pub(crate) const ARGS: &str = "--in make.sh --in in.txt --out out.txt --out tool --out link \
                               --out tree -- sh make.sh";

/// What it makes.
const OUTPUTS: [&str; 4] = ["out.txt", "tool", "link", "tree"];

type Snapshot = BTreeMap<String, (u32, Vec<u8>)>;

/// The build in a workspace, with what it gives when it is run.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) site: Site,
    right: Snapshot,
    line: String,
}

impl Build {
    /// In a new workspace, with this content of the input.
    pub(crate) fn new(line: &str) -> Build {
        Build::in_site(Site::new(), line)
    }

    /// The same in a workspace that is there.
    pub(crate) fn in_site(site: Site, line: &str) -> Build {
        site.write("make.sh", SCRIPT).write("in.txt", format!("{line}\n"));
        let (end, _) = site.run(&format!("--no-cache {ARGS}"));
        end.code(0);
        let right = site.snapshot(&OUTPUTS);
        assert_eq!(right.len(), 8, "{right:?}");
        let build = Build { site, right, line: line.to_owned() };
        build.clean();
        build
    }

    /// Adds to airtight.toml.
    pub(crate) fn configure(&self, text: &str) -> &Build {
        let old = fs::read_to_string(self.site.path("airtight.toml")).unwrap_or_default();
        self.site.write("airtight.toml", old + text);
        self
    }

    /// Uses this remote, with short time limits.
    pub(crate) fn remote(&self, url: &str, more: &str) -> &Build {
        self.configure(&format!(
            "[[cache.remote]]\nurl = \"{url}\"\nconnect-timeout = \"1s\"\n\
             idle-timeout = \"500ms\"\nbudget = \"2s\"\n{more}\n"
        ))
    }

    /// Removes the outputs.
    pub(crate) fn clean(&self) {
        for name in OUTPUTS {
            if self.site.path(name).symlink_metadata().is_ok() {
                self.site.remove(name);
            }
        }
    }

    /// Empties the local store but for what is known of files elsewhere, and forgets which remotes
    /// are down.
    pub(crate) fn forget(&self) {
        for bucket in ["ac-v1", "cas-v1", "remotes-v1"] {
            remove(&self.site.store().join(bucket));
        }
    }

    /// Whether the outputs are as the action makes them.
    #[track_caller]
    pub(crate) fn is_right(&self, what: &str) {
        let found = self.site.snapshot(&OUTPUTS);
        assert!(found == self.right, "{what}: {found:?}\ninstead of {:?}", self.right);
    }

    /// Puts the outputs that this build should have into another's workspace.
    pub(crate) fn copy_outputs_to(&self, other: &Build) {
        self.is_right("to be copied");
        for name in OUTPUTS {
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([self.site.path(name), other.site.path(name)])
                .status();
            assert!(copied.expect("cp starts").success());
        }
    }

    /// Whether each output is whole: as `old` has it (or absent), or as it should be.
    #[track_caller]
    pub(crate) fn is_old_or_right(&self, old: &Build, absent: bool, what: &str) {
        for name in OUTPUTS {
            let there = self.site.path(name).symlink_metadata().is_ok();
            if !there {
                assert!(absent, "{what}: {name} is gone");
                continue;
            }
            let found = self.site.snapshot(&[name]);
            let of = |build: &Build| -> Snapshot {
                let own = |path: &&String| path.split('/').next() == Some(name);
                let keys = build.right.keys().filter(own);
                keys.map(|key| (key.clone(), build.right[key].clone())).collect()
            };
            let whole = found == of(self) || !absent && found == of(old);
            assert!(whole, "{what}: {name} is {found:?}");
        }
    }

    /// Builds without the outputs of before. The end must be that of a good build, with nothing
    /// more than one warning. Returns the warning and what was counted.
    #[track_caller]
    pub(crate) fn build(&self, what: &str) -> (String, Counters) {
        // A damaged file may not be reset.
        let stats = Stats::open(&self.site.store());
        let _ = stats.reset();
        (self.build_uncounted(what), stats.read().unwrap_or_default())
    }

    /// The same, with the statistics left alone.
    #[track_caller]
    pub(crate) fn build_uncounted(&self, what: &str) -> String {
        self.clean();
        let output = self.site.airtight(&self.args()).output().expect("airtight starts");
        self.check(what, &End::new(&output, &self.site.root()))
    }

    /// That a run ended well, with the right outputs; its warning.
    #[track_caller]
    pub(crate) fn check(&self, what: &str, end: &End) -> String {
        assert_eq!(end.code, Some(0), "{what}: {}", end.show());
        assert_eq!(end.stdout, format!("said: {}\n", self.line), "{what}: {}", end.show());
        let own = format!("warned: {}\n", self.line);
        let warnings = end.stderr.replacen(&own, "", 1);
        assert_eq!(end.stderr.len(), own.len() + warnings.len(), "{what}: {}", end.show());
        let right = warnings.is_empty()
            || warnings.starts_with("warning: ") && warnings.matches('\n').count() == 1;
        assert!(right, "{what}: {}", end.show());
        self.is_right(what);
        warnings
    }

    /// The action runs.
    #[track_caller]
    pub(crate) fn runs(&self, what: &str) -> String {
        let (warning, counters) = self.build(what);
        assert_eq!(counters.hits(), 0, "{what}: {counters:?} {warning}");
        warning
    }

    /// The result comes from the local store, without a word.
    #[track_caller]
    pub(crate) fn is_local(&self, what: &str) {
        let (warning, counters) = self.build(what);
        assert_eq!(warning, "", "{what}");
        assert_eq!((counters.local_hits, counters.hits()), (1, 1), "{what}: {counters:?}");
    }

    /// The result comes from a remote, without a word.
    #[track_caller]
    pub(crate) fn is_remote(&self, what: &str) {
        let (warning, counters) = self.build(what);
        assert_eq!(warning, "", "{what}");
        assert_eq!((counters.remote_hits, counters.hits()), (1, 1), "{what}: {counters:?}");
    }

    /// Nothing in the local store is damaged.
    #[track_caller]
    pub(crate) fn store_is_clean(&self, what: &str) {
        verify(&self.site.store(), what);
    }

    /// The words of the command line.
    pub(crate) fn args(&self) -> Vec<&'static str> {
        words(ARGS)
    }
}

/// Verifies a store, which must be clean.
#[track_caller]
pub(crate) fn verify(store: &Path, what: &str) {
    let mut bad = Vec::new();
    let store = LocalStore::open(store).expect("the store");
    let report = store.verify(&mut |event| {
        if let airtight_cache::local::VerifyEvent::Bad { path, what } = event {
            bad.push(format!("{}: {what}", path.display()));
        }
    });
    assert!(report.expect("a report").is_clean(), "{what}: {bad:#?}");
}

/// Removes whatever is there.
pub(crate) fn remove(path: &Path) {
    let removed = match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Everything below a directory, to be put back after each attack.
#[derive(Debug)]
pub(crate) struct Backup {
    root: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Backup {
    /// Of these directories below `root`, or all of it.
    pub(crate) fn of(root: &Path, wanted: impl Fn(&Path) -> bool) -> Backup {
        let files = crate::support::files(root).into_iter().filter(|path| wanted(path));
        let read = |path: PathBuf| {
            let bytes = fs::read(&path).expect("a file of the storage");
            (path, bytes)
        };
        Backup { root: root.to_owned(), files: files.map(read).collect() }
    }

    /// The files with their contents.
    pub(crate) fn files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.files
    }

    /// Puts everything back that isn't as it was.
    pub(crate) fn restore(&self) {
        for (path, bytes) in &self.files {
            if is_plain(path) && fs::read(path).is_ok_and(|now| now == *bytes) {
                continue;
            }
            remove(path);
            let parent = path.parent().expect("below the root");
            assert!(parent.starts_with(&self.root));
            fs::create_dir_all(parent).expect("a directory of the storage");
            fs::write(path, bytes).expect("a file of the storage");
        }
    }
}

fn is_plain(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.symlink_metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o400 != 0)
}
