use super::super::family::tests::{US, exec, exit, family, fork};
use super::super::view::{Place, Sight};
use super::*;

fn sight(member: MemberId, act: Act, order: u64, window: (u64, u64)) -> Sight {
    let place = Place { device: b"8:1".to_vec(), path: b"/f".to_vec() };
    let (pid, also, last) = (0, Vec::new(), order);
    Sight {
        act,
        dir: false,
        member,
        pid,
        place,
        also,
        loose: false,
        other: None,
        order,
        last,
        count: 1,
        window,
    }
}

/// make (pid 2) executes, starts a shell that does something, and one that does nothing; all within
/// one window of time.
#[test]
fn within_one_window_the_rest_is_told_by_who_made_whom() {
    let records = [
        fork(10, US, 2),
        exec(20, 2),
        fork(30, 2, 3),
        exec(40, 3),
        fork(50, 2, 4),
        exit(60, 4, 4),
        exit(70, 3, 3),
        exit(80, 2, 2),
    ];
    let family = family(&records);
    let window = (1, 100);
    let sights = vec![
        sight(0, Act::Exec, 1, window),
        sight(0, Act::Open, 2, window),
        sight(1, Act::Exec, 3, window),
        sight(1, Act::Create, 4, window),
        sight(1, Act::Delete, 4, window),
        sight(0, Act::Open, 5, window),
    ];
    let view = View { sights, ..View::default() };
    let programs = [(0, 20, Some(1)), (1, 40, Some(3))].map(|(member, time, seen)| After {
        member,
        time,
        seen,
    });
    let order = Order::new(&family, &view, &programs);
    let seqs = [
        order.start(),
        order.birth(0),
        order.seen(1, Act::Exec),
        order.program(0),
        order.seen(2, Act::Open),
        order.birth(1),
        order.seen(3, Act::Exec),
        order.program(1),
        order.seen(4, Act::Create),
        order.seen(4, Act::Delete),
        order.seen(5, Act::Open),
    ];
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    assert!(order.birth(2) > order.program(0));
    assert!(order.end(2) > order.birth(2));
    assert!(order.end(0) > order.seen(5, Act::Open));
    assert!(order.end(0) > order.birth(1) && order.end(0) > order.birth(2));
}

#[test]
fn a_program_whose_file_was_not_seen_is_before_what_it_did() {
    let family = family(&[fork(10, US, 2), exec(20, 2), fork(30, 2, 3)]);
    let sights = vec![
        sight(0, Act::Open, 1, (1, 15)),
        sight(1, Act::Open, 2, (15, 40)),
        sight(0, Act::Open, 3, (15, 40)),
    ];
    let view = View { sights, ..View::default() };
    let order = Order::new(&family, &view, &[After { member: 0, time: 20, seen: None }]);
    let seqs = [
        order.birth(0),
        order.seen(1, Act::Open),
        order.program(0),
        order.seen(2, Act::Open),
        order.seen(3, Act::Open),
    ];
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    assert!(order.birth(1) < order.seen(2, Act::Open));
}
