"""``datascan lint``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan lint solver.prototxt train_val.prototxt
  datascan lint solver.prototxt --select solver-rate-nan,solver-rate-zero
  datascan lint solver.prototxt --quiet --output json=report.json

\b
Exit codes:
  0  looked at everything, and nothing at or above --fail-on
  1  findings at or above --fail-on
  2  an option that makes no sense; nothing was read
  3  a file could not be read, or is neither a solver nor a net
  4  a bug in datascan
"""


@click.command(epilog=EXAMPLES, short_help="Judge solver and net files alone.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, callback=params.paths)
@params.select_option("solver, net")
@params.ignore_option
@params.severity_option
@params.fail_on_option
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="Text says nothing of files that passed.")
@params.colour_option
@params.debug_option
@click.pass_obj
def lint(session: Session, /, files: tuple[str, ...], **given: Any) -> int:
    """Judge Caffe's solver and net files without running anything, and say which line to change.

    FILE is a solver or a net in prototxt; which of them is seen from its contents. The learning rate is computed for
    the whole run. Only the files named here are read: to have a solver's net judged too, name it.
    """
    from .lint_run import run_lint

    return run_lint(session, files, given)
