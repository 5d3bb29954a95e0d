use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Files<'a> = BTreeMap<&'a str, &'a str>;

fn read(files: &Files<'_>) -> Result<Manifest, ManifestError> {
    let mut reader = |name: &[u8]| {
        let name = std::str::from_utf8(name).unwrap();
        files
            .get(name)
            .map(|text| text.as_bytes().to_vec())
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    };
    let limits = Limits { files: 100, depth: 10, bytes: 1 << 20, value: 1 << 16 };
    Manifest::read(b"build.ninja", &mut reader, limits)
}

fn manifest(text: &str) -> Manifest {
    read(&Files::from([("build.ninja", text)])).unwrap()
}

fn commands(manifest: &Manifest) -> Vec<String> {
    let edges = manifest.edges.iter().filter(|edge| !edge.is_phony());
    edges.map(|edge| String::from_utf8(manifest.command(edge).unwrap()).unwrap()).collect()
}

fn names(manifest: &Manifest, ids: &[PathId]) -> Vec<String> {
    let text = |id: &PathId| String::from_utf8(manifest.name(*id).to_vec()).unwrap();
    ids.iter().map(text).collect()
}

fn fails(text: &str) -> String {
    read(&Files::from([("build.ninja", text)])).unwrap_err().to_string()
}

#[test]
fn an_edge_has_all_kinds_of_names() {
    let manifest = manifest(
        "rule r\n  command = run $in > $out\n\
         build a b | c: r d e | f || g $\n    h |@ i\n\
         build all: phony a\n",
    );
    let [edge, all] = manifest.edges.as_slice() else { panic!("two edges") };
    assert_eq!(names(&manifest, &edge.outputs), ["a", "b", "c"]);
    assert_eq!(names(&manifest, edge.inputs()), ["d", "e", "f"]);
    assert_eq!(names(&manifest, edge.order_only()), ["g", "h"]);
    assert_eq!(commands(&manifest), ["run d e > a b"]);
    assert_eq!((edge.line, all.line, all.is_phony()), (3, 5, true));
}

#[test]
fn lines_are_those_of_the_word_build() {
    let text = "# one\n\nrule r\n  command = x\n\n\n# more\nbuild a: r $\n  b\n  v = $\n   1\nbuild c: r\n";
    let lines: Vec<u32> = manifest(text).edges.iter().map(|edge| edge.line).collect();
    assert_eq!(lines, [8, 12]);
}

#[test]
fn names_are_quoted_for_the_shell_in_commands_alone() {
    let manifest = manifest(
        "rule r\n  command = cat $in > $out\n  depfile = $out.d\n\
         build o$ 1 $$x: r it's ./a//b/../c\n",
    );
    assert_eq!(commands(&manifest), ["cat 'it'\\''s' a/c > 'o 1' '$x'"]);
    let depfile = manifest.binding(&manifest.edges[0], b"depfile", Quoting::None).unwrap();
    assert_eq!(depfile, b"o 1 $x.d");
}

#[test]
fn in_newline_has_one_name_a_line() {
    let manifest = manifest(
        "rule r\n  command = x\n  rspfile = f\n  rspfile_content = $in_newline\nbuild a: r b c d\n",
    );
    let content = manifest.binding(&manifest.edges[0], b"rspfile_content", Quoting::Shell);
    assert_eq!(content.unwrap(), b"b\nc\nd");
}

#[test]
fn variables_of_a_rule_get_their_value_last() {
    let manifest = manifest(
        "x = 1\ny = <$x>\nrule r\n  command = $x $y $z ${description}\n  description = d$x\n\
         build a: r\n\
         build b: r\n  z = $x\n  y = own$y\n\
         x = 2\n",
    );
    assert_eq!(commands(&manifest), ["2 <1>  d2", "2 own<1> 1 d2"]);
}

#[test]
fn a_file_hides_a_rule_from_edges_without_variables() {
    let manifest = manifest(
        "rule r\n  command = x $description\n  description = rule\n\
         description = file\nbuild a: r\nbuild b: r\n  other = 1\n",
    );
    assert_eq!(commands(&manifest), ["x file", "x rule"]);
}

