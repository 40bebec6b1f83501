"""``datascan rules``."""

from __future__ import annotations

import click

from . import params
from .session import Session

EXAMPLES = """
\b
Examples:
  datascan rules
  datascan rules value-nan
  datascan rules label --output json
"""


@click.command(epilog=EXAMPLES, short_help="List the rules, or show the pages of some.")
@click.argument("name", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or JSON with the whole pages.",
)
@params.colour_option
@params.debug_option
@click.pass_obj
def rules(session: Session, /, name: str | None, output: str, color: str) -> None:
    """List all rules with their severity, or show the pages of one.

    NAME is a rule (value-nan) or a family, the word before the first dash (value).
    """
    from .rules_run import run_rules

    run_rules(session, name, output, color)
