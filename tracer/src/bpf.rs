//! Runs a filter as the kernel would, for tests: with its checks of jumps and loads.

use crate::filter::{
    AND, ARCH, ARGS, Instruction, JUMP, JUMP_EQUAL, JUMP_GREATER_EQUAL, LOAD, NUMBER, RETURN,
};

/// A system call as a filter sees it (`struct seccomp_data` without the instruction pointer).
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) number: u32,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

/// How a run ended.
pub(crate) struct End {
    pub(crate) value: u32,
    pub(crate) steps: usize,
    pub(crate) looked_at_args: bool,
}

/// Runs the filter on one call; panics where the kernel would not have taken the program.
pub(crate) fn run(program: &[Instruction], call: &Call) -> End {
    let (mut accumulator, mut at, mut steps) = (0, 0, 0);
    let mut looked_at_args = false;
    loop {
        let instruction = program.get(at).expect("a jump out of the program");
        let k = instruction.k;
        at += 1;
        steps += 1;
        let jump = |holds| usize::from(if holds { instruction.jt } else { instruction.jf });
        match instruction.code {
            LOAD => {
                accumulator = match k {
                    NUMBER => call.number,
                    ARCH => call.arch,
                    _ => {
                        looked_at_args = true;
                        assert!(k >= ARGS && k.is_multiple_of(4), "a load at {k}");
                        let arg = call.args[((k - ARGS) / 8) as usize];
                        if k.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
                    }
                };
            }
            AND => accumulator &= k,
            JUMP => at += k as usize,
            JUMP_EQUAL => at += jump(accumulator == k),
            JUMP_GREATER_EQUAL => at += jump(accumulator >= k),
            RETURN => return End { value: k, steps, looked_at_args },
            other => panic!("an instruction {other:#x}"),
        }
    }
}
