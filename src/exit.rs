//! Every way in which `airtight` ends. Part of the stable contract: numbers never change meaning.

use airtight_recording::Exit;
use std::process::ExitCode;

/// How this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// 0: the child succeeded, or the thing asked about is clean.
    Success,
    /// 1, linters: there are findings, or the two recordings differ.
    Findings,
    /// 2, linters: usage, configuration or input/output error.
    Usage,
    /// 120, wrappers: findings, although the child succeeded.
    Undeclared,
    /// 121: the recording is incomplete, so it is not trusted.
    Incomplete,
    /// 122, wrappers: a declared output is missing, although the child succeeded.
    MissingOutput,
    /// 123: a cache that is needed can't be used, or what it holds is wrong.
    Unavailable,
    /// 124, wrappers: the time limit ended the child.
    TimedOut,
    /// 125, wrappers: Airtight itself failed, and usage and configuration errors.
    Failed,
    /// 126, wrappers: the command can't be executed.
    NotExecutable,
    /// 127, wrappers: the command does not exist.
    NotFound,
    /// The child's own code.
    Code(u8),
    /// The child died of this signal; it is raised again, so that the parent sees the same.
    Signal(i32),
}

impl Status {
    /// The status of a child.
    pub(crate) fn of(exit: Exit) -> Status {
        match exit {
            Exit::Code(0) => Status::Success,
            Exit::Code(code) => Status::Code(code),
            Exit::Signal(signal) => Status::Signal(i32::from(signal)),
        }
    }

    /// The number that a parent sees; for a signal, what a shell makes of it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Status::Success => 0,
            Status::Findings => 1,
            Status::Usage => 2,
            Status::Undeclared => 120,
            Status::Incomplete => 121,
            Status::MissingOutput => 122,
            Status::Unavailable => 123,
            Status::TimedOut => 124,
            Status::Failed => 125,
            Status::NotExecutable => 126,
            Status::NotFound => 127,
            Status::Code(code) => code,
            Status::Signal(signal) => 128u8.wrapping_add(signal as u8),
        }
    }

    /// Ends the process: by its own signal where the child died of one, else with a code.
    pub(crate) fn end(self) -> ExitCode {
        if let Status::Signal(signal) = self {
            airtight_tracer::die_by(signal);
        }
        ExitCode::from(self.code())
    }
}

/// The table of exit codes as text, for `airtight --help` and docs/cli.md.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes of run, cc, trace and audit:\n");
    for (status, meaning) in WRAPPERS {
        text += &format!("  {:>3}  {meaning}\n", status.code());
    }
    text += "  Else the code of the command, or its signal, raised again.\n\n\
             Exit codes of all others:\n";
    for (status, meaning) in LINTERS {
        text += &format!("  {:>3}  {meaning}\n", status.code());
    }
    text
}

const WRAPPERS: [(Status, &str); 8] = [
    (Status::Success, "the command succeeded, and nothing was found"),
    (Status::Undeclared, "findings, although the command succeeded"),
    (Status::Incomplete, "the command succeeded, but something may have escaped the recording"),
    (Status::MissingOutput, "a declared output is missing, although the command succeeded"),
    (Status::TimedOut, "the time limit ended the command"),
    (Status::Failed, "Airtight itself failed: usage, settings, permission"),
    (Status::NotExecutable, "the command can't be executed"),
    (Status::NotFound, "the command does not exist"),
];

const LINTERS: [(Status, &str); 5] = [
    (Status::Success, "clean, or done"),
    (Status::Findings, "findings, differences, or something that is missing"),
    (Status::Usage, "usage, settings, or a file that can't be read or written"),
    (Status::Incomplete, "the recording is incomplete, and nothing else was found"),
    (Status::Unavailable, "the cache can't be used, or what it holds is wrong"),
];

/// Which half of the table of exit codes a subcommand keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `run`, `cc`, `trace`, `audit`: every code but 120 to 127 is the child's.
    Wrapper,
    /// All others.
    Linter,
}

impl Role {
    /// The status of an error that is Airtight's own.
    pub(crate) fn failure(self) -> Status {
        match self {
            Role::Wrapper => Status::Failed,
            Role::Linter => Status::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_its_code_and_its_signal() {
        for code in 0..=255 {
            assert_eq!(Status::of(Exit::Code(code)).code(), code);
        }
        assert_eq!(Status::of(Exit::Signal(9)), Status::Signal(9));
        assert_eq!(Status::Signal(9).code(), 137);
    }
}
