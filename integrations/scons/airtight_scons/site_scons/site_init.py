"""Turns Airtight on in SCons: `scons --site-dir=` the directory of this file. The site directories
that SCons would have used are loaded as well."""

import importlib.util
import os
import sys

import SCons.Node.FS
import SCons.Script
import SCons.Script.Main


def _load(directory):
    """The package around this directory, wherever it lies, as airtight_scons."""
    spec = importlib.util.spec_from_file_location(
        "airtight_scons",
        os.path.join(directory, "__init__.py"),
        submodule_search_locations=[directory],
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["airtight_scons"] = module
    spec.loader.exec_module(module)


def _load_theirs():
    """The site directory that `airtight scons` was asked for: empty for none; else the usual ones.
    """
    theirs = os.environ.pop("AIRTIGHT_SCONS_SITE_DIR", None)
    top = SCons.Node.FS.get_default_fs().SConstruct_dir.get_internal_path()
    if theirs is None:
        SCons.Script.Main._load_all_site_scons_dirs(top)
    elif theirs:
        SCons.Script.Main._load_site_scons_dir(top, theirs)
    # SCons takes the names of this file over, the old ones of its own included.
    for name, value in SCons.Script.__dict__.items():
        if not name.startswith("__"):
            globals()[name] = value


_load(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_load_theirs()
