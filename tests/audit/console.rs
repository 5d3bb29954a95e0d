//! Pages that tell people what to type: their commands are run, and what they say is compared.

use std::fmt::Write as _;

/// A command of a page, and the lines that it says.
struct Typed {
    command: String,
    says: Vec<String>,
}

/// What a page tells people to type.
pub(crate) struct Console {
    typed: Vec<Typed>,
}

const END: &str = "--- end of a command";

impl Console {
    /// All that stands in the `console` blocks of a page: commands after `$ `, then what they say,
    /// `…` for any lines.
    pub(crate) fn of(page: &str) -> Console {
        let mut typed: Vec<Typed> = Vec::new();
        let mut inside = false;
        for line in page.lines() {
            match line {
                "```console" => inside = true,
                "```" => inside = false,
                _ if !inside => (),
                _ => match line.strip_prefix("$ ") {
                    Some(command) => {
                        typed.push(Typed { command: command.to_owned(), says: Vec::new() });
                    }
                    None => {
                        typed.last_mut().expect("a command first").says.push(line.to_owned());
                    }
                },
            }
        }
        assert!(!typed.is_empty(), "nothing is to be typed");
        Console { typed }
    }

    /// One shell script for all, as a reader has one shell; after each command its code is what `$?`
    /// holds.
    pub(crate) fn script(&self) -> String {
        let mut script = "exec 2>&1\ncode=0\n".to_owned();
        for Typed { command, .. } in &self.typed {
            let _ = writeln!(script, "(exit $code)\n{command}\ncode=$?\nprintf '%s\\n' '{END}'");
        }
        script
    }

    /// Compares what the script has written.
    #[track_caller]
    pub(crate) fn check(&self, output: &str) {
        let parts: Vec<&str> = output.split_inclusive(&format!("{END}\n")).collect();
        assert_eq!(parts.len(), self.typed.len(), "{output}");
        for (Typed { command, says }, part) in self.typed.iter().zip(parts) {
            let said: Vec<&str> = part.lines().filter(|line| *line != END).collect();
            assert!(agrees(says, &said), "{command}\nshould say\n{says:#?}\nand said\n{said:#?}");
        }
    }
}

/// Whether `said` is `says`, where `…` stands for any lines.
fn agrees(says: &[String], said: &[&str]) -> bool {
    match (says, said) {
        ([], []) => true,
        ([first, rest @ ..], _) if first == "…" => {
            (0..=said.len()).any(|skipped| agrees(rest, &said[skipped..]))
        }
        ([first, rest @ ..], [line, others @ ..]) => first == line && agrees(rest, others),
        _ => false,
    }
}
