//! Work that is disturbed all the time: nothing lost, nothing noticed.

use crate::harness::Case;

const WORLD: &str = "file f\nfile g\ncopy prog ops";

fn storm(argv: &[&str]) -> Case {
    Case::run(WORLD, &[&["storm"], argv].concat())
}

#[test]
fn a_thousand_alarms_a_second() {
    storm(&["alarms"]).prints(&["0 failures"]).facts(&["read f", "probe- no"]);
    storm(&["alarms", "restart"]).prints(&["0 failures"]).facts(&["read f", "probe- no"]);
}

#[test]
fn stopped_and_continued_at_work() {
    storm(&["stops"]).prints(&["0 failures, signal 15"]).facts(&["?read f", "?probe- no"]);
}

#[test]
fn killed_at_work() {
    storm(&["kills"]).prints(&["0 failures"]).facts(&["read f", "probe- no"]);
}

#[test]
fn an_exec_amid_busy_threads() {
    let lines: Vec<&str> = std::iter::repeat_n("stat = ok", 30).chain(["0 failures"]).collect();
    storm(&["execs", "./prog"]).prints(&lines).facts(&[
        "exec prog",
        "probe+ g",
        "?read f",
        "?probe- no",
    ]);
}
