//! What an action gave, checked: the Remote Execution API's `ActionResult` with only what Airtight
//! stores and restores.

use airtight_recording::Digest;

/// A file that an action made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputFile {
    /// Its path relative to the workspace: no `..`, no `.`, not absolute.
    pub path: String,
    /// The digest of its content.
    pub digest: Digest,
    /// Its permission bits, `0o777` at most.
    pub mode: u32,
}

/// A symbolic link that an action made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputLink {
    /// Its path relative to the workspace.
    pub path: String,
    /// Its text, which never leads out of the workspace.
    pub target: String,
}

/// A directory that an action made, with everything in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputDirectory {
    /// Its path relative to the workspace.
    pub path: String,
    /// The digest of an encoded `Tree` message that lists what is in it.
    pub tree: Digest,
}

/// What an action gave. The exit code is not in it, because only success is ever published.
/// Together the paths are exactly the action's declared outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionResult {
    /// The files, sorted by path.
    pub files: Vec<OutputFile>,
    /// The symbolic links, sorted by path.
    pub links: Vec<OutputLink>,
    /// The directories, sorted by path.
    pub directories: Vec<OutputDirectory>,
    /// What it wrote to standard output; none for nothing.
    pub stdout: Option<Digest>,
    /// What it wrote to standard error; none for nothing.
    pub stderr: Option<Digest>,
}
