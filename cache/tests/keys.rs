//! Keys: the vectors of docs/keys.md, and what changes a key and what does not.

use airtight_cache::Digest;
use airtight_cache::key::{Action, ActionSpec, Look, NotCacheable, PathSet, State, Wanted};
use airtight_policy::{Declaration, Dependency, Judge, Need, Pattern, Policy, Seen};
use airtight_recording::Stamp;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Hashes without a digest cache.
fn hash(path: &Path, _: &fs::Metadata) -> io::Result<(Digest, Stamp)> {
    let file = fs::File::open(path)?;
    let stamp = airtight_cache::file_digests::stamp_of(&file.metadata()?);
    Ok((airtight_cache::digest::digest_of(file)?, stamp))
}

/// A workspace in a directory of its own.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Result<World> {
        let world = World { directory: tempfile::tempdir()? };
        world.write("src/a.c", "#include \"b.h\"\n")?;
        world.write("include/b.h", "#define B 1\n")?;
        fs::create_dir_all(world.root().join("build"))?;
        Ok(world)
    }

    fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.root().join(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, text)
    }

    fn declaration(&self) -> Declaration {
        Declaration {
            workspace: self.root().as_os_str().as_bytes().to_vec(),
            cwd: self.root().join("build").as_os_str().as_bytes().to_vec(),
            files: vec![b"../src/a.c".to_vec()],
            directories: vec![b"../include".to_vec()],
            outputs: vec![b"a.o".to_vec(), b"../gen".to_vec()],
            ..Declaration::default()
        }
    }

    fn action(&self, declaration: &Declaration, change: impl FnOnce(&mut Parts)) -> Result<Action> {
        let mut parts = Parts {
            argv: ["cc", "-c", "../src/a.c"].map(OsString::from).to_vec(),
            environment: vec![("LANG".into(), "C".into())],
            passthrough: vec!["HOME".into()],
            policy: Digest::of(b"policy"),
            unsafe_options: vec![],
            properties: vec![],
        };
        change(&mut parts);
        let policy = Policy::default();
        let judge = Judge::new(declaration, &policy);
        let spec = ActionSpec {
            argv: &parts.argv,
            environment: &parts.environment,
            shown: &[],
            passthrough: &parts.passthrough,
            workspace: &self.root(),
            cwd: &self.root().join("build"),
            policy: parts.policy,
            unsafe_options: &parts.unsafe_options,
            properties: &parts.properties,
        };
        Ok(Action::new(&spec, &judge, &hash)?)
    }

    fn weak(&self) -> Result<String> {
        Ok(self.action(&self.declaration(), |_| {})?.weak().to_string())
    }
}

struct Parts {
    argv: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    passthrough: Vec<String>,
    policy: Digest,
    unsafe_options: Vec<&'static str>,
    properties: Vec<(String, String)>,
}

