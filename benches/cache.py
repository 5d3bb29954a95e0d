#!/usr/bin/env python3
"""What a cached compile costs: hits and misses of airtight and ccache, and gcc alone, interleaved.

Needs python3 (its standard library), gcc, ccache, and a release build of airtight. Works in a
directory of its own with caches of its own; nothing of the user's is touched.

    python3 benches/cache.py [--airtight FILE] [--rounds N] [--json FILE]

Each round runs every command once, in an order that rotates. A ratio is formed within a round; the
tables show medians. CPU is user + system time of the whole process tree.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

from run import ROOT, measure

HEADERS = ["stdio", "stdlib", "string", "math", "errno", "unistd", "time", "signal"]


def source(directory):
    """A small program: eight system headers, two of its own, forty functions."""
    (directory / "include").mkdir()
    for name in ("one", "two"):
        (directory / "include" / f"{name}.h").write_text(f"#define {name.upper()} 1\n")
    text = "".join(f"#include <{name}.h>\n" for name in HEADERS)
    text += '#include "one.h"\n#include "two.h"\n'
    for n in range(40):
        text += f"int f{n}(int x) {{ printf(\"%d\\n\", x + {n}); return x * ONE + TWO; }}\n"
    (directory / "a.c").write_text(text)


def commands(airtight):
    compile_ = ["gcc", "-O2", "-Iinclude", "-c", "a.c", "-o", "a.o"]
    declared = ["--in", "a.c", "--in-dir", "include", "--out", "a.o", "--"] + compile_
    return {
        "hits": {
            "ccache": (["ccache"] + compile_, {}),
            "airtight run": ([airtight, "run"] + declared, {}),
            "airtight cc": ([airtight, "cc"] + compile_, {}),
        },
        "misses": {
            "gcc": (compile_, {}),
            "airtight run, not cached": ([airtight, "run", "--no-cache"] + declared, {}),
            "airtight run, published": ([airtight, "run", "--refresh"] + declared, {}),
            "ccache, recached": (["ccache"] + compile_, {"CCACHE_RECACHE": "1"}),
        },
    }


def interleave(tools, directory, rounds):
    runs = {name: [] for name in tools}
    order = list(tools)
    for _ in range(rounds):
        for name in order:
            command, environment = tools[name]
            os.environ.update(environment)
            runs[name].append(measure(command, directory))
            for variable in environment:
                del os.environ[variable]
        order = order[1:] + order[:1]
    return runs


def table(title, runs, base):
    print(f"\n| {title} | wall ms | CPU ms | wall to {base} | CPU to {base} |\n|---|---|---|---|---|")
    for name, list_ in runs.items():
        medians = [statistics.median(getattr(run, what) for run in list_) * 1e3 for what in ("wall", "cpu")]
        ratios = [
            statistics.median(getattr(a, what) / max(getattr(b, what), 1e-6) for a, b in zip(list_, runs[base]))
            for what in ("wall", "cpu")
        ]
        print(f"| {name} | {medians[0]:.2f} | {medians[1]:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--airtight", default=str(ROOT / "target/release/airtight"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=pathlib.Path, help="also write every run to this file")
    options = parser.parse_args()
    for needed in ("gcc", "ccache", options.airtight):
        if shutil.which(needed) is None:
            sys.exit(f"{needed}: not found")
    every = {}
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work).resolve()
        directory = work / "project"
        directory.mkdir()
        source(directory)
        os.environ.update(CCACHE_DIR=str(work / "ccache"), AIRTIGHT_CACHE_DIR=str(work / "airtight"))
        (directory / "airtight.toml").write_text("")
        known = commands(str(pathlib.Path(options.airtight).resolve()))
        for _ in range(2):
            # Filled, and the digests of what was just written are trusted.
            for command, _ in known["hits"].values():
                measure(command, directory)
        hits = interleave(known["hits"], directory, options.rounds)
        table("hit", hits, "ccache")
        misses = interleave(known["misses"], directory, max(options.rounds // 5, 3))
        table("miss", misses, "gcc")
        every = {"hits": hits, "misses": misses}
    if options.json:
        data = {kind: {name: [run._asdict() for run in list_] for name, list_ in runs.items()}
                for kind, runs in every.items()}
        options.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
