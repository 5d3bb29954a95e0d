"""What an executor does, as words: the part of its key that is neither a file nor the environment.

SCons' own signature leaves out what stands between `$(` and `$)`, include paths for example, and the
directory of `chdir=`. Both can change the result, so they have to be in the key.
"""

import contextlib
import hashlib
import threading

import SCons.Action
import SCons.Executor
import SCons.Node.FS
import SCons.Platform
import SCons.Util

_local = threading.local()


def install():
    """Keeps commands whole where SCons would put them into response files."""
    call = SCons.Platform.TempFileMunge.__call__

    def calling(self, target, source, env, for_signature):
        whole = getattr(_local, "whole", False)
        return call(self, target, source, env, for_signature or whole)

    SCons.Platform.TempFileMunge.__call__ = calling


def words(executor):
    """The commands of an executor as they would be run now. "\\n" stands between them: SCons knows
    no word that holds one."""
    target, env = executor.get_all_targets(), executor.get_build_env()
    source = list(map(SCons.Executor.rfile, executor.get_all_sources()))
    result = ["scons"]
    place = _directory(executor.get_kw().get("chdir"), target)
    with _whole():
        for action in executor.get_action_list():
            for line in _lines(action, target, source, env, executor):
                own = _directory(getattr(action, "chdir", None), target) or place
                result += ["\n"] + (["cd", own, "\n"] if own else []) + line
    shell = str(env.get("SHELL"))
    return result if shell == "sh" else result + ["\n", "shell", shell]


@contextlib.contextmanager
def _whole():
    _local.whole = True
    try:
        yield
    finally:
        _local.whole = False


def _lines(action, target, source, env, executor):
    """The commands of an action, each a list of words."""
    if isinstance(action, SCons.Action.ListAction):
        for part in action.list:
            yield from _lines(part, target, source, env, executor)
    elif isinstance(action, SCons.Action.LazyAction):
        if action.get_parent_class(env) is SCons.Action.CommandAction:
            yield from _commands(action, target, source, env, executor)
        else:
            part = action._generate(target, source, env, 0, executor)
            yield from _lines(part, target, source, env, executor)
    elif isinstance(action, SCons.Action.CommandGeneratorAction):
        part = action._generate(target, source, env, 0, executor)
        yield from _lines(part, target, source, env, executor)
    elif isinstance(action, SCons.Action.CommandAction):
        yield from _commands(action, target, source, env, executor)
    else:
        contents = action.get_contents(target, source, env)
        yield ["python", hashlib.sha256(bytes(contents)).hexdigest()]


def _commands(action, target, source, env, executor):
    lines, ignore, _ = action.process(target, source, env, executor)
    for line in lines:
        if line:
            yield (["-"] if ignore else []) + [str(word) for word in line]


def _directory(chdir, target):
    """The directory that `chdir=` stands for."""
    if not chdir:
        return None
    if isinstance(chdir, SCons.Node.FS.Base):
        return chdir.get_path()
    return str(chdir) if SCons.Util.is_String(chdir) else str(target[0].dir)
