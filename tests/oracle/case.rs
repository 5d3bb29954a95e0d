//! What a case is made of.

/// An action, the files that it finds, and its true declaration.
///
/// All names are relative to the workspace. What the facts about a case are is in `facts.rs`.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    /// Files that are there at the start: name and text.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// A shell script that makes the rest of the start, untraced.
    pub(crate) before: &'a str,
    /// Where the action runs: empty for the workspace itself.
    pub(crate) cwd: &'a str,
    /// Variables beside those that every case has.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// The command: words, those with spaces in single quotes.
    pub(crate) run: &'a str,
    /// Whether the command is a compile that declares itself, for `airtight cc`.
    pub(crate) compile: bool,
    /// The declared inputs; a directory ends with a slash. Each is left out once.
    pub(crate) inputs: &'a [&'a str],
    /// The declared outputs.
    pub(crate) outputs: &'a [&'a str],
    /// A declared depfile, which is an output too; or nothing.
    pub(crate) depfile: &'a str,
    /// Inputs without which the action makes the same, and why. Airtight finds them all the same:
    /// it knows what is read, and not what for.
    pub(crate) harmless: &'a [(&'a str, &'a str)],
    /// What counts without being declared by name, and why. Airtight keeps it in the key, so that
    /// a change of it is a miss; another machine has to be given it.
    pub(crate) keyed: &'a [(&'a str, &'a str)],
    /// Why the result is another one in another directory; empty where it is not. Airtight keeps
    /// the place of the workspace in the key then, so that no other checkout is given the result.
    pub(crate) here: &'a str,
    /// Files that would change the result if they were there: name, and the shell script that
    /// makes them.
    pub(crate) appearing: &'a [(&'a str, &'a str)],
    /// What would change the result if it were something else: name, and the shell script that
    /// makes that once the name is free.
    pub(crate) replaced: &'a [(&'a str, &'a str)],
}

impl<'a> Case<'a> {
    /// A case of nothing, for what others leave out.
    pub(crate) const EMPTY: Case<'static> = Case {
        files: &[],
        before: "",
        cwd: "",
        environment: &[],
        run: "",
        compile: false,
        inputs: &[],
        outputs: &[],
        depfile: "",
        harmless: &[],
        keyed: &[],
        here: "",
        appearing: &[],
        replaced: &[],
    };

    /// Every variable of the action, sorted.
    pub(crate) fn variables(&self) -> Vec<(&'a str, &'a str)> {
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
    pub(crate) fn everything(&self) -> Vec<&'a str> {
        self.inputs.iter().copied().chain(self.keyed.iter().map(|(name, _)| *name)).collect()
    }

    /// Everything that it makes.
    pub(crate) fn products(&self) -> Vec<&'a str> {
        let depfile = Some(self.depfile).filter(|depfile| !depfile.is_empty());
        self.outputs.iter().copied().chain(depfile).collect()
    }
}

/// A list of names without one of them.
pub(crate) fn without<'a>(names: &[&'a str], one: &str) -> Vec<&'a str> {
    names.iter().copied().filter(|name| *name != one).collect()
}
