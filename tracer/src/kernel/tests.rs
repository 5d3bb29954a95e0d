//! What the kernel tells of real programs. As an ordinary user there is nothing to tell: then the
//! refusal is what is tested.

use super::tree::Tree;
use super::view::View;
use super::*;
use std::path::Path;
use std::process::Command;

/// Runs a program under a watch; none when the kernel refuses it, as it must without privilege.
fn watch(command: &mut Command) -> Option<(View, Family)> {
    let privileged = crate::sys::process::has_capability(crate::sys::process::CAP_SYS_ADMIN);
    let (watch, tree) = match Watch::set().and_then(|w| Ok((w, Tree::start(&Also::default())?))) {
        Ok(started) => started,
        Err(error) => {
            assert!(!privileged, "{error}");
            assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
            return None;
        }
    };
    assert!(privileged);
    let (mut tree, since) = (tree, perf::now());
    let mut child = command.spawn().expect("a program starts");
    tree.root(child.id() as i32, since);
    let watcher = watch.follow(tree).expect("a thread starts");
    child.wait().expect("the program ends");
    Some(watcher.finish())
}

/// What was done below a directory, as `act name`.
fn below_dir(view: &View, dir: &Path) -> Vec<String> {
    let prefix = format!("{}/", dir.display());
    let mut found: Vec<String> = view
        .sights
        .iter()
        .filter_map(|sight| {
            let names = view.names(&sight.place);
            let name = names.iter().find_map(|name| name.strip_prefix(prefix.as_bytes()))?;
            let dir = if sight.dir { "/" } else { "" };
            Some(format!("{:?} {}{dir}", sight.act, String::from_utf8_lossy(name)))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_shell_script_is_seen() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "mkdir d; echo a > d/f; mv d/f d/g; mv d e; cat e/g; rm -r e";
    let mut sh = Command::new("sh");
    let Some((view, _)) = watch(sh.args(["-c", script]).current_dir(dir.path())) else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    assert_eq!(
        below_dir(&view, dir.path()),
        [
            "CloseWrite d/f",
            "Create d/",
            "Create d/f",
            "Delete e/",
            "Delete e/g",
            "List e/",
            "Modify d/f",
            "MovedFrom d/",
            "MovedFrom d/f",
            "MovedTo d/g",
            "MovedTo e/",
            "Open d/f",
            "Open e/",
            "Open e/g",
        ]
    );
}
