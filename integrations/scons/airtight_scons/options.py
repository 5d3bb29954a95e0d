"""The command line options."""

import SCons.Script

MODES = ("enforce", "warn", "record", "off")


def add():
    """Adds our options to those of SCons."""
    SCons.Script.AddOption(
        "--airtight",
        dest="airtight",
        type="choice",
        choices=list(MODES),
        default="enforce",
        metavar="MODE",
        help="What to do about an action that touches what it does not declare: enforce (fail "
        "it, the default), warn (tell of it), record (only in the report) or off.",
    )
    SCons.Script.AddOption(
        "--airtight-report",
        dest="airtight_report",
        metavar="FILE",
        help="Write the findings to FILE, each as a line of JSON.",
    )


def report():
    """The file for findings, or None."""
    return SCons.Script.GetOption("airtight_report")


def mode():
    """What is to be done about findings: one of MODES."""
    return SCons.Script.GetOption("airtight")
