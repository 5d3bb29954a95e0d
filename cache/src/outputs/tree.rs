//! Directories as the `Tree` messages of the Remote Execution API: root, and every directory below
//! it once, named by the digest of its own encoding.

use super::path::{check_name, check_target};
use crate::proto::{Shape, count, digest as wire, from_digest, reapi as api};
use airtight_recording::Digest;
use bazel_remote_apis::google::protobuf::UInt32Value;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// The largest encoded `Tree` that is taken or made: 64 MiB.
pub const MAX_TREE: u64 = 64 << 20;
/// How many files, links and directories one directory output may hold altogether.
pub const MAX_NODES: usize = 250_000;
/// How many levels a directory output may have.
pub const MAX_DEPTH: usize = 128;
/// How long its names and link texts may be altogether, in bytes.
pub(super) const MAX_TEXT: usize = 64 << 20;

/// What modes stand for those that a message does not have: it is not one of ours.
const PLAIN_FILE: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;
const PLAIN_DIRECTORY: u32 = 0o755;

/// A directory with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// Its permission bits.
    pub(super) mode: u32,
    /// What is in it: three lists, each sorted by name, and no name twice.
    pub(super) files: Vec<(String, File)>,
    pub(super) links: Vec<(String, String)>,
    pub(super) directories: Vec<(String, Directory)>,
}

/// A file in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) digest: Digest,
    /// Its permission bits.
    pub(super) mode: u32,
}

/// The encoded `Tree` of a directory.
pub(super) fn encode(directory: &Directory) -> Vec<u8> {
    let mut children = Vec::new();
    let root = message(directory, &mut children, &mut HashSet::new());
    // From the root down, as decoders of other makes like it.
    children.reverse();
    api::Tree { root: Some(root), children }.encode_to_vec()
}

/// The encoded `Directory` messages of everything below a directory, each once.
pub(super) fn below(directory: &Directory) -> Vec<Vec<u8>> {
    let mut children = Vec::new();
    message(directory, &mut children, &mut HashSet::new());
    children.iter().map(Message::encode_to_vec).collect()
}

fn message(
    directory: &Directory,
    children: &mut Vec<api::Directory>,
    known: &mut HashSet<Digest>,
) -> api::Directory {
    let mode = |mode| {
        let unix_mode = Some(UInt32Value { value: mode });
        Some(api::NodeProperties { unix_mode, ..api::NodeProperties::default() })
    };
    let mut directories: Vec<api::DirectoryNode> = Vec::new();
    for (name, child) in directory.directories.iter().rev() {
        let child = message(child, children, known);
        let digest = Digest::of(&child.encode_to_vec());
        if known.insert(digest) {
            children.push(child);
        }
        directories.push(api::DirectoryNode { name: name.clone(), digest: Some(wire(&digest)) });
    }
    directories.reverse();
    let files = directory.files.iter().map(|(name, file)| api::FileNode {
        name: name.clone(),
        digest: Some(wire(&file.digest)),
        is_executable: file.mode & 0o100 != 0,
        node_properties: mode(file.mode),
    });
    let symlinks = directory.links.iter().map(|(name, target)| api::SymlinkNode {
        name: name.clone(),
        target: target.clone(),
        node_properties: None,
    });
    api::Directory {
        files: files.collect(),
        directories,
        symlinks: symlinks.collect(),
        node_properties: mode(directory.mode),
    }
}

/// The directory that an encoded `Tree` stands for. Everything in it is checked, but for where its
/// links lead to ([`check_links`]).
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(bytes: &[u8]) -> Result<Directory, String> {
    if bytes.len() as u64 > MAX_TREE {
        return Err(format!("a tree of {} bytes; the limit is {MAX_TREE}", bytes.len()));
    }
    // A directory has three messages: its entry, its own message, its mode.
    let mut budget = 3 * MAX_NODES;
    count(bytes, &TREE, &mut budget).map_err(|what| format!("not a tree: {what}"))?;
    let tree = api::Tree::decode(bytes).map_err(|error| format!("not a tree: {error}"))?;
    let root = tree.root.ok_or("a tree without a root")?;
    let mut children = HashMap::new();
    for child in tree.children {
        if children.insert(Digest::of(&child.encode_to_vec()), Rc::new(child)).is_some() {
            return Err("a tree that has a directory twice".to_owned());
        }
    }
    let mut decoder = Decoder { children, used: HashSet::new(), size: Size::default() };
    let root = decoder.directory(&root, 0)?;
    if decoder.used.len() != decoder.children.len() {
        return Err("a tree with a directory that nothing leads to".to_owned());
    }
    Ok(root)
}

const NODE: &[(u32, Shape)] = &[(4, PROPERTIES), (5, PROPERTIES), (6, PROPERTIES)];
const PROPERTIES: Shape = Shape(&[(1, Shape(&[]))]);
const DIRECTORY: Shape =
    Shape(&[(1, Shape(NODE)), (2, Shape(NODE)), (3, Shape(NODE)), (5, PROPERTIES)]);
