"""Where in an SConscript a target is declared. SCons does not keep it, so each call of a builder
notes the first line outside of SCons that led to it, with the targets that come of it."""

import functools
import os
import sys

import SCons
import SCons.Builder

#: Where SCons is, and where this package is.
OWN = (
    os.path.dirname(os.path.abspath(SCons.__file__)) + os.sep,
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
)


def install():
    """Notes places from now on."""
    execute = SCons.Builder.BuilderBase._execute

    @functools.wraps(execute)
    def noting(self, *args, **kwargs):
        targets = execute(self, *args, **kwargs)
        place = None
        for target in targets:
            # A builder that calls others to make its sources comes last, and says the same line.
            if not hasattr(target.attributes, "airtight_place"):
                place = place or _caller()
                target.attributes.airtight_place = place
        return targets

    SCons.Builder.BuilderBase._execute = noting


def of(node, fs):
    """The place of a target as `file:line`, below the top directory where it can be; or None."""
    place = getattr(node.attributes, "airtight_place", None)
    if place is None:
        return None
    name, line = place
    top = fs.Top.get_abspath()
    # In a variant directory SCons reads a copy, and people edit the source.
    name = fs.Entry(os.path.join(top, name)).srcnode().get_abspath()
    if name.startswith(top + os.sep):
        name = name[len(top) + 1 :]
    return "%s:%d" % (name, line)


def _caller():
    """File and line of the innermost frame that is neither of SCons nor of this package."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not os.path.abspath(name).startswith(OWN) and not name.startswith("<"):
            return name, frame.f_lineno
        frame = frame.f_back
    return None
