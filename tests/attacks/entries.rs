//! Entries that no run has made, with a provenance and a checksum that are right.

use crate::forge::{self, change, metadata, mode, provenance, wire};
use crate::lab::{At, Lab, PLACES};
use airtight_cache::Digest;
use airtight_cache::key::PathSet;
use airtight_policy::{Dependency, Need, Seen};
use bazel_remote_apis::build::bazel::remote::execution::v2 as api;
use prost::Message;
use std::path::Path;

/// What the tests need to know of an entry: everything else is as it was.
fn file(path: &str, digest: api::Digest) -> api::OutputFile {
    let digest = Some(digest);
    api::OutputFile {
        path: path.to_owned(),
        digest,
        node_properties: mode(0o644),
        ..Default::default()
    }
}

fn link(path: &str, target: &str) -> api::OutputSymlink {
    let (path, target) = (path.to_owned(), target.to_owned());
    api::OutputSymlink { path, target, node_properties: None }
}

fn digest(hash: &str, size_bytes: i64) -> Option<api::Digest> {
    Some(api::Digest { hash: hash.to_owned(), size_bytes })
}

/// The output file of that name.
fn output<'a>(entry: &'a mut api::ActionResult, path: &str) -> &'a mut api::OutputFile {
    entry.output_files.iter_mut().find(|file| file.path == path).expect("an output")
}

/// An entry that is forged only as far as it was taken from docs/keys.md is taken: so what follows
/// is refused for what is wrong with it.
#[test]
fn a_copy_is_taken() {
    let lab = Lab::new("copy");
    for at in PLACES {
        lab.prepare(at);
        let mut entry = lab.entry.clone();
        change(&mut entry, |provenance| provenance.sum.clear());
        forge::seal(&mut entry);
        assert_eq!(entry, lab.entry);
        change(&mut entry, |provenance| provenance.host = "another".to_owned());
        forge::seal(&mut entry);
        lab.put(at, &lab.strong, &entry.encode_to_vec());
        let (warning, counters) = lab.build.build("a copy");
        assert_eq!((warning.as_str(), counters.hits()), ("", 1), "{at:?}");
    }
}

#[test]
fn outputs_are_the_declared_ones() {
    let lab = Lab::new("paths");
    for path in [
        "../outside/evil",
        "../work/evil",
        "/etc/airtight-evil",
        "",
        ".",
        "..",
        "evil",
        "./out.txt",
        "out.txt/",
        "tree/../out.txt",
        "tree/evil",
        "tree/sub/inner.txt",
        "make.sh",
        "airtight.toml",
        "out.txt\0",
    ] {
        lab.forged(&format!("one more: {path:?}"), "is not declared", |entry, blob| {
            entry.output_files.push(file(path, blob(b"evil")));
        });
        lab.forged(&format!("one more link: {path:?}"), "is not declared", |entry, _| {
            entry.output_symlinks.push(link(path, "out.txt"));
        });
    }
    lab.forged("another name", "is not declared", |entry, _| {
        output(entry, "out.txt").path = "../outside/secret".to_owned();
    });
    lab.forged("one more directory", "is not declared", |entry, _| {
        let mut tree = entry.output_directories[0].clone();
        tree.path = "../outside".to_owned();
        entry.output_directories.push(tree);
    });
    lab.forged("a file twice", "comes twice", |entry, blob| {
        entry.output_files.push(file("out.txt", blob(b"evil")));
    });
    lab.forged("a file that is a link too", "comes twice", |entry, _| {
        entry.output_symlinks.push(link("out.txt", "in.txt"));
    });
    lab.forged("a directory that is a link too", "comes twice", |entry, _| {
        entry.output_symlinks.push(link("tree", ".git"));
    });
    lab.forged("one file less", "tool is missing", |entry, _| {
        entry.output_files.retain(|file| file.path != "tool");
    });
    lab.forged("one link less", "link is missing", |entry, _| entry.output_symlinks.clear());
    lab.forged("nothing", "is missing", |entry, _| {
        entry.output_files.clear();
        entry.output_symlinks.clear();
        entry.output_directories.clear();
    });
}