const TREE: Shape = Shape(&[(1, DIRECTORY), (2, DIRECTORY)]);

/// How large a directory with everything in it is. A tree names each directory once, but may have
/// it in many places: what counts is what comes of it.
#[derive(Debug, Default)]
pub(super) struct Size {
    nodes: usize,
    text: usize,
}

impl Size {
    /// Adds one entry with that much text, at that many levels below the root.
    pub(super) fn add(&mut self, text: usize, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth >= MAX_DEPTH {
            return Err(format!("a directory of more than {MAX_DEPTH} levels"));
        }
        if self.nodes > MAX_NODES {
            return Err(format!("a directory of more than {MAX_NODES} entries"));
        }
        self.add_text(text)
    }

    /// Adds text alone.
    pub(super) fn add_text(&mut self, text: usize) -> Result<(), String> {
        self.text = self.text.saturating_add(text);
        if self.text > MAX_TEXT {
            return Err(format!("a directory with names of more than {MAX_TEXT} bytes"));
        }
        Ok(())
    }
}

struct Decoder {
    children: HashMap<Digest, Rc<api::Directory>>,
    used: HashSet<Digest>,
    size: Size,
}

impl Decoder {
    fn directory(&mut self, message: &api::Directory, depth: usize) -> Result<Directory, String> {
        let mut names = HashSet::new();
        check_names(message.files.iter().map(|node| node.name.as_str()), &mut names)?;
        check_names(message.symlinks.iter().map(|node| node.name.as_str()), &mut names)?;
        check_names(message.directories.iter().map(|node| node.name.as_str()), &mut names)?;
        let mut files = Vec::with_capacity(message.files.len());
        for node in &message.files {
            let plain = if node.is_executable { EXECUTABLE } else { PLAIN_FILE };
            let mode = mode(node.node_properties.as_ref(), plain)?;
            self.size.add(node.name.len(), depth)?;
            files.push((node.name.clone(), File { digest: digest(node.digest.as_ref())?, mode }));
        }
        let mut links = Vec::with_capacity(message.symlinks.len());
        for node in &message.symlinks {
            self.size.add(node.name.len() + node.target.len(), depth)?;
            links.push((node.name.clone(), node.target.clone()));
        }
        let mut directories = Vec::with_capacity(message.directories.len());
        for node in &message.directories {
            let digest = digest(node.digest.as_ref())?;
            self.size.add(node.name.len(), depth)?;
            // No directory holds itself: a digest can't be part of what it is the digest of.
            let child = self.children.get(&digest).cloned();
            let child =
                child.ok_or_else(|| format!("a tree without the directory `{}`", node.name))?;
            self.used.insert(digest);
            directories.push((node.name.clone(), self.directory(&child, depth + 1)?));
        }
        let mode = mode(message.node_properties.as_ref(), PLAIN_DIRECTORY)?;
        Ok(Directory { mode, files, links, directories })
    }
}

/// Names are sorted and stand for one thing each, as the Remote Execution API demands.
fn check_names<'a>(
    names: impl Iterator<Item = &'a str>,
    seen: &mut HashSet<&'a str>,
) -> Result<(), String> {
    let mut last = "";
    for name in names {
        check_name(name).map_err(str::to_owned)?;
        if !seen.insert(name) {
            return Err(format!("a tree that has the name `{name}` twice"));
        }
        if name < last {
            return Err(format!("a tree whose names are not sorted: `{name}` after `{last}`"));
        }
        last = name;
    }
    Ok(())
}

fn digest(message: Option<&api::Digest>) -> Result<Digest, String> {
    from_digest(message).ok_or_else(|| "a tree with an entry without a digest".to_owned())
}

fn mode(properties: Option<&api::NodeProperties>, plain: u32) -> Result<u32, String> {
    let mode = properties.and_then(|properties| properties.unix_mode.as_ref());
    match mode.map_or(plain, |mode| mode.value) {
        mode if mode <= 0o777 => Ok(mode),
        mode => Err(format!("a tree with the mode {mode:o}")),
    }
}

/// Checks that no link in `directory` leads out of the workspace. `depth` is how many directories
/// below the workspace those stand that are in `directory` itself.
///
/// # Errors
/// The name of such a link, and what is wrong with it.
pub(super) fn check_links(
    directory: &Directory,
    depth: usize,
) -> Result<(), (String, &'static str)> {
    for (name, target) in &directory.links {
        check_target(target.as_bytes(), depth).map_err(|what| (name.clone(), what))?;
    }
    for (name, child) in &directory.directories {
        check_links(child, depth + 1).map_err(|(below, what)| (format!("{name}/{below}"), what))?;
    }
    Ok(())
}

/// Every file in `directory`, at any depth.
pub(super) fn files<'a>(directory: &'a Directory, into: &mut Vec<&'a File>) {
    into.extend(directory.files.iter().map(|(_, file)| file));
    for (_, child) in &directory.directories {
        files(child, into);
    }
}
