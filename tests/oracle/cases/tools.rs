//! Tools that pack, convert, configure and build.

use crate::case::Case;

/// Times and owners are in no declaration, so they are given.
pub(crate) fn tar() -> Case<'static> {
    Case {
        files: &[
            ("list", "src\nextra\n"),
            ("exclude", "*.bak\n"),
            ("src/a", "a\n"),
            ("src/a.bak", "old\n"),
            ("extra", "e\n"),
        ],
        run: "tar -cf out.tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
              --mode=u=rwX,go=rX -X exclude -T list",
        inputs: &["list", "exclude", "src/a", "extra"],
        outputs: &["out.tar"],
        appearing: &[("src/b", "echo b > src/b")],
        ..Case::EMPTY
    }
}

pub(crate) fn untar() -> Case<'static> {
    Case {
        files: &[("a", "a\n"), ("b", "b\n"), ("wanted", "b\n")],
        before: "tar -cf in.tar a b && rm a b",
        run: "sh -c 'mkdir out && tar -xf in.tar -C out --no-same-owner -T wanted'",
        inputs: &["in.tar", "wanted"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

pub(crate) fn gzip() -> Case<'static> {
    Case {
        files: &[("a", "some text, some text, some text\n"), ("b", "some more text\n")],
        run: "sh -c 'cat a b | gzip -9n > out.gz && gzip -dc out.gz | xz -T1 > out.xz'",
        inputs: &["a", "b"],
        outputs: &["out.gz", "out.xz"],
        ..Case::EMPTY
    }
}

pub(crate) fn xxd() -> Case<'static> {
    Case {
        files: &[("blob", "\u{1}\u{2}\u{3}"), ("tail", "int tail;\n")],
        run: "sh -c 'xxd -i blob | cat - tail > blob.h'",
        inputs: &["blob", "tail"],
        outputs: &["blob.h"],
        ..Case::EMPTY
    }
}

/// Which form of a file counts is said in a file of its directory.
pub(crate) fn git_attributes() -> Case<'static> {
    Case {
        files: &[("src/a.txt", "one\r\ntwo\r\n"), (".gitattributes", "*.txt text\n")],
        before: "git init -q .",
        environment: &[("GIT_CONFIG_NOSYSTEM", "1")],
        run: "sh -c 'git hash-object src/a.txt > out'",
        inputs: &[".git/", "src/a.txt", ".gitattributes"],
        outputs: &["out"],
        appearing: &[("src/.gitattributes", "echo '*.txt -text' > src/.gitattributes")],
        ..Case::EMPTY
    }
}

pub(crate) fn git_archive() -> Case<'static> {
    Case {
        files: &[("a", "a\n"), ("b", "b\n"), ("attributes", "b export-ignore\n")],
        before: "git init -q . && git add a b
                 git -c user.name=a -c user.email=a@example.org commit -q -m one && rm a b",
        environment: &[
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_DATE", "1700000000 +0000"),
            ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ],
        run: "git -c core.attributesFile=attributes archive --output=out.tar HEAD",
        inputs: &[".git/", "attributes"],
        outputs: &["out.tar"],
        ..Case::EMPTY
    }
}

/// Three names are tried for the makefile, and what it includes may be missing.
pub(crate) fn make() -> Case<'static> {
    Case {
        files: &[
            ("Makefile", "include rules.mk\n-include local.mk\nout: in\n\t$(RULE)\n"),
            ("rules.mk", "RULE = tr a-z A-Z < in > out\n"),
            ("in", "text\n"),
        ],
        run: "make out",
        inputs: &["Makefile", "rules.mk", "in"],
        outputs: &["out"],
        appearing: &[
            ("local.mk", "echo 'RULE = cp in out' > local.mk"),
            ("GNUmakefile", "printf 'out: in\\n\\tcat in in > out\\n' > GNUmakefile"),
        ],
        ..Case::EMPTY
    }
}