#[test]
fn subninja_has_its_own_scope_and_include_has_none() {
    let files = Files::from([
        ("build.ninja", "x = 1\nrule r\n  command = $x\ninclude i\nsubninja s\nbuild a: r\n"),
        ("i", "x = 2\nrule i\n  command = i$x\nbuild b: i\n"),
        ("s", "x = 3\nrule r\n  command = s$x\nbuild c: r\nbuild d: i\nbuild e: phony\n"),
    ]);
    let manifest = read(&files).unwrap();
    assert_eq!(commands(&manifest), ["i2", "s3", "i3", "2"]);
    let places: Vec<(u32, u32)> = manifest.edges.iter().map(|e| (e.file, e.line)).collect();
    assert_eq!(places, [(1, 4), (2, 4), (2, 5), (2, 6), (0, 6)]);
}

#[test]
fn a_rule_of_a_subninja_is_not_known_outside() {
    let files = Files::from([
        ("build.ninja", "subninja s\nbuild a: r\n"),
        ("s", "rule r\n  command = x\n"),
    ]);
    assert_eq!(read(&files).unwrap_err().to_string(), "build.ninja:2: there is no rule `r`");
}

#[test]
fn the_first_edge_of_an_output_wins() {
    let manifest = manifest(
        "rule r\n  command = x $out\nbuild a: r\nbuild a | b: r\nbuild a b: r\nbuild c a: r\n",
    );
    assert_eq!(commands(&manifest), ["x a", "x ", "x c"]);
}

#[test]
fn a_phony_edge_forgets_itself() {
    let manifest = manifest("build a: phony a b || c\nbuild d: phony | d\n");
    assert_eq!(names(&manifest, manifest.edges[0].inputs()), ["b"]);
    assert_eq!(names(&manifest, manifest.edges[0].order_only()), ["c"]);
    assert_eq!(names(&manifest, manifest.edges[1].inputs()), ["d"]);
}

#[test]
fn line_ends_of_windows_are_line_ends() {
    let manifest =
        manifest("rule r\r\n  command = a $\r\n    b\r\n\r\n# x\r\nbuild a: r $\r\n  b\r\n");
    assert_eq!(commands(&manifest), ["a b"]);
    assert_eq!(names(&manifest, manifest.edges[0].inputs()), ["b"]);
}

#[test]
fn errors_name_file_and_line() {
    for (text, expected) in [
        ("\nbuild a: r\n", "build.ninja:2: there is no rule `r`"),
        ("x = $!\n", "build.ninja:1: a `$` that is no escape (a literal `$` is written `$$`)"),
        ("build a\n", "build.ninja:1: expected `:`, got the end of the line"),
        ("build : phony\n", "build.ninja:1: expected the name of an output"),
        ("build $x: phony\n", "build.ninja:1: the name of a file is empty"),
        ("rule r\n  x = 1\n", "build.ninja:2: `x` is no variable of a rule"),
        ("rule r\n\n", "build.ninja:1: a rule without `command =`"),
        (
            "rule r\n  command = a\nrule r\n  command = b\n",
            "build.ninja:3: there is a rule `r` already",
        ),
        ("  x = 1\n", "build.ninja:1: unexpected an indented line"),
        ("x\n", "build.ninja:1: expected `=`, got the end of the line"),
        ("include x\n", "build.ninja:1: can't read x: no such file"),
        ("include build.ninja\n", "build.ninja:1: files include one another too deeply"),
        ("pool p\n  x = 1\n", "build.ninja:2: `x` is no variable of a pool"),
        ("build a: phony\n  pool = p\n", "build.ninja:1: there is no pool `p`"),
        ("default\n", "build.ninja:1: expected the name of a target"),
        ("x = 1", "build.ninja:1: the file ends within a line"),
    ] {
        assert_eq!(fails(text), expected, "{text:?}");
    }
}

#[test]
fn a_variable_that_refers_to_itself_is_an_error() {
    let manifest = manifest(
        "rule r\n  command = $depfile $depfile\n  depfile = $description\n  description = $depfile\n\
         rule s\n  command = $depfile $depfile\n  depfile = x\n\
         build a: r\nbuild b: s\n",
    );
    let error = manifest.command(&manifest.edges[0]).unwrap_err();
    assert_eq!(error, "the variable `depfile` of a rule refers to itself");
    assert_eq!(manifest.command(&manifest.edges[1]).unwrap(), b"x x");
}

