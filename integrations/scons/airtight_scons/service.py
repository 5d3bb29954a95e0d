"""The one daemon of this process, and what it is told of where actions come from."""

import atexit
import os
import shutil
import threading

import SCons.Node.FS

from . import daemon, messages

_lock = threading.Lock()
_daemon = None
_failed = False
_caller = None

#: How long results may take to be published at the end, in seconds.
PATIENCE = 60


def program():
    """The `airtight` that is used."""
    return os.environ.get("AIRTIGHT") or shutil.which("airtight") or "airtight"


def client():
    """The daemon's client. It is started when it is first asked for, so a build in which nothing
    is to be done starts none. None when it can't be used, which is told once."""
    global _daemon, _failed
    with _lock:
        if _daemon is None and not _failed:
            try:
                _daemon = daemon.Daemon(program(), _top(), ["--no-cache"])
            except daemon.Gone as error:
                _failed = True
                messages.once(str(error))
            else:
                atexit.register(_daemon.close, PATIENCE)
        return _daemon.client if _daemon is not None else None


def caller():
    """Where actions come from, as the daemon is told."""
    global _caller
    if _caller is None:
        _caller = {
            "workspace": _top(),
            "variables": {},
            "umask": daemon.umask(),
            "build_system": "scons",
        }
    return _caller


def wants_streams():
    """Whether what commands write is to be kept, so that it can be told again with a result."""
    return False


def _top():
    return SCons.Node.FS.get_default_fs().Top.get_abspath()
