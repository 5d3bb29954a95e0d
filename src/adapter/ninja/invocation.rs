//! What ninja's arguments ask for.

/// One call of ninja that runs edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// `-C`: the directory that it changes to first.
    pub(super) directory: Option<Vec<u8>>,
    /// `-f`: the manifest, as seen from that directory.
    pub(super) file: Vec<u8>,
}

impl Invocation {
    /// From the arguments without the program's name. None when no edge runs: `-t`, `-n`,
    /// `--version`, `--help`.
    ///
    /// ninja reads them with getopt_long, so options may also stand behind targets, take their
    /// value from the next argument, and long ones may be cut short.
    pub(super) fn parse(arguments: &[Vec<u8>]) -> Option<Invocation> {
        let mut invocation = Invocation { directory: None, file: b"build.ninja".to_vec() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_slice() {
                b"--" => break,
                [b'-', b'-', name @ ..] => {
                    let cut = |whole: &[u8]| whole.starts_with(name);
                    if cut(b"help") || cut(b"version") && !cut(b"verbose") {
                        return None;
                    }
                }
                [b'-', letters @ ..] => {
                    let mut letters = letters.iter();
                    while let Some(letter) = letters.next() {
                        if b"nth".contains(letter) {
                            return None;
                        }
                        if !b"dfjklwC".contains(letter) {
                            continue;
                        }
                        let value = match letters.as_slice() {
                            [] => arguments.next()?.clone(),
                            rest => rest.to_vec(),
                        };
                        match letter {
                            b'C' => invocation.directory = Some(value),
                            b'f' => invocation.file = value,
                            _ => {}
                        }
                        break;
                    }
                }
                _ => {}
            }
        }
        Some(invocation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, String)> {
        let arguments: Vec<Vec<u8>> = text.split(' ').map(|word| word.into()).collect();
        let Invocation { directory, file } = Invocation::parse(&arguments)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Some((directory.map_or(String::new(), text), text(file)))
    }

    #[test]
    fn options_are_read_as_getopt_does() {
        for (arguments, directory, file) in [
            ("all", "", "build.ninja"),
            ("-C out", "out", "build.ninja"),
            ("-Cout -f x.ninja", "out", "x.ninja"),
            ("-vj8 -k 0 all -C out", "out", "build.ninja"),
            ("-j -C", "", "build.ninja"),
            ("-C a -C b", "b", "build.ninja"),
            ("-v -- -n", "", "build.ninja"),
            ("--quiet --verb", "", "build.ninja"),
            ("-d stats -w dupbuild=warn -l 4", "", "build.ninja"),
        ] {
            let expected = Some((directory.to_owned(), file.to_owned()));
            assert_eq!(parse(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn what_runs_no_edge_is_no_run() {
        for arguments in
            ["-t query a", "-n", "-vn", "all -t clean", "--version", "--vers", "--help", "-h", "-C"]
        {
            assert_eq!(parse(arguments), None, "{arguments}");
        }
    }
}
