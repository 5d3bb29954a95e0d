//! Entries made by hand, as a server or a careless writer could have them. This follows
//! docs/keys.md and shares no code with what reads them.

use airtight_cache::Digest;
use airtight_cache::digest::hex;
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::protobuf::{Any, UInt32Value};
use prost::Message;

const PROVENANCE: &str = "airtight.dev/airtight.v1.Provenance";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Provenance {
    #[prost(string, tag = "1")]
    pub(crate) action: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(string, tag = "3")]
    pub(crate) policy: String,
    #[prost(string, tag = "4")]
    pub(crate) verdict: String,
    #[prost(string, tag = "5")]
    pub(crate) recording: String,
    #[prost(uint64, tag = "6")]
    pub(crate) accesses: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) processes: u64,
    #[prost(string, tag = "8")]
    pub(crate) backend: String,
    #[prost(string, tag = "9")]
    pub(crate) host: String,
    #[prost(int64, tag = "10")]
    pub(crate) time: i64,
    #[prost(uint64, tag = "11")]
    pub(crate) duration: u64,
    #[prost(uint32, tag = "12")]
    pub(crate) umask: u32,
    #[prost(bytes = "vec", tag = "13")]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "14")]
    pub(crate) signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "15")]
    pub(crate) sum: Vec<u8>,
}

/// A digest as the protocol has it.
pub(crate) fn wire(digest: &Digest) -> api::Digest {
    api::Digest { hash: hex(digest), size_bytes: digest.size() as i64 }
}

/// A mode as the protocol has it.
pub(crate) fn mode(mode: u32) -> Option<api::NodeProperties> {
    let unix_mode = Some(UInt32Value { value: mode });
    Some(api::NodeProperties { unix_mode, ..Default::default() })
}

/// The provenances of an entry.
pub(crate) fn metadata(entry: &mut api::ActionResult) -> &mut Vec<Any> {
    &mut entry.execution_metadata.get_or_insert_default().auxiliary_metadata
}

/// The provenance of an entry.
pub(crate) fn provenance(entry: &api::ActionResult) -> Provenance {
    let any = &entry.execution_metadata.as_ref().expect("metadata").auxiliary_metadata[0];
    assert_eq!(any.type_url, PROVENANCE);
    Provenance::decode(any.value.as_slice()).expect("a provenance")
}

/// Puts another provenance into an entry.
pub(crate) fn set_provenance(entry: &mut api::ActionResult, provenance: &Provenance) {
    metadata(entry)[0].value = provenance.encode_to_vec();
}

/// Changes the provenance of an entry.
pub(crate) fn change(entry: &mut api::ActionResult, change: impl FnOnce(&mut Provenance)) {
    let mut changed = provenance(entry);
    change(&mut changed);
    set_provenance(entry, &changed);
}

/// Gives every provenance of an entry the checksum that fits the rest.
pub(crate) fn seal(entry: &mut api::ActionResult) {
    let rest = entry.clone();
    for any in metadata(entry) {
        let mut provenance = Provenance::decode(any.value.as_slice()).expect("a provenance");
        provenance.sum = Digest::of(facts(&rest, &provenance).as_bytes()).hash().to_vec();
        any.value = provenance.encode_to_vec();
    }
}

/// The text that the checksum and the signature are of.
fn facts(entry: &api::ActionResult, from: &Provenance) -> String {
    let digest = |digest: &Option<api::Digest>| {
        digest.as_ref().map_or_else(String::new, |d| format!("{}/{}", d.hash, d.size_bytes))
    };
    let mode = |properties: &Option<api::NodeProperties>| {
        properties.as_ref().and_then(|p| p.unix_mode.as_ref()).map_or(0o644, |mode| mode.value)
    };
    let mut text = format!("airtight-entry 1\naction {}\n", from.action);
    let mut files: Vec<_> = entry.output_files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in files {
        let (mode, path) = (mode(&file.node_properties), file.path.escape_default());
        text += &format!("file {mode:o} {} {path}\n", digest(&file.digest));
    }
    let mut links: Vec<_> = entry.output_symlinks.iter().collect();
    links.sort_by(|a, b| a.path.cmp(&b.path));
    for link in links {
        text += &format!("link {} {}\n", link.path.escape_default(), link.target.escape_default());
    }
    let mut directories: Vec<_> = entry.output_directories.iter().collect();
    directories.sort_by(|a, b| a.path.cmp(&b.path));
    for directory in directories {
        let (tree, path) = (digest(&directory.tree_digest), directory.path.escape_default());
        text += &format!("directory {tree} {path}\n");
    }
    for (name, found) in [("stdout", &entry.stdout_digest), ("stderr", &entry.stderr_digest)] {
        if found.is_some() {
            text += &format!("{name} {}\n", digest(found));
        }
    }
    for (name, value) in [
        ("version", &from.version),
        ("policy", &from.policy),
        ("verdict", &from.verdict),
        ("recording", &from.recording),
        ("backend", &from.backend),
        ("host", &from.host),
    ] {
        text += &format!("{name} {}\n", value.escape_default());
    }
    text + &format!(
        "accesses {}\nprocesses {}\ntime {}\nduration {}\numask {:o}\n",
        from.accesses, from.processes, from.time, from.duration, from.umask
    )
}

/// An encoded list of path sets.
pub(crate) fn list(sets: impl IntoIterator<Item = api::Digest>) -> Vec<u8> {
    let file = |(at, digest): (usize, api::Digest)| api::OutputFile {
        path: format!("airtight-paths/{at:02}"),
        digest: Some(digest),
        ..Default::default()
    };
    let output_files = sets.into_iter().enumerate().map(file).collect();
    api::ActionResult { output_files, ..Default::default() }.encode_to_vec()
}
