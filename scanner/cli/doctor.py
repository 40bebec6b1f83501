"""``datascan doctor``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan doctor --solver solver.prototxt --net train_val.prototxt --log train.log
  datascan doctor --log train.log                        # solver and net as Caffe printed them
  datascan doctor --log train.log --data-root /data      # with the data sets that the net names
  datascan doctor --log keras.log train.h5
  datascan doctor --log train.log --quiet --output json=report.json

\b
Exit codes:
  0  no cause is confirmed or likely, and no finding is at or above --fail-on
  1  a cause is confirmed or likely, or there are findings at or above --fail-on
  2  an option that makes no sense; nothing was read
  3  something that was named could not be looked at, or not all of it
  4  a bug in datascan; the partial report is still written
  130  interrupted; the partial report is written, marked incomplete
"""


@click.command(epilog=EXAMPLES, short_help="Say why a loss became NaN.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, callback=params.paths)
@click.option("--solver", metavar="FILE", help="The solver in prototxt.  [default: as printed in the log]")
@click.option("--net", metavar="FILE", help="The net in prototxt.  [default: as printed in the log]")
@click.option("--log", metavar="FILE", help="The training log, of any size, plain or compressed.")
@params.data_root_option
@params.fail_on_option
@params.jobs_option
@params.timeout_option
@params.max_memory_option
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="Text has the confirmed and likely causes and what failed alone.")
@click.option(
    "--no-progress", is_flag=True, help="Show no progress. There is none unless standard error is a terminal."
)
@params.colour_option
@params.debug_option
@click.pass_obj
def doctor(session: Session, /, sources: tuple[str, ...], **given: Any) -> int:
    """Give a verdict on every cause of a loss that is not finite, ranked, with the evidence and the remedy.

    Solver, net, log and data are held against each other: the rate is computed for every iteration, pooling windows are
    judged by their geometry, and the first bad iteration is traced to the records of its batch. Any of the inputs may
    be absent; a cause for which something was not looked at is never ruled out. The data sets that the net names are
    scanned where they are found; SOURCE adds others.
    """
    from ..api import check_limits
    from ..crew import Crew
    from ..interrupt import uninterrupted
    from ..supervisor import Limits

    with uninterrupted():
        check_limits(given["timeout"], given["max_memory"])
        with Crew(given["jobs"], Limits(given["timeout"], given["max_memory"])) as crew:
            from .doctor_run import run_doctor  # while the first worker starts

            return run_doctor(session, sources, given, crew)