#[test]
fn links_stay_inside() {
    let lab = Lab::new("links");
    for (target, because) in [
        ("/etc/passwd", "absolute"),
        ("../outside/secret", "leads out"),
        ("..", "leads out"),
        ("tree/../../outside/secret", "`..` behind a name"),
        ("", "link text"),
        ("a\0b", "link text"),
    ] {
        lab.forged(&format!("a link to {target:?}"), because, |entry, _| {
            entry.output_symlinks[0].target = target.to_owned();
        });
        lab.forged(&format!("a file that is a link to {target:?}"), because, |entry, _| {
            entry.output_files.retain(|file| file.path != "out.txt");
            entry.output_symlinks.push(link("out.txt", target));
        });
    }
    let long = "x/".repeat(3000);
    lab.forged("a long link", "link text", |entry, _| {
        entry.output_symlinks[0].target.clone_from(&long);
    });
}

#[test]
fn claims_are_bounded_before_anything_is_fetched() {
    let lab = Lab::new("claims");
    let huge = 10_000_000_000;
    let hash = "ab".repeat(32);
    lab.forged_at(At::Remote, "a file of 10 GB", "the limit is", |entry, _| {
        output(entry, "out.txt").digest = digest(&hash, huge);
    });
    lab.forged_at(At::Remote, "the largest file", "the limit is", |entry, _| {
        output(entry, "out.txt").digest = digest(&hash, i64::MAX);
        output(entry, "tool").digest = digest(&"cd".repeat(32), i64::MAX);
    });
    lab.forged("a tree of 10 GB", "a tree of 10000000000 bytes", |entry, _| {
        entry.output_directories[0].tree_digest = digest(&hash, huge);
    });
    for set in [
        |entry: &mut api::ActionResult, digest| entry.stdout_digest = digest,
        |entry: &mut api::ActionResult, digest| entry.stderr_digest = digest,
    ] {
        // Within the limit of the store, and beyond that of streams.
        lab.forged("a stream of 80 MB", "is larger than", |entry, _| {
            set(entry, digest(&hash, 80_000_000));
        });
    }
    for wrong in [
        None,
        digest(&hash, -1),
        digest(&hash.to_uppercase(), 5),
        digest(&hash[1..], 5),
        digest("", 0),
        digest(&format!("{}/", &hash[1..]), 5),
        digest("../../../../../../etc/passwd", 5),
    ] {
        lab.forged(&format!("the digest {wrong:?}"), "has no digest", |entry, _| {
            output(entry, "out.txt").digest.clone_from(&wrong);
        });
    }
}

#[test]
fn the_rest_is_that_of_a_good_run() {
    let lab = Lab::new("rest");
    lab.forged("exit code 1", "of an action that ended with 1", |entry, _| entry.exit_code = 1);
    lab.forged("a signal", "of an action that ended with -9", |entry, _| entry.exit_code = -9);
    lab.forged("raw stdout", "stdout is inline", |entry, _| entry.stdout_raw = b"evil".to_vec());
    lab.forged("raw stderr", "stderr is inline", |entry, _| {
        entry.stderr_digest = None;
        entry.stderr_raw = b"evil".to_vec();
    });
    for (bits, executable) in [
        (0o4755, true),
        (0o2755, true),
        (0o1777, true),
        (0o100_644, false),
        (u32::MAX, true),
        (0o644, true),
        (0o755, false),
    ] {
        lab.forged(&format!("mode {bits:o}, {executable}"), "has mode", |entry, _| {
            let file = output(entry, "tool");
            file.node_properties = mode(bits);
            file.is_executable = executable;
        });
    }
}

