"""``datascan merge``."""

from __future__ import annotations

from typing import Any

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan check train_lmdb --shard 1/3 --partial parts/1    # on three machines, in any order:
  datascan check train_lmdb --shard 2/3 --partial parts/2
  datascan check train_lmdb --shard 3/3 --partial parts/3
  datascan merge parts/* --output json=report.json           # when all three are done

\b
Exit codes are those of datascan check.
"""


@click.command(epilog=EXAMPLES, short_help="Put the partial reports of shards together.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, callback=params.paths)
@params.jobs_option
@params.work_dir_option
@params.outputs_option
@click.option("-q", "--quiet", is_flag=True, help="Text says nothing of sources that passed, and no progress is shown.")
@params.colour_option
@params.debug_option
@click.pass_obj
def merge(session: Session, /, files: tuple[str, ...], **given: Any) -> int:
    """Put together what 'datascan check --shard I/N --partial FILE' wrote, into the report of one whole scan.

    FILE are the partial reports of all shards, in any order. A shard that is missing, there twice or not finished, or
    that scanned other data, with other options or another version, is refused by name. The data sets are opened
    (their counts are asked for), and are not read again. --fail-on and all else is as the shards were told.
    """
    from ..crew import Crew
    from ..interrupt import uninterrupted

    with uninterrupted(), Crew(given["jobs"]) as crew:
        from .merge_run import run_merge

        return run_merge(session, files, given, crew)
