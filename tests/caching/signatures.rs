//! Signed results, and readers who take no others.

use crate::support::{End, Site};
use airtight_cache::SigningKey;
use airtight_cache::stats::MissReason::Untrusted;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ARGS: &str = "--in in --out out -- cp in out";

/// Workspaces with a directory that they share, and keys.
struct Shared {
    site: Site,
    place: TempDir,
}

impl Shared {
    fn new() -> Shared {
        Shared { site: Site::new(), place: tempfile::tempdir().expect("a directory") }
    }

    /// A file with a private key made from this seed.
    fn key(&self, seed: u8) -> PathBuf {
        let file = self.site.root().join(format!("key-{seed}"));
        private(&file, SigningKey::from_seed(&[seed; 32]).text().reveal());
        file
    }

    /// Somebody with a home of their own, and these settings of `[cache]`.
    fn person(&self, name: &str, settings: &str) -> Site {
        let person = self.site.at(name, &format!("{name}-home"));
        let url = self.place.path().display();
        let remote = format!("[[cache.remote]]\nurl = \"file://{url}\"\n");
        person
            .write("in", "content")
            .write("airtight.toml", format!("[cache]\n{settings}{remote}"));
        person
    }

    fn signing(&self, seed: u8) -> String {
        format!("signing-key = \"{}\"\n", self.key(seed).display())
    }
}

/// A file that only its owner reads.
fn private(file: &Path, text: &str) {
    fs::write(file, text).expect("a file of ours");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a file of ours");
}

fn trusting(seeds: &[u8]) -> String {
    let keys = seeds.iter().map(|seed| SigningKey::from_seed(&[*seed; 32]).public().to_string());
    format!("trusted-keys = {:?}\n", keys.collect::<Vec<_>>())
}

/// The result was there, and not taken, and one line says why.
#[track_caller]
fn refuses(reader: &Site, why: &str) -> End {
    let end = reader.runs_because(Untrusted, ARGS);
    assert!(end.stderr.starts_with("warning: cache: entry "), "{}", end.show());
    end.says(why);
    end
}

#[test]
fn who_trusts_nobody_in_particular_takes_all() {
    let shared = Shared::new();
    shared.person("writer", &shared.signing(1)).runs(ARGS).silent();
    shared.person("reader", "").fetches(ARGS).silent();
}

#[test]
fn what_a_trusted_key_has_signed_is_taken() {
    let shared = Shared::new();
    shared.person("writer", &shared.signing(2)).runs(ARGS).silent();
    let reader = shared.person("reader", &trusting(&[1, 2]));
    reader.fetches(ARGS).silent();
    // The signature has come along into the local store.
    reader.remove("out").restores(ARGS).silent();
}

#[test]
fn what_nobody_has_signed_is_not_taken() {
    let shared = Shared::new();
    shared.person("writer", "").runs(ARGS).silent();
    let reader = shared.person("reader", &trusting(&[1]));
    refuses(&reader, "it is not signed");
    // Not even its own from the local store, as anybody could have put it there.
    refuses(&reader, "it is not signed");
}

#[test]
fn what_a_stranger_has_signed_is_not_taken() {
    let shared = Shared::new();
    shared.person("stranger", &shared.signing(3)).runs(ARGS).silent();
    let settings = trusting(&[1]) + &shared.signing(1);
    let reader = shared.person("reader", &settings);
    refuses(&reader, "signed by a key that is not trusted");
    // What it has signed itself is in the place of the stranger's now.
    reader.remove("out").restores(ARGS).silent();
    shared.person("third", &trusting(&[1])).fetches(ARGS).silent();
}

#[test]
fn a_signing_key_is_a_secret() {
    let shared = Shared::new();
    let file = shared.site.root().join("no-key");
    private(&file, "airtight-private-key c2VjcmV0LWJ1dC10b28tc2hvcnQ=\n");
    let writer = shared.person("writer", &format!("signing-key = \"{}\"\n", file.display()));
    let (end, _) = writer.run(ARGS);
    end.code(125).says("not a private key of Airtight");
    assert!(!end.stderr.contains("c2VjcmV0"), "{}", end.show());
}
