//! How names are resolved: links, absent parts, dots, slashes, long and strange names.

use crate::harness::Case;

const OPEN: &str = "open :l O_RDONLY";

#[test]
fn one_link() {
    Case::ops("file f\nlink l f", &[OPEN]).facts(&["link l", "read f"]);
}

#[test]
fn a_chain_of_links() {
    Case::ops("file d/f\nlink l m\nlink m d/n\nlink d/n f", &[OPEN])
        .facts(&["link l", "link m", "link d/n", "read d/f"]);
}

#[test]
fn the_longest_chain_the_kernel_follows() {
    let mut setup = "file f\nlink l l1\n".to_owned();
    for i in 1..39 {
        setup += &format!("link l{i} l{}\n", i + 1);
    }
    setup += "link l39 f\n";
    let mut facts: Vec<String> = (1..40).map(|i| format!("link l{i}")).collect();
    facts.extend(["link l".to_owned(), "read f".to_owned()]);
    Case::ops(&setup, &[OPEN]).facts(&facts);
}

#[test]
fn an_absolute_link() {
    Case::ops("file d/f\nlink l $T/d/f", &[OPEN]).facts(&["link l", "read d/f"]);
}

#[test]
fn a_link_in_the_middle() {
    Case::ops("file d/e/f\nlink l d", &["open :l/e/f O_RDONLY"]).facts(&["link l", "read d/e/f"]);
}

#[test]
fn dots_after_a_link_mean_its_target() {
    // l/.. is the parent of where the link leads, not of where it lies.
    Case::ops("file d/f\ndir d/e\nfile f\nlink l d/e", &["open :l/../f O_RDONLY"])
        .facts(&["link l", "read d/f"]);
}

#[test]
fn a_link_with_dots_in_its_text() {
    Case::ops("file f\nlink d/l ../f", &["open :d/l O_RDONLY"]).facts(&["link d/l", "read f"]);
}

#[test]
fn a_dangling_link() {
    Case::ops("link l d/f\ndir d", &["open :l O_RDONLY = ENOENT", "stat :l &buf = ENOENT"])
        .facts(&["link l", "probe- d/f"]);
}

#[test]
fn a_dangling_link_in_the_middle() {
    Case::ops("link l d/e", &["open :l/f O_RDONLY = ENOENT"]).facts(&["link l", "probe- d"]);
}

#[test]
fn a_loop() {
    Case::ops("link l m\nlink m l", &["open :l O_RDONLY = ELOOP"]).facts(&[
        "link l",
        "link m",
        "?probe+ l",
        "?probe+ m",
        "?probe- l",
        "?probe- m",
    ]);
}

#[test]
fn a_link_itself() {
    Case::ops("file f\nlink l f", &["lstat :l &buf"]).facts(&["probe+ l"]);
    Case::ops("file f\nlink l f", &["stat :l &buf"]).facts(&["link l", "probe+ f"]);
}

#[test]
fn a_link_to_a_directory_with_a_trailing_slash_is_followed() {
    Case::ops("dir d\nlink l d", &["lstat :l/ &buf"]).facts(&["link l", "probe+ d"]);
    Case::ops("dir d\nlink l d", &["readlink :l/ &buf 100 = EINVAL"])
        .facts(&["link l", "probe+ d"]);
}

#[test]
fn reading_a_link() {
    Case::ops("link l some/text", &["readlink :l &buf 100"]).facts(&["link l"]);
    Case::ops("link l some/text", &["readlinkat AT_FDCWD :l &buf 1"]).facts(&["link l"]);
    Case::ops("link l m\nlink d/m f\nlink k d", &["readlink :k/m &buf 100"])
        .facts(&["link k", "link d/m"]);
}

#[test]
fn reading_what_is_no_link() {
    Case::ops("file f\ndir d", &["readlink :f &buf 100 = EINVAL", "readlink :d &buf 100 = EINVAL"])
        .facts(&["probe+ f", "probe+ d"]);
    Case::ops("", &["readlink :f &buf 100 = ENOENT"]).facts(&["probe- f"]);
}

#[test]
fn absent_in_the_middle() {
    Case::ops("dir a", &["stat :a/missing/b/c &buf = ENOENT"]).facts(&["probe- a/missing"]);
}

#[test]
fn absent_absolute() {
    Case::ops("dir a", &["stat :$T/a/b/c &buf = ENOENT"]).facts(&["probe- a/b"]);
}