#[test]
fn every_entry_says_where_it_comes_from() {
    let lab = Lab::new("provenance");
    let other = Digest::of(b"another action").to_string();
    let nowhere = "does not say where it comes from";
    lab.forged("no provenance", nowhere, |entry, _| metadata(entry).clear());
    lab.forged("no metadata", nowhere, |entry, _| entry.execution_metadata = None);
    lab.forged("two provenances", nowhere, |entry, _| {
        let again = metadata(entry)[0].clone();
        metadata(entry).push(again);
    });
    lab.forged("another type", nowhere, |entry, _| {
        metadata(entry)[0].type_url = "type.googleapis.com/airtight.v1.Provenance".to_owned();
    });
    lab.forged("another action", "answer to another action", |entry, _| {
        change(entry, |provenance| provenance.action.clone_from(&other));
    });
    lab.forged("no action", "answer to another action", |entry, _| {
        change(entry, |provenance| provenance.action.clear());
    });
    // What is wrong with the checksum itself.
    for (what, sum) in [("no", vec![]), ("a wrong", vec![7; 32]), ("a short", vec![7; 3])] {
        for at in PLACES {
            lab.prepare(at);
            let mut entry = lab.entry.clone();
            change(&mut entry, |provenance| provenance.sum.clone_from(&sum));
            lab.put(at, &lab.strong, &entry.encode_to_vec());
            lab.refused(&format!("{what} checksum, {at:?}"), "its checksum is wrong");
        }
    }
    for at in PLACES {
        lab.prepare(at);
        let mut entry = lab.entry.clone();
        metadata(&mut entry)[0].value = vec![0xff; 20];
        lab.put(at, &lab.strong, &entry.encode_to_vec());
        lab.refused(&format!("garbage, {at:?}"), "not an entry");
        lab.prepare(at);
        let mut entry = lab.entry.clone();
        output(&mut entry, "tool").node_properties = mode(0o700);
        lab.put(at, &lab.strong, &entry.encode_to_vec());
        lab.refused(&format!("a damaged mode, {at:?}"), "its checksum is wrong");
    }
    assert_eq!(provenance(&lab.entry).action.split('/').count(), 2);
}

/// Few bytes can decode to very many.
#[test]
fn bombs_are_not_lit() {
    let lab = Lab::new("bombs");
    // An output file, an output link, and a provenance, of no bytes each.
    for field in [[0x12, 0], [0x62, 0], [0x1a, 0]] {
        for at in PLACES {
            lab.prepare(at);
            lab.put(at, &lab.strong, &field.repeat(1_000_000));
            lab.refused(&format!("a bomb of {field:?}, {at:?}"), "too many entries");
            lab.prepare(at);
            lab.put(at, &lab.weak, &field.repeat(1_000_000));
            lab.refused(&format!("a list that is a bomb, {at:?}"), "too many entries");
        }
    }
    lab.prepare(At::Remote);
    lab.write("ac", &lab.strong, &vec![0; 17 << 20]);
    lab.refused("an entry of 17 MiB", "too large");
}

#[test]
fn blobs_are_what_their_digests_say() {
    let lab = Lab::new("blobs");
    for (what, because, forge) in [
        ("content of the same size", "that are not the blob", b"evil".to_vec()),
        ("less content", "bytes instead of 4", b"evi".to_vec()),
        ("more content", "bytes instead of 4", b"evil!".to_vec()),
    ] {
        lab.prepare(At::Remote);
        let mut entry = lab.entry.clone();
        let good = Digest::of(b"good");
        lab.write("cas", &good, &forge);
        output(&mut entry, "out.txt").digest = Some(wire(&good));
        forge::seal(&mut entry);
        lab.put(At::Remote, &lab.strong, &entry.encode_to_vec());
        lab.refused(what, because);
    }
    lab.forged("a size that is wrong", "", |entry, blob| {
        let mut digest = blob(b"content");
        digest.size_bytes += 1;
        output(entry, "out.txt").digest = Some(digest);
    });
    lab.forged("a blob that is nowhere", "", |entry, _| {
        output(entry, "out.txt").digest = Some(wire(&Digest::of(b"nowhere")));
    });
}

/// A tree of this root and these children.
fn tree(root: api::Directory, children: Vec<api::Directory>) -> Vec<u8> {
    api::Tree { root: Some(root), children }.encode_to_vec()
}

fn node(name: &str) -> api::FileNode {
    api::FileNode {
        name: name.to_owned(),
        digest: Some(wire(&Digest::of(b""))),
        node_properties: mode(0o644),
        ..Default::default()
    }
}

fn symlink(name: &str, target: &str) -> api::SymlinkNode {
    let (name, target) = (name.to_owned(), target.to_owned());
    api::SymlinkNode { name, target, node_properties: None }
}

fn child(name: &str, directory: &api::Directory) -> api::DirectoryNode {
    let digest = Some(wire(&Digest::of(&directory.encode_to_vec())));
    api::DirectoryNode { name: name.to_owned(), digest }
}

fn with_files(names: &[&str]) -> api::Directory {
    api::Directory { files: names.iter().map(|name| node(name)).collect(), ..Default::default() }
}

