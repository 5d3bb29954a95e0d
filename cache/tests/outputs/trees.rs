//! Trees from others.

use crate::support::Outcome;
use airtight_cache::Digest;
use airtight_cache::digest::hex;
use airtight_cache::outputs::{MAX_DEPTH, check_tree};
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use bazel_remote_apis::google::protobuf::UInt32Value;
use proptest::prelude::*;
use prost::Message;

fn digest(bytes: &[u8]) -> Option<api::Digest> {
    Some(api::Digest { hash: hex(&Digest::of(bytes)), size_bytes: bytes.len() as i64 })
}

fn file(name: &str) -> api::FileNode {
    api::FileNode { name: name.into(), digest: digest(b"x"), ..api::FileNode::default() }
}

fn link(name: &str, target: &str) -> api::SymlinkNode {
    api::SymlinkNode { name: name.into(), target: target.into(), node_properties: None }
}

fn node(name: &str, child: &api::Directory) -> api::DirectoryNode {
    api::DirectoryNode { name: name.into(), digest: digest(&child.encode_to_vec()) }
}

fn check(root: api::Directory, children: Vec<api::Directory>) -> Result<Vec<u8>, String> {
    check_tree(&api::Tree { root: Some(root), children }.encode_to_vec())
}

fn files(names: &[&str]) -> api::Directory {
    api::Directory { files: names.iter().map(|name| file(name)).collect(), ..Default::default() }
}

#[test]
fn what_is_wrong_with_a_tree_is_said() -> Outcome {
    let leaf = files(&["x"]);
    let other = files(&["y"]);
    let above = |nodes: Vec<api::DirectoryNode>| api::Directory {
        directories: nodes,
        ..Default::default()
    };
    let mode = |value| {
        let unix_mode = Some(UInt32Value { value });
        Some(api::NodeProperties { unix_mode, ..Default::default() })
    };
    let mixed = api::Directory {
        files: vec![file("a")],
        symlinks: vec![link("a", "t")],
        ..Default::default()
    };
    let bad = |digest: Option<api::Digest>| api::Directory {
        files: vec![api::FileNode { name: "x".into(), digest, ..Default::default() }],
        ..Default::default()
    };
    let mut special = files(&["x"]);
    special.files[0].node_properties = mode(0o4755);
    for (root, children, said) in [
        (files(&["b", "a"]), vec![], "not sorted"),
        (files(&["a", "a"]), vec![], "twice"),
        (mixed, vec![], "twice"),
        (files(&[".."]), vec![], "`..`"),
        (files(&["."]), vec![], "`.`"),
        (files(&[""]), vec![], "empty"),
        (files(&["a/b"]), vec![], "`/`"),
        (files(&["a\0"]), vec![], "NUL"),
        (files(&[&"x".repeat(256)]), vec![], "255"),
        (files(&[".airtight-0123456789abcdef.7"]), vec![], "own temporary"),
        (above(vec![node("d", &leaf)]), vec![], "without the directory `d`"),
        (above(vec![node("d", &leaf)]), vec![other.clone()], "without the directory `d`"),
        (above(vec![node("d", &leaf)]), vec![leaf.clone(), other], "nothing leads to"),
        (above(vec![node("d", &leaf)]), vec![leaf.clone(), leaf.clone()], "a directory twice"),
        (above(vec![node("d", &leaf), node("d", &leaf)]), vec![leaf.clone()], "twice"),
        (bad(None), vec![], "without a digest"),
        (bad(Some(api::Digest { hash: "AB".into(), size_bytes: 1 })), vec![], "without a digest"),
        (
            bad(digest(b"x").map(|d| api::Digest { size_bytes: -1, ..d })),
            vec![],
            "without a digest",
        ),
        (special, vec![], "mode 4755"),
        (api::Directory { node_properties: mode(0o1777), ..files(&[]) }, vec![], "mode 1777"),
    ] {
        let error = check(root, children).err().ok_or(said)?;
        assert!(error.contains(said), "{error}: {said}");
    }
    assert_eq!(check_tree(b""), Err("a tree without a root".into()));
    check(above(vec![node("d", &leaf), node("e", &leaf)]), vec![leaf])?;
    Ok(())
}

