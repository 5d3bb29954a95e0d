"""What Python code does to files: function actions, and a SPAWN of the user's own.

They run in SCons' own process, where nothing can be traced. Python tells of calls before it makes
them (PEP 578); from these a recording is made. Calls that only look (stat) and those of C extensions
are not told, so a result that rests on such a recording is never published.
"""

import contextlib
import functools
import json
import linecache
import os
import stat
import sys
import threading
import time

from . import commands, places, session

_local = threading.local()

#: Events that start what is not traced, and not observed.
_UNSEEN = {
    "os.fork": "a process was started by fork",
    "os.forkpty": "a process was started by forkpty",
    "os.posix_spawn": "a process was started by posix_spawn",
}

#: The code that reads modules and their compiled forms, and lines of code for tracebacks: not what
#: the action itself reads.
_IMPORTS = (
    "<frozen importlib._bootstrap_external>",
    "<frozen importlib._bootstrap>",
    linecache.getline.__code__.co_filename,
)

#: Where Python and SCons are. What they read of themselves, as for a warning, is read once and then
#: known: whose action it falls to is chance.
_PYTHON = tuple(
    {
        os.path.realpath(place) + os.sep
        for place in (sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), *places.OWN)
    }
)

_TYPES = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "dir"), (stat.S_ISLNK, "symlink"))


def install():
    """Listens from now on; a hook can't be taken away."""
    sys.addaudithook(_hear)
    start = threading.Thread.start

    @functools.wraps(start)
    def starting(self):
        observer = getattr(_local, "observer", None)
        if observer is not None and not commands.starting():
            observer.unseen("a thread was started")
        start(self)

    threading.Thread.start = starting


@contextlib.contextmanager
def observed(what):
    """Records what this thread does in Python, as part of its session. `what` is for people."""
    now = session.current()
    if now is None or getattr(_local, "observer", None) is not None:
        yield
        return
    now.limit("Python code can't be traced in full: %s" % what)
    observer = Observer(now, what)
    _local.observer = now.observer = observer
    try:
        yield
    finally:
        _local.observer = now.observer = None
        observer.flush()


class Observer:
    """Makes recordings of the events it hears."""

    def __init__(self, now, what):
        self._session = now
        self._argv = ["Python", what]
        self._started = int(time.time())
        self._accesses = []

    def unseen(self, what):
        """Something is done that no event tells of."""
        self._session.unseen("%s in %s" % (what, self._argv[1]))

    def flush(self):
        """Ends a recording, so that what follows comes after it."""
        if not self._accesses:
            return
        accesses, self._accesses = self._accesses, []
        end = len(accesses) + 2
        run = {"exe": os.path.realpath(sys.executable), "argv": self._argv, "cwd": os.getcwd()}
        process = {"id": 0, "pid": os.getpid(), "start": 1, "end": end, "exit": {"code": 0}}
        process["execs"] = [dict(run, seq=1)]
        recording = {
            "airtight_recording": 2,
            "tracer_version": "",
            "backend": "python",
            "host": "",
            "kernel": "",
            "time": self._started,
            "cwd": run["cwd"],
            "command": self._argv,
            "state": "complete",
            "processes": [dict(process, **run)],
            "accesses": accesses,
        }
        with open(self._session.step(self._argv), "w", encoding="ascii") as file:
            json.dump(recording, file)

    def add(self, event, name, kind, op, directory=None, other=None, flags=0):
        """Notes one access."""
        path = _absolute(name, directory)
        if path is None:
            return
        # A link itself is made, removed and renamed; else what it leads to counts.
        follow = op not in ("unlink", "rename", "symlink", "rmdir")
        real = os.path.realpath(path)
        if not follow:
            real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if kind in ("read", "list") and real.startswith(_PYTHON):
            return
        access = {"path": real, "kind": kind, "op": op, "process": 0, "count": 1}
        access["first"] = len(self._accesses) + 2
        access["syscall"] = event
        if flags:
            access["flags"] = flags
        if path != real:
            access["requested"] = path
        if other is not None:
            access["target"] = os.path.realpath(_absolute(other, None) or "/")
        try:
            mode = os.lstat(real).st_mode
        except OSError:
            if kind in ("read", "list", "delete") and op != "hardlink":
                access.update(kind="probe", op="stat", exists=False, errno=2)
        else:
            access.update((("object", word) for test, word in _TYPES if test(mode)))
        self._accesses.append(access)


def _absolute(name, directory):
    """An absolute path; None for what has no name."""
    if isinstance(name, int) or name is None:
        return None
    name = os.fsdecode(name)
    if isinstance(directory, int) and directory >= 0:
        name = os.path.join(os.readlink("/proc/self/fd/%d" % directory), name)
    return os.path.normpath(os.path.join(os.getcwd(), name))


def _hear(event, args):
    observer = getattr(_local, "observer", None)
    if observer is None or commands.starting():
        return
    told = _EVENTS.get(event)
    if told is None and event not in _UNSEEN:
        return
    # What is done to learn more is not the action's own.
    _local.observer = None
    try:
        if told is None:
            observer.unseen(_UNSEEN[event])
        else:
            told(observer, *args)
    finally:
        _local.observer = observer


def _open(observer, name, mode, flags):
    if isinstance(name, int) or _importing():
        return
    path = _absolute(name, None)
    there = os.path.exists(path)
    access = flags & os.O_ACCMODE
    if access != os.O_WRONLY and not flags & os.O_TRUNC and (there or not flags & os.O_CREAT):
        observer.add("open", name, "read", "open", flags=flags)
    if access == os.O_RDONLY:
        return
    if not there:
        op = "create"
    else:
        op = "truncate" if flags & os.O_TRUNC else "change"
    observer.add("open", name, "write", op, flags=flags)


def _importing():
    """Whether Python opens the file for itself: to import it, or to show a line of it."""
    frame = sys._getframe(3)
    for _ in range(4):
        if frame is None:
            return False
        if frame.f_code.co_filename in _IMPORTS:
            return True
        frame = frame.f_back
    return False


def _rename(observer, old, new, old_fd=-1, new_fd=-1):
    observer.add("rename", old, "delete", "rename", old_fd, other=new)
    observer.add("rename", new, "write", "rename", new_fd, other=old)


def _link(observer, old, new, old_fd=-1, new_fd=-1):
    observer.add("link", old, "read", "hardlink", old_fd, other=new)
    observer.add("link", new, "write", "hardlink", new_fd, other=old)


def _symlink(observer, old, new, directory=-1):
    observer.add("symlink", new, "write", "symlink", directory)


def _remove(observer, name, directory=-1):
    observer.add("unlink", name, "delete", "unlink", directory)


def _rmdir(observer, name, directory=-1):
    observer.add("rmdir", name, "delete", "rmdir", directory)


def _mkdir(observer, name, mode=0, directory=-1):
    observer.add("mkdir", name, "write", "mkdir", directory)


def _list(observer, name="."):
    observer.add("getdents", name or ".", "list", "enumerate")


def _truncate(observer, name, length=0):
    observer.add("truncate", name, "write", "truncate")


def _change(observer, name, *_):
    observer.add("setattr", name, "write", "metadata")


_EVENTS = {
    "open": _open,
    "os.rename": _rename,
    "os.link": _link,
    "os.symlink": _symlink,
    "os.remove": _remove,
    "os.rmdir": _rmdir,
    "os.mkdir": _mkdir,
    "os.listdir": _list,
    "os.scandir": _list,
    "os.truncate": _truncate,
    "os.chmod": _change,
    "os.chown": _change,
    "os.utime": _change,
    "os.setxattr": _change,
    "os.removexattr": _change,
}
