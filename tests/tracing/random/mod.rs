//! Random sequences of calls on a small tree, held against a model of the tree: first the model
//! against the kernel (what each call answers), then the recording against the model.

mod model;

use crate::harness::Case;
use model::{Id, ROOT, Tree, Walked};
use std::collections::BTreeSet;

/// The seeds that always run.
const SEEDS: std::ops::Range<u64> = 1..41;

/// Calls of one sequence.
const LENGTH: usize = 70;

#[test]
fn sequences() {
    hold_against_the_model(&["0", "0", "0", "RENAME_NOREPLACE"]);
}

#[test]
fn sequences_with_exchanges() {
    hold_against_the_model(&["0", "RENAME_EXCHANGE"]);
}

fn hold_against_the_model(renames: &'static [&'static str]) {
    for seed in SEEDS {
        let script = Script::new(seed, renames);
        let open = script.tree.open.iter().map(|f| format!("?{f}"));
        let expected: Vec<String> = script.tree.facts.iter().cloned().chain(open).collect();
        let run = || drop(Case::ops(SETUP, &script.lines).facts(&expected));
        // What failed has been told by then.
        let held = std::panic::catch_unwind(run).is_ok();
        assert!(held, "seed {seed}: {:#?}", script.lines);
    }
}

/// What is there at first; the model starts with the same.
const SETUP: &str = "dir a/b/c\nfile a/c\nfile b\nfile a/b/a\nlink c a/b\nlink a/a ../b";

/// A xorshift generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// What came of one call in the model: its answer; none when the model does not say.
type Answer = Option<&'static str>;

