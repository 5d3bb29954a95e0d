//! What no key holds, neither ours nor one of the Remote Execution API: here a clean verdict and
//! the oracle may differ. `docs/keys.md` says so.

use crate::case::Case;
use crate::execution::Oracle;
use crate::facts::Bench;

#[test]
fn a_time_is_in_no_key() {
    let case = Case {
        files: &[("in", "a\n")],
        before: "touch -d @1000000000 in",
        run: "sh -c 'stat -c %Y in > out'",
        inputs: &["in"],
        outputs: &["out"],
        ..Case::EMPTY
    };
    let bench = Bench::new(&case);
    let ran = bench.judged(case.inputs);
    let made = ran.clean();
    assert_ne!(&bench.execute(&Oracle::shared(), case.inputs), made, "files come with other times");
    // As before: what is known is not made again.
    bench.shell("touch -d @1100000000 in");
    assert_eq!(bench.cached(case.inputs).known(), made);
}
