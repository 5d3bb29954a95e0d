//! Entries of the action cache: encoded `ActionResult` messages with where they come from.

use crate::cache::MAX_STREAM;
use crate::key::Action;
use crate::proto::{self, Shape, reapi};
use crate::result::{ActionResult, OutputDirectory, OutputFile, OutputLink};
use crate::sign::{Signature, SigningKey, TrustedKeys};
use airtight_policy::{ActionDigest, Verified};
use airtight_recording::Digest;
use bazel_remote_apis::google::protobuf::{Any, UInt32Value};
use prost::Message;
use std::collections::BTreeSet;

/// The type of our message in `execution_metadata.auxiliary_metadata`.
const PROVENANCE: &str = "airtight.dev/airtight.v1.Provenance";

/// The most path sets that are kept under one weak key.
pub(crate) const MAX_PATH_SETS: usize = 16;

/// The most messages that an entry is taken with: each output has up to three.
const MAX_MESSAGES: usize = 200_000;

/// Where a result comes from. All of it is in the signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The version of Airtight that traced and judged.
    pub version: String,
    /// The epoch of the policy.
    pub policy: String,
    /// The digest of the verdict as JSON.
    pub verdict: String,
    /// The digest of the recording that was judged.
    pub recording: String,
    /// How many accesses the recording has.
    pub accesses: u64,
    /// How many processes it has.
    pub processes: u64,
    /// Who watched: `ptrace`.
    pub backend: String,
    /// The machine's name.
    pub host: String,
    /// When the action was published, in seconds since the epoch.
    pub time: i64,
    /// How long the action ran, in milliseconds.
    pub duration: u64,
    /// The umask under which the outputs were made.
    pub umask: u32,
}

/// A result with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the action gave.
    pub result: ActionResult,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Who signed it: the public key in base64; none for an entry without signature.
    pub signer: Option<String>,
}

/// Why an entry is not believed. It counts as a miss.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The bytes are no ActionResult, or not one of Airtight's.
    #[error("not an entry of Airtight: {0}")]
    Garbage(String),
    /// It answers another action: it was moved, or written by mistake.
    #[error("it is the answer to another action")]
    Moved,
    /// It is of an action that failed.
    #[error("it is of an action that ended with {0}")]
    Failed(i32),
    /// Its outputs are not the declared ones.
    #[error("its outputs are not the declared ones: {0}")]
    Outputs(String),
    /// It is not signed by a trusted key.
    #[error("{0}")]
    Signature(String),
    /// A blob of it is missing or not what its digest says.
    #[error("{0}")]
    Blob(String),
}

impl Entry {
    /// The entry for a verified result, as bytes. The proof gives the action's digest.
    pub(crate) fn encode(
        verified: &Verified,
        action: &Action,
        result: &ActionResult,
        provenance: &Provenance,
        key: Option<&SigningKey>,
    ) -> Vec<u8> {
        let strong = verified.action();
        let facts = signed(&strong, result, provenance);
        let signature = key.map(|key| key.sign(&facts));
        let mode = |mode: u32| {
            Some(reapi::NodeProperties {
                unix_mode: Some(UInt32Value { value: mode }),
                ..reapi::NodeProperties::default()
            })
        };
        let files = result.files.iter().map(|file| reapi::OutputFile {
            path: action.wire_path(&file.path),
            digest: Some(proto::digest(&file.digest)),
            is_executable: file.mode & 0o100 != 0,
            node_properties: mode(file.mode),
            ..reapi::OutputFile::default()
        });
        let links = result.links.iter().map(|link| reapi::OutputSymlink {
            path: action.wire_path(&link.path),
            target: link.target.clone(),
            node_properties: None,
        });
        let directories = result.directories.iter().map(|directory| reapi::OutputDirectory {
            path: action.wire_path(&directory.path),
            tree_digest: Some(proto::digest(&directory.tree)),
            ..reapi::OutputDirectory::default()
        });
        let metadata =
            wire::Provenance::new(&strong, provenance, signature, Digest::of(&facts).hash());
        let message = reapi::ActionResult {
            output_files: files.collect(),
            output_symlinks: links.collect(),
            output_directories: directories.collect(),
            exit_code: 0,
            stdout_digest: result.stdout.as_ref().map(proto::digest),
            stderr_digest: result.stderr.as_ref().map(proto::digest),
            execution_metadata: Some(reapi::ExecutedActionMetadata {
                // Some servers fill in a worker where there is none, and so change the bytes.
                worker: provenance.host.clone(),
                auxiliary_metadata: vec![Any {
                    type_url: PROVENANCE.to_owned(),
                    value: metadata.encode_to_vec(),
                }],
                ..reapi::ExecutedActionMetadata::default()
            }),
            ..reapi::ActionResult::default()
        };
        message.encode_to_vec()
    }

