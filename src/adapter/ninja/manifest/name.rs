//! Names of files as ninja compares and quotes them.

use std::borrow::Cow;

/// The form in which ninja compares names: no `.`, no doubled or trailing `/`, `..` taken back
/// where something stands before it. Nothing is looked up, so a link before `..` is not followed.
pub(crate) fn canonical(name: &[u8]) -> Vec<u8> {
    let rooted = name.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// `name` as one word of the shell, as ninja quotes `$in` and `$out`: bare when it holds nothing
/// but letters, digits and `_+-./`, else in single quotes.
pub(super) fn quoted(name: &[u8]) -> Cow<'_, [u8]> {
    let safe = |b: &u8| b.is_ascii_alphanumeric() || b"_+-./".contains(b);
    if name.iter().all(safe) {
        return Cow::Borrowed(name);
    }
    let mut word = vec![b'\''];
    for &byte in name {
        if byte == b'\'' {
            word.extend_from_slice(b"'\\'");
        }
        word.push(byte);
    }
    word.push(b'\'');
    Cow::Owned(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_compare_in_one_form() {
        for (name, expected) in [
            ("a/b.c", "a/b.c"),
            ("./a//b/./c/", "a/b/c"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("../../a/..", "../.."),
            ("a/..", "."),
            (".", "."),
            ("/a/../b", "/b"),
            ("/", "/"),
            ("...", "..."),
            (".a/..b", ".a/..b"),
        ] {
            assert_eq!(canonical(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }

    #[test]
    fn only_what_the_shell_would_read_otherwise_is_quoted() {
        for (name, expected) in [
            ("a-b_c+d.e/f9", "a-b_c+d.e/f9"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("a:b", "'a:b'"),
            ("ä", "'ä'"),
        ] {
            assert_eq!(*quoted(name.as_bytes()), *expected.as_bytes(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(name in "[a./]{1,20}") {
            let once = canonical(name.as_bytes());
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
