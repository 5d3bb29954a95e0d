//! What a case is made of.

/// An action, the files that it finds, and its true declaration.
///
/// All names are relative to the workspace. What the facts about a case are is in `facts.rs`.
pub(crate) struct Case {
    /// Files that are there at the start: name and text.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// A shell script that makes the rest of the start, untraced.
    pub(crate) before: &'static str,
    /// Where the action runs: empty for the workspace itself.
    pub(crate) cwd: &'static str,
    /// Variables beside those that every case has.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// The command: words, those with spaces in single quotes.
    pub(crate) run: &'static str,
    /// The declared inputs; a directory ends with a slash. Each is left out once.
    pub(crate) inputs: &'static [&'static str],
    /// The declared outputs.
    pub(crate) outputs: &'static [&'static str],
    /// Inputs without which the action makes the same, and why. Airtight finds them all the same:
    /// it knows what is read, and not what for.
    pub(crate) harmless: &'static [(&'static str, &'static str)],
    /// What needs no declaration and counts all the same, and why. Airtight keeps it in the key,
    /// so that a change of it is a miss; another machine has to be given it.
    pub(crate) keyed: &'static [(&'static str, &'static str)],
    /// Why the result is another one in another directory; empty where it is not. Airtight keeps
    /// the place of the workspace in the key then, so that no other checkout is given the result.
    pub(crate) here: &'static str,
    /// Files that would change the result if they were there: name, and the shell script that
    /// makes them.
    pub(crate) appearing: &'static [(&'static str, &'static str)],
}

impl Case {
    /// A case of nothing, for what others leave out.
    pub(crate) const EMPTY: Case = Case {
        files: &[],
        before: "",
        cwd: "",
        environment: &[],
        run: "",
        inputs: &[],
        outputs: &[],
        harmless: &[],
        keyed: &[],
        here: "",
        appearing: &[],
    };

    /// Every variable of the action, sorted.
    pub(crate) fn variables(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            ("LC_ALL", "C"),
            ("PATH", "/usr/bin:/bin"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // Packages in somebody's home.
            ("PYTHONNOUSERSITE", "1"),
        ];
        let mut variables = [&all, self.environment].concat();
        variables.sort_unstable();
        variables
    }

    /// The inputs and what counts without being declared.
    pub(crate) fn everything(&self) -> Vec<&'static str> {
        self.inputs.iter().copied().chain(self.keyed.iter().map(|(name, _)| *name)).collect()
    }
}

/// A list of names without one of them.
pub(crate) fn without<'a>(names: &[&'a str], one: &str) -> Vec<&'a str> {
    names.iter().copied().filter(|name| *name != one).collect()
}