    /// Reads the entry that was found under `strong`, and believes nothing: it must be the answer
    /// to that very action, of success, with exactly the declared outputs, and signed where
    /// `trusted` names keys.
    ///
    /// # Errors
    /// When any of this does not hold.
    pub fn decode(
        bytes: &[u8],
        action: &Action,
        strong: &ActionDigest,
        trusted: &TrustedKeys,
    ) -> Result<Entry, Damage> {
        let outputs = action.outputs().iter();
        let declared: Vec<(String, String)> =
            outputs.map(|output| (action.wire_path(output), output.clone())).collect();
        let (message, metadata) = answer_to(bytes, strong)?;
        Entry::check(strong, result(&message, &declared)?, &metadata, trusted)
    }

    /// Reads an entry of which only the action's `declared` outputs are known, as the protocol has
    /// them and relative to the workspace. Where they aren't, its own are taken as they are, and
    /// neither checksum nor signature is checked. For people: nothing is restored from it.
    pub(crate) fn of_outputs(
        bytes: &[u8],
        declared: Option<&[(String, String)]>,
        strong: &ActionDigest,
    ) -> Result<Entry, Damage> {
        let (message, metadata) = answer_to(bytes, strong)?;
        if let Some(declared) = declared {
            let result = result(&message, declared)?;
            return Entry::check(strong, result, &metadata, &TrustedKeys::default());
        }
        let files = message.output_files.iter().map(|file| &file.path);
        let links = message.output_symlinks.iter().map(|link| &link.path);
        let directories = message.output_directories.iter().map(|output| &output.path);
        let own = files.chain(links).chain(directories);
        let own: Vec<_> = own.map(|path| (path.clone(), path.clone())).collect();
        let (result, provenance) = (result(&message, &own)?, metadata.provenance());
        Ok(Entry { result, provenance, signer: None })
    }

    fn check(
        strong: &ActionDigest,
        result: ActionResult,
        metadata: &wire::Provenance,
        trusted: &TrustedKeys,
    ) -> Result<Entry, Damage> {
        let provenance = metadata.provenance();
        let facts = signed(strong, &result, &provenance);
        // A damaged byte of a blob shows in its digest, one in a mode, a link's text or a field's
        // number only here.
        if metadata.sum != Digest::of(&facts).hash() {
            return Err(Damage::Garbage("its checksum is wrong".into()));
        }
        let signature = metadata.signature()?;
        let signer = trusted.check(signature.as_ref(), &facts).map_err(Damage::Signature)?;
        Ok(Entry { result, provenance, signer })
    }
}

/// The action that an entry says to be the answer to, as text.
pub(crate) fn action_of(bytes: &[u8]) -> Result<String, Damage> {
    Ok(provenance(&message(bytes, MAX_MESSAGES)?)?.action)
}

/// The message of an entry and ours in it, if it tells of the success of that very action.
fn answer_to(
    bytes: &[u8],
    strong: &ActionDigest,
) -> Result<(reapi::ActionResult, wire::Provenance), Damage> {
    let message = message(bytes, MAX_MESSAGES)?;
    if message.exit_code != 0 {
        return Err(Damage::Failed(message.exit_code));
    }
    let metadata = provenance(&message)?;
    if metadata.action != strong.to_string() {
        return Err(Damage::Moved);
    }
    Ok((message, metadata))
}

/// Reads an entry for the fuzzer: as [`Entry::decode`] does, but for the key, checksum and signature,
/// which no mutation would pass.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn check_entry(bytes: &[u8], outputs: &[&str]) -> Result<ActionResult, Damage> {
    let message = message(bytes, MAX_MESSAGES)?;
    let metadata = provenance(&message)?;
    let declared: Vec<(String, String)> =
        outputs.iter().map(|path| ((*path).to_owned(), (*path).to_owned())).collect();
    let result = result(&message, &declared)?;
    let key = ActionDigest(Digest::of(metadata.action.as_bytes()));
    signed(&key, &result, &metadata.provenance());
    metadata.signature()?;
    Ok(result)
}

