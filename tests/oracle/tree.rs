//! Files by name, and as the messages of the Remote Execution API.

use airtight_recording::Digest;
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What can be at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File { digest: String, executable: bool },
    Link(String),
    Directory,
}

/// Everything at and below some names of a directory.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: BTreeMap<String, Node>,
    contents: Vec<Vec<u8>>,
}

impl Tree {
    /// Takes in what is there of these names. Links are not followed at the end of a name.
    pub(crate) fn of<S: AsRef<str>>(directory: &Path, names: &[S]) -> Tree {
        let mut tree = Tree::default();
        let mut open: Vec<String> =
            names.iter().map(|name| name.as_ref().trim_end_matches('/').to_owned()).collect();
        while let Some(name) = open.pop() {
            let path = directory.join(&name);
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let node = if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link").into_os_string();
                Node::Link(target.into_string().expect("UTF-8"))
            } else if metadata.is_dir() {
                let entries = fs::read_dir(&path).expect("a directory");
                let entries = entries.map(|entry| entry.expect("an entry").file_name());
                open.extend(entries.map(|entry| format!("{name}/{}", entry.display())));
                Node::Directory
            } else {
                let content = fs::read(&path).expect("a file");
                let digest = Digest::of(&content).to_string();
                tree.contents.push(content);
                Node::File { digest, executable: metadata.permissions().mode() & 0o100 != 0 }
            };
            tree.nodes.insert(name, node);
        }
        tree
    }

    /// The root `Directory` with the tree at a place below it, and all blobs. The directory of
    /// the action, `cwd`, is there even when there is nothing in it.
    pub(crate) fn input_root(mut self, place: &str, cwd: &str) -> (reapi::Digest, Vec<Vec<u8>>) {
        let mut root = Directory::default();
        root.at(&format!("{place}/{cwd}"));
        for (name, node) in &self.nodes {
            let name = format!("{place}/{name}");
            let (above, last) = name.rsplit_once('/').unwrap_or(("", &name));
            match node {
                Node::Directory => root.at(&name),
                node => {
                    let above = root.at(above);
                    above.leaves.insert(last.to_owned(), node.clone());
                    above
                }
            };
        }
        (root.encode(&mut self.contents), self.contents)
    }
}

#[derive(Default)]
struct Directory {
    directories: BTreeMap<String, Directory>,
    leaves: BTreeMap<String, Node>,
}

impl Directory {
    fn at(&mut self, path: &str) -> &mut Directory {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.fold(self, |at, part| at.directories.entry(part.to_owned()).or_default())
    }

    fn encode(&self, blobs: &mut Vec<Vec<u8>>) -> reapi::Digest {
        let mut message = reapi::Directory::default();
        for (name, directory) in &self.directories {
            let digest = Some(directory.encode(blobs));
            message.directories.push(reapi::DirectoryNode { name: name.clone(), digest });
        }
        for (name, node) in &self.leaves {
            let name = name.clone();
            match node {
                Node::File { digest, executable } => message.files.push(reapi::FileNode {
                    name,
                    digest: Some(from_text(digest)),
                    is_executable: *executable,
                    node_properties: None,
                }),
                Node::Link(target) => message.symlinks.push(reapi::SymlinkNode {
                    name,
                    target: target.clone(),
                    node_properties: None,
                }),
                Node::Directory => unreachable!("directories are no leaves"),
            }
        }
        let encoded = message.encode_to_vec();
        let digest = digest_of(&encoded);
        blobs.push(encoded);
        digest
    }
}

/// What a `Tree` message holds, under a name.
pub(crate) fn unpack(name: &str, tree: &reapi::Tree, into: &mut BTreeMap<String, Node>) {
    let children: BTreeMap<String, &reapi::Directory> =
        tree.children.iter().map(|child| (digest_of(&child.encode_to_vec()).hash, child)).collect();
    let mut open = vec![(name.to_owned(), tree.root.as_ref().expect("a root"))];
    while let Some((name, directory)) = open.pop() {
        for file in &directory.files {
            let digest = to_text(file.digest.as_ref().expect("a digest"));
            let node = Node::File { digest, executable: file.is_executable };
            into.insert(format!("{name}/{}", file.name), node);
        }
        for link in &directory.symlinks {
            into.insert(format!("{name}/{}", link.name), Node::Link(link.target.clone()));
        }
        for child in &directory.directories {
            let hash = &child.digest.as_ref().expect("a digest").hash;
            open.push((format!("{name}/{}", child.name), children[hash]));
        }
        into.insert(name, Node::Directory);
    }
}

/// The digest of some bytes, as the protocol has it.
pub(crate) fn digest_of(bytes: &[u8]) -> reapi::Digest {
    from_text(&Digest::of(bytes).to_string())
}

/// A digest of the protocol as text: hash, slash, size.
pub(crate) fn to_text(digest: &reapi::Digest) -> String {
    format!("{}/{}", digest.hash, digest.size_bytes)
}

fn from_text(text: &str) -> reapi::Digest {
    let (hash, size) = text.split_once('/').expect("a slash");
    reapi::Digest { hash: hash.to_owned(), size_bytes: size.parse().expect("a size") }
}
