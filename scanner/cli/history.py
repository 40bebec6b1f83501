"""``datascan history``."""

from __future__ import annotations

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan history
  datascan history train --nights 90
  datascan history --output html=history.html
"""


@click.command(epilog=EXAMPLES, short_help="Show what the audits of many nights have seen.")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option(
    "--history",
    metavar="FILE",
    help="The history.  [default: datascan-history.sqlite beside the configuration file, or in the working folder]",
)
@click.option(
    "--nights",
    metavar="N",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Only the last N of each source.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    metavar="FORMAT[=FILE]",
    multiple=True,
    help="text, json or html, to a file or to standard output; repeatable.  [default: text]",
)
@params.colour_option
@params.debug_option
@click.pass_obj
def history(
    session: Session,
    /,
    sources: tuple[str, ...],
    history: str | None,
    nights: int,
    outputs: tuple[str, ...],
    color: str,
) -> int:
    """Show records, findings, labels and channel means of each audited source over the nights, and what was news when.

    SOURCE is a name or a path; all that are remembered by default.
    """
    from .history_run import run_history

    return run_history(session, sources, history, nights, outputs, color)
