//! Conditions on arguments that the filter evaluates, so that calls of no interest don't stop.

/// A comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Which argument, 0 to 5.
    pub arg: u8,
    /// The bits that count. Give 32 bits for what the kernel takes as an int: it ignores the
    /// rest, and so must we. ABIs with 32-bit registers compare the lower half alone.
    pub mask: u64,
    /// What they are compared with.
    pub value: u64,
    /// Whether they must be equal, or must differ.
    pub equal: bool,
}

impl Test {
    /// At least one bit of `mask` is set.
    pub const fn any_bit(arg: u8, mask: u64) -> Test {
        Test { arg, mask, value: 0, equal: false }
    }

    /// The argument, an int, is `value`.
    pub const fn int(arg: u8, value: u32) -> Test {
        Test { arg, mask: u32::MAX as u64, value: value as u64, equal: true }
    }

    /// The argument, an int, is not `value`.
    pub const fn int_not(arg: u8, value: u32) -> Test {
        Test { equal: false, ..Test::int(arg, value) }
    }

    /// The argument, a pointer or a size, is not `value`.
    pub const fn word_not(arg: u8, value: u64) -> Test {
        Test { arg, mask: u64::MAX, value, equal: false }
    }

    /// Whether it holds. `args` are as the kernel sees them: 32-bit ABIs have zeros above.
    pub const fn holds(&self, args: &[u64; 6]) -> bool {
        (args[self.arg as usize] & self.mask == self.value) == self.equal
    }
}

/// Which calls of a traced row stop; the others run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Always,
    /// Those for which every test holds.
    All(&'static [Test]),
    /// Those for which some test holds.
    Any(&'static [Test]),
    /// Those whose argument, an int under this mask, is one of these.
    OneOf {
        /// Which argument, 0 to 5.
        arg: u8,
        /// The bits that count.
        mask: u32,
        /// The values that stop.
        values: &'static [u32],
    },
}

impl Only {
    /// Whether a call with these arguments stops.
    pub fn stops(&self, args: &[u64; 6]) -> bool {
        match self {
            Only::Always => true,
            Only::All(tests) => tests.iter().all(|t| t.holds(args)),
            Only::Any(tests) => tests.iter().any(|t| t.holds(args)),
            Only::OneOf { arg, mask, values } => {
                values.contains(&(args[*arg as usize] as u32 & mask))
            }
        }
    }
}
