"""What an executor declares, as an action of `airtight serve` (docs/serve.md).

The same executor gives the same action before and after it has run: it is what the key is made of.
"""

import SCons.Node.Alias
import SCons.Node.FS
import SCons.Node.Python
import SCons.Util

from . import identity, places


class Uncacheable(Exception):
    """The action can be judged, and its result can't be kept; the text says why."""


class Declared:
    """The files of an executor, by what they are to it. Names are absolute."""

    def __init__(self, executor):
        self.inputs = set()
        self.directories = set()
        self.outputs = []
        self.side_effects = set()
        #: Why the result can't be kept; empty if it can.
        self.uncacheable = []
        self._seen = set()
        targets = executor.get_all_targets()
        for target in targets:
            self._target(target)
        for node in executor.get_all_sources() + executor.get_all_children():
            self._input(node)
        # What is only ordered or ignored may be read; as an input it is in the key, so that a
        # result that read it is not taken for another.
        for node in executor.get_all_prerequisites():
            self._input(node)
        for target in targets:
            for node in target.ignore:
                self._input(node)
        for node in executor.get_action_side_effects():
            self.side_effects.update(_names(node))

    def _target(self, node):
        if not isinstance(node, SCons.Node.FS.Base):
            self.uncacheable.append("%s is no file" % node)
            return
        node = node.disambiguate()
        name = node.get_abspath()
        if node.precious:
            # It is updated in place: read and written, never restored.
            self.uncacheable.append("%s is precious" % node)
            self.side_effects.add(name)
            return
        if isinstance(node, SCons.Node.FS.Dir):
            self.uncacheable.append("%s is a directory" % node)
        self.outputs.append(name)

    def _input(self, node):
        if node in self._seen:
            return
        self._seen.add(node)
        if isinstance(node, SCons.Node.Alias.Alias):
            for child in node.children():
                self._input(child)
        elif isinstance(node, SCons.Node.FS.Base):
            node = node.disambiguate()
            directory = isinstance(node, SCons.Node.FS.Dir)
            (self.directories if directory else self.inputs).update(_names(node))


def action(executor, targets=None):
    """The action of an executor. Raises Uncacheable, with the action as `action`, when it can only
    be judged."""
    declared = Declared(executor)
    targets = targets or executor.get_all_targets()
    env = executor.get_build_env()
    try:
        words = identity.words(executor)
    except Exception as error:
        # Of an action that SCons can't spell out either, it will tell more when it is executed.
        words = ["scons", str(targets[0])]
        declared.uncacheable.append("its commands can't be told: %s" % error)
    body = {
        "name": str(targets[0]),
        "argv": words,
        "inputs": sorted(declared.inputs),
        "input_dirs": sorted(declared.directories),
        "outputs": declared.outputs,
        "side_effects": sorted(_pattern(name) for name in declared.side_effects),
        "environment": {"fixed": variables(env)},
    }
    place = places.of(targets[0], env.fs)
    if place is not None:
        body["declared_at"] = place
    if declared.uncacheable:
        error = Uncacheable(declared.uncacheable[0])
        error.action = body
        raise error
    return body


def variables(env):
    """The environment that SCons gives to commands, as it makes text of it."""
    values = {}
    for name, value in env["ENV"].items():
        if SCons.Util.is_List(value):
            value = ":".join(map(str, SCons.Util.flatten_sequence(value)))
        values[str(name)] = str(value)
    return values


def _names(node):
    """All names under which an action may find a node: where it is built, where its source is in a
    variant directory, and where a repository has it."""
    nodes = [node, node.srcnode()]
    if isinstance(node, SCons.Node.FS.Dir):
        nodes += node.get_all_rdirs()
    else:
        nodes.append(node.rfile())
    return {node.get_abspath() for node in nodes}


def _pattern(name):
    """A pattern that matches this name only."""
    return "".join("\\" + char if char in "*?[]{}\\" else char for char in name)