struct Script {
    dice: Dice,
    tree: Tree,
    lines: Vec<String>,
    /// The flags of its renames.
    renames: &'static [&'static str],
    /// Files that were opened for reading and writing, and by which name.
    both: Vec<(Id, String)>,
    /// Files that have had more than one name.
    linked: BTreeSet<Id>,
    /// Directories that are held open, by label.
    held: Vec<(char, Id)>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl Script {
    fn new(seed: u64, renames: &'static [&'static str]) -> Script {
        let mut script = Script {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            tree: Tree::new(),
            lines: Vec::new(),
            renames,
            both: Vec::new(),
            linked: BTreeSet::new(),
            held: Vec::new(),
        };
        let tree = &mut script.tree;
        let a = tree.add_dir(ROOT, "a");
        let b = tree.add_dir(a, "b");
        tree.add_dir(b, "c");
        tree.add_file(a, "c");
        tree.add_file(ROOT, "b");
        tree.add_file(b, "a");
        tree.add_link(ROOT, "c", "a/b");
        tree.add_link(a, "a", "../b");
        while script.lines.len() < LENGTH {
            script.step();
        }
        // Changed later by its other name, a file that was open for both may count as written.
        for (id, path) in std::mem::take(&mut script.both) {
            if script.linked.contains(&id) {
                script.tree.may("write", &path);
            }
        }
        script
    }

    /// A name: one to three parts, at times absolute, with dots or double slashes.
    fn name(&mut self, last_is_plain: bool) -> String {
        let mut name = String::new();
        if self.dice.roll(6) == 0 {
            name += "$T/";
        }
        for _ in 0..self.dice.roll(3) {
            name += match self.dice.roll(12) {
                0 => ".",
                1 => "..",
                _ => self.dice.pick(&NAMES),
            };
            name += if self.dice.roll(10) == 0 { "//" } else { "/" };
        }
        if !last_is_plain && self.dice.roll(12) == 0 {
            return name + self.dice.pick(&[".", ".."]);
        }
        name + self.dice.pick(&NAMES)
    }

    /// Where a name starts: the text for the call, and the directory.
    fn start(&mut self) -> (String, Id) {
        if !self.held.is_empty() && self.dice.roll(3) == 0 {
            let (label, id) = self.dice.pick(&self.held.clone());
            return (format!("@{label}"), id);
        }
        ("AT_FDCWD".to_owned(), self.tree.cwd)
    }

    /// Walks, and leaves the facts that every call along this name has.
    fn walk(&mut self, start: Id, name: &str, follow: bool) -> Walked {
        let mut hops = Vec::new();
        let walked = self.tree.walk(start, name, follow, &mut hops);
        if !matches!(walked, Walked::Beyond) {
            for hop in hops {
                self.tree.must("link", &hop);
            }
        }
        if let Walked::Stuck { path, .. } = &walked {
            self.tree.must("probe-", path);
        }
        walked
    }

    /// One call, if the model knows what comes of it.
    fn step(&mut self) {
        let (facts, open) = (self.tree.facts.clone(), self.tree.open.clone());
        let (call, answer, closes) = match self.dice.roll(14) {
            0..=3 => self.open(),
            4 => self.stat(),
            5 => self.readlink(),
            6 => self.mkdir(),
            7 => self.unlink(),
            8 | 9 => self.rename(),
            10 => self.symlink(),
            11 => self.link(),
            12 => self.metadata(),
            _ => self.chdir_or_hold(),
        };
        let Some(answer) = answer else {
            (self.tree.facts, self.tree.open) = (facts, open);
            return;
        };
        // At times in a child, which ends then.
        let own = call.starts_with("chdir") || self.held.iter().any(|(l, _)| call.starts_with(*l));
        if self.dice.roll(5) == 0 && !own {
            self.lines.push(format!("fork {}", if closes { 2 } else { 1 }));
        }
        self.lines.push(format!("{call} = {answer}"));
        if closes {
            self.lines.push("close @x".to_owned());
        }
    }

    fn open(&mut self) -> (String, Answer, bool) {
        let flags = self.dice.pick(&[
            "O_RDONLY",
            "O_RDONLY",
            "O_WRONLY",
            "O_RDWR",
            "O_RDONLY|O_CREAT",
            "O_WRONLY|O_CREAT",
            "O_WRONLY|O_CREAT|O_TRUNC",
            "O_RDWR|O_CREAT",
            "O_WRONLY|O_CREAT|O_EXCL",
            "O_WRONLY|O_TRUNC",
            "O_RDONLY|O_NOFOLLOW",
            "O_RDONLY|O_DIRECTORY",
            "O_PATH",
            "O_PATH|O_NOFOLLOW",
        ]);
        let has = |flag| flags.contains(flag);
        let (from, start) = self.start();
        let name = self.name(has("O_CREAT"));
        let follow = !has("O_NOFOLLOW") && !has("O_EXCL");
        let answer = match self.walk(start, &name, follow) {
            Walked::Beyond => None,
            Walked::Stuck { error, .. } => Some(error),
            Walked::Missing { dir, name, path } if has("O_CREAT") => {
                self.tree.add_file(dir, &name);
                self.tree.must("write", &path);
                Some("ok")
            }
            Walked::Missing { path, .. } => {
                self.tree.must("probe-", &path);
                Some("ENOENT")
            }
            Walked::Found { id, path, .. } => {
                let (dir, link) = (self.tree.is_dir(id), self.tree.is_link(id));
                let (fact, error) = match () {
                    () if has("O_EXCL") => ("probe+", "EEXIST"),
                    () if has("O_PATH") => ("probe+", "ok"),
                    () if link => ("probe+", "ELOOP"),
                    () if dir
                        && flags != "O_RDONLY"
                        && !has("O_NOFOLLOW")
                        && !has("O_DIRECTORY") =>
                    {
                        ("probe+", "EISDIR")
                    }
                    () if dir => ("list", "ok"),
                    () if has("O_DIRECTORY") => ("", "ENOTDIR"),
                    () if has("O_WRONLY") => ("write", "ok"),
                    () if has("O_RDWR") => {
                        self.both.push((id, path.clone()));
                        ("read", "ok")
                    }
                    () => ("read", "ok"),
                };
                if fact.is_empty() {
                    self.tree.may("probe+", &path);
                    self.tree.may("probe-", &path);
                } else {
                    self.tree.must(fact, &path);
                }
                Some(error)
            }
        };
        let call = format!("x: openat {from} :{name} {flags} 0644");
        (call, answer, answer == Some("ok"))
    }

    /// A call that only asks; `answer` for what is there.
    fn ask(&mut self, start: Id, name: &str, follow: bool) -> Answer {
        match self.walk(start, name, follow) {
            Walked::Beyond => None,
            Walked::Stuck { error, .. } => Some(error),
            Walked::Missing { path, .. } => {
                self.tree.must("probe-", &path);
                Some("ENOENT")
            }
            Walked::Found { path, .. } => {
                self.tree.must("probe+", &path);
                Some("ok")
            }
        }
    }

    fn stat(&mut self) -> (String, Answer, bool) {
        let (from, start) = self.start();
        let name = self.name(false);
        let follow = self.dice.roll(2) == 0;
        let flag = if follow { "0" } else { "AT_SYMLINK_NOFOLLOW" };
        let call = match self.dice.roll(3) {
            0 => format!("newfstatat {from} :{name} &buf {flag}"),
            1 => format!("statx {from} :{name} {flag} STATX_ALL &buf"),
            _ => format!("faccessat2 {from} :{name} F_OK {flag}"),
        };
        (call, self.ask(start, &name, follow), false)
    }

    fn readlink(&mut self) -> (String, Answer, bool) {
        let (from, start) = self.start();
        let name = self.name(false);
        let answer = match self.walk(start, &name, false) {
            Walked::Found { id, path, .. } => {
                let link = self.tree.is_link(id);
                self.tree.must(if link { "link" } else { "probe+" }, &path);
                Some(if link { "ok" } else { "EINVAL" })
            }
            _ => self.ask(start, &name, false),
        };
        (format!("readlinkat {from} :{name} &buf 100"), answer, false)
    }

    /// A call that makes a new name, and needs it absent.
    fn make(&mut self, start: Id, name: &str) -> Result<(Id, String), Answer> {
        match self.walk(start, name, false) {
            Walked::Beyond => Err(None),
            Walked::Stuck { error, .. } => Err(Some(error)),
            Walked::Found { path, .. } => {
                self.tree.must("probe+", &path);
                Err(Some("EEXIST"))
            }
            Walked::Missing { dir, name, path } => {
                self.tree.must("write", &path);
                Ok((dir, name))
            }
        }
    }

    fn mkdir(&mut self) -> (String, Answer, bool) {
        let (from, start) = self.start();
        let name = self.name(true);
        let answer = match self.make(start, &name) {
            Ok((dir, name)) => {
                self.tree.add_dir(dir, &name);
                Some("ok")
            }
            Err(answer) => answer,
        };
        (format!("mkdirat {from} :{name} 0755"), answer, false)
    }

    fn symlink(&mut self) -> (String, Answer, bool) {
        let (from, start) = self.start();
        let (name, text) = (self.name(true), self.name(true));
        let answer = match self.make(start, &name) {
            Ok((dir, name)) => {
                self.tree.add_link(dir, &name, &text);
                Some("ok")
            }
            Err(answer) => answer,
        };
        (format!("symlinkat :{text} {from} :{name}"), answer, false)
    }

    fn unlink(&mut self) -> (String, Answer, bool) {
        let (from, start) = self.start();
        let name = self.name(true);
        let rmdir = self.dice.roll(2) == 0;
        let answer = match self.walk(start, &name, false) {
            Walked::Found { id, path, at: Some((dir, entry)) } => {
                let in_use = self.tree.cwd == id || self.held.iter().any(|&(_, held)| held == id);
                match (rmdir, self.tree.is_dir(id)) {
                    (true, true) if in_use && self.tree.is_empty(id) => None,
                    (true, true) if !self.tree.is_empty(id) => {
                        self.tree.must("probe+", &path);
                        Some("ENOTEMPTY")
                    }
                    (false, true) => {
                        self.tree.must("probe+", &path);
                        Some("EISDIR")
                    }
                    (true, false) => {
                        self.tree.may("probe+", &path);
                        self.tree.may("probe-", &path);
                        Some("ENOTDIR")
                    }
                    _ => {
                        self.tree.detach(dir, &entry);
                        self.tree.must("delete", &path);
                        Some("ok")
                    }
                }
            }
            Walked::Found { .. } => None,
            _ => self.ask(start, &name, false),
        };
        let flag = if rmdir { "AT_REMOVEDIR" } else { "0" };
        (format!("unlinkat {from} :{name} {flag}"), answer, false)
    }

    /// Walks the second name of a call that already fails by the first: the kernel may not have
    /// looked at all.
    fn glance(&mut self, start: Id, name: &str, answer: Answer) -> Answer {
        let mut hops = Vec::new();
        match self.tree.walk(start, name, false, &mut hops) {
            Walked::Found { path, .. } => self.tree.may("probe+", &path),
            Walked::Missing { path, .. } | Walked::Stuck { path, .. } => {
                self.tree.may("probe-", &path);
            }
            Walked::Beyond => return None,
        }
        for hop in hops {
            self.tree.may("link", &hop);
        }
        answer
    }

    fn link(&mut self) -> (String, Answer, bool) {
        let ((from, start), (to, goal)) = (self.start(), self.start());
        let (old, new) = (self.name(true), self.name(true));
        let call = format!("linkat {from} :{old} {to} :{new} 0");
        let (id, path) = match self.walk(start, &old, false) {
            Walked::Found { id, path, .. } => (id, path),
            Walked::Beyond => return (call, None, false),
            _ => {
                let answer = self.ask(start, &old, false);
                return (call, self.glance(goal, &new, answer), false);
            }
        };
        let answer = match self.walk(goal, &new, false) {
            Walked::Beyond => None,
            Walked::Stuck { error, .. } => {
                self.tree.may("probe+", &path);
                Some(error)
            }
            Walked::Found { path: other, .. } => {
                self.tree.may("probe+", &path);
                self.tree.must("probe+", &other);
                Some("EEXIST")
            }
            Walked::Missing { path: other, .. } if self.tree.is_dir(id) => {
                self.tree.must("probe+", &path);
                self.tree.may("probe-", &other);
                Some("EPERM")
            }
            Walked::Missing { dir, name, path: other } => {
                self.tree.attach(dir, &name, id);
                self.linked.insert(id);
                self.tree.must("read", &path);
                self.tree.must("write", &other);
                Some("ok")
            }
        };
        (call, answer, false)
    }

    fn rename(&mut self) -> (String, Answer, bool) {
        let ((from, start), (to, goal)) = (self.start(), self.start());
        let (old, new) = (self.name(true), self.name(true));
        let flags = self.dice.pick(self.renames);
        let call = format!("renameat2 {from} :{old} {to} :{new} {flags}");
        (call, self.renamed(start, &old, goal, &new, flags), false)
    }

    fn renamed(&mut self, start: Id, old: &str, goal: Id, new: &str, flags: &str) -> Answer {
        // Both directories are looked up before either name.
        let source = self.walk(start, old, false);
        if let Walked::Stuck { error, .. } = source {
            return self.glance(goal, new, Some(error));
        }
        let target = self.walk(goal, new, false);
        let (id, path, dir, name) = match (source, &target) {
            (Walked::Beyond, _) | (_, Walked::Beyond) => return None,
            (
                Walked::Found { path, .. } | Walked::Missing { path, .. },
                Walked::Stuck { error, .. },
            ) => {
                self.tree.may("probe+", &path);
                self.tree.may("probe-", &path);
                return Some(error);
            }
            (Walked::Missing { path, .. }, _) => {
                self.tree.must("probe-", &path);
                return self.glance(goal, new, Some("ENOENT"));
            }
            (Walked::Found { id, path, at: Some((dir, name)) }, _) => (id, path, dir, name),
            _ => return None,
        };
        let is_dir = self.tree.is_dir(id);
        let (into, as_name, other, replaced) = match target {
            Walked::Missing { dir, name, path } => (dir, name, path, None),
            Walked::Found { id, path, at: Some((dir, name)) } => (dir, name, path, Some(id)),
            _ => return None,
        };
        let exchange = flags == "RENAME_EXCHANGE";
        let error = match replaced {
            Some(_) if flags == "RENAME_NOREPLACE" => Some("EEXIST"),
            None if exchange => Some("ENOENT"),
            // A directory into itself; or over one that holds it.
            _ if is_dir && self.tree.holds(id, into) => Some("EINVAL"),
            Some(r) if self.tree.is_dir(r) && self.tree.holds(r, dir) => {
                Some(if exchange { "EINVAL" } else { "ENOTEMPTY" })
            }
            // Two names of one file: nothing is done, and what that is the rules leave open.
            Some(r) if r == id => return None,
            _ if exchange => None,
            Some(r) if is_dir && !self.tree.is_dir(r) => Some("ENOTDIR"),
            Some(r) if !is_dir && self.tree.is_dir(r) => Some("EISDIR"),
            Some(r) if is_dir && !self.tree.is_empty(r) => Some("ENOTEMPTY"),
            _ => None,
        };
        if let Some(error) = error {
            self.tree.may("probe+", &path);
            match (replaced, error) {
                (Some(_), "EEXIST") => self.tree.must("probe+", &other),
                (Some(_), _) => self.tree.may("probe+", &other),
                (None, "ENOENT") => self.tree.must("probe-", &other),
                (None, _) => self.tree.may("probe-", &other),
            }
            return Some(error);
        }
        if let Some(r) = replaced
            && !exchange
            && self.tree.is_dir(r)
            && (self.tree.cwd == r || self.held.iter().any(|&(_, held)| held == r))
        {
            return None;
        }
        let moved = self.tree.below(id);
        let back = replaced.filter(|_| exchange).map(|r| self.tree.below(r)).unwrap_or_default();
        self.tree.must("write", &other);
        for rest in &moved {
            self.tree.must("write", &format!("{other}{rest}"));
            let kept = back.contains(rest);
            let gone = format!("{path}{rest}");
            if kept { self.tree.may("delete", &gone) } else { self.tree.must("delete", &gone) }
        }
        self.tree.detach(dir, &name);
        self.tree.detach(into, &as_name);
        self.tree.attach(into, &as_name, id);
        if let (true, Some(r)) = (exchange, replaced) {
            self.tree.attach(dir, &name, r);
            self.tree.must("write", &path);
            self.tree.may("delete", &path);
            self.tree.may("delete", &other);
            for rest in &back {
                self.tree.must("write", &format!("{path}{rest}"));
                let gone = format!("{other}{rest}");
                if moved.contains(rest) {
                    self.tree.may("delete", &gone);
                } else {
                    self.tree.must("delete", &gone);
                }
            }
        } else {
            self.tree.must("delete", &path);
        }
        Some("ok")
    }

    fn metadata(&mut self) -> (String, Answer, bool) {
        let name = self.name(false);
        let (from, start) = self.start();
        match self.dice.roll(3) {
            0 => {
                let answer = match self.walk(self.tree.cwd, &name, true) {
                    Walked::Found { id, path, .. } => {
                        let dir = self.tree.is_dir(id);
                        self.tree.must(if dir { "probe+" } else { "write" }, &path);
                        Some(if dir { "EISDIR" } else { "ok" })
                    }
                    _ => self.ask(self.tree.cwd, &name, true),
                };
                (format!("truncate :{name} 3"), answer, false)
            }
            kind => {
                let answer = match self.walk(start, &name, true) {
                    Walked::Found { path, .. } => {
                        self.tree.must("write", &path);
                        Some("ok")
                    }
                    _ => self.ask(start, &name, true),
                };
                let call = match kind {
                    1 => format!("fchmodat {from} :{name} 0755"),
                    _ => format!("utimensat {from} :{name} &times 0"),
                };
                (call, answer, false)
            }
        }
    }

    /// Changes the directory, or opens one and keeps it.
    fn chdir_or_hold(&mut self) -> (String, Answer, bool) {
        let name = self.name(false);
        let hold = self.held.len() < 4 && self.dice.roll(2) == 0;
        let label = char::from(b'p' + self.held.len() as u8);
        let start = self.tree.cwd;
        let call = match hold {
            true => format!("{label}: openat AT_FDCWD :{name} O_PATH|O_DIRECTORY"),
            false => format!("chdir :{name}"),
        };
        let answer = match self.walk(start, &name, true) {
            Walked::Found { id, path, .. } if self.tree.is_dir(id) => {
                self.tree.must("probe+", &path);
                if hold {
                    self.held.push((label, id));
                } else {
                    self.tree.cwd = id;
                }
                Some("ok")
            }
            Walked::Found { path, .. } => {
                self.tree.may("probe+", &path);
                self.tree.may("probe-", &path);
                Some("ENOTDIR")
            }
            _ => self.ask(start, &name, true),
        };
        debug_assert!(self.tree.is_dir(ROOT));
        (call, answer, false)
    }
}
