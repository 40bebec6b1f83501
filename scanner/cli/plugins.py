"""``datascan plugins``."""

from __future__ import annotations

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan plugins
  datascan plugins --output json

\b
Exit codes:
  0  every plug-in can be used, or there is none
  3  one is broken; scans go on without it
"""


@click.command(epilog=EXAMPLES, short_help="List the plug-ins that are installed, and those that are broken.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON.",
)
@params.debug_option
@click.pass_obj
def plugins(session: Session, /, output: str) -> int:
    """List backends, layouts, rules and renderers of other packages that are installed beside datascan.

    They are found by their entry points (datascan.backends, datascan.layouts, datascan.rules, datascan.renderers).
    One that can't be loaded is named with the reason, here and in the report of each scan; it ends none. With
    DATASCAN_NO_PLUGINS=1 in the environment none is looked for.
    """
    from .plugins_run import run_plugins

    return run_plugins(session, output)