/// Reads a list of path sets for the fuzzer, and encodes what it has read.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn check_path_sets(bytes: &[u8]) -> Result<Vec<u8>, Damage> {
    decode_path_sets(bytes).map(|sets| encode_path_sets(&sets))
}

/// Decodes an `ActionResult` of at most `most` messages.
fn message(bytes: &[u8], mut most: usize) -> Result<reapi::ActionResult, Damage> {
    const PROPERTIES: Shape = Shape(&[(1, Shape(&[]))]);
    const FILE: Shape = Shape(&[(2, Shape(&[])), (7, PROPERTIES)]);
    const DIRECTORY: Shape = Shape(&[(3, Shape(&[]))]);
    const LINK: Shape = Shape(&[(4, PROPERTIES)]);
    const METADATA: Shape = Shape(&[(11, Shape(&[]))]);
    const RESULT: Shape =
        Shape(&[(2, FILE), (3, DIRECTORY), (9, METADATA), (10, LINK), (11, LINK), (12, LINK)]);
    proto::count(bytes, &RESULT, &mut most).map_err(Damage::Garbage)?;
    reapi::ActionResult::decode(bytes).map_err(|error| Damage::Garbage(error.to_string()))
}

/// Our message among the metadata.
fn provenance(message: &reapi::ActionResult) -> Result<wire::Provenance, Damage> {
    let metadata = message.execution_metadata.as_ref();
    let any = metadata.into_iter().flat_map(|m| &m.auxiliary_metadata);
    let own = any.filter(|any| any.type_url == PROVENANCE).collect::<Vec<&Any>>();
    let [own] = own.as_slice() else {
        return Err(Damage::Garbage("it does not say where it comes from".into()));
    };
    wire::Provenance::decode(own.value.as_slice())
        .map_err(|error| Damage::Garbage(error.to_string()))
}

/// The outputs, if they are exactly the declared ones.
fn result(
    message: &reapi::ActionResult,
    declared: &[(String, String)],
) -> Result<ActionResult, Damage> {
    let mut open: BTreeSet<&str> = declared.iter().map(|(wire, _)| wire.as_str()).collect();
    let mut take = |wire: &str| -> Result<String, Damage> {
        let known = declared.iter().find(|(declared, _)| declared == wire);
        match known {
            Some((known, path)) if open.remove(known.as_str()) => Ok((*path).clone()),
            Some(_) => Err(Damage::Outputs(format!("{} comes twice", printable(wire)))),
            None => Err(Damage::Outputs(format!("{} is not declared", printable(wire)))),
        }
    };
    let digest = |digest: Option<&reapi::Digest>, path: &str| {
        proto::from_digest(digest)
            .ok_or_else(|| Damage::Outputs(format!("{} has no digest", printable(path))))
    };
    let mut result = ActionResult::default();
    for file in &message.output_files {
        let mode = file.node_properties.as_ref().and_then(|p| p.unix_mode.as_ref());
        let mode = mode.map_or(if file.is_executable { 0o755 } else { 0o644 }, |mode| mode.value);
        if mode > 0o777 || (mode & 0o100 != 0) != file.is_executable {
            return Err(Damage::Outputs(format!("{} has mode {mode:o}", printable(&file.path))));
        }
        result.files.push(OutputFile {
            path: take(&file.path)?,
            digest: digest(file.digest.as_ref(), &file.path)?,
            mode,
        });
    }
    for link in &message.output_symlinks {
        result.links.push(OutputLink { path: take(&link.path)?, target: link.target.clone() });
    }
    for directory in &message.output_directories {
        result.directories.push(OutputDirectory {
            path: take(&directory.path)?,
            tree: digest(directory.tree_digest.as_ref(), &directory.path)?,
        });
    }
    if let Some(missing) = open.into_iter().next() {
        return Err(Damage::Outputs(format!("{} is missing", printable(missing))));
    }
    let stream = |name: &str, raw: &[u8], found: Option<&reapi::Digest>| match (raw, found) {
        ([], None) => Ok(None),
        ([], Some(_)) => match digest(found, name)? {
            digest if digest.size() > MAX_STREAM => {
                Err(Damage::Outputs(format!("{name} is larger than {MAX_STREAM} bytes")))
            }
            digest => Ok(Some(digest)),
        },
        _ => Err(Damage::Outputs(format!("{name} is inline"))),
    };
    result.stdout = stream("stdout", &message.stdout_raw, message.stdout_digest.as_ref())?;
    result.stderr = stream("stderr", &message.stderr_raw, message.stderr_digest.as_ref())?;
    result.files.sort();
    result.links.sort();
    result.directories.sort();
    Ok(result)
}