fn dependency(path: impl AsRef<Path>, need: Need) -> Dependency {
    let path = path.as_ref().as_os_str().as_bytes().to_vec();
    Dependency { path, need, seen: Seen::Nothing }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The vectors that docs/keys.md prints.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_vectors_of_the_document_hold() -> Result<()> {
    let world = World::new()?;
    let action = world.action(&world.declaration(), |_| {})?;
    let dependencies = [
        dependency(world.root().join("include/b.h"), Need::Content),
        dependency(world.root().join("include/absent.h"), Need::Absent),
        dependency(world.root().join("include"), Need::Members),
        dependency("/no/such/file", Need::Absent),
    ];
    let set = PathSet::new(&dependencies, &world.root(), false);
    let (policy, declaration) = (Policy::default(), world.declaration());
    let judge = Judge::new(&declaration, &policy);
    let root = world.root();
    let states = Look::new(&root, &judge, &hash).states(&set);
    let digest = Digest::of(&set.encode());
    let strong = action.strong(&digest, &states.digest);
    let told = format!(
        "input root  {}\ncommand     {}\nweak key    {}\npath set    {}\n            {}\n\
         state       {}\nstrong key  {}\n",
        action.input_root(),
        action.command().digest(),
        action.weak(),
        hex(&set.encode()),
        digest,
        states.digest,
        strong.digest(),
    );
    let document = include_str!("../../docs/keys.md");
    assert!(document.contains(&told), "docs/keys.md lacks:\n{told}");
    Ok(())
}

#[test]
fn two_workspaces_have_the_same_key() -> Result<()> {
    assert_eq!(World::new()?.weak()?, World::new()?.weak()?);
    Ok(())
}

#[test]
fn what_an_earlier_run_left_changes_nothing() -> Result<()> {
    let world = World::new()?;
    let before = world.weak()?;
    world.write("build/a.o", "old")?;
    world.write("gen/deep/x.c", "old")?;
    assert_eq!(world.weak()?, before);
    let mut wide = world.declaration();
    wide.directories = vec![b"..".to_vec()];
    let clean = World::new()?;
    let mut same = clean.declaration();
    same.directories.clone_from(&wide.directories);
    assert_eq!(
        world.action(&wide, |_| {})?.weak(),
        clean.action(&same, |_| {})?.weak(),
        "outputs within a declared directory are no inputs"
    );
    Ok(())
}

#[test]
fn every_part_of_an_action_is_in_the_weak_key() -> Result<()> {
    let world = World::new()?;
    let declaration = world.declaration();
    let mut seen = vec![world.weak()?];
    let mut differs = |what: &str, weak: String| {
        assert!(!seen.contains(&weak), "{what} does not change the key");
        seen.push(weak);
    };
    let key = |change: fn(&mut Parts)| -> Result<String> {
        Ok(world.action(&declaration, change)?.weak().to_string())
    };
    differs("an argument", key(|parts| parts.argv.push("-O2".into()))?);
    differs("the value of a variable", key(|parts| parts.environment[0].1 = "de".into())?);
    differs("another variable", key(|parts| parts.environment.push(("TZ".into(), "".into())))?);
    differs("a variable passed through", key(|parts| parts.passthrough.push("USER".into()))?);
    differs("the policy", key(|parts| parts.policy = Digest::of(b"other"))?);
    differs("an unsafe option", key(|parts| parts.unsafe_options.push("allow-io-uring"))?);
    differs("a property", key(|parts| parts.properties.push(("p".into(), "1".into())))?);
    let mut other = declaration.clone();
    other.outputs.pop();
    differs("an output", world.action(&other, |_| {})?.weak().to_string());
    fs::set_permissions(world.root().join("src/a.c"), fs::Permissions::from_mode(0o755))?;
    differs("an executable input", world.weak()?);
    world.write("src/a.c", "other\n")?;
    differs("the content of an input", world.weak()?);
    world.write("include/new.h", "")?;
    differs("a new file in a directory", world.weak()?);
    symlink("b.h", world.root().join("include/link.h"))?;
    differs("a link", world.weak()?);
    fs::remove_file(world.root().join("include/link.h"))?;
    symlink("new.h", world.root().join("include/link.h"))?;
    differs("where a link leads", world.weak()?);
    fs::create_dir(world.root().join("include/empty"))?;
    differs("an empty directory", world.weak()?);
    Ok(())
}

#[test]
fn globs_are_inputs_as_they_match_now() -> Result<()> {
    let world = World::new()?;
    let mut declaration = world.declaration();
    declaration.globs = vec![Pattern::new("../src/**/*.c")?];
    let before = world.action(&declaration, |_| {})?.weak();
    world.write("src/deep/x.h", "no match")?;
    assert_eq!(world.action(&declaration, |_| {})?.weak(), before);
    world.write("src/deep/x.c", "match")?;
    assert_ne!(world.action(&declaration, |_| {})?.weak(), before);
    Ok(())
}

#[test]
fn what_can_have_no_key_says_why() -> Result<()> {
    let world = World::new()?;
    let refused = |change: fn(&mut Declaration)| {
        let mut declaration = world.declaration();
        change(&mut declaration);
        let error = world.action(&declaration, |_| {}).err().map(|error| error.to_string());
        error.map(|error| error.replace(&world.root().display().to_string(), "$WORKSPACE"))
    };
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(refused(|d| d.outputs.clear()), told("no outputs are declared"));
    assert_eq!(
        refused(|d| d.outputs.push(b"/elsewhere/x".to_vec())),
        told("/elsewhere/x is outside of the workspace")
    );
    assert_eq!(
        refused(|d| d.outputs.push(b"caf\xe9".to_vec())),
        told("$WORKSPACE/build/caf\u{fffd} is not UTF-8")
    );
    let argument = world.action(&world.declaration(), |parts| {
        parts.argv.push(std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec()));
    });
    assert_eq!(argument.err().map(|error| error.to_string()), told("argument 3 is not UTF-8"));
    Ok(())
}

