//! The stable numbers of everything the binary format enumerates. A number never changes its
//! meaning and is never given again; new variants get new numbers at the end.

use crate::{HostKind, Kind, Op, ReasonCode};

/// A closed vocabulary with stable numbers.
pub(crate) trait Wire: Copy + Sized + 'static {
    /// Every word with its number.
    const TABLE: &'static [(u8, Self)];

    /// The number of this word.
    fn number(self) -> u8;

    /// The word with this number.
    fn from_number(number: u8) -> Option<Self>;
}

macro_rules! wire {
    ($($type:ident { $($number:literal $word:ident)* })*) => {$(
        impl Wire for $type {
            const TABLE: &'static [(u8, Self)] = &[$(($number, $type::$word)),*];

            fn number(self) -> u8 {
                match self {
                    $($type::$word => $number,)*
                }
            }

            fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some($type::$word),)*
                    _ => None,
                }
            }
        }
    )*};
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Header,
    Path,
    Syscall,
    Process,
    Image,
    Exit,
    Access,
    Host,
    Stamp,
    End,
}

impl Tag {
    /// How many tags there are.
    pub(crate) const COUNT: usize = <Tag as Wire>::TABLE.len();

    /// The place in an array with one element for each tag.
    pub(crate) fn index(self) -> usize {
        usize::from(self.number()) - 1
    }
}

wire! {
    Tag {
        1 Header 2 Path 3 Syscall 4 Process 5 Image 6 Exit 7 Access 8 Host 9 Stamp 10 End
    }
    Kind {
        1 Read 2 Write 3 Delete 4 Probe 5 Exec 6 List 7 Link
    }
    Op {
        1 Open 2 Create 3 Truncate 4 Change 5 Map 6 Stat 7 Check 8 Readlink 9 Hop 10 Enumerate
        11 Exec 12 Shebang 13 Loader 14 Mkdir 15 Rmdir 16 Unlink 17 Rename 18 Hardlink 19 Symlink
        20 Mknod 21 Metadata 22 Inherited 23 Received 24 Handle 25 Kernel
    }
    HostKind {
        1 Network 2 UnixSocket 3 SurvivingProcess 4 Random 5 IoUringRefused 6 CallRefused
        7 PrivilegeLost 8 PtraceRefused 9 Enforced
    }
    ReasonCode {
        1 UnknownSyscall 2 UnknownAbi 3 PathChanged 4 PathUnreadable 5 MemoryUnreadable
        6 Untraceable 7 SurvivingProcess 8 LostEvent 9 TimedOut 10 IoUring 11 WriteFailed
        12 Interrupted 13 Other 14 BackendLimits 15 WitnessDisagrees
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 read, 2 write, …`, as the document has it.
    fn words<T: Wire + serde::Serialize>() -> String {
        let word = |&(number, word): &(u8, T)| {
            let word = serde_json::to_value(word).expect("a word is JSON");
            format!("{number} {}", word.as_str().expect("a word is a string"))
        };
        T::TABLE.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_document_has_these_numbers() {
        let document = include_str!("../../docs/recording-format.md");
        for row in [
            format!("| kind | {} |", words::<Kind>()),
            format!("| op | {} |", words::<Op>()),
            format!("| host kind | {} |", words::<HostKind>()),
            format!("| reason | {} |", words::<ReasonCode>()),
        ] {
            assert!(document.contains(&row), "docs/recording-format.md lacks:\n{row}");
        }
        for (number, tag) in Tag::TABLE {
            let row = format!("| {number} | {} |", format!("{tag:?}").to_lowercase());
            assert!(document.contains(&row), "docs/recording-format.md lacks:\n{row}");
        }
    }

    fn dense<T: Wire + PartialEq + std::fmt::Debug>() {
        for (i, &(number, word)) in T::TABLE.iter().enumerate() {
            assert_eq!(usize::from(number), i + 1, "{word:?}");
            assert_eq!(word.number(), number);
            assert_eq!(T::from_number(number), Some(word));
        }
        assert_eq!(T::from_number(0), None);
        assert_eq!(T::from_number(u8::try_from(T::TABLE.len()).unwrap() + 1), None);
    }

    #[test]
    fn numbers_are_dense_and_go_both_ways() {
        dense::<Tag>();
        dense::<Kind>();
        dense::<Op>();
        dense::<HostKind>();
        dense::<ReasonCode>();
    }
}
