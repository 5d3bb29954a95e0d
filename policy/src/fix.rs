//! What to do about a finding, in the words of the build system. The one place to teach a new
//! flavour.

use crate::declaration::Flavour;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// Declare an input.
    Input,
    /// Declare an output.
    Output,
    /// Declare what is left behind.
    Leftover,
    /// Declare a variable.
    Environment,
}

/// The line to paste.
pub(crate) fn line(flavour: Flavour, fix: Fix, subject: &str) -> String {
    match flavour {
        // For these the edit is made by `airtight fix`, which knows the files.
        Flavour::Make | Flavour::Ninja | Flavour::Cmake | Flavour::Meson => String::new(),
        Flavour::Flags => {
            let flag = match fix {
                Fix::Input => "--in",
                Fix::Output => "--out",
                Fix::Leftover => "--side-effect",
                Fix::Environment => "--env",
            };
            format!("{flag} {}", quoted(subject))
        }
        Flavour::Spec => {
            let text = serde_json::Value::from(subject);
            match fix {
                Fix::Input => format!("\"inputs\": [{text}]"),
                Fix::Output => format!("\"outputs\": [{text}]"),
                Fix::Leftover => format!("\"side_effects\": [{text}]"),
                Fix::Environment => format!("\"environment\": {{\"tracked\": [{text}]}}"),
            }
        }
    }
}

/// As a word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
