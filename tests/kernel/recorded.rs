//! Facts: what is done with files, and what a recording says of itself.

use crate::support::Place;

#[test]
fn names_and_contents() {
    let place = Place::new();
    place.write("in", "text\n").write("old", "x\n");
    let script = "mkdir d; cat in > d/f; mv d/f d/g; ln d/g d/h; ln -s g d/s; cat d/s; chmod 600 old; \
                  echo y >> old; ls d; rm -r d";
    let Some(trace) = place.shell(script) else { return };
    trace.did(&[
        "delete d",
        "delete d/f",
        "delete d/g",
        "delete d/h",
        "delete d/s",
        "list d",
        "read d/g",
        "read in",
        "write d",
        "write d/f",
        "write d/g",
        "write d/h",
        "write d/s",
        "write old",
    ]);
    assert_eq!(trace.header("backend"), "fanotify");
    assert_eq!(trace.output.status.code(), Some(121));
}

#[test]
fn a_read_shows_in_a_file_that_is_written_too() {
    let place = Place::new();
    place.write("a", "1\n").write("b", "1\n").write("c", "1\n");
    let script = "exec 3<>a; read x <&3; echo 2 >&3; exec 3<&-; echo 2 >> b; : > c";
    let Some(trace) = place.shell(script) else { return };
    trace.did(&["read a", "write a", "write b", "write c"]);
}

#[test]
fn a_descriptor_that_is_handed_on_is_used_once() {
    let place = Place::new();
    place.write("in", "text\n").write("log", "");
    let Some(trace) = place.shell("( cat; cat ) < in >> log; ( true ) < in") else { return };
    trace.did(&["read in", "write log"]);
}

#[test]
fn what_is_made_and_removed_in_a_blink_was_made_first() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 50 ]; do : > t; rm t; i=$((i+1)); done; : > kept";
    let Some(trace) = place.shell(script) else { return };
    let ordered = trace.ordered();
    let of = |name: &str| ordered.iter().filter(|fact| fact.ends_with(name)).collect::<Vec<_>>();
    assert_eq!(of(" kept"), ["write kept"]);
    let t = of(" t");
    assert_eq!(*t.first().expect("it was written"), "write t");
    assert_eq!(t.iter().filter(|fact| **fact == "delete t").count(), 50);
}

#[test]
fn scripts_and_their_interpreters_are_executed() {
    let place = Place::new();
    place.write("run", "#!/bin/sh\ncat \"$1\"\n").write("in", "x\n");
    let script = "chmod +x run; cp /bin/cat own; ./run in; ./own in";
    let Some(trace) = place.shell(script) else { return };
    // That the shell reads its script is not told apart from its execution.
    trace.did(&["exec own", "exec run", "read in", "write own", "write run"]);
    // A script has its own name in the kernel's records.
    trace.ran("./own in");
    if !trace.reasons().iter().any(|reason| reason.contains("their arguments")) {
        trace.ran("/bin/sh ./run in");
    }
}

#[test]
fn io_uring_is_recorded_and_not_refused() {
    let place = Place::new();
    place.write("f", "x\n");
    let Some(trace) = place.program("ring", &["read", "f", "write", "made"]) else { return };
    // Where the kernel has none, the program ends with 77.
    if trace.output.status.code() != Some(77) {
        trace.did(&["read f", "write made"]);
    }
}

#[test]
fn it_says_what_it_can_not_know() {
    let place = Place::new();
    let Some(trace) = place.shell("test -e absent") else { return };
    assert_eq!(trace.facts(), Vec::<String>::new());
    let reasons = trace.reasons();
    assert!(reasons[0].starts_with("backend-limits: the fanotify backend does not see"));
    assert!(reasons.iter().all(|reason| reason.starts_with("backend-limits: ")), "{reasons:?}");
    assert_eq!(trace.output.status.code(), Some(1));
}