fn printable(text: &str) -> String {
    let text = airtight_policy::printable(text.as_bytes());
    text.chars().take(100).collect()
}

/// What is signed, and what the checksum is of: every fact of an entry, one to a line, each text
/// escaped so that no line can be forged. docs/keys.md has it byte by byte.
fn signed(strong: &ActionDigest, result: &ActionResult, provenance: &Provenance) -> Vec<u8> {
    let mut text = format!("airtight-entry 1\naction {strong}\n");
    for OutputFile { path, digest, mode } in &result.files {
        text += &format!("file {mode:o} {digest} {}\n", path.escape_default());
    }
    for OutputLink { path, target } in &result.links {
        text += &format!("link {} {}\n", path.escape_default(), target.escape_default());
    }
    for OutputDirectory { path, tree } in &result.directories {
        text += &format!("directory {tree} {}\n", path.escape_default());
    }
    for (name, digest) in [("stdout", &result.stdout), ("stderr", &result.stderr)] {
        if let Some(digest) = digest {
            text += &format!("{name} {digest}\n");
        }
    }
    let Provenance { version, policy, verdict, recording, backend, host, .. } = provenance;
    for (name, value) in [
        ("version", version),
        ("policy", policy),
        ("verdict", verdict),
        ("recording", recording),
        ("backend", backend),
        ("host", host),
    ] {
        text += &format!("{name} {}\n", value.escape_default());
    }
    let Provenance { accesses, processes, time, duration, umask, .. } = provenance;
    text += &format!(
        "accesses {accesses}\nprocesses {processes}\ntime {time}\nduration {duration}\n\
         umask {umask:o}\n"
    );
    text.into_bytes()
}

/// The list of path sets under a weak key: an `ActionResult` whose outputs are the sets, the newest
/// first, so that any server of the protocol holds it.
pub(crate) fn encode_path_sets(sets: &[Digest]) -> Vec<u8> {
    let file = |(at, digest): (usize, &Digest)| reapi::OutputFile {
        path: format!("airtight-paths/{at:02}"),
        digest: Some(proto::digest(digest)),
        ..reapi::OutputFile::default()
    };
    let message = reapi::ActionResult {
        output_files: sets.iter().take(MAX_PATH_SETS).enumerate().map(file).collect(),
        execution_metadata: Some(reapi::ExecutedActionMetadata {
            worker: "airtight".to_owned(),
            ..reapi::ExecutedActionMetadata::default()
        }),
        ..reapi::ActionResult::default()
    };
    message.encode_to_vec()
}

/// Reads a list of path sets. It needs no proof: a set that no verified run had leads to a strong
/// key under which nothing stands.
pub(crate) fn decode_path_sets(bytes: &[u8]) -> Result<Vec<Digest>, Damage> {
    let message = message(bytes, MAX_MESSAGES)?;
    let files = message.output_files.iter().take(MAX_PATH_SETS);
    files
        .map(|file| {
            proto::from_digest(file.digest.as_ref())
                .filter(|_| file.path.starts_with("airtight-paths/"))
                .ok_or_else(|| Damage::Garbage("a path set has no digest".into()))
        })
        .collect()
}

mod wire {
    use super::{Damage, Signature};
    use airtight_policy::ActionDigest;

