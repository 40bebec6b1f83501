"""``datascan compare``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan compare train_lmdb val_lmdb                       # is a validation record in the training set?
  datascan compare train_lmdb val_lmdb --near                # or a re-encoded, resized, brightened copy of one?
  datascan compare old_lmdb new.h5 --ignore set-leak         # two versions: what has changed
  datascan compare train_lmdb val_lmdb --select set-leak --output json=leak.json

\b
Exit codes:
  0  both were looked at, and nothing at or above --fail-on
  1  findings at or above --fail-on
  2  an option that makes no sense; nothing was read
  3  could not look, or not at all of both
  4  a bug in datascan
  130  interrupted; the partial report is written, marked incomplete
"""


@click.command(epilog=EXAMPLES, short_help="Say what two data sets share, and how they differ.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@params.backend_option
@params.database_option
@params.layout_option
@params.select_option("set, store")
@params.ignore_option
@params.severity_option
@params.fail_on_option
@params.max_findings_option
@click.option(
    "--near",
    is_flag=True,
    help="Name images of B that look like one of A although their bytes differ, too (set-near-leak).",
)
@params.jobs_option
@params.executor_option
@params.timeout_option
@params.max_memory_option
@params.work_dir_option
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="Text says nothing of sets that passed, and no progress is shown.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
@params.colour_option
@params.debug_option
@click.pass_obj
def compare(session: Session, /, first: str, second: str, **given: Any) -> int:
    """Read both data sets and say which records of B are in A as well, which keys name other contents, and how labels,
    shapes and values differ.

    A and B are data sets of any kind that 'datascan check' reads, the training set first. Contents are compared, not
    files: an LMDB can be compared with HDF5. Nothing is ever written to either.
    """
    from ..api import check_limits
    from ..crew import Crew
    from ..interrupt import uninterrupted
    from ..supervisor import Limits

    with uninterrupted():
        check_limits(given["timeout"], given["max_memory"])
        with Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
            from .compare_run import run_compare  # while the first worker starts

            return run_compare(session, first, second, given, crew)
