#!/usr/bin/env python3
"""What the kernel's own view costs: a C build untraced, traced, traced with the witness, recorded by
fanotify alone, and with reactions refused at the call and by the guard in the kernel; interleaved.

Needs root, python3 (its standard library), gcc, make, and a release build of airtight. The source
is that of run.py.

    sudo python3 benches/kernel.py [--airtight FILE] [--rounds N] [--work DIR] [--json FILE]

Each round runs every way once, in an order that rotates. Ratios to the untraced run are formed within a
round, and so are those of each way to the one that it adds to; the table shows medians. CPU is user +
system time of the whole process tree, Airtight's own included.
"""

import argparse
import json
import pathlib
import statistics
import sys

from run import ROOT, fetch, interleave, workloads

# Everything that the build makes may be made, so that nothing is found and nothing is refused.
JUDGED = ["run", "--no-cache", "--env-all", "--workspace", ".", "--in-dir", ".", "--side-effect", "**"]


def ways(airtight, out):
    trace = [airtight, "trace", "-o", out]
    run = [airtight, *JUDGED]
    return {
        "untraced": ([], "untraced"),
        "trace": ([*trace, "--"], "untraced"),
        "trace, witness": ([*trace, "--witness", "fanotify", "--"], "trace"),
        "trace, fanotify alone": ([*trace, "--backend", "fanotify", "--"], "trace"),
        "run": ([*run, "--"], "untraced"),
        "run, denied at the call": ([*run, "--reaction", "R001=deny", "--"], "run"),
        "run, guard": ([*run, "--guard", "--"], "run, denied at the call"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--airtight", default=str(ROOT / "target/release/airtight"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/bench")
    parser.add_argument("--json", type=pathlib.Path, help="also write every run to this file")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    fetch(work, "lua")
    airtight = str(pathlib.Path(options.airtight).resolve())
    known = ways(airtight, str(work / "out.airtight"))
    every = {}
    print("| build | way | CPU to untraced | wall | to | CPU | wall |\n|---|---|---|---|---|---|---|")
    for name in ("build-O0", "build-O2"):
        load = workloads(work)[name]
        commands = {way: command for way, (command, _) in known.items()}
        # Incomplete by its nature: 121.
        runs = interleave(load, commands, options.rounds, {"trace, fanotify alone": (0, 121)})
        every[name] = {way: [run._asdict() for run in list_] for way, list_ in runs.items()}
        for way, (_, base) in known.items():
            def ratio(other, what):
                pairs = zip(runs[way], runs[other])
                return f"{statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs):.2f}"
            print("|", load.title, "|", way, "|", ratio("untraced", "cpu"), "|", ratio("untraced", "wall"),
                  "|", base, "|", ratio(base, "cpu"), "|", ratio(base, "wall"), "|", flush=True)
    if options.json:
        options.json.write_text(json.dumps(every, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