    /// Our message. Digests are text, `hash/size`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Provenance {
        #[prost(string, tag = "1")]
        pub(super) action: String,
        #[prost(string, tag = "2")]
        version: String,
        #[prost(string, tag = "3")]
        policy: String,
        #[prost(string, tag = "4")]
        verdict: String,
        #[prost(string, tag = "5")]
        recording: String,
        #[prost(uint64, tag = "6")]
        accesses: u64,
        #[prost(uint64, tag = "7")]
        processes: u64,
        #[prost(string, tag = "8")]
        backend: String,
        #[prost(string, tag = "9")]
        host: String,
        #[prost(int64, tag = "10")]
        time: i64,
        #[prost(uint64, tag = "11")]
        duration: u64,
        #[prost(uint32, tag = "12")]
        umask: u32,
        #[prost(bytes = "vec", tag = "13")]
        key: Vec<u8>,
        #[prost(bytes = "vec", tag = "14")]
        signature: Vec<u8>,
        #[prost(bytes = "vec", tag = "15")]
        pub(super) sum: Vec<u8>,
    }

    impl Provenance {
        pub(super) fn new(
            action: &ActionDigest,
            from: &super::Provenance,
            signature: Option<Signature>,
            sum: &[u8; 32],
        ) -> Provenance {
            let (key, signature) = signature
                .map(|Signature { key, bytes }| (key.to_vec(), bytes.to_vec()))
                .unwrap_or_default();
            Provenance {
                action: action.to_string(),
                version: from.version.clone(),
                policy: from.policy.clone(),
                verdict: from.verdict.clone(),
                recording: from.recording.clone(),
                accesses: from.accesses,
                processes: from.processes,
                backend: from.backend.clone(),
                host: from.host.clone(),
                time: from.time,
                duration: from.duration,
                umask: from.umask,
                key,
                signature,
                sum: sum.to_vec(),
            }
        }

        pub(super) fn provenance(&self) -> super::Provenance {
            super::Provenance {
                version: self.version.clone(),
                policy: self.policy.clone(),
                verdict: self.verdict.clone(),
                recording: self.recording.clone(),
                accesses: self.accesses,
                processes: self.processes,
                backend: self.backend.clone(),
                host: self.host.clone(),
                time: self.time,
                duration: self.duration,
                umask: self.umask,
            }
        }

        pub(super) fn signature(&self) -> Result<Option<Signature>, Damage> {
            if self.key.is_empty() && self.signature.is_empty() {
                return Ok(None);
            }
            let parts = (self.key.as_slice().try_into(), self.signature.as_slice().try_into());
            let (Ok(key), Ok(bytes)) = parts else {
                return Err(Damage::Signature("its signature is damaged".into()));
            };
            Ok(Some(Signature { key, bytes }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of this text makes every signature of before worthless.
    #[test]
    fn what_is_signed_is_this_text() {
        let result = ActionResult {
            files: vec![OutputFile {
                path: "build/a\nb.o".into(),
                digest: Digest::of(b"o"),
                mode: 0o644,
            }],
            links: vec![OutputLink { path: "l".into(), target: "a b".into() }],
            directories: vec![OutputDirectory { path: "gen".into(), tree: Digest::of(b"t") }],
            stdout: Some(Digest::of(b"out")),
            stderr: None,
        };
        let provenance = Provenance {
            version: "0.1.0".into(),
            policy: "p".into(),
            verdict: "v".into(),
            recording: "r".into(),
            accesses: 3,
            processes: 2,
            backend: "ptrace".into(),
            host: "build-1".into(),
            time: 1_700_000_000,
            duration: 250,
            umask: 0o022,
        };
        let strong = ActionDigest(Digest::of(b"strong"));
        let text = signed(&strong, &result, &provenance);
        let expected = format!(
            "airtight-entry 1\naction {strong}\nfile 644 {} build/a\\nb.o\nlink l a b\n\
             directory {} gen\nstdout {}\nversion 0.1.0\npolicy p\nverdict v\nrecording r\n\
             backend ptrace\nhost build-1\naccesses 3\nprocesses 2\ntime 1700000000\n\
             duration 250\numask 22\n",
            Digest::of(b"o"),
            Digest::of(b"t"),
            Digest::of(b"out"),
        );
        assert_eq!(String::from_utf8_lossy(&text), expected);
        let signature = SigningKey::from_seed(&[7; 32]).sign(&text);
        let hex: String = signature.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "fa3ae5cb7f943587737ea56d809a22073d97d53b9de1788287610d184b89205d\
             01bdd04105e72b2365232efd8696ce9e134b9b553dfe87dc7a4bdd0828712904"
        );
    }

    #[test]
    fn path_sets_are_listed_and_read() {
        let sets: Vec<Digest> = (0..20u8).map(|n| Digest::of(&[n])).collect();
        let list = encode_path_sets(&sets);
        assert_eq!(decode_path_sets(&list), Ok(sets[..MAX_PATH_SETS].to_vec()));
        assert!(decode_path_sets(b"\xff").is_err());
    }
}
