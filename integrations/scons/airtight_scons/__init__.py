"""Airtight for SCons: actions that touch only what they declare, and a cache that may be trusted.

`import airtight_scons` in an SConstruct turns it on, as do `airtight scons` and `--site-dir`.
"""

import sys

_active = False


def activate():
    """Enters SCons, once. To be called before targets are declared: those that are declared before
    have no place in messages."""
    global _active
    if _active:
        return
    _active = True
    from . import cache, hooks, options

    options.add()
    cache.install()
    hooks.install(cache)


# Without SCons this is a package like any other.
if "SCons.Script" in sys.modules:
    activate()
