//! What each option means. The tables hold what changes which files are read or made; the
//! families at the end hold what only changes the code.

/// What an option means for the files of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: what it makes the compiler read, the depfile tells or the tracer shows.
    Plain,
    /// The same, and it has a value, in the same word or the next.
    Value,
    /// `-c`
    Object,
    /// `-S`
    Assembler,
    /// `-o FILE`
    Output,
    /// `-x LANGUAGE`
    Language,
    /// `-MD`, `-MMD`
    Depfile,
    /// `-MF FILE`
    DepfileName,
    /// `-MJ FILE`
    Fragment,
    /// An option that turns debug information on for certain.
    DebugInfo,
    /// An option that may turn it off again, or down.
    LessDebugInfo,
    /// `-gsplit-dwarf`
    Split,
    /// `--coverage`, `-ftest-coverage`
    Coverage,
    /// `-fstack-usage`
    StackUsage,
    /// Options for the preprocessor.
    ToPreprocessor,
    /// Options for the assembler.
    ToAssembler,
    /// An option for the compiler proper of clang.
    ToClang,
    /// Not one compilation into files that can be told.
    Other(&'static str),
    /// Not known.
    Unknown,
}

use Meaning::{
    Assembler, Coverage, DebugInfo, Depfile, DepfileName, Fragment, Language, LessDebugInfo,
    Object, Other, Output, Plain, Split, StackUsage, ToAssembler, ToClang, ToPreprocessor, Unknown,
    Value,
};

const ASKS: Meaning = Other("it only asks the compiler something");
const PREPROCESSES: Meaning = Other("it only preprocesses");
const DUMPS: Meaning = Other("it makes further files");
const MODULES: Meaning = Other("modules are files that others make");
const RECORDS: Meaning = Other("the object would record the options of the depfile");
const ELSEWHERE: Meaning = Other("it changes the names of what is made");
const SEVERAL: Meaning = Other("it compiles several times");

