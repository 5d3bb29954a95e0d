//! What make prints, and anything else.

use crate::adapter::make::database::{Database, File, Recipe, parse};
use proptest::prelude::*;
use std::fs;
use std::process::Command;

fn file<'a>(database: &'a Database, name: &str) -> &'a File {
    let found = database.files.iter().find(|file| file.name == name.as_bytes());
    found.unwrap_or_else(|| panic!("no {name} in {database:#?}"))
}

fn texts(names: &[Vec<u8>]) -> Vec<&str> {
    names.iter().map(|name| std::str::from_utf8(name).expect("UTF-8")).collect()
}

/// What the make of this machine prints of a makefile.
fn ask(makefile: &str, files: &[&str]) -> Database {
    let root = tempfile::tempdir().expect("a directory");
    fs::write(root.path().join("Makefile"), makefile).expect("written");
    for name in files {
        fs::write(root.path().join(name), "").expect("written");
    }
    let mut command = Command::new("make");
    let command = command.args(["-pqk"]).current_dir(root.path()).env("LANGUAGE", "C");
    parse(&command.output().expect("make runs").stdout)
}

#[test]
fn rules_of_every_kind() {
    let database = ask(
        ".PHONY: all\n\
         all: a.o one two st.x dc none\n\
         a.o: h | dir other\n\
         a.o: CFLAGS += -O2\n\
         one two &: h\n\ttouch one two\n\
         st.x: %.x: %.in ; cp $< $@\n\
         dc:: h ; first\n\
         dc:: a.c\n\t@second \\\n  continued\n\n\t-third\n\
         none: h ;\n\
         dir other:\n\tmkdir $@\n",
        &["a.c", "h", "st.in"],
    );
    assert_eq!(database.version.map(|version| version.0), Some(4));
    assert_eq!(texts(&database.makefiles), ["Makefile"]);
    let all = file(&database, "all");
    assert!(all.phony && all.absent && all.is_target && all.recipe.is_none());
    assert_eq!(texts(&all.inputs), ["a.o", "one", "two", "st.x", "dc", "none"]);
    let object = file(&database, "a.o");
    assert_eq!(texts(&object.inputs), ["a.c", "h"]);
    assert_eq!(texts(&object.order_only), ["dir", "other"]);
    let recipe = object.recipe.as_ref().expect("a recipe");
    assert_eq!((&recipe.file, recipe.line), (&None, 0));
    assert!(texts(&file(&database, "one").also_makes).contains(&"two"));
    assert_eq!(texts(&file(&database, "st.x").inputs), ["st.in"]);
    let double: Vec<_> = database.files.iter().filter(|file| file.name == b"dc").collect();
    assert!(double.iter().all(|file| file.double_colon));
    let recipes: Vec<&Recipe> = double.iter().filter_map(|file| file.recipe.as_ref()).collect();
    assert_eq!(recipes[0].text, b" first");
    assert_eq!(recipes[0].file.as_deref(), Some(b"Makefile".as_slice()));
    assert_eq!(recipes[0].line, 8);
    assert_eq!(recipes[1].text, b"@second \\\n  continued\n-third");
    let none = file(&database, "none").recipe.as_ref().expect("an empty recipe");
    assert!(none.text.trim_ascii().is_empty());
    assert!(!file(&database, "h").is_target);
}

#[test]
fn a_name_may_hold_anything_but_a_line_break() {
    let database = ask(
        "all: out\\ x d$$r a\\:b 'q' ü\nout\\ x: sp\\ ace plain ; cp 'sp ace' 'out x'\n\
         d$$r: co\\:l ; x\na\\:b: h ; x\n'q': ; x\nü: ; x\n",
        &["sp ace", "plain", "co:l", "h"],
    );
    assert_eq!(texts(&file(&database, "all").inputs), ["out x", "d$r", "a:b", "'q'", "ü"]);
    assert_eq!(texts(&file(&database, "out x").inputs), ["sp ace", "plain"]);
    assert_eq!(texts(&file(&database, "d$r").inputs), ["co:l"]);
    assert_eq!(texts(&file(&database, "a:b").inputs), ["h"]);
}

#[test]
fn values_of_variables_are_no_files() {
    let database = ask(
        "define TEXT\n# Files\n\nfake: x\n#  Phony target (prerequisite of .PHONY).\nendef\n\
         all: ; $(TEXT)\n.RECIPEPREFIX = >\nb: a\n> echo one\n> echo two\nb: V = 1\n",
        &["a"],
    );
    assert!(database.files.iter().all(|file| file.name != b"fake"));
    let recipe = file(&database, "b").recipe.as_ref().expect("a recipe");
    assert_eq!(recipe.text.trim_ascii(), b"echo one\n echo two");
    assert_eq!(database.files.iter().filter(|file| file.name == b"b").count(), 1);
}

#[test]
fn depfiles_show_as_further_prerequisites() {
    let database = ask("a.o: a.c h ; cc\n-include a.d\n", &["a.c", "h", "k", "a.d"]);
    assert_eq!(texts(&database.makefiles), ["Makefile", "a.d"]);
    assert_eq!(texts(&file(&database, "a.o").inputs), ["a.c", "h"]);
}

#[test]
fn what_is_no_data_base_has_nothing() {
    for text in ["", "# Files", "make: *** No rule.  Stop.\n", "a: b\n#  Phony target\n"] {
        assert_eq!(parse(text.as_bytes()), Database::default(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..2000)) {
        parse(&text);
        parse(&[b"# Files\n".as_slice(), &text].concat());
    }

    /// What is written as make writes it is read as it was.
    #[test]
    fn entries_are_read_back(entries in prop::collection::btree_map(
        "[a-z][a-z0-9./:$ '()-]{0,9}[a-z]",
        (prop::collection::vec("[a-z][a-z0-9./]{0,9}", 0..4), any::<bool>(), any::<bool>()),
        0..6,
    )) {
        prop_assume!(entries.keys().all(|name| !name.contains(": ")));
        let mut text = b"# GNU Make 4.3\n# Files\n".to_vec();
        for (name, (inputs, phony, recipe)) in &entries {
            let inputs: Vec<_> = inputs.iter().filter(|i| !entries.contains_key(*i)).collect();
            text.extend(format!("\n{name}:").bytes());
            inputs.iter().for_each(|input| text.extend(format!(" {input}").bytes()));
            let phony = if *phony { "#  Phony target (prerequisite of .PHONY).\n" } else { "" };
            text.extend(format!("\n{phony}#  Implicit rule search has not been done.\n").bytes());
            if *recipe {
                text.extend(b"#  recipe to execute (from 'a'b', line 7):\n\techo\n");
            }
        }
        let database = parse(&text);
        prop_assert_eq!(database.files.len(), entries.len());
        for (file, (name, (_, phony, recipe))) in database.files.iter().zip(&entries) {
            prop_assert_eq!(&file.name, name.as_bytes());
            prop_assert_eq!(file.phony, *phony);
            let read = file.recipe.as_ref();
            prop_assert_eq!(read.is_some(), *recipe);
            let good = |recipe: &Recipe| {
                recipe.file.as_deref() == Some(b"a'b") && recipe.line == 7 && recipe.text == b"echo"
            };
            prop_assert!(read.is_none_or(good));
        }
    }
}