#[test]
fn values_that_double_each_other_are_bounded() {
    let doubling = format!("x = abcdefgh\n{}", "x = $x$x\n".repeat(60));
    assert_eq!(fails(&doubling), "build.ninja:15: a value that is too long");

    let spend = format!("x = {}\n{}", "a".repeat(60_000), "y = $x\n".repeat(30));
    assert!(fails(&spend).ends_with("more text than Airtight reads"), "{}", fails(&spend));

    // Each variable of the rule refers eight times to the next; the last is empty.
    let names = [
        "command",
        "depfile",
        "deps",
        "description",
        "dyndep",
        "generator",
        "msvc_deps_prefix",
        "restat",
        "rspfile",
        "rspfile_content",
    ];
    let mut text = "rule r\n".to_owned();
    for pair in names.windows(2) {
        text += &format!("  {} = {}\n", pair[0], format!("${}", pair[1]).repeat(8));
    }
    let manifest = manifest(&(text + "build a: r\n"));
    let error = manifest.command(&manifest.edges[0]).unwrap_err();
    assert_eq!(error, "a value with too many variables in it");
}

#[test]
fn dyndep_files_name_more_inputs_and_outputs() {
    let text =
        "ninja_dyndep_version = 1\nbuild a | ./b: dyndep | c d\n  restat = 1\nbuild e: dyndep\n";
    let expected = |of: &str, outputs: &[&str], inputs: &[&str]| {
        let bytes = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        dyndep::Dyndep { of: of.into(), outputs: bytes(outputs), inputs: bytes(inputs) }
    };
    assert_eq!(
        dyndep::read(b"dd", text.as_bytes()),
        Ok(vec![expected("a", &["b"], &["c", "d"]), expected("e", &[], &[])])
    );
    let error = dyndep::read(b"dd", b"ninja_dyndep_version = 1\nbuild a: r\n").unwrap_err();
    assert_eq!(error.to_string(), "dd:2: expected the rule `dyndep`");
}

/// A manifest of words that mean something, so that most of it is read.
fn any_manifest() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "build ",
        "rule ",
        "r",
        "phony",
        ": ",
        "\n",
        "\n  ",
        "command = ",
        "$in",
        "$out",
        "${x}",
        "x = ",
        "$x",
        "a",
        "b ",
        " | ",
        " || ",
        " |@ ",
        "$\n",
        "$ ",
        "$$",
        "include i\n",
        "subninja i\n",
        "default a\n",
        "pool p\n  depth = 1\n",
        "# c\n",
        "../",
        "dyndep = a\n",
        "'",
        "rule r\n  command = $in $out $x\n",
        "build a: r b\n",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_its_place(text in any_manifest(), inner in any_manifest()) {
        let files = Files::from([("build.ninja", text.as_str()), ("i", inner.as_str())]);
        match read(&files) {
            Ok(manifest) => {
                for edge in &manifest.edges {
                    prop_assert!(!edge.outputs.is_empty());
                    prop_assert!((edge.file as usize) < manifest.files.len());
                    // Fails at most on a rule that refers to itself.
                    let _ = manifest.command(edge);
                }
            }
            Err(error) => {
                let text = files.get(error.file.as_str()).unwrap();
                prop_assert!((1..=text.matches('\n').count() as u32 + 1).contains(&error.line));
            }
        }
    }

    #[test]
    fn names_come_back_as_they_were_written(names in prop::collection::vec("[a-z $:|'é]{1,8}", 1..5)) {
        let escape = |name: &String| {
            name.chars().map(|c| if "$ :".contains(c) { format!("${c}") } else { c.to_string() })
                .collect::<String>()
        };
        // A `|` can't be written in a name.
        let names: Vec<String> = names.iter().map(|name| name.replace('|', "-")).collect();
        let inputs: Vec<String> = names.iter().map(escape).collect();
        let manifest = manifest(&format!("build out: phony {}\n", inputs.join(" ")));
        prop_assert_eq!(super::tests::names(&manifest, manifest.edges[0].inputs()), names);
    }
}
