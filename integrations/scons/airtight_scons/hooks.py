"""The places where SCons is entered. All are looked up when they are called, and have been the same
since SCons 4.5."""

import functools
import os

import SCons.Action
import SCons.Errors
import SCons.Executor
import SCons.Node.FS
import SCons.Platform
import SCons.SConf

from . import commands, functions, messages, options, places, session
from .daemon import Failure, Gone


def install(cache=None):
    """Enters them. `cache` tells of which executors a result was looked for already."""
    places.install()
    commands.install()
    functions.install()
    _wrap_executors(cache)
    _wrap_functions()
    _wrap_spawn()
    _wrap_response_files()


def _wrap_executors(cache):
    execute = SCons.Executor._do_execute_map[1]

    def executing(executor, target, kw):
        if not _concerns_us(executor):
            return execute(executor, target, kw)
        return _run(executor, cache, lambda: execute(executor, target, kw))

    SCons.Executor._do_execute_map[1] = executing


def _concerns_us(executor):
    """Whether it is an action of the build: not a test of Configure, which has rules of its own,
    nor a directory that SCons makes on the way to a target."""
    if options.mode() == "off" or not SCons.Action.execute_actions:
        return False
    if SCons.SConf.sconf_global is not None or session.current() is not None:
        return False
    make = SCons.Node.FS.MkdirBuilder
    return make is None or executor.get_action_list() != [make.action]


def _run(executor, cache, execute):
    """Executes within a session, and fails what must fail."""
    enforce = options.mode() == "enforce"
    try:
        now = session.begin(executor, cache)
    except (Failure, Gone) as error:
        _complain(executor, enforce, error)
        return execute()
    with now:
        try:
            status = execute()
        except SCons.Errors.BuildError as error:
            _judge(now, False, error.status if isinstance(error.status, int) else 1)
            raise
        except BaseException:
            now.abort()
            raise
    _judge(now, enforce, 0)
    return status


def _judge(now, enforce, status):
    """Tells what was found, and raises an error if that is to fail the action."""
    try:
        judged = now.finish(status)
    except (Failure, Gone) as error:
        _complain(now.executor, enforce, error)
        return
    if judged is None:
        return
    for note in judged["notes"]:
        messages.once(note)
    if options.report() is not None:
        messages.report(judged, options.report())
    if judged["text"] and options.mode() != "record":
        messages.tell(judged["text"])
    if enforce and judged["exit"] != 0:
        raise messages.error(now.executor, messages.summary(judged), judged["exit"])


def _complain(executor, enforce, error):
    """What can't be judged fails where all is to be judged."""
    what = "not judged: %s" % error
    if enforce:
        raise messages.error(executor, what)
    messages.once("%s: %s" % (executor.get_all_targets()[0], what))


def _wrap_functions():
    execute = SCons.Action.FunctionAction.execute

    @functools.wraps(execute)
    def executing(self, *args, **kwargs):
        if session.current() is None:
            return execute(self, *args, **kwargs)
        with functions.observed(str(self).split("(")[0]):
            return execute(self, *args, **kwargs)

    SCons.Action.FunctionAction.execute = executing


def _wrap_spawn():
    execute = SCons.Action.CommandAction.execute

    @functools.wraps(execute)
    def executing(self, target, source, env, executor=None):
        spawn = env.get("SPAWN")
        if callable(spawn) and not _of_scons(spawn) and session.current() is not None:

            @functools.wraps(spawn)
            def observing(*args, **kwargs):
                with functions.observed("SPAWN"):
                    return spawn(*args, **kwargs)

            env = env.Override({"SPAWN": observing})
        return execute(self, target, source, env, executor)

    SCons.Action.CommandAction.execute = executing


def _of_scons(function):
    """Whether a function is one of SCons' own. What an SConstruct defines says it is in a module of
    SCons, so only the file tells."""
    code = getattr(function, "__code__", None)
    return code is not None and os.path.abspath(code.co_filename).startswith(places.OWN)


def _wrap_response_files():
    call = SCons.Platform.TempFileMunge.__call__

    @functools.wraps(call)
    def calling(self, target, source, env, for_signature):
        now = session.current()
        if now is not None and not for_signature:
            # In the action's own directory it is nobody else's, and goes with it.
            env = env.Override({"TEMPFILEDIR": now.tmpdir})
        return call(self, target, source, env, for_signature)

    SCons.Platform.TempFileMunge.__call__ = calling
