#!/usr/bin/env python3
"""What SCons builds cost with Airtight: hits from a remote cache that is far away, by connections,
against fetching in the job slot; and enforcement, local hits and null builds against plain SCons.

Needs python3 (its standard library), gcc, a venv or PATH with scons, and a release build of airtight.
Works in a directory of its own with caches of its own; nothing of the user's is touched.

    python3 benches/scons.py [--airtight FILE] [--scons FILE] [--files N] [--delay MS] [--rounds N]

The remote is a small HTTP store on loopback that answers each request after a delay. The build phase
is the time from "Building targets" to the end of scons. Tables show medians of rounds.
"""

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "integrations/scons"

SCONSTRUCT = """
import os
{enter}
env = Environment(ENV={{"PATH": os.environ["PATH"]}}, CPPPATH=["include"])
if ARGUMENTS.get("cachedir"):
    CacheDir(ARGUMENTS["cachedir"])
env.Program("all", [env.Object("src/f%d.c" % n) for n in range({files})] + ["main.c"])
"""

ENTER = """
import sys
sys.path.insert(0, {package!r})
if ARGUMENTS.get("airtight", "1") == "1":
    import airtight_scons
if ARGUMENTS.get("slot"):
    # What a remote behind SCons' own cache would do: the job waits for the answer.
    import threading
    import SCons.Node.FS
    from airtight_scons import cache
    cache.enabled = lambda: False
    take = SCons.Node.FS.File.retrieve_from_cache

    class Task:
        def __init__(self, node):
            self.targets = [node]

    def retrieve(node):
        search, task, settled = cache.Search(), Task(node), threading.Event()
        answers = []

        def done(pending):
            answers.append(pending)
            settled.set()

        def wait():
            settled.wait()
            settled.clear()
            return answers.pop()

        if not search.send(task, done):
            return take(node)
        hit = search.found(task, wait())
        if hit is None:
            return False
        search.restore(hit, done)
        return search.restored(task, hit, wait())

    SCons.Node.FS.File.retrieve_from_cache = retrieve
"""


def project(directory, files):
    """C files with headers of their own and one that all include."""
    (directory / "src").mkdir(parents=True)
    (directory / "include").mkdir()
    (directory / "include/all.h").write_text("#define ALL 1\n")
    for n in range(files):
        (directory / f"include/h{n}.h").write_text(f"#define H {n}\n")
        (directory / f"src/f{n}.c").write_text(
            f'#include <stdio.h>\n#include "all.h"\n#include "h{n}.h"\n'
            f"int f{n}(void) {{ return printf(\"%d\", ALL + H); }}\n"
        )
    (directory / "main.c").write_text("int main(void) { return 0; }\n")
    enter = ENTER.format(package=str(PACKAGE))
    (directory / "SConstruct").write_text(SCONSTRUCT.format(enter=enter, files=files))
    (directory / "airtight.toml").write_text("")


