"""Results that are taken from the cache instead of being made: which may be, and what SCons is told.

jobs.py asks for them. The result of an action that has to run is published by its session.
"""

import sys
import threading

import SCons.Action
import SCons.CacheDir
import SCons.Node.FS
import SCons.Script.Main

from . import daemon, identity, messages, options, service, settings, spec

_lock = threading.Lock()
#: Targets whose files are in place: SCons is to find them in its cache.
_restored = set()
#: Targets that SCons' own CacheDir was asked for in vain.
_asked = set()
#: Executors whose result was looked for.
_searched = set()


def install():
    """Enters SCons."""
    from . import jobs

    settings.add()
    identity.install()
    retrieve = SCons.Node.FS.File.retrieve_from_cache

    def retrieving(node):
        with _lock:
            if node in _restored:
                return True
            if node in _asked:
                return False
        return retrieve(node)

    SCons.Node.FS.File.retrieve_from_cache = retrieving
    jobs.install()


def enabled():
    """Whether results are looked for in this build. With -n nothing is made that keys could be
    computed from, so that then there is nothing to look for."""
    return (
        settings.fetch() and SCons.CacheDir.cache_enabled and bool(SCons.Action.execute_actions)
    )


def check():
    """Says so where what was asked for can't be had."""
    if settings.push() and options.mode() == "off":
        messages.once("nothing is pushed: with --airtight=off no result is verified")


def begin(executor):
    """How the run of an executor is begun, in the words of the daemon."""
    if not _keepable(executor) or SCons.CacheDir.cache_readonly:
        return {"cache": False}
    with _lock:
        searched = executor in _searched
    return {"searched": True} if searched else {"refresh": True}


def _keepable(executor):
    """Whether the result may come from a cache and go to one, by what the SConstruct and the
    command line say."""
    if not SCons.CacheDir.cache_enabled:
        return False
    for target in executor.get_all_targets():
        if not isinstance(target, SCons.Node.FS.File) or target.nocache:
            return False
        # Who always wants it built does not want an old one.
        if target.always_build or not target.is_derived():
            return False
    return True


def front(task):
    """Whether a CacheDir of SCons has to be asked first."""
    target = task.targets[0]
    return target.get_build_env().get_CacheDir().is_enabled()


def ask_front(task):
    """Takes the targets from SCons' own CacheDir, as SCons does it: all of them, or none. Gives
    whether they are there."""
    came = []
    for target in task.targets:
        if not target.retrieve_from_cache():
            break
        came.append(target)
    else:
        with _lock:
            _restored.update(came)
        return True
    for target in came:
        target.fs.unlink(target.get_internal_path())
    with _lock:
        _asked.update(task.targets)
    return False


class Search:
    """The searches of one build."""

    def __init__(self):
        self.connections = settings.connections()
        self.hits = 0
        self.misses = {}

    def send(self, task, done):
        """Looks for the result of a task; `done` gets the answer. False where there is nothing to
        look for."""
        executor = task.targets[0].get_executor()
        if not _keepable(executor):
            return False
        client = service.searches()
        if client is None:
            return False
        try:
            action = spec.action(executor)
        except spec.Uncacheable:
            return False
        body = {"action": action, "caller": service.caller(), "restore": False, "hold": True}
        client.send("lookup", body, done)
        return True

    def found(self, task, pending):
        """The hit in an answer, or None."""
        try:
            answer = pending.result()
        except (daemon.Failure, daemon.Gone) as error:
            messages.once("not looked for in the cache: %s" % error)
            return None
        if "hit" in answer:
            return answer["hit"]
        miss = answer["miss"]
        with _lock:
            _searched.add(task.targets[0].get_executor())
        self._missed(task, miss)
        return None

    def restore(self, hit, done):
        """Has the files of a hit written; `done` gets the answer."""
        service.searches().send("restore", {"token": hit["token"]}, done)

    def forget(self, pending):
        """Gives back a result that is not wanted any more."""
        try:
            hit = pending.result(0).get("hit")
        except (daemon.Failure, daemon.Gone, TimeoutError):
            return
        if hit is not None:
            service.searches().send("abort", {"token": hit["token"]})

    def restored(self, task, hit, pending):
        """Whether the files of a hit are in place; then SCons is told so, and others see what the
        action had to say."""
        try:
            answer = pending.result()
        except (daemon.Failure, daemon.Gone) as error:
            messages.once("not restored from the cache: %s" % error)
            return False
        if "miss" in answer:
            self._missed(task, answer["miss"])
            return False
        self.hits += 1
        for note in hit["notes"] + answer["done"].get("notes", []):
            messages.once(note)
        _debug(task, "CacheRetrieve(%s):  retrieved from " + _plain(hit["from"]) + ", %s\n", hit)
        _show(task, hit)
        with _lock:
            _restored.update(task.targets)
        return True

    def tell(self):
        """Says how many results were found, and why others were not."""
        if self.hits == 0 and not self.misses:
            return
        text = "scons: cache: %d taken" % self.hits
        reasons = ["%d %s" % (self.misses[reason], reason) for reason in sorted(self.misses)]
        if reasons:
            text += ", %d not (%s)" % (sum(self.misses.values()), ", ".join(reasons))
        SCons.Script.Main.progress_display(text)

    def _missed(self, task, miss):
        reason = miss["reason"]
        self.misses[reason] = self.misses.get(reason, 0) + 1
        for note in miss["notes"]:
            messages.once(note)
        _debug(task, "CacheRetrieve(%s):  not taken: " + reason + ", %s\n", miss)


def done(task):
    """Forgets what was noted of a task."""
    with _lock:
        _restored.difference_update(task.targets)
        _asked.difference_update(task.targets)
        executor = task.targets[0].get_executor()
        _searched.discard(executor)


def fill_front(task):
    """Puts what came from elsewhere into SCons' own CacheDir too, if it takes files."""
    for target in task.targets:
        target.push_to_cache()


def _show(task, hit):
    """Says what stock SCons says of a target from its cache, or with --cache-show the command; then
    what the action wrote when it ran."""
    target = task.targets[0]
    if SCons.CacheDir.cache_show:
        target.build(presub=0, execute=0)
    elif SCons.Action.print_actions:
        for target in task.targets:
            sys.stdout.write("Retrieved `%s' from cache\n" % target.get_internal_path())
    for name in ("stdout", "stderr"):
        written = daemon.stream(hit[name])
        if written:
            stream = getattr(sys, name)
            sys.stdout.flush()
            stream.write(written.decode(errors="replace"))
            stream.flush()


def _debug(task, fmt, answer):
    """A line for --cache-debug. %s stand for the target and the key."""
    target = task.targets[0]
    # Without its size: SCons takes what it gets for a path.
    key = (answer.get("key") or "no key").split("/")[0]
    target.get_build_env().get_CacheDir().CacheDebug(fmt, target, key)


def _plain(text):
    return text.replace("%", "%%")