#[test]
fn the_seed_of_the_fuzzer_is_a_tree() -> Outcome {
    let seed = include_bytes!("../../../fuzz/seeds/tree/tree");
    assert_eq!(check_tree(seed)?, seed);
    Ok(())
}

/// Levels that have each other twice: few bytes, and 2^levels directories.
fn bomb(levels: usize, twice: bool) -> (api::Directory, Vec<api::Directory>) {
    let mut level = api::Directory::default();
    let mut children = Vec::new();
    for _ in 0..levels {
        let mut nodes = vec![node("a", &level)];
        if twice {
            nodes.push(node("b", &level));
        }
        children.push(level);
        level = api::Directory { directories: nodes, ..Default::default() };
    }
    (level, children)
}

#[test]
fn a_tree_that_explodes_is_bounded() -> Outcome {
    let (root, children) = bomb(60, true);
    assert!(check(root, children).err().ok_or("taken")?.contains("entries"));
    let (root, children) = bomb(MAX_DEPTH - 1, false);
    check(root, children)?;
    let (root, children) = bomb(MAX_DEPTH + 1, false);
    assert!(check(root, children).err().ok_or("taken")?.contains("levels"));
    // Long texts in many places.
    let mut level = api::Directory {
        symlinks: (0..100).map(|n| link(&format!("{n:03}"), &"x".repeat(4000))).collect(),
        ..Default::default()
    };
    let mut children = Vec::new();
    for _ in 0..8 {
        let nodes = ["a", "b"].map(|name| node(name, &level)).into();
        children.push(level);
        level = api::Directory { directories: nodes, ..Default::default() };
    }
    assert!(check(level, children).err().ok_or("taken")?.contains("bytes"));
    // Two bytes each, and a hundred in memory.
    let empty = [0x0a, 0x00].repeat(10 << 20);
    let mut bytes = vec![0x0a];
    prost::encoding::encode_varint(empty.len() as u64, &mut bytes);
    bytes.extend(empty);
    assert_eq!(check_tree(&bytes), Err("not a tree: too many entries".into()));
    Ok(())
}

fn directory() -> impl Strategy<Value = api::Directory> {
    let mode = || {
        proptest::option::of(0..0o1000_u32).prop_map(|mode| {
            let unix_mode = mode.map(|value| UInt32Value { value });
            unix_mode.map(|_| api::NodeProperties { unix_mode, ..Default::default() })
        })
    };
    let files = proptest::collection::btree_map("f[a-z]{0,3}", mode(), 0..4);
    let links = proptest::collection::btree_map("l[a-z]{0,3}", "[a-z./]{0,6}", 0..3);
    (files, links, mode()).prop_map(|(files, links, node_properties)| api::Directory {
        files: files
            .into_iter()
            .map(|(name, node_properties)| api::FileNode { node_properties, ..file(&name) })
            .collect(),
        symlinks: links.iter().map(|(name, target)| link(name, target)).collect(),
        directories: Vec::new(),
        node_properties,
    })
}

proptest! {
    #[test]
    fn random_bytes_are_taken_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(encoded) = check_tree(&bytes) {
            prop_assert_eq!(check_tree(&encoded), Ok(encoded));
        }
    }

    #[test]
    fn a_good_tree_is_taken_and_a_damaged_one_stays_good_or_is_not(
        mut levels in proptest::collection::vec(directory(), 1..6),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut children: Vec<api::Directory> = Vec::new();
        let mut root = levels.remove(0);
        for mut level in levels {
            if !children.contains(&root) {
                children.push(root.clone());
            }
            level.directories = vec![node("d", &root)];
            root = level;
        }
        let mut bytes = api::Tree { root: Some(root), children }.encode_to_vec();
        // Encoded again, every mode is said; from then on nothing changes any more.
        let encoded = check_tree(&bytes);
        prop_assert!(encoded.is_ok(), "{:?}", encoded);
        let encoded = encoded.unwrap_or_default();
        prop_assert_eq!(check_tree(&encoded), Ok(encoded.clone()));
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if let Ok(encoded) = check_tree(&bytes) {
            prop_assert_eq!(check_tree(&encoded), Ok(encoded));
        }
    }
}
