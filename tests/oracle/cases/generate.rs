//! Scripts and generators.

use crate::case::Case;

pub(crate) fn python() -> Case<'static> {
    Case {
        files: &[
            ("gen.py", "import table\nopen('out', 'w').write(table.TEXT)\nprint('done')\n"),
            ("base/table.py", "TEXT = open('table.txt').read().upper()\n"),
            ("table.txt", "one two\n"),
        ],
        before: "mkdir over",
        environment: &[("PYTHONPATH", "over:base")],
        run: "python3 gen.py",
        inputs: &["gen.py", "base/table.py", "table.txt"],
        outputs: &["out"],
        appearing: &[
            ("over/table.py", "echo 'TEXT = \"over\"' > over/table.py"),
            ("table.py", "echo 'TEXT = \"here\"' > table.py"),
            ("over/sitecustomize.py", "echo 'print(\"at the start\")' > over/sitecustomize.py"),
        ],
        ..Case::EMPTY
    }
}

/// A package with data of its own.
pub(crate) fn python_package() -> Case<'static> {
    Case {
        files: &[
            ("pkg/__init__.py", "LEVEL = 1\n"),
            (
                "pkg/__main__.py",
                "from importlib import resources\nfrom . import LEVEL\n\
                 data = resources.files('pkg').joinpath('data.txt').read_text()\n\
                 open('out', 'w').write(f'{LEVEL} {data}')\n",
            ),
            ("pkg/data.txt", "data\n"),
        ],
        run: "python3 -m pkg",
        inputs: &["pkg/__init__.py", "pkg/__main__.py", "pkg/data.txt"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// Modules within a zip file.
pub(crate) fn python_zip() -> Case<'static> {
    Case {
        files: &[
            ("gen.py", "import table\nopen('out', 'w').write(table.TEXT)\n"),
            ("table.py", "TEXT = 'zipped'\n"),
        ],
        before: "python3 -m zipfile -c lib.zip table.py && rm table.py",
        environment: &[("PYTHONPATH", "lib.zip")],
        run: "python3 gen.py",
        inputs: &["gen.py", "lib.zip"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// Settings that may be there.
pub(crate) fn python_settings() -> Case<'static> {
    Case {
        files: &[
            (
                "gen.py",
                "import configparser, json\nsettings = configparser.ConfigParser()\n\
                 settings.read(['base.ini', 'local.ini'])\n\
                 json.dump({s: dict(settings[s]) for s in settings}, open('out', 'w'))\n",
            ),
            ("base.ini", "[a]\nx = 1\n"),
        ],
        run: "python3 gen.py",
        inputs: &["gen.py", "base.ini"],
        outputs: &["out"],
        appearing: &[("local.ini", "printf '[a]\\nx = 2\\n' > local.ini")],
        ..Case::EMPTY
    }
}

/// A compiler of descriptions that import each other, as protoc.
pub(crate) fn descriptions() -> Case<'static> {
    Case {
        files: &[
            (
                "gen.py",
                "import os, re, sys\n*path, name = sys.argv[1:]\nseen = []\n\
                 def load(name):\n\
                 \x20   file = next(f for f in (os.path.join(d, name) for d in path) if os.path.exists(f))\n\
                 \x20   text = open(file).read()\n\
                 \x20   for other in re.findall(r'import \"(.*)\";', text):\n\
                 \x20       load(other)\n\
                 \x20   seen.extend(re.findall(r'message (\\w+)', text))\n\
                 load(name)\n\
                 open('out/main.h', 'w').write(''.join(f'struct {s};\\n' for s in seen))\n\
                 open('out/main.c', 'w').write('#include \"main.h\"\\n')\n",
            ),
            ("proto/main.proto", "import \"common.proto\";\nmessage Main {}\n"),
            ("shared/common.proto", "message Common {}\n"),
        ],
        before: "mkdir out",
        run: "python3 gen.py proto shared main.proto",
        inputs: &["gen.py", "proto/main.proto", "shared/common.proto"],
        outputs: &["out/main.h", "out/main.c"],
        appearing: &[("proto/common.proto", "echo 'message Nearer {}' > proto/common.proto")],
        ..Case::EMPTY
    }
}

/// A tool whose settings are in the nearest dotfile on the way up.
pub(crate) fn dotfile() -> Case<'static> {
    Case {
        files: &[
            (
                "format.py",
                "import pathlib, sys\nsource = pathlib.Path(sys.argv[1])\n\
                 for directory in source.parents:\n\
                 \x20   try:\n\
                 \x20       width = int((directory / '.format').read_text())\n\
                 \x20       break\n\
                 \x20   except FileNotFoundError:\n\
                 \x20       width = 2\n\
                 text = source.read_text().replace('\\t', ' ' * width)\n\
                 pathlib.Path('out').write_text(text)\n",
            ),
            ("src/deep/a.c", "int f(void)\n{\n\treturn 1;\n}\n"),
            (".format", "4\n"),
        ],
        run: "python3 format.py src/deep/a.c",
        inputs: &["format.py", "src/deep/a.c", ".format"],
        outputs: &["out"],
        appearing: &[("src/.format", "echo 8 > src/.format")],
        ..Case::EMPTY
    }
}

/// A directory as output.
pub(crate) fn directory() -> Case<'static> {
    Case {
        files: &[
            (
                "split.py",
                "import os, stat\nfor line in open('list'):\n\
                 \x20   name, text = line.split()\n\
                 \x20   os.makedirs(os.path.dirname('out/' + name), exist_ok=True)\n\
                 \x20   open('out/' + name, 'w').write(text)\n\
                 os.chmod('out/a', 0o755)\nos.symlink('a', 'out/link')\nos.mkdir('out/empty')\n",
            ),
            ("list", "a one\nb/c two\n"),
        ],
        run: "python3 split.py",
        inputs: &["split.py", "list"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// A script that takes its settings in.
pub(crate) fn shell() -> Case<'static> {
    Case {
        files: &[
            (
                "generate.sh",
                "#!/bin/sh\nset -eu\n. ./settings.conf\n\
                 [ ! -e local.conf ] || . ./local.conf\n\
                 while read -r name value; do echo \"#define $prefix$name $value\"; done < \"$1\" > \"$2\"\n",
            ),
            ("settings.conf", "prefix=COLOUR_\n"),
            ("colours.txt", "RED 1\nBLUE 2\n"),
        ],
        before: "chmod +x generate.sh",
        run: "./generate.sh colours.txt colours.h",
        inputs: &["generate.sh", "settings.conf", "colours.txt"],
        outputs: &["colours.h"],
        appearing: &[("local.conf", "echo prefix=LOCAL_ > local.conf")],
        ..Case::EMPTY
    }
}

/// What the kernel opens itself: the interpreter of a script, which is a script.
pub(crate) fn interpreters() -> Case<'static> {
    Case {
        files: &[
            ("gen", "#!./outer one\nthe text\n"),
            ("outer", "#!/bin/sh\ntail -n +2 \"$2\" | tr a-z A-Z > out\n"),
        ],
        before: "chmod +x gen outer",
        run: "./gen",
        inputs: &["gen", "outer"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// A program that is looked for in one directory after another.
pub(crate) fn program_search() -> Case<'static> {
    Case {
        files: &[("tools/say", "#!/bin/sh\necho late\n")],
        before: "chmod +x tools/say && mkdir early",
        run: "sh -c 'PATH=early:tools:$PATH; say > out'",
        inputs: &["tools/say"],
        outputs: &["out"],
        appearing: &[(
            "early/say",
            "printf '#!/bin/sh\\necho early\\n' > early/say && chmod +x early/say",
        )],
        ..Case::EMPTY
    }
}

pub(crate) fn pipeline() -> Case<'static> {
    Case {
        files: &[
            ("in.txt", "b 2\na 1\nc 3\n"),
            ("edit.sed", "s/^c/z/\n/^b/r extra.txt\n"),
            ("extra.txt", "e 9\n"),
            ("sum.awk", "{ n += $2; print $1, n }\n"),
        ],
        run: "sh -c 'sed -f edit.sed in.txt | sort | awk -f sum.awk > out'",
        inputs: &["in.txt", "edit.sed", "extra.txt", "sum.awk"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

pub(crate) fn join() -> Case<'static> {
    Case {
        files: &[("ids", "1 a\n2 b\n"), ("names", "a Ada\nb Bob\n")],
        run: "sh -c 'sort -k2 ids | join -1 2 - names | paste -sd, > out'",
        inputs: &["ids", "names"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// All files of a directory, whatever they are.
pub(crate) fn glob() -> Case<'static> {
    Case {
        files: &[("parts/a.txt", "a\n"), ("parts/b.txt", "b\n")],
        run: "sh -c 'cat parts/*.txt > out'",
        inputs: &["parts/a.txt", "parts/b.txt"],
        outputs: &["out"],
        appearing: &[("parts/c.txt", "echo c > parts/c.txt")],
        ..Case::EMPTY
    }
}

/// The same, declared as a directory.
pub(crate) fn whole_directory() -> Case<'static> {
    Case {
        files: &[("parts/a.txt", "a\n"), ("parts/deep/b.txt", "b\n"), ("head", "h\n")],
        run: "sh -c 'find parts -type f | sort | xargs cat head > out'",
        inputs: &["parts/", "head"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// Names alone are no reads.
pub(crate) fn listing() -> Case<'static> {
    Case {
        files: &[("src/a.h", "a\n"), ("src/b.h", "b\n"), ("format", "s/^/header /\n")],
        run: "sh -c 'ls src | sed -f format > out'",
        inputs: &["format"],
        outputs: &["out"],
        keyed: &[
            ("src/a.h", "the names in a listed directory are in the key"),
            ("src/b.h", "the names in a listed directory are in the key"),
        ],
        appearing: &[("src/c.h", "touch src/c.h")],
        ..Case::EMPTY
    }
}

/// Whether a directory is there.
pub(crate) fn directory_test() -> Case<'static> {
    Case {
        files: &[("in", "a\n"), ("vendor/unused", "")],
        run: "sh -c 'if [ -d vendor ]; then cp in out; else echo none > out; fi'",
        inputs: &["in"],
        outputs: &["out"],
        keyed: &[("vendor/", "what is at a place that was looked at is in the key")],
        ..Case::EMPTY
    }
}

/// Whether a file is there, and may be executed.
pub(crate) fn file_test() -> Case<'static> {
    Case {
        files: &[("in", "a\n"), ("flag", ""), ("tool", "")],
        before: "chmod +x tool",
        run: "sh -c '[ -f flag ] && [ -x tool ] && cp in out || echo none > out'",
        inputs: &["in", "flag", "tool"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// The text of a link.
pub(crate) fn link_text() -> Case<'static> {
    Case {
        files: &[("in", "a\n")],
        before: "ln -s release-7 current",
        run: "sh -c 'readlink current | cat in - > out'",
        inputs: &["in", "current"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// What is read and does not matter.
pub(crate) fn without_influence() -> Case<'static> {
    Case {
        files: &[("in", "a\n"), ("notes", "some notes\n"), ("list", "one\ntwo\n")],
        run: "sh -c 'cat notes > /dev/null 2>&1; head -n 1 in list > out 2> /dev/null; cp in out'",
        inputs: &["in", "notes", "list"],
        outputs: &["out"],
        harmless: &[
            ("notes", "what cat makes of it is thrown away, and so is its exit code"),
            ("list", "what is made of it is written over"),
        ],
        ..Case::EMPTY
    }
}

pub(crate) fn perl() -> Case<'static> {
    Case {
        files: &[
            (
                "gen.pl",
                "use lib 'early', 'lib';\nuse Table;\nmy $settings = do './settings.pl' or die $!;\n\
                 open(my $out, '>', 'out') or die $!;\nprint $out Table::text($settings);\n",
            ),
            ("lib/Table.pm", "package Table;\nsub text { \"table of $_[0]{name}\\n\" }\n1;\n"),
            ("settings.pl", "{ name => 'a' }\n"),
        ],
        before: "mkdir early",
        run: "perl gen.pl",
        inputs: &["gen.pl", "lib/Table.pm", "settings.pl"],
        outputs: &["out"],
        appearing: &[(
            "early/Table.pm",
            "printf 'package Table;\\nsub text { \"early\" }\\n1;\\n' > early/Table.pm",
        )],
        ..Case::EMPTY
    }
}

pub(crate) fn m4() -> Case<'static> {
    Case {
        files: &[
            ("in.m4", "include(`defs.m4')sinclude(`local.m4')NAME\n"),
            ("late/defs.m4", "define(`NAME', `late')"),
        ],
        before: "mkdir early",
        run: "sh -c 'm4 -I early -I late in.m4 > out'",
        inputs: &["in.m4", "late/defs.m4"],
        outputs: &["out"],
        appearing: &[
            ("early/defs.m4", "echo 'define(`NAME'\\'', `early'\\'')' > early/defs.m4"),
            ("local.m4", "echo 'define(`NAME'\\'', `local'\\'')' > local.m4"),
        ],
        ..Case::EMPTY
    }
}

/// A parser, with a skeleton of its own.
pub(crate) fn bison() -> Case<'static> {
    Case {
        files: &[
            ("g.y", "%skeleton \"./own.m4\"\n%token A\n%%\ns: A;\n"),
            (
                "own.m4",
                "m4_include(b4_skeletonsdir/[c.m4])\nb4_output_begin([b4_parser_file_name])\n\
              /* b4_tokens_number tokens */\nb4_output_end\n",
            ),
        ],
        run: "bison -o g.c g.y",
        inputs: &["g.y", "own.m4"],
        outputs: &["g.c"],
        ..Case::EMPTY
    }
}

pub(crate) fn flex() -> Case<'static> {
    Case {
        files: &[("a.l", "%option noyywrap\n%%\na return 1;\n"), ("b.l", "b return 2;\n%%\n")],
        run: "flex -o lex.c a.l b.l",
        inputs: &["a.l", "b.l"],
        outputs: &["lex.c"],
        ..Case::EMPTY
    }
}

/// A file that a shell reads before its script, if it is there.
pub(crate) fn startup_file() -> Case<'static> {
    Case {
        files: &[("gen.bash", "echo \"${VALUE-none}\" | cat - in > out\n"), ("in", "a\n")],
        environment: &[("BASH_ENV", "./env.bash")],
        run: "bash gen.bash",
        inputs: &["gen.bash", "in"],
        outputs: &["out"],
        appearing: &[("env.bash", "echo VALUE=1 > env.bash")],
        ..Case::EMPTY
    }
}

/// Links in linked directories, one after another.
pub(crate) fn chain_of_links() -> Case<'static> {
    const REASON: &str = "a link on the way is in the key, and its end is declared";
    Case {
        files: &[("store/f", "text\n"), ("head", "h\n")],
        before: "mkdir dirs real && ln -s dirs/one top && ln -s ../real dirs/one
                 ln -s ../store/f real/f.txt",
        run: "sh -c 'cat head top/f.txt > out'",
        inputs: &["head", "store/f"],
        outputs: &["out"],
        keyed: &[("top", REASON), ("dirs/one", REASON), ("real/f.txt", REASON)],
        ..Case::EMPTY
    }
}

/// Up from where a link leads, not from where it is.
pub(crate) fn up_from_link() -> Case<'static> {
    Case {
        files: &[("deep/x", "deep\n"), ("deep/dir/y", "y\n"), ("x", "not this\n")],
        before: "ln -s deep/dir link",
        run: "sh -c 'cat link/../x link/y > out'",
        inputs: &["deep/x", "deep/dir/y"],
        outputs: &["out"],
        keyed: &[("link", "a link on the way is in the key, and its end is declared")],
        ..Case::EMPTY
    }
}

/// A name below directories that are not there either.
pub(crate) fn absent_directories() -> Case<'static> {
    Case {
        files: &[("in", "a\n")],
        run: "sh -c '{ cat vendor/x/y 2> /dev/null || cat in; } > out'",
        inputs: &["in"],
        outputs: &["out"],
        appearing: &[("vendor/", "mkdir -p vendor/x && echo y > vendor/x/y")],
        ..Case::EMPTY
    }
}

/// What is made on the way is no input.
pub(crate) fn intermediate() -> Case<'static> {
    Case {
        files: &[("in", "b\na\n"), ("edit.sed", "s/a/A/\n")],
        run: "sh -c 'cp in same && sort same > mid && mv mid mid2 && sed -f edit.sed mid2 > out \
              && rm same mid2'",
        inputs: &["in", "edit.sed"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// Names of files in a file.
pub(crate) fn list_of_files() -> Case<'static> {
    Case {
        files: &[("list", "b\na\n"), ("a", "1\n"), ("b", "2\n")],
        run: "sh -c 'xargs -a list cat | tee copy | sha256sum > out'",
        inputs: &["list", "a", "b"],
        outputs: &["out", "copy"],
        ..Case::EMPTY
    }
}

/// A time zone of our own.
pub(crate) fn time_zone() -> Case<'static> {
    Case {
        files: &[("rules", "Zone Here 5:30 - HERE\n"), ("format", "+%H:%M %Z\n")],
        before: "/usr/sbin/zic -d zones rules",
        environment: &[("TZDIR", "zones"), ("TZ", "Here")],
        run: "sh -c 'date -d @0 \"$(cat format)\" > out'",
        inputs: &["zones/Here", "format"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

/// Whoever lists a directory is told the type of each name with it.
pub(crate) fn listed_types() -> Case<'static> {
    const REASON: &str = "the names in a listed directory are in the key, and their types";
    Case {
        files: &[("src/a", "a\n"), ("edit.sed", "s/^/found /\n")],
        before: "mkdir src/sub && ln -s a src/link",
        run: "sh -c 'find src -type f | sed -f edit.sed > out'",
        inputs: &["edit.sed"],
        outputs: &["out"],
        keyed: &[("src/a", REASON)],
        replaced: &[
            ("src/link", "touch src/link"),
            ("src/a", "ln -s sub src/a"),
            ("src/sub", "touch src/sub"),
        ],
        ..Case::EMPTY
    }
}

/// `..` leads to the directory above whatever the name before it is: a link, from tomorrow on.
pub(crate) fn up_from_directory() -> Case<'static> {
    const REASON: &str = "that a directory left by `..` is one, and no link, is in the key";
    Case {
        files: &[("x", "here\n"), ("deep/x", "there\n"), ("deep/dir/y", "")],
        before: "mkdir src",
        run: "sh -c 'cat src/../x > out'",
        inputs: &["x"],
        outputs: &["out"],
        keyed: &[("src/", REASON)],
        replaced: &[("src", "ln -s deep/dir src")],
        ..Case::EMPTY
    }
}
