use super::*;
use crate::bpf::{Call, run};
use crate::table::{GROUPS, NUMBERS, X32_NUMBERS};
use proptest::prelude::*;

const MARK: u16 = 0x4154;
const OPTIONS: Options = Options { mark: MARK, allow_io_uring: false };
const TRACE: u32 = RET_TRACE | MARK as u32;

/// What the table says of a call, without any filter.
fn expected(native: Abi, call: &Call) -> u32 {
    let abis: &[Abi] = match native {
        Abi::Aarch64 => &[Abi::Aarch64],
        _ => &[Abi::X86_64, Abi::I386, Abi::X32],
    };
    let Some(abi) = Abi::of(call.arch, call.number).filter(|abi| abis.contains(abi)) else {
        return TRACE;
    };
    match lookup(abi, call.number) {
        None => TRACE,
        Some(row) => match row.verdict {
            Verdict::Pass => RET_ALLOW,
            Verdict::Deny(errno) => RET_ERRNO | u32::from(errno),
            Verdict::Trace(..) if row.only.stops(&call.args) => TRACE,
            Verdict::Trace(..) => RET_ALLOW,
        },
    }
}

/// Arguments on both sides of every condition of a row.
fn cases(only: &Only) -> Vec<[u64; 6]> {
    let mut cases = vec![[0; 6], [u64::MAX; 6]];
    let tests = match only {
        Only::Always => &[],
        Only::All(tests) | Only::Any(tests) => *tests,
        Only::OneOf { arg, mask, values } => {
            for value in *values {
                for other in [*value, value ^ 1, value | !mask] {
                    let mut args = [0; 6];
                    args[*arg as usize] = u64::from(other);
                    cases.push(args);
                    args[*arg as usize] |= 7 << 32;
                    cases.push(args);
                }
            }
            return cases;
        }
    };
    // Every combination of interesting values of the arguments tested.
    for test in tests {
        let values = [
            test.value,
            test.value ^ (test.mask & test.mask.wrapping_neg()),
            test.value | 1 << 40,
            test.mask,
            !test.mask,
        ];
        let before = cases.clone();
        for value in values {
            for mut args in before.iter().copied() {
                args[test.arg as usize] = value;
                cases.push(args);
            }
        }
    }
    cases
}

fn natives() -> [(Abi, Vec<Instruction>); 2] {
    [Abi::X86_64, Abi::Aarch64].map(|native| (native, program(native, OPTIONS)))
}

#[test]
fn every_number_of_every_abi_gets_its_verdict() {
    for (native, program) in natives() {
        for abi in Abi::ALL {
            for place in 0..abi.numbers() + 40 {
                let number = place | abi.bit();
                let only = lookup(abi, number).map_or(Only::Always, |row| row.only);
                for mut args in cases(&only) {
                    if abi == Abi::I386 {
                        args = args.map(|arg| arg & 0xffff_ffff);
                    }
                    let call = Call { number, arch: abi.audit_arch(), args };
                    let got = run(&program, &call).value;
                    assert_eq!(got, expected(native, &call), "{native:?} {abi:?} {call:x?}");
                }
            }
        }
    }
}

/// The kernel's bitmap serves only numbers for which nothing else is loaded.
#[test]
fn numbers_that_pass_are_decided_by_number_alone() {
    let program = program(Abi::X86_64, OPTIONS);
    let mut passed = 0;
    for (abi, row) in GROUPS
        .iter()
        .flat_map(|(_, rows)| *rows)
        .flat_map(|row| [Abi::X86_64, Abi::I386, Abi::X32].map(|abi| (abi, row)))
    {
        if row.verdict == Verdict::Pass
            && let Some(number) = row.number(abi)
        {
            let call = Call { number, arch: abi.audit_arch(), args: [0; 6] };
            let end = run(&program, &call);
            assert!(!end.looked_at_args, "{}", row.name);
            assert_eq!(end.value, RET_ALLOW);
            passed += 1;
        }
    }
    assert!(passed > 600);
}

#[test]
fn the_program_fits_and_the_search_is_short() {
    for (native, program) in natives() {
        assert!(program.len() < MAX_LENGTH / 2, "{} instructions", program.len());
        for abi in Abi::ALL {
            for place in 0..abi.numbers() {
                let number = place | abi.bit();
                let call = Call { number, arch: abi.audit_arch(), args: [0; 6] };
                let steps = run(&program, &call).steps;
                assert!(steps < 64, "{native:?} {abi:?} {number}: {steps}");
            }
        }
    }
}

#[test]
fn io_uring_may_be_allowed() {
    let open = program(Abi::X86_64, Options { allow_io_uring: true, ..OPTIONS });
    let closed = program(Abi::X86_64, OPTIONS);
    for (number, allowed) in [(425, TRACE), (426, RET_ALLOW), (427, RET_ALLOW)] {
        let call = Call { number, arch: Abi::X86_64.audit_arch(), args: [0; 6] };
        assert_eq!(run(&open, &call).value, allowed);
        assert_eq!(run(&closed, &call).value, TRACE);
    }
}

#[test]
fn what_is_not_known_goes_to_the_tracer() {
    for (native, program) in natives() {
        for number in [NUMBERS, X32_BIT | X32_NUMBERS, 511, 520, 1 << 31, u32::MAX] {
            let call = Call { number, arch: native.audit_arch(), args: [0; 6] };
            assert_eq!(run(&program, &call).value, TRACE, "{native:?} {number:x}");
        }
        for arch in [0, 0x4000_0028, u32::MAX] {
            let call = Call { number: 0, arch, args: [0; 6] };
            assert_eq!(run(&program, &call).value, TRACE, "{native:?} {arch:x}");
        }
    }
}

proptest! {
    #[test]
    fn any_call_gets_its_verdict(
        abi in proptest::sample::select(&Abi::ALL[..]),
        place in 0..600_u32,
        args in prop::array::uniform6(prop_oneof![
            any::<u64>(), 0..64_u64, proptest::sample::select(crate::table::IOCTLS)
                .prop_map(|(number, ..)| u64::from(number)),
        ]),
    ) {
        static PROGRAM: std::sync::LazyLock<Vec<Instruction>> =
            std::sync::LazyLock::new(|| program(Abi::X86_64, OPTIONS));
        let args = if abi == Abi::I386 { args.map(|arg| arg & 0xffff_ffff) } else { args };
        let call = Call { number: place | abi.bit(), arch: abi.audit_arch(), args };
        prop_assert_eq!(run(&PROGRAM, &call).value, expected(Abi::X86_64, &call));
    }
}
