"""Words on standard error for what keeps a run from its normal end."""

from __future__ import annotations

import sys
import traceback

from .printable import printable
from .version import __version__

BUG = """\
datascan: {what}
This is a bug in datascan; it says nothing about your data. Please report it on datascan's issue tracker with the
version ({version}) and the output of the same command with --debug."""


def complain(text: str) -> None:
    """Lines on standard error, if there is one; what steers a terminal is escaped."""
    try:
        print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        return


def complain_of_bug(what: str) -> None:
    """Say that datascan has a bug, and where to report it."""
    complain(BUG.format(what=" ".join(what.split()), version=__version__))


def describe(exc: BaseException) -> str:
    """An exception in a line."""
    return f"{type(exc).__name__}: {exc}".splitlines()[0].rstrip(": ")


def complain_with_traceback(exc: BaseException) -> None:
    """Where an exception comes from, for whoever debugs datascan."""
    complain("".join(traceback.format_exception(exc)).rstrip())