#[test]
fn mentions_of_the_workspace_are_told() -> Result<()> {
    let world = World::new()?;
    let include = format!("-I{}/include", world.root().display());
    let action = world.action(&world.declaration(), |parts| {
        parts.argv.push(include.clone().into());
        parts.environment.push(("X".into(), world.root().into()));
    })?;
    let expected =
        [format!("argument 3: {include}"), format!("variable X: {}", world.root().display())];
    assert_eq!(action.absolute(), expected);
    Ok(())
}

/// The present state of one path.
fn state(world: &World, path: &str, need: Need) -> State {
    let (policy, declaration) = (Policy::default(), world.declaration());
    let judge = Judge::new(&declaration, &policy);
    let root = world.root();
    let set = PathSet::new(&[dependency(root.join(path), need)], &root, false);
    Look::new(&root, &judge, &hash).states(&set).states.remove(0)
}

#[test]
fn states_are_what_is_there() -> Result<()> {
    let world = World::new()?;
    let content = State::Content(Digest::of(b"#define B 1\n"), false);
    symlink("b.h", world.root().join("include/l.h"))?;
    for (path, need, expected) in [
        ("include/b.h", Need::Content, content.clone()),
        ("include/b.h", Need::Absent, State::Present),
        ("include/b.h", Need::Type, State::Type("f")),
        ("include/l.h", Need::Type, State::Type("l")),
        ("include/l.h", Need::Link, State::Link(b"b.h".to_vec())),
        ("include/l.h", Need::Content, content),
        ("include", Need::Type, State::Type("d")),
        ("include", Need::Content, State::Type("d")),
        ("include", Need::Members, State::Members(Digest::of(b"b.h\0fl.h\0l"))),
        ("none", Need::Absent, State::Absent),
        ("none", Need::Content, State::Absent),
        ("include/b.h/x", Need::Absent, State::Absent),
        // ENOTDIR is absence as well; EINVAL is not.
        ("include/b.h", Need::Members, State::Absent),
        ("include/b.h", Need::Link, State::Error(22)),
    ] {
        assert_eq!(state(&world, path, need), expected, "{need:?} of {path}");
    }
    fs::set_permissions(world.root().join("include/b.h"), fs::Permissions::from_mode(0o755))?;
    assert_eq!(state(&world, "include/b.h", Need::Type), State::Type("fx"));
    assert!(matches!(state(&world, "include/b.h", Need::Content), State::Content(_, true)));
    Ok(())
}

#[test]
fn a_listing_leaves_out_what_the_action_makes() -> Result<()> {
    let world = World::new()?;
    let before = state(&world, "build", Need::Members);
    world.write("build/a.o", "own")?;
    world.write("build/.airtight-0123456789abcdef.0", "being restored")?;
    assert_eq!(state(&world, "build", Need::Members), before);
    world.write("build/b.o", "another's")?;
    assert_ne!(state(&world, "build", Need::Members), before);
    let above = state(&world, ".", Need::Members);
    fs::create_dir(world.root().join("gen"))?;
    assert_eq!(state(&world, ".", Need::Members), above);
    Ok(())
}

#[test]
fn the_workspace_is_in_the_key_of_what_names_it() -> Result<()> {
    let (one, other) = (World::new()?, World::new()?);
    let digest = |world: &World, names| {
        let (policy, declaration) = (Policy::default(), world.declaration());
        let judge = Judge::new(&declaration, &policy);
        let root = world.root();
        let set = PathSet::new(&[], &root, names);
        assert_eq!(set.paths().iter().any(|path| path.wanted == Wanted::Workspace), names);
        (Digest::of(&set.encode()), Look::new(&root, &judge, &hash).states(&set).digest)
    };
    assert_eq!(digest(&one, false), digest(&other, false));
    let (named, others) = (digest(&one, true), digest(&other, true));
    assert_eq!(named.0, others.0);
    assert_ne!(named.1, others.1);
    Ok(())
}

#[test]
fn an_unreadable_input_is_told() -> Result<()> {
    let world = World::new()?;
    let (policy, declaration) = (Policy::default(), world.declaration());
    let judge = Judge::new(&declaration, &policy);
    let spec = ActionSpec {
        argv: &["cc".into()],
        environment: &[],
        shown: &[],
        passthrough: &[],
        workspace: &world.root(),
        cwd: &world.root(),
        policy: policy.digest(),
        unsafe_options: &[],
        properties: &[],
    };
    let refuse = |_: &Path, _: &fs::Metadata| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    let error = Action::new(&spec, &judge, &refuse).err();
    assert!(
        matches!(&error, Some(NotCacheable::Unreadable { path, .. }) if path.ends_with("src/a.c")),
        "{error:?}"
    );
    Ok(())
}
