//! What the kernel tells of real programs, as exact sets. As an ordinary user there is nothing to
//! tell: then the refusal is what is tested.

mod harness;
mod names;
mod places;
mod races;
mod ways;

use super::*;
use harness::{Run, is_privileged};
use view::View;

#[test]
fn without_privilege_the_refusal_names_it() {
    match ability() {
        Ok(_) => assert!(is_privileged()),
        Err(error) => {
            assert!(!is_privileged(), "{error}");
            assert!(matches!(error, Error::Forbidden { .. }));
            assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
        }
    }
}

#[test]
fn others_leave_no_trace() {
    let other = tempfile::tempdir().expect("a directory");
    let busy = "while :; do echo a > f; mkdir d; mv f d; cat d/f > /dev/null; rm -r d; done";
    let mut busy = std::process::Command::new("sh")
        .args(["-c", busy])
        .current_dir(other.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("sh");
    let run = Run::new();
    let view = run.shell("i=0; while [ $i -lt 200 ]; do echo a > f$i; i=$((i+1)); done; rm f*");
    busy.kill().expect("kill");
    busy.wait().expect("wait");
    let Some(view) = view else { return };
    assert_eq!(view.gaps, Vec::<String>::new());
    assert_eq!(harness::facts(&view, other.path()), Vec::<String>::new());
    let deleted = harness::facts(&view, run.path()).into_iter().filter(|f| f.starts_with("Delete"));
    assert_eq!(deleted.count(), 200);
}

#[test]
fn a_watch_that_nobody_follows_ends() {
    if let Ok(watch) = Watch::set() {
        assert!(is_privileged());
        let tree = Tree::start(&Also::default()).expect("as privileged");
        // Its thread ends with the other end of the pipe.
        drop(watch.follow(tree).expect("a thread"));
    }
}