#[test]
fn a_file_where_a_directory_is_needed() {
    Case::ops("file a/f", &["stat :a/f/b &buf = ENOTDIR"]).facts(&["probe- a/f/b"]);
}

#[test]
fn a_file_with_a_trailing_slash() {
    // Which name was missing here the rules leave open: the file is there, and is no directory.
    let facts = ["?probe- f", "?probe- f/", "?probe+ f"];
    let trace = Case::ops("file f", &["stat :f/ &buf = ENOTDIR"]).facts(&facts);
    assert_eq!(trace.facts.inside.len(), 1, "{:?}", trace.facts);
}

#[test]
fn slashes_and_dots() {
    let calls = [
        "stat :d//f &buf",
        "stat :./d/./f &buf",
        "stat :d/../d/f &buf",
        "stat :$T//d///f &buf",
        "stat :d/ &buf",
        "stat :d/. &buf",
        "stat :d/.. &buf",
    ];
    Case::ops("file d/f", &calls).facts(&["probe+ d/f", "probe+ d", "probe+ ."]);
}

#[test]
fn dots_through_an_absent_directory_fail() {
    Case::ops("file f", &["stat :no/../f &buf = ENOENT"]).facts(&["probe- no"]);
}

#[test]
fn dots_above_the_root() {
    Case::ops("file f", &["stat :/../../..$T/f &buf"]).facts(&["probe+ f"]);
}

#[test]
fn the_empty_name() {
    let calls = ["stat : &buf = ENOENT", "open : O_RDONLY = ENOENT", "unlink : = ENOENT"];
    Case::ops("file f", &calls).facts::<&str>(&[]);
}

#[test]
fn bad_pointers() {
    let calls = [
        "open &bad O_RDONLY = EFAULT",
        "stat &bad &buf = EFAULT",
        "stat 0 &buf = EFAULT",
        "rename &bad :f = EFAULT",
        "unlink &bad = EFAULT",
        "open &nonul O_RDONLY = EFAULT",
    ];
    Case::ops("file f", &calls).facts(&["?probe+ f"]);
}

#[test]
fn a_bad_pointer_for_the_result() {
    // The name was looked up all the same.
    Case::ops("file f", &["stat :f &bad = EFAULT"]).facts(&["?probe+ f"]);
}

#[test]
fn a_name_at_the_end_of_a_page() {
    let calls = ["open &page:f O_RDONLY", "stat &page:d/gone &buf = ENOENT", "unlink &page:g"];
    Case::ops("file f\nfile g\ndir d", &calls).facts(&["read f", "probe- d/gone", "delete g"]);
}

#[test]
fn names_that_are_not_utf8() {
    let calls = [
        "open :%FF%FE O_RDONLY",
        "stat :d/%80 &buf",
        "rename :%FF%FE :%C0%AF",
        "stat :no%F5 &buf = ENOENT",
        "open :l O_RDONLY",
        "symlink :%F8 :%F9",
    ];
    let setup = "file %FF%FE\nfile d/%80\nlink l d/%80";
    Case::ops(setup, &calls).facts(&[
        "read %FF%FE",
        "probe+ d/%80",
        "delete %FF%FE",
        "write %C0%AF",
        "probe- no%F5",
        "link l",
        "read d/%80",
        "write %F9",
    ]);
}

#[test]
fn names_with_every_other_byte() {
    let name: String = (1..=255).filter(|&b| b != b'/').map(|b: u8| format!("%{b:02X}")).collect();
    let trace = Case::ops(&format!("file {name}"), &[format!("open :{name} O_RDONLY")]).trace();
    assert_eq!(trace.facts.inside.len(), 1, "{:?}", trace.facts);
}

#[test]
fn names_of_255_bytes() {
    let (name, over) = ("n".repeat(255), "n".repeat(256));
    let calls = [
        format!("open :{name} O_RDONLY"),
        format!("stat :d/{name} &buf = ENOENT"),
        format!("stat :{over} &buf = ENAMETOOLONG"),
    ];
    let facts = [format!("read {name}"), format!("probe- d/{name}"), format!("?probe- {over}")];
    Case::ops(&format!("file {name}\ndir d"), &calls).facts(&facts);
}

