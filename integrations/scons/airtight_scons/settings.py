"""The options of the remote cache, named as in SCons' pull request 3971."""

import SCons
import SCons.Errors
import SCons.Script

CONNECTIONS = 100


def add():
    """Adds the options to those of SCons."""
    _option(
        "--remote-cache-fetch-enabled",
        action="store_true",
        default=False,
        help="Take verified results from the remote cache, and from the local store in front of it.",
    )
    _option(
        "--remote-cache-push-enabled",
        action="store_true",
        default=False,
        help="Give verified results to the remote cache, and keep them in the local store.",
    )
    _option(
        "--remote-cache-url",
        default=None,
        metavar="URL",
        help="The remote cache: an http, https, grpc, grpcs, s3 or file URL. Without it those of "
        "airtight.toml.",
    )
    _option(
        "--remote-cache-connections",
        type="int",
        default=CONNECTIONS,
        metavar="N",
        help="At most N requests to the remote cache at once (%d)." % CONNECTIONS,
    )


def _option(name, **how):
    # From 4.8 on an option says whether SetOption may set it.
    if tuple(map(int, SCons.__version__.split(".")[:2])) >= (4, 8):
        how["settable"] = True
    SCons.Script.AddOption(name, **how)


def fetch():
    """Whether results are taken."""
    return SCons.Script.GetOption("remote_cache_fetch_enabled")


def push():
    """Whether results are given."""
    return SCons.Script.GetOption("remote_cache_push_enabled")


def url():
    """The remote cache, or None."""
    return SCons.Script.GetOption("remote_cache_url") or None


def connections():
    """How many requests at once. Raises UserError."""
    number = SCons.Script.GetOption("remote_cache_connections")
    if not isinstance(number, int) or number < 1:
        raise SCons.Errors.UserError("--remote-cache-connections must be 1 or more, not %s" % number)
    return number