/// Whole words.
const WORDS: &[(&str, Meaning)] = &[
    ("-", Other("the source is standard input")),
    ("--", Other("names behind `--`")),
    ("-c", Object),
    ("-S", Assembler),
    ("-E", PREPROCESSES),
    ("-M", PREPROCESSES),
    ("-MM", PREPROCESSES),
    ("-MG", PREPROCESSES),
    ("-MD", Depfile),
    ("-MMD", Depfile),
    ("-MP", Plain),
    ("-MV", Other("a depfile that is not for make")),
    ("-fsyntax-only", Other("it makes nothing")),
    ("-###", ASKS),
    ("--version", ASKS),
    ("--help", ASKS),
    ("-g", DebugInfo),
    ("-g2", DebugInfo),
    ("-g3", DebugInfo),
    ("-ggdb", DebugInfo),
    ("-ggdb2", DebugInfo),
    ("-ggdb3", DebugInfo),
    ("-gdwarf", DebugInfo),
    ("-gdwarf-2", DebugInfo),
    ("-gdwarf-3", DebugInfo),
    ("-gdwarf-4", DebugInfo),
    ("-gdwarf-5", DebugInfo),
    ("-g0", LessDebugInfo),
    ("-g1", LessDebugInfo),
    ("-ggdb0", LessDebugInfo),
    ("-ggdb1", LessDebugInfo),
    ("-gmlt", LessDebugInfo),
    ("-gline-tables-only", LessDebugInfo),
    ("-gline-directives-only", LessDebugInfo),
    ("-gsplit-dwarf", Split),
    ("-gsplit-dwarf=split", Split),
    ("-gsplit-dwarf=single", Plain),
    ("--coverage", Coverage),
    ("-coverage", Coverage),
    ("-ftest-coverage", Coverage),
    ("-fno-test-coverage", Other("coverage that may be off again")),
    ("-fstack-usage", StackUsage),
    ("-fno-stack-usage", Other("stack usage that may be off again")),
    ("-gno-split-dwarf", Other("split DWARF that may be off again")),
    ("-frecord-gcc-switches", RECORDS),
    ("-frecord-command-line", RECORDS),
    ("-grecord-command-line", RECORDS),
    ("-gcodeview-command-line", RECORDS),
    ("-fcompare-debug", SEVERAL),
    ("-fcompare-debug-second", SEVERAL),
    ("-fpreprocessed", Other("it says otherwise what the source is")),
    ("-fdirectives-only", Other("it says otherwise what the source is")),
    ("-emit-pch", Other("a precompiled header is made")),
    ("-emit-llvm", Other("the output is named in another way")),
    ("-emit-ast", Other("the output is named in another way")),
    ("--analyze", Other("the output is named in another way")),
    ("-ansi", Plain),
    ("-C", Plain),
    ("-CC", Plain),
    ("-H", Plain),
    ("-P", Plain),
    ("-Q", Plain),
    ("-Qunused-arguments", Plain),
    ("-Qn", Plain),
    ("-no-canonical-prefixes", Plain),
    ("-no-integrated-cpp", Plain),
    ("-no-integrated-as", Plain),
    ("-integrated-as", Plain),
    ("-no-pie", Plain),
    ("-nopie", Plain),
    ("-nodefaultlibs", Plain),
    ("-nolibc", Plain),
    ("-nostartfiles", Plain),
    ("-nostdinc", Plain),
    ("-nostdinc++", Plain),
    ("-nostdlib", Plain),
    ("-nostdlib++", Plain),
    ("-nostdlibinc", Plain),
    ("-nobuiltininc", Plain),
    ("-p", Plain),
    ("-pass-exit-codes", Plain),
    ("-pedantic", Plain),
    ("-pedantic-errors", Plain),
    ("-pg", Plain),
    ("-pie", Plain),
    ("-pipe", Plain),
    ("-pthread", Plain),
    ("-pthreads", Plain),
    ("-r", Plain),
    ("-rdynamic", Plain),
    ("-remap", Plain),
    ("-s", Plain),
    ("-shared", Plain),
    ("-shared-libgcc", Plain),
    ("-static", Plain),
    ("-static-libgcc", Plain),
    ("-static-libstdc++", Plain),
    ("-static-pie", Plain),
    ("-time", Plain),
    ("-traditional", Plain),
    ("-traditional-cpp", Plain),
    ("-trigraphs", Plain),
    ("-undef", Plain),
    ("-v", Plain),
    ("-w", Plain),
    // With a value in the next word only.
    ("--param", Value),
    ("--sysroot", Value),
    ("-Xlinker", Value),
    ("-Xassembler", ToAssembler),
    ("-Xpreprocessor", ToPreprocessor),
    ("-Xclang", ToClang),
    ("-target", Value),
    ("-mllvm", Value),
    ("-mthread-model", Value),
    ("-fdebug-compilation-dir", Value),
    ("-resource-dir", Value),
    ("-ivfsoverlay", Value),
    ("-iframework", Value),
    ("-include-pch", Value),
    ("-cxx-isystem", Value),
    ("-c-isystem", Value),
    ("-MJ", Fragment),
    ("-arch", SEVERAL),
    ("-aux-info", DUMPS),
    ("-dumpbase", ELSEWHERE),
    ("-dumpbase-ext", ELSEWHERE),
    ("-dumpdir", ELSEWHERE),
    ("-working-directory", ELSEWHERE),
    ("-wrapper", Other("another program runs the compiler")),
    ("-save-temps", DUMPS),
    ("--save-temps", DUMPS),
    ("-emit-module", MODULES),
];

