//! Names of files as the build systems write them.

/// `path` relative to `base`, both absolute and without `.` and `..`; absolute when they have
/// nothing in common.
pub(crate) fn relative(path: &[u8], base: &[u8]) -> Vec<u8> {
    let parts = |name: &[u8]| -> Vec<Vec<u8>> {
        let parts = name.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        parts.map(<[u8]>::to_vec).collect()
    };
    let (path_parts, base_parts) = (parts(path), parts(base));
    let same = path_parts.iter().zip(&base_parts).take_while(|(a, b)| a == b).count();
    if same == 0 {
        return path.to_vec();
    }
    let mut out: Vec<&[u8]> = vec![b".."; base_parts.len() - same];
    out.extend(path_parts[same..].iter().map(Vec::as_slice));
    if out.is_empty() { b".".to_vec() } else { out.join(&b'/') }
}

/// What is below `directory`.
pub(crate) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(directory.strip_suffix(b"/").unwrap_or(directory))?;
    rest.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// In a manifest of ninja (ninja manual, "Lexical syntax"); none if it can't be written there.
pub(crate) fn ninja(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\n' | b'\r' | b'|' | 0 => return None,
            b' ' | b':' | b'$' => out.extend([b'$', byte]),
            byte => out.push(byte),
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A prerequisite or target in a makefile; none if GNU make has no way to write it that means the
/// same everywhere.
pub(crate) fn make(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    if name.is_empty() || name.starts_with(b"~") || name.starts_with(b"-") {
        return None;
    }
    for &byte in name {
        match byte {
            // A pattern in a target, and a plain character in a prerequisite: not both the same.
            b'%' => return None,
            b'=' | b';' | b'|' | b'*' | b'?' | b'[' | b']' | b'\\' | b'&' | b'(' | b')' => {
                return None;
            }
            b'"' | b'\'' | 0..=b'\x1f' | 0x7f => return None,
            b' ' | b'#' | b':' => out.extend([b'\\', byte]),
            b'$' => out.extend_from_slice(b"$$"),
            byte => out.push(byte),
        }
    }
    Some(out)
}

/// An argument of a CMake command (cmake-language(7)): in quotes where it needs them; none if it
/// is no UTF-8 or would be a list. `variable` stands before it as it is.
pub(crate) fn cmake(variable: &str, name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let mut quoted = false;
    let mut out = String::with_capacity(name.len() + variable.len() + 2);
    for c in name.chars() {
        match c {
            ';' => return None,
            c if c.is_control() => return None,
            '"' | '\\' | '$' | '@' => {
                out.push('\\');
                out.push(c);
                quoted = true;
            }
            c => {
                quoted |= !(c.is_ascii_alphanumeric() || "_-./+,".contains(c));
                out.push(c);
            }
        }
    }
    if name.is_empty() {
        return None;
    }
    Some(if quoted { format!("\"{variable}{out}\"") } else { format!("{variable}{out}") })
}

/// A string of meson; none if it is no UTF-8.
pub(crate) fn meson(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let mut out = String::from("'");
    for c in name.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => return None,
            c => out.push(c),
        }
    }
    out.push('\'');
    // `@…@` is replaced in many strings.
    (!name.is_empty() && !name.contains('@')).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_a_directory() {
        for (path, base, expected) in [
            ("/w/a.h", "/w", "a.h"),
            ("/w/inc/a.h", "/w/src/x", "../../inc/a.h"),
            ("/w", "/w/a", ".."),
            ("/w", "/w", "."),
            ("/x/a", "/w", "/x/a"),
        ] {
            assert_eq!(relative(path.as_bytes(), base.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn each_language_has_its_own_quotes() {
        let text = |name: Option<Vec<u8>>| name.map(|name| String::from_utf8(name).expect("text"));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(text(ninja(b"a b$c:d")), some("a$ b$$c$:d"));
        assert_eq!(text(ninja(b"a|b")), None);
        assert_eq!(text(ninja(b"a\nb")), None);
        assert_eq!(text(make(b"a b$c:#")), some("a\\ b$$c\\:\\#"));
        for name in [&b"a=b"[..], b"%", b"a\tb", b"~/x", b"a;b", b"lib(x)", b"", b"a\\b"] {
            assert_eq!(make(name), None);
        }
        assert_eq!(cmake("${D}/", b"a.h"), some("${D}/a.h"));
        assert_eq!(cmake("${D}/", b"a b$.h"), some("\"${D}/a b\\$.h\""));
        assert_eq!(cmake("", b"a;b"), None);
        assert_eq!(cmake("", b"\xff"), None);
        assert_eq!(meson(b"it's"), some("'it\\'s'"));
        assert_eq!(meson(b"@0@"), None);
    }
}