async def store(delay):
    """The remote: PUT and GET of any path, from memory, each after the delay."""
    blobs = {}

    async def serve(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await asyncio.sleep(delay)
                status, answer = "404 Not Found", b""
                if method == "PUT":
                    blobs[path] = body
                    status = "200 OK"
                elif path in blobs:
                    status, answer = "200 OK", blobs[path]
                length = f"Content-Length: {len(answer)}\r\n\r\n"
                answer = b"" if method == "HEAD" else answer
                writer.write(f"HTTP/1.1 {status}\r\n{length}".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


class Bench:
    def __init__(self, options, work):
        self.options = options
        self.work = work
        self.directory = work / "project"
        self.environment = dict(os.environ, AIRTIGHT=str(options.airtight), LC_ALL="C")

    def scons(self, store, *args):
        """Runs scons with this local store. Gives wall and CPU seconds, and those of the build phase."""
        environment = dict(self.environment, AIRTIGHT_CACHE_DIR=str(self.work / store))
        before = os.times()
        begun = time.monotonic()
        phase = None
        with subprocess.Popen(
            [self.options.scons, "-j2", *args],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("scons: Building targets"):
                    phase = time.monotonic()
        ended = time.monotonic()
        after = os.times()
        if process.returncode != 0:
            sys.exit(f"scons {' '.join(args)} ended with {process.returncode}:\n{''.join(lines[-20:])}")
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        retrieved = sum(line.startswith("Retrieved") for line in lines)
        return {"wall": ended - begun, "phase": ended - phase, "cpu": cpu, "retrieved": retrieved}

    def clean(self):
        for path in self.directory.glob("src/*.o"):
            path.unlink()
        for name in ("all", "main.o", ".sconsign.dblite"):
            (self.directory / name).unlink(missing_ok=True)

    def median(self, *args, store="local", fresh=False, clean=True):
        runs = []
        for _ in range(self.options.rounds):
            if clean:
                self.clean()
            if fresh:
                shutil.rmtree(self.work / store, ignore_errors=True)
            runs.append(self.scons(store, *args))
        return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def row(name, run, base):
    print(
        f"| {name} | {run['phase']:.2f} | {run['wall']:.2f} | {run['cpu']:.2f} | "
        f"{run['phase'] / base['phase']:.2f} | {run['retrieved']:.0f} |",
        flush=True,
    )


def title(name, base):
    print(f"\n| {name} | build phase s | wall s | CPU s | phase to {base} | retrieved |\n|---|---|---|---|---|---|")


def main():
    if sys.argv[1:2] == ["--store"]:
        asyncio.run(store(float(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--airtight", default=ROOT / "target/release/airtight", type=pathlib.Path)
    parser.add_argument("--scons", default="scons")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--delay", type=int, default=100, help="milliseconds of each request")
    parser.add_argument("--connections", default="1,10,100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="also write the medians to this file")
    options = parser.parse_args()
    options.airtight = options.airtight.resolve()
    for needed in ("gcc", options.scons, str(options.airtight)):
        if shutil.which(needed) is None:
            sys.exit(f"{needed}: not found")
    every = {}
    with tempfile.TemporaryDirectory(prefix="airtight-bench-") as work:
        bench = Bench(options, pathlib.Path(work).resolve())
        project(bench.directory, options.files)
        command = [sys.executable, __file__, "--store", str(options.delay / 1000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as remote:
            try:
                port = int(remote.stdout.readline())
                every = measure(bench, f"http://127.0.0.1:{port}")
            finally:
                remote.terminate()
    if options.json:
        options.json.write_text(json.dumps(every, indent=1) + "\n")


def measure(bench, url):
    every = {}

    def run(name, *args, **how):
        every[name] = bench.median(*args, **how)
        return every[name]

    plain = run("plain scons", "airtight=0")
    run("plain scons, null build", "airtight=0", clean=False)
    fetch = ["--remote-cache-fetch-enabled", f"--remote-cache-url={url}"]
    # Fills the remote, the local store, and SCons' own cache.
    bench.clean()
    bench.scons("local", "--remote-cache-push-enabled", *fetch)
    bench.clean()
    cachedir = f"cachedir={bench.work / 'cachedir'}"
    bench.scons("none", "airtight=0", cachedir)

    title("clean build", "plain")
    row("plain scons", plain, plain)
    row("enforce", run("enforce"), plain)
    row("enforce, published locally", run("published", "--remote-cache-push-enabled", store="new", fresh=True), plain)

    stock = run("stock CacheDir", "airtight=0", cachedir)
    local = run("local hits", "--remote-cache-fetch-enabled")
    title("all from a cache on this machine", "stock")
    row("stock CacheDir", stock, stock)
    row("local store", local, stock)

    title(f"remote, {bench.options.delay} ms a request, no local store", "local store")
    row("local store", local, local)
    for connections in bench.options.connections.split(","):
        args = [*fetch, f"--remote-cache-connections={connections}"]
        row(f"{connections} connections", run(f"remote {connections}", *args, store="cold", fresh=True), local)
    slot = [*fetch, "slot=1"]
    row("in the job slot", run("job slot", *slot, store="cold", fresh=True), local)

    title("null build", "plain")
    bench.clean()
    bench.scons("local", "--remote-cache-fetch-enabled")
    null = every["plain scons, null build"]
    row("plain scons", null, null)
    row("with the remote cache on", run("null build", *fetch, clean=False), null)
    return every


if __name__ == "__main__":
    main()