/// Beginnings of words; the longest counts. Those with a value have it behind that, or in the next
/// word when nothing is behind.
const BEGINNINGS: &[(&str, Meaning)] = &[
    ("-o", Output),
    ("-x", Language),
    ("-MF", DepfileName),
    ("-MT", Value),
    ("-MQ", Value),
    ("-A", Value),
    ("-B", Value),
    ("-D", Value),
    ("-F", Value),
    ("-I", Value),
    ("-L", Value),
    ("-T", Value),
    ("-U", Value),
    ("-idirafter", Value),
    ("-imacros", Value),
    ("-include", Value),
    ("-iprefix", Value),
    ("-iquote", Value),
    ("-isysroot", Value),
    ("-isystem", Value),
    ("-iwithprefix", Value),
    ("-iwithprefixbefore", Value),
    ("-l", Value),
    ("-u", Value),
    ("-z", Value),
    ("-Wl,", Plain),
    ("-Wp,", ToPreprocessor),
    ("-Wa,", ToAssembler),
    ("-save-temps=", DUMPS),
    ("-print-", ASKS),
    ("--print-", ASKS),
    ("-dump", ASKS),
    ("--help=", ASKS),
    ("--param=", Plain),
    ("--sysroot=", Plain),
    ("--target=", Plain),
    ("--gcc-toolchain=", Plain),
    ("--gcc-install-dir=", Plain),
    ("--std=", Plain),
    ("--specs=", Plain),
    ("--rtlib=", Plain),
    ("--unwindlib=", Plain),
    ("-rtlib=", Plain),
    ("-stdlib=", Plain),
    ("-std=", Plain),
    ("-specs=", Plain),
    ("-resource-dir=", Plain),
    ("-iplugindir=", Plain),
    ("-fuse-ld=", Plain),
    ("-fdump-", DUMPS),
    ("-fdeps-", DUMPS),
    ("-fcallgraph-info", DUMPS),
    ("-fsave-optimization-record", DUMPS),
    ("-foptimization-record-", DUMPS),
    ("-fopt-info", DUMPS),
    ("-fdiagnostics-format=", Other("messages may go to a file")),
    ("-fdiagnostics-add-output", Other("messages may go to a file")),
    ("-fdiagnostics-set-output", Other("messages may go to a file")),
    ("-fcrash-diagnostics", DUMPS),
    ("-ftime-trace", DUMPS),
    ("-fproc-stat-report", DUMPS),
    ("-fprofile-note=", ELSEWHERE),
    ("-fmodule", MODULES),
    ("-fcxx-modules", MODULES),
    ("-fprebuilt-module", MODULES),
    ("-fbuild-session", MODULES),
    ("-fcompare-debug=", SEVERAL),
    ("-gen-", DUMPS),
    // The families: nothing in them but the above names files that are made.
    ("-O", Plain),
    ("-W", Plain),
    ("-f", Plain),
    ("-g", Plain),
    ("-m", Plain),
];

/// What an option means, and the value that is joined to it.
pub(super) fn meaning(word: &[u8]) -> (Meaning, Option<&[u8]>) {
    let words = WORDS.iter().find(|(name, _)| name.as_bytes() == word);
    if let Some((_, meaning)) = words {
        return (*meaning, None);
    }
    let beginnings = BEGINNINGS.iter().filter(|(name, _)| word.starts_with(name.as_bytes()));
    match beginnings.max_by_key(|(name, _)| name.len()) {
        Some((name, meaning)) => {
            (*meaning, Some(&word[name.len()..]).filter(|value| !value.is_empty()))
        }
        None => (Unknown, None),
    }
}

/// Looks through options for the assembler, joined by commas.
pub(super) fn assembler(list: &[u8]) -> Result<(), String> {
    for option in list.split(|byte| *byte == b',') {
        let further = [&b"-a"[..], b"--MD", b"-MD", b"-o", b"--listing", b"@"];
        if further.iter().any(|name| option.starts_with(name)) {
            let option = super::shown(option);
            return Err(format!("-Wa,{option} may make further files"));
        }
    }
    Ok(())
}

/// Looks at an option for the compiler proper of clang: only what changes the code alone is known.
pub(super) fn clang(option: &[u8]) -> Result<(), String> {
    let family = [&b"-f"[..], b"-m", b"-O", b"-W", b"-std=", b"-disable-", b"-target-feature"];
    let known = option.first() != Some(&b'-') && !option.contains(&b'/')
        || family.iter().any(|name| option.starts_with(name));
    match meaning(option).0 {
        Other(reason) => Err(reason.to_owned()),
        _ if known => Ok(()),
        _ => Err(format!("-Xclang {} is not known", super::shown(option))),
    }
}