fn with_links(links: &[(&str, &str)]) -> api::Directory {
    let symlinks = links.iter().map(|(name, target)| symlink(name, target)).collect();
    api::Directory { symlinks, ..Default::default() }
}

fn with_children(children: &[(&str, &api::Directory)]) -> api::Directory {
    let directories = children.iter().map(|(name, directory)| child(name, directory)).collect();
    api::Directory { directories, ..Default::default() }
}

#[test]
fn trees_are_trees() {
    let lab = Lab::new("trees");
    let empty = api::Directory::default();
    let leaf = with_files(&["x"]);
    // It has a child with the digest of another one, which has it for a child.
    let mut cycle = with_children(&[("down", &leaf)]);
    let again = with_children(&[("up", &cycle)]);
    cycle.directories[0] = child("down", &again);
    let mut explosion = vec![leaf.clone()];
    for _ in 0..40 {
        let last = explosion.last().expect("one");
        explosion.push(with_children(&[("a", last), ("b", last)]));
    }
    let top = explosion.pop().expect("one");
    let mut deep = vec![leaf.clone()];
    for _ in 0..200 {
        deep.push(with_children(&[("d", deep.last().expect("one"))]));
    }
    let bottom = deep.pop().expect("one");
    let special = |bits| {
        let mut directory = with_files(&["x"]);
        directory.files[0].node_properties = mode(bits);
        directory
    };
    let set_uid = api::Directory { node_properties: mode(0o4755), ..Default::default() };
    let without = api::Directory {
        files: vec![api::FileNode { name: "x".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let huge = {
        let mut directory = with_files(&["x"]);
        directory.files[0].digest = digest(&"ab".repeat(32), 10_000_000_000);
        directory
    };
    let both = api::Directory {
        files: vec![node("x")],
        symlinks: vec![symlink("x", "y")],
        ..Default::default()
    };
    for (what, because, bytes) in [
        ("garbage", "not a tree", vec![0xff; 9]),
        ("nothing", "without a root", Vec::new()),
        ("no root", "without a root", api::Tree::default().encode_to_vec()),
        ("..", "`..`", tree(with_files(&[".."]), vec![])),
        (".", "`.`", tree(with_files(&["."]), vec![])),
        ("a path", "`/`", tree(with_files(&["a/b"]), vec![])),
        ("an absolute path", "`/`", tree(with_files(&["/etc/evil"]), vec![])),
        ("no name", "an empty name", tree(with_files(&[""]), vec![])),
        ("NUL", "NUL", tree(with_files(&["a\0"]), vec![])),
        ("a directory ..", "`..`", tree(with_children(&[("..", &leaf)]), vec![leaf.clone()])),
        ("a link ..", "`..`", tree(with_links(&[("..", "x")]), vec![])),
        ("a name twice", "twice", tree(with_files(&["x", "x"]), vec![])),
        ("a file that is a link too", "twice", tree(both, vec![])),
        ("unsorted", "not sorted", tree(with_files(&["y", "x"]), vec![])),
        ("an absolute link", "absolute", tree(with_links(&[("l", "/etc/passwd")]), vec![])),
        ("a link out", "leads out", tree(with_links(&[("l", "../../outside/secret")]), vec![])),
        ("a missing child", "without the directory", tree(with_children(&[("d", &leaf)]), vec![])),
        ("a child too many", "nothing leads to", tree(empty.clone(), vec![leaf.clone()])),
        (
            "a child twice",
            "a directory twice",
            tree(with_children(&[("d", &leaf)]), vec![leaf.clone(), leaf.clone()]),
        ),
        ("a cycle", "without the directory", tree(cycle.clone(), vec![again, cycle])),
        ("an explosion", "entries", tree(top, explosion)),
        ("a well", "levels", tree(bottom, deep)),
        ("set-uid", "mode 4755", tree(special(0o4755), vec![])),
        ("a set-uid directory", "mode 4755", tree(set_uid, vec![])),
        ("no digest", "without a digest", tree(without, vec![])),
        (
            "our own name",
            "Airtight's own",
            tree(with_files(&[".airtight-0123456789abcdef.1"]), vec![]),
        ),
        ("a bomb", "too many entries", [0x12, 0].repeat(2 << 20)),
    ] {
        lab.forged(&format!("a tree with {what}"), because, |entry, blob| {
            entry.output_directories[0].tree_digest = Some(blob(&bytes));
        });
    }
    let bytes = tree(huge, vec![]);
    lab.forged_at(At::Remote, "a tree with 10 GB", "the limit is", |entry, blob| {
        entry.output_directories[0].tree_digest = Some(blob(&bytes));
    });
}

fn path_set(paths: &[(&str, Need)], workspace: &Path) -> Vec<u8> {
    let dependency = |(path, need): &(&str, Need)| Dependency {
        path: path.as_bytes().to_vec(),
        need: *need,
        seen: Seen::Nothing,
    };
    PathSet::new(&paths.iter().map(dependency).collect::<Vec<_>>(), workspace, false).encode()
}

#[test]
fn lists_of_path_sets_lead_to_nothing_wrong() {
    let lab = Lab::new("lists");
    let workspace = lab.build.site.path("");
    let fifo = lab.build.site.home().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo starts").success());
    let endless = path_set(
        &[
            ("/proc/kcore", Need::Content),
            ("/proc/kmsg", Need::Content),
            ("/dev/zero", Need::Content),
            ("/dev/tty", Need::Content),
            (fifo.to_str().expect("UTF-8"), Need::Content),
            ("/proc", Need::Members),
        ],
        &workspace,
    );
    // A path of 4,000 bytes, told by few for each of the entries that share it.
    let mut shared = Vec::new();
    for n in 0..100_000_u32 {
        let rest = format!("{n:07}");
        let rest = if n == 0 { format!("{}{rest}", "/a".repeat(2000)) } else { rest };
        let mut entry = if n == 0 { vec![] } else { vec![8, 0xa0, 0x1f] };
        entry.extend([0x12]);
        prost::encoding::encode_varint(rest.len() as u64, &mut entry);
        entry.extend(rest.as_bytes());
        entry.extend([0x18, 1]);
        shared.push(0x0a);
        prost::encoding::encode_varint(entry.len() as u64, &mut shared);
        shared.extend(entry);
    }
    let huge = api::Digest { hash: "ab".repeat(32), size_bytes: 10_000_000_000 };
    for at in PLACES {
        for (what, because, bytes) in [
            ("of no path set", "", b"evil".to_vec()),
            ("of another action's", "", path_set(&[("/etc/passwd", Need::Content)], &workspace)),
            ("of endless files", "", endless.clone()),
            ("of shared names", "too long altogether", shared.clone()),
            ("of a bomb", "", [0x0a, 0].repeat(1_000_000)),
        ] {
            lab.prepare(at);
            let set = lab.blob(at, &bytes);
            lab.put(at, &lab.weak, &forge::list([wire(&set)]));
            lab.refused(&format!("a list {what}, {at:?}"), because);
        }
        let outputs = lab.entry.output_files.iter().filter_map(|file| file.digest.clone());
        let real = lab.list.output_files[0].digest.clone().expect("a digest");
        for (what, bytes) in [
            ("of foreign blobs", forge::list(outputs)),
            ("of itself", forge::list([wire(&lab.weak), wire(&lab.strong)])),
            ("of 10 GB", forge::list([huge.clone()])),
            ("of nothing", Vec::new()),
            (
                "of a thousand",
                forge::list((0..1000_u32).map(|n| wire(&Digest::of(&n.to_le_bytes())))),
            ),
            ("without names", {
                let digest = Some(real.clone());
                let file = api::OutputFile { digest, ..Default::default() };
                api::ActionResult { output_files: vec![file], ..Default::default() }.encode_to_vec()
            }),
            ("that is the entry", lab.entry.encode_to_vec()),
            ("that is garbage", vec![0xff; 30]),
        ] {
            lab.prepare(at);
            lab.put(at, &lab.weak, &bytes);
            lab.refused(&format!("a list {what}, {at:?}"), "");
        }
        lab.prepare(at);
        let rest = [huge.clone(), wire(&lab.weak), real.clone()];
        lab.put(at, &lab.weak, &forge::list(rest));
        let (_, counters) = lab.build.build("a list with the right one");
        assert_eq!(counters.hits(), 1, "{at:?}: {counters:?}");
    }
}
