#!/usr/bin/env python3
"""What a whole-build audit costs: plain and audited builds, interleaved; and how long the report of
a large build takes.

Needs python3 (its standard library), gcc, make, cmake, ninja, and a release build of airtight. The
sources of the real projects come from `scripts/sources.sh`.

    python3 benches/audit.py [--airtight FILE] [--rounds N] [--only NAME,NAME] [--actions N]
                             [--work DIR] [--json FILE] [--limit SECONDS]

Each round runs every build plainly and audited, in an order that rotates. A ratio is formed within
a round; the table shows medians. CPU is user + system time of the whole process tree, Airtight's own
included. "Report" is the time from the end of the build to the end of `airtight audit`: the graph is
read, everything is judged, reported and saved. The large build is one of ninja: 5,000 actions, each
of which reads 200 of 2,000 headers. Nothing is found in it, so `airtight check` ends with 0.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from run import ROOT, Workload, compile_c, measure

HEADERS = 2000
READS = 200


def source(work, name):
    """A fresh copy of a project's source."""
    sources = work / "sources"
    subprocess.run(["sh", ROOT / "scripts/sources.sh", sources], check=True)
    copy = work / name
    if not copy.exists():
        shutil.copytree(sources / name, copy, symlinks=True)
    return copy


def workloads(work):
    lua = work / "lua5.4" / "src"
    expat = work / "expat-build"

    def clean_lua():
        source(work, "lua5.4")
        subprocess.run(["make", "-s", "clean"], cwd=lua, check=True)

    def clean_expat():
        tree = source(work, "expat") / "expat"
        if not (expat / "build.ninja").exists():
            command = ["cmake", "-G", "Ninja", "-S", tree, "-B", expat]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-t", "clean"], cwd=expat, check=True, stdout=subprocess.DEVNULL)

    make = ["make", "-s", "-j2", "linux"]
    return {
        "lua": Workload("lua 5.4.4, make -j2", lua, clean_lua, make, True),
        "expat": Workload("expat 2.5.0, CMake and ninja -j2", expat, clean_expat, ["ninja", "-j2"],
                          True),
    }


def audited(airtight, load, stamp, file):
    """An audit, and the time from the end of the build to the end of the audit."""
    # The command notes when it ends.
    script = '"$@" && exec date +%s.%N >"$0"'
    command = [airtight, "audit", "-o", str(file), "--", "sh", "-c", script, str(stamp)]
    run = measure(command + load.command, load.directory, allowed=(0, 120))
    return run, time.time() - float(stamp.read_text())


def real(airtight, load, rounds, work):
    runs = {"plain": [], "audit": []}
    after = []
    file = work / "audit.bin"
    order = list(runs)
    for _ in range(rounds):
        for name in order:
            load.prepare()
            if name == "plain":
                runs[name].append(measure(load.command, load.directory))
            else:
                run, late = audited(airtight, load, work / "stamp", file)
                runs[name].append(run)
                after.append(late)
        order = order[1:] + order[:1]
    return runs, after


def ratio(runs, what):
    pairs = zip(runs["audit"], runs["plain"])
    return statistics.median(getattr(a, what) / max(getattr(b, what), 1e-3) for a, b in pairs)


def synthetic(work, actions):
    """A build.ninja of many small actions with depfiles."""
    directory = work / "large"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    program = compile_c(work, "reads")
    for n in range(HEADERS):
        (directory / f"header_{n}.h").write_text(f"{n}\n")
    with open(directory / "build.ninja", "w") as manifest:
        manifest.write(f"rule reads\n  command = {program} $out $first {READS} {HEADERS}\n"
                       "  depfile = $out.d\n  deps = gcc\n")
        for n in range(actions):
            manifest.write(f"build out/{n % 50}/{n}.o: reads header_{n % HEADERS}.h\n"
                           f"  first = {n * 7 % HEADERS}\n")

    def clean():
        subprocess.run(["ninja", "-t", "clean"], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL)

    title = f"ninja, {actions:,} actions, {actions * READS:,} reads"
    return Workload(title, directory, clean, ["ninja", "-j2"], False)


def show(title, runs, late):
    plain = statistics.median(run.cpu for run in runs["plain"])
    rss = max(run.rss for run in runs["audit"]) / 1024
    print(f"| {title} | {plain:.2f} | {ratio(runs, 'cpu'):.2f} | {ratio(runs, 'wall'):.2f} "
          f"| {statistics.median(late):.2f} | {rss:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--airtight", default=str(ROOT / "target/release/airtight"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="lua,expat,large", help="names of builds, with commas")
    parser.add_argument("--actions", type=int, default=5000, help="of the large build")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench")
    parser.add_argument("--json", type=pathlib.Path, help="also write every run to this file")
    parser.add_argument("--limit", type=float, help="fail if a report takes longer")
    options = parser.parse_args()
    for needed in ["gcc", "make", "cmake", "ninja", options.airtight]:
        if shutil.which(needed) is None:
            sys.exit(f"{needed}: not found")
    airtight = str(pathlib.Path(options.airtight).resolve())
    work = (options.work / "audit").resolve()
    work.mkdir(parents=True, exist_ok=True)
    loads = workloads(work)
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in [*loads, "large"]]:
        sys.exit(f"no such build: {', '.join(unknown)}; there are {', '.join(loads)}, large")

    print("| build | plain CPU s | audit CPU | wall | report s | peak MiB |")
    print("|---|---|---|---|---|---|", flush=True)
    every, slowest = {}, 0.0
    for name in chosen:
        load = synthetic(work, options.actions) if name == "large" else loads[name]
        runs, late = real(airtight, load, options.rounds if load.repeat else 1, work)
        show(load.title, runs, late)
        checks = []
        for _ in range(options.rounds if load.repeat else 3):
            command = [airtight, "check", str(work / "audit.bin")]
            checks.append(measure(command, load.directory, allowed=(0, 1)))
        again = statistics.median(run.wall for run in checks)
        rss = max(run.rss for run in checks) / 1024
        print(f"| … judged again | | | | {again:.2f} | {rss:.0f} |", flush=True)
        slowest = max(slowest, again, *late)
        every[name] = {
            "plain": [run._asdict() for run in runs["plain"]],
            "audit": [run._asdict() for run in runs["audit"]],
            "report": late,
            "check": [run._asdict() for run in checks],
        }
    if options.json:
        options.json.write_text(json.dumps(every, indent=1) + "\n")
    if options.limit and slowest > options.limit:
        sys.exit(f"a report took {slowest:.2f} s")


if __name__ == "__main__":
    main()
