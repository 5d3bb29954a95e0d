//! What must hold before a mark is set, and what the tracer's words are worth.

use super::*;

fn hint(path: &str, kind: Kind) -> Hint {
    let path = path.as_bytes().to_vec();
    Hint { requested: path.clone(), path, kind, exists: true, own: false }
}

#[test]
fn our_own_mounts_are_never_marked() {
    let Ok(group) = permit::group() else {
        let told = guard_ability().expect_err("no group, no guard");
        assert!(told.contains("CAP_SYS_ADMIN"), "{told}");
        return;
    };
    let mut marks = Marks::default();
    let own = std::process::id().cast_signed();
    // Also of another process that lives where we do.
    for pid in [own, nix::unistd::getppid().as_raw()] {
        let told = marks.adopt(&group, pid).expect_err("a namespace of others").to_string();
        assert!(told.contains("no mount namespace of its own"), "{told}");
        assert!(!marks.cover(pid));
        assert!(marks.renew(&group, pid).is_err() && marks.descriptor(&group, pid, 0).is_err());
    }
    // Nothing that we open is asked about.
    std::fs::read("/proc/self/exe").expect("our program");
    assert!(permit::next(&group).expect("no event").is_none());
}

#[test]
fn a_thread_is_expected_to_do_what_it_said_last() {
    let mut hints = Hints::default();
    let kind = |hints: &Hints, tgid, path: &str| hints.find(tgid, path.as_bytes()).map(|h| h.kind);
    hints.set(1, 1, [hint("/a", Kind::Read)].into_iter());
    hints.set(1, 2, [hint("/b", Kind::Exec), hint("/c", Kind::Exec)].into_iter());
    assert_eq!(kind(&hints, 1, "/a"), Some(Kind::Read));
    assert_eq!(kind(&hints, 1, "/c"), Some(Kind::Exec));
    assert_eq!(kind(&hints, 2, "/a"), None);
    hints.set(1, 1, [hint("/d", Kind::Write)].into_iter());
    assert_eq!((kind(&hints, 1, "/a"), kind(&hints, 1, "/d")), (None, Some(Kind::Write)));
    hints.forget(1);
    assert_eq!(kind(&hints, 1, "/b"), None);
}
