"""The one daemon of this process, and what it is told of where actions come from."""

import atexit
import os
import shutil
import threading

import SCons.Node.FS

from . import daemon, messages, settings

_lock = threading.Lock()
_daemon = None
_failed = False
_caller = None

#: How long results may take to be published at the end, in seconds.
PATIENCE = 60
_patience = PATIENCE


def program():
    """The `airtight` that is used."""
    return os.environ.get("AIRTIGHT") or shutil.which("airtight") or "airtight"


def client():
    """The daemon's client. It is started when it is first asked for, so a build in which nothing
    is to be done starts none. None when it can't be used, which is told once."""
    global _daemon, _failed
    with _lock:
        if _daemon is None and not _failed:
            arguments, environment = _stores()
            try:
                _daemon = daemon.Daemon(program(), _top(), arguments, environment)
            except daemon.Gone as error:
                _failed = True
                messages.once(str(error))
            else:
                atexit.register(_close)
        return _daemon.client if _daemon is not None else None


def searches():
    """The connection for requests that nobody waits for at the end; None as of client()."""
    return _daemon.searches if client() is not None else None


def untraceable():
    """Why commands can't be traced here; None if they can, or that is not known."""
    return _daemon.hello.get("untraceable") if _daemon is not None else None


def _stores():
    """Which caches the daemon uses: its arguments and its environment."""
    fetch, push = settings.fetch(), settings.push()
    if not fetch and not push:
        return ["--no-cache"], None
    arguments = ["--connections", str(settings.connections())]
    if settings.url() is not None:
        arguments += ["--remote", settings.url()]
    environment = dict(os.environ)
    environment["AIRTIGHT_CACHE_FETCH"] = "true" if fetch else "false"
    environment["AIRTIGHT_CACHE_PUSH"] = "true" if push else "false"
    return arguments, environment


def caller():
    """Where actions come from, as the daemon is told."""
    global _caller
    if _caller is None:
        _caller = {
            "workspace": _top(),
            # For `$HOME` in a policy; actions get what SCons gives them.
            "variables": {name: os.environ[name] for name in ["HOME"] if name in os.environ},
            "umask": daemon.umask(),
            "build_system": "scons",
        }
    return _caller


def wants_streams():
    """Whether what commands write is to be kept, so that it can be told again with a result."""
    return settings.push()


def hurry():
    """At the end nothing is waited for any more: the user has pressed Ctrl-C."""
    global _patience
    _patience = 1


def _close():
    if not _daemon.close(_patience) and _patience == PATIENCE:
        messages.once("not all results were published within %d s" % PATIENCE)


def _top():
    return SCons.Node.FS.get_default_fs().Top.get_abspath()
