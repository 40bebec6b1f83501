"""Entry point of ``datascan``: turns each way of ending into an exit code.

===  ====================================================================
  0  looked at everything asked for, and nothing at or above ``--fail-on``
  1  findings at or above ``--fail-on``
  2  usage
  3  could not look, or not at all of it
  4  a bug in datascan
130  interrupted
===  ====================================================================
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Never

from . import forking
from .complain import complain, complain_of_bug, complain_with_traceback, describe
from .interrupt import interruptible

USAGE, NOT_LOOKED, BUG, INTERRUPTED = 2, 3, 4, 130
"""As in `report.ExitCode`, which can't be asked when an import is what failed."""


def run() -> Never:
    """The program: the command line in a process that is all its own."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us: what there is to say goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as we run
    forking.allow()
    code = main()
    if code == INTERRUPTED:
        _end_at_once(code)
    gc.freeze()  # the system takes everything back at once: nobody needs to look for garbage before
    sys.exit(code)


def _end_at_once(code: int) -> Never:
    """End with this code. Python itself would end by SIGINT if the interruption has passed through an ``exec``."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader is gone
            stream.flush()
    os._exit(code)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code; whatever happens, nothing is raised."""
    debug = bool(os.environ.get("DATASCAN_DEBUG"))
    try:
        from .cli.session import Session

        session = Session(debug=debug)
        try:
            with interruptible():
                return _run(argv, session)
        finally:
            debug = session.debug
            session.finish()
    except KeyboardInterrupt:
        complain("datascan: interrupted")
        return INTERRUPTED
    except ModuleNotFoundError as exc:
        return _missing(exc, debug)
    except Exception as exc:
        return _bug(exc, debug)


def _run(argv: list[str] | None, session: object) -> int:
    """Run click, which would end a crash, Ctrl-C and its own errors all with 1 if it were let."""
    import click

    from ..backends.errors import DatascanError, UsageError
    from .cli import datascan

    try:
        result = datascan.main(argv, prog_name="datascan", standalone_mode=False, obj=session)
    except click.Abort:
        complain("datascan: interrupted")
        return INTERRUPTED
    except click.UsageError as exc:
        command = exc.ctx.command_path if exc.ctx else "datascan"
        complain(f"{command}: {_one_line(exc.format_message())} (try '{command} --help')")
        return USAGE
    except (click.ClickException, UsageError) as exc:
        complain(f"datascan: {_one_line(str(exc))}")
        return USAGE
    except DatascanError as exc:
        complain(f"datascan: {_one_line(str(exc))}")
        return NOT_LOOKED
    except SystemExit as ending:  # click ends so after shell completion, and where the reader of a help text has gone
        return ending.code if isinstance(ending.code, int) and "_DATASCAN_COMPLETE" in os.environ else 0
    return int(result or 0)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _missing(exc: ModuleNotFoundError, debug: bool) -> int:
    """A library that is not installed; a module of our own that is missing is a bug."""
    if (exc.name or "datascan").partition(".")[0] == "datascan":
        return _bug(exc, debug)
    complain(f"datascan: the library {exc.name!r} is not installed; install datascan again with its dependencies")
    return NOT_LOOKED


def _bug(exc: Exception, debug: bool) -> int:
    if debug:
        complain_with_traceback(exc)
    complain_of_bug(describe(exc))
    return BUG


if __name__ == "__main__":
    run()
