"""``datascan demo``."""

from __future__ import annotations

import click

from . import params
from .session import Session


@click.command(short_help="Plant faults in small data sets, and find them before your eyes.")
@click.argument("folder", required=False)
@params.colour_option
@params.debug_option
@click.pass_obj
def demo(session: Session, /, folder: str | None, color: str) -> int:
    """Write small data sets with planted faults, scan them, and say which faults were found.

    FOLDER is a new or empty folder that keeps the data sets; without it they are removed at the end. Ends with 0 if
    every planted fault was found.
    """
    from .demo_run import run_demo_command

    return run_demo_command(session, folder, color)
