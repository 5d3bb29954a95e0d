//! Entries that are good and stand in the wrong place, and such as nobody trusted has signed.

use crate::forge::{self, change, provenance, set_provenance, wire};
use crate::lab::{At, Lab, PLACES};
use airtight_cache::{Digest, SigningKey};
use prost::Message;
use std::os::unix::fs::PermissionsExt;

#[test]
fn an_entry_answers_its_own_action_alone() {
    // Of two workspaces, and of one action with different inputs.
    let (one, other) = (Lab::new("one"), Lab::new("other"));
    let [first, second] = [&one, &other];
    for (lab, foreign) in [(first, second), (second, first)] {
        for at in PLACES {
            lab.prepare(at);
            lab.put(at, &lab.strong, &foreign.entry.encode_to_vec());
            lab.refused(&format!("a foreign entry, {at:?}"), "answer to another action");

            // With everything that it needs, so that it could be restored.
            lab.prepare(at);
            for digest in foreign.blobs() {
                lab.blob(at, &digest);
            }
            lab.put(at, &lab.strong, &foreign.entry.encode_to_vec());
            lab.refused(&format!("a foreign entry with blobs, {at:?}"), "answer to another action");

            // A list is no promise: the sets lead to the action's own entry, or to none.
            lab.prepare(at);
            lab.put(at, &lab.weak, &foreign.list.encode_to_vec());
            lab.build.build(&format!("a foreign list, {at:?}"));
            lab.is_unharmed("a foreign list");

            lab.prepare(at);
            lab.put(at, &lab.weak, &lab.entry.encode_to_vec());
            lab.put(at, &lab.strong, &lab.list.encode_to_vec());
            lab.refused(&format!("weak and strong exchanged, {at:?}"), "");
        }
    }
}

/// Settings for a reader that trusts the key of these seeds.
fn trusting(seeds: &[u8]) -> String {
    let keys = seeds.iter().map(|seed| key(*seed).public().to_string());
    format!("trusted-keys = {:?}\n", keys.collect::<Vec<_>>())
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// A lab whose writer signs with one key and whose reader trusts another.
fn signed(line: &str, signs: Option<u8>, trusts: &[u8]) -> Lab {
    let mut settings = trusting(trusts);
    if signs.is_some() {
        settings += "signing-key = \".git/key\"";
    }
    Lab::with(line, &settings, |build| {
        if let Some(seed) = signs {
            build.site.write(".git/key", key(seed).text().reveal());
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(build.site.path(".git/key"), mode).expect("a mode");
        }
    })
}

/// What this lab has cached is not taken by its own reader, who can only run the action.
fn is_not_trusted(lab: &Lab, because: &str) {
    for at in PLACES {
        lab.prepare(at);
        let warning = lab.build.runs(because);
        assert!(warning.contains(because), "{at:?}: no {because:?} in {warning:?}");
        lab.is_unharmed(because);
    }
}

#[test]
fn only_trusted_keys_are_believed() {
    is_not_trusted(&signed("unsigned", None, &[1]), "not signed");
    is_not_trusted(&signed("stranger", Some(2), &[1, 3]), "key that is not trusted");

    let lab = signed("friend", Some(1), &[3, 1]);
    for at in PLACES {
        lab.prepare(at);
        let (warning, counters) = lab.build.build("a trusted key");
        assert_eq!((warning.as_str(), counters.hits()), ("", 1), "{at:?}");
    }
    let untouched = provenance(&lab.entry);
    assert_eq!((untouched.key.len(), untouched.signature.len()), (32, 64));
    // One output has another content, which is there.
    lab.forged("another output", "signature", |entry, blob| {
        entry.output_files[0].digest = Some(blob(b"evil"));
    });
    lab.forged("another mode", "signature", |entry, _| {
        let tool = entry.output_files.iter_mut().find(|file| file.path == "tool");
        tool.expect("an output").node_properties = forge::mode(0o700);
    });
    lab.forged("another link", "signature", |entry, _| {
        entry.output_symlinks[0].target = "in.txt".to_owned();
    });
    lab.forged("another stdout", "signature", |entry, _| entry.stdout_digest = None);
    lab.forged("another host", "signature", |entry, _| {
        change(entry, |provenance| provenance.host = "evil".to_owned());
    });
    lab.forged("no signature", "not signed", |entry, _| {
        change(entry, |provenance| {
            provenance.key.clear();
            provenance.signature.clear();
        });
    });
    lab.forged("half a signature", "signature is damaged", |entry, _| {
        change(entry, |provenance| provenance.signature.truncate(32));
    });
    lab.forged("an empty signature", "signature", |entry, _| {
        change(entry, |provenance| provenance.signature = vec![0; 64]);
    });
    // The signature of an entry that a trusted writer has made for another action.
    let other = signed("friend, otherwise", Some(1), &[1]);
    let borrowed = provenance(&other.entry);
    lab.forged("a borrowed signature", "signature", |entry, _| {
        change(entry, |provenance| provenance.signature.clone_from(&borrowed.signature));
    });
    lab.forged("a borrowed provenance", "another action", |entry, _| {
        set_provenance(entry, &borrowed);
    });
    // A key that is on the list, with the signature of one that isn't.
    lab.forged("another's name", "not trusted", |entry, blob| {
        entry.output_files[0].digest = Some(blob(b"evil"));
        change(entry, |provenance| provenance.key = vec![0; 32]);
    });
    lab.prepare(At::Remote);
    assert_ne!(wire(&Digest::of(b"evil")), lab.entry.output_files[0].digest.clone().expect("one"));
    lab.build.is_remote("in the end");
}
