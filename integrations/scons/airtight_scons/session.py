"""One run of an executor: everything its actions do, from the first command to the last, is one
action to Airtight, and judged at the end."""

import os
import threading

from . import messages, service, spec
from .daemon import Failure, Gone

_local = threading.local()


def current():
    """The session of this thread, or None."""
    return getattr(_local, "session", None)


class Session:
    """Collects the recordings of an executor's commands. Belongs to one thread."""

    def __init__(self, executor, name, begun):
        self.executor = executor
        self.name = name
        self.steps = []
        #: Why the result must not be kept, though nothing may be wrong with it.
        self.limits = []
        #: What the commands have written, by the name of the stream.
        self.streams = {}
        #: Who records what Python code does at the moment, or None.
        self.observer = None
        #: A directory of the action's own.
        self.tmpdir = begun["tmpdir"]
        self._token = begun["token"]
        self._recording = begun["recording"]
        self._tees = []

    def __enter__(self):
        _local.session = self
        return self

    def __exit__(self, *_):
        _local.session = None

    def step(self, argv):
        """A name for the recording of the next command."""
        recording = "%s.%d" % (self._recording, len(self.steps))
        self.steps.append({"recording": recording, "argv": argv})
        return recording

    def pause(self):
        """Ends the step of Python code, so that a command that it starts comes after it."""
        if self.observer is not None:
            self.observer.flush()

    def limit(self, why):
        """Keeps the result from being published."""
        if why not in self.limits:
            self.limits.append(why)

    def unseen(self, what):
        """Says that something can't be seen, which is not to happen in silence."""
        messages.once("%s: %s; what it does is not judged" % (self.name, what))
        self.limit(what)

    def keep_streams(self, tee):
        """Waits for `tee` at the end, and sends what it has kept."""
        self._tees.append(tee)

    def abort(self):
        """Ends it without a verdict: Ctrl-C, say."""
        self._forget()
        try:
            service.client().ask("abort", {"token": self._token})
        except (Failure, Gone):
            pass

    def finish(self, status):
        """Has the actions judged, which ended with `status` by SCons' account; gives the verdict,
        or None where there was nothing to judge. Raises Failure and Gone."""
        body = {
            "token": self._token,
            # A negative one is a signal.
            "exit": status if -64 <= status <= 255 else 1,
            "limits": self.limits,
            "wait": False,
        }
        for tee in self._tees:
            tee.add_to(self.streams)
        if not self.steps:
            self.abort()
            return None
        body["steps"] = self.steps
        if service.wants_streams():
            body.update(messages.streams(self.streams))
        try:
            return service.client().ask("end", body)["judged"]
        finally:
            self._forget()

    def _forget(self):
        for step in self.steps:
            try:
                os.unlink(step["recording"])
            except OSError:
                pass


def begin(executor, cache=None):
    """Starts a session. Raises Failure, and Gone where nothing can be traced or judged."""
    client = service.client()
    if client is None:
        raise Gone("there is no daemon to ask")
    if service.untraceable() is not None:
        raise Gone(service.untraceable())
    body = {"caller": service.caller(), "keep": True}
    try:
        body["action"] = spec.action(executor)
    except spec.Uncacheable as error:
        body["action"] = error.action
        limit = str(error)
    else:
        limit = None
    body.update(cache.begin(executor) if cache is not None else {"refresh": True})
    session = Session(executor, body["action"]["name"], client.ask("begin", body)["run"])
    if limit is not None:
        session.limit(limit)
    return session
