//! Judges a million accesses to a hundred thousand paths, and prints how long it took.

#[path = "../tests/common/mod.rs"]
mod common;

use airtight_policy::{Pattern, Policy, judge};
use airtight_recording::{Kind, Op};
use common::*;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

const ACCESSES: usize = 1_000_000;
const PATHS: usize = 100_000;

fn main() -> std::io::Result<()> {
    let mut maker = Maker::new();
    for n in 0..ACCESSES {
        let n = n % PATHS;
        match n % 10 {
            0..3 => maker.read(&format!("/ws/src/part{}/file{n}.h", n % 100)),
            3 => maker.read(&format!("/usr/include/c++/12/bits/header{n}.h")),
            4 => maker.stat(&format!("/usr/lib/x86_64-linux-gnu/lib{n}.so")),
            5 => maker.create(&format!("/ws/out/part{}/file{n}.o", n % 100)),
            _ => maker.absent(&format!("/ws/include/part{}/file{n}.h", n % 100)),
        }
    }
    maker.add(Kind::Exec, Op::Exec, "/usr/bin/cc");
    let recording = maker.end();
    let mut action = action();
    action.directories.push(b"src/part1".to_vec());
    action.globs.push(Pattern::new("src/**/*.h").expect("a good pattern"));
    action.outputs = vec![b"out".to_vec()];
    let policy = Policy::default();
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let start = Instant::now();
            black_box(judge(black_box(&action), &policy, &recording));
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    writeln!(
        std::io::stdout(),
        "judge: {ACCESSES} accesses to {PATHS} paths in {:.3} s (median of {}; {:.3} to {:.3})",
        times[times.len() / 2],
        times.len(),
        times[0],
        times[times.len() - 1],
    )
}
