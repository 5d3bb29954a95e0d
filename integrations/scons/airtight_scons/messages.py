"""What is told to people, and what SCons is told of a verdict."""

import base64
import json
import sys
import threading

import SCons.Errors

#: The exit code of an action in which something undeclared was found, as of `airtight run`.
UNDECLARED = 120

_lock = threading.Lock()
_told = set()
_reports = set()


def tell(text):
    """Writes lines to standard error, after what was printed before, and not among other lines."""
    with _lock:
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()


def once(text):
    """Tells a line about the whole build, the first time only."""
    with _lock:
        if text in _told:
            return
        _told.add(text)
    tell("airtight: %s\n" % text)


def error(executor, what, status=UNDECLARED):
    """The error that makes SCons fail the action of an executor."""
    return SCons.Errors.BuildError(
        node=executor.batches[0].targets,
        errstr="airtight: " + what,
        status=status,
        executor=executor,
    )


def summary(judged):
    """The first finding that fails the action, in a few words, and how many more there are."""
    findings = judged["report"]["verdict"]["findings"]
    findings = [f for f in findings if f["reaction"] not in ("record", "warn")]
    if not findings:
        return "the action can't be trusted"
    first = findings[0]
    text = "%s (%s)" % (first["message"], first["rule"])
    if len(findings) > 1:
        text += " and %d more" % (len(findings) - 1)
    return text


def report(judged, path):
    """Adds errors and warnings to a file, each as a line of JSON."""
    findings = judged["report"]["verdict"]["findings"]
    shown = [f for f in findings if f["severity"] in ("error", "warn")]
    with _lock:
        new = path not in _reports
        _reports.add(path)
        with open(path, "w" if new else "a", encoding="ascii") as file:
            for finding in shown:
                file.write(json.dumps(finding) + "\n")


def streams(kept):
    """Bytes by the name of their stream, as `end` takes them."""
    return {
        name: {"base64": base64.b64encode(kept.get(name, b"")).decode("ascii")}
        for name in ("stdout", "stderr")
    }
