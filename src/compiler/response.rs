//! Response files: `@file` on a command line stands for the words in that file.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// How many response files one command line may have, those in response files included.
const MAX_FILES: usize = 100;
/// How many words there may be in the end.
const MAX_WORDS: usize = 1 << 20;

/// The words of a command line with the response files read. Their names are added to `files`.
///
/// # Errors
/// When one can't be read: gcc then takes the word as it is, which is not followed here.
pub(super) fn expand(
    words: &[OsString],
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    files: &mut Vec<OsString>,
) -> Result<Vec<OsString>, String> {
    let mut todo: Vec<OsString> = words.iter().rev().cloned().collect();
    let mut done = Vec::new();
    while let Some(word) = todo.pop() {
        let Some(name) = word.as_bytes().strip_prefix(b"@") else {
            done.push(word);
            continue;
        };
        let name = OsStr::from_bytes(name);
        let text = read(Path::new(name))
            .map_err(|error| format!("{}: can't be read: {error}", word.display()))?;
        if files.len() == MAX_FILES || todo.len() + done.len() > MAX_WORDS {
            return Err("too many response files".to_owned());
        }
        files.push(name.to_owned());
        todo.extend(split(&text).into_iter().rev());
    }
    // The same file may be there twice.
    files.sort();
    files.dedup();
    Ok(done)
}

/// The words of a response file, as gcc and clang see them: apart by white space; quotes keep
/// words together; a backslash takes the next byte as it is, in quotes too.
fn split(text: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(byte),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_compilers_do() {
        let words = |text: &str| {
            split(text.as_bytes()).into_iter().map(|w| w.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words(" -c\ta.c\r\n-o a.o"), ["-c", "a.c", "-o", "a.o"]);
        assert_eq!(words(r#"-DX="a b" 'c "d' "" x\ y \"#), ["-DX=a b", "c \"d", "", "x y", ""]);
        assert_eq!(words(r#""a\"b" 'c\'d'"#), ["a\"b", "c'd"]);
        assert_eq!(words("'open end"), ["open end"]);
    }

    #[test]
    fn response_files_in_response_files_and_no_end() {
        let mut read = |path: &Path| match path.to_str() {
            Some("one") => Ok(b"-a @two -c".to_vec()),
            Some("two") => Ok(b"-b".to_vec()),
            Some("endless") => Ok(b"@endless @endless".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let mut expand = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let mut files = Vec::new();
            super::expand(&words, &mut read, &mut files).map(|words| (words, files))
        };
        let all = |names: &[&str]| names.iter().map(OsString::from).collect::<Vec<_>>();
        let expected = (all(&["x", "-a", "-b", "-c", "y", "-b"]), all(&["one", "two"]));
        assert_eq!(expand(&["x", "@one", "y", "@two"]), Ok(expected));
        assert!(expand(&["@endless"]).is_err());
        assert!(expand(&["@absent"]).is_err());
    }
}
