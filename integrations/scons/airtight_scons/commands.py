"""Processes that an action starts: each runs under `airtight trace`, whoever starts it."""

import functools
import inspect
import os
import subprocess
import threading

from . import service, session

_signature = inspect.signature(subprocess.Popen.__init__)
_local = threading.local()


def install():
    """Traces what is started with subprocess in a thread that has a session: SCons' own SPAWN, that
    of the user, and Python actions come by here."""
    start = subprocess.Popen.__init__

    @functools.wraps(start)
    def tracing(self, *args, **kwargs):
        now = session.current()
        if now is None or starting():
            return start(self, *args, **kwargs)
        call = _signature.bind(self, *args, **kwargs)
        call.apply_defaults()
        _local.starting = True
        try:
            return _start(start, call, now)
        finally:
            _local.starting = False

    subprocess.Popen.__init__ = tracing
    _install_os()


def _install_os():
    """The older ways to start a process go by subprocess too, in a thread that has a session."""
    system, spawn = os.system, os._spawnvef

    @functools.wraps(system)
    def calling(command):
        if session.current() is None:
            return system(command)
        process = subprocess.Popen(command, shell=True, close_fds=False)
        return _wait_status(process.wait())

    def spawning(mode, file, args, env, func):
        # A name that differs from the first argument can't be told to the tracer.
        plain = args and os.fsdecode(args[0]) in (os.fsdecode(file), os.path.basename(file))
        if session.current() is None or mode != os.P_WAIT or not plain:
            return spawn(mode, file, args, env, func)
        if func in (os.execv, os.execve) and not os.path.dirname(file):
            file = os.path.join(os.curdir, os.fsdecode(file))
        try:
            return subprocess.Popen([file, *args[1:]], env=env, close_fds=False).wait()
        except OSError:
            return 127

    os.system, os._spawnvef = calling, spawning


def _wait_status(code):
    """What os.system gives for a process that ended so."""
    return -code if code < 0 else code << 8


def starting():
    """Whether this thread is starting a process that is traced."""
    return getattr(_local, "starting", False)


def _start(start, call, now):
    given = call.arguments
    words = _words(given)
    if words is None:
        now.unseen("a process was started in a way that can't be traced")
        return start(*call.args, **call.kwargs)
    if not _found(words[0], given):
        # The error is to be that of the program, not of ours.
        return start(*call.args, **call.kwargs)
    now.pause()
    recording = now.step(words)
    asked, shell = given["args"], given["shell"]
    trace = [service.program(), "trace", "--transparent", "-o", recording, "--"]
    given["args"], given["shell"], given["executable"] = trace + words, False, None
    tees = []
    if service.wants_streams():
        for name, number in (("stdout", 1), ("stderr", 2)):
            if given[name] is None:
                tees.append(Tee(name, number))
                given[name] = tees[-1].end
    try:
        done = start(*call.args, **call.kwargs)
    except BaseException:
        now.steps.pop()
        raise
    finally:
        for tee in tees:
            tee.close()
    for tee in tees:
        now.keep_streams(tee)
    given["self"].args = asked
    return done


def _words(given):
    """The command line, as text; or None if it can't be had from what is given."""
    words, program = given["args"], given["executable"]
    if isinstance(words, (str, bytes, os.PathLike)):
        words = [words]
    words = [os.fsdecode(word) for word in words]
    if given["shell"]:
        words = [os.fsdecode(program or "/bin/sh"), "-c"] + words
    elif program is not None and os.fsdecode(program) != words[0]:
        return None
    try:
        "\0".join(words).encode("utf-8")
    except UnicodeEncodeError:
        return None
    return words


def _found(program, given):
    if not program:
        return False
    cwd = os.fsdecode(given["cwd"] or "")
    if os.path.dirname(program):
        return os.access(os.path.join(cwd, program), os.X_OK)
    env = given["env"]
    directories = os.get_exec_path(env)
    return any(os.access(os.path.join(cwd, os.fsdecode(d), program), os.X_OK) for d in directories)


class Tee:
    """Passes on what comes through a pipe, and keeps it."""

    def __init__(self, name, number):
        self.name = name
        self._number = number
        self._kept = []
        read, self.end = os.pipe()
        self._thread = threading.Thread(target=self._pass, args=(read,), daemon=True)
        self._thread.start()

    def close(self):
        """Closes our own end for writing."""
        os.close(self.end)

    def add_to(self, streams):
        """Waits until all has come, and adds it to the bytes of its stream."""
        self._thread.join()
        streams[self.name] = streams.get(self.name, b"") + b"".join(self._kept)

    def _pass(self, read):
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while True:
                data = pipe.read(65536)
                if not data:
                    return
                self._kept.append(data)
                try:
                    os.write(self._number, data)
                except OSError:
                    # Nobody listens any more: the command's own affair no less than ours.
                    pass