#[test]
fn names_of_the_longest_size() {
    // 4095 bytes and the NUL: the longest that the kernel takes.
    let name = format!("{}d/f", "./".repeat(2046));
    assert_eq!(name.len(), 4095);
    let calls = [
        format!("open :{name} O_RDONLY"),
        format!("open :./{name} O_RDONLY = ENAMETOOLONG"),
        format!("stat &page:{name} &buf"),
    ];
    Case::ops("file d/f", &calls).facts(&["read d/f", "probe+ d/f"]);
}

#[test]
fn a_tree_of_nearly_the_longest_size() {
    let part = "p".repeat(250);
    let deep = vec![part.as_str(); 15].join("/");
    let calls = [format!("open :{deep}/f O_RDONLY"), format!("stat :{deep}/no &buf = ENOENT")];
    Case::ops(&format!("file {deep}/f"), &calls)
        .facts(&[format!("read {deep}/f"), format!("probe- {deep}/no")]);
}

#[test]
fn a_tree_deeper_than_any_path() {
    // The names at the bottom can't be had from /proc: they are right, or the recording says no.
    for how in ["fd", "cwd"] {
        let trace = Case::run("", &["deep", how]).end_left_open().trace();
        let mut path = String::new();
        let mut facts = vec!["list .".to_owned()];
        for _ in 0..50 {
            path += &format!("{}{}", if path.is_empty() { "" } else { "/" }, "d".repeat(200));
            facts.extend(["write", "list", "delete"].map(|kind| format!("{kind} {path}")));
        }
        facts.extend(["write", "delete"].map(|kind| format!("{kind} {path}/f")));
        facts.push(format!("probe- {path}/no"));
        if how == "cwd" {
            facts.extend(["?probe+ .".to_owned(), format!("?probe+ {path}")]);
        }
        if trace.reasons.is_empty() {
            trace.facts.assert_exactly(&facts);
        } else {
            assert!(trace.reasons.iter().all(|r| r == "path-unreadable"), "{:?}", trace.reasons);
            let open: Vec<String> =
                facts.iter().map(|f| format!("?{}", f.trim_start_matches('?'))).collect();
            trace.facts.assert_exactly(&open);
        }
    }
}

#[test]
fn a_link_with_a_long_text() {
    let text = format!("{}f", "./".repeat(2000));
    Case::ops(&format!("file f\nlink l {text}"), &[OPEN]).facts(&["link l", "read f"]);
}

#[test]
fn the_same_name_again_after_it_became_a_link() {
    // What was known not to be a link must be forgotten when the tree changes it.
    let calls = [
        "stat :d/f &buf",
        "rename :d :e",
        "symlink :e :d",
        "stat :d/f &buf",
        "unlink :d",
        "mkdir :d 0755",
        "stat :d/f &buf = ENOENT",
    ];
    Case::ops("file d/f", &calls).facts(&[
        "probe+ d/f",
        "delete d",
        "delete d/f",
        "write e",
        "write e/f",
        "write d",
        "link d",
        "probe+ e/f",
        "probe- d/f",
    ]);
}

#[test]
fn a_directory_replaced_by_a_link_in_another_process() {
    let calls = ["stat :d/f &buf", "fork 2", "rename :d :e", "symlink :e :d", "open :d/f O_RDONLY"];
    Case::ops("file d/f", &calls).facts(&[
        "probe+ d/f",
        "delete d",
        "delete d/f",
        "write e",
        "write e/f",
        "write d",
        "link d",
        "read e/f",
    ]);
}

#[test]
fn proc_self_is_no_fact() {
    let calls = ["a: open :f O_RDONLY", "readlink :/proc/self/fd/3 &buf 100"];
    Case::ops("file f", &calls).facts(&["read f"]);
}

#[test]
fn opening_a_descriptor_by_name_opens_its_file() {
    let calls = ["a: open :f O_PATH", "open :/proc/self/fd/3 O_RDONLY"];
    Case::ops("file f", &calls).facts(&["probe+ f", "read f"]);
    let calls = ["a: open :d O_PATH", "open :/proc/self/fd/3/f O_RDONLY"];
    Case::ops("file d/f", &calls).facts(&["probe+ d", "read d/f"]);
    let calls = [
        "a: open :f O_RDONLY",
        "open :/dev/fd/3 O_WRONLY",
        "open :/proc/thread-self/fd/3 O_RDONLY",
    ];
    Case::ops("file f", &calls).facts(&["read f", "write f"]);
    let calls = ["open :/proc/self/cwd/f O_RDONLY", "open :/proc/self/root$T/g O_RDONLY"];
    Case::ops("file f\nfile g", &calls).facts(&["read f", "read g"]);
}
