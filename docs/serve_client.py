"""A client of `airtight serve` in one file: docs/serve.md describes the protocol.

    client = Client("/run/user/1000/airtight/build.sock")
    answer = client.run({"argv": ["cc", "-c", "a.c"], "inputs": ["a.c"], "outputs": ["a.o"]}, "/src")
"""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile


class Client:
    def __init__(self, path, airtight="airtight"):
        self.airtight = airtight
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.last = 0
        self.hello = self.ask(hello={"protocol": 1})["hello"]

    def ask(self, **request):
        """Sends one request and waits for its answer. Clients with many requests under way match
        answers by id instead."""
        self.last += 1
        request["id"] = self.last
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        line = self.lines.readline()
        if not line:
            raise ConnectionError("the daemon has gone")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError("{code}: {message}".format(**answer["error"]))
        return answer

    def run(self, action, workspace):
        """Restores the result of an action, or runs, judges and publishes it. Gives the answer and
        the exit code that `airtight run` would have had."""
        umask = os.umask(0o077)
        os.umask(umask)
        caller = {"workspace": workspace, "variables": dict(os.environ), "umask": umask}
        answer = self.ask(begin={"action": action, "caller": caller})
        if "hit" in answer:
            for name in ("stdout", "stderr"):
                getattr(sys, name).buffer.write(decode(answer["hit"][name]))
            return answer, 0
        run = answer["run"]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            status = subprocess.run(
                [self.airtight, "trace", "-o", run["recording"], "--", *run["argv"]],
                cwd=run["cwd"],
                env=run["environment"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            ).returncode
            streams = {}
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                written = file.read()
                getattr(sys, name).buffer.write(written)
                streams[name] = {"base64": base64.b64encode(written).decode()}
        answer = self.ask(end={"token": run["token"], "exit": status, **streams})
        sys.stderr.write(answer["judged"]["text"])
        return answer, answer["judged"]["exit"]


def decode(stream):
    if "text" in stream:
        return stream["text"].encode()
    return base64.b64decode(stream["base64"])


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: serve.py SOCKET WORKSPACE ACTION.json")
    path, workspace, action = sys.argv[1:]
    with open(action, encoding="utf-8") as file:
        action = json.load(file)
    airtight = os.environ.get("AIRTIGHT", "airtight")
    answer, status = Client(path, airtight).run(action, os.path.abspath(workspace))
    print("restored" if "hit" in answer else "published" if answer["judged"]["published"] else "ran")
    sys.exit(status)


if __name__ == "__main__":
    main()
