use super::*;
use proptest::prelude::*;

const HOST: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:2 / /home rw shared:1 - ext4 /dev/sda2 rw
25 22 8:1 /srv/data /data rw - ext4 /dev/sda1 rw
26 22 0:30 / /with\\040blank rw - tmpfs t rw
";

fn host() -> Vec<Mount> {
    parse(HOST.as_bytes())
}

fn with(lines: &str) -> Vec<Mount> {
    parse([HOST, lines].concat().as_bytes())
}

fn name(path: &str, id: u64, task: &[Mount], reference: &[Mount]) -> Option<String> {
    let mount = task.iter().find(|mount| mount.id == id)?;
    translate(path.as_bytes(), mount, reference).map(|name| String::from_utf8(name).expect("text"))
}

#[test]
fn lines_are_parsed() {
    let mounts = host();
    assert_eq!(mounts.len(), 5);
    assert_eq!(mounts[4].point, b"/with blank");
    assert_eq!((mounts[3].id, mounts[3].parent), (25, 22));
    assert_eq!((&mounts[3].device[..], &mounts[3].root[..]), (&b"8:1"[..], &b"/srv/data"[..]));
    assert_eq!(unescape(b"a\\134b\\040\\9\\04"), b"a\\b \\9\\04");
    assert_eq!(parse(b"1 2 8:1 /\nx\n\n"), []);
}

#[test]
fn a_bind_mount_leads_to_the_place_behind_it() {
    // A namespace with copies of the host's mounts under other numbers, and a bind mount.
    let task = parse(
        b"122 1 8:1 / / rw - ext4 a rw\n124 122 8:2 / /home rw - ext4 b rw\n\
          130 122 8:2 /me/src /build rw - ext4 b rw\n",
    );
    assert_eq!(name("/build/a.c", 130, &task, &host()).as_deref(), Some("/home/me/src/a.c"));
    assert_eq!(name("/build", 130, &task, &host()).as_deref(), Some("/home/me/src"));
    assert_eq!(name("/etc/passwd", 122, &task, &host()).as_deref(), Some("/etc/passwd"));
    assert_eq!(name("/", 122, &task, &host()).as_deref(), Some("/"));
    // The prefix of a name is not its directory.
    assert_eq!(name("/builder", 130, &task, &host()), None);
    // Two names on the host: the later mount's.
    assert_eq!(name("/srv/data/x", 122, &task, &host()).as_deref(), Some("/data/x"));
}

#[test]
fn a_private_file_system_has_no_name_on_the_host() {
    let task = with("140 22 0:77 / /tmp rw - tmpfs private rw\n");
    assert_eq!(name("/tmp/x", 140, &task, &host()), None);
    assert_eq!(name("/tmp/x", 999, &task, &host()), None);
}

#[test]
fn a_place_that_is_covered_has_no_name() {
    let task = host();
    // Over /home on the host lies another file system.
    let covered = with("31 24 0:50 / /home rw - tmpfs t rw\n");
    assert_eq!(name("/home/me", 24, &task, &covered), None);
    // Only over a part of it.
    let part = with("31 24 0:50 / /home/me rw - tmpfs t rw\n");
    assert_eq!(name("/home/me/x", 24, &task, &part), None);
    assert_eq!(name("/home/you", 24, &task, &part).as_deref(), Some("/home/you"));
    // A second mount of the same file system shows it all the same.
    let twice = with("31 24 0:50 / /home rw - tmpfs t rw\n32 22 8:2 / /mnt rw - ext4 b rw\n");
    assert_eq!(name("/home/me", 24, &task, &twice).as_deref(), Some("/mnt/me"));
    // Covering a directory covers the mounts below it.
    let deep =
        parse(b"1 0 8:1 / / rw - a a rw\n2 1 8:2 / /a/b rw - a a rw\n3 1 8:3 / /a rw - a a rw\n");
    assert_eq!(name("/a/b/x", 2, &deep, &deep), None);
}

#[test]
fn our_own_mounts_are_read() {
    let text = std::fs::read("/proc/self/mountinfo").expect("mountinfo");
    let mounts = parse(&text);
    assert_eq!(mounts.len(), text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count());
    assert!(reached(&mounts, b"/proc/self").is_some());
}

proptest! {
    #[test]
    fn any_text_is_parsed(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let mounts = parse(&text);
        reached(&mounts, &text);
    }

    /// Whatever lies on the mount that its name leads to has a name that leads to the same place.
    #[test]
    fn a_name_leads_back(
        tree in prop::collection::vec((0..8_u64, 0..3_u8, "(/[ab]){0,2}", "(/[ab]){0,3}"), 1..8),
        path in "(/[abc]){1,5}",
    ) {
        let root = |text: &str| if text.is_empty() { b"/".to_vec() } else { text.into() };
        let mounts: Vec<Mount> = tree
            .iter()
            .enumerate()
            .map(|(i, (parent, device, inner, point))| Mount {
                id: i as u64 + 1,
                parent: *parent.min(&(i as u64)),
                device: vec![*device],
                root: root(inner),
                point: root(point),
                kind: b"ext4".to_vec(),
                options: Vec::new(),
            })
            .collect();
        if let Some(mount) = reached(&mounts, path.as_bytes()) {
            let name = translate(path.as_bytes(), mount, &mounts);
            let name = name.expect("at least its own");
            let there = reached(&mounts, &name).expect("it was checked");
            prop_assert_eq!(&there.device, &mount.device);
            let inner = |m: &Mount, path: &[u8]| {
                joined(&m.root, below(path, &m.point).expect("below its mount"))
            };
            prop_assert_eq!(inner(there, &name), inner(mount, path.as_bytes()));
        }
    }
}
