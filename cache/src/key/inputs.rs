//! The declared inputs as a Merkle tree of `Directory` messages.

use super::HashFile;
use super::action::NotCacheable;
use crate::proto::{self, reapi};
use airtight_policy::Judge;
use airtight_recording::{Digest, Stamp};
use prost::Message;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The declared inputs that are there.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    root: Node,
    /// The files that were hashed: absolute path and what it was at that time.
    pub(super) stamps: Vec<(PathBuf, Stamp)>,
}

#[derive(Debug, Default)]
struct Node {
    directories: BTreeMap<String, Node>,
    files: BTreeMap<String, (Digest, bool)>,
    links: BTreeMap<String, String>,
}

impl Inputs {
    /// Looks for everything that `judge`'s declaration names in the workspace. What is declared
    /// and not there is left out; so is what the action makes itself, which an earlier run may
    /// have left. What is declared outside of the workspace is in the path set of whoever reads it.
    pub(super) fn gather(
        judge: &Judge<'_>,
        workspace: &Path,
        cwd: &str,
        hash: &HashFile<'_>,
    ) -> Result<Inputs, NotCacheable> {
        let mut inputs = Inputs::default();
        inputs.directory(cwd);
        let roots = judge.input_roots();
        for file in &roots.files {
            inputs.add(judge, workspace, Path::new(OsStr::from_bytes(file)), hash)?;
        }
        let mut directories: Vec<PathBuf> =
            roots.directories.iter().map(|d| OsStr::from_bytes(d).into()).collect();
        directories.sort();
        let mut done: Option<PathBuf> = None;
        for directory in directories {
            // One within another has been walked with it.
            if done.as_ref().is_none_or(|done| !directory.starts_with(done)) {
                inputs.walk(judge, workspace, &directory, hash)?;
                done = Some(directory);
            }
        }
        Ok(inputs)
    }

    fn walk(
        &mut self,
        judge: &Judge<'_>,
        workspace: &Path,
        directory: &Path,
        hash: &HashFile<'_>,
    ) -> Result<(), NotCacheable> {
        let mut open = vec![directory.to_owned()];
        while let Some(directory) = open.pop() {
            if !directory.starts_with(workspace) {
                continue;
            }
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(NotCacheable::unreadable(&directory, &error)),
            };
            if judge.is_input(directory.as_os_str().as_bytes()) {
                self.directory(text(relative(&directory, workspace))?);
            }
            for entry in entries {
                let entry = entry.map_err(|error| NotCacheable::unreadable(&directory, &error))?;
                let path = entry.path();
                if entry.file_name().to_str().is_some_and(crate::outputs::is_temporary) {
                    continue;
                }
                let kind =
                    entry.file_type().map_err(|error| NotCacheable::unreadable(&path, &error))?;
                let name = path.as_os_str().as_bytes();
                if kind.is_dir() {
                    if !judge.makes(name) {
                        open.push(path);
                    }
                } else if judge.is_input(name) {
                    self.add(judge, workspace, &path, hash)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        judge: &Judge<'_>,
        workspace: &Path,
        path: &Path,
        hash: &HashFile<'_>,
    ) -> Result<(), NotCacheable> {
        if !path.starts_with(workspace) || judge.makes(path.as_os_str().as_bytes()) {
            return Ok(());
        }
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(NotCacheable::unreadable(path, &error)),
        };
        let name = text(relative(path, workspace))?.to_owned();
        let (above, last) = name.rsplit_once('/').unwrap_or(("", &name));
        if metadata.is_symlink() {
            let target =
                fs::read_link(path).map_err(|error| NotCacheable::unreadable(path, &error))?;
            let target = text(&target)?.to_owned();
            self.directory(above).links.insert(last.to_owned(), target);
        } else if metadata.is_dir() {
            // A declared file that is a directory now: everything in it may be meant.
            self.directory(&name);
        } else if metadata.is_file() {
            let (digest, stamp) =
                hash(path, &metadata).map_err(|error| NotCacheable::unreadable(path, &error))?;
            let executable = metadata.permissions().mode() & 0o100 != 0;
            self.directory(above).files.insert(last.to_owned(), (digest, executable));
            self.stamps.push((path.to_owned(), stamp));
        }
        Ok(())
    }

    fn directory(&mut self, path: &str) -> &mut Node {
        let mut at = &mut self.root;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            at = at.directories.entry(part.to_owned()).or_default();
        }
        at
    }

    /// The digest of the root `Directory`.
    pub(super) fn digest(&self) -> Digest {
        self.root.digest()
    }

    /// Everything in the tree, sorted by path; of directories only those with nothing in them.
    pub(super) fn list(&self) -> Vec<Input> {
        let mut list = Vec::new();
        self.root.list("", &mut list);
        list.sort_by(|a, b| a.path.cmp(&b.path));
        list
    }
}

/// One declared input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its path relative to the workspace.
    pub path: String,
    /// What it is.
    pub node: InputNode,
}

/// What a declared input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputNode {
    /// A regular file.
    File {
        /// The digest of its content.
        digest: Digest,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link with this text.
    Link(String),
    /// A directory with nothing declared in it.
    Directory,
}

impl Node {
    fn list(&self, path: &str, into: &mut Vec<Input>) {
        let named = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        let files = self.files.iter().map(|(name, &(digest, executable))| Input {
            path: named(name),
            node: InputNode::File { digest, executable },
        });
        let links = self.links.iter().map(|(name, target)| Input {
            path: named(name),
            node: InputNode::Link(target.clone()),
        });
        into.extend(files.chain(links));
        for (name, node) in &self.directories {
            node.list(&named(name), into);
        }
        let empty = self.files.is_empty() && self.links.is_empty() && self.directories.is_empty();
        if empty && !path.is_empty() {
            into.push(Input { path: path.to_owned(), node: InputNode::Directory });
        }
    }

    fn digest(&self) -> Digest {
        let files = self.files.iter().map(|(name, (digest, executable))| reapi::FileNode {
            name: name.clone(),
            digest: Some(proto::digest(digest)),
            is_executable: *executable,
            node_properties: None,
        });
        let directories = self.directories.iter().map(|(name, node)| reapi::DirectoryNode {
            name: name.clone(),
            digest: Some(proto::digest(&node.digest())),
        });
        let links = self.links.iter().map(|(name, target)| reapi::SymlinkNode {
            name: name.clone(),
            target: target.clone(),
            node_properties: None,
        });
        let message = reapi::Directory {
            files: files.collect(),
            directories: directories.collect(),
            symlinks: links.collect(),
            node_properties: None,
        };
        Digest::of(&message.encode_to_vec())
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn relative<'a>(path: &'a Path, workspace: &Path) -> &'a Path {
    path.strip_prefix(workspace).unwrap_or(path)
}

fn text(path: &Path) -> Result<&str, NotCacheable> {
    path.to_str().ok_or_else(|| NotCacheable::NotUtf8(path.to_string_lossy().into_owned()))
}