pub(crate) fn cmake() -> Case<'static> {
    Case {
        files: &[
            (
                "run.cmake",
                "include(part.cmake)\ninclude(local.cmake OPTIONAL)\nconfigure_file(in.h out.h)\n",
            ),
            ("part.cmake", "set(NUMBER 7)\n"),
            ("in.h", "#define NUMBER @NUMBER@\n"),
        ],
        run: "cmake -P run.cmake",
        inputs: &["run.cmake", "part.cmake", "in.h"],
        outputs: &["out.h"],
        appearing: &[("local.cmake", "echo 'set(NUMBER 8)' > local.cmake")],
        ..Case::EMPTY
    }
}

pub(crate) fn ninja() -> Case<'static> {
    Case {
        files: &[
            ("build.ninja", "include rules.ninja\nbuild out/a: shout in\n"),
            ("rules.ninja", "rule shout\n  command = tr a-z A-Z < $in > $out\n"),
            ("in", "text\n"),
        ],
        run: "sh -c 'ninja --quiet && rm .ninja_log'",
        inputs: &["build.ninja", "rules.ninja", "in"],
        outputs: &["out/a"],
        ..Case::EMPTY
    }
}

/// A document that takes in others.
pub(crate) fn xml() -> Case<'static> {
    Case {
        files: &[
            (
                "doc.xml",
                "<!DOCTYPE doc SYSTEM \"doc.dtd\">\n\
                 <doc xmlns:xi=\"http://www.w3.org/2001/XInclude\">&name;\
                 <xi:include href=\"part.xml\"/>\
                 <xi:include href=\"more.xml\"><xi:fallback/></xi:include></doc>\n",
            ),
            ("doc.dtd", "<!ENTITY name \"named\">\n"),
            ("part.xml", "<part/>\n"),
        ],
        run: "xmllint --nonet --loaddtd --noent --xinclude doc.xml --output out.xml",
        // Without the system's catalogue, which is no part of a toolchain.
        environment: &[("XML_CATALOG_FILES", "")],
        inputs: &["doc.xml", "doc.dtd", "part.xml"],
        outputs: &["out.xml"],
        appearing: &[("more.xml", "echo '<more/>' > more.xml")],
        ..Case::EMPTY
    }
}

/// Settings that include other settings.
pub(crate) fn openssl() -> Case<'static> {
    Case {
        files: &[
            ("asn1.conf", "asn1 = SEQUENCE:all\n.include part.conf\n"),
            ("part.conf", "[all]\nnumber = INTEGER:7\n"),
        ],
        run: "openssl asn1parse -genconf asn1.conf -noout -out out.der",
        inputs: &["asn1.conf", "part.conf"],
        outputs: &["out.der"],
        ..Case::EMPTY
    }
}

/// Prerequisites are looked for in one directory after another.
pub(crate) fn make_path() -> Case<'static> {
    Case {
        files: &[
            ("Makefile", "VPATH = first second\nout: in.txt\n\tcat $< > $@\n"),
            ("second/in.txt", "second\n"),
        ],
        before: "mkdir first",
        run: "make -s out",
        inputs: &["Makefile", "second/in.txt"],
        outputs: &["out"],
        appearing: &[("first/in.txt", "echo first > first/in.txt")],
        ..Case::EMPTY
    }
}

pub(crate) fn patch() -> Case<'static> {
    Case {
        files: &[
            ("in", "one\ntwo\n"),
            ("change.diff", "--- in\n+++ in\n@@ -1,2 +1,2 @@\n-one\n+1\n two\n"),
        ],
        run: "patch -s -o out in change.diff",
        inputs: &["in", "change.diff"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}

pub(crate) fn checksums() -> Case<'static> {
    Case {
        files: &[("a", "a\n"), ("b", "b\n")],
        before: "sha256sum a b > sums",
        run: "sh -c 'sha256sum -c sums > out'",
        inputs: &["sums", "a", "b"],
        outputs: &["out"],
        ..Case::EMPTY
    }
}
