#!/usr/bin/env python3
"""What tracing costs: CPU and wall time of untraced, airtight and strace runs, interleaved.

Needs python3 (its standard library), gcc, make, strace, and a release build of airtight. The two
sources come from Debian's archive at the first run and stay in the working directory, so that
later runs work without a network.

    python3 benches/run.py [--airtight FILE] [--rounds N] [--only NAME,NAME] [--tools NAME,NAME]
                           [--work DIR] [--json FILE] [--memory-limit MIB]

Each round runs every tool once, in an order that rotates. A ratio is formed within a round, from
neighbouring runs; the table shows the median of the rounds. CPU is user + system time of the whole
process tree, the tracer's own included, as wait4 reports it.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCES = {
    "lua": (
        "l/lua5.4/lua5.4_5.4.4.orig.tar.gz",
        "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61",
    ),
    "hello": (
        "h/hello/hello_2.10.orig.tar.gz",
        "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b",
    ),
}
# What a workload is: a function that makes its directory ready (not timed), and the command.
Workload = collections.namedtuple("Workload", "title directory prepare command repeat")
Run = collections.namedtuple("Run", "cpu wall rss")


def pool():
    """Where this machine's apt gets its packages from."""
    command = ["apt-get", "--print-uris", "download", "base-files"]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return line.split("'")[1].split("/pool/")[0] + "/pool/main/"


def fetch(work, name):
    """The unpacked source of a project."""
    path, digest = SOURCES[name]
    archive = work / path.rsplit("/", 1)[1]
    if not archive.exists():
        with urllib.request.urlopen(pool() + path, timeout=60) as answer:
            archive.write_bytes(answer.read())
    if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
        sys.exit(f"{archive}: not the expected file; remove it and try again")
    target = work / name
    if not target.exists():
        unpacked = work / (name + ".new")
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        (only,) = unpacked.iterdir()
        only.rename(target)
        unpacked.rmdir()
    return target


def compile_c(work, name):
    subprocess.run(["gcc", "-O2", "-static", "-o", work / name, HERE / (name + ".c")], check=True)
    return str(work / name)


def workloads(work):
    lua = work / "lua" / "src"
    hello = work / "hello"
    build = work / "configure"
    short = "i=0; while [ $i -lt 500 ]; do /bin/true; /bin/cat /dev/null; i=$((i+1)); done"
    names = work / "names"
    names.mkdir(exist_ok=True)

    def clean():
        fetch(work, "lua")
        subprocess.run(["make", "-s", "clean"], cwd=lua, check=True)

    def empty():
        fetch(work, "hello")
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()

    def nothing():
        pass

    def make(level):
        return ["make", "-s", "-j2", "linux", "MYCFLAGS=" + level]

    opens = compile_c(work, "opens")
    crowd = compile_c(work, "crowd")
    return {
        "build-O0": Workload("lua 5.4.4, make -j2, -O0", lua, clean, make("-O0"), True),
        "build-O2": Workload("lua 5.4.4, make -j2, -O2", lua, clean, make("-O2"), True),
        "configure": Workload("hello 2.10, configure", build, empty, [str(hello / "configure")], True),
        "opens": Workload("100,000 opens", names, nothing, [opens, "100000", opens], True),
        "short": Workload("1000 short processes", names, nothing, ["sh", "-c", short], True),
        # Few rounds: they are here for the memory.
        "crowd": Workload("10,000 processes, 1,000,000 accesses, 2,000 names", names, nothing,
                          [crowd, "10000", "100", "2000"], False),
        "crowd-wide": Workload("the same, 200,000 names", names, nothing,
                               [crowd, "10000", "100", "200000"], False),
    }


def measure(command, directory, allowed=(0,)):
    """Runs a command to its end; its tree's times and the largest memory of any process in it."""
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        sys.exit(f"{command[0]} ended with {process.returncode}:\n{error.decode(errors='replace')}")
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss)


def tools(airtight, work):
    out = str(work / "out")
    return {
        "untraced": [],
        "airtight": [airtight, "trace", "-o", out + ".airtight", "--"],
        "strace": ["strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", out + ".strace", "--"],
    }


def interleave(load, tools, rounds, allowed={}):
    """Runs every tool once a round; `allowed` are exit codes of tools that end with others than 0."""
    runs = {tool: [] for tool in tools}
    order = list(tools)
    for _ in range(rounds):
        for tool in order:
            load.prepare()
            codes = allowed.get(tool, (0,))
            runs[tool].append(measure(tools[tool] + load.command, load.directory, codes))
        order = order[1:] + order[:1]
    return runs


def ratio(runs, tool, what):
    pairs = zip(runs[tool], runs["untraced"])
    return statistics.median(getattr(a, what) / max(getattr(b, what), 1e-3) for a, b in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--airtight", default=str(ROOT / "target/release/airtight"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="names of workloads, with commas")
    parser.add_argument("--tools", default="untraced,airtight,strace")
    parser.add_argument("--memory-limit", type=int, help="fail if a peak is above so many MiB")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench")
    parser.add_argument("--json", type=pathlib.Path, help="also write every run to this file")
    options = parser.parse_args()
    wanted = options.tools.split(",")
    for needed in ["gcc", "make", options.airtight] + ["strace"] * ("strace" in wanted):
        if shutil.which(needed) is None:
            sys.exit(f"{needed}: not found")
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    loads = workloads(work)
    chosen = options.only.split(",") if options.only else list(loads)
    if unknown := [name for name in chosen if name not in loads]:
        sys.exit(f"no such workload: {', '.join(unknown)}; there are {', '.join(loads)}")

    print("| work | untraced CPU s | airtight CPU | wall | strace CPU | wall | share of strace's overhead | peak MiB |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    known = tools(str(pathlib.Path(options.airtight).resolve()), work)
    every, over = {}, False
    for name in chosen:
        load = loads[name]
        rounds = options.rounds if load.repeat else 1
        runs = interleave(load, {tool: known[tool] for tool in wanted}, rounds)
        every[name] = {tool: [run._asdict() for run in list_] for tool, list_ in runs.items()}
        cells = {tool: ("-", "-") for tool in known} | {
            tool: tuple(f"{ratio(runs, tool, what):.2f}" for what in ("cpu", "wall")) for tool in wanted
        }
        share = "-"
        if "strace" in wanted and (theirs := ratio(runs, "strace", "cpu")) > 1:
            share = f"{(ratio(runs, 'airtight', 'cpu') - 1) / (theirs - 1):.0%}"
        plain = statistics.median(run.cpu for run in runs["untraced"])
        # The tree's largest process: where tracees are small, that is the tracer. This script's
        # own size, about 24 MiB, counts too (it forks) and is the least that can be shown.
        rss = max(run.rss for run in runs["airtight"]) / 1024
        over |= rss > (options.memory_limit or rss)
        print("|", load.title, "|", f"{plain:.2f}", "|", " | ".join(cells["airtight"]), "|",
              " | ".join(cells["strace"]), "|", share, "|", f"{rss:.0f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(every, indent=1) + "\n")
    if over:
        sys.exit(f"memory above {options.memory_limit} MiB")


if __name__ == "__main__":
    main()
